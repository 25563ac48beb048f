// Segment loads, far transfers, call gates, task switches, virtual-8086 mode (SDM vol. 3, ch. 5, 7, 20).
using Emu86.Cpu;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Cpu;

public sealed unsafe class SystemTransferTests
{
    private const uint At = SystemWorld.CodeAt;

    private static uint Handler(int vector) => SystemWorld.Handlers + (uint)vector;

    [Fact]
    public void Real_mode_load_sets_the_base_and_keeps_a_large_limit()
    {
        using var w = new SystemWorld().Real();
        w.S.Es.Limit = uint.MaxValue;
        w.S.Es.Derive();
        w.S.R[Gpr.Eax] = 0x1234;
        w.Code(0x8000, a => a.mov(es, ax), 16);
        w.Step();
        Assert.Equal((0x1234, 0x12340u, uint.MaxValue), (w.S.Es.Selector, w.S.Es.Base, w.S.Es.Limit));
    }

    [Fact]
    public void Load_sets_the_accessed_bit_in_the_table()
    {
        using var w = new SystemWorld().Protected();
        w.Descriptor(SystemWorld.Spare, 0x5_0000, 0xfff, 0x4092);
        w.S.R[Gpr.Eax] = SystemWorld.Spare;
        w.Code(At, a => a.mov(fs, eax));
        w.Step();
        Assert.Equal((0x5_0000u, 0xfffu, 0x4093), (w.S.Fs.Base, w.S.Fs.Limit, w.S.Fs.Attributes));
        Assert.Equal(0x93u, w.Read32(SystemWorld.Gdt + SystemWorld.Spare + 4) >> 8 & 0xff);
    }

    [Theory]
    [InlineData(0x80, 13, 0x80)]   // beyond the table
    [InlineData(0x10, 13, 0x10)]   // ring 0 data at ring 3
    [InlineData(0x08, 13, 0x08)]   // ring 0 code
    [InlineData(0x2b, 13, 0x28)]   // a TSS
    [InlineData(0x4b, 11, 0x48)]   // not present
    public void Data_segment_load_at_ring_3_faults(uint selector, int vector, uint error)
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.Descriptor(SystemWorld.Spare, 0, 0xfffff, 0xc073);
        w.S.R[Gpr.Eax] = selector;
        w.Code(At, a => a.mov(gs, eax));
        w.Step();
        Assert.Equal((Handler(vector), error, At), (w.S.Eip, w.Top(0), w.Top(1)));
        Assert.Equal(SystemWorld.Data3, w.S.Gs.Selector);
    }

    [Fact]
    public void Null_selector_may_be_loaded_but_not_used()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.R[Gpr.Eax] = 3;
        w.Code(At, a =>
        {
            a.mov(fs, eax);
            a.verr(__word_ptr.fs[0x1000]);
        });
        w.Step();
        Assert.Equal((3, 0), (w.S.Fs.Selector, w.S.Fs.Attributes));
        w.Step();
        Assert.Equal((Handler(13), 0u), (w.S.Eip, w.Top(0)));
    }

    [Theory]
    [InlineData(0, 13, 0)]
    [InlineData(0x08, 13, 8)]
    [InlineData(0x23, 13, 0x20)]
    [InlineData(0x48, 12, 0x48)]
    public void Stack_segment_load_faults(uint selector, int vector, uint error)
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Descriptor(SystemWorld.Spare, 0, 0xfffff, 0xc013);
        w.S.R[Gpr.Eax] = selector;
        w.Code(At, a => a.mov(ss, eax));
        w.Step();
        Assert.Equal((Handler(vector), error), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Pop_of_a_segment_register_moves_the_stack_only_when_it_succeeds()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Write32(SystemWorld.Stack0, 0xdead_0048);
        w.Code(At, a => a.pop(ds));
        w.Step();
        Assert.Equal((Handler(13), SystemWorld.Stack0 - 16), (w.S.Eip, w.S.R[Gpr.Esp]));
        w.Protected();
        w.Write32(SystemWorld.Stack0, 0xdead_0000 | SystemWorld.Data16);
        w.Step();
        Assert.Equal((SystemWorld.Data16, SystemWorld.Stack0 + 4), (w.S.Ds.Selector, w.S.R[Gpr.Esp]));
    }

    [Fact]
    public void Les_loads_register_and_segment()
    {
        using var w = new SystemWorld().Protected();
        w.Write32(0x5_0000, 0x1234_5678);
        w.Write16(0x5_0004, SystemWorld.Data16);
        w.Code(At, a => a.les(esi, __fword_ptr[0x5_0000]));
        w.Step();
        Assert.Equal((0x1234_5678u, SystemWorld.Data16), (w.S.R[Gpr.Esi], w.S.Es.Selector));
    }

    [Fact]
    public void Far_jump_to_a_16_bit_segment_changes_the_code_size()
    {
        using var w = new SystemWorld().Protected();
        w.Code(At, a => a.jmp(SystemWorld.Code16, 0x9000));
        w.Step();
        Assert.Equal((SystemWorld.Code16, 0x9000u, false), (w.S.Cs.Selector, w.S.Eip, w.S.Cs.Is32));
    }

    [Fact]
    public void Far_call_and_return_at_the_same_level()
    {
        using var w = new SystemWorld().Protected();
        w.Code(At, a => a.call(SystemWorld.Code0, 0x9000));
        w.Code(0x9000, a => a.retf(8));
        w.Step();
        Assert.Equal((0x9000u, At + 7, (uint)SystemWorld.Code0), (w.S.Eip, w.Top(0), w.Top(1)));
        w.Step();
        Assert.Equal((At + 7, SystemWorld.Stack0 + 8), (w.S.Eip, w.S.R[Gpr.Esp]));
    }

    [Fact]
    public void Far_jump_to_inner_nonconforming_code_is_refused_and_to_conforming_code_keeps_the_level()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.Code(At, a => a.jmp(SystemWorld.Code0, 0x9000));
        w.Step();
        Assert.Equal((Handler(13), (uint)SystemWorld.Code0), (w.S.Eip, w.Top(0)));
        w.Protected(3);
        w.Code(At, a => a.jmp(SystemWorld.Conforming, 0x9000));
        w.Step();
        Assert.Equal((SystemWorld.Conforming | 3, 0x9000u, 3), (w.S.Cs.Selector, w.S.Eip, w.S.Cpl));
    }

    [Fact]
    public void Call_gate_to_ring_0_copies_parameters_to_the_inner_stack()
    {
        using var w = new SystemWorld().Protected(3);
        w.CallGate(SystemWorld.Gate, SystemWorld.Code0, 0x9000, 0xec, 2);
        w.Write32(SystemWorld.Stack3, 0x1111_1111);
        w.Write32(SystemWorld.Stack3 + 4, 0x2222_2222);
        w.Code(At, a => a.call(SystemWorld.Gate | 3, 0));
        w.Step();
        Assert.Equal((SystemWorld.Code0, 0x9000u, 0), (w.S.Cs.Selector, w.S.Eip, w.S.Cpl));
        Assert.Equal((At + 7, (uint)SystemWorld.Code3, 0x1111_1111u, 0x2222_2222u), (w.Top(0), w.Top(1), w.Top(2), w.Top(3)));
        Assert.Equal((SystemWorld.Stack3, (uint)SystemWorld.Data3), (w.Top(4), w.Top(5)));

        // And back: both stacks drop the parameters.
        w.Code(0x9000, a => a.retf(8));
        w.Step();
        Assert.Equal((At + 7, 3, SystemWorld.Stack3 + 8), (w.S.Eip, w.S.Cpl, w.S.R[Gpr.Esp]));
        Assert.Equal(SystemWorld.Data3, w.S.Ss.Selector);
    }

    [Fact]
    public void Call_gate_with_too_little_privilege_is_refused()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.CallGate(SystemWorld.Gate, SystemWorld.Code0, 0x9000, 0x8c);
        w.Code(At, a => a.call(SystemWorld.Gate, 0));
        w.Step();
        Assert.Equal((Handler(13), (uint)SystemWorld.Gate), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Sixteen_bit_call_gate_pushes_words()
    {
        using var w = new SystemWorld().Protected(3);
        w.CallGate(SystemWorld.Gate, SystemWorld.Code0, 0xdead_9000, 0xe4);
        w.Code(At, a => a.call(SystemWorld.Gate, 0));
        w.Step();
        Assert.Equal((0x9000u, SystemWorld.Stack0 - 8), (w.S.Eip, w.S.R[Gpr.Esp]));
    }

    [Fact]
    public void Call_that_would_overrun_the_stack_changes_nothing()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.InterruptGate(12, 0, 0x85, SystemWorld.Tss2Selector);
        w.S.Ss.Limit = 0xfff;
        w.S.Ss.Attributes = 0x4093;
        w.S.Ss.Derive();
        w.S.R[Gpr.Esp] = 0x1004;
        w.Write32(0x1000, 0x5555_5555);
        BuildTask(w, At + 0x100);
        w.Cpu.AfterStateChange();
        w.Code(At, a => a.call(SystemWorld.Code0, 0x9000));
        w.Step();
        // The stack fault goes through a task gate; the old task's image shows the state of the call.
        Assert.Equal((SystemWorld.Tss2Selector, At, 0x1004u), (w.S.Tr.Selector, w.Read32(SystemWorld.Tss + 0x20), w.Read32(SystemWorld.Tss + 0x38)));
        Assert.Equal(0x5555_5555u, w.Read32(0x1000));
        // The error code is on the new task's stack.
        Assert.Equal((0u, 0x7_0000u - 4), (w.Top(0), w.S.R[Gpr.Esp]));
    }

    private static void BuildTask(SystemWorld w, uint eip, uint eflags = 2)
    {
        w.Write32(SystemWorld.Tss2 + 0x20, eip);
        w.Write32(SystemWorld.Tss2 + 0x24, eflags);
        for (uint n = 0; n < 8; n++) w.Write32(SystemWorld.Tss2 + 0x28 + (4 * n), 0x1000_0000 + n);
        w.Write32(SystemWorld.Tss2 + 0x38, 0x7_0000);
        ushort[] selectors = [SystemWorld.Data0, SystemWorld.Code0, SystemWorld.Data0, SystemWorld.Data0, 0, 0];
        for (uint n = 0; n < 6; n++) w.Write32(SystemWorld.Tss2 + 0x48 + (4 * n), selectors[n]);
        w.Write32(SystemWorld.Tss2 + 0x60, SystemWorld.LdtSelector);
        w.Write32(SystemWorld.Tss2 + 0x64, 0x68_0000);
    }

    [Fact]
    public void Task_call_nests_and_iret_comes_back()
    {
        using var w = new SystemWorld().Protected();
        BuildTask(w, 0x9000);
        w.S.R[Gpr.Ebx] = 0xbbbb_bbbb;
        w.Code(At, a => a.call(SystemWorld.Tss2Selector, 0));
        w.Code(0x9000, a => a.iretd());
        ulong count = w.Cpu.InstructionCount;
        w.Step();
        Assert.Equal((SystemWorld.Tss2Selector, 0x9000u, 0x1000_0003u), (w.S.Tr.Selector, w.S.Eip, w.S.R[Gpr.Ebx]));
        Assert.Equal(Flags.Nt, w.S.SystemFlags & Flags.Nt);
        Assert.Equal(Modes.Cr0Ts, w.S.Cr0 & Modes.Cr0Ts);
        Assert.Equal((SystemWorld.TssSelector, SystemWorld.LdtSelector), (w.Read16(SystemWorld.Tss2), w.S.Ldtr.Selector));
        // Both are busy now.
        Assert.Equal((0x8bu, 0x8bu), (Access(w, SystemWorld.TssSelector), Access(w, SystemWorld.Tss2Selector)));
        w.Step();
        Assert.Equal((SystemWorld.TssSelector, At + 7, 0xbbbb_bbbbu), (w.S.Tr.Selector, w.S.Eip, w.S.R[Gpr.Ebx]));
        Assert.Equal((0u, 0x8bu, 0x89u), (w.S.SystemFlags & Flags.Nt, Access(w, SystemWorld.TssSelector), Access(w, SystemWorld.Tss2Selector)));
        Assert.Equal(count + 2, w.Cpu.InstructionCount);
    }

    private static uint Access(SystemWorld w, ushort selector) => w.Read32(SystemWorld.Gdt + selector + 4u) >> 8 & 0xff;

    [Fact]
    public void Task_jump_does_not_nest_and_a_busy_task_cannot_be_entered()
    {
        using var w = new SystemWorld().Protected().AllGates();
        BuildTask(w, 0x9000);
        w.Code(At, a => a.jmp(SystemWorld.Tss2Selector, 0));
        w.Code(0x9000, a => a.jmp(SystemWorld.Tss2Selector, 0));
        w.Step();
        Assert.Equal((0u, 0x89u, 0x8bu), (w.S.SystemFlags & Flags.Nt, Access(w, SystemWorld.TssSelector), Access(w, SystemWorld.Tss2Selector)));
        w.Step();
        Assert.Equal((Handler(13), (uint)SystemWorld.Tss2Selector, 0x9000u), (w.S.Eip, w.Top(0), w.Top(1)));
    }

    [Fact]
    public void Task_with_a_bad_stack_segment_faults_inside_the_new_task()
    {
        using var w = new SystemWorld().Protected().AllGates();
        BuildTask(w, 0x9000);
        w.Write32(SystemWorld.Tss2 + 0x50, SystemWorld.Code0);
        // #TS needs a stack: a task gate to the first task, which is still busy only as its own caller; use a third TSS.
        w.Descriptor(SystemWorld.Spare, 0x3a00, 0x67, 0x0089);
        for (uint n = 0; n < 0x68; n += 4) w.Write32(0x3a00 + n, w.Read32(SystemWorld.Tss2 + n));
        w.Write32(0x3a00 + 0x50, SystemWorld.Data0);
        w.Write32(0x3a00 + 0x20, 0x9900);
        w.InterruptGate(10, 0, 0x85, SystemWorld.Spare);
        w.Code(At, a => a.jmp(SystemWorld.Tss2Selector, 0));
        ulong count = w.Cpu.InstructionCount;
        w.Step();
        Assert.Equal((SystemWorld.Spare, 0x9900u, (uint)SystemWorld.Code0), (w.S.Tr.Selector, w.S.Eip, w.Top(0)));
        // The faulting task was the new one, at its first instruction.
        Assert.Equal((0x9000u, (uint)SystemWorld.Tss2Selector), (w.Read32(SystemWorld.Tss2 + 0x20), w.Read16(0x3a00)));
        Assert.Equal(count + 1, w.Cpu.InstructionCount);
    }

    [Fact]
    public void Task_switch_with_the_debug_bit_traps_before_its_first_instruction()
    {
        using var w = new SystemWorld().Protected().AllGates();
        BuildTask(w, 0x9000);
        w.Write32(SystemWorld.Tss2 + 0x64, 0x68_0001);
        w.Code(At, a => a.jmp(SystemWorld.Tss2Selector, 0));
        w.Step(2);
        Assert.Equal((Handler(1), 0x9000u, 0x8000u), (w.S.Eip, w.Top(0), w.S.Dr[6] & 0xf00f));
    }

    [Fact]
    public void V86_round_trip_through_a_monitor()
    {
        using var w = new SystemWorld().V86().AllGates();
        w.S.Gs.Selector = 0x1111;
        w.S.Ds.Selector = 0x2222;
        w.Code(0x8000, a => a.cli(), 16);
        w.Bytes(Handler(13), 0xcf);
        w.Step();
        // CLI at IOPL 0 reaches the monitor with all segment registers on its stack.
        Assert.Equal((Handler(13), 0, SystemWorld.Code0), (w.S.Eip, w.S.Cpl, w.S.Cs.Selector));
        Assert.Equal(SystemWorld.Stack0 - 40, w.S.R[Gpr.Esp]);
        Assert.Equal((0u, 0x8000u, 0u), (w.Top(0), w.Top(1), w.Top(2)));
        Assert.Equal(Flags.Vm | Flags.Rf | Flags.If | 2, w.Top(3));
        Assert.Equal((0x7000u, 0u, 0u, 0x2222u, 0u, 0x1111u), (w.Top(4), w.Top(5), w.Top(6), w.Top(7), w.Top(8), w.Top(9)));
        Assert.Equal((0, 0), (w.S.Ds.Selector, w.S.Ds.Attributes));
        Assert.Equal(0u, w.S.SystemFlags & Flags.Vm);

        w.S.R[Gpr.Esp] += 4;
        w.Step();
        Assert.Equal((0x8000u, 3, 0x2222, 0x2_2220u), (w.S.Eip, w.S.Cpl, w.S.Ds.Selector, w.S.Ds.Base));
        Assert.NotEqual(0u, w.S.SystemFlags & Flags.Vm);
        Assert.Equal(0x7000u, w.S.R[Gpr.Esp]);
    }

    [Fact]
    public void V86_int_with_vme_and_a_clear_redirection_bit_stays_in_the_8086_program()
    {
        using var w = new SystemWorld().V86().AllGates();
        w.S.Cr4 = Modes.Cr4Vme;
        w.S.SystemFlags |= Flags.Vif;
        w.Descriptor(SystemWorld.TssSelector, SystemWorld.Tss, 0x2fff, 0x8b);
        w.S.Tr.Limit = 0x2fff;
        w.Write32(SystemWorld.Tss + 0x64, 0x88_0000);
        w.Write32(0x21 * 4, 0x0123_0040);
        w.Code(0x8000, a => a.@int(0x21), 16);
        w.Step();
        Assert.Equal((0x123, 0x40u, 3), (w.S.Cs.Selector, w.S.Eip, w.S.Cpl));
        // The pushed image shows VIF as IF and IOPL 3.
        Assert.Equal((0x8002, 0, 0x3202), (w.Read16(0x6ffa), w.Read16(0x6ffc), w.Read16(0x6ffe)));
        Assert.Equal((0u, Flags.If), (w.S.SystemFlags & Flags.Vif, w.S.SystemFlags & Flags.If));
        // A set bit goes to the monitor: #GP with IOPL 0.
        w.V86();
        w.S.Cr4 = Modes.Cr4Vme;
        w.S.Tr.Limit = 0x2fff;
        w.Write8(SystemWorld.Tss + 0x68 + 4, 2);
        w.Step();
        Assert.Equal(Handler(13), w.S.Eip);
    }

    [Fact]
    public void Sysenter_and_sysexit_use_flat_segments()
    {
        using var w = new SystemWorld().Protected(3);
        (w.S.SysenterCs, w.S.SysenterEsp, w.S.SysenterEip) = (0x8, 0x6000, 0x9000);
        w.Code(At, a => a.sysenter());
        w.Code(0x9000, a => a.sysexit());
        w.Step();
        Assert.Equal((8, 0x10, 0, 0x9000u, 0x6000u), (w.S.Cs.Selector, w.S.Ss.Selector, w.S.Cpl, w.S.Eip, w.S.R[Gpr.Esp]));
        (w.S.R[Gpr.Ecx], w.S.R[Gpr.Edx]) = (0x7000, At);
        w.Step();
        Assert.Equal((0x1b, 0x23, 3, At, 0x7000u), (w.S.Cs.Selector, w.S.Ss.Selector, w.S.Cpl, w.S.Eip, w.S.R[Gpr.Esp]));
    }

    [Fact]
    public void Real_mode_to_protected_mode_and_back()
    {
        using var w = new SystemWorld().Real();
        w.S.Gdtr = new TableRegister { Base = SystemWorld.Gdt, Limit = 0x7f };
        w.S.R[Gpr.Eax] = Modes.Cr0Pe | Modes.Cr0Et;
        w.Code(0x8000, a =>
        {
            a.mov(cr0, eax);
            a.db(0x66, 0xea, 0x00, 0x00, 0x01, 0x00, 0x08, 0x00);
        }, 16);
        w.Step(2);
        Assert.Equal((SystemWorld.Code0, At, true), (w.S.Cs.Selector, w.S.Eip, w.S.Cs.Is32));
        w.Code(At, a => a.jmp(SystemWorld.Code16, 0x9000));
        w.S.R[Gpr.Eax] = Modes.Cr0Et;
        w.Code(0x9000, a =>
        {
            a.mov(cr0, eax);
            a.db(0xea, 0x00, 0x00, 0x00, 0x0a);
        }, 16);
        w.Step(3);
        Assert.Equal((0xa00, 0xa000u, 0u, false), (w.S.Cs.Selector, w.S.Cs.Base, w.S.Eip, w.S.Cs.Is32));
    }

    [Fact]
    public void Popf_obeys_iopl()
    {
        using var w = new SystemWorld().Protected(3);
        w.Write32(SystemWorld.Stack3, 0x0025_7fd7);
        w.Code(At, a => a.popfd());
        w.Step();
        // TF is set too: the rest is what ring 3 may change.
        Assert.Equal(0x0024_4dd7u, Flags.Get(w.C));
        w.Protected();
        w.S.SystemFlags = 2;
        w.Write32(SystemWorld.Stack0, 0x0025_7ed7);
        w.Step();
        Assert.Equal(0x0024_7ed7u, Flags.Get(w.C));
    }

    [Fact]
    public void Sixteen_bit_task_saves_and_loads_words()
    {
        using var w = new SystemWorld().Protected();
        w.Descriptor(SystemWorld.Spare, 0x3a00, 0x2b, 0x0081);
        w.Write16(0x3a0e, 0x9000);
        w.Write16(0x3a10, 0x0202);
        for (uint n = 0; n < 8; n++) w.Write16(0x3a12 + (2 * n), 0x1110 + n);
        ushort[] selectors = [SystemWorld.Data0, SystemWorld.Code16, SystemWorld.Data16, SystemWorld.Data0];
        for (uint n = 0; n < 4; n++) w.Write16(0x3a22 + (2 * n), selectors[n]);
        w.Code(At, a => a.call(SystemWorld.Spare, 0));
        w.Code(0x9000, a => a.iret(), 16);
        w.S.R[Gpr.Ebx] = 0xbbbb_bbbb;
        w.Step();
        Assert.Equal((SystemWorld.Spare, 0x9000u, 0x1113, SystemWorld.Code16), (w.S.Tr.Selector, w.S.Eip, (ushort)w.S.R[Gpr.Ebx], w.S.Cs.Selector));
        Assert.Equal(Flags.Nt | Flags.If, w.S.SystemFlags & (Flags.Nt | Flags.If));
        w.Step();
        Assert.Equal((SystemWorld.TssSelector, At + 7, 0xbbbb_bbbbu), (w.S.Tr.Selector, w.S.Eip, w.S.R[Gpr.Ebx]));
        Assert.Equal(0x9001, w.Read16(0x3a0e));
    }

    [Fact]
    public void Task_switch_needs_a_long_enough_tss()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Descriptor(SystemWorld.Tss2Selector, SystemWorld.Tss2, 0x66, 0x0089);
        w.Code(At, a => a.jmp(SystemWorld.Tss2Selector, 0));
        w.Step();
        Assert.Equal((Handler(10), (uint)SystemWorld.Tss2Selector, SystemWorld.TssSelector), (w.S.Eip, w.Top(0), w.S.Tr.Selector));
    }

    [Fact]
    public void Task_switch_loads_cr3()
    {
        using var w = new SystemWorld().Protected();
        w.Paged();
        w.Write32(0x10_2000, 0x10_1007);
        BuildTask(w, 0x9000);
        w.Write32(SystemWorld.Tss2 + 0x1c, 0x10_2000);
        w.Code(At, a => a.jmp(SystemWorld.Tss2Selector, 0));
        w.Step();
        Assert.Equal((0x10_2000u, 0x9000u), (w.S.Cr3, w.S.Eip));
    }

    [Fact]
    public void Iret_with_nt_and_a_bad_link_raises_TS()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.SystemFlags |= Flags.Nt;
        w.Write16(SystemWorld.Tss, SystemWorld.Tss2Selector);
        w.Code(At, a => a.iretd());
        w.Step();
        // The task in the link is not busy.
        Assert.Equal((Handler(10), (uint)SystemWorld.Tss2Selector), (w.S.Eip, w.Top(0)));
    }

    [Theory]
    [InlineData((uint)SystemWorld.Data0, 0x10u)]   // not code
    [InlineData(0u, 0u)]                           // null
    [InlineData(0x09u, 8u)]                        // RPL 1 for a segment of DPL 0
    public void Iret_to_an_impossible_segment_changes_nothing(uint selector, uint error)
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.R[Gpr.Esp] = SystemWorld.Stack0 - 12;
        w.Write32(SystemWorld.Stack0 - 12, 0x9000);
        w.Write32(SystemWorld.Stack0 - 8, selector);
        w.Write32(SystemWorld.Stack0 - 4, 0x3202);
        w.Code(At, a => a.iretd());
        w.Step();
        Assert.Equal((Handler(13), error, At, SystemWorld.Stack0 - 28), (w.S.Eip, w.Top(0), w.Top(1), w.S.R[Gpr.Esp]));
        Assert.Equal(0u, w.Top(3) & Flags.Iopl);
    }

    [Fact]
    public void Inner_level_return_is_refused()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.Write32(SystemWorld.Stack3, 0x9000);
        w.Write32(SystemWorld.Stack3 + 4, SystemWorld.Code0);
        w.Code(At, a => a.retf());
        w.Step();
        Assert.Equal((Handler(13), (uint)SystemWorld.Code0), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void V86_with_iopl_3_uses_the_gate_for_int_and_pops_flags_itself()
    {
        using var w = new SystemWorld().V86(3).AllGates();
        w.Write16(0x7000, 0x0000);
        w.Code(0x8000, a =>
        {
            a.popf();
            a.@int(0x21);
        }, 16);
        w.Step();
        // IF goes, IOPL stays.
        Assert.Equal(Flags.Vm | Flags.Iopl | Flags.Fixed1, w.S.SystemFlags);
        w.Step();
        Assert.Equal((Handler(0x21), 0, 0x8003u), (w.S.Eip, w.S.Cpl, w.Top(0)));
    }

    [Fact]
    public void V86_interrupt_through_a_ring_3_gate_target_is_refused()
    {
        using var w = new SystemWorld().V86(3).AllGates();
        w.InterruptGate(0x21, 0x9000, 0xee, SystemWorld.Code3);
        w.Code(0x8000, a => a.@int(0x21), 16);
        w.Step();
        Assert.Equal((Handler(13), (uint)SystemWorld.Code3 & 0xfffc), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Virtual_interrupt_flag_follows_cli_sti_pushf_popf_and_iret_with_vme()
    {
        using var w = new SystemWorld().V86().AllGates();
        w.S.Cr4 = Modes.Cr4Vme;
        w.Write16(0x6ff8, 0x8100);
        w.Write16(0x6ffa, 0);
        w.Write16(0x6ffc, 0x0200);
        w.Code(0x8000, a =>
        {
            a.sti();
            a.pushf();
            a.cli();
            a.popf();
            a.sub(sp, 8);
            a.iret();
        }, 16);
        w.Code(0x8100, a => a.popf(), 16);
        w.Step();
        Assert.Equal(Flags.Vif, w.S.SystemFlags & Flags.Vif);
        w.Step();
        Assert.Equal(0x3202, w.Read16(0x6ffe));
        w.Step();
        Assert.Equal(0u, w.S.SystemFlags & Flags.Vif);
        w.Step();
        Assert.Equal((Flags.Vif, 0u), (w.S.SystemFlags & Flags.Vif, w.S.SystemFlags & Flags.Iopl));
        w.Step(2);
        Assert.Equal((0x8100u, Flags.Vif), (w.S.Eip, w.S.SystemFlags & Flags.Vif));
        // A pending virtual interrupt: enabling must reach the monitor.
        w.S.SystemFlags |= Flags.Vip;
        w.Write16(w.S.R[Gpr.Esp], 0x0200);
        w.Step();
        Assert.Equal((Handler(13), 0u, 0x8100u), (w.S.Eip, w.Top(0), w.Top(1)));
    }

    [Fact]
    public void Protected_mode_virtual_interrupts_need_pvi()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.S.Cr4 = Modes.Cr4Pvi;
        w.Code(At, a =>
        {
            a.sti();
            a.cli();
        });
        w.Step();
        Assert.Equal((Flags.Vif, 0u), (w.S.SystemFlags & Flags.Vif, w.S.SystemFlags & Flags.If));
        w.Step();
        Assert.Equal(0u, w.S.SystemFlags & Flags.Vif);
    }

    [Fact]
    public void Stack_fault_of_an_inner_stack_names_its_selector()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.Descriptor(SystemWorld.Spare, 0, 0x0fff, 0x4093);
        w.Write32(SystemWorld.Tss + 4, 0x1008);
        w.Write32(SystemWorld.Tss + 8, SystemWorld.Spare);
        w.InterruptGate(12, Handler(12), 0x8e, SystemWorld.Conforming);
        w.Code(At, a => a.@int(0x30));
        w.Step();
        Assert.Equal((Handler(12), 3, (uint)SystemWorld.Spare, At), (w.S.Eip, w.S.Cpl, w.Top(0), w.Top(1)));
    }

    [Fact]
    public void Selectors_with_the_table_bit_name_the_ldt()
    {
        using var w = new SystemWorld().Protected();
        w.Descriptor(0x0c, 0x5_0000, 0xffff, 0x4093);
        w.S.R[Gpr.Eax] = SystemWorld.LdtSelector;
        w.S.R[Gpr.Ebx] = 0x0c;
        w.Code(At, a =>
        {
            a.lldt(ax);
            a.mov(fs, ebx);
        });
        w.Step(2);
        Assert.Equal((SystemWorld.LdtSelector, 0x0c, 0x5_0000u), (w.S.Ldtr.Selector, w.S.Fs.Selector, w.S.Fs.Base));
    }
}
