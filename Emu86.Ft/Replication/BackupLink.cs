// The primary's view of its backup: connection, session, lease, loss. Part of PrimaryCore, which owns phase and log.
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>Finds a candidate, keeps the session with it, and says when it is lost.</summary>
internal sealed class BackupLink(PrimaryCore core, ProtocolOptions options, PrimaryStart start)
{
    private enum LinkState
    {
        Down,
        Connecting,
        Greeting,
        Up,
    }

    private LinkState _state;
    private int _connection;
    private int _candidate;
    private int _current;
    private int? _moveTo;
    private ulong _session = start.SessionSeed;
    private long _sessionStartUs;
    private long _connectAtUs;
    private long _connectingSinceUs;
    private long _lastHeardUs;
    private long _heartbeatAtUs;
    private Guid _backup;
    private ulong _armedLsn;
    private (Position At, ulong OutputOrdinal, ulong NextLsn)? _snapshot;
    private bool _loaded;
    private long _loadedUs;
    private ulong _executedLsn;
    private long _executedUs;

    public LagController Lag { get; } = new(options.MaxLagUs);

    public bool HasSession { get; private set; }

    public bool SnapshotIsTaken => _snapshot is not null;

    public bool ArmedConfirmed => core.Log.ReceivedLsn >= _armedLsn;

    public long LeaseUntilUs { get; private set; } = long.MinValue;

    private bool IsArming => core.Phase is PrimaryPhase.Arming or PrimaryPhase.Armed or PrimaryPhase.HandingOver;

    public void LookFor(long nowUs) => _connectAtUs = nowUs;

    public void Tick(long nowUs)
    {
        switch (core.Phase)
        {
            case PrimaryPhase.Unprotected when (start.Candidates > 0 || _moveTo is not null) && nowUs >= _connectAtUs:
                BeginSession(nowUs);
                break;
            case PrimaryPhase.Offering when nowUs - _sessionStartUs > options.ReconnectTimeoutUs:
                Abandon(nowUs, "no answer");
                break;
            case PrimaryPhase.Cloning or PrimaryPhase.CatchingUp when nowUs - _lastHeardUs > options.ReconnectTimeoutUs:
                Abandon(nowUs, "no sign of life");
                break;
            case PrimaryPhase.CatchingUp when _loaded && core.MayArm && core.Log.ExecutedLsn > 0 && core.Log.LagUs(nowUs) <= options.MaxLagUs:
                core.Arm(_backup);
                break;
            case PrimaryPhase.Armed when _moveTo == _current && ArmedConfirmed:
                core.HandOver();
                break;
        }
        if (IsArming) Watch(nowUs);
        if (_loaded) WatchExecution(nowUs);
        if (HasSession && core.Phase != PrimaryPhase.Offering && nowUs >= _heartbeatAtUs)
        {
            _heartbeatAtUs = nowUs + options.HeartbeatUs;
            core.Actions.Add(new(ActionKind.SendHeartbeat) { Message = new HeartbeatMessage(_session, true, nowUs) });
        }
        if (_loaded && Lag.Update(nowUs, core.Log.LagUs(nowUs), SpeedMin(nowUs))) SetSpeed();
    }

    // What a new backup has to catch up costs the guest a tenth of its speed at most; and more only when that does not bring it near.
    private int SpeedMin(long nowUs) => core.Phase == PrimaryPhase.CatchingUp
        ? (int)Math.Clamp(LagController.CatchUpSpeed - (nowUs - _loadedUs - LagController.CatchUpUs) / 10_000, LagController.SpeedMin, LagController.CatchUpSpeed)
        : LagController.SpeedMin;

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
        Send(new HelloMessage(new(start.Machine, core.Epoch, _session, core.Phase != PrimaryPhase.Offering, start.HeartbeatKey)));
    }

    public void Failed(long nowUs, bool refused)
    {
        if (_state != LinkState.Connecting) return;
        _state = LinkState.Down;
        if (core.Phase == PrimaryPhase.Offering) Abandon(nowUs, null);
        else if (refused) Lose(nowUs, "its process is gone");
    }

    public void Closed(long nowUs, int connection)
    {
        if (connection != _connection || _state == LinkState.Down) return;
        _connection = 0;
        _state = LinkState.Down;
        _connectAtUs = nowUs;
        if (!IsArming && HasSession && core.Phase != PrimaryPhase.Ending) Abandon(nowUs, "the connection broke before it was armed");
    }

    public void Received(long nowUs, int connection, Message message)
    {
        if (connection != _connection || !HasSession) return;
        _lastHeardUs = nowUs;
        switch (message)
        {
            case WelcomeMessage welcome when _state == LinkState.Greeting && welcome.SessionId == _session: Welcomed(nowUs, welcome); break;
            case RefusedMessage refused when _state == LinkState.Greeting: Lose(nowUs, refused.Sentence); break;
            case CloneLoadedMessage { Problem.Length: > 0 } loaded: Lose(nowUs, loaded.Problem); break;
            case CloneLoadedMessage when core.Phase == PrimaryPhase.CatchingUp: (_loaded, _loadedUs, _executedUs) = (true, nowUs, nowUs); break;
            case AckMessage ack when _state == LinkState.Up: Acknowledged(nowUs, ack); break;
            case DivergedMessage diverged: Lose(nowUs, $"diverged at count {diverged.Position.Count}"); break;
            case LeaveMessage leave: Lose(nowUs, leave.Sentence); break;
            default: Lose(nowUs, $"it sent a {message.Type} message out of place"); break;
        }
    }

    public void HeartbeatReceived(long nowUs, HeartbeatMessage heartbeat)
    {
        if (!HasSession || heartbeat.SessionId != _session || heartbeat.FromPrimary) return;
        _lastHeardUs = nowUs;
        Grant(nowUs, heartbeat.SentUs);
    }

    /// <summary>The guest is to go on at this candidate's: it becomes the backup, and is handed over to as soon as it is armed.</summary>
    public void Move(long nowUs, int candidate)
    {
        const string Why = "the guest moves to another host";
        _moveTo = candidate;
        if (HasSession && _current == candidate) return;
        if (IsArming)
        {
            // It would claim when it hears nothing more, and lose; so it can be a candidate again.
            if (_state == LinkState.Up) Send(new RefusedMessage(Why));
            Drop();
            core.Disarm(Why);
        }
        else if (HasSession) Abandon(nowUs, Why);
        _connectAtUs = nowUs;
    }

    public void SnapshotTaken() => _snapshot = (core.Position, core.OutputOrdinal, core.Log.NextLsn);

    public void CloneStreamed(UInt128 stateHash)
    {
        if (core.Phase != PrimaryPhase.Cloning) return;
        Check.That(SnapshotIsTaken);
        (Position at, ulong outputOrdinal, ulong nextLsn) = _snapshot!.Value;
        Send(new CloneEndMessage(at, stateHash, outputOrdinal, nextLsn));
        core.Phase = PrimaryPhase.CatchingUp;
        SendFrom(1);
        core.AppendFrontier();
    }

    public void SendRecord(LogRecord record)
    {
        if (_state == LinkState.Up && core.Phase != PrimaryPhase.Cloning) Send(record);
    }

    public void ArmedSent() => _armedLsn = core.Log.NextLsn - 1;

    /// <summary>This process may have been frozen: what the backup sent meanwhile has still to be read.</summary>
    public void Woke(long nowUs) => _lastHeardUs = _executedUs = nowUs;

    /// <summary>Ends the session without a word about it.</summary>
    public void Drop()
    {
        if (core.Phase == PrimaryPhase.Cloning) core.Actions.Add(new(ActionKind.AbortClone));
        if (_connection != 0) core.Actions.Add(new(ActionKind.Disconnect) { Connection = _connection });
        _connection = 0;
        _state = LinkState.Down;
        _loaded = HasSession = false;
        _snapshot = null;
        LeaseUntilUs = long.MinValue;
        _armedLsn = ulong.MaxValue;
        core.Log.Reset();
        bool slowed = Lag.Speed != LagController.FullSpeed;
        Lag.Reset();
        if (slowed) SetSpeed();
    }

    private void BeginSession(long nowUs)
    {
        Drop();
        _session++;
        _current = _moveTo ?? _candidate;
        HasSession = true;
        _sessionStartUs = _lastHeardUs = nowUs;
        core.Phase = PrimaryPhase.Offering;
        Connect(nowUs);
    }

    private void Connect(long nowUs)
    {
        _state = LinkState.Connecting;
        _connectingSinceUs = nowUs;
        _connectAtUs = nowUs + options.FailureTimeoutUs / 4;
        core.Actions.Add(new(ActionKind.Connect) { Number = (ulong)_current });
    }

    private void Watch(long nowUs)
    {
        if (nowUs - _lastHeardUs > options.FailureTimeoutUs) Lose(nowUs, "no sign of life");
        else if (core.Log.UnacknowledgedUs(nowUs) > options.ReconnectTimeoutUs) Lose(nowUs, "it lives but acknowledges nothing");
        else if (_state == LinkState.Down && nowUs >= _connectAtUs) Connect(nowUs);
        else if (_state is LinkState.Connecting or LinkState.Greeting && nowUs - _connectingSinceUs > options.FailureTimeoutUs)
        {
            if (_connection != 0) core.Actions.Add(new(ActionKind.Disconnect) { Connection = _connection });
            _connection = 0;
            _state = LinkState.Down;
        }
    }

    // Whatever stops it (its outputs are not the primary's, so that it waits for ever to be told that they left), it would
    // hold the guest at a crawl and could not be compared by any hash.
    private void WatchExecution(long nowUs)
    {
        if (core.Log.ExecutedLsn != _executedLsn || core.Log.ExecutedLsn + 1 == core.Log.NextLsn) (_executedLsn, _executedUs) = (core.Log.ExecutedLsn, nowUs);
        else if (nowUs - _executedUs > options.ReconnectTimeoutUs) Lose(nowUs, "it lives but executes nothing");
    }

    private void Welcomed(long nowUs, WelcomeMessage welcome)
    {
        _state = LinkState.Up;
        if (core.Phase == PrimaryPhase.Offering)
        {
            _backup = welcome.Backup;
            core.Phase = PrimaryPhase.Cloning;
            core.Actions.Add(new(ActionKind.BeginClone) { Connection = _connection });
            return;
        }
        if (welcome.Backup != _backup || welcome.ReceivedLsn < core.Log.ReceivedLsn || !core.Log.Acknowledge(welcome.ReceivedLsn, core.Log.ExecutedLsn))
        {
            Lose(nowUs, "it has not what it acknowledged");
            return;
        }
        SendFrom(welcome.ReceivedLsn + 1);
    }

    private void Acknowledged(long nowUs, AckMessage ack)
    {
        if (!core.Log.Acknowledge(ack.ReceivedLsn, ack.ExecutedLsn))
        {
            Lose(nowUs, "it acknowledged what was never sent");
            return;
        }
        Grant(nowUs, ack.EchoSentUs);
        if (core.Phase == PrimaryPhase.HandingOver && core.Log.ReceivedLsn + 1 == core.Log.NextLsn) core.HandedOver();
    }

    // Counted from when the answered message was sent: the backup, which heard it later, waits longer than the lease.
    private void Grant(long nowUs, long echoSentUs)
    {
        if (echoSentUs >= _sessionStartUs && echoSentUs <= nowUs) LeaseUntilUs = Math.Max(LeaseUntilUs, echoSentUs + options.LeaseUs);
    }

    private void Lose(long nowUs, string reason)
    {
        if (core.Phase == PrimaryPhase.Ending) Drop();
        else if (IsArming)
        {
            EndMove(reason);
            Drop();
            core.Disarm(reason);
        }
        else if (HasSession) Abandon(nowUs, reason);
    }

    // Nobody was armed: nothing has to be won before the next candidate is tried.
    private void Abandon(long nowUs, string? reason)
    {
        if (reason is not null) core.Report($"candidate {_current} dropped: {reason}");
        EndMove(reason ?? "nobody answers there");
        Drop();
        core.Phase = PrimaryPhase.Unprotected;
        // Those to which the guest was to be moved are not in the list.
        if (_current < start.Candidates) _candidate = (_current + 1) % start.Candidates;
        _connectAtUs = nowUs + (_candidate == 0 ? options.ConnectRetryUs : options.HeartbeatUs);
    }

    private void EndMove(string reason)
    {
        if (_moveTo != _current) return;
        _moveTo = null;
        core.Report($"the guest is not moved: {reason}");
    }

    private void SendFrom(ulong lsn)
    {
        for (; lsn < core.Log.NextLsn; lsn++) Send(core.Log.Record(lsn));
    }

    private void Send(Message message) => core.Actions.Add(new(ActionKind.Send) { Connection = _connection, Message = message });

    private void SetSpeed() => core.Actions.Add(new(ActionKind.SetSpeed) { Number = (ulong)Lag.Speed });
}
