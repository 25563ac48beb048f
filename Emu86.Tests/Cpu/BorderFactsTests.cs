// What processors do where an operand of several parts, or code, meets the border of a page or segment: found by running the
// same in 32-bit segments of the host (CompatConformanceTests), kept here for hosts that cannot.
using Emu86.Cpu;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Cpu;

public sealed unsafe class BorderFactsTests
{
    private const uint Absent = 0x5_1000;

    [Fact]
    public void Pop_of_a_segment_register_reads_only_16_of_32_bits()
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        world.S.Ss.Limit = 0x50ff;
        world.S.Ss.Attributes &= 0x7fff;
        world.S.Ss.Derive();
        world.S.R[Gpr.Esp] = 0x50fe;
        world.Write16(0x50fe, SystemWorld.Data0);
        world.Code(SystemWorld.CodeAt, a => a.pop(es));
        world.Cpu.AfterStateChange();
        world.Step();
        Assert.Equal(SystemWorld.CodeAt + 1, world.S.Eip);
        Assert.Equal(0x5102u, world.S.R[Gpr.Esp]);
    }

    [Fact]
    public void Far_pointers_are_loaded_offset_first() => Assert.Equal(Absent - 2, FaultAddress(a => a.les(eax, __fword_ptr[Absent - 2]), alsoBefore: true));

    [Fact]
    public void Pusha_faults_at_the_first_push() =>
        Assert.Equal(Absent - 4, FaultAddress(a => { a.mov(esp, Absent); a.pushad(); }, alsoBefore: true));

    [Fact]
    public void Enter_faults_at_the_first_push() =>
        Assert.Equal(Absent - 4, FaultAddress(a => { a.mov(esp, Absent); a.enter(8, 5); }, alsoBefore: true));

    [Fact]
    public void Cmps_reads_its_second_operand_first() =>
        Assert.Equal(Absent + 8, FaultAddress(a => { a.mov(esi, Absent + 4); a.mov(edi, Absent + 8); a.cmpsb(); }));

    [Fact]
    public void A_far_return_reads_cs_first() => Assert.Equal(Absent + 2, FaultAddress(a => { a.mov(esp, Absent - 2); a.retf(); }));

    [Fact]
    public void An_interrupt_return_reads_the_flags_first() => Assert.Equal(Absent + 6, FaultAddress(a => { a.mov(esp, Absent - 2); a.iretd(); }));

    [Fact]
    public void An_x87_image_faults_at_its_last_byte() => Assert.Equal(Absent + 105, FaultAddress(a => a.frstor(__[Absent - 2])));

    [Fact]
    public void Bound_below_the_lower_bound_does_not_read_the_upper()
    {
        using SystemWorld world = World(a => { a.mov(eax, 0x8000_0000); a.bound(eax, __qword_ptr[Absent - 4]); });
        world.Step(2);
        Assert.Equal(SystemWorld.Handlers + Vector.Br, world.S.Eip);
    }

    [Fact]
    public void A_repeated_port_string_asks_for_permission_even_when_its_count_is_zero()
    {
        using SystemWorld world = new SystemWorld().Protected(3).AllGates();
        world.S.R[Gpr.Ecx] = 0;
        world.Code(SystemWorld.CodeAt, a => a.rep.outsb());
        world.Step();
        Assert.Equal(SystemWorld.Handlers + Vector.Gp, world.S.Eip);
    }

    [Fact]
    public void An_access_across_4_GiB_goes_on_at_0_in_every_flat_segment()
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        world.Write32(0, 0x1234_5678);
        world.Code(SystemWorld.CodeAt, a =>
        {
            a.mov(eax, __dword_ptr[0xffff_fffe]);
            a.mov(ebx, __dword_ptr.fs[0xffff_fffe]);
        });
        world.Step(2);
        Assert.Equal(0x5678_ffffu, world.S.R[Gpr.Eax]);
        Assert.Equal(0x5678_ffffu, world.S.R[Gpr.Ebx]);
    }

    [Fact]
    public void A_trap_between_iterations_has_RF_in_its_frame_and_the_last_has_not()
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        world.S.R[Gpr.Ecx] = 2;
        world.S.R[Gpr.Edi] = 0x5_0000;
        world.S.SystemFlags |= Flags.Tf;
        world.Code(SystemWorld.CodeAt, a => a.rep.stosb());
        world.Code(SystemWorld.Handlers + Vector.Db, a => a.iretd());
        world.Cpu.AfterStateChange();
        world.Step(2);
        Assert.Equal(SystemWorld.Handlers + Vector.Db, world.S.Eip);
        Assert.Equal(Flags.Rf, world.Top(2) & Flags.Rf);
        world.Step(3);
        Assert.Equal(SystemWorld.Handlers + Vector.Db, world.S.Eip);
        Assert.Equal(SystemWorld.CodeAt + 2, world.Top(0));
        Assert.Equal(0u, world.Top(2) & Flags.Rf);
    }

    [Fact]
    public void Lar_gives_the_limit_bits_too()
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        world.S.R[Gpr.Ebx] = SystemWorld.Data0;
        world.Code(SystemWorld.CodeAt, a => a.lar(eax, ebx));
        world.Step();
        Assert.Equal(0xcf_9300u, world.S.R[Gpr.Eax]);
    }

    [Fact]
    public void Code_beyond_the_limit_is_not_fetched()
    {
        using SystemWorld world = World(_ => { });
        world.Bytes(Absent - 2, 0xb8, 1);
        world.S.Cs.Limit = Absent - 1;
        world.S.Eip = Absent - 2;
        world.Cpu.AfterStateChange();
        world.Step();
        Assert.Equal(SystemWorld.Handlers + Vector.Gp, world.S.Eip);
    }

    /// <summary>Code with paging on and one page absent.</summary>
    private static SystemWorld World(Action<Assembler> code, bool alsoBefore = false)
    {
        SystemWorld world = new SystemWorld().Protected().AllGates();
        world.InterruptGate(Vector.Pf, SystemWorld.Handlers + Vector.Pf);
        world.Code(SystemWorld.CodeAt, code);
        world.Paged();
        world.Write32(0x10_1000 + (Absent >> 10), 0);
        if (alsoBefore) world.Write32(0x10_1000 + (Absent >> 10) - 4, 0);
        world.Cpu.AfterStateChange();
        return world;
    }

    /// <summary>The address of the page fault that the code ends with. A fault with a bad stack still leaves CR2.</summary>
    private static uint FaultAddress(Action<Assembler> code, bool alsoBefore = false)
    {
        using SystemWorld world = World(code, alsoBefore);
        // At level 3 the handler has a stack of its own.
        world.S.Cs.Attributes |= 0x60;
        world.S.Cs.Selector = SystemWorld.Code3;
        world.S.Ss.Attributes |= 0x60;
        world.S.Ss.Selector = SystemWorld.Data3;
        world.S.Cpl = 3;
        world.Cpu.AfterStateChange();
        for (int n = 0; n < 5 && world.S.Cpl == 3; n++) world.Step();
        Assert.Equal(SystemWorld.Handlers + Vector.Pf, world.S.Eip);
        return world.S.Cr2;
    }
}
