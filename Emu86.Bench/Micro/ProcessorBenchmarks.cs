// The processor by itself: what an instruction, a memory access, an interrupt and a decoded block cost. In the steady
// state nothing may be allocated.
using BenchmarkDotNet.Attributes;
using Emu86.Cpu;
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Bench.Micro;

[MemoryDiagnoser]
public unsafe class ProcessorBenchmarks : IProcessorBus, IDisposable
{
    private const uint Directory = 0x1000, Tables = 0x2000, Idt = 0xa000, Gdt = 0xb000, Stack = 0xf000, CodeAt = 0x1_0000, Data = 0x20_0000;
    private const uint RamBytes = 32 << 20;
    private const int Instructions = 100_000, BlocksDecoded = 60;

    private readonly PhysicalMemory _memory = new(RamBytes);
    private readonly Processor _cpu;
    private byte[] _straight = [];

    public ProcessorBenchmarks()
    {
        _cpu = new Processor(_memory, this, CpuModel.Pentium2);
        _cpu.SetA20(true);
    }

    [Params("interpreter", "translator")]
    public string Engine { get; set; } = "";

    public ulong VirtualTimeNs => _cpu.InstructionCount * 10;

    public uint ReadPort(ushort port, int size) => uint.MaxValue;

    public void WritePort(ushort port, int size, uint value)
    {
    }

    public byte AcknowledgeInterrupt()
    {
        _cpu.SetIntr(false);
        return 0x20;
    }

    public void SetFerr(bool asserted)
    {
    }

    public void Dispose()
    {
        _cpu.Dispose();
        _memory.Dispose();
        GC.SuppressFinalize(this);
    }

    [GlobalSetup(Target = nameof(Alu))]
    public void SetUpAlu() => Start(a =>
    {
        Label top = a.CreateLabel();
        a.Label(ref top);
        a.add(eax, ebx);
        a.xor(ecx, eax);
        a.lea(edx, eax + ecx * 4 + 12);
        a.shr(edx, 3);
        a.sub(ebx, edx);
        a.dec(esi);
        a.jnz(top);
        a.jmp(top);
    });

    /// <summary>A loop of register instructions.</summary>
    [Benchmark(OperationsPerInvoke = Instructions)]
    public RunResult Alu() => _cpu.Run(_cpu.InstructionCount + Instructions);

    [GlobalSetup(Target = nameof(TlbHit))]
    public void SetUpTlbHit() => Start(a =>
    {
        Label top = a.CreateLabel();
        a.Label(ref top);
        a.mov(eax, __[ebp + 16]);
        a.mov(__[ebp + 20], eax);
        a.add(__[ebp + 24], eax);
        a.jmp(top);
    });

    /// <summary>Loads, stores and read-modify-writes in one page.</summary>
    [Benchmark(OperationsPerInvoke = Instructions)]
    public RunResult TlbHit() => _cpu.Run(_cpu.InstructionCount + Instructions);

    [GlobalSetup(Target = nameof(TlbMiss))]
    public void SetUpTlbMiss() => Start(a =>
    {
        // 6,144 pages: more than the TLB has entries, so that each load walks the tables.
        Label top = a.CreateLabel();
        a.Label(ref top);
        a.mov(eax, __[ebp]);
        a.add(ebp, 4096);
        a.cmp(ebp, Data + (6144 * 4096));
        a.jb(top);
        a.mov(ebp, Data);
        a.jmp(top);
    });

    /// <summary>Four instructions, one of them a load that misses the TLB.</summary>
    [Benchmark(OperationsPerInvoke = Instructions / 4)]
    public RunResult TlbMiss() => _cpu.Run(_cpu.InstructionCount + Instructions);

    [GlobalSetup(Target = nameof(InterruptDelivery))]
    public void SetUpInterrupts() => Start(a =>
    {
        Label top = a.CreateLabel();
        a.Label(ref top);
        a.nop();
        a.jmp(top);
    });

    /// <summary>A hardware interrupt through a gate of the same level, its handler's IRET, and a few loop instructions.</summary>
    [Benchmark]
    public RunResult InterruptDelivery()
    {
        _cpu.SetIntr(true);
        return _cpu.Run(_cpu.InstructionCount + 6);
    }

    [GlobalSetup(Target = nameof(DecodeBlock))]
    public void SetUpDecode() => StartBlocks(Processor.HotRunsDefault);

    [GlobalSetup(Target = nameof(TranslateBlock))]
    public void SetUpTranslate() => StartBlocks(hotRuns: 1);

    private void StartBlocks(uint hotRuns)
    {
        Start(a =>
        {
            for (int n = 0; n < BlocksDecoded; n++)
            {
                Label next = a.CreateLabel();
                a.mov(eax, __[ebp + n * 4]);
                a.add(eax, ecx);
                a.mov(__[ebp + n * 4], eax);
                a.test(eax, eax);
                a.jmp(next);
                a.Label(ref next);
                a.nop();
            }
            a.jmp(CodeAt);
        }, hotRuns);
        _straight = new byte[1];
        _memory.Read(CodeAt, _straight);
    }

    /// <summary>Forgets a page of code and runs it once: decoding of blocks of six instructions.</summary>
    [Benchmark(OperationsPerInvoke = BlocksDecoded)]
    public RunResult DecodeBlock()
    {
        _memory.Write(CodeAt, _straight);
        return _cpu.Run(_cpu.InstructionCount + ((ulong)BlocksDecoded * 6) + 1);
    }

    /// <summary>The same where each block is translated when it first runs, in a trace of its own or with those behind it (translator
    /// only): decoding, translating and one run.</summary>
    [Benchmark(OperationsPerInvoke = BlocksDecoded)]
    public RunResult TranslateBlock() => DecodeBlock();

    /// <summary>Protected mode, flat segments, paging with an identity map, an interrupt handler at vector 20h.</summary>
    private void Start(Action<Assembler> code, uint hotRuns = Processor.HotRunsDefault)
    {
        for (uint page = 0; page < RamBytes >> 12; page++)
        {
            Put(Tables + (page * 4), (page << 12) | 0x67);
            if (page % 1024 == 0) Put(Directory + (page >> 10 << 2), Tables + (page * 4) | 0x67);
        }
        Put(Idt + (0x20 * 8), (8u << 16) | (uint)(CodeAt - 16));
        Put(Idt + (0x20 * 8) + 4, 0x8e00);
        _memory.Write(CodeAt - 16, [0xcf]);
        Put(Gdt + 8, 0x0000_ffff);
        Put(Gdt + 12, 0x00cf_9b00);
        Put(Gdt + 16, 0x0000_ffff);
        Put(Gdt + 20, 0x00cf_9300);
        var assembler = new Assembler(32);
        code(assembler);
        using var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), CodeAt);
        _memory.Write(CodeAt, bytes.ToArray());
        ref CpuState s = ref _cpu.Context->S;
        var data = new Segment { Selector = 16, Attributes = 0xc093, Limit = uint.MaxValue };
        data.Derive();
        s.Ds = s.Es = s.Ss = s.Fs = s.Gs = data;
        s.Cs = new Segment { Selector = 8, Attributes = 0xc09b, Limit = uint.MaxValue };
        s.Cs.Derive();
        s.Gdtr = new TableRegister { Base = Gdt, Limit = 23 };
        s.Idtr = new TableRegister { Base = Idt, Limit = 0x7ff };
        s.Cr3 = Directory;
        s.Cr0 = Modes.Cr0Pe | Modes.Cr0Et | Modes.Cr0Pg;
        s.SystemFlags |= Flags.If;
        s.Eip = CodeAt;
        s.R[Gpr.Esp] = Stack;
        s.R[Gpr.Ebp] = Data;
        s.R[Gpr.Esi] = uint.MaxValue;
        _cpu.AfterStateChange();
        if (Engine == "translator" && !_cpu.UseTranslator(true, hotRuns)) throw new PlatformNotSupportedException("the translator needs Linux on an x86-64 processor");
    }

    private void Put(uint at, uint value) => _memory.Write(at, BitConverter.GetBytes(value));
}
