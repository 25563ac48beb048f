// One execution, cut in different ways: the state at every checkpoint is the same (docs/determinism.md).
using System.Buffers;
using Emu86.Devices;
using FsCheck.Xunit;

namespace Emu86.Tests.Determinism;

public sealed class StopAndSnapshotTests
{
    private const ulong Length = 60_000, Warm = 10_000;

    [Fact]
    public void The_guest_reaches_everything_that_it_is_meant_to_exercise()
    {
        using var world = new ChaosWorld();
        world.RunTo(1_000_000);
        world.AssertGuestIsWell();
        // Timer, real-time clock and disk interrupts, single steps, frames, serial bytes.
        foreach (int line in new[] { 0, 8, 14, ChaosGuest.StepCounter }) Assert.NotEqual(0u, world.Counter(line));
        foreach (string kind in new[] { nameof(OutputKind.Frame), nameof(OutputKind.SerialByte) }) Assert.Contains(world.Outputs.Lines, l => l.Contains(kind));
        Assert.NotEqual(MemoryDisk.WithPattern(256).Bytes, world.Disk.Bytes);
    }

    [Fact]
    public void Stopping_after_every_instruction_changes_nothing()
    {
        using ChaosWorld through = new(), stepped = new();
        for (ulong count = 1; count <= Length; count++)
        {
            stepped.RunTo(count);
            if (count % 10_000 != 0) continue;
            through.RunTo(count);
            stepped.AssertEqualTo(through);
        }
        through.AssertGuestIsWell();
    }

    [Fact]
    public void Hashing_after_every_instruction_changes_nothing()
    {
        using ChaosWorld through = new(), hashed = new();
        hashed.RunTo(Warm);
        for (ulong count = Warm; count <= Warm + 1_500; count++)
        {
            hashed.RunTo(count);
            _ = hashed.Machine.StateHash();
        }
        through.RunTo(Warm + 1_500);
        hashed.AssertEqualTo(through);
    }

    [Fact]
    public void A_snapshot_after_any_instruction_continues_as_the_original()
    {
        using ChaosWorld through = new(), moved = new();
        moved.RunTo(Warm);
        for (ulong count = Warm; count <= Warm + 400; count++)
        {
            moved.RunTo(count);
            moved.Move();
        }
        through.RunTo(Warm + 400);
        moved.AssertEqualTo(through);
    }

    /// <summary>What was done between checkpoints, chosen by the test: run a number of instructions, then do something.</summary>
    [Property(MaxTest = 15)]
    public void Random_stops_snapshots_and_tlb_flushes_change_nothing((byte Deed, ushort Run)[] steps)
    {
        using ChaosWorld through = new(), cut = new();
        ulong checkpoint = 0;
        foreach ((byte deed, ushort run) in steps)
        {
            // Short runs find what happens between two instructions, long ones everything else.
            cut.RunTo(cut.Position.Count + (run % 3 == 0 ? 1 + run % 5u : run));
            switch (deed % 5)
            {
                case 0: cut.Move(); break;
                case 1: cut.FlushTlb(); break;
                case 2: _ = cut.Machine.StateHash(); break;
            }
            if (cut.Position.Count - checkpoint < 50_000) continue;
            checkpoint = cut.Position.Count;
            through.RunTo(checkpoint);
            cut.AssertEqualTo(through);
        }
        cut.RunTo(cut.Position.Count + 20_000);
        through.RunTo(cut.Position.Count);
        cut.AssertEqualTo(through);
        through.AssertGuestIsWell();
    }

    [Fact]
    public void Flushing_the_tlb_before_every_instruction_changes_nothing()
    {
        using ChaosWorld through = new(), flushed = new();
        flushed.RunTo(Warm);
        for (ulong count = Warm; count <= Length; count++)
        {
            flushed.RunTo(count);
            flushed.FlushTlb();
        }
        through.RunTo(Length);
        flushed.AssertEqualTo(through);
    }

    [Fact]
    public void A_damaged_snapshot_is_refused_with_a_sentence()
    {
        using var world = new ChaosWorld();
        world.RunTo(Warm);
        byte[] saved = ChaosWorld.Save(world.Machine);
        foreach (int length in new[] { 0, 1, 20, 1_000, saved.Length - 1 })
        {
            Assert.ThrowsAny<Emu86.Cpu.StateFormatException>(() => world.Machine.Restore(new ReadOnlySequence<byte>(saved, 0, length)));
        }
        Assert.ThrowsAny<Emu86.Cpu.StateFormatException>(() => world.Machine.Restore(new ReadOnlySequence<byte>([.. saved, 0])));
    }
}
