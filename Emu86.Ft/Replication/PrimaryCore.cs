// The primary's role as a pure state machine: events in, actions out; no clock, socket, thread or file (docs/ft-protocol.md).
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>Stamps inputs, appends the log, holds outputs, watches the backups. After every call the driver carries out
/// <see cref="Actions"/> in order and clears it. Times are the host's monotonic microseconds and never go back.</summary>
public sealed class PrimaryCore
{
    private const int MarkOffRetriesMax = 10;

    private readonly ProtocolOptions _options;
    private readonly PrimaryStart _start;
    private readonly OutputQueue _held = new();
    private ulong _nextHashNs;
    private ulong _lastWrite;
    private ulong _releasedLsn;
    private bool _mustAsk;
    private bool _paused;
    private ArbiterValue? _probed;
    private EndedRecord? _end;
    private long _endedUs;
    private bool _offRecorded;
    private bool _stops;
    private bool _moves;
    private bool _handedOver;
    private string? _handsOverBecause;

    public PrimaryCore(ProtocolOptions options, PrimaryStart start, long nowUs)
    {
        _options = options;
        _start = start;
        NowUs = nowUs;
        Arbiter = new(options.ArbiterRetryUs, Actions);
        Members = new(this, start);
        Candidates = new(this, options, start);
        Writer = new(this, options);
        Lag = new(options.MaxLagUs);
        Position = start.Position;
        Epoch = start.Epoch;
        OutputOrdinal = ReleasedUpTo = start.OutputOrdinal;
        _lastWrite = start.UndurableWrite;
        if (Epoch == 0) Arbiter.Ask(ArbiterRequestKind.Read, 0, null);
        else
        {
            Stage = PrimaryPhase.Unprotected;
            Candidates.LookFor();
        }
    }

    public List<CoreAction> Actions { get; } = [];

    /// <summary>What this primary is doing; while it is live, how far the backup that has come farthest is.</summary>
    public PrimaryPhase Phase
    {
        get
        {
            PrimaryPhase phase = Stage;
            if (Stage == PrimaryPhase.Unprotected)
            {
                foreach (BackupLink link in Links) phase = link.Phase > phase ? link.Phase : phase;
            }
            return phase;
        }
    }

    public ulong Epoch { get; private set; }

    /// <summary>The last boundary that the driver told.</summary>
    public Position Position { get; private set; }

    public LogBuffer Log { get; } = new();

    public LagController Lag { get; }

    /// <summary>Outputs that wait for acknowledgements.</summary>
    public int OutputsHeld => _held.Count;

    /// <summary>Ordinal of the last output that left.</summary>
    public ulong ReleasedUpTo { get; private set; }

    /// <summary>Gated outputs produced in the guest's life.</summary>
    public ulong OutputOrdinal { get; private set; }

    /// <summary>The guest has ended in good order on this side.</summary>
    public bool HasEnded => _end is not null;

    /// <summary>Enough backups have confirmed that they are armed: a failure of this host loses nothing.</summary>
    public bool IsProtected => Stage == PrimaryPhase.Unprotected && Members.Current.Count > 0 && Links.Count(l => l.ArmedConfirmed) >= Members.Quorum;

    /// <summary>What is known of each backup, in the order in which they came.</summary>
    public IEnumerable<BackupView> Backups => Links.Select(l => new BackupView(l.Id, l.Phase, l.ArmedConfirmed, l.Progress?.LagUs(NowUs) ?? 0, l.LeaseUntilUs));

    /// <summary>So many members must acknowledge before an output leaves; 0 while there is none.</summary>
    public int Quorum => Members.Quorum;

    /// <summary>Age of the oldest record that a backup has not executed, in microseconds.</summary>
    public long LagUs => Links.Where(l => l.Progress is not null).Select(l => l.Progress!.LagUs(NowUs)).DefaultIfEmpty().Max();

    internal long NowUs { get; private set; }

    /// <summary>Like <see cref="Phase"/>, but Unprotected means live, however many backups there are.</summary>
    internal PrimaryPhase Stage { get; private set; }

    /// <summary>The backups: members, those on their way, and at most one that is being asked or cloned to.</summary>
    internal List<BackupLink> Links { get; } = [];

    internal Membership Members { get; }

    internal Recruiter Candidates { get; }

    internal LogWriter Writer { get; }

    internal ArbiterAsker Arbiter { get; }

    internal ulong DurableUpTo { get; private set; }

    internal bool HasLog => Stage is not (PrimaryPhase.Starting or PrimaryPhase.Ended) && Links.Exists(l => l.Progress is not null);

    /// <summary>Time passes; to be called at least every few milliseconds, also when nothing else happens.</summary>
    public void Tick(long nowUs)
    {
        if (!Observe(nowUs)) return;
        Arbiter.Tick(nowUs);
        if (Stage == PrimaryPhase.Unprotected) Candidates.Tick();
        for (int n = Links.Count - 1; n >= 0; n--)
        {
            if (n < Links.Count) Links[n].Tick(nowUs);
        }
        if (Stage == PrimaryPhase.Ended) return;
        UpdateSpeed();
        if (Stage is not (PrimaryPhase.HandingOver or PrimaryPhase.Ending)) Writer.Tick(_paused);
        Settle();
    }

    /// <summary>An input from the host: it is stamped with the current boundary, logged, and injected by the action that follows.</summary>
    public void Input(long nowUs, InputEvent input)
    {
        if (!Observe(nowUs)) return;
        Writer.Append(new InputRecord(Position, input));
        Actions.Add(new(ActionKind.Inject) { Input = input, Position = Position });
    }

    /// <summary>The machine produced a gated output in the slice that <see cref="Ran"/> will report: no other call comes
    /// between the two.</summary>
    public void Produced(Output output)
    {
        _held.Add(new(output, ++OutputOrdinal, Log.NextLsn));
        if (output.Kind == OutputKind.DiskWrite) _lastWrite = OutputOrdinal;
        Writer.Produced(output);
    }

    /// <summary>A slice has ended (or virtual time moved while halted).</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="position">The boundary reached; all outputs up to it have been told.</param>
    /// <param name="halted">The processor waits for an interrupt.</param>
    /// <param name="mayHash">False: a state hash cannot be taken here.</param>
    public void Ran(long nowUs, Position position, bool halted, bool mayHash = true)
    {
        if (!Observe(nowUs)) return;
        Check.That(position >= Position);
        Position = position;
        // Not while a clone is streamed: what its pages hash to is found out there, and given to the machine with the end. Nor while
        // all backups catch up, from a state whose hash was compared: both have better to do.
        if (mayHash && position.VirtualTimeNs >= _nextHashNs && Links.Exists(l => l.Phase > PrimaryPhase.CatchingUp) && !Links.Exists(l => l.Phase == PrimaryPhase.Cloning))
        {
            _nextHashNs = position.VirtualTimeNs + _options.HashEveryNs;
            Actions.Add(new(ActionKind.TakeStateHash) { Position = position });
        }
        Writer.Ran(halted);
        ReleaseWhatMayLeave();
        UpdatePause();
    }

    /// <summary>The hash that TakeStateHash asked for, at <see cref="Position"/>.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="hash">Of the whole state.</param>
    /// <param name="units">4 bytes for each unit, for the other side's evidence; may be empty.</param>
    public void StateHash(long nowUs, UInt128 hash, ReadOnlyMemory<byte> units = default)
    {
        if (Observe(nowUs)) Writer.Append(new StateHashRecord(Position, hash, units));
    }

    /// <summary>Shared disk: all writes among the outputs up to this ordinal are durable.</summary>
    public void DiskWritesDurable(ulong upToOrdinal) => DurableUpTo = Math.Max(DurableUpTo, upToOrdinal);

    /// <param name="nowUs">Host time.</param>
    /// <param name="link">Who asked for it.</param>
    /// <param name="connection">Its number.</param>
    public void ConnectionOpened(long nowUs, int link, int connection)
    {
        if (!Observe(nowUs)) return;
        if (Links.Find(l => l.Id == link) is { } opened) opened.Opened(nowUs, connection);
        else Actions.Add(new(ActionKind.Disconnect) { Connection = connection });
    }

    /// <param name="nowUs">Host time.</param>
    /// <param name="link">Who asked for the connection.</param>
    /// <param name="refused">The host answered that nobody listens: the process is gone.</param>
    public void ConnectFailed(long nowUs, int link, bool refused)
    {
        if (Observe(nowUs)) Links.Find(l => l.Id == link)?.Failed(refused);
    }

    public void ConnectionClosed(long nowUs, int connection)
    {
        if (!Observe(nowUs)) return;
        foreach (BackupLink link in Links.ToArray()) link.Closed(nowUs, connection);
    }

    public void Received(long nowUs, int connection, Message message)
    {
        if (!Observe(nowUs)) return;
        foreach (BackupLink link in Links.ToArray()) link.Received(nowUs, connection, message);
        if (Stage != PrimaryPhase.Ended) Settle();
    }

    public void HeartbeatReceived(long nowUs, HeartbeatMessage heartbeat)
    {
        if (!Observe(nowUs)) return;
        foreach (BackupLink link in Links) link.HeartbeatReceived(nowUs, heartbeat);
        ReleaseWhatMayLeave();
    }

    /// <summary>The clone's state was captured at <see cref="Position"/>: the log begins here, unless there are backups that have it already.</summary>
    public void SnapshotTaken(long nowUs)
    {
        if (!Observe(nowUs) || Links.Find(l => l.Phase == PrimaryPhase.Cloning) is not { } link) return;
        if (!HasLog)
        {
            Log.Reset();
            _releasedLsn = 0;
            _nextHashNs = Position.VirtualTimeNs + _options.HashEveryNs;
            Writer.Begin();
        }
        link.SnapshotTaken(_lastWrite);
    }

    /// <summary>All of the clone's chunks have been sent.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="stateHash">Of the state that was captured.</param>
    public void CloneStreamed(long nowUs, UInt128 stateHash)
    {
        if (Observe(nowUs)) Links.Find(l => l.Phase == PrimaryPhase.Cloning)?.CloneStreamed(stateHash);
    }

    public void OwnerProbed(long nowUs, bool answers)
    {
        if (!Observe(nowUs) || Stage != PrimaryPhase.Starting || _probed is not { } value) return;
        if (answers) Halt($"the guest '{_start.Machine.Name}' is already live at {value.OwnerAddress} in epoch {value.Epoch}");
        else StartFrom(value.Epoch);
    }

    public void ArbiterAnswered(long nowUs, in ArbiterAnswer answer)
    {
        if (!Observe(nowUs) || Arbiter.Settle(nowUs, answer) is not { } request) return;
        if (answer.Verdict == ArbiterVerdict.Done && Stage != PrimaryPhase.Starting) Confirmed(request, answer.Current);
        else if (Stage == PrimaryPhase.Starting) StartAnswered(request, answer);
        else Lost(answer.Current);
        if (Stage != PrimaryPhase.Ended) Settle();
    }

    /// <summary>The operator ends the run: a protected primary hands over, an unprotected one ends the guest in good order.</summary>
    public void Stop(long nowUs)
    {
        if (!Observe(nowUs)) return;
        // A move that the operator does not wait for is none any more: should it fail, the guest ends.
        _moves = false;
        if (Phase == PrimaryPhase.Armed) BeginHandOver(null);
        else if (Stage == PrimaryPhase.Starting) Exit(0, "stopped before the guest ran");
        else if (Stage == PrimaryPhase.Disarming) _stops = true;
        else if (Stage == PrimaryPhase.Unprotected) End(new(Position, EndReason.Operator, 0));
    }

    /// <summary>The guest is to go on at a candidate's host. That one becomes the backup, in place of another one, and is handed over to.
    /// When this fails, the guest stays here, and a backup is looked for as before.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="candidate">A number for Connect; may be one beyond the list.</param>
    /// <returns>False when it cannot be asked for now: an epoch is being won, or this side hands over or ends already.</returns>
    public bool Move(long nowUs, int candidate)
    {
        if (!Observe(nowUs) || Stage != PrimaryPhase.Unprotected) return false;
        Candidates.Move(candidate);
        UpdatePause();
        return true;
    }

    /// <summary>The move's last step: the backup is armed.</summary>
    internal void HandOver(BackupLink to)
    {
        _moves = true;
        BeginHandOver(to);
    }

    private void BeginHandOver(BackupLink? to)
    {
        Writer.AppendFrontier();
        Writer.Append(new HandOverRecord(Position, (to ?? Links.Where(l => l.Phase == PrimaryPhase.Armed).MaxBy(l => l.Progress!.ReceivedLsn)!).Backup));
        _stops = true;
        Stage = PrimaryPhase.HandingOver;
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
        if (Stage == PrimaryPhase.Unprotected) End(new(Position, EndReason.Operator, 0));
    }

    /// <summary>Wins the next epoch without a backup that is lost; until then nothing leaves.</summary>
    internal void Disarm(string reason)
    {
        Report($"backup lost ({reason}); asking the arbiter for epoch {Epoch + 1}");
        Stage = PrimaryPhase.Disarming;
        if (Arbiter.Pending is not { Kind: ArbiterRequestKind.Claim }) Arbiter.Cancel();
        if (Arbiter.Pending is null) Members.Shrink(_releasedLsn);
        UpdatePause();
    }

    /// <summary>A backup may become a member: what it does not know of has left and is durable, and the arbiter is not busy.</summary>
    /// <param name="outputOrdinal">Outputs that were made before its clone: it cannot send them.</param>
    /// <param name="lastWrite">The last disk write before its clone: kept by others only, until it is durable.</param>
    internal bool MayArm(ulong outputOrdinal, ulong lastWrite) => Stage == PrimaryPhase.Unprotected && !_mustAsk && Arbiter.Pending is null
        && ReleasedUpTo >= outputOrdinal && (_held.Count == 0 || Members.Current.Count > 0) && lastWrite <= DurableUpTo;

    /// <summary>A session is over.</summary>
    internal void Dropped(BackupLink link)
    {
        Links.Remove(link);
        TrimLog();
        UpdateSpeed();
    }

    /// <summary>A backup has received or executed more.</summary>
    internal void Acknowledged() => TrimLog();

    internal void Report(string text) => Actions.Add(new(ActionKind.Report) { Text = text });

    internal void UpdatePause()
    {
        if (Stage == PrimaryPhase.Ended) return;
        long part = _paused ? 4 : 3;
        bool full = Log.Bytes * part >= _options.LogBytesMax * 3 || _held.Bytes * part >= _options.OutputBytesMax * 3;
        bool pause = full || Stage is PrimaryPhase.HandingOver or PrimaryPhase.Ending;
        if (pause == _paused) return;
        _paused = pause;
        Actions.Add(new(pause ? ActionKind.PauseGuest : ActionKind.ResumeGuest));
    }

    // What follows from whatever happened.
    private void Settle()
    {
        if (Stage == PrimaryPhase.Disarming && Arbiter.Pending is null) Members.Shrink(_releasedLsn);
        ReleaseWhatMayLeave();
        FinishWhenRecorded();
        if (Stage == PrimaryPhase.HandingOver && Links.TrueForAll(l => l.Phase != PrimaryPhase.Armed || l.Progress!.HasReceivedAll)) HandedOver();
        UpdatePause();
    }

    private void TrimLog()
    {
        ulong upTo = Log.NextLsn - 1;
        foreach (BackupLink link in Links) upTo = Math.Min(upTo, link.Progress?.ExecutedLsn ?? upTo);
        Log.Trim(upTo);
    }

    // The slowest backup governs: the log is kept until it has executed it, and it may be the one that goes live.
    private void UpdateSpeed()
    {
        int before = Lag.Speed;
        BackupLink? slowest = null;
        foreach (BackupLink link in Links)
        {
            if (link.IsLoaded && (slowest is null || link.Progress!.LagUs(NowUs) > slowest.Progress!.LagUs(NowUs))) slowest = link;
        }
        if (slowest is null) Lag.Reset();
        else Lag.Update(NowUs, slowest.Progress!.LagUs(NowUs), slowest.SpeedMin(NowUs, Lag.WaitingUs));
        if (Lag.Speed != before) Actions.Add(new(ActionKind.SetSpeed) { Number = (ulong)Lag.Speed });
    }

    /// <summary>Notes the time. After a gap, in which this process may have been frozen while another went live, nothing
    /// leaves before the arbiter has said that the epoch is still ours. False when this core has ended.</summary>
    private bool Observe(long nowUs)
    {
        if (Stage == PrimaryPhase.Ended) return false;
        Check.That(nowUs >= NowUs);
        bool gap = nowUs - NowUs > _options.FailureTimeoutUs / 2;
        NowUs = nowUs;
        if (!gap || Stage == PrimaryPhase.Starting) return true;
        _mustAsk = true;
        if (Arbiter.Pending is null) Arbiter.Ask(ArbiterRequestKind.Read, Epoch, null);
        else Arbiter.Repeat();
        foreach (BackupLink link in Links) link.Woke(nowUs);
        return true;
    }

    /// <summary>Whether what stands in the log before this number would outlive this side: by the output rule, as for an output that was produced
    /// then, or because it was handed over with the guest. So it is without a backup, too: there is nothing to outlive in.</summary>
    public bool Outlives(ulong lsn) => MayLeave(new WaitingOutput(default!, 0, lsn)) || _handedOver;

    private bool MayLeave(in WaitingOutput output)
    {
        if (_mustAsk || Stage != PrimaryPhase.Unprotected) return false;
        if (Members.Current.Count > 0) return Members.Protects(output);
        ulong afterLsn = output.AfterLsn;
        return Links.TrueForAll(l => l.Phase != PrimaryPhase.Arming || l.Progress!.ReceivedFrontierLsn >= afterLsn);
    }

    private void ReleaseWhatMayLeave()
    {
        while (_held.TryPeek(out WaitingOutput waiting) && MayLeave(waiting))
        {
            _held.Take();
            ReleasedUpTo = waiting.Ordinal;
            _releasedLsn = waiting.AfterLsn;
            Actions.Add(new(ActionKind.Release) { Output = waiting.Output, Number = waiting.Ordinal });
            if (waiting.Output.Kind == OutputKind.PowerOff) End(new(Position, EndReason.PowerOff, 0));
            else if (waiting.Output.Kind == OutputKind.GuestExit) End(new(Position, EndReason.GuestExit, waiting.Output.Value));
        }
    }

    private void End(EndedRecord end)
    {
        // A backup that has no whole clone cannot use the end.
        foreach (BackupLink link in Links.FindAll(l => l.Phase < PrimaryPhase.CatchingUp)) link.Drop();
        Writer.AppendFrontier();
        Writer.Append(end);
        _end = end;
        _endedUs = NowUs;
        Stage = PrimaryPhase.Ending;
        Arbiter.Ask(ArbiterRequestKind.Update, Epoch, Members.Value(Epoch, GuestState.Off, []));
        UpdatePause();
    }

    // The backups are given the chance to learn of the end from the log; if they cannot, the arbiter tells them.
    private void FinishWhenRecorded()
    {
        if (Stage != PrimaryPhase.Ending || !(_offRecorded || Arbiter.Retries >= MarkOffRetriesMax)) return;
        if (Links.TrueForAll(l => l.Progress!.HasReceivedAll) || NowUs - _endedUs > _options.FailureTimeoutUs) Finish();
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
            Members.Confirmed(request.Wanted);
            Stage = PrimaryPhase.Unprotected;
            Actions.Add(new(ActionKind.Live) { Number = Epoch });
            Candidates.LookFor();
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
        Arbiter.Ask(ArbiterRequestKind.Start, epoch, Members.Value(epoch + 1, GuestState.Live, []));
    }

    private void Confirmed(ArbiterRequest request, ArbiterValue? current)
    {
        if (request.Kind == ArbiterRequestKind.Read && (current is null || current.Epoch != Epoch || current.Owner != _start.Self))
        {
            Lost(current);
            return;
        }
        _mustAsk = false;
        if (request.Wanted is { State: GuestState.Live } value) Members.Confirmed(value);
        if (Stage == PrimaryPhase.Disarming && request.Kind == ArbiterRequestKind.Claim) Disarmed(request.Wanted!.Epoch);
        else if (Stage == PrimaryPhase.Unprotected && Links.Find(l => l.Phase == PrimaryPhase.Arming) is { } link && request.Kind == ArbiterRequestKind.Update)
        {
            SayMembers();
            link.Armed();
        }
        else if (Stage == PrimaryPhase.Ending && request.Kind == ArbiterRequestKind.Update)
        {
            _offRecorded = true;
            FinishWhenRecorded();
        }
    }

    private void Disarmed(ulong epoch)
    {
        Epoch = epoch;
        // Another one may be lost meanwhile.
        if (!Members.IsWhole) return;
        Stage = PrimaryPhase.Unprotected;
        Actions.Add(new(ActionKind.Live) { Number = Epoch });
        int left = Members.Current.Count;
        Report(left == 0 ? "backup lost, unprotected" : $"backup lost, {left} left");
        if (left > 0) SayMembers();
        bool stops = _stops && !_moves && (_handsOverBecause is null || left > 0);
        if (!stops)
        {
            // A failing host without a partner is the guest's to know about.
            (_stops, _moves, _handsOverBecause) = (false, false, null);
            Candidates.LookFor();
        }
        else if (left > 0) BeginHandOver(null);
        else StopUnprotected();
    }

    // What was released before is behind a frontier: whoever knows that it is a member has all of that.
    private void SayMembers()
    {
        Writer.AppendFrontier();
        Writer.Append(new ArmedRecord(Epoch, Members.Quorum, Members.Current));
    }

    // There is no backup to hand over to any more: what it has not seen leaves, then the guest ends as without one.
    private void StopUnprotected()
    {
        ReleaseWhatMayLeave();
        if (Stage == PrimaryPhase.Unprotected) End(new(Position, EndReason.Operator, 0));
    }

    private void Lost(ArbiterValue? current)
    {
        if (_stops && Stage != PrimaryPhase.Ending) HandedOver();
        else Halt($"epoch {current?.Epoch ?? 0} belongs to another");
    }

    private void HandedOver()
    {
        _handedOver = true;
        if (_handsOverBecause is null) Exit(0, "handed over to the backup");
        else Exit(1, $"handed over to the backup: {_handsOverBecause}");
    }

    private void Halt(string why) => Exit(3, $"halted, {why}");

    private void Exit(int code, string why)
    {
        Stage = PrimaryPhase.Ended;
        foreach (BackupLink link in Links.ToArray()) link.Drop();
        Arbiter.Cancel();
        Actions.Add(new(ActionKind.Exit) { Number = (ulong)code, Text = why });
    }
}

/// <summary>What is known of one backup.</summary>
/// <param name="Link">Its link's number.</param>
/// <param name="Phase">From Offering to Armed.</param>
/// <param name="IsProtecting">It is a member and knows it.</param>
/// <param name="LagUs">Age of the oldest record that it has not executed.</param>
/// <param name="LeaseUntilUs">Until when its lease allows releases, in the primary's clock.</param>
public readonly record struct BackupView(int Link, PrimaryPhase Phase, bool IsProtecting, long LagUs, long LeaseUntilUs);
