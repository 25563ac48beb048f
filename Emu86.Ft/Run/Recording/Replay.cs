// Executes a recording: to each record's position, there the same call that the live run made, and the hashes compared.
using System.Buffers;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Recording;

/// <summary>How a replay ended.</summary>
public enum ReplayEnd
{
    /// <summary>The whole recording was executed, and every hash matched.</summary>
    Complete,

    /// <summary>The asked count was reached, and every hash before it matched.</summary>
    UntilReached,

    /// <summary>The recording is over before the asked count; every hash matched.</summary>
    EndedBeforeUntil,

    /// <summary>The state is not the one that was recorded.</summary>
    Diverged,

    /// <summary>The recording is damaged or cut off; what is whole was executed, and every hash in it matched.</summary>
    Broken,

    /// <summary><see cref="Replay.Stop"/> was called.</summary>
    Asked,
}

/// <param name="End">How.</param>
/// <param name="Position">Where the machine is.</param>
/// <param name="HashesMatched">State hashes compared and found equal.</param>
/// <param name="LastMatch">The count at the last of them, or where the replay began.</param>
/// <param name="Detail">What differs, or what is wrong with the recording; empty when all is well.</param>
public sealed record ReplayResult(ReplayEnd End, Position Position, ulong HashesMatched, ulong LastMatch, string Detail);

/// <summary>Replays a recording on a machine of the same configuration.</summary>
public sealed class Replay(Machine machine, RecordingReader reader, IReadOnlyList<OverlayDisk?> disks)
{
    private ulong _matched;
    private ulong _lastMatch;
    private bool _compared;
    private volatile bool _asked;

    // What was read and lies behind the count at which the last run stopped.
    private Message? _ahead;

    private const ulong IdleNs = 1_000_000_000;

    /// <summary>Longest run between two calls of <see cref="AtBoundary"/>, in instructions.</summary>
    public ulong Slice { get; init; } = 1_000_000;

    /// <summary>Called between slices.</summary>
    public Action<Position>? AtBoundary { get; init; }

    /// <summary>Ends the replay at the next slice boundary. From any thread.</summary>
    public void Stop() => _asked = true;

    /// <summary>Takes over the start snapshot, if there is one.</summary>
    /// <exception cref="ProtocolException">It does not fit the machine.</exception>
    public void Begin()
    {
        if (!reader.State.IsEmpty) Restore(reader.State);
        _lastMatch = machine.Position.Count;
    }

    /// <summary>Takes over a snapshot in the recording instead of the start; the replay goes on behind it.</summary>
    /// <param name="ordinal">Which: 1 is the first after the start.</param>
    /// <exception cref="ProtocolException">It is not there, damaged, or does not fit the machine.</exception>
    public void BeginAt(int ordinal)
    {
        for (int passed = 0; ;)
        {
            Message message = reader.Read() ?? throw new ProtocolException($"the recording has no snapshot number {ordinal}");
            if (message is not RecordingSnapshotMessage snapshot) continue;
            passed++;
            ChunkedBuffer? state = reader.ReadSnapshot(keepState: passed == ordinal, run =>
            {
                if (disks[run.Drive] is not { } disk || run.Lba + run.Data.Length / 512 > disk.SectorCount) throw new ProtocolException("a snapshot in the recording has disk blocks outside its disks");
                disk.Put(run.Lba, run.Data.Span);
            });
            if (passed < ordinal) continue;
            Restore(state!.ToSequence());
            if (machine.Position != snapshot.Position || machine.StateHash() != snapshot.StateHash) throw new ProtocolException($"the snapshot at count {snapshot.Position.Count} is not the state that was recorded there");
            (_lastMatch, _compared) = (snapshot.Position.Count, true);
            return;
        }
    }

    /// <summary>Runs on from where the machine is, which may be where an earlier run stopped.</summary>
    /// <param name="until">Stops at the first boundary with this count.</param>
    public ReplayResult Run(ulong? until = null)
    {
        try
        {
            while (true)
            {
                Message? message = _ahead ?? reader.Read();
                _ahead = null;
                // The hashes of units are looked at only where a state hash differed.
                if (message is RecordingUnitHashesMessage) continue;
                Position at = message switch
                {
                    InputRecord r => r.Position,
                    StateHashRecord r => r.Position,
                    RecordingSnapshotMessage r => r.Position,
                    EpochRecord r => r.Position,
                    HandOverRecord r => r.Position,
                    EndedRecord r => r.Position,
                    FrontierRecord r => r.Position,
                    null => reader.End!.Position,
                    _ => machine.Position,
                };
                if (until is { } count && at.Count >= count)
                {
                    _ahead = message;
                    return RunTo(new Position(count, 0)) ?? Result(ReplayEnd.UntilReached);
                }
                if (RunTo(at) is { } early) return early;
                if (message is null) return Result(until is null ? ReplayEnd.Complete : ReplayEnd.EndedBeforeUntil);
                if (Apply(message) is { } different) return different;
            }
        }
        catch (ProtocolException e)
        {
            return Result(ReplayEnd.Broken, e.Message);
        }
    }

    private ReplayResult? Apply(Message message)
    {
        switch (message)
        {
            case InputRecord record:
                machine.Inject(record.Input);
                return null;
            case StateHashRecord record:
                if (machine.StateHash() != record.Hash) return Result(ReplayEnd.Diverged, Differences(record.Units.Length > 0 ? record.Units : (reader.Read() as RecordingUnitHashesMessage)?.Hashes ?? default));
                Matched();
                return null;
            case RecordingSnapshotMessage record:
                if (machine.StateHash() != record.StateHash) return Result(ReplayEnd.Diverged, Differences(default));
                Matched();
                return null;
            default:
                // What only matters to a backup.
                return null;
        }
    }

    private void Matched()
    {
        _matched++;
        _compared = true;
        _lastMatch = machine.Position.Count;
    }

    /// <summary>Null when the position was reached.</summary>
    private ReplayResult? RunTo(Position target)
    {
        while (true)
        {
            if (_asked) return Result(ReplayEnd.Asked);
            ulong count = machine.Position.Count;
            ulong limit = target.Count > count && target.Count - count > Slice ? count + Slice : target.Count;
            // A machine that is halted where the recorded one went on would skip time for ever.
            ulong idle = target.VirtualTimeNs != 0 ? target.VirtualTimeNs : machine.Position.VirtualTimeNs + IdleNs;
            StopReason reason = machine.RunUntil(limit == target.Count ? target : new Position(limit, 0), idle);
            Position now = machine.Position;
            AtBoundary?.Invoke(now);
            // A count alone stands for its first boundary, whatever the time there.
            if (now == target || (target.VirtualTimeNs == 0 && now.Count == target.Count)) return null;
            if (reason == StopReason.Idle && target.VirtualTimeNs == 0 && !machine.IsDeaf) continue;
            if (reason != StopReason.Limit || now >= target) return Result(ReplayEnd.Diverged, $"the recording goes on at {target}, the machine is at {now} ({reason}); {LastMatch}");
        }
    }

    private string LastMatch => !_compared ? "no state hash was compared before" : $"the last equal state was at count {_lastMatch}";

    private string Differences(ReadOnlyMemory<byte> recorded) =>
        $"{UnitHashes.Describe(UnitHashes.Differences(machine.StateHashes(), recorded.Span))}; {LastMatch}";

    private ReplayResult Result(ReplayEnd end, string detail = "") => new(end, machine.Position, _matched, _lastMatch, detail);

    private void Restore(ReadOnlySequence<byte> state)
    {
        try
        {
            machine.Restore(state);
        }
        catch (StateFormatException e)
        {
            throw new ProtocolException(e.Message);
        }
    }
}
