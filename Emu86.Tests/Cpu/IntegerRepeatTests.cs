// REP: a run stopped and resumed at every boundary leaves what a run without a stop leaves.
using Emu86.Cpu;
using FsCheck.Xunit;

namespace Emu86.Tests.Cpu;

public sealed unsafe class IntegerRepeatTests
{
    private const uint At = SystemWorld.CodeAt, Data = 0x4_0000, Missing = Data + 0x3000;

    private static readonly string[] s_codes =
        ["F3A4", "F366A5", "F3A5", "F3A6", "F3A7", "F2A6", "F3AA", "F366AB", "F3AB", "F3AC", "F3AD", "F3AE", "F2AE", "F266AF", "67F3A4", "67F3AB", "F367A5"];

    /// <summary>Registers, flags, memory, count after <paramref name="limit"/> boundaries, in steps of <paramref name="stride"/>.</summary>
    private static (uint[] Registers, uint Eip, uint Flags, uint Cr2, ulong Count, byte[] Memory) Run(int seed, ulong limit, ulong stride)
    {
        var random = new Random(seed);
        using SystemWorld world = new SystemWorld().Protected().AllGates().Paged();
        world.Write32(0x10_1000 + ((Missing >> 12) * 4), 0);
        world.Cpu.AfterStateChange();
        byte[] code = Convert.FromHexString(s_codes[random.Next(s_codes.Length)]);
        world.Bytes(At, [0x90, .. code, 0x40, 0xeb, 0xfe]); // nop / string / inc eax / jmp self
        var bytes = new byte[0x3000];
        for (int n = 0; n < bytes.Length; n++) bytes[n] = random.Next(50) == 0 ? (byte)random.Next(4) : (byte)0;
        world.Memory.Write(Data, bytes);
        // Around page borders, near each other or not, running into the missing page at times.
        world.S.R[Gpr.Esi] = Data + 0x1000 - 40 + (uint)random.Next(80);
        world.S.R[Gpr.Edi] = random.Next(2) == 0 ? world.S.R[Gpr.Esi] + (uint)random.Next(-20, 20) : Missing - (uint)random.Next(100);
        world.S.R[Gpr.Ecx] = (uint)random.Next(120);
        world.S.R[Gpr.Eax] = random.Next(2) == 0 ? 0 : (uint)random.Next();
        bool address16 = code.AsSpan().Contains((byte)0x67);
        if (address16)
        {
            world.S.R[Gpr.Ecx] |= 0xdead_0000;
            // Offsets near the wrap at 64 KiB, data below 1_0000.
            world.S.R[Gpr.Esi] = 0xbeef_0000 | (ushort)(0xa000 + random.Next(0x100));
            world.S.R[Gpr.Edi] = 0xbeef_0000 | (ushort)(0xb000 - 60 + random.Next(120));
        }
        Flags.SetAll(world.C, (uint)random.Next() & (Flags.Status | (random.Next(4) == 0 ? Flags.Df : 0)));
        while (world.Cpu.InstructionCount < limit) world.Cpu.Run(ulong.Min(limit, world.Cpu.InstructionCount + stride));
        var registers = new uint[8];
        for (int n = 0; n < 8; n++) registers[n] = world.S.R[n];
        var memory = new byte[0x10_0000];
        world.Memory.Read(0, memory);
        return (registers, world.S.Eip, Flags.Get(world.C), world.S.Cr2, world.Cpu.InstructionCount, memory);
    }

    [Property(MaxTest = 60)]
    public void A_run_stopped_at_every_boundary_equals_a_run_through(int seed, byte limit)
    {
        var through = Run(seed, 1u + limit, 1000);
        foreach (ulong stride in (ulong[])[1, 3])
        {
            var stopped = Run(seed, 1u + limit, stride);
            Assert.Equal(through.Registers, stopped.Registers);
            Assert.Equal((through.Eip, through.Flags, through.Cr2, through.Count), (stopped.Eip, stopped.Flags, stopped.Cr2, stopped.Count));
            Assert.True(through.Memory.AsSpan().SequenceEqual(stopped.Memory));
        }
    }

    [Theory]
    [InlineData(0u, 1u)]
    [InlineData(1u, 1u)]
    [InlineData(5000u, 5000u)]
    public void Every_iteration_counts_one_and_none_counts_one(uint ecx, uint count)
    {
        using SystemWorld world = new SystemWorld().Protected();
        world.Bytes(At, 0xf3, 0xaa, 0xeb, 0xfe);
        (world.S.R[Gpr.Ecx], world.S.R[Gpr.Edi]) = (ecx, Data);
        world.Step(count);
        Assert.Equal(At + 2, world.S.Eip);
        Assert.Equal(0u, world.S.R[Gpr.Ecx]);
        Assert.Equal(Data + ecx, world.S.R[Gpr.Edi]);
    }

    [Fact]
    public void A_fault_in_an_iteration_leaves_the_iterations_before_it()
    {
        using SystemWorld world = new SystemWorld().Protected().AllGates().Paged();
        world.Write32(0x10_1000 + ((Missing >> 12) * 4), 0);
        world.Cpu.AfterStateChange();
        world.Bytes(At, 0x90, 0xf3, 0xab);
        (world.S.R[Gpr.Eax], world.S.R[Gpr.Ecx], world.S.R[Gpr.Edi]) = (0x5555_5555, 10, Missing - 14);
        world.Step(5);
        Assert.Equal(SystemWorld.Handlers + Vector.Pf, world.S.Eip);
        Assert.Equal((7u, Missing - 2), (world.S.R[Gpr.Ecx], world.S.R[Gpr.Edi]));
        Assert.Equal(At + 1, world.Top(1));
        Assert.Equal(Missing, world.S.Cr2);
        Assert.Equal(5u, (uint)world.Cpu.InstructionCount); // nop, three iterations, the fault
    }
}
