// The primary's role as a pure state machine: events in, actions out; no clock, socket, thread or file (docs/ft-protocol.md).
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

public enum PrimaryPhase
{
    /// <summary>Wins its first epoch; the guest does not run yet.</summary>
    Starting,

    /// <summary>Live without a backup; looks for one.</summary>
    Unprotected,

    /// <summary>A candidate is being asked.</summary>
    Offering,

    /// <summary>State and disks are being copied to the backup.</summary>
    Cloning,

    /// <summary>The backup loads the clone and replays up to the present.</summary>
    CatchingUp,

    /// <summary>Outputs wait for acknowledgements; the arbiter records the backup as a member.</summary>
    Arming,

    /// <summary>Protected: the backup may go live.</summary>
    Armed,

    /// <summary>The backup is lost: the next epoch must be won before anything more leaves.</summary>
    Disarming,

    /// <summary>Leaves; the backup is to go live at once.</summary>
    HandingOver,

    /// <summary>The guest ended in good order; this is being recorded.</summary>
    Ending,

    /// <summary>Nothing leaves any more.</summary>
    Ended,
}

/// <summary>What a primary begins with.</summary>
public sealed record PrimaryStart
{
    /// <summary>Identity of this process, as the arbiter knows it; never used by another one.</summary>
    public required Guid Self { get; init; }

    /// <summary>Where this process can be asked whether it lives.</summary>
    public string Address { get; init; } = "";

    public required MachineIdentity Machine { get; init; }

    /// <summary>Number of places where a backup may be found.</summary>
    public int Candidates { get; init; }

    /// <summary>0: a new guest, which wins an epoch first. Else the epoch that going live has won.</summary>
    public ulong Epoch { get; init; }

    public Position Position { get; init; }

    /// <summary>Gated outputs the guest has produced so far.</summary>
    public ulong OutputOrdinal { get; init; }

    /// <summary>Ordinal of the last shared-disk write that is not known durable; 0 when there is none.</summary>
    public ulong UndurableWrite { get; init; }

    /// <summary>A random number: first of the session ids that this primary uses.</summary>
    public ulong SessionSeed { get; init; } = 1;

    /// <summary>Random bytes that authenticate the heartbeats.</summary>
    public ReadOnlyMemory<byte> HeartbeatKey { get; init; }

    /// <summary>Names of this side's own disk copies, kept in the arbiter's set of current ones.</summary>
    public IReadOnlyList<string> OwnDisks { get; init; } = [];
}

/// <summary>Stamps inputs, appends the log, holds outputs, watches the backup. After every call the driver carries out
/// <see cref="Actions"/> in order and clears it. Times are the host's monotonic microseconds and never go back.</summary>
public sealed class PrimaryCore
{
    private const int MarkOffRetriesMax = 10;

    private readonly ProtocolOptions _options;
    private readonly PrimaryStart _start;
    private readonly ArbiterAsker _arbiter;
    private readonly OutputQueue _held = new();
    private readonly BackupLink _backup;
    private long _nowUs;
    private long _lastFrontierUs = long.MinValue / 2;
    private ulong _nextHashNs;
    private Position _lastFrontier;
    private ulong _producedOrdinal;
    private ulong _durableUpTo;
    private ulong _lastWrite;
    private ulong _lastWriteBeforeClone;
    private bool _mustAsk;
    private bool _paused;
    private bool _halted;
    private bool _recordSinceFrontier;
    private ulong _frontierOrdinal;
    private ulong _toldReleased;
    private ulong _toldDurable;
    private ArbiterValue? _probed;
    private EndedRecord? _end;
    private long _endedUs;
    private bool _offRecorded;
    private bool _stops;
    private bool _moves;
    private string? _handsOverBecause;

    public PrimaryCore(ProtocolOptions options, PrimaryStart start, long nowUs)
    {
        _options = options;
        _start = start;
        _nowUs = nowUs;
        _arbiter = new(options.ArbiterRetryUs, Actions);
        _backup = new(this, options, start);
        Position = start.Position;
        Epoch = start.Epoch;
        _producedOrdinal = ReleasedUpTo = start.OutputOrdinal;
        _lastWrite = start.UndurableWrite;
        if (Epoch == 0) _arbiter.Ask(ArbiterRequestKind.Read, 0, null);
        else
        {
            Phase = PrimaryPhase.Unprotected;
            _backup.LookFor(nowUs);
        }
    }

    public List<CoreAction> Actions { get; } = [];

    public PrimaryPhase Phase { get; internal set; }

    public ulong Epoch { get; private set; }

    /// <summary>The last boundary that the driver told.</summary>
    public Position Position { get; private set; }

    public LogBuffer Log { get; } = new();

    public LagController Lag => _backup.Lag;

    /// <summary>Outputs that wait for an acknowledgement.</summary>
    public int OutputsHeld => _held.Count;

    /// <summary>Ordinal of the last output that left.</summary>
    public ulong ReleasedUpTo { get; private set; }

    /// <summary>Gated outputs produced in the guest's life.</summary>
    public ulong OutputOrdinal => _producedOrdinal;

    /// <summary>The guest has ended in good order on this side.</summary>
    public bool HasEnded => _end is not null;

    /// <summary>The backup has confirmed that it is armed: a failure of this host loses nothing.</summary>
    public bool IsProtected => Phase == PrimaryPhase.Armed && _backup.ArmedConfirmed;

    /// <summary>Until when the lease allows releases, in this clock; only counts while armed.</summary>
    public long LeaseUntilUs => _backup.LeaseUntilUs;

    internal ArbiterAsker Arbiter => _arbiter;

    private bool HasLog => Phase is PrimaryPhase.CatchingUp or PrimaryPhase.Arming or PrimaryPhase.Armed or PrimaryPhase.HandingOver or PrimaryPhase.Ending
        || (Phase == PrimaryPhase.Cloning && _backup.SnapshotIsTaken);

    /// <summary>Time passes; to be called at least every few milliseconds, also when nothing else happens.</summary>
    public void Tick(long nowUs)
    {
        if (!Observe(nowUs)) return;
        _arbiter.Tick(nowUs);
        _backup.Tick(nowUs);
        AppendFrontierForStandingGuest();
        ReleaseWhatMayLeave();
        FinishWhenRecorded();
        UpdatePause();
    }

    /// <summary>An input from the host: it is stamped with the current boundary, logged, and injected by the action that follows.</summary>
    public void Input(long nowUs, InputEvent input)
    {
        if (!Observe(nowUs)) return;
        Append(new InputRecord(Position, input));
        Actions.Add(new(ActionKind.Inject) { Input = input, Position = Position });
    }

    /// <summary>The machine produced a gated output in the slice that <see cref="Ran"/> will report: no other call comes
    /// between the two.</summary>
    public void Produced(Output output)
    {
        _held.Add(new(output, ++_producedOrdinal, Log.NextLsn));
        if (output.Kind == OutputKind.DiskWrite) _lastWrite = _producedOrdinal;
    }

    /// <summary>A slice has ended (or virtual time moved while halted).</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="position">The boundary reached; all outputs up to it have been told.</param>
    /// <param name="halted">The processor waits for an interrupt.</param>
    public void Ran(long nowUs, Position position, bool halted)
    {
        if (!Observe(nowUs)) return;
        Check.That(position >= Position);
        Position = position;
        // Not while a clone is streamed: what its pages hash to is found out there, and given to the machine with the end. Nor while
        // the backup catches up, from a state whose hash was compared: both have better to do.
        if (HasLog && Phase is not (PrimaryPhase.Cloning or PrimaryPhase.CatchingUp) && position.VirtualTimeNs >= _nextHashNs)
        {
            _nextHashNs = position.VirtualTimeNs + _options.HashEveryNs;
            Actions.Add(new(ActionKind.TakeStateHash) { Position = position });
        }
        bool nowHalted = halted && !_halted;
        _halted = halted;
        bool quiet = position.Count - _lastFrontier.Count < _options.QuietInstructions;
        if (HasLog && (OutputWaitsForFrontier || (nowHalted && !quiet)
            || (nowUs - _lastFrontierUs >= (quiet ? _options.QuietFrontierUs : _options.FrontierUs) && (_recordSinceFrontier || position > _lastFrontier)))) AppendFrontier();
        ReleaseWhatMayLeave();
        UpdatePause();
    }

    /// <summary>The hash that TakeStateHash asked for, at <see cref="Position"/>.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="hash">Of the whole state.</param>
    /// <param name="units">4 bytes for each unit, for the other side's evidence; may be empty.</param>
    public void StateHash(long nowUs, UInt128 hash, ReadOnlyMemory<byte> units = default)
    {
        if (Observe(nowUs)) Append(new StateHashRecord(Position, hash, units));
    }

    /// <summary>Shared disk: all writes among the outputs up to this ordinal are durable.</summary>
    public void DiskWritesDurable(ulong upToOrdinal) => _durableUpTo = Math.Max(_durableUpTo, upToOrdinal);

    public void ConnectionOpened(long nowUs, int connection) { if (Observe(nowUs)) _backup.Opened(nowUs, connection); }

    /// <param name="nowUs">Host time.</param>
    /// <param name="refused">The host answered that nobody listens: the process is gone.</param>
    public void ConnectFailed(long nowUs, bool refused) { if (Observe(nowUs)) _backup.Failed(nowUs, refused); }

    public void ConnectionClosed(long nowUs, int connection) { if (Observe(nowUs)) _backup.Closed(nowUs, connection); }

    public void Received(long nowUs, int connection, Message message)
    {
        if (!Observe(nowUs)) return;
        _backup.Received(nowUs, connection, message);
        ReleaseWhatMayLeave();
        FinishWhenRecorded();
        UpdatePause();
    }

    public void HeartbeatReceived(long nowUs, HeartbeatMessage heartbeat)
    {
        if (!Observe(nowUs)) return;
        _backup.HeartbeatReceived(nowUs, heartbeat);
        ReleaseWhatMayLeave();
    }

    /// <summary>The clone's state was captured at <see cref="Position"/>: the log begins here.</summary>
    public void SnapshotTaken(long nowUs)
    {
        if (!Observe(nowUs) || Phase != PrimaryPhase.Cloning) return;
        Log.Reset();
        _lastWriteBeforeClone = _lastWrite;
        _nextHashNs = Position.VirtualTimeNs + _options.HashEveryNs;
        _lastFrontier = Position;
        _backup.SnapshotTaken();
    }

    /// <summary>All of the clone's chunks have been sent.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="stateHash">Of the state that was captured.</param>
    public void CloneStreamed(long nowUs, UInt128 stateHash)
    {
        if (Observe(nowUs)) _backup.CloneStreamed(stateHash);
    }

    public void OwnerProbed(long nowUs, bool answers)
    {
        if (!Observe(nowUs) || Phase != PrimaryPhase.Starting || _probed is not { } value) return;
        if (answers) Halt($"the guest '{_start.Machine.Name}' is already live at {value.OwnerAddress} in epoch {value.Epoch}");
        else StartFrom(value.Epoch);
    }

    public void ArbiterAnswered(long nowUs, in ArbiterAnswer answer)
    {
        if (!Observe(nowUs) || _arbiter.Settle(nowUs, answer) is not { } request) return;
        if (answer.Verdict == ArbiterVerdict.Done && Phase != PrimaryPhase.Starting) Confirmed(request, answer.Current);
        else if (Phase == PrimaryPhase.Starting) StartAnswered(request, answer);
        else Lost(answer.Current);
        ReleaseWhatMayLeave();
        UpdatePause();
    }

    /// <summary>The operator ends the run: a protected primary hands over, an unprotected one ends the guest in good order.</summary>
    public void Stop(long nowUs)
    {
        if (!Observe(nowUs)) return;
        // A move that the operator does not wait for is none any more: should it fail, the guest ends.
        _moves = false;
        if (Phase == PrimaryPhase.Armed)
        {
            BeginHandOver();
            return;
        }
        if (Phase == PrimaryPhase.Starting) Exit(0, "stopped before the guest ran");
        else if (Phase == PrimaryPhase.Disarming) _stops = true;
        else if (Phase is not (PrimaryPhase.HandingOver or PrimaryPhase.Ending)) End(new(Position, EndReason.Operator, 0));
    }

    /// <summary>The guest is to go on at a candidate's host. That one becomes the backup, in place of another one, and is handed over to.
    /// When this fails, the guest stays here, and a backup is looked for as before.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="candidate">A number for Connect; may be one beyond the list.</param>
    /// <returns>False when it cannot be asked for now: an epoch is being won, or this side hands over or ends already.</returns>
    public bool Move(long nowUs, int candidate)
    {
        if (!Observe(nowUs) || Phase is PrimaryPhase.Starting or PrimaryPhase.Disarming or PrimaryPhase.HandingOver or PrimaryPhase.Ending) return false;
        _backup.Move(nowUs, candidate);
        UpdatePause();
        return true;
    }

    /// <summary>The move's last step: the backup is armed.</summary>
    internal void HandOver()
    {
        _moves = true;
        BeginHandOver();
    }

    private void BeginHandOver()
    {
        AppendFrontier();
        Append(new HandOverRecord(Position));
        _stops = true;
        Phase = PrimaryPhase.HandingOver;
        UpdatePause();
    }

    /// <summary>This host cannot go on (its disk or memory fails): hands over, if the backup is armed.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="why">A sentence. The process will end with exit code 1.</param>
    /// <returns>False when there is nobody to hand over to.</returns>
    public bool GiveUp(long nowUs, string why)
    {
        if (!Observe(nowUs) || Phase is not (PrimaryPhase.Armed or PrimaryPhase.HandingOver)) return false;
        _handsOverBecause ??= why;
        if (Phase == PrimaryPhase.Armed) Stop(nowUs);
        return true;
    }

    /// <summary>The operator switches the guest off: the backup ends with it. Ignored while an epoch is being won or the guest ends.</summary>
    public void PowerOff(long nowUs)
    {
        if (!Observe(nowUs)) return;
        if (Phase is not (PrimaryPhase.Starting or PrimaryPhase.Disarming or PrimaryPhase.HandingOver or PrimaryPhase.Ending)) End(new(Position, EndReason.Operator, 0));
    }

    // A guest that is quiet, or stopped by a full buffer, may not run again soon: the backup nevertheless has to execute what
    // was logged and forget what has left, or it would never make room.
    private void AppendFrontierForStandingGuest()
    {
        if (!HasLog || Phase is PrimaryPhase.HandingOver or PrimaryPhase.Ending) return;
        bool isNews = _recordSinceFrontier || ReleasedUpTo > _toldReleased || _durableUpTo > _toldDurable;
        if (isNews && _nowUs - _lastFrontierUs >= (_paused ? _options.FrontierUs : _options.QuietFrontierUs)) AppendFrontier();
    }

    internal void Append(LogRecord record)
    {
        if (!HasLog) return;
        Log.Append(record, _nowUs);
        _recordSinceFrontier = record is not FrontierRecord;
        _backup.SendRecord(record);
        UpdatePause();
    }

    internal void AppendFrontier()
    {
        _lastFrontier = Position;
        _lastFrontierUs = _nowUs;
        _frontierOrdinal = _producedOrdinal;
        (_toldReleased, _toldDurable) = (ReleasedUpTo, _durableUpTo);
        Append(new FrontierRecord(Position, ReleasedUpTo, _durableUpTo, _nowUs, _producedOrdinal));
    }

    /// <summary>Wins the next epoch without the backup; until then nothing leaves.</summary>
    internal void Disarm(string reason)
    {
        Report($"backup lost ({reason}); asking the arbiter for epoch {Epoch + 1}");
        Phase = PrimaryPhase.Disarming;
        _arbiter.Ask(ArbiterRequestKind.Claim, Epoch, Value(Epoch + 1, GuestState.Live, []));
        UpdatePause();
    }

    /// <summary>The backup is to become a member: it is recorded before it is told.</summary>
    internal void Arm(Guid backup)
    {
        Phase = PrimaryPhase.Arming;
        _arbiter.Ask(ArbiterRequestKind.Update, Epoch, Value(Epoch, GuestState.Live, [backup]));
    }

    // A disk write from before the clone is kept by this side only: it must be durable before this side may fail.
    internal bool MayArm => !_mustAsk && _held.Count == 0 && _lastWriteBeforeClone <= _durableUpTo;

    internal void Exit(int code, string why)
    {
        Phase = PrimaryPhase.Ended;
        _backup.Drop();
        _arbiter.Cancel();
        Actions.Add(new(ActionKind.Exit) { Number = (ulong)code, Text = why });
    }

    internal void Report(string text) => Actions.Add(new(ActionKind.Report) { Text = text });

    // Outputs are numbered in order, so the last one decides whether any was made after the last frontier.
    private bool OutputWaitsForFrontier => _held.Count > 0 && _producedOrdinal > _frontierOrdinal;

    /// <summary>Notes the time. After a gap, in which this process may have been frozen while another went live, nothing
    /// leaves before the arbiter has said that the epoch is still ours. False when this core has ended.</summary>
    private bool Observe(long nowUs)
    {
        if (Phase == PrimaryPhase.Ended) return false;
        Check.That(nowUs >= _nowUs);
        bool gap = nowUs - _nowUs > _options.FailureTimeoutUs / 2;
        _nowUs = nowUs;
        if (!gap || Phase == PrimaryPhase.Starting) return true;
        _mustAsk = true;
        if (_arbiter.Pending is null) _arbiter.Ask(ArbiterRequestKind.Read, Epoch, null);
        else _arbiter.Repeat();
        _backup.Woke(nowUs);
        return true;
    }

    private bool MayLeave(in WaitingOutput output) => !_mustAsk && Phase switch
    {
        PrimaryPhase.Unprotected or PrimaryPhase.Offering or PrimaryPhase.Cloning or PrimaryPhase.CatchingUp => true,
        PrimaryPhase.Arming => Log.ReceivedFrontierLsn >= output.AfterLsn,
        PrimaryPhase.Armed => _nowUs < LeaseUntilUs && Log.ReceivedFrontierLsn >= output.AfterLsn,
        _ => false,
    };

    private void ReleaseWhatMayLeave()
    {
        while (_held.TryPeek(out WaitingOutput waiting) && MayLeave(waiting))
        {
            _held.Take();
            ReleasedUpTo = waiting.Ordinal;
            Actions.Add(new(ActionKind.Release) { Output = waiting.Output, Number = waiting.Ordinal });
            if (waiting.Output.Kind == OutputKind.PowerOff) End(new(Position, EndReason.PowerOff, 0));
            else if (waiting.Output.Kind == OutputKind.GuestExit) End(new(Position, EndReason.GuestExit, waiting.Output.Value));
        }
    }

    private void End(EndedRecord end)
    {
        // A backup that has no whole clone cannot use the end.
        if (Phase is PrimaryPhase.Offering or PrimaryPhase.Cloning) _backup.Drop();
        AppendFrontier();
        Append(end);
        _end = end;
        _endedUs = _nowUs;
        Phase = PrimaryPhase.Ending;
        _arbiter.Ask(ArbiterRequestKind.Update, Epoch, Value(Epoch, GuestState.Off, []));
        UpdatePause();
    }

    // The backup is given the chance to learn of the end from the log; if it cannot, the arbiter tells it.
    private void FinishWhenRecorded()
    {
        if (Phase != PrimaryPhase.Ending || !(_offRecorded || _arbiter.Retries >= MarkOffRetriesMax)) return;
        if (Log.ReceivedLsn + 1 == Log.NextLsn || !_backup.HasSession || _nowUs - _endedUs > _options.FailureTimeoutUs) Finish();
    }

    private void Finish() => Exit(_end!.Reason == EndReason.GuestExit ? (int)((_end.ExitValue << 1) | 1) & 0xFF : 0, _end.Reason switch
    {
        EndReason.PowerOff => "the guest powered off",
        EndReason.GuestExit => "the guest ended the program",
        _ => "stopped",
    });

    private void StartAnswered(ArbiterRequest request, in ArbiterAnswer answer)
    {
        if (request.Kind == ArbiterRequestKind.Start && answer.Verdict == ArbiterVerdict.Done)
        {
            Epoch = request.Wanted!.Epoch;
            Phase = PrimaryPhase.Unprotected;
            Actions.Add(new(ActionKind.Live) { Number = Epoch });
            _backup.LookFor(_nowUs);
            return;
        }
        // A read, or a start that another one won meanwhile: look who it is.
        if (answer.Current is { State: GuestState.Live } value && value.Owner != _start.Self)
        {
            _probed = value;
            Actions.Add(new(ActionKind.ProbeOwner) { Text = value.OwnerAddress });
        }
        else StartFrom(answer.Current?.Epoch ?? 0);
    }

    private void StartFrom(ulong epoch)
    {
        _probed = null;
        _arbiter.Ask(ArbiterRequestKind.Start, epoch, Value(epoch + 1, GuestState.Live, []));
    }

    private void Confirmed(ArbiterRequest request, ArbiterValue? current)
    {
        if (request.Kind == ArbiterRequestKind.Read && (current is null || current.Epoch != Epoch || current.Owner != _start.Self))
        {
            Lost(current);
            return;
        }
        _mustAsk = false;
        switch (Phase)
        {
            case PrimaryPhase.Disarming:
                Epoch = request.Wanted!.Epoch;
                Phase = PrimaryPhase.Unprotected;
                Actions.Add(new(ActionKind.Live) { Number = Epoch });
                Report("backup lost, unprotected");
                if (_stops && !_moves && _handsOverBecause is null)
                {
                    StopUnprotected();
                    break;
                }
                // A failing host without a partner is the guest's to know about.
                (_stops, _moves, _handsOverBecause) = (false, false, null);
                _backup.LookFor(_nowUs);
                break;
            case PrimaryPhase.Arming when request.Kind == ArbiterRequestKind.Update:
                AppendFrontier();
                Append(new ArmedRecord(Epoch));
                Phase = PrimaryPhase.Armed;
                _backup.ArmedSent();
                break;
            case PrimaryPhase.Ending when request.Kind == ArbiterRequestKind.Update:
                _offRecorded = true;
                FinishWhenRecorded();
                break;
        }
    }

    // There is no backup to hand over to any more: what it has not seen leaves, then the guest ends as without one.
    private void StopUnprotected()
    {
        ReleaseWhatMayLeave();
        if (Phase == PrimaryPhase.Unprotected) End(new(Position, EndReason.Operator, 0));
    }

    private void Lost(ArbiterValue? current)
    {
        if (_stops && Phase != PrimaryPhase.Ending) HandedOver();
        else Halt($"epoch {current?.Epoch ?? 0} belongs to another");
    }

    internal void HandedOver()
    {
        if (_handsOverBecause is null) Exit(0, "handed over to the backup");
        else Exit(1, $"handed over to the backup: {_handsOverBecause}");
    }

    private void Halt(string why) => Exit(3, $"halted, {why}");

    private void UpdatePause()
    {
        if (Phase == PrimaryPhase.Ended) return;
        long part = _paused ? 4 : 3;
        bool full = Log.Bytes * part >= _options.LogBytesMax * 3 || _held.Bytes * part >= _options.OutputBytesMax * 3;
        bool pause = full || Phase is PrimaryPhase.HandingOver or PrimaryPhase.Ending;
        if (pause == _paused) return;
        _paused = pause;
        Actions.Add(new(pause ? ActionKind.PauseGuest : ActionKind.ResumeGuest));
    }

    private ArbiterValue Value(ulong epoch, GuestState state, Guid[] members) =>
        new(epoch, _start.Self, _start.Address, state, members, _start.OwnDisks);
}
