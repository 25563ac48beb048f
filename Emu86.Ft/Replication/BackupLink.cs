// The primary's view of one backup: connection, session, lease, loss. Part of PrimaryCore, which owns the log and the members.
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>One session with one backup, from the first connection to its loss.</summary>
/// <param name="core">Whose backup it is.</param>
/// <param name="options">The protocol's numbers.</param>
/// <param name="start">What the primary began with.</param>
/// <param name="id">Number of this link; never used again.</param>
/// <param name="candidate">Where the backup is.</param>
/// <param name="session">Number of the session.</param>
/// <param name="nowUs">Host time.</param>
internal sealed class BackupLink(PrimaryCore core, ProtocolOptions options, PrimaryStart start, int id, int candidate, ulong session, long nowUs)
{
    private enum LinkState
    {
        Down,
        Connecting,
        Greeting,
        Up,
    }

    private readonly long _sessionStartUs = nowUs;
    private LinkState _state;
    private int _connection;
    private long _connectAtUs;
    private long _connectingSinceUs;
    private long _lastHeardUs = nowUs;
    private long _heartbeatAtUs;
    private ulong _armedLsn = ulong.MaxValue;
    private (Position At, ulong OutputOrdinal, ulong NextLsn, ulong LastWrite) _snapshot;
    private CatchUp? _catchUp;
    private ulong _executedLsn;
    private long _executedUs;

    public int Id => id;

    public int Candidate => candidate;

    public ulong Session => session;

    /// <summary>From Offering to Armed.</summary>
    public PrimaryPhase Phase { get; private set; } = PrimaryPhase.Offering;

    /// <summary>Identity of the backup's process, once it has answered.</summary>
    public Guid Backup { get; private set; }

    /// <summary>Where other backups reach it.</summary>
    public string Address { get; private set; } = "";

    /// <summary>Its place in the log; null before the state that it gets was captured.</summary>
    public LogProgress? Progress { get; private set; }

    /// <summary>It executes what it gets.</summary>
    public bool IsLoaded { get; private set; }

    /// <summary>It knows that it is a member: its acknowledgements and its lease count.</summary>
    public bool ArmedConfirmed => Phase == PrimaryPhase.Armed && Progress!.ReceivedLsn >= _armedLsn;

    public long LeaseUntilUs { get; private set; } = long.MinValue;

    /// <summary>It is a member, or is being recorded as one: it is not given up without winning the next epoch.</summary>
    private bool IsArming => Phase is PrimaryPhase.Arming or PrimaryPhase.Armed;

    public void Tick(long nowUs)
    {
        switch (Phase)
        {
            case PrimaryPhase.Offering when nowUs - _sessionStartUs > options.ReconnectTimeoutUs:
                Abandon("no answer");
                return;
            case PrimaryPhase.Cloning or PrimaryPhase.CatchingUp when nowUs - _lastHeardUs > options.ReconnectTimeoutUs:
                Abandon("no sign of life");
                return;
            case PrimaryPhase.CatchingUp when IsLoaded && Progress!.ExecutedLsn >= _snapshot.NextLsn && Progress.LagUs(nowUs) <= options.MaxLagUs
                && core.MayArm(_snapshot.OutputOrdinal, _snapshot.LastWrite):
                Phase = PrimaryPhase.Arming;
                core.Members.Arm(this);
                break;
        }
        if (IsArming) Watch(nowUs);
        if (IsLoaded) WatchExecution(nowUs);
        if (Phase != PrimaryPhase.Offering && nowUs >= _heartbeatAtUs)
        {
            _heartbeatAtUs = nowUs + options.HeartbeatUs;
            core.Actions.Add(new(ActionKind.SendHeartbeat) { Link = id, Message = new HeartbeatMessage(session, true, nowUs) });
        }
    }

    /// <summary>Slowest speed at which the guest may run for this backup's sake.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="waitingUs">What it has still to execute, in microseconds at full speed.</param>
    public int SpeedMin(long nowUs, long waitingUs) => Phase == PrimaryPhase.CatchingUp ? _catchUp!.Update(nowUs, waitingUs) : LagController.SpeedMin;

    public void Connect(long nowUs)
    {
        _state = LinkState.Connecting;
        _connectingSinceUs = nowUs;
        _connectAtUs = nowUs + options.FailureTimeoutUs / 4;
        core.Actions.Add(new(ActionKind.Connect) { Link = id, Number = (ulong)candidate });
    }

    public void Opened(long nowUs, int connection)
    {
        if (_state != LinkState.Connecting)
        {
            core.Actions.Add(new(ActionKind.Disconnect) { Connection = connection });
            return;
        }
        _state = LinkState.Greeting;
        _connection = connection;
        _connectingSinceUs = nowUs;
        Send(new HelloMessage(new(start.Machine, core.Epoch, session, Phase != PrimaryPhase.Offering, start.HeartbeatKey)));
    }

    public void Failed(bool refused)
    {
        if (_state != LinkState.Connecting) return;
        _state = LinkState.Down;
        if (Phase == PrimaryPhase.Offering) Abandon(null);
        else if (refused) Lose("its process is gone");
    }

    public void Closed(long nowUs, int connection)
    {
        if (connection != _connection || _state == LinkState.Down) return;
        _connection = 0;
        _state = LinkState.Down;
        _connectAtUs = nowUs;
        if (!IsArming && core.Stage != PrimaryPhase.Ending) Abandon("the connection broke before it was armed");
    }

    public void Received(long nowUs, int connection, Message message)
    {
        if (connection != _connection) return;
        _lastHeardUs = nowUs;
        switch (message)
        {
            case WelcomeMessage welcome when _state == LinkState.Greeting && welcome.SessionId == session: Welcomed(welcome); break;
            case RefusedMessage refused when _state == LinkState.Greeting: Lose(refused.Sentence); break;
            case CloneLoadedMessage { Problem.Length: > 0 } loaded: Lose(loaded.Problem); break;
            case CloneLoadedMessage when Phase == PrimaryPhase.CatchingUp: Loaded(nowUs); break;
            case AckMessage ack when _state == LinkState.Up && Progress is not null: Acknowledged(nowUs, ack); break;
            case DivergedMessage diverged: Lose($"diverged at count {diverged.Position.Count}"); break;
            case LeaveMessage leave: Lose(leave.Sentence); break;
            default: Lose($"it sent a {message.Type} message out of place"); break;
        }
    }

    public void HeartbeatReceived(long nowUs, HeartbeatMessage heartbeat)
    {
        if (heartbeat.SessionId != session || heartbeat.FromPrimary) return;
        _lastHeardUs = nowUs;
        Grant(nowUs, heartbeat.SentUs);
    }

    /// <summary>The guest is not to be protected from there any more. The backup would claim when it hears nothing more, and lose; so it
    /// can be a candidate again.</summary>
    public void Dismiss(string why)
    {
        if (IsArming && _state == LinkState.Up) Send(new RefusedMessage(why));
        Lose(why);
    }

    /// <summary>The state that it gets was captured: the log goes on from here.</summary>
    /// <param name="lastWrite">Ordinal of the last shared-disk write before that.</param>
    public void SnapshotTaken(ulong lastWrite)
    {
        _snapshot = (core.Position, core.OutputOrdinal, core.Log.NextLsn, lastWrite);
        Progress = new LogProgress(core.Log, core.Log.NextLsn - 1);
    }

    public void CloneStreamed(UInt128 stateHash)
    {
        Check.That(Progress is not null);
        Send(new CloneEndMessage(_snapshot.At, stateHash, _snapshot.OutputOrdinal, _snapshot.NextLsn));
        Phase = PrimaryPhase.CatchingUp;
        SendFrom(_snapshot.NextLsn);
        core.Writer.AppendFrontier();
    }

    public void SendRecord(LogRecord record)
    {
        if (_state == LinkState.Up && Phase > PrimaryPhase.Cloning) Send(record);
    }

    /// <summary>The arbiter holds it as a member, and the log's last record says so.</summary>
    public void Armed()
    {
        Phase = PrimaryPhase.Armed;
        _armedLsn = core.Log.NextLsn - 1;
    }

    /// <summary>It is no member after all, and may become one later.</summary>
    public void NotArmed()
    {
        if (!IsArming) return;
        Phase = PrimaryPhase.CatchingUp;
        _armedLsn = ulong.MaxValue;
    }

    /// <summary>This process may have been frozen: what the backup sent meanwhile has still to be read.</summary>
    public void Woke(long nowUs) => _lastHeardUs = _executedUs = nowUs;

    /// <summary>Ends the session without a word about it.</summary>
    public void Drop()
    {
        if (Phase == PrimaryPhase.Cloning) core.Actions.Add(new(ActionKind.AbortClone));
        Disconnect();
        core.Dropped(this);
    }

    private void Watch(long nowUs)
    {
        // Told to go live, it says nothing more.
        if (core.Stage == PrimaryPhase.HandingOver && Progress!.HasReceivedAll) return;
        if (nowUs - _lastHeardUs > options.FailureTimeoutUs) Lose("no sign of life");
        else if (Progress!.UnacknowledgedUs(nowUs) > options.ReconnectTimeoutUs) Lose("it lives but acknowledges nothing");
        else if (_state == LinkState.Down && nowUs >= _connectAtUs) Connect(nowUs);
        else if (_state is LinkState.Connecting or LinkState.Greeting && nowUs - _connectingSinceUs > options.FailureTimeoutUs) Disconnect();
    }

    // Whatever stops it (its outputs are not the primary's, so that it waits for ever to be told that they left), it would
    // hold the guest at a crawl and could not be compared by any hash.
    private void WatchExecution(long nowUs)
    {
        if (Progress!.ExecutedLsn != _executedLsn || Progress.HasExecutedAll) (_executedLsn, _executedUs) = (Progress.ExecutedLsn, nowUs);
        else if (nowUs - _executedUs > options.ReconnectTimeoutUs) Lose("it lives but executes nothing");
    }

    private void Loaded(long nowUs)
    {
        (IsLoaded, _executedUs) = (true, nowUs);
        // The lag is an age: in it there is as much less to execute as the guest is slower.
        _catchUp = new CatchUp(nowUs, options.MaxLagUs * CatchUp.Speed / LagController.FullSpeed);
    }

    private void Welcomed(WelcomeMessage welcome)
    {
        _state = LinkState.Up;
        if (Phase == PrimaryPhase.Offering)
        {
            (Backup, Address) = (welcome.Backup, welcome.Address);
            Phase = PrimaryPhase.Cloning;
            core.Actions.Add(new(ActionKind.BeginClone) { Connection = _connection });
            return;
        }
        if (welcome.Backup != Backup || welcome.ReceivedLsn < Progress!.ReceivedLsn || !Progress.Acknowledge(welcome.ReceivedLsn, Progress.ExecutedLsn))
        {
            Lose("it has not what it acknowledged");
            return;
        }
        SendFrom(welcome.ReceivedLsn + 1);
    }

    private void Acknowledged(long nowUs, AckMessage ack)
    {
        if (!Progress!.Acknowledge(ack.ReceivedLsn, ack.ExecutedLsn))
        {
            Lose("it acknowledged what was never sent");
            return;
        }
        Grant(nowUs, ack.EchoSentUs);
        core.Acknowledged();
    }

    // Counted from when the answered message was sent: the backup, which heard it later, waits longer than the lease.
    private void Grant(long nowUs, long echoSentUs)
    {
        if (echoSentUs >= _sessionStartUs && echoSentUs <= nowUs) LeaseUntilUs = Math.Max(LeaseUntilUs, echoSentUs + options.LeaseUs);
    }

    private void Lose(string reason)
    {
        if (core.Stage == PrimaryPhase.Ending) Drop();
        else if (IsArming)
        {
            core.Candidates.NotMoved(candidate, reason);
            Drop();
            core.Disarm(reason);
        }
        else Abandon(reason);
    }

    // Not armed: nothing has to be won before the next candidate is tried.
    private void Abandon(string? reason)
    {
        if (reason is not null) core.Report($"candidate {candidate} dropped: {reason}");
        core.Candidates.NotMoved(candidate, reason ?? "nobody answers there");
        Drop();
        core.Candidates.After(candidate);
    }

    private void SendFrom(ulong lsn)
    {
        for (; lsn < core.Log.NextLsn; lsn++) Send(core.Log.Record(lsn));
    }

    private void Disconnect()
    {
        if (_connection != 0) core.Actions.Add(new(ActionKind.Disconnect) { Connection = _connection });
        _connection = 0;
        _state = LinkState.Down;
    }

    private void Send(Message message) => core.Actions.Add(new(ActionKind.Send) { Connection = _connection, Message = message });
}
