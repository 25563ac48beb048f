// Facts about integer instructions that the host in 64-bit mode cannot tell: decimal and stack instructions, 16-bit forms, faults.
using System.Buffers.Binary;
using Emu86.Cpu;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Cpu;

public sealed unsafe class IntegerFactsTests
{
    private const uint At = SystemWorld.CodeAt, Data = 0x4_0000;

    [Fact]
    public void Decimal_instructions_answer_as_a_processor_did()
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        foreach ((string code, uint ax, uint flags, uint axAfter, uint flagsAfter) in IntegerVectors.Decimal)
        {
            world.Bytes(At, Convert.FromHexString(code));
            world.S.Eip = At;
            world.S.R[0] = 0xabcd_0000 | ax;
            Flags.SetAll(world.C, flags);
            world.Step();
            Assert.True(world.S.R[0] == (0xabcd_0000 | axAfter), $"{code} ax={ax:x} flags={flags:x}: {world.S.R[0]:x}");
            Assert.True((Flags.Get(world.C) & Flags.Status) == flagsAfter, $"{code} ax={ax:x} flags={flags:x}: flags {Flags.Get(world.C):x}");
        }
    }

    [Theory]
    [InlineData("F7F1", 1u, 1u, 0u)]        // div ecx: zero
    [InlineData("F7F1", 1u, 1u, 1u)]        // quotient too large
    [InlineData("F7F9", 0u, 0x8000_0000u, 0xffff_ffffu)] // idiv: the least dividend by -1
    [InlineData("D400", 0u, 0u, 0u)]        // aam 0
    public void Division_without_a_result_is_a_divide_error(string code, uint eax, uint edx, uint ecx)
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        world.Bytes(At, Convert.FromHexString(code));
        (world.S.R[Gpr.Eax], world.S.R[Gpr.Edx], world.S.R[Gpr.Ecx]) = (eax, edx, ecx);
        world.Step();
        Assert.Equal(SystemWorld.Handlers + Vector.De, world.S.Eip);
        Assert.Equal(At, world.Top(0));
        Assert.Equal((eax, edx), (world.S.R[Gpr.Eax], world.S.R[Gpr.Edx]));
    }

    [Fact]
    public void Push_esp_pushes_the_value_before_and_pop_esp_loads_the_value()
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.Code(At, a => { a.push(esp); a.pop(esp); });
        world.Step();
        Assert.Equal(SystemWorld.Stack0, world.Top(0));
        world.Write32(world.S.R[Gpr.Esp], 0x1234_5678);
        world.Step();
        Assert.Equal(0x1234_5678u, world.S.R[Gpr.Esp]);
    }

    [Fact]
    public void Pop_to_memory_addressed_by_esp_uses_the_incremented_esp()
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.Code(At, a => { a.push(0x77); a.pop(__dword_ptr[esp + 8]); });
        world.Step(2);
        Assert.Equal(0x77u, world.Read32(SystemWorld.Stack0 + 8));
        Assert.Equal(SystemWorld.Stack0, world.S.R[Gpr.Esp]);
    }

    [Fact]
    public void Pusha_and_popa_keep_all_but_skip_esp()
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.Bytes(At, 0x60, 0x61, 0x66, 0x60, 0x66, 0x61);
        for (int n = 0; n < 8; n++) if (n != Gpr.Esp) world.S.R[n] = 0x1111_1111u * (uint)(n + 1);
        world.Step();
        Assert.Equal(0x8888_8888u, world.Top(0));
        Assert.Equal(SystemWorld.Stack0, world.Top(3));
        Assert.Equal(0x1111_1111u, world.Top(7));
        for (int n = 0; n < 8; n++) if (n != Gpr.Esp) world.S.R[n] = 0;
        world.Step();
        for (int n = 0; n < 8; n++) Assert.Equal(n == Gpr.Esp ? SystemWorld.Stack0 : 0x1111_1111u * (uint)(n + 1), world.S.R[n]);
        world.Step();
        Assert.Equal(SystemWorld.Stack0 - 16, world.S.R[Gpr.Esp]);
        Assert.Equal(0x7777_8888u, world.Top(0));
        world.Step();
        Assert.Equal(SystemWorld.Stack0, world.S.R[Gpr.Esp]);
    }

    [Theory]
    [InlineData(0, 0x20)]
    [InlineData(1, 0x20)]
    [InlineData(4, 0x10)]
    public void Enter_builds_a_frame_with_the_outer_frame_pointers_and_leave_removes_it(int level, int size)
    {
        using SystemWorld world = new SystemWorld().Protected();
        uint outer = Data + 0x100;
        for (uint n = 1; n < 8; n++) world.Write32(outer - (4 * n), 0xf000 + n);
        world.S.R[Gpr.Ebp] = outer;
        world.Code(At, a => { a.enter((short)size, (sbyte)level); a.leave(); });
        world.Step();
        uint frame = SystemWorld.Stack0 - 4;
        Assert.Equal(outer, world.Read32(frame));
        Assert.Equal(frame, world.S.R[Gpr.Ebp]);
        for (uint n = 1; n < level; n++) Assert.Equal(0xf000 + n, world.Read32(frame - (4 * n)));
        if (level > 0) Assert.Equal(frame, world.Read32(frame - (4 * (uint)level)));
        Assert.Equal(frame - (4 * (uint)level) - (uint)size, world.S.R[Gpr.Esp]);
        world.Step();
        Assert.Equal((outer, SystemWorld.Stack0), (world.S.R[Gpr.Ebp], world.S.R[Gpr.Esp]));
    }

    [Fact]
    public void Real_mode_stack_wraps_at_64_KiB_and_keeps_the_upper_half_of_esp()
    {
        using SystemWorld world = new SystemWorld().Real();
        world.Code(0x8000, a => { a.push(ax); a.pop(bx); }, 16);
        world.S.R[Gpr.Esp] = 0x9999_0000;
        world.S.R[Gpr.Eax] = 0x4321;
        world.Step();
        Assert.Equal(0x9999_fffeu, world.S.R[Gpr.Esp]);
        Assert.Equal(0x4321, world.Read16(0xfffe));
        world.Step();
        Assert.Equal(0x9999_0000u, world.S.R[Gpr.Esp]);
        Assert.Equal(0x4321u, world.S.R[Gpr.Ebx]);
    }

    [Fact]
    public void A_call_with_16_bit_operands_masks_the_target_and_pushes_a_word()
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.Bytes(At, 0x66, 0xe8, 0x10, 0x00); // from 1_0000 to 0014
        world.Step();
        Assert.Equal(0x14u, world.S.Eip);
        Assert.Equal(SystemWorld.Stack0 - 2, world.S.R[Gpr.Esp]);
        Assert.Equal(0x0004, world.Read16(SystemWorld.Stack0 - 2));
    }

    [Theory]
    [InlineData("EB20")]                 // jmp
    [InlineData("7420")]                 // je
    [InlineData("E820000000")]           // call
    [InlineData("E220")]                 // loop
    [InlineData("FFE0")]                 // jmp eax
    [InlineData("FFD0")]                 // call eax
    [InlineData("C3")]                   // ret
    public void A_near_branch_beyond_the_segment_faults_with_nothing_changed(string code)
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        world.Bytes(At, Convert.FromHexString(code));
        world.S.Cs.Limit = At + 0x10;
        world.S.Cs.Derive();
        world.Cpu.AfterStateChange();
        Flags.SetAll(world.C, Flags.Zf);
        world.S.R[Gpr.Eax] = At + 0x20;
        world.S.R[Gpr.Ecx] = 5;
        world.Write32(SystemWorld.Stack0, At + 0x20);
        world.Step();
        Assert.Equal(SystemWorld.Handlers + Vector.Gp, world.S.Eip);
        Assert.Equal(At, world.Top(1));
        Assert.Equal(SystemWorld.Stack0 - 16, world.S.R[Gpr.Esp]); // error code, EIP, CS, EFLAGS
        Assert.Equal(5u, world.S.R[Gpr.Ecx]);
    }

    [Theory]
    [InlineData(-5, false)]
    [InlineData(-6, true)]
    [InlineData(9, false)]
    [InlineData(10, true)]
    public void Bound_admits_both_its_bounds(int index, bool faults)
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates();
        world.Write32(Data, unchecked((uint)-5));
        world.Write32(Data + 4, 9);
        world.Code(At, a => a.bound(eax, __qword_ptr[ebx]));
        (world.S.R[Gpr.Eax], world.S.R[Gpr.Ebx]) = ((uint)index, Data);
        world.Step();
        Assert.Equal(faults ? SystemWorld.Handlers + Vector.Br : At + 2, world.S.Eip);
    }

    [Fact]
    public void Loop_and_jcxz_count_in_the_width_of_the_address_size()
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.Bytes(At, 0x67, 0xe2, 0x10, 0x67, 0xe3, 0x10); // loop by CX, jcxz
        world.S.R[Gpr.Ecx] = 0x5_0001;
        world.Step(2);
        Assert.Equal(0x5_0000u, world.S.R[Gpr.Ecx]);
        Assert.Equal(At + 0x16, world.S.Eip);
    }

    [Fact]
    public void Xlat_and_moffs_reach_through_the_overridden_segment()
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.S.Fs.Base = 0x1000;
        world.Cpu.AfterStateChange();
        world.Bytes(Data + 0x1005, 0x5a);
        world.Bytes(At, 0x64, 0xd7, 0x64, 0xa1, 0x04, 0x00, 0x04, 0x00, 0x66, 0x64, 0xa3, 0x08, 0x00, 0x04, 0x00);
        (world.S.R[Gpr.Eax], world.S.R[Gpr.Ebx]) = (5, Data);
        world.Step();
        Assert.Equal(0x5au, world.S.R[Gpr.Eax]);
        world.Step();
        Assert.Equal(0x5a00u, world.S.R[Gpr.Eax]);
        world.Step();
        Assert.Equal(0x5a00u, world.Read32(Data + 0x1008));
    }

    [Fact]
    public void An_instruction_sees_what_the_one_before_it_wrote_over_it()
    {
        using SystemWorld world = new SystemWorld().Protected();
        // mov byte [next + 1], 7 / next: mov al, 1 / jmp self; run twice, so that the second run has the block in the cache.
        world.Bytes(At, 0xc6, 0x05, 0x08, 0x00, 0x01, 0x00, 0x07, 0xb0, 0x01, 0xeb, 0xfe);
        for (byte n = 7; n < 9; n++)
        {
            world.Bytes(At + 6, n);
            world.S.Eip = At;
            world.Step(2);
            Assert.Equal(n, (byte)world.S.R[0]);
        }
    }

    [Fact]
    public void Rep_stos_over_its_own_successor_runs_the_new_bytes()
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.Bytes(At, 0xf3, 0xaa, 0x40, 0x40, 0x40, 0xeb, 0xfe); // rep stosb / inc eax three times
        (world.S.R[Gpr.Eax], world.S.R[Gpr.Ecx], world.S.R[Gpr.Edi]) = (0x48, 3, At + 2); // dec eax
        world.Step(6);
        Assert.Equal(0x45u, world.S.R[Gpr.Eax]);
        Assert.Equal(At + 5, world.S.Eip);
    }

    public static TheoryData<string> CrossingWrites =>
    [
        "0107", "660107", "8907", "C70778563412", "8707", "0FC107", "0FB107", "0FC70F", "FF07", "F717", "F71F", "D107", "C12F07", "0FA40705",
        "0FBA3F05", "8F07", "AB", "A5", "F3AB", "F3A5",
    ];

    [Theory]
    [MemberData(nameof(CrossingWrites))]
    public void A_write_across_into_a_missing_page_changes_nothing(string code)
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates().Paged();
        const uint missing = Data + 0x1000;
        world.Write32(0x10_1000 + ((missing >> 12) * 4), 0);
        world.Cpu.AfterStateChange();
        world.Bytes(At, Convert.FromHexString(code));
        for (uint n = 0; n < 16; n += 4) world.Write32(missing - 8 + n, 0x0102_0304 * (n + 1));
        for (int n = 0; n < 8; n++) world.S.R[n] = 0x100u + (uint)n;
        world.S.R[Gpr.Esp] = SystemWorld.Stack0 - 64;
        world.S.R[Gpr.Edi] = missing - 1;
        world.S.R[Gpr.Esi] = Data;
        Flags.SetAll(world.C, 0x45);
        byte[] before = world.Memory.RamPage(Data >> 12).ToArray();
        var registers = new uint[8];
        for (int n = 0; n < 8; n++) registers[n] = world.S.R[n];
        world.Step();
        Assert.Equal(SystemWorld.Handlers + Vector.Pf, world.S.Eip);
        Assert.Equal(At, world.Top(1));
        Assert.Equal(missing, world.S.Cr2);
        Assert.Equal(before, world.Memory.RamPage(Data >> 12).ToArray());
        for (int n = 0; n < 8; n++) Assert.Equal(n == Gpr.Esp ? registers[n] - 16 : registers[n], world.S.R[n]);
        Assert.Equal(0x47u, world.Top(3) & 0xff);
        Assert.Equal(1u, (uint)world.Cpu.InstructionCount);
    }

    [Theory]
    [InlineData("60")]          // pusha
    [InlineData("C8100003")]    // enter 16, 3
    [InlineData("50")]
    [InlineData("E800000000")]
    public void A_push_into_a_missing_page_writes_nothing(string code)
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates().Paged();
        const uint missing = Data;
        world.Write32(0x10_1000 + ((missing >> 12) * 4), 0);
        world.S.R[Gpr.Esp] = Data + 0x1002; // the pushes begin above and cross
        world.S.R[Gpr.Ebp] = Data + 0x1800;
        world.Cpu.AfterStateChange();
        world.Bytes(At, Convert.FromHexString(code));
        byte[] before = world.Memory.RamPage((Data >> 12) + 1).ToArray();
        // The fault itself is delivered on a stack that is there.
        world.S.Cpl = 3;
        world.S.Cs.Attributes |= 0x60;
        world.S.Ss.Attributes |= 0x60;
        world.Cpu.AfterStateChange();
        world.Step();
        Assert.Equal(SystemWorld.Handlers + Vector.Pf, world.S.Eip);
        Assert.Equal(before, world.Memory.RamPage((Data >> 12) + 1).ToArray());
        Assert.Equal(Data + 0x1002, world.Top(4)); // ESP of the interrupted code
        Assert.Equal(Data + 0x1800, world.S.R[Gpr.Ebp]);
    }
}
