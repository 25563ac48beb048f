// A small protected-mode world for tests of the processor's system side: tables, stacks and code that tests place by hand.
using System.Buffers.Binary;
using Emu86.Cpu;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Tests.Cpu;

/// <summary>Physical memory, a processor, and a GDT, IDT and two TSSs at fixed places. Paging is off unless a test turns it on.</summary>
internal sealed unsafe class SystemWorld : IProcessorBus, IDisposable
{
    public const uint Gdt = 0x1000, Idt = 0x2000, Tss = 0x3000, Tss2 = 0x3800, Stack0 = 0x6000, Stack3 = 0x7000, Ldt = 0x7800,
        Handlers = 0x8000, CodeAt = 0x1_0000;

    /// <summary>Selectors: flat segments of rings 0 to 3, and system descriptors.</summary>
    public const ushort Code0 = 0x08, Data0 = 0x10, Code3 = 0x1b, Data3 = 0x23, TssSelector = 0x28, Tss2Selector = 0x30, Conforming = 0x38,
        Gate = 0x40, Spare = 0x48, Code16 = 0x50, Data16 = 0x58, LdtSelector = 0x60, Code1 = 0x69, Data1 = 0x71;

    public SystemWorld(CpuModel? model = null)
    {
        Memory = new PhysicalMemory(0x20_0000);
        Cpu = new Processor(Memory, this, model ?? CpuModel.Pentium2);
        Cpu.SetA20(true);
        Descriptor(Code0, 0, 0xf_ffff, 0xc09b);
        Descriptor(Data0, 0, 0xf_ffff, 0xc093);
        Descriptor(Code3, 0, 0xf_ffff, 0xc0fb);
        Descriptor(Data3, 0, 0xf_ffff, 0xc0f3);
        Descriptor(TssSelector, Tss, 0x67, 0x0089);
        Descriptor(Tss2Selector, Tss2, 0x67, 0x0089);
        Descriptor(Conforming, 0, 0xf_ffff, 0xc09f);
        Descriptor(Code16, 0, 0xffff, 0x009b);
        Descriptor(Data16, 0, 0xffff, 0x0093);
        Descriptor(LdtSelector, Ldt, 0x7f, 0x0082);
        Descriptor(Code1, 0, 0xf_ffff, 0xc0bb);
        Descriptor(Data1, 0, 0xf_ffff, 0xc0b3);
        Write32(Tss + 4, Stack0);
        Write32(Tss + 8, Data0);
        Write32(Tss + 12, Stack0 - 0x400);
        Write32(Tss + 16, Data1);
        Write32(Tss + 0x64, 0x68_0000);
    }

    public PhysicalMemory Memory { get; }

    public Processor Cpu { get; }

    public Ctx* C => Cpu.Context;

    public ref CpuState S => ref C->S;

    /// <summary>What port reads return, and what was written.</summary>
    public Queue<uint> PortInput { get; } = new();

    public List<(ushort Port, int Size, uint Value, ulong Count)> PortOutput { get; } = [];

    /// <summary>Called at every port read, inside the instruction.</summary>
    public Action? OnPortRead { get; set; }

    public byte InterruptVector { get; set; } = 0x20;

    public ulong VirtualTimeNs => Cpu.InstructionCount * 10;

    public uint ReadPort(ushort port, int size)
    {
        OnPortRead?.Invoke();
        return PortInput.Count > 0 ? PortInput.Dequeue() : uint.MaxValue;
    }

    public void WritePort(ushort port, int size, uint value) => PortOutput.Add((port, size, value, Cpu.InstructionCount));

    public byte AcknowledgeInterrupt()
    {
        Cpu.SetIntr(false);
        return InterruptVector;
    }

    public void SetFerr(bool asserted)
    {
    }

    public void Dispose()
    {
        Cpu.Dispose();
        Memory.Dispose();
    }

    /// <summary>Protected mode at a privilege level with flat segments, EIP at <see cref="CodeAt"/>.</summary>
    public SystemWorld Protected(int level = 0)
    {
        S.Cr0 = Modes.Cr0Pe | Modes.Cr0Et;
        S.Gdtr = new TableRegister { Base = Gdt, Limit = 0x7f };
        S.Idtr = new TableRegister { Base = Idt, Limit = 0x7ff };
        S.Tr = Loaded(TssSelector);
        Write8(Gdt + TssSelector + 5, 0x8b);
        S.Tr.Attributes |= 2;
        (ushort code, ushort data) = level switch { 0 => (Code0, Data0), 1 => (Code1, Data1), _ => (Code3, Data3) };
        S.Cs = Loaded(code);
        S.Ss = S.Ds = S.Es = S.Fs = S.Gs = Loaded(data);
        S.Cpl = (byte)level;
        S.Eip = CodeAt;
        S.R[Gpr.Esp] = level == 0 ? Stack0 : Stack3;
        Cpu.AfterStateChange();
        return this;
    }

    /// <summary>Real mode with all segments 0, EIP at 0x8000.</summary>
    public SystemWorld Real()
    {
        for (int n = 0; n < Seg.Count; n++)
        {
            Segment* s = Ctx.SegmentOf(C, n);
            *s = new Segment { Attributes = 0x93, Limit = 0xffff };
            s->Derive();
        }
        S.Idtr = new TableRegister { Base = 0, Limit = 0x3ff };
        S.Eip = 0x8000;
        S.R[Gpr.Esp] = 0x7000;
        Cpu.AfterStateChange();
        return this;
    }

    /// <summary>Virtual-8086 mode at 0000:8000.</summary>
    public SystemWorld V86(int iopl = 0)
    {
        Protected();
        S.SystemFlags = Flags.Vm | Flags.Fixed1 | Flags.If | ((uint)iopl << 12);
        S.Cpl = 3;
        for (int n = 0; n < Seg.Count; n++)
        {
            Segment* s = Ctx.SegmentOf(C, n);
            *s = new Segment { Attributes = 0xf3, Limit = 0xffff };
            s->Derive();
        }
        S.Eip = 0x8000;
        S.R[Gpr.Esp] = 0x7000;
        Cpu.AfterStateChange();
        return this;
    }

    /// <summary>Identity-mapped 32-bit paging of the first 2 MiB; entries at 0x10_1000 can be changed before it is turned on.</summary>
    public SystemWorld Paged(uint rights = 7)
    {
        Write32(0x10_0000, 0x10_1007);
        for (uint page = 0; page < 512; page++) Write32(0x10_1000 + (page * 4), (page << 12) | rights);
        S.Cr3 = 0x10_0000;
        S.Cr0 |= Modes.Cr0Pg | Modes.Cr0Wp;
        Cpu.AfterStateChange();
        return this;
    }

    public void Code(uint at, Action<Assembler> write, int bits = 32)
    {
        var assembler = new Assembler(bits);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), at);
        Memory.Write(at, stream.ToArray());
    }

    public void Bytes(uint at, params byte[] bytes) => Memory.Write(at, bytes);

    /// <summary>Runs that many boundaries.</summary>
    public RunResult Step(ulong count = 1) => Cpu.Run(Cpu.InstructionCount + count);

    /// <summary>A GDT entry. Attributes as in <see cref="Segment.Attributes"/>; the limit is the raw 20-bit field.</summary>
    public void Descriptor(ushort selector, uint at, uint limit, uint attributes) =>
        RawDescriptor((selector & 4u) != 0 ? Ldt : Gdt, selector, (at << 16) | (limit & 0xffff),
            ((at >> 16) & 0xff) | (at & 0xff00_0000) | (attributes << 8 & 0xf0_ff00) | (limit & 0xf_0000));

    /// <summary>A gate in the GDT.</summary>
    public void CallGate(ushort selector, ushort target, uint offset, uint attributes, uint parameters = 0) =>
        RawDescriptor(Gdt, selector, ((uint)target << 16) | (offset & 0xffff), (offset & 0xffff_0000) | (attributes << 8) | parameters);

    /// <summary>An IDT entry; attributes 8Eh: 32-bit interrupt gate, EEh: the same for ring 3, 8Fh: trap gate.</summary>
    public void InterruptGate(int vector, uint offset, uint attributes = 0x8e, ushort target = Code0) =>
        RawDescriptor(Idt, (uint)vector * 8, ((uint)target << 16) | (offset & 0xffff), (offset & 0xffff_0000) | (attributes << 8));

    /// <summary>Gates for all vectors: vector n enters at <see cref="Handlers"/> + n.</summary>
    public SystemWorld AllGates(uint attributes = 0xee)
    {
        for (int n = 0; n < 256; n++) InterruptGate(n, Handlers + (uint)n, attributes);
        return this;
    }

    public uint Read32(uint at)
    {
        Span<byte> bytes = stackalloc byte[4];
        Memory.Read(at, bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    public ushort Read16(uint at) => (ushort)Read32(at);

    public void Write32(uint at, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Memory.Write(at, bytes);
    }

    public void Write16(uint at, uint value) => Memory.Write(at, [(byte)value, (byte)(value >> 8)]);

    public void Write8(uint at, uint value) => Memory.Write(at, [(byte)value]);

    /// <summary>The dword at a distance from ESP.</summary>
    public uint Top(uint index) => Read32(S.Ss.Base + S.R[Gpr.Esp] + (4 * index));

    /// <summary>The segment register contents that a GDT entry gives.</summary>
    private Segment Loaded(ushort selector)
    {
        uint low = Read32(Gdt + (selector & 0xfff8u)), high = Read32(Gdt + (selector & 0xfff8u) + 4);
        uint limit = (low & 0xffff) | (high & 0xf_0000);
        var s = new Segment
        {
            Selector = selector,
            Attributes = (ushort)((high >> 8) & 0xf0ff),
            Base = (low >> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000),
            Limit = (high & 0x80_0000) != 0 ? (limit << 12) | 0xfff : limit,
        };
        s.Derive();
        return s;
    }

    private void RawDescriptor(uint table, uint offset, uint low, uint high)
    {
        Write32(table + (offset & 0xfff8), low);
        Write32(table + (offset & 0xfff8) + 4, high);
    }
}
