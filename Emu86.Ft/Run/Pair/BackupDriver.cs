// The backup: receives and replays in short slices, acknowledges between them, and goes live when the primary fails.
using System.Net;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Host.Net;
using Emu86.Ft.Host.Status;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Carries a <see cref="BackupCore"/>'s actions out. Everything here runs on the emulation thread.</summary>
internal sealed class BackupDriver : ICoreEvents, IDisposable
{
    // Acknowledgements wait for the end of a slice: outputs of the primary wait for them.
    private const double SliceSeconds = 0.0004;
    private const ulong SliceMin = 500;
    private const long LoadMaxUs = 30_000_000;

    private readonly PairHost _host;
    private readonly BackupCore _core;
    private readonly GatedOutputs _outputs = new();
    private readonly BackupEvidence _evidence;
    private readonly BackupSnapshot _snapshot;
    private readonly MediaLibrary _media;
    private (ulong Lsn, Position At, UInt128 OwnHash, Position? Target)? _diverged;
    private CloneReceiver? _clone;
    private DiskHistory?[] _histories = [];
    private SharedDisks? _shared;
    private Hello? _hello;
    private Machine? _machine;
    private Position? _target;
    private (UInt128 Hash, Position? Missed) _ownHash;
    private Action? _beforeExit;
    private World? _world;
    private TapNetwork? _cable;
    private ulong _slice = 10_000;
    private readonly OutageParts _outage = new();
    private ulong _instructions;
#if EMU86_TEST_HOOKS
    private readonly TestDamage? _damage;
#endif
    private ulong _sessionEpoch;
    private PrimaryStart? _next;
    private int? _exitCode;
    private volatile PrimaryDriver? _live;

    public BackupDriver(PairHost host)
    {
        _host = host;
        _evidence = new BackupEvidence(host.StateDirectory, host.Options.Name, host.Options.EvidenceBytes);
        _snapshot = new BackupSnapshot(host.StateDirectory);
        _core = new BackupCore(host.Protocol, new BackupStart
        {
            Self = host.Self,
            Address = host.Owner.Address,
            Listen = host.Options.Listen.ToString(),
            Name = host.Options.Name,
            ArbiterIdentity = host.ArbiterIdentity,
            OwnDisks = DiskCopies.Names(host.Options),
            Rejoin = host.Options.Rejoin,
        }, HostClock.NowUs);
        _media = new MediaLibrary(host.Options.Cdrom);
        host.Events = this;
#if EMU86_TEST_HOOKS
        _damage = TestDamage.Wanted(host.Report.Say);
#endif
    }

    public StatusBoard Status { get; } = new();

    /// <summary>See <see cref="SharedDisks.Problem"/>.</summary>
    public string? SharedDiskProblem => _shared?.Problem;

    private static long Now => HostClock.NowUs;

    /// <summary>Runs until this side goes live and its guest ends, or the run is stopped; returns the exit code.</summary>
    public int Run()
    {
        while (_exitCode is null && _next is null)
        {
            _host.Queue.RunActions();
            _host.Turn();
            _core.Tick(Now);
            HasWrongMedium(TimeSpan.Zero);
            Pump();
            Publish();
            if (_machine is null && _snapshot.IsAsked) _snapshot.Refuse("this backup has no guest to take a snapshot of; it waits for a primary");
            if (_target is { } target) Replay(target);
            else if (_exitCode is null && _next is null) _host.Queue.WaitForAction(_host.TurnEvery);
        }
        if (_next is null)
        {
            if (_machine is not null) PairRoles.PrintHash(_host.Options, _machine);
            return _exitCode!.Value;
        }
        using World world = _world!;
        var primary = new PrimaryDriver(_host, _machine!, _clone!.Disks, _outputs, world, _next, Status, MarkDisks, _shared);
        _live = primary;
        int code = primary.Run();
        bool isWhole = DiskErrors.Flush(_clone.Disks, _host.Report.Say) && SharedDisks.FinishAfter(code, _shared) && _host.Patience is not { HasGivenUp: true };
        if (!Rejoining.Follows(_host.Options, code)) PairRoles.PrintHash(_host.Options, _machine!);
        // The process may go on, as a candidate.
        _machine!.Dispose();
        _clone.Dispose();
        return code == ExitCode.Ok && !isWhole ? ExitCode.Failure : code;
    }

    public void Dispose()
    {
        _media.Dispose();
        _cable?.Dispose();
        _shared?.Dispose();
    }

    /// <summary>Operations from the status port: for the live side only.</summary>
    public ControlAnswer? Control(string operation) => _live is { } live ? live.Control.Do(operation) : operation == "snapshot" ? _snapshot.Ask() : ControlAnswer.Refused("this side is a backup; ask the primary");

    public void Opened(Link link, int asked) => throw new InvalidOperationException("a backup opens no connection");

    public void ConnectFailed(int asked, bool refused) => throw new InvalidOperationException("a backup opens no connection");

    public void Closed(Link link, string? problem)
    {
        if (problem is not null) _host.Report.Say($"connection from {link.Remote} ended: {problem}");
        _core.ConnectionClosed(Now, link.Id);
        // The connection of a killed process breaks at once; its host knows that it is gone.
        ulong epoch = _core.Epoch;
        if (_core.Phase == BackupPhase.Armed) _host.WhenOwnerIsGone(epoch, () =>
        {
            _core.PeerGone(Now, epoch);
            Pump();
        });
        Pump();
    }

    public void Received(Link link, Message message)
    {
        Heard();
        if (message is HelloMessage { Hello: var hello }) Greeted(link, hello);
        else
        {
            if (message is CloneBeginMessage or CloneStateMessage or ClonePagesMessage or CloneDiskHashesMessage or CloneDiskBlocksMessage && _core.Phase == BackupPhase.Cloning) TakeCloned(message);
            ulong before = _core.ReceivedLsn;
            _core.Received(Now, link.Id, message);
            if (message is ArmedRecord && _core.Phase == BackupPhase.Armed) PlugIn();
            if (message is FrontierRecord frontier && _core.ReceivedLsn > before) _shared?.DurableThere(frontier.DurableUpTo);
            if (message is LogRecord record && _core.ReceivedLsn > before) _evidence.Received(record);
        }
        Pump();
    }

    public void Heartbeat(HeartbeatMessage heartbeat)
    {
        Heard();
        _core.HeartbeatReceived(Now, heartbeat);
        Pump();
    }

    public void Answered(ArbiterAnswer answer)
    {
        _core.ArbiterAnswered(Now, answer);
        if (_core.Phase is BackupPhase.GoingLive or BackupPhase.Done) _outage.Won(Now);
        Pump();
    }

    public void OwnerProbed(bool answers) => throw new InvalidOperationException("a backup probes no owner");

    public void StopAsked()
    {
        _core.Leave(Now, "this backup was stopped");
        Pump();
    }

    // Where the device cannot be had yet (a primary on this host has it), it is opened when this side goes live.
    private void PlugIn()
    {
        if (_cable is not null || _host.Options.Net != NetKind.Tap) return;
        var cable = new TapNetwork(_host.Options.TapName!);
        try
        {
            cable.Plug();
            _cable = cable;
        }
        catch (HostException)
        {
            cable.Dispose();
        }
    }

    // What a loser still says is no sign of life.
    private void Heard()
    {
        if (_core.Phase is not (BackupPhase.Claiming or BackupPhase.GoingLive)) _outage.Heard(Now);
    }

    private void Greeted(Link link, Hello hello)
    {
        _core.Received(Now, link.Id, new HelloMessage(hello));
        // The old primary reconnects just when its epoch is over: the heartbeats may be the new role's already.
        if (_core.Phase is BackupPhase.Claiming or BackupPhase.GoingLive or BackupPhase.Done) return;
        if (_core.HeartbeatKey is not { } key || !key.Span.SequenceEqual(hello.HeartbeatKey.Span)) return;
        _sessionEpoch = hello.Epoch;
        _host.LearnOwner(hello.Epoch);
        _host.Heartbeats.LearnFrom(key, link.Remote.Address);
        if (hello.Resume || _core.Phase != BackupPhase.Cloning) return;
        // A new clone replaces what was there; the core's DiscardGuest, if it asked for one, comes first.
        Pump();
        _clone?.Dispose();
        _hello = hello;
        _shared?.Dispose();
        _shared = null;
        // A shared disk has no copy that would have to be brought up.
        _clone = new CloneReceiver(_host.Options.SharedDisks ? _host.Options with { Disks = new DiskOption?[4] } : _host.Options, hello, _host.Protocol, link, Build);
        _evidence.Clear();
    }

    private Machine Build(MachineConfig config)
    {
        _outputs.Drain(_ => { });
        if (SharedDisks.AreIn(_hello!.Machine) != _host.Options.SharedDisks && config.DriveSectors.Any(s => s != 0))
        {
            throw new HostException($"the primary's disks are {(_host.Options.SharedDisks ? "replicated" : "shared")}: give both sides the same --disks");
        }
        if (_host.Options.SharedDisks)
        {
            _histories = [];
            _shared = SharedDisks.Follow(_host, _hello.Machine, config, _outputs);
            return MachineBuilder.Build(config, PatientDisk.Over(_shared.Stores, _host.Patience), _outputs, _host.Options.Engine, _media);
        }
        _histories = [.. _clone!.Disks.Select(d => d is null ? null : _evidence.Keep(d))];
        return MachineBuilder.Build(config, PatientDisk.Over(_histories, _host.Patience), _outputs, _host.Options.Engine, _media);
    }

    private void TakeCloned(Message message)
    {
        _host.Heartbeats.Excuse(LoadMaxUs);
        _clone!.Take(message);
        _host.Heartbeats.Excused();
    }

    private void Replay(Position target)
    {
        Machine machine = _machine!;
#if EMU86_TEST_HOOKS
        _damage?.Apply(machine);
#endif
        Position from = machine.Position;
        Position limit = target.Count - from.Count > _slice ? new Position(from.Count + _slice, 0) : target;
        if (_snapshot.IsAsked && limit == target) limit = BackupSnapshot.Before(from, target);
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        // No later than the target's time: a copy that halts for ever where the primary went on has diverged.
        StopReason reason = machine.RunUntil(limit, target.VirtualTimeNs);
        long took = System.Diagnostics.Stopwatch.GetTimestamp() - start;
        ulong instructions = machine.Position.Count - from.Count;
        _instructions += instructions;
        if (DiskFailed())
        {
            Pump();
            return;
        }
        if (instructions >= SliceMin / 2 && took > 0)
        {
            double fitting = instructions * (SliceSeconds * System.Diagnostics.Stopwatch.Frequency / took);
            _slice = Math.Clamp((ulong)(fitting < _slice ? (_slice + fitting) / 2 : _slice + (fitting - _slice) / 8), SliceMin, 1_000_000);
        }
        _outputs.Drain(output =>
        {
            _core.Produced(output);
            _shared?.Produced(output, _core.OutputOrdinal);
        });
        if (_snapshot.IsAsked && machine.Position > from && machine.Position < target) TakeSnapshot(machine);
        if (machine.Position == target)
        {
            _target = null;
            _core.Executed(Now, target);
        }
        // Beyond the target, in count or in time: the log cannot be from this execution.
        else if (reason != StopReason.Limit || limit == target)
        {
            _target = null;
            _ownHash = (machine.StateHash(), target);
            _core.CannotFollow(Now);
        }
        Pump();
    }

    private void TakeSnapshot(Machine machine)
    {
        _host.Heartbeats.Excuse(LoadMaxUs);
        _snapshot.Take(machine);
        _host.Heartbeats.Excused();
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
        if (_core.Phase is BackupPhase.Idle or BackupPhase.Claiming or BackupPhase.GoingLive) _host.Heartbeats.Silence();
    }

    private void Carry(in CoreAction action)
    {
        switch (action.Kind)
        {
            case ActionKind.Inject when _shared is not null && SharedRead.Is(action.Input!): _shared.Give(action.Input!); break;
            case ActionKind.Inject:
                _machine!.Inject(action.Input!);
                if (!DiskFailed() && _core.Phase is BackupPhase.Claiming or BackupPhase.GoingLive) HasWrongMedium(Timeout.InfiniteTimeSpan);
                break;
            case ActionKind.TakeStateHash: TakeStateHash(action.Position); break;
            case ActionKind.LoadClone: LoadClone(); break;
            case ActionKind.DiscardGuest: Discard(); break;
            case ActionKind.RunTo: _target = action.Position; break;
            case ActionKind.WriteEvidence: _diverged = (action.Number, action.Position, _ownHash.Hash, _ownHash.Missed); break;
            case ActionKind.TakeOverWorld:
                _outage.Executed(Now);
                // Nothing of the guest may be said before its disk is this side's.
                _shared?.GoLive(_core.TakeOver.Epoch, _host.WaitsOn);
                _world = World.TakeOver(_host.Options, _host.Queue, _host.Report, _cable, _machine!.Config.Mac, _core.TakeOver.Epoch);
                break;
            case ActionKind.Release when action.Output!.Kind == OutputKind.DiskWrite: _shared!.Adopt(action.Output, action.Number); break;
            case ActionKind.Release: _world!.Outputs.Emit(action.Output!); break;
            case ActionKind.SendHeartbeat: _host.Heartbeats.Publish((HeartbeatMessage)action.Message!); break;
            case ActionKind.CloseListener: _host.CloseListener(); break;
            case ActionKind.BecomePrimary: BecomePrimary(action.Number, action.Position); break;
            case ActionKind.Exit:
                if (_diverged is not null) WriteEvidence();
                _beforeExit?.Invoke();
                if (action.Text!.Length > 0) _host.Report.Say(action.Text);
                _exitCode = (int)action.Number;
                break;
            // Nobody goes live with a medium that is not known to be the guest's.
            case ActionKind.AskArbiter when HasWrongMedium(Timeout.InfiniteTimeSpan): break;
            default:
                if (action.Kind == ActionKind.AskArbiter) _outage.Noticed(Now);
                if (!_host.Carry(action)) throw new InvalidOperationException($"a backup cannot {action.Kind}");
                break;
        }
    }

    private void TakeStateHash(Position at)
    {
        UInt128 hash = _machine!.StateHash(out IReadOnlyList<(string, UInt128)> units);
        if (DiskFailed()) return;
        _ownHash = (hash, null);
        Status.HashesChecked++;
        ulong lsn = _core.ExecutedLsn + 1;
        _core.StateHash(Now, hash, UnitHashes.Bytes(units));
        bool isEqual = !_core.Actions.Exists(a => a.Kind == ActionKind.WriteEvidence);
        if (isEqual && _machine.TakeDamagedPage() is { } page)
        {
            GiveUpMemory(page, lsn, hash);
            return;
        }
        if (isEqual) _evidence.Agreed(lsn, hash);
    }

    // What the guest made of the error is of no interest: this copy is given up.
    private bool DiskFailed()
    {
        if (_machine!.TakeDiskFailures() is not [var failure, ..]) return false;
        Position? missed = _target;
        _target = null;
        if (_shared is { HasStrayed: true })
        {
            _ownHash = (_machine.StateHash(), missed);
            _core.CannotFollow(Now);
            return true;
        }
        IBlockStore? disk = _shared?.Stores[failure.Drive] ?? _clone!.Disks[failure.Drive];
        _core.GiveUp(Now, $"this backup's {DiskErrors.KindOf(disk)} failed: {DiskErrors.Reason(failure.Drive, disk, _media)}");
        return true;
    }

    private bool HasWrongMedium(TimeSpan atMost)
    {
        if (_media.Compare(atMost) is not { } problem) return false;
        _core.GiveUp(Now, problem);
        return true;
    }

    // The hash is equal because it is the page's hash as it was; the content is not. The primary is told first.
    private void GiveUpMemory(uint page, ulong lsn, UInt128 hash)
    {
        string sentence = $"memory of this backup's host changed without being written, at {UnitHashes.Pages([page])}";
        _core.GiveUp(Now, sentence);
        _beforeExit = () => _host.Report.Say($"{sentence}, evidence in {_evidence.Write(lsn, _sessionEpoch, hash, null, page)}");
    }

    private void LoadClone()
    {
        _host.Heartbeats.Excuse(LoadMaxUs);
        UInt128 hash = 0;
        string? problem = null;
        try
        {
            _machine = _clone!.Load();
            _machine.ScrubPages = Scrubbing.PagesPerHash(_host.Options, _machine.Config);
            hash = _machine.StateHash();
            _evidence.Attach(_machine, _histories, _core.ExecutedLsn, hash, _shared is null ? null : "the machine's disks are shared, and what the guest read of them is not kept");
            _clone.MarkCurrent();
            // What the clone came in is several times what is allocated from now on, and would stay with the process.
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        }
        catch (HostException e)
        {
            problem = e.Message;
        }
        _host.Heartbeats.Excused();
        _core.CloneLoaded(Now, hash, problem);
    }

    private void Discard()
    {
        if (_diverged is not null) WriteEvidence();
        _target = null;
        _evidence.Clear();
        _machine?.Dispose();
        _machine = null;
        _clone?.Dispose();
        _clone = null;
        _shared?.Dispose();
        _shared = null;
        _outputs.Drain(_ => { });
    }

    // The primary is told first: a large state takes a while to write.
    private void WriteEvidence()
    {
        (ulong lsn, Position at, UInt128 own, Position? target) = _diverged!.Value;
        _diverged = null;
        if (target is null) Status.HashesChecked--;
        Status.Diverged++;
        _host.Heartbeats.Excuse(LoadMaxUs);
        string file = _evidence.Write(lsn, _sessionEpoch, own, target);
        _host.Heartbeats.Excused();
        _host.Report.Say($"diverged at count {at.Count}, evidence in {file}");
    }

    private void BecomePrimary(ulong epoch, Position position)
    {
        _world!.Flush();
        _evidence.Clear();
        TakeOver state = _core.TakeOver;
        Status.Failovers++;
        _host.Report.Say($"went live epoch {epoch} at count {position.Count}, outage {_outage.TotalMs(Now)} ms");
        _host.Report.Say(_outage.Sentence(Now));
        MarkDisks(epoch);
        _next = new PrimaryStart
        {
            Self = _host.Self,
            Address = _host.Owner.Address,
            Machine = state.Machine,
            Epoch = epoch,
            Position = state.Position,
            OutputOrdinal = state.OutputOrdinal,
            UndurableWrite = state.UndurableWrite,
            OwnDisks = DiskCopies.Names(_host.Options),
        };
    }

    private void MarkDisks(ulong epoch) => _clone!.MarkLive(epoch);

    private void Publish()
    {
        if (!Status.IsDue) return;
        Status.Publish(new StatusView
        {
            Role = "backup",
            Engine = _machine is null ? "" : StatusView.EngineOf(_machine),
            Epoch = _core.Epoch,
            Protected = _core.Phase == BackupPhase.Armed,
            Position = _machine?.Position ?? default,
            Instructions = _instructions,
            LogRecords = _core.ReceivedLsn,
            OutputsHeld = _core.OutputsKept,
        });
    }
}
