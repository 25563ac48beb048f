// Interrupts and exceptions: gates, privilege changes, double and triple faults, IRET (SDM vol. 3, ch. 6).
using Emu86.Cpu;

namespace Emu86.Tests.Cpu;

public sealed unsafe class SystemInterruptTests
{
    [Fact]
    public void Int_in_real_mode_goes_through_the_vector_table()
    {
        using var w = new SystemWorld().Real();
        w.S.SystemFlags |= Flags.If;
        w.Write32(0x21 * 4, 0x1234_0010);
        w.Code(0x8000, a => a.@int(0x21), 16);
        ulong count = w.Cpu.InstructionCount;
        Assert.Equal(RunResult.Limit, w.Step());
        Assert.Equal((0x1234, 0x10u, 0x12340u), (w.S.Cs.Selector, w.S.Eip, w.S.Cs.Base));
        Assert.Equal(0x6ffau, w.S.R[Gpr.Esp]);
        Assert.Equal((0x8002, 0, 0x202), (w.Read16(0x6ffa), w.Read16(0x6ffc), w.Read16(0x6ffe)));
        Assert.Equal(0u, w.S.SystemFlags & Flags.If);
        Assert.Equal(count + 1, w.Cpu.InstructionCount);
    }

    [Fact]
    public void Iret_in_real_mode_restores_flags_and_address()
    {
        using var w = new SystemWorld().Real();
        w.Write16(0x7000, 0x4321);
        w.Write16(0x7002, 0x2000);
        w.Write16(0x7004, 0x0ed7);
        w.Code(0x8000, a => a.iret(), 16);
        w.Step();
        Assert.Equal((0x2000, 0x4321u, 0x7006u), (w.S.Cs.Selector, w.S.Eip, w.S.R[Gpr.Esp]));
        Assert.Equal(0xed7u, Flags.Get(w.C));
    }

    [Fact]
    public void Software_interrupt_from_ring_3_switches_stacks()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.S.SystemFlags |= Flags.If;
        w.Code(SystemWorld.CodeAt, a => a.@int(0x80));
        w.Step();
        Assert.Equal((SystemWorld.Code0, SystemWorld.Handlers + 0x80, 0), (w.S.Cs.Selector, w.S.Eip, w.S.Cpl));
        Assert.Equal((SystemWorld.Data0, SystemWorld.Stack0 - 20), (w.S.Ss.Selector, w.S.R[Gpr.Esp]));
        Assert.Equal((SystemWorld.CodeAt + 2, (uint)SystemWorld.Code3, 0x202u), (w.Top(0), w.Top(1), w.Top(2)));
        Assert.Equal((SystemWorld.Stack3, (uint)SystemWorld.Data3), (w.Top(3), w.Top(4)));
        Assert.Equal(0u, w.S.SystemFlags & Flags.If);
    }

    [Fact]
    public void Iretd_to_ring_3_restores_the_outer_stack_and_nulls_inner_data_segments()
    {
        using var w = new SystemWorld().Protected();
        w.S.R[Gpr.Esp] = SystemWorld.Stack0 - 20;
        uint[] frame = [0x1_2345, SystemWorld.Code3, 0x202, SystemWorld.Stack3, SystemWorld.Data3];
        for (uint n = 0; n < 5; n++) w.Write32(SystemWorld.Stack0 - 20 + (4 * n), frame[n]);
        w.Code(SystemWorld.CodeAt, a => a.iretd());
        w.Step();
        Assert.Equal((SystemWorld.Code3, 0x1_2345u, 3), (w.S.Cs.Selector, w.S.Eip, w.S.Cpl));
        Assert.Equal((SystemWorld.Data3, SystemWorld.Stack3), (w.S.Ss.Selector, w.S.R[Gpr.Esp]));
        Assert.Equal((0, 0), (w.S.Ds.Selector, w.S.Ds.Attributes));
        Assert.Equal(Flags.If, w.S.SystemFlags & Flags.If);
    }

    [Fact]
    public void Gate_with_dpl_0_refuses_a_software_interrupt_of_ring_3()
    {
        using var w = new SystemWorld().Protected(3).AllGates(0x8e);
        w.Code(SystemWorld.CodeAt, a => a.@int(0x30));
        w.Step();
        Assert.Equal(SystemWorld.Handlers + 13, w.S.Eip);
        // Error code: vector * 8, IDT bit, no EXT; the return address is the INT itself, and RF is set.
        Assert.Equal((0x182u, SystemWorld.CodeAt, 0x1_0002u), (w.Top(0), w.Top(1), w.Top(3)));
    }

    [Fact]
    public void Absent_gate_raises_NP_and_its_error_code_names_the_entry()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.InterruptGate(0x30, SystemWorld.Handlers, 0x0e);
        w.Code(SystemWorld.CodeAt, a => a.@int(0x30));
        w.Step();
        Assert.Equal((SystemWorld.Handlers + 11, 0x182u), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Trap_gate_leaves_the_interrupt_flag()
    {
        using var w = new SystemWorld().Protected().AllGates(0xef);
        w.S.SystemFlags |= Flags.If;
        w.Code(SystemWorld.CodeAt, a => a.int3());
        w.Step();
        Assert.Equal(SystemWorld.Handlers + 3, w.S.Eip);
        Assert.Equal(Flags.If, w.S.SystemFlags & Flags.If);
        Assert.Equal(SystemWorld.CodeAt + 1, w.Top(0));
    }

    [Fact]
    public void Sixteen_bit_gate_pushes_words()
    {
        using var w = new SystemWorld().Protected();
        w.InterruptGate(0x30, SystemWorld.Handlers, 0x86);
        w.S.Eip = SystemWorld.CodeAt;
        w.Code(SystemWorld.CodeAt, a => a.@int(0x30));
        w.Step();
        Assert.Equal(SystemWorld.Stack0 - 6, w.S.R[Gpr.Esp]);
        Assert.Equal((0x0002, 8), (w.Read16(SystemWorld.Stack0 - 6), w.Read16(SystemWorld.Stack0 - 4)));
    }

    [Fact]
    public void Undefined_instruction_faults_at_itself_and_counts_once()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Bytes(SystemWorld.CodeAt, 0x0f, 0x0b);
        ulong count = w.Cpu.InstructionCount;
        w.Step();
        Assert.Equal((SystemWorld.Handlers + 6, SystemWorld.CodeAt, count + 1), (w.S.Eip, w.Top(0), w.Cpu.InstructionCount));
    }

    [Fact]
    public void External_interrupt_is_delivered_at_the_boundary_and_counts_once()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.SystemFlags |= Flags.If;
        w.Code(SystemWorld.CodeAt, a => a.cli());
        w.Cpu.SetIntr(true);
        ulong count = w.Cpu.InstructionCount;
        w.Step();
        Assert.Equal((SystemWorld.Handlers + 0x20, SystemWorld.CodeAt, 0x202u), (w.S.Eip, w.Top(0), w.Top(2)));
        Assert.Equal(count + 1, w.Cpu.InstructionCount);
    }

    [Fact]
    public void Sti_lets_one_more_instruction_run_before_interrupts()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Code(SystemWorld.CodeAt, a =>
        {
            a.sti();
            a.clts();
            a.clts();
        });
        w.Cpu.SetIntr(true);
        w.Step(3);
        Assert.Equal((SystemWorld.Handlers + 0x20, SystemWorld.CodeAt + 3), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Mov_ss_holds_back_interrupts()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.R[Gpr.Eax] = SystemWorld.Data0;
        w.S.SystemFlags |= Flags.If;
        w.Code(SystemWorld.CodeAt, a =>
        {
            a.mov(Iced.Intel.AssemblerRegisters.ss, Iced.Intel.AssemblerRegisters.eax);
            a.clts();
        });
        w.Step();
        Assert.Equal(1, w.S.InterruptShadow);
        w.Cpu.SetIntr(true);
        w.Step(2);
        Assert.Equal((SystemWorld.Handlers + 0x20, SystemWorld.CodeAt + 4), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Interrupt_wakes_from_hlt_and_returns_behind_it()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.SystemFlags |= Flags.If;
        w.Code(SystemWorld.CodeAt, a => a.hlt());
        Assert.Equal(RunResult.Halted, w.Step(5));
        w.Cpu.SetIntr(true);
        w.Step();
        Assert.False(w.Cpu.IsHalted);
        Assert.Equal((SystemWorld.Handlers + 0x20, SystemWorld.CodeAt + 1), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Nmi_is_blocked_until_iret()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Code(SystemWorld.Handlers + 2, a => a.iretd());
        w.Code(SystemWorld.CodeAt, a => a.clts());
        w.Cpu.RaiseNmi();
        w.Step();
        Assert.Equal((SystemWorld.Handlers + 2, 1), (w.S.Eip, w.S.NmiBlocked));
        w.Cpu.RaiseNmi();
        w.Step();
        Assert.Equal((SystemWorld.CodeAt, 0), (w.S.Eip, w.S.NmiBlocked));
        w.Step();
        Assert.Equal(SystemWorld.Handlers + 2, w.S.Eip);
    }

    [Fact]
    public void Contributory_fault_during_a_contributory_fault_is_a_double_fault()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.InterruptGate(13, 0, 0x0e);
        w.S.R[Gpr.Eax] = 0xfff8;
        w.Code(SystemWorld.CodeAt, a => a.mov(Iced.Intel.AssemblerRegisters.ds, Iced.Intel.AssemblerRegisters.eax));
        ulong count = w.Cpu.InstructionCount;
        w.Step();
        Assert.Equal((SystemWorld.Handlers + 8, 0u, SystemWorld.CodeAt), (w.S.Eip, w.Top(0), w.Top(1)));
        Assert.Equal(count + 1, w.Cpu.InstructionCount);
    }

    [Fact]
    public void Fault_that_no_gate_takes_shuts_down()
    {
        using var w = new SystemWorld().Protected();
        w.S.Idtr.Limit = 0;
        w.Bytes(SystemWorld.CodeAt, 0x0f, 0x0b);
        ulong count = w.Cpu.InstructionCount;
        Assert.Equal(RunResult.Shutdown, w.Step(5));
        Assert.Equal(count + 1, w.Cpu.InstructionCount);
    }

    [Fact]
    public void Page_fault_sets_cr2_and_the_error_code()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.Paged();
        w.Write32(0x10_1000 + (4 * 0x50), 0x5_0005);
        w.S.R[Gpr.Ebx] = 0x5_0123;
        // A user write to a read-only page: present, write, user.
        w.Code(SystemWorld.CodeAt, a => a.str(Iced.Intel.AssemblerRegisters.__word_ptr[Iced.Intel.AssemblerRegisters.ebx]));
        w.Step();
        Assert.Equal((SystemWorld.Handlers + 14, 7u, 0x5_0123u), (w.S.Eip, w.Top(0), w.S.Cr2));
        Assert.Equal(SystemWorld.CodeAt, w.Top(1));
    }

    [Fact]
    public void Page_fault_while_delivering_a_page_fault_is_a_double_fault()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Paged();
        // The page fault's own code segment descriptor is fine, but the stack page is gone: only a task gate could help.
        w.Write32(0x10_1000 + (4 * 0x50), 0);
        w.S.R[Gpr.Esp] = 0x5_1000;
        w.S.R[Gpr.Ebx] = 0x5_0000;
        w.Code(SystemWorld.CodeAt, a => a.str(Iced.Intel.AssemblerRegisters.__word_ptr[Iced.Intel.AssemblerRegisters.ebx]));
        Assert.Equal(RunResult.Shutdown, w.Step(3));
    }

    [Fact]
    public void Interrupt_to_a_missing_inner_stack_raises_TS_with_its_selector()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.InterruptGate(10, SystemWorld.Handlers + 10, 0x8e, SystemWorld.Conforming);
        w.Write32(SystemWorld.Tss + 8, SystemWorld.Data3);
        w.Code(SystemWorld.CodeAt, a => a.@int(0x30));
        w.Step();
        // The conforming handler runs at ring 3, on the ring 3 stack.
        Assert.Equal((SystemWorld.Handlers + 10, 3, 0x20u), (w.S.Eip, w.S.Cpl, w.Top(0)));
    }

    [Fact]
    public void Into_traps_only_with_overflow()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Code(SystemWorld.CodeAt, a =>
        {
            a.into();
            a.into();
        });
        Flags.SetAll(w.C, 0);
        w.Step();
        Assert.Equal(SystemWorld.CodeAt + 1, w.S.Eip);
        Flags.SetAll(w.C, Flags.Of);
        w.Step();
        Assert.Equal((SystemWorld.Handlers + 4, SystemWorld.CodeAt + 2), (w.S.Eip, w.Top(0)));
    }
}
