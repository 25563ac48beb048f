// The x87 as a program sees it: memory forms, images, pointers, #NM, #MF and FERR#.
using Emu86.Cpu;
using Emu86.Cpu.Float;
using Emu86.Cpu.Memory;

namespace Emu86.Tests.Cpu;

public sealed unsafe class X87HandlerTests : IDisposable
{
    private const uint Code = 0x1000, Data = 0x2000;

    private sealed class Pins : IProcessorBus
    {
        public bool Ferr { get; private set; }

        public ulong VirtualTimeNs => 0;

        public uint ReadPort(ushort port, int size) => uint.MaxValue;

        public void WritePort(ushort port, int size, uint value) => Check.Fail("no ports here");

        public byte AcknowledgeInterrupt() => 0x75;

        public void SetFerr(bool asserted) => Ferr = asserted;
    }

    private readonly Pins _pins = new();
    private readonly PhysicalMemory _memory = new(1 << 20);
    private readonly Processor _cpu;

    public X87HandlerTests()
    {
        _cpu = new Processor(_memory, _pins, CpuModel.Pentium2);
        Ctx* c = _cpu.Context;
        c->S.Cs.Base = 0;
        c->S.Cs.Selector = 0;
        c->S.Cr0 = Modes.Cr0Et | Modes.Cr0Ne;
        c->S.A20 = 1;
        c->S.Fpu.Initialize();
        _cpu.AfterStateChange();
    }

    public void Dispose() => _cpu.Dispose();

    [Fact]
    public void A_program_of_loads_arithmetic_and_stores_computes()
    {
        Put(Data, BitConverter.GetBytes(1.5));
        Put(Data + 8, BitConverter.GetBytes(2.25f));
        // fld qword [2000h]; fadd dword [2008h]; fst st1; fmul st0,st0; fistp dword [2010h]; fnstsw ax
        Run(6, 0xDD, 0x06, 0x00, 0x20, 0xD8, 0x06, 0x08, 0x20, 0xDD, 0xD1, 0xD8, 0xC8, 0xDB, 0x1E, 0x10, 0x20, 0xDF, 0xE0);
        Assert.Equal(14, BitConverter.ToInt32(Get(Data + 0x10, 4)));
        Assert.Equal(0x0020u, _cpu.Context->S.R[Gpr.Eax] & 0xFFFF);
        Assert.Equal(0xFE, _cpu.Context->S.Fpu.Empty);
    }

    [Fact]
    public void The_pointers_of_the_last_instruction_are_kept()
    {
        Put(Data, BitConverter.GetBytes(3L));
        // fild qword [2000h]; fabs; fnstcw [2020h]
        Run(3, 0xDF, 0x2E, 0x00, 0x20, 0xD9, 0xE1, 0xD9, 0x3E, 0x20, 0x20);
        ref FpuState fpu = ref _cpu.Context->S.Fpu;
        Assert.Equal(Code + 4, fpu.InstructionOffset);
        Assert.Equal(0x1E1, fpu.LastOpcode);
        Assert.Equal(Data, fpu.DataOffset);
    }

    [Fact]
    public void A_state_saved_and_restored_is_the_same_state()
    {
        // fldpi; fldl2e; fnsave [3000h]; frstor [3000h]; fnsave [4000h] with 32-bit operand size
        Run(5, 0xD9, 0xEB, 0xD9, 0xEA, 0x66, 0xDD, 0x36, 0x00, 0x30, 0x66, 0xDD, 0x26, 0x00, 0x30, 0x66, 0xDD, 0x36, 0x00, 0x40);
        Assert.Equal(Get(0x3000, 108), Get(0x4000, 108));
        Assert.Equal(0xFFFF0FFFu, BitConverter.ToUInt32(Get(0x3008, 4)));
    }

    [Fact]
    public void Fxsave_and_fxrstor_carry_the_whole_x87_state()
    {
        // fldpi; fxsave [3000h]; fninit; fxrstor [3000h]
        Run(4, 0xD9, 0xEB, 0x0F, 0xAE, 0x06, 0x00, 0x30, 0xDB, 0xE3, 0x0F, 0xAE, 0x0E, 0x00, 0x30);
        ref FpuState fpu = ref _cpu.Context->S.Fpu;
        Assert.Equal(7, fpu.Top);
        Assert.Equal(0x7F, fpu.Empty);
        Assert.Equal(0xC90FDAA22168C235, FpuState.St(ref fpu, 0).Significand);
        Assert.Equal(0x80, Get(0x3004, 1)[0]);
    }

    [Theory]
    [InlineData(Modes.Cr0Ts)]
    [InlineData(Modes.Cr0Em)]
    public void Without_a_unit_every_x87_instruction_is_device_not_available(uint bits)
    {
        _cpu.Context->S.Cr0 |= bits;
        Step(0xDB, 0xE3);
        Assert.Equal((uint)Vector.Nm, _cpu.Context->FaultVector);
    }

    [Fact]
    public void Wait_needs_task_switched_and_monitor_together()
    {
        _cpu.Context->S.Cr0 |= Modes.Cr0Ts;
        Run(1, 0x9B);
        _cpu.Context->S.Cr0 |= Modes.Cr0Mp;
        Step(0x9B);
        Assert.Equal((uint)Vector.Nm, _cpu.Context->FaultVector);
    }

    [Fact]
    public void A_pending_exception_faults_at_the_next_waiting_instruction_only()
    {
        Divide0();
        Run(1, 0xDF, 0xE0);                                     // fnstsw ax
        Assert.Equal(0xB084u, _cpu.Context->S.R[Gpr.Eax] & 0xFFFF);
        Step(0x9B);
        Assert.Equal((uint)Vector.Mf, _cpu.Context->FaultVector);
        Run(2, 0xDB, 0xE2, 0x9B);                               // fnclex; wait
    }

    [Fact]
    public void Without_numeric_error_reporting_the_processor_freezes_and_asserts_FERR()
    {
        _cpu.Context->S.Cr0 &= ~Modes.Cr0Ne;
        Divide0();
        Assert.False(_pins.Ferr);
        uint eip = _cpu.Context->S.Eip;
        Put(eip, 0x9B, 0xDB, 0xE2);
        Assert.Equal(RunResult.Halted, _cpu.Run(_cpu.InstructionCount + 5));
        Assert.True(_pins.Ferr);
        Assert.Equal(eip, _cpu.Context->S.Eip);
        _cpu.AssertIgnne();
        _cpu.Context->S.Halted = 0;                             // as an interrupt does
        Assert.Equal(RunResult.Limit, _cpu.Run(_cpu.InstructionCount + 2));
        Assert.False(_pins.Ferr);
        Assert.Equal(eip + 3, _cpu.Context->S.Eip);
        Assert.Equal(0, _cpu.Context->S.Fpu.IgnoreErrors);
    }

    /// <summary>Leaves a zero divide pending, at the end of what was run.</summary>
    private void Divide0()
    {
        Put(Data, 0x7B, 0x03);
        // fldcw [2000h]; fld1; fldz; fdivp
        Run(4, 0xD9, 0x2E, 0x00, 0x20, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9);
        Put(_cpu.Context->S.Eip, 0x90);
    }

    private void Run(ulong count, params byte[] code)
    {
        if (_cpu.Context->S.Eip is < Code or > Code + 0x800) _cpu.Context->S.Eip = Code;
        Put(_cpu.Context->S.Eip, code);
        _cpu.AfterStateChange();
        Assert.Equal(RunResult.Limit, _cpu.Run(_cpu.InstructionCount + count));
    }

    /// <summary>Runs one instruction that faults; the vector is left in the context. Delivery goes through an empty vector table.</summary>
    private void Step(params byte[] code)
    {
        uint eip = _cpu.Context->S.Eip is < Code or > Code + 0x800 ? Code : _cpu.Context->S.Eip;
        _cpu.Context->S.Eip = eip;
        _cpu.Context->FaultVector = 0xFF;
        Put(eip, code);
        _cpu.AfterStateChange();
        _ = _cpu.Run(_cpu.InstructionCount + 1);
        _cpu.Context->S.Eip = eip;
    }

    private void Put(uint address, params byte[] bytes)
    {
        fixed (byte* from = bytes)
            for (int i = 0; i < bytes.Length; i++) ((byte*)_memory.ReadPages[(address + (uint)i) >> 12])[(address + i) & 0xFFF] = from[i];
    }

    private byte[] Get(uint address, int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = ((byte*)_memory.ReadPages[(address + (uint)i) >> 12])[(address + i) & 0xFFF];
        return bytes;
    }
}
