// An earlier state of a machine that has run on is still saved as it was.
using System.Buffers;
using Emu86.Devices;

namespace Emu86.Tests.Determinism;

public sealed class KeptStateTests
{
    [Fact]
    public void A_state_is_saved_as_it_was_when_the_machine_has_run_on()
    {
        using var world = new ChaosWorld();
        for (ulong count = 40_000; count < 280_000; count += 40_000)
        {
            world.RunTo(count);
            UInt128 hash = world.Machine.StateHash();
            using var kept = new KeptState(world.Machine, new KeepingBudget(1 << 30));
            kept.Begin();
            byte[] now = Saved(world.Machine);
            ulong at = world.Position.Count;
            for (ulong n = 1; n <= 30; n++) world.RunTo(at + 500 * n);
            Assert.Equal(now, Saved(kept));
            Assert.InRange(kept.Pages, 1, 2048);
            using var again = new Machine(world.Machine.Config, [MemoryDisk.WithPattern(256), null, null, null], new OutputList());
            again.Restore(new ReadOnlySequence<byte>(now));
            Assert.Equal(hash, again.StateHash());
        }
    }

    [Fact]
    public void When_the_budget_is_passed_nothing_is_kept()
    {
        using var world = new ChaosWorld();
        world.RunTo(50_000);
        world.Machine.StateHash();
        var budget = new KeepingBudget(500 << 10);
        using var kept = new KeptState(world.Machine, budget);
        kept.Begin();
        long units = budget.Bytes;
        Assert.False(budget.IsPassed);
        for (uint page = 0; page < 200; page++) world.Machine.Board.Memory.Write(0x60_0000 + page * 4096, [1]);
        Assert.True(budget.IsPassed);
        Assert.Equal(0, kept.Pages);
        Assert.InRange(budget.Bytes, units, budget.BytesMax);
    }

    private static byte[] Saved(Machine machine)
    {
        var buffer = new ArrayBufferWriter<byte>();
        machine.Save(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    private static byte[] Saved(KeptState kept)
    {
        var buffer = new ArrayBufferWriter<byte>();
        kept.Save(buffer);
        return buffer.WrittenSpan.ToArray();
    }
}
