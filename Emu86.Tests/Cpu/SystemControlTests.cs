// Control registers, model-specific registers, CPUID, I/O, debug registers (SDM vol. 3, ch. 2 and 17; vol. 1, ch. 18).
using Emu86.Cpu;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Cpu;

public sealed unsafe class SystemControlTests
{
    private const uint At = SystemWorld.CodeAt;

    private static uint Handler(int vector) => SystemWorld.Handlers + (uint)vector;

    [Theory]
    [InlineData(0x8000_0010)]
    [InlineData(0x2000_0011)]
    public void Impossible_cr0_is_refused(uint value)
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.R[Gpr.Eax] = value;
        w.Code(At, a => a.mov(cr0, eax));
        w.Step();
        Assert.Equal((Handler(13), 0u, 0x11u), (w.S.Eip, w.Top(0), w.S.Cr0));
    }

    [Fact]
    public void Cr4_has_the_bits_of_the_model()
    {
        using var w = new SystemWorld(CpuModel.Pentium).Protected().AllGates();
        w.S.R[Gpr.Eax] = Modes.Cr4Pse | Modes.Cr4De;
        w.S.R[Gpr.Ebx] = Modes.Cr4Pae;
        w.Code(At, a =>
        {
            a.mov(cr4, eax);
            a.mov(cr4, ebx);
        });
        w.Step(2);
        Assert.Equal((Handler(13), Modes.Cr4Pse | Modes.Cr4De), (w.S.Eip, w.S.Cr4));
    }

    [Fact]
    public void Pae_loads_the_page_directory_pointers_and_refuses_reserved_bits()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.Cr4 = Modes.Cr4Pae;
        w.S.Cr3 = 0x5_0020;
        w.Write32(0x5_0020, 0x5_1001);
        w.Write32(0x5_1000, 0x0000_0083);
        w.S.R[Gpr.Eax] = w.S.Cr0 | Modes.Cr0Pg;
        w.S.R[Gpr.Ebx] = 0x5_0040;
        w.Write32(0x5_0040, 0x5_1003);
        w.Code(At, a =>
        {
            a.mov(cr0, eax);
            a.mov(cr3, ebx);
        });
        w.Step();
        Assert.Equal((0x5_1001ul, At + 3), (w.S.Pdpte[0], w.S.Eip));
        w.Step();
        Assert.Equal((Handler(13), 0x5_0020u, 0x5_1001ul), (w.S.Eip, w.S.Cr3, w.S.Pdpte[0]));
    }

    [Fact]
    public void Lmsw_sets_but_does_not_clear_pe()
    {
        using var w = new SystemWorld().Protected();
        w.S.R[Gpr.Eax] = Modes.Cr0Ts;
        w.Code(At, a => a.lmsw(ax));
        w.Step();
        Assert.Equal(0x19u, w.S.Cr0);
    }

    [Fact]
    public void Lgdt_with_a_16_bit_operand_takes_24_bits_of_base()
    {
        using var w = new SystemWorld().Real();
        w.Write16(0x500, 0x7f);
        w.Write32(0x502, 0x1200_1000);
        w.Code(0x8000, a => a.lgdt(__fword_ptr[0x500]), 16);
        w.Step();
        Assert.Equal((0x1000u, 0x7f), (w.S.Gdtr.Base, w.S.Gdtr.Limit));
    }

    [Fact]
    public void Ltr_marks_the_task_busy_and_a_second_ltr_is_refused()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.R[Gpr.Eax] = SystemWorld.Tss2Selector;
        w.Code(At, a =>
        {
            a.ltr(ax);
            a.ltr(ax);
        });
        w.Step();
        Assert.Equal((SystemWorld.Tss2Selector, SystemWorld.Tss2), (w.S.Tr.Selector, w.S.Tr.Base));
        w.Step();
        Assert.Equal((Handler(13), (uint)SystemWorld.Tss2Selector), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Lar_lsl_verr_verw_answer_in_zf()
    {
        using var w = new SystemWorld().Protected(3);
        w.S.R[Gpr.Ebx] = SystemWorld.Data3;
        w.S.R[Gpr.Ecx] = SystemWorld.Data0;
        w.Code(At, a =>
        {
            a.lar(eax, ebx);
            a.lsl(edx, ebx);
            a.verw(bx);
            a.lar(eax, ecx);
            a.verr(cx);
        });
        w.Step(2);
        Assert.Equal((0x00cf_f300u, uint.MaxValue), (w.S.R[Gpr.Eax], w.S.R[Gpr.Edx]));
        w.Step();
        Assert.True(Flags.ZfOf(w.C));
        w.Step();
        Assert.False(Flags.ZfOf(w.C));
        w.Step();
        Assert.False(Flags.ZfOf(w.C));
        Assert.Equal(0x00cf_f300u, w.S.R[Gpr.Eax]);
    }

    [Fact]
    public void Tsc_counts_virtual_nanoseconds_and_can_be_set()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Code(At, a =>
        {
            a.clts();
            a.rdtsc();
            a.wrmsr();
            a.rdtsc();
        });
        ulong count = w.Cpu.InstructionCount;
        w.Step(2);
        Assert.Equal((uint)((count + 1) * 10), w.S.R[Gpr.Eax]);
        (w.S.R[Gpr.Ecx], w.S.R[Gpr.Eax], w.S.R[Gpr.Edx]) = (0x10, 1000, 7);
        w.Step(2);
        Assert.Equal((1010u, 7u), (w.S.R[Gpr.Eax], w.S.R[Gpr.Edx]));
    }

    [Fact]
    public void Rdtsc_is_refused_at_ring_3_with_tsd()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.S.Cr4 = Modes.Cr4Tsd;
        w.Code(At, a => a.rdtsc());
        w.Step();
        Assert.Equal(Handler(13), w.S.Eip);
    }

    [Theory]
    [InlineData(0x1b)]
    [InlineData(0xfe)]
    [InlineData(0x277)]
    public void Msr_that_is_not_advertised_is_refused(uint number)
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.R[Gpr.Ecx] = number;
        w.Code(At, a => a.rdmsr());
        w.Step();
        Assert.Equal(Handler(13), w.S.Eip);
    }

    [Fact]
    public void Cpuid_and_instructions_agree()
    {
        foreach (CpuModel model in CpuModel.AllModels)
        {
            uint features = model.Leaf(1).Edx;
            Assert.Equal((features & CpuModel.Cmov) != 0, model.Has(Code.Cmove_r32_rm32));
            Assert.Equal((features & CpuModel.Tsc) != 0, model.Has(Code.Rdtsc));
            Assert.Equal((features & CpuModel.Cx8) != 0, model.Has(Code.Cmpxchg8b_m64));
            Assert.Equal((features & CpuModel.Msr) != 0, model.Has(Code.Rdmsr));
            Assert.Equal((features & CpuModel.Sep) != 0, model.Has(Code.Sysenter));
            Assert.Equal((features & CpuModel.Fxsr) != 0, model.Has(Code.Fxsave_m512byte));
            Assert.False(model.Has(Code.Movups_xmm_xmmm128));
            Assert.False(model.Has(Code.Paddb_mm_mmm64));
            Assert.True(model.Has(Code.Cpuid) && model.Has(Code.Bswap_r32) && model.Has(Code.Fsin));
        }
    }

    [Fact]
    public void Instruction_that_the_model_lacks_is_undefined()
    {
        using var w = new SystemWorld(CpuModel.I486).Protected().AllGates();
        w.Code(At, a => a.rdtsc());
        w.Step();
        Assert.Equal(Handler(6), w.S.Eip);
    }

    [Fact]
    public void Port_access_happens_at_the_exact_count()
    {
        using var w = new SystemWorld().Protected();
        w.S.R[Gpr.Eax] = 0x1234_5678;
        w.Code(At, a =>
        {
            a.clts();
            a.clts();
            a.@out(0x80, ax);
        });
        ulong count = w.Cpu.InstructionCount;
        w.Step(3);
        Assert.Equal([(0x80, 2, 0x5678u, count + 2)], w.PortOutput.Select(p => ((int)p.Port, p.Size, p.Value, p.Count)));
    }

    [Fact]
    public void Permission_bitmap_decides_at_ring_3()
    {
        using var w = new SystemWorld().Protected(3).AllGates();
        w.S.Tr.Limit = 0x90;
        w.Write16(SystemWorld.Tss + 0x68 + 0x10, 0b0000_0010);
        w.Code(At, a =>
        {
            a.@in(al, 0x80);
            a.@in(ax, 0x80);
        });
        w.PortInput.Enqueue(0x55);
        w.Step();
        Assert.Equal(0x55u, w.S.R[Gpr.Eax] & 0xff);
        w.Step();
        Assert.Equal((Handler(13), 0u, At + 2), (w.S.Eip, w.Top(0), w.Top(1)));
    }

    [Fact]
    public void Rep_insw_counts_every_iteration_and_stops_anywhere()
    {
        using var w = new SystemWorld().Protected();
        for (uint n = 0; n < 8; n++) w.PortInput.Enqueue(0x1000 + n);
        (w.S.R[Gpr.Ecx], w.S.R[Gpr.Edi]) = (8, 0x5_0000);
        w.Code(At, a =>
        {
            a.clts();
            a.rep.insw();
            a.clts();
        });
        ulong count = w.Cpu.InstructionCount;
        w.Step(4);
        Assert.Equal((5u, 0x5_0006u, At + 2, count + 4), (w.S.R[Gpr.Ecx], w.S.R[Gpr.Edi], w.S.Eip, w.Cpu.InstructionCount));
        w.Step(6);
        Assert.Equal((0u, 0x5_0010u, At + 7, count + 10), (w.S.R[Gpr.Ecx], w.S.R[Gpr.Edi], w.S.Eip, w.Cpu.InstructionCount));
        Assert.Equal(0x1007, w.Read16(0x5_000e));
    }

    [Fact]
    public void Rep_ins_reads_the_port_only_when_the_value_can_be_stored()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Paged();
        w.Write32(0x10_1000 + (4 * 0x51), 0);
        for (uint n = 0; n < 8; n++) w.PortInput.Enqueue(n);
        (w.S.R[Gpr.Ecx], w.S.R[Gpr.Edi]) = (8, 0x5_0ff8);
        w.Code(At, a => a.rep.insw());
        ulong count = w.Cpu.InstructionCount;
        w.Step(5);
        Assert.Equal((Handler(14), 0x5_1000u, 4u, count + 5), (w.S.Eip, w.S.Cr2, w.S.R[Gpr.Ecx], w.Cpu.InstructionCount));
        Assert.Equal(4, w.PortInput.Count);
    }

    [Fact]
    public void Interrupt_that_a_device_raises_during_rep_ins_is_taken_after_that_iteration()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.SystemFlags |= Flags.If;
        int reads = 0;
        w.OnPortRead = () =>
        {
            if (++reads == 3) w.Cpu.SetIntr(true);
        };
        (w.S.R[Gpr.Ecx], w.S.R[Gpr.Edi]) = (8, 0x5_0000);
        w.Code(At, a => a.rep.insw());
        w.Step(4);
        Assert.Equal((Handler(0x20), 5u, At), (w.S.Eip, w.S.R[Gpr.Ecx], w.Top(0)));
    }

    [Fact]
    public void Rep_outs_writes_each_word()
    {
        using var w = new SystemWorld().Protected();
        w.Write32(0x5_0000, 0x2222_1111);
        (w.S.R[Gpr.Ecx], w.S.R[Gpr.Esi], w.S.R[Gpr.Edx]) = (2, 0x5_0000, 0x1f0);
        w.Code(At, a => a.rep.outsw());
        ulong count = w.Cpu.InstructionCount;
        w.Step(2);
        Assert.Equal([(0x1f0, 2, 0x1111u, count), (0x1f0, 2, 0x2222u, count + 1)], w.PortOutput.Select(p => ((int)p.Port, p.Size, p.Value, p.Count)));
    }

    [Fact]
    public void Single_step_traps_after_the_instruction()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.SystemFlags |= Flags.Tf;
        w.Code(At, a => a.clts());
        w.Step(2);
        Assert.Equal((Handler(1), At + 2, 0x4000u), (w.S.Eip, w.Top(0), w.S.Dr[6] & 0xe00f));
        Assert.Equal((Flags.Tf, 0u), (w.Top(2) & Flags.Tf, w.S.SystemFlags & Flags.Tf));
    }

    [Fact]
    public void Software_interrupt_is_not_followed_by_its_single_step_trap()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.SystemFlags |= Flags.Tf;
        w.Code(At, a => a.int3());
        w.Code(Handler(3), a => a.clts());
        w.Step(2);
        Assert.Equal((Handler(3) + 2, 0u), (w.S.Eip, w.S.Dr[6] & 0xe00f));
    }

    [Fact]
    public void Mov_ss_delays_the_single_step_trap_by_one_instruction()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.R[Gpr.Eax] = SystemWorld.Data0;
        w.S.SystemFlags |= Flags.Tf;
        w.Code(At, a =>
        {
            a.mov(ss, eax);
            a.clts();
        });
        w.Step(3);
        Assert.Equal((Handler(1), At + 4), (w.S.Eip, w.Top(0)));
    }

    [Fact]
    public void Instruction_breakpoint_faults_before_it_and_rf_steps_over_it()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Code(At, a =>
        {
            a.clts();
            a.clts();
            a.clts();
        });
        w.Code(Handler(1), a => a.iretd());
        (w.S.Dr[0], w.S.Dr[7]) = (At + 2, 0x402);
        w.Step(2);
        Assert.Equal((Handler(1), At + 2, 1u), (w.S.Eip, w.Top(0), w.S.Dr[6] & 0xf));
        w.Write32(w.S.R[Gpr.Esp] + 8, w.Top(2) | Flags.Rf);
        w.Step();
        Assert.Equal((At + 2, Flags.Rf), (w.S.Eip, w.S.SystemFlags & Flags.Rf));
        w.Step();
        Assert.Equal((At + 4, 0u), (w.S.Eip, w.S.SystemFlags & Flags.Rf));
    }

    [Theory]
    [InlineData(0x0001_0402, 0x5_0001, true)]    // write, 1 byte
    [InlineData(0x0005_0402, 0x5_0000, true)]    // write, 2 bytes
    [InlineData(0x0001_0402, 0x5_0002, false)]
    [InlineData(0x000f_0402, 0x5_0003, true)]    // access, 4 bytes
    public void Data_breakpoint_traps_after_the_write(uint dr7, uint address, bool met)
    {
        using var w = new SystemWorld().Protected().AllGates();
        (w.S.Dr[0], w.S.Dr[7]) = (address, dr7);
        w.Cpu.AfterStateChange();
        w.Code(At, a =>
        {
            a.str(__word_ptr[0x5_0000]);
            a.clts();
        });
        w.Step(2);
        Assert.Equal(met ? Handler(1) : At + 9, w.S.Eip);
        if (met) Assert.Equal((At + 7, 1u), (w.Top(0), w.S.Dr[6] & 0xf));
    }

    [Fact]
    public void Io_breakpoint_needs_de()
    {
        using var w = new SystemWorld().Protected().AllGates();
        (w.S.Dr[1], w.S.Dr[7]) = (0x80, 0x0020_0408);
        w.Code(At, a =>
        {
            a.@out(0x80, al);
            a.@out(0x80, al);
        });
        w.Step();
        Assert.Equal(At + 2, w.S.Eip);
        w.S.Cr4 = Modes.Cr4De;
        w.Step(2);
        Assert.Equal((Handler(1), At + 4, 2u), (w.S.Eip, w.Top(0), w.S.Dr[6] & 0xf));
    }

    [Fact]
    public void General_detect_faults_on_debug_register_access()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.S.Dr[7] = 0x2400;
        w.Code(At, a => a.mov(eax, dr6));
        w.Step();
        Assert.Equal((Handler(1), At, 0x2000u, 0x400u), (w.S.Eip, w.Top(0), w.S.Dr[6] & 0x2000, w.S.Dr[7]));
    }

    [Fact]
    public void Debug_registers_4_and_5_are_aliases_unless_de()
    {
        using var w = new SystemWorld().Protected().AllGates();
        w.Bytes(At, 0x0f, 0x21, 0xe0, 0x0f, 0x21, 0xe0);
        w.Step();
        Assert.Equal(0xffff_0ff0u, w.S.R[Gpr.Eax]);
        w.S.Cr4 = Modes.Cr4De;
        w.Step();
        Assert.Equal(Handler(6), w.S.Eip);
    }

    [Fact]
    public void Privileged_instructions_fault_at_ring_3()
    {
        foreach (Action<Assembler> write in (Action<Assembler>[])[a => a.hlt(), a => a.clts(), a => a.mov(eax, cr0), a => a.mov(dr7, eax),
            a => a.lgdt(__fword_ptr[0x5_0000]), a => a.invlpg(__byte_ptr[0]), a => a.rdmsr(), a => a.cli(), a => a.sti(), a => a.@in(al, 0x80)])
        {
            using var w = new SystemWorld().Protected(3).AllGates();
            w.Code(At, write);
            w.Step();
            Assert.Equal((Handler(13), 0u, At), (w.S.Eip, w.Top(0), w.Top(1)));
        }
    }

    [Fact]
    public void Protected_mode_instructions_are_undefined_in_real_mode()
    {
        foreach (Action<Assembler> write in (Action<Assembler>[])[a => a.sldt(ax), a => a.verr(ax), a => a.lar(ax, bx), a => a.ltr(ax), a => a.arpl(ax, bx)])
        {
            using var w = new SystemWorld().Real();
            w.Write32(6 * 4, 0x0000_9000);
            w.Code(0x8000, write, 16);
            w.Step();
            Assert.Equal(0x9000u, w.S.Eip);
        }
    }

    [Fact]
    public void Reset_leaves_the_signature_in_edx()
    {
        using var w = new SystemWorld();
        Assert.Equal((0x652u, 0xfff0u, 0xffff_0000u), (w.S.R[Gpr.Edx], w.S.Eip, w.S.Cs.Base));
    }
}
