// The backup's role as a pure state machine: events in, actions out; no clock, socket, thread or file (docs/ft-protocol.md).
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

public enum BackupPhase
{
    /// <summary>A candidate without a guest.</summary>
    Idle,

    /// <summary>Receives state and disks.</summary>
    Cloning,

    /// <summary>The driver builds the machine.</summary>
    Loading,

    /// <summary>Replays; may not go live.</summary>
    Replaying,

    /// <summary>Replays; goes live when the primary fails.</summary>
    Armed,

    /// <summary>Asks the arbiter for the next epoch; grants the primary nothing any more.</summary>
    Claiming,

    /// <summary>The epoch is won; executes what is left of the log.</summary>
    GoingLive,

    /// <summary>Handed over to a PrimaryCore, or ended.</summary>
    Done,
}

public sealed record BackupStart
{
    /// <summary>Identity of this process, as the arbiter will know it; never used by another one.</summary>
    public required Guid Self { get; init; }

    public string Address { get; init; } = "";

    /// <summary>Where other backups reach it.</summary>
    public string Listen { get; init; } = "";

    /// <summary>The guest's name that this candidate serves.</summary>
    public required string Name { get; init; }

    public required string ArbiterIdentity { get; init; }

    public IReadOnlyList<string> OwnDisks { get; init; } = [];

    /// <summary>A loser becomes a candidate again; else it ends with exit code 3.</summary>
    public bool Rejoin { get; init; }
}

/// <summary>What a backup that went live gives to its PrimaryCore.</summary>
/// <param name="UndurableWrite">Ordinal of the last shared-disk write that is not known durable; 0 when there is none.</param>
public sealed record TakeOver(MachineIdentity Machine, ulong Epoch, Position Position, ulong OutputOrdinal, ulong UndurableWrite = 0);

/// <summary>Receives and acknowledges the log, has it executed, and goes live when the primary fails. After every call the
/// driver carries out <see cref="Actions"/> in order and clears it. Times never go back.</summary>
public sealed class BackupCore
{
    private readonly ProtocolOptions _options;
    private readonly BackupStart _start;
    private readonly ArbiterAsker _arbiter;
    private readonly BackupReplay _replay;
    private long _nowUs;
    private long _lastHeardUs;
    private long _heartbeatAtUs;
    private long _echoSentUs;
    private ulong _reportedExecuted;
    private long _acknowledgedUs;
    private int _connection;
    private Hello? _session;
    private CloneEndMessage? _cloneEnd;
    private ArmedRecord? _armed;
    private bool _ending;
    private ulong _undurableWrite;
    private ReadOnlyMemory<byte> _unitHashes;

    public BackupCore(ProtocolOptions options, BackupStart start, long nowUs)
    {
        _options = options;
        _start = start;
        _nowUs = _lastHeardUs = nowUs;
        _arbiter = new(options.ArbiterRetryUs, Actions);
        _replay = new(Actions, options.OutputBytesMax);
    }

    public List<CoreAction> Actions { get; } = [];

    public BackupPhase Phase { get; private set; }

    /// <summary>Up to where the guest has been executed.</summary>
    public Position Position => _replay.Position;

    public ulong ReceivedLsn => _replay.ReceivedLsn;

    public ulong ExecutedLsn => _replay.ExecutedLsn;

    /// <summary>Number of the last output that was produced, in the guest's life.</summary>
    public ulong OutputOrdinal => _replay.OutputOrdinal;

    public int OutputsKept => _replay.Kept.Count;

    /// <summary>The key that authenticates this session's heartbeats; null without a session.</summary>
    public ReadOnlyMemory<byte>? HeartbeatKey => _session?.HeartbeatKey;

    /// <summary>Epoch of the session, or the later one of which the log told.</summary>
    public ulong Epoch => _armed?.Epoch ?? _session?.Epoch ?? 0;

    /// <summary>After BecomePrimary.</summary>
    public TakeOver TakeOver => new(_session!.Machine, _armed!.Epoch + 1, _replay.Position, _replay.OutputOrdinal, _undurableWrite);

    private bool InSession => Phase is BackupPhase.Cloning or BackupPhase.Loading or BackupPhase.Replaying or BackupPhase.Armed;

    public void Tick(long nowUs)
    {
        if (!Observe(nowUs)) return;
        _arbiter.Tick(nowUs);
        if (!InSession) return;
        long silent = nowUs - _lastHeardUs;
        if (Phase == BackupPhase.Armed && silent > _options.BackupTimeoutUs)
        {
            Claim("no sign of life from the primary");
            return;
        }
        if (Phase != BackupPhase.Armed && !_ending && silent > _options.ReconnectTimeoutUs)
        {
            Forget("the primary is gone before this backup was armed");
            return;
        }
        if (nowUs >= _heartbeatAtUs)
        {
            _heartbeatAtUs = nowUs + _options.HeartbeatUs;
            Actions.Add(new(ActionKind.SendHeartbeat) { Message = new HeartbeatMessage(_session!.SessionId, false, _echoSentUs) });
        }
        // Only the lag is measured by it: the next frontier's acknowledgement mostly says it as soon. What is told late counts as lag.
        if (_replay.ExecutedLsn != _reportedExecuted && nowUs - _acknowledgedUs >= Math.Min(2 * _options.FrontierUs, _options.MaxLagUs / 16)) Acknowledge();
    }

    public void ConnectionClosed(long nowUs, int connection)
    {
        if (!Observe(nowUs) || connection != _connection) return;
        _connection = 0;
        // An armed backup waits: the primary reconnects, or falls silent. A clone in pieces is of no use.
        if (InSession && Phase != BackupPhase.Armed && !_ending) Forget("the connection broke before this backup was armed");
    }

    /// <summary>The primary's host has answered that its process is gone; must be certain.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="epoch">Under which that process was live: this backup may be another one's by now.</param>
    public void PeerGone(long nowUs, ulong epoch)
    {
        if (!Observe(nowUs) || epoch != Epoch) return;
        if (Phase == BackupPhase.Armed) Claim("the primary's process is gone");
        else if (InSession && !_ending) Forget("the primary's process is gone");
    }

    public void Received(long nowUs, int connection, Message message)
    {
        if (!Observe(nowUs)) return;
        if (message is HelloMessage hello)
        {
            Greeted(connection, hello.Hello);
            return;
        }
        if (connection != _connection || !InSession) return;
        _lastHeardUs = nowUs;
        switch (message)
        {
            case LogRecord record when Phase is BackupPhase.Loading or BackupPhase.Replaying or BackupPhase.Armed: Record(record); break;
            // Chunks are applied by the driver: here they only are signs of life.
            case CloneBeginMessage or CloneStateMessage or ClonePagesMessage or CloneDiskHashesMessage or CloneDiskBlocksMessage when Phase == BackupPhase.Cloning: break;
            // The primary takes another backup, and gives this one up.
            case RefusedMessage dismissal: Forget(dismissal.Sentence); break;
            case CloneEndMessage end when Phase == BackupPhase.Cloning && end.NextLsn > 0:
                Phase = BackupPhase.Loading;
                _cloneEnd = end;
                _replay.Begin(end);
                Actions.Add(new(ActionKind.LoadClone) { Message = end, Position = end.Position });
                break;
            default: Break($"the primary sent a {message.Type} message out of place"); break;
        }
    }

    public void HeartbeatReceived(long nowUs, HeartbeatMessage heartbeat)
    {
        if (!Observe(nowUs) || !InSession || !heartbeat.FromPrimary || heartbeat.SessionId != _session!.SessionId) return;
        _lastHeardUs = nowUs;
        _echoSentUs = Math.Max(_echoSentUs, heartbeat.SentUs);
    }

    /// <summary>The machine stands at the end of the clone (null), or cannot be built, for the reason given.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="stateHash">Of the machine that was built.</param>
    /// <param name="problem">A sentence, or null.</param>
    public void CloneLoaded(long nowUs, UInt128 stateHash, string? problem)
    {
        if (!Observe(nowUs) || Phase != BackupPhase.Loading) return;
        if (problem is null && stateHash != _cloneEnd!.StateHash) problem = "the state that arrived has another hash than the one that was sent";
        Send(new CloneLoadedMessage(problem ?? ""));
        if (problem is not null)
        {
            Forget(problem);
            return;
        }
        Phase = BackupPhase.Replaying;
        Advance();
    }

    /// <summary>RunTo is done.</summary>
    public void Executed(long nowUs, Position position)
    {
        if (!Observe(nowUs)) return;
        _replay.Executed(position);
        Advance();
    }

    /// <summary>The position that RunTo named cannot be reached: this execution is not the primary's.</summary>
    public void CannotFollow(long nowUs)
    {
        if (!Observe(nowUs) || Phase is not (BackupPhase.Replaying or BackupPhase.Armed or BackupPhase.Claiming or BackupPhase.GoingLive)) return;
        Diverged(_replay.ExecutedLsn + 1, _replay.Position, 0);
    }

    /// <summary>The machine produced a gated output while replaying; it goes nowhere for now.</summary>
    public void Produced(Output output) => _replay.Produced(output);

    /// <param name="nowUs">Host time.</param>
    /// <param name="hash">Of the whole state.</param>
    /// <param name="unitHashes">16 bytes for each unit, for the other side's evidence; may be empty.</param>
    public void StateHash(long nowUs, UInt128 hash, ReadOnlyMemory<byte> unitHashes = default)
    {
        if (!Observe(nowUs)) return;
        _unitHashes = unitHashes;
        _replay.StateHash(hash);
        Advance();
    }

    public void ArbiterAnswered(long nowUs, in ArbiterAnswer answer)
    {
        if (!Observe(nowUs) || _arbiter.Settle(nowUs, answer) is null || Phase != BackupPhase.Claiming) return;
        if (answer.Verdict == ArbiterVerdict.Done)
        {
            Phase = BackupPhase.GoingLive;
            Report($"won epoch {_armed!.Epoch + 1}");
            _replay.DiscardAfterLastFrontier();
            Advance();
        }
        else if (answer.Current?.State == GuestState.Off) Exit(0, "the guest was ended on the primary");
        else if (answer.Current is { } now && now.Epoch > _armed!.Epoch && now.Members.Any(IsThis))
        {
            // The primary won an epoch with fewer members, and died before the log could say so.
            _armed = new(now.Epoch, now.Quorum, now.Members);
            AskForNextEpoch();
        }
        else Superseded($"epoch {answer.Current?.Epoch ?? 0} belongs to another");
    }

    /// <summary>The operator makes the backup leave.</summary>
    public void Leave(long nowUs, string sentence)
    {
        if (!Observe(nowUs)) return;
        if (Phase is BackupPhase.Claiming or BackupPhase.GoingLive) return;
        Send(new LeaveMessage(sentence));
        Exit(0, sentence);
    }

    /// <summary>This copy of the guest cannot be trusted any more (this host's disk or memory fails): the backup leaves, whatever it is doing.</summary>
    public void GiveUp(long nowUs, string sentence)
    {
        if (!Observe(nowUs)) return;
        Send(new LeaveMessage(sentence));
        Exit(1, sentence);
    }

    private bool Observe(long nowUs)
    {
        if (Phase == BackupPhase.Done) return false;
        Check.That(nowUs >= _nowUs);
        // After a gap (this process was frozen) the primary's messages have still to be read.
        if (nowUs - _nowUs > _options.FailureTimeoutUs / 2) _lastHeardUs = nowUs;
        _nowUs = nowUs;
        return true;
    }

    private void Greeted(int connection, Hello hello)
    {
        string? no = Phase switch
        {
            BackupPhase.Claiming or BackupPhase.GoingLive => "this backup is going live",
            _ when hello.Resume => !InSession || Phase == BackupPhase.Cloning || hello.SessionId != _session!.SessionId || hello.Epoch < Epoch
                ? $"this backup has no part of the session {hello.SessionId}"
                : hello.Machine.RefuseResume(_session.Machine),
            BackupPhase.Armed when hello.Epoch <= Epoch => $"this backup is armed under epoch {Epoch}",
            _ when _ending => "this backup ends with its guest",
            _ => hello.Machine.RefuseClone(_start.Name, _start.ArbiterIdentity),
        };
        if (no is not null)
        {
            Actions.Add(new(ActionKind.Send) { Connection = connection, Message = new RefusedMessage(no) });
            Actions.Add(new(ActionKind.Disconnect) { Connection = connection });
            return;
        }
        if (hello.Resume)
        {
            Disconnect();
        }
        else
        {
            if (Phase == BackupPhase.Armed)
            {
                Superseded($"epoch {hello.Epoch} belongs to another");
                if (Phase == BackupPhase.Done) return;
            }
            else if (InSession) Forget("the primary begins anew");
            _session = hello;
            _echoSentUs = 0;
            _heartbeatAtUs = _nowUs;
            Phase = BackupPhase.Cloning;
        }
        _connection = connection;
        _lastHeardUs = _nowUs;
        Send(new WelcomeMessage(hello.SessionId, hello.Resume ? _replay.ReceivedLsn : 0, _start.Self, _start.Listen));
    }

    private void Record(LogRecord record)
    {
        if (record.Lsn != _replay.ReceivedLsn + 1)
        {
            Break($"log record {record.Lsn} came where {_replay.ReceivedLsn + 1} belongs");
            return;
        }
        // The primary stops its guest at the limit; what it has on the way then may be as much again.
        if (_replay.Bytes > 2 * _options.LogBytesMax)
        {
            Break("the primary sends more log than was agreed");
            return;
        }
        _replay.Receive(record);
        switch (record)
        {
            case FrontierRecord frontier:
                _echoSentUs = Math.Max(_echoSentUs, frontier.SentUs);
                Acknowledge();
                break;
            case ArmedRecord armed when armed.Epoch >= Epoch && Phase is BackupPhase.Replaying or BackupPhase.Armed && !_ending:
                // Another one's arming, or loss, is told to all.
                if (!armed.Members.Any(IsThis)) break;
                _armed = armed;
                if (Phase == BackupPhase.Replaying) Report($"armed under epoch {armed.Epoch}");
                Phase = BackupPhase.Armed;
                Acknowledge();
                break;
            case ArmedRecord: Break("the primary armed this backup out of place"); return;
            case EndedRecord:
                // From here on this side will not go live; it only brings its disks up to the end.
                _ending = true;
                Phase = BackupPhase.Replaying;
                Acknowledge();
                break;
            case HandOverRecord handOver when Phase == BackupPhase.Armed:
                Acknowledge();
                if (handOver.To == _start.Self) Claim("the primary hands over");
                break;
        }
        Advance();
    }

    private void Advance()
    {
        if (Phase is not (BackupPhase.Replaying or BackupPhase.Armed or BackupPhase.Claiming or BackupPhase.GoingLive)) return;
        _replay.Pump(bounded: Phase != BackupPhase.GoingLive);
        if (_replay.Divergence is { } divergence)
        {
            Diverged(divergence.Record.Lsn, divergence.Record.Position, divergence.Own);
        }
        else if (_replay.HasTooManyOutputs) Diverged(_replay.ExecutedLsn + 1, _replay.Position, 0);
        else if (_replay.Ended is { } ended) Exit(ended.Reason == EndReason.GuestExit ? (int)((ended.ExitValue << 1) | 1) & 0xFF : 0, "the guest was ended on the primary");
        else if (Phase == BackupPhase.GoingLive && _replay.IsDone) GoLive();
    }

    private void Diverged(ulong lsn, Position at, UInt128 own)
    {
        Actions.Add(new(ActionKind.WriteEvidence) { Number = lsn, Position = at });
        Send(new DivergedMessage(lsn, at, own, own == 0 ? default : _unitHashes));
        if (Phase == BackupPhase.GoingLive) Exit(1, $"diverged at count {at.Count} while going live: this copy of the guest cannot be trusted");
        else Forget("this copy of the guest is given up");
    }

    private void GoLive()
    {
        Phase = BackupPhase.Done;
        Actions.Add(new(ActionKind.TakeOverWorld));
        while (_replay.Kept.Count > 0)
        {
            WaitingOutput kept = _replay.Kept.Take();
            if (kept.Output.Kind == OutputKind.DiskWrite) _undurableWrite = kept.Ordinal;
            Actions.Add(new(ActionKind.Release) { Output = kept.Output, Number = kept.Ordinal });
        }
        Actions.Add(new(ActionKind.CloseListener));
        Actions.Add(new(ActionKind.BecomePrimary) { Number = _armed!.Epoch + 1, Position = _replay.Position });
    }

    private void Claim(string reason)
    {
        Report($"going live: {reason}");
        Disconnect();
        Phase = BackupPhase.Claiming;
        AskForNextEpoch();
    }

    private void AskForNextEpoch() =>
        _arbiter.Ask(ArbiterRequestKind.Claim, _armed!.Epoch, new(_armed.Epoch + 1, _start.Self, _start.Address, GuestState.Live, [], _start.OwnDisks));

    private bool IsThis(ArbiterMember member) => member.Id == _start.Self && member.Session == _session!.SessionId;

    // One of several backups is needed by the one that went live.
    private void Superseded(string why)
    {
        if (_armed is { Members.Count: > 1 }) Forget($"{why}; this side becomes a candidate again");
        else if (_start.Rejoin) Forget($"halted, {why}");
        else Exit(3, $"halted, {why}");
    }

    private void Forget(string why)
    {
        Report(why);
        Disconnect();
        Actions.Add(new(ActionKind.DiscardGuest));
        _replay.Clear();
        _session = null;
        _armed = null;
        _cloneEnd = null;
        _arbiter.Cancel();
        _reportedExecuted = 0;
        Phase = BackupPhase.Idle;
    }

    // The stream cannot be trusted: nothing more of it is taken. An armed backup may still be reached anew.
    private void Break(string why)
    {
        if (Phase == BackupPhase.Armed)
        {
            Report(why);
            Disconnect();
        }
        else Forget(why);
    }

    private void Acknowledge()
    {
        _reportedExecuted = _replay.ExecutedLsn;
        _acknowledgedUs = _nowUs;
        Send(new AckMessage(_replay.ReceivedLsn, _replay.ExecutedLsn, _echoSentUs));
    }

    private void Disconnect()
    {
        if (_connection != 0) Actions.Add(new(ActionKind.Disconnect) { Connection = _connection });
        _connection = 0;
    }

    private void Exit(int code, string why)
    {
        Disconnect();
        Phase = BackupPhase.Done;
        Actions.Add(new(ActionKind.Exit) { Number = (ulong)code, Text = why });
    }

    private void Send(Message message)
    {
        if (_connection != 0) Actions.Add(new(ActionKind.Send) { Connection = _connection, Message = message });
    }

    private void Report(string text) => Actions.Add(new(ActionKind.Report) { Text = text });
}
