// The backup's replay: consumes the received log up to its last frontier, one request to the driver at a time.
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>Received records, kept outputs and the place that execution has reached. Part of BackupCore.</summary>
internal sealed class BackupReplay(List<CoreAction> actions, long outputBytesMax)
{
    private enum Waiting
    {
        Nothing,
        Run,
        Hash,
    }

    private readonly Queue<LogRecord> _log = new();
    private Waiting _waiting;
    private Position _target;
    private ulong _ordinal;
    private ulong _releasedUpTo;
    private ulong _durableUpTo;
    private ulong _producedUpTo;

    /// <summary>Outputs that the primary has not said to have sent.</summary>
    public OutputQueue Kept { get; } = new();

    public Position Position { get; private set; }

    public ulong OutputOrdinal => _ordinal;

    public ulong ReceivedLsn { get; private set; }

    public ulong ExecutedLsn { get; private set; }

    /// <summary>Records after this one are not executed yet: more records of its position may still follow.</summary>
    public ulong LastFrontierLsn { get; private set; }

    public Position LastFrontier { get; private set; }

    /// <summary>Size of what is received and not executed, in bytes (LogBuffer.Size).</summary>
    public long Bytes { get; private set; }

    /// <summary>Everything up to the last frontier is executed.</summary>
    public bool IsDone => _waiting == Waiting.Nothing && ExecutedLsn >= LastFrontierLsn;

    /// <summary>A state hash differed: the record and the own hash.</summary>
    public (StateHashRecord Record, UInt128 Own)? Divergence { get; private set; }

    /// <summary>This execution has produced more outputs than the primary had at a later position.</summary>
    public bool HasTooManyOutputs { get; private set; }

    /// <summary>The record with which the guest ended in good order, once it is executed.</summary>
    public EndedRecord? Ended { get; private set; }

    public void Begin(CloneEndMessage clone)
    {
        Clear();
        Position = LastFrontier = clone.Position;
        _ordinal = clone.OutputOrdinal;
        ReceivedLsn = ExecutedLsn = LastFrontierLsn = clone.NextLsn - 1;
    }

    public void Clear()
    {
        _log.Clear();
        Kept.Clear();
        Bytes = 0;
        _waiting = Waiting.Nothing;
        _releasedUpTo = _durableUpTo = 0;
        (ReceivedLsn, ExecutedLsn, LastFrontierLsn) = (0, 0, 0);
        Divergence = null;
        HasTooManyOutputs = false;
        Ended = null;
    }

    public void Receive(LogRecord record)
    {
        Check.That(record.Lsn == ReceivedLsn + 1);
        ReceivedLsn = record.Lsn;
        _log.Enqueue(record);
        Bytes += LogBuffer.Size(record);
        // The guest's end allows execution like a frontier does: nothing can follow it.
        if (record is FrontierRecord frontier)
        {
            (LastFrontierLsn, LastFrontier, _producedUpTo) = (record.Lsn, frontier.Position, frontier.ProducedUpTo);
            _releasedUpTo = Math.Max(_releasedUpTo, frontier.ReleasedUpTo);
            _durableUpTo = Math.Max(_durableUpTo, frontier.DurableUpTo);
            Kept.Forget(_releasedUpTo, _durableUpTo);
        }
        else if (record is EndedRecord end) (LastFrontierLsn, LastFrontier, _producedUpTo) = (record.Lsn, end.Position, ulong.MaxValue);
    }

    public void Produced(Output output)
    {
        Kept.Add(new(output, ++_ordinal, 0));
        Kept.Forget(_releasedUpTo, _durableUpTo);
    }

    public void Executed(Position position)
    {
        if (_waiting != Waiting.Run) return;
        Check.That(position == _target);
        Position = position;
        _waiting = Waiting.Nothing;
    }

    public void StateHash(UInt128 own)
    {
        if (_waiting != Waiting.Hash) return;
        _waiting = Waiting.Nothing;
        StateHashRecord record = (StateHashRecord)_log.Peek();
        if (record.Hash != own) Divergence = (record, own);
        Consume();
    }

    /// <summary>Asks for the next step, if one is allowed.</summary>
    /// <param name="bounded">False at go-live: the primary will not tell any more what it has sent.</param>
    public void Pump(bool bounded)
    {
        while (_waiting == Waiting.Nothing && Divergence is null && _log.TryPeek(out LogRecord? record) && record.Lsn <= LastFrontierLsn)
        {
            Position? at = record switch
            {
                InputRecord r => r.Position,
                StateHashRecord r => r.Position,
                EndedRecord r => r.Position,
                // A frontier with another one behind it needs no stop of its own.
                FrontierRecord r when r.Lsn == LastFrontierLsn || _log.Count < 2 => r.Position,
                FrontierRecord r when !NextIsFrontier() => r.Position,
                _ => null,
            };
            if (at is { } position && position > Position)
            {
                if (bounded && Kept.Bytes >= outputBytesMax)
                {
                    // It waits to be told that they left; what the primary never produced never will.
                    HasTooManyOutputs = position <= LastFrontier && _ordinal > _producedUpTo;
                    return;
                }
                _target = position;
                _waiting = Waiting.Run;
                actions.Add(new(ActionKind.RunTo) { Position = position });
                return;
            }
            if (record is StateHashRecord)
            {
                _waiting = Waiting.Hash;
                actions.Add(new(ActionKind.TakeStateHash) { Position = Position });
                return;
            }
            if (record is InputRecord input) actions.Add(new(ActionKind.Inject) { Input = input.Input, Position = input.Position });
            if (record is EndedRecord ended) Ended = ended;
            Consume();
        }
    }

    /// <summary>At go-live: nobody outside has seen anything that depends on these records.</summary>
    public void DiscardAfterLastFrontier() => ReceivedLsn = LastFrontierLsn;

    private bool NextIsFrontier()
    {
        foreach (LogRecord record in _log)
        {
            if (record.Lsn == ExecutedLsn + 2) return record is FrontierRecord;
        }
        return false;
    }

    private void Consume()
    {
        LogRecord record = _log.Dequeue();
        ExecutedLsn = record.Lsn;
        Bytes -= LogBuffer.Size(record);
    }
}
