// The primary: the live loop with the protocol core as its log and governor.
using System.Net;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Etcd;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Host.Status;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Carries a <see cref="PrimaryCore"/>'s actions out. Everything here runs on the emulation thread.</summary>
internal sealed class PrimaryDriver : IRunLog, IRunGovernor, ICoreEvents
{
    private const long SayProgressEveryUs = 10_000_000;

    /// <summary>So long a read of a shared disk is no sign of a hang: its server is waited for, and then the guest sees an error (NbdTimes).</summary>
    private const long SharedReadUs = 8_000_000;

    private readonly PairHost _host;
    private readonly Machine _machine;
    private readonly SnapshotDisk?[] _disks;
    private readonly GatedOutputs _outputs;
    private readonly SharedDisks? _shared;
    private readonly KeptOutputs? _kept;
    private readonly BackupReads? _backupReads;
    private readonly World _world;
    private readonly List<Peer> _candidates;
    private readonly List<(TaskCompletionSource<bool> Lasts, ulong? Lsn)> _operations = [];
    private readonly PrimaryCore _core;
    private readonly LiveLoop _loop;
    private readonly ReadOnlyMemory<byte> _heartbeatKey;
    private readonly Action<ulong> _epochWon;
    private readonly PrimaryEvidence _evidence;
    private readonly Queue<ulong> _hashes = new();
    private CloneSender? _clone;
    private long _cloneSaidUs;
    private readonly Dictionary<int, IPEndPoint> _peers = [];
    private readonly Dictionary<int, Peer> _chosen = [];
    private readonly Dictionary<int, Heartbeats> _heartbeats = [];
    private bool _isLive;
    private bool _isPaused;
    private readonly HashSet<int> _protecting = [];
    private bool _hasReleased;
    private bool _givesUp;
    private bool _stopSaid;
    private bool _snapshotFailed;
    private int? _exitCode;

    /// <param name="host">The process's links and arbiter.</param>
    /// <param name="machine">At the start's position; its outputs go to <paramref name="outputs"/>.</param>
    /// <param name="disks">The machine's drives.</param>
    /// <param name="outputs">Where the machine's outputs are collected.</param>
    /// <param name="world">Where they go when they may.</param>
    /// <param name="start">What the core begins with; candidates and heartbeat key are filled in here.</param>
    /// <param name="status">What is published about this side.</param>
    /// <param name="epochWon">Told of every epoch that is won, before the guest runs in it.</param>
    /// <param name="shared">The machine's drives where they are shared; <paramref name="disks"/> has none then.</param>
    public PrimaryDriver(PairHost host, Machine machine, SnapshotDisk?[] disks, GatedOutputs outputs, World world, PrimaryStart start, StatusBoard status, Action<ulong> epochWon, SharedDisks? shared = null)
    {
        _shared = shared;
        if (shared is not null)
        {
            _kept = new KeptOutputs(host.Protocol.OutputBytesMax);
            _backupReads = host.Options.BackupReads ? new BackupReads(shared.Release) : null;
            shared.Durable = ordinal => host.Queue.Post(() => Durable(ordinal));
            shared.Reading = (() => EachHeartbeat(h => h.Excuse(SharedReadUs)), () => EachHeartbeat(h => h.Excused()));
        }
        Status = status;
        (_host, _machine, _disks, _outputs, _world, _epochWon) = (host, machine, disks, outputs, world, epochWon);
        _candidates = [.. host.Addresses.Candidates];
        _heartbeatKey = PairHost.RandomKey();
        _evidence = new PrimaryEvidence(host.StateDirectory, host.Options.Name);
        _isLive = start.Epoch != 0;
        _outputs.Views = world.Outputs;
        _core = new PrimaryCore(host.Protocol, start with
        {
            // The last one stands for whichever host of the cluster is chosen.
            Candidates = _candidates.Count + (host.Candidates is null ? 0 : 1),
            OpenCandidate = host.Candidates is null ? -1 : _candidates.Count,
            Replicas = host.Options.Replicas,
            HeartbeatKey = _heartbeatKey,
            SessionSeed = PairHost.RandomNumber(),
        }, HostClock.NowUs);
        bool fixedClock = host.Options.FixedClock ?? false;
        var settings = new LiveSettings(host.Options.Slice, host.Options.StopAt ?? ulong.MaxValue, fixedClock, Paced: true)
        {
            // A snapshot's time goes on from where it was saved.
            PowerOnUnixNs = host.Options.Restore is null ? machine.Config.PowerOnUnixNs : null,
        };
        _loop = new LiveLoop(machine, host.Queue, settings, this, this)
        {
            DebtDropped = t => host.Report.Say($"the host stood still for {t.TotalSeconds:F1} s; the guest does not catch up"),
            DisksRead = shared is null ? null : LogReads,
            Waited = host.Patience is null ? null : host.Patience.TakeWaited,
        };
        if (host.Options is { SaveSnapshot: { } file, SaveSnapshotAt: { } at }) _loop.At.Add(at, () => SaveSnapshot(file));
        host.Events = this;
        // Armed, it hands over: the backup has a good copy. Of a shared disk there is none.
        if (host.Patience is { } patience) patience.MayWait = () => shared is not null || _core.Phase is not (PrimaryPhase.Armed or PrimaryPhase.HandingOver);
        machine.ScrubPages = Scrubbing.PagesPerHash(host.Options, machine.Config);
    }

    public StatusBoard Status { get; }

    public TimeSpan TurnEvery => _host.TurnEvery;

    public bool MayRun => _isLive && !_isPaused && _kept is not { IsFull: true } && _exitCode is null;

    public int Speed { get; private set; } = LagController.FullSpeed;

    private static long Now => HostClock.NowUs;

    /// <summary>Operations from the status port.</summary>
    public ControlPanel Control => new(_machine, _host.Queue, _loop, PowerOff, _host.StateDirectory) { Move = Move, Lasting = Lasting, Patience = _host.Patience };

    /// <summary>Runs until the guest ends, the run is stopped, or another side is live; returns the exit code.</summary>
    public int Run()
    {
        _loop.Run();
        AnswerOperations(ends: true);
        if (_loop.At.Count > 0) _host.Report.Say($"the run ended at count {_machine.Position.Count}, before count {_host.Options.SaveSnapshotAt}: no snapshot was written");
        return _exitCode == ExitCode.Ok && (_snapshotFailed || _loop.At.Count > 0 || _world.HasFailed) ? ExitCode.Failure : _exitCode!.Value;
    }

    public void Turn()
    {
        _host.Turn();
        _core.Tick(Now);
        MarkReads();
        if (_operations.Count > 0) AnswerOperations(ends: false);
        // A guest that ended the run without an output (a reset with --no-reboot) is over like one that powered off.
        if (_machine.IsOver) End();
        Pump();
        if (_kept is { IsFull: true } && _shared!.Problem is { } problem) _host.Report.SayOnce($"{problem}; the guest stands still until then: too much of what it has written waits");
        if (_clone is { } clone)
        {
            Freeze(clone);
            LimitLog(clone);
            SayProgress();
        }
        Publish();
    }

    public void StopReached()
    {
        if (!_stopSaid) _host.Report.Say($"the guest stands at count {_machine.Position.Count}, as asked");
        _stopSaid = true;
        End();
        Pump();
    }

    public void Input(Position at, InputEvent input) => _core.Input(Now, input);

    /// <summary>A protected primary hands over, and nobody ever sees what the guest made of the error: the backup executes from the last
    /// boundary on with its own disk. Without a partner the error is the guest's, by the log where there is one.</summary>
    public void DiskFailed(Position at, DiskFailure failure)
    {
        Failed(failure);
        Pump();
    }

    private void Failed(DiskFailure failure)
    {
        IBlockStore? disk = _shared is null ? _disks[failure.Drive] : _shared.Stores[failure.Drive];
        // A shared disk has one image: the other side could not do it either.
        if (_shared?.Stores[failure.Drive] is not null || !GiveUp(DiskErrors.Reason(failure.Drive, disk, _machine.Media)))
        {
            _host.Report.SayOnce(DiskErrors.Sentence(failure, disk, _machine.Media));
            _core.Input(Now, failure.AsInput());
        }
    }

    public bool WantsHash(Position at) => false;

    public void Hash(Position at, UInt128 hash)
    {
    }

    public void Boundary(Position at, bool idle)
    {
        // What was executed since the error is the backup's to execute; only if it is lost as well, this side goes on from here.
        if (_givesUp && _core.Phase is PrimaryPhase.HandingOver or PrimaryPhase.Ended) return;
        _givesUp = false;
        _outputs.Drain(output =>
        {
            _core.Produced(output);
            _kept?.Produced(output, _core.OutputOrdinal);
            Status.Delays.Made();
        });
        _core.Ran(Now, at, idle, mayHash: !_machine.WaitsForDisk);
        Pump();
    }

    public void Opened(Link link, int asked)
    {
        _peers[asked] = link.Remote;
        if (!_heartbeats.TryGetValue(asked, out Heartbeats? heartbeats)) _heartbeats.Add(asked, heartbeats = _host.NewHeartbeats());
        heartbeats.SendTo(_heartbeatKey, link.Remote);
        _core.ConnectionOpened(Now, asked, link.Id);
        Pump();
    }

    public void ConnectFailed(int asked, bool refused)
    {
        _core.ConnectFailed(Now, asked, refused);
        Pump();
    }

    public void Closed(Link link, string? problem)
    {
        // It is tried again every second.
        Action<string> say = link.IsGreeted ? _host.Report.Say : _host.Report.SayOnce;
        if (problem is not null) say($"connection to {link.Remote} ended: {problem}");
        _core.ConnectionClosed(Now, link.Id);
        Pump();
    }

    public void Received(Link link, Message message)
    {
        // The answer to block hashes is the clone's business, not the protocol's.
        if (message is CloneDiskWantMessage wanted && _clone is { } clone && clone.Connection == link.Id)
        {
            clone.Wanted(wanted);
            return;
        }
        if (message is DivergedMessage diverged)
        {
            Status.Diverged++;
            string file = _evidence.Write(diverged, _core.Epoch, _machine.Config);
            _host.Report.Say($"diverged at count {diverged.Position.Count}, evidence in {file}");
        }
        _core.Received(Now, link.Id, message);
        Pump();
    }

    public void Heartbeat(HeartbeatMessage heartbeat)
    {
        _core.HeartbeatReceived(Now, heartbeat);
        Pump();
    }

    public void Answered(ArbiterAnswer answer)
    {
        _core.ArbiterAnswered(Now, answer);
        Pump();
    }

    public void OwnerProbed(bool answers)
    {
        _core.OwnerProbed(Now, answers);
        Pump();
    }

    public void StopAsked()
    {
        _core.Stop(Now);
        Pump();
    }

    private void PowerOff()
    {
        _core.PowerOff(Now);
        Pump();
    }

    private Task<bool> Lasting()
    {
        TaskCompletionSource<bool> lasts = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _operations.Add((lasts, null));
        return lasts.Task;
    }

    private void AnswerOperations(bool ends)
    {
        for (int n = _operations.Count - 1; n >= 0; n--)
        {
            (TaskCompletionSource<bool> lasts, ulong? lsn) = _operations[n];
            // What was put is taken first; then the log has it.
            if (lsn is null && !_host.Queue.TryPeek(out _)) _operations[n] = (lasts, lsn = _core.Log.NextLsn);
            bool outlives = lsn is { } end && _core.Outlives(end);
            if (!outlives && !ends) continue;
            lasts.SetResult(outlives);
            _operations.RemoveAt(n);
        }
    }

    private ControlAnswer Move(Endpoint to)
    {
        var at = Peer.Of(to, "move", _host.Tls is not null);
        IPEndPoint heartbeats = _host.Addresses.PrimaryHeartbeats;
        if (at.At.AddressFamily != heartbeats.AddressFamily || (IPAddress.IsLoopback(heartbeats.Address) && !IPAddress.IsLoopback(at.At.Address)))
        {
            return ControlAnswer.Refused($"{to} cannot be reached with the addresses that this side was started with; give it --backups of the same kind");
        }
        int candidate = _candidates.IndexOf(at);
        if (candidate < 0)
        {
            candidate = _candidates.Count;
            _candidates.Add(at);
        }
        if (!_core.Move(Now, candidate)) return ControlAnswer.Refused("not while an epoch is being won, or the guest is handed over or ends; ask again");
        Pump();
        return ControlAnswer.Done($"moving to {at}");
    }

    // Both sides end here, and nobody goes live. Not before the last output has left; and asked again each turn, because it
    // is not done while an epoch is being won.
    private void End()
    {
        if (_core.OutputsHeld == 0) _core.PowerOff(Now);
    }

    // A full disk is no reason to end a guest that is alive: it is said, and the exit code tells it in the end.
    private void SaveSnapshot(string file)
    {
        try
        {
            SnapshotFile.Write("--save-snapshot", file, _machine);
        }
        catch (HostException e)
        {
            _snapshotFailed = true;
            _host.Report.Say(e.Message);
        }
    }

    private void Pump()
    {
        while (_core.Actions.Count > 0)
        {
            // Answers that come while actions are carried out add to the core's list.
            CoreAction[] taken = [.. _core.Actions];
            _core.Actions.Clear();
            foreach (CoreAction action in taken) Carry(action);
        }
        _host.Flush();
        if (_hasReleased) _world.Flush();
        _hasReleased = false;
        WriteWhatIsRead();
        SayProtection();
        ForgetLinks();
    }

    private void ForgetLinks()
    {
        if (Math.Max(_peers.Count, _heartbeats.Count) <= _core.Backups.Count()) return;
        foreach (int link in _peers.Keys.Concat(_heartbeats.Keys).Concat(_chosen.Keys).Except(_core.Backups.Select(b => b.Link)).ToArray())
        {
            _peers.Remove(link);
            _chosen.Remove(link);
            _protecting.Remove(link);
            if (_heartbeats.Remove(link, out Heartbeats? heartbeats)) heartbeats.Dispose();
        }
    }

    private void SayProtection()
    {
        foreach (BackupView backup in _core.Backups)
        {
            if (!backup.IsProtecting) _protecting.Remove(backup.Link);
            else if (_protecting.Add(backup.Link)) _host.Report.Say($"protected by {_peers[backup.Link]}");
        }
    }

    private void Carry(in CoreAction action)
    {
        switch (action.Kind)
        {
            case ActionKind.Connect: Connect(action.Link, (int)action.Number); break;
            case ActionKind.ProbeOwner: _host.ProbeOwner(action.Text!); break;
            case ActionKind.Live:
                // Nothing of the guest may be said before its disk is this side's.
                if (!_isLive) _shared?.Start(action.Number, _host.WaitsOn);
                _epochWon(action.Number);
                _world.Announce(_host.Options.Name, _machine.Config.Mac, action.Number);
                if (!_isLive) _host.Report.Say($"role primary epoch {action.Number}");
                _isLive = true;
                break;
            case ActionKind.PauseGuest: _isPaused = true; break;
            case ActionKind.ResumeGuest: _isPaused = false; break;
            case ActionKind.SetSpeed: Speed = (int)action.Number; break;
            // The live loop, which told the core of the input, hands it to the machine itself.
            case ActionKind.Inject: break;
            case ActionKind.TakeStateHash: TakeStateHash(action.Position); break;
            case ActionKind.BeginClone: BeginClone(action.Connection); break;
            case ActionKind.AbortClone: EndClone(); break;
            case ActionKind.Release:
                Status.Delays.Left();
                _kept?.Released(action.Number);
                if (action.Output!.Kind != OutputKind.DiskWrite) _world.Outputs.Emit(action.Output);
                else if (_backupReads is not null) _backupReads.Release(action.Output, action.Number);
                else _shared!.Release(action.Output, action.Number);
                _hasReleased = true;
                break;
            case ActionKind.SendHeartbeat: _heartbeats[action.Link].Publish((HeartbeatMessage)action.Message!); break;
            case ActionKind.Exit: Exit((int)action.Number, action.Text!); break;
            default:
                if (!_host.Carry(action)) throw new InvalidOperationException($"a primary cannot {action.Kind}");
                break;
        }
    }

    private void EachHeartbeat(Action<Heartbeats> act)
    {
        foreach (Heartbeats heartbeats in _heartbeats.Values) act(heartbeats);
    }

    private void Connect(int link, int candidate)
    {
        if (candidate < _candidates.Count) _host.Connect(_candidates[candidate], link);
        // The backup of a session is reached again where it was.
        else if (_chosen.TryGetValue(link, out Peer? chosen)) _host.Connect(chosen, link);
        else Choose(link, _host.Candidates!);
    }

    private void Choose(int link, ClusterCandidates cluster)
    {
        long guestBytes = _machine.Config.MemoryBytes;
        Task.Run(async () =>
        {
            Peer? chosen = await cluster.ChooseAsync(guestBytes);
            _host.Queue.Post(() =>
            {
                if (chosen is null) ConnectFailed(link, refused: true);
                else _host.Connect(_chosen[link] = chosen, link);
            });
        });
    }

    // Stamped with the boundary from which they were executed: before the frontier that lets the backup do so.
    private void LogReads()
    {
        if (_shared is null) return;
        // One that is being cloned to cannot be waited for that long: for it, and for all, the log has what was read.
        bool isLogged = _backupReads is null || _core.Backups.Any(b => b.Phase is > PrimaryPhase.Offering and not PrimaryPhase.Armed);
        foreach (SharedRead read in _shared.TakeReads())
        {
            if (isLogged) _core.Input(Now, read.AsInput());
            else _backupReads!.Read(read, _machine.Position, isBehind: _machine.Position == _core.Position);
        }
    }

    private void MarkReads()
    {
        if (_backupReads is not { WantsMark: true } || _core.Phase != PrimaryPhase.Armed) return;
        ulong lsn = _core.Log.NextLsn;
        _core.Input(Now, SharedRead.Mark);
        _backupReads.Marked(_core.Position, lsn);
    }

    // Not while an epoch is being won: the backup that was lost may win, and read first. Nor while the guest is handed over, or its end
    // is not recorded yet.
    private void WriteWhatIsRead()
    {
        if (_backupReads is null || _core.Phase is PrimaryPhase.Disarming or PrimaryPhase.HandingOver or PrimaryPhase.Ending) return;
        bool isRead = _core.Backups.Any(b => b.Phase is PrimaryPhase.Arming or PrimaryPhase.Armed);
        if (_exitCode is null && isRead) _backupReads.Executed(_core.Log.FirstLsn);
        else if (_exitCode is null || (_core.HasEnded && _exitCode != ExitCode.HaltedByOther)) _backupReads.Finish();
    }

    private void Durable(ulong ordinal)
    {
        _core.DiskWritesDurable(ordinal);
        _kept?.Durable(ordinal);
        Pump();
    }

    private bool GiveUp(string why)
    {
        if (!_core.GiveUp(Now, why)) return false;
        _givesUp = true;
        return true;
    }

    private void TakeStateHash(Position at)
    {
        _machine.Settle();
        LogReads();
        foreach (DiskFailure failure in _machine.TakeDiskFailures()) Failed(failure);
        if (_givesUp) return;
        UInt128 hash = _machine.StateHash(out IReadOnlyList<(string, UInt128)> units);
        _evidence.Hashed(at, _core.Log.NextLsn, hash, units);
        _hashes.Enqueue(_core.Log.NextLsn);
        _core.StateHash(Now, hash, UnitHashes.Parts(units));
        if (_machine.TakeDamagedPage() is not { } page) return;
        string sentence = $"memory of this host changed without being written, at {UnitHashes.Pages([page])}";
        if (!GiveUp(sentence)) _host.Report.Say($"{sentence}; there is no other copy of the guest to go on with");
    }

    private void BeginClone(int connection)
    {
        EndClone();
        if (_host.Find(connection) is not { } link) return;
        CloneSender clone = _clone = new CloneSender(link, _machine, _disks, _host.StateDirectory);
        _host.Report.Say($"cloning to {link.Remote}");
        _cloneSaidUs = Now;
        clone.Start(problem => _host.Queue.Post(() => CloneStreamed(clone, problem)));
    }

    // Before the log is full, and the guest would have to wait for the candidate.
    private void LimitLog(CloneSender clone)
    {
        long bytes = _core.Log.Bytes;
        if (bytes > _host.Protocol.LogBytesMax / 4 * 3) CloneStreamed(clone, $"the log since the guest was frozen has come to {bytes >> 20} MiB");
    }

    // The guest stands still only while its devices are saved: its memory is kept where it writes on, and streamed meanwhile.
    private void Freeze(CloneSender clone)
    {
        if (clone.Rehearse() || !clone.IsReady || _machine.WaitsForDisk) return;
        long began = Now;
        _machine.Settle();
        LogReads();
        foreach (DiskFailure failure in _machine.TakeDiskFailures()) _host.Report.SayOnce(DiskErrors.Sentence(failure, _disks[failure.Drive], _machine.Media));
        // What the machine put out while it settled for the snapshot belongs before it.
        Boundary(_machine.Position, idle: false);
        if (clone != _clone) return;
        clone.Freeze();
        _core.SnapshotTaken(Now);
        if (_core.Log.NextLsn == 1)
        {
            _hashes.Clear();
            _evidence.Clear();
        }
        clone.GoOn();
        long took = Now - began;
        _host.Report.Say($"cloning; the guest stood still for {took / 1000.0:F1} ms");
        Pump();
    }

    private void CloneStreamed(CloneSender clone, string? problem)
    {
        if (clone != _clone) return;
        if (problem is null) clone.ReturnHashes();
        EndClone();
        if (problem is null) _core.CloneStreamed(Now, clone.StateHash);
        else
        {
            _host.Report.Say($"the clone was given up: {problem}");
            int connection = clone.Connection;
            _host.Carry(new CoreAction(ActionKind.Disconnect) { Connection = connection });
            _core.ConnectionClosed(Now, connection);
        }
        Pump();
    }

    // A large disk over a slow line takes its time.
    private void SayProgress()
    {
        if (_clone is null || Now - _cloneSaidUs < SayProgressEveryUs) return;
        _cloneSaidUs = Now;
        _host.Report.Say($"cloning: {(int)(100 * _clone.Progress)} % done");
    }

    private void EndClone()
    {
        _clone?.Dispose();
        _clone = null;
    }

    private void Exit(int code, string why)
    {
        EndClone();
        _host.Report.Say(why);
        _exitCode = code;
        _loop.Stop();
    }

    private void Publish()
    {
        if (!Status.IsDue) return;
        while (_hashes.TryPeek(out ulong lsn) && lsn < _core.Log.FirstLsn)
        {
            _hashes.Dequeue();
            Status.HashesChecked++;
        }
        Status.Publish(new StatusView
        {
            Role = "primary",
            Engine = StatusView.EngineOf(_machine),
            Epoch = _core.Epoch,
            Protected = _core.IsProtected,
            Replicas = _host.Options.Replicas,
            Quorum = _core.Quorum,
            Backups = [.. _core.Backups.Where(b => b.Phase > PrimaryPhase.Offering && _peers.ContainsKey(b.Link)).Select(b => new BackupStatus(_peers[b.Link].ToString(), b.IsProtecting, b.LagUs))],
            Paused = _loop.Paused,
            Position = _machine.Position,
            Instructions = _loop.Busy.Instructions,
            LagUs = _core.LagUs,
            LogBytes = _core.Log.Bytes,
            LogBytesSent = _host.LogBytesSent,
            LogRecords = _core.Log.NextLsn - 1,
            OutputsHeld = _core.OutputsHeld,
            CloneProgress = _clone?.Progress ?? 0,
        });
    }
}
