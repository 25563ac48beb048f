// One physical page of code at two linear addresses, called, returned from, jumped and faulted between: decoded blocks are found by
// physical address, yet EIP, return addresses and fault frames are those of the mapping that runs.
using Emu86.Cpu;
using FsCheck.Xunit;

namespace Emu86.Tests.Cpu;

public sealed unsafe class TwoMappingsTests
{
    private const uint Page = 0x2_0000, Copy = 0x2_1000, First = 0x3_0000, Second = 0x5_0000, Top = 0x1f_0000, StackBytes = 0x4000;
    private const int Cells = 64, CellBytes = 16;

    /// <summary>Against the same code in two physical pages, stopped at the same random counts.</summary>
    [Property(MaxTest = 40)]
    public void Code_runs_at_two_linear_addresses_as_two_copies_of_it_would(int seed)
    {
        var random = new Random(seed);
        byte[] code = Program(random);
        var stack = new uint[StackBytes / 4];
        for (int n = 0; n < stack.Length; n++) stack[n] = Cell(random);
        using SystemWorld shared = World(code, stack, Page), copied = World(code, stack, Copy);
        for (int stop = 0; stop < 40; stop++)
        {
            ulong count = (ulong)random.Next(1, random.Next(2) == 0 ? 4 : 80);
            Assert.Equal(copied.Step(count), shared.Step(count));
            Assert.Equal(copied.S.Eip, shared.S.Eip);
            Assert.Equal(copied.S.Count, shared.S.Count);
            Assert.Equal(Flags.Get(copied.C), Flags.Get(shared.C));
            for (int n = 0; n < 8; n++) Assert.Equal(copied.S.R[n], shared.S.R[n]);
        }
        for (uint page = (Top - StackBytes) >> 12; page < (Top + StackBytes) >> 12; page++)
            Assert.True(copied.Memory.RamPage(page).SequenceEqual(shared.Memory.RamPage(page)));
    }

    private static SystemWorld World(byte[] code, uint[] stack, uint secondPage)
    {
        SystemWorld world = new SystemWorld().Protected().AllGates();
        world.Memory.Write(Page, code);
        world.Memory.Write(Copy, code);
        for (uint n = 0; n < stack.Length; n++) world.Write32(Top + (4 * n), stack[n]);
        // #UD: add dword [esp], 2; iretd.
        world.Bytes(SystemWorld.Handlers + Vector.Ud, 0x83, 0x04, 0x24, 0x02, 0xcf);
        world.Paged();
        world.Write32(0x10_1000 + (First >> 10), Page | 7);
        world.Write32(0x10_1000 + (Second >> 10), secondPage | 7);
        world.S.R[Gpr.Esp] = Top;
        world.S.Eip = First;
        world.Cpu.AfterStateChange();
        return world;
    }

    /// <summary>The linear address of some cell in one of the mappings.</summary>
    private static uint Cell(Random random) => (random.Next(2) == 0 ? First : Second) + (uint)(random.Next(Cells) * CellBytes);

    private static byte[] Program(Random random)
    {
        var code = new byte[4096];
        Array.Fill(code, (byte)0x90);
        for (int cell = 0; cell < Cells; cell++)
        {
            int at = cell * CellBytes;
            uint there = Cell(random);
            // Relative branches stay in the mapping that runs.
            byte[] relative = BitConverter.GetBytes((random.Next(Cells) * CellBytes) - (at + 5)), absolute = BitConverter.GetBytes(there);
            byte[] bytes = random.Next(9) switch
            {
                0 => [0x41, 0x01, 0xca],                                // inc ecx; add edx, ecx
                1 => [0xe8, 0, 0, 0, 0, 0x5b, 0x01, 0xde],              // call $+5; pop ebx; add esi, ebx
                2 => [0xe9, .. relative],                               // jmp
                3 => [0xe8, .. relative],                               // call
                4 => [0xb8, .. absolute, 0xff, 0xe0],                   // mov eax, there; jmp eax
                5 => [0xb8, .. absolute, 0xff, 0xd0],                   // mov eax, there; call eax
                6 => [0x68, .. absolute, 0xc3],                         // push there; ret
                7 => [0xc3],                                            // ret
                _ => [0x0f, 0x0b, 0x47],                                // ud2; inc edi
            };
            bytes.CopyTo(code, at);
        }
        // jmp to the first cell
        BitConverter.GetBytes(-((Cells * CellBytes) + 5)).CopyTo(code, (Cells * CellBytes) + 1);
        code[Cells * CellBytes] = 0xe9;
        return code;
    }
}
