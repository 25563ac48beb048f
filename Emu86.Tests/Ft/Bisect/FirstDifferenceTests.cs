// The search for the first count at which two runs differ.
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Run.Recording;
using Emu86.Tests.Determinism;

namespace Emu86.Tests.Ft.Bisect;

public sealed class FirstDifferenceTests
{
    private const int Sectors = 256;
    private const ulong End = 40_000;

    [Theory]
    [InlineData(1ul)]
    [InlineData(12_345ul)]
    [InlineData(End)]
    public void The_count_at_which_a_machine_was_changed_is_found(ulong changedAt)
    {
        RunAt Sound(ulong count) => Run(count, ulong.MaxValue);
        RunAt Changed(ulong count) => Run(count, changedAt);
        Assert.NotEqual(Sound(End), Changed(End));
        Assert.Equal(changedAt, FirstDifference.Find(Sound, Changed, 0, End));
    }

    [Fact]
    public void A_run_that_ends_early_differs_behind_its_end()
    {
        RunAt Short(ulong count) => Run(Math.Min(count, 7_000), ulong.MaxValue);
        Assert.Equal(7_001ul, FirstDifference.Find(count => Run(count, ulong.MaxValue), Short, 0, End));
    }

    private static RunAt Run(ulong count, ulong changedAt)
    {
        using var machine = new Machine(ChaosGuest.Config(Sectors), [MemoryDisk.WithPattern(Sectors), null, null, null], new OutputList());
        if (changedAt <= count)
        {
            Assert.Equal(StopReason.Limit, machine.RunUntil(new Position(changedAt, 0)));
            machine.Board.Memory.Write(0x70_0123, [1]);
        }
        if (machine.Position.Count < count) Assert.Equal(StopReason.Limit, machine.RunUntil(new Position(count, 0)));
        return new RunAt(machine.Position, machine.StateHash());
    }
}
