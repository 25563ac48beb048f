// Differences of processor states by name: none goes unnamed. And the view of the instruction at CS:EIP.
using System.Buffers;
using Emu86.Cpu;
using Emu86.Cpu.Decode;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Cpu;

public sealed unsafe class NamedRegistersTests
{
    [Fact]
    public void A_flipped_bit_anywhere_in_the_state_has_a_name()
    {
        using SystemWorld world = new SystemWorld().Protected().Paged();
        byte[] state = Saved(world);
        for (int bit = 0; bit < 8 * state.Length; bit++)
        {
            byte[] other = (byte[])state.Clone();
            other[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotEmpty(NamedRegisters.Differences(state, other));
        }
    }

    [Fact]
    public void A_register_is_named_with_both_values()
    {
        using SystemWorld world = new SystemWorld().Protected();
        byte[] before = Saved(world);
        world.S.R[Gpr.Esi] = 0x1234;
        (string name, string one, string other) = Assert.Single(NamedRegisters.Differences(before, Saved(world)));
        Assert.Equal(("ESI", "00001234h"), (name, other));
        Assert.NotEqual(one, other);
    }

    [Fact]
    public void The_next_instruction_is_read_through_page_tables_and_nothing_is_touched()
    {
        using SystemWorld world = new SystemWorld().Protected().Paged();
        world.Code(SystemWorld.CodeAt, a => a.add(__dword_ptr[ebx + 4], esi));
        world.Cpu.AfterStateChange();
        byte[] tables = new byte[0x2000], after = new byte[0x2000];
        world.Memory.Read(0x10_0000, tables);
        DisassembledInstruction x = Disassembler.At(world.Cpu);
        world.Memory.Read(0x10_0000, after);
        Assert.Equal("add [ebx+4],esi", x.Text);
        Assert.Equal("017304", Convert.ToHexStringLower(x.Bytes));
        Assert.Equal((SystemWorld.CodeAt, true), (x.Eip, x.WritesMemory));
        Assert.Equal(["EFLAGS"], x.Writes);
        Assert.Equal(tables, after);
    }

    [Fact]
    public void Code_that_is_not_mapped_is_said_to_be_so()
    {
        using SystemWorld world = new SystemWorld().Protected().Paged();
        world.S.Eip = 0xb000_0000;
        DisassembledInstruction x = Disassembler.At(world.Cpu);
        Assert.Equal(("(code that is not in memory)", 0), (x.Text, x.Bytes.Length));
    }

    private static byte[] Saved(SystemWorld world)
    {
        var bytes = new ArrayBufferWriter<byte>();
        var writer = new StateWriter(bytes);
        world.Cpu.Save(ref writer);
        return bytes.WrittenSpan.ToArray();
    }
}
