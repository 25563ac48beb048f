// Runs the real protocol cores against simulated hosts, network and arbiter, from a seed; the same seed gives the same run.
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

/// <summary>Mistakes that a driver or an arbiter could make, built in to prove that the checker finds them.</summary>
[Flags]
internal enum SimulatorFlaws
{
    None = 0,
    OutputsDoNotWait = 1,
    LeaseNeverEnds = 2,
    EpochIsIgnored = 4,
    KeptOutputsAreLost = 8,
    AcknowledgedBeforeReceived = 16,
    InputIsLostOnBackup = 32,
    NobodyAsks = 64,
    OffIsIgnored = 128,
    WritesAreNotRepeated = 256,
    FullBufferDrops = 512,
    WritesAreReportedEarly = 1024,

    /// <summary>What one of several backups has received counts as received by all.</summary>
    OneAcknowledgementIsEnough = 2048,
}

/// <summary>What happened in a run.</summary>
internal readonly record struct SimulatorResult(ulong Seed, string? Violation, int Outputs, int Repetitions, int Failovers, int Armings, int Divergences, int Events);

internal sealed partial class Simulator
{
    private enum EventKind : byte
    {
        Slice,
        Tick,
        Deliver,
        Datagram,
        Opened,
        ConnectFailed,
        Closed,
        ArbiterArrive,
        ArbiterReply,
        RunDone,
        CloneStreamed,
        CloneLoaded,
        PeerGone,
        DiskDone,
        Fault,
        Restart,
    }

    private struct Event
    {
        public EventKind Kind;
        public byte Node;
        public int Life;
        public int Number;
        public ulong Value;
        public object? Reference;
    }

    public const int NodesMax = 4;

    private const long SliceUs = 1_000;

    /// <summary>At full speed; four steps.</summary>
    private const ulong SliceNs = 4 * SimulatorGuest.StepCount * SimulatorGuest.NsPerInstruction;

    private static readonly MachineIdentity Machine = new("default", new Guid(7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 42, "simulated", []);

    private readonly SimulatorNode[] _nodes = [new(), new(), new(), new()];
    private readonly SimulatorNetwork _network = new(NodesMax);
    private readonly SimulatorArbiter _arbiter = new();
    private readonly SimulatorWorld _world = new();
    private readonly PriorityQueue<Event, ulong> _queue = new();
    private readonly List<SimulatorConnection> _connections = [];
    private readonly Stack<List<CoreAction>> _actionLists = new();
    private SimulatorChance _chance;
    private SimulatorFlaws _flaws;
    private SimulatorPlan _plan;
    private ProtocolOptions _options = SimulatorPlan.Usual;
    private long _nowUs;
    private ulong _order;
    private ulong _nextInput;
    private int _nodeCount;
    private int _replicas = 1;
    private int _failovers;
    private int _armings;
    private int _divergences;

    /// <summary>When set, every event and action is written here: the transcript.</summary>
    public Action<string>? Trace { get; set; }

    /// <param name="seed">Chooses everything else.</param>
    /// <param name="flaws">Mistakes to be found.</param>
    /// <param name="replicas">How many backups are wanted, from 1 to 3.</param>
    public SimulatorResult Run(ulong seed, SimulatorFlaws flaws = SimulatorFlaws.None, int replicas = 1)
    {
        _replicas = replicas;
        Begin(seed, flaws, nodeCount: Math.Min(NodesMax, 1 + replicas + (seed % 4 == 0 ? 1 : 0)));
        PlanFaults();
        int events = Go(_endUs);
        CheckEnd();
        return new(seed, _world.Violation, _world.Count, _world.Repetitions, _failovers, _armings, _divergences, events);
    }

    private void Begin(ulong seed, SimulatorFlaws flaws, int nodeCount)
    {
        SimulatorChance circumstances = new(~seed);
        _plan = SimulatorPlan.Draw(ref circumstances);
        _chance = new(seed);
        _flaws = flaws;
        _options = _plan.Options;
        Trace?.Invoke($"{_plan}");
        // Everything that the last trouble started can be over by then.
        _endUs = FaultsToUs + FaultUsMax + 3 * _options.FailureTimeoutUs + _options.ReconnectTimeoutUs;
        // Backups are cloned to and armed one after another.
        _endUs += (_replicas - 1) * (20_000 + _options.ConnectRetryUs);
        if ((flaws & SimulatorFlaws.LeaseNeverEnds) != 0) _options = _options with { LeaseUs = 1_000_000_000 };
        _queue.Clear();
        _connections.Clear();
        // Connection numbers begin with 1.
        _connections.Add(new(0, 0, -1, 0, -1) { IsOpen = false });
        _network.Clear();
        _world.Clear();
        _arbiter.Clear();
        _arbiter.IgnoresEpoch = (flaws & SimulatorFlaws.EpochIsIgnored) != 0;
        _arbiter.IgnoresOff = (flaws & SimulatorFlaws.OffIsIgnored) != 0;
        _nowUs = 0;
        _order = 0;
        _nextInput = seed << 20;
        _nodeCount = nodeCount;
        _failovers = _armings = _divergences = 0;
        ClearPlan();
        for (int i = 0; i < NodesMax; i++)
        {
            _nodes[i].Clear();
            _nodes[i].ClockOffsetUs = _chance.Between(1_000_000, 1_000_000_000);
            _nodes[i].ClockPermille = _chance.Between(985, 1_016);
        }
        for (int i = 1; i < nodeCount; i++) StartBackup(i);
        SimulatorNode first = _nodes[0];
        first.IsUp = true;
        first.Guest = new(_plan.Habits, _plan.PowersOffAt);
        first.Primary = new(_options, new() { Self = first.Identity(0), Machine = Machine, Candidates = nodeCount - 1, Replicas = _replicas, SessionSeed = 1000 }, Clock(0));
        Carry(0, first.Primary.Actions);
        Post(0, SliceUs, EventKind.Slice);
        Post(0, 500, EventKind.Tick);
    }

    private void StartBackup(int node)
    {
        SimulatorNode n = _nodes[node];
        n.IsUp = true;
        n.Backup = new(_options, new() { Self = n.Identity(node), Name = "default", ArbiterIdentity = "simulated", Rejoin = true }, Clock(node));
        Post(node, _chance.Between(100, 2_000), EventKind.Tick);
    }

    private int Go(long endUs)
    {
        int events = 0;
        while (_isJudged && _world.Violation is null && _queue.TryDequeue(out Event e, out ulong key))
        {
            long at = (long)(key >> 24);
            if (at > endUs)
            {
                _queue.Enqueue(e, key);
                break;
            }
            _nowUs = at;
            SimulatorNode node = _nodes[e.Node];
            if (e.Kind is not (EventKind.Fault or EventKind.Restart or EventKind.ArbiterArrive))
            {
                if (e.Life != node.Life) continue;
                if (at < node.FrozenUntilUs)
                {
                    // The order in which a frozen process finds things when it wakes is the order in which they came.
                    _queue.Enqueue(e, ((ulong)node.FrozenUntilUs << 24) | (key & 0xFFFFFF));
                    continue;
                }
            }
            events++;
            Handle(e, node);
        }
        return events;
    }

    private long Clock(int node) => _nowUs * _nodes[node].ClockPermille / 1000 + _nodes[node].ClockOffsetUs;

    private void Post(int node, long afterUs, EventKind kind, int number = 0, ulong value = 0, object? reference = null) =>
        PostAt(node, _nowUs + afterUs, kind, number, value, reference);

    private void PostAt(int node, long atUs, EventKind kind, int number = 0, ulong value = 0, object? reference = null) =>
        _queue.Enqueue(new() { Kind = kind, Node = (byte)node, Life = _nodes[node].Life, Number = number, Value = value, Reference = reference },
            ((ulong)atUs << 24) | _order++);

    private void Handle(in Event e, SimulatorNode node)
    {
        int n = e.Node;
        switch (e.Kind)
        {
            case EventKind.Slice: Slice(n, node); return;
            case EventKind.Fault: Fault((FaultPlan)e.Reference!); return;
            case EventKind.Restart:
                if (!node.IsUp) StartBackup(n);
                return;
            case EventKind.ArbiterArrive: AskArbiter(e); return;
            case EventKind.Tick:
                Post(n, Math.Min(2_500, _options.HeartbeatUs / 2), EventKind.Tick);
                node.Primary?.Tick(Clock(n));
                node.Backup?.Tick(Clock(n));
                break;
            case EventKind.Deliver: Deliver(n, node, _connections[e.Number], (Message)e.Reference!); break;
            case EventKind.Datagram:
                node.Primary?.HeartbeatReceived(Clock(n), (HeartbeatMessage)e.Reference!);
                node.Backup?.HeartbeatReceived(Clock(n), (HeartbeatMessage)e.Reference!);
                break;
            case EventKind.Opened: node.Primary?.ConnectionOpened(Clock(n), (int)e.Value, e.Number); break;
            case EventKind.ConnectFailed: node.Primary?.ConnectFailed(Clock(n), e.Number, e.Value == 1); break;
            case EventKind.Closed:
                node.Primary?.ConnectionClosed(Clock(n), e.Number);
                node.Backup?.ConnectionClosed(Clock(n), e.Number);
                break;
            case EventKind.PeerGone: node.Backup?.PeerGone(Clock(n), e.Value); break;
            case EventKind.ArbiterReply:
                node.Primary?.ArbiterAnswered(Clock(n), (ArbiterAnswer)e.Reference!);
                node.Backup?.ArbiterAnswered(Clock(n), (ArbiterAnswer)e.Reference!);
                break;
            case EventKind.RunDone when e.Number == node.GuestNumber && node.Backup is not null:
                bool arrived = node.Guest!.RunTo((Position)e.Reference!, node.Outputs);
                foreach (Output output in node.Outputs) node.Backup.Produced(output);
                node.Outputs.Clear();
                if (arrived) node.Backup.Executed(Clock(n), node.Guest.Position);
                else node.Backup.CannotFollow(Clock(n));
                break;
            case EventKind.DiskDone:
                ulong write = node.Writes.Dequeue();
                _world.Durable(write);
                node.Primary?.DiskWritesDurable(write);
                break;
            case EventKind.CloneStreamed: node.Primary?.CloneStreamed(Clock(n), node.CloneHash); break;
            case EventKind.CloneLoaded when e.Number == node.GuestNumber:
                node.Backup?.CloneLoaded(Clock(n), node.Guest!.StateHash, e.Value == 0 ? null : "the clone cannot be loaded");
                break;
        }
        Flush(n, node);
    }

    private void Deliver(int n, SimulatorNode node, SimulatorConnection connection, Message message)
    {
        if (!connection.IsOpen && (connection.ClosedBy < 0 || connection.ClosedBy == n)) return;
        Trace?.Invoke($"{_nowUs,7} node {n} < {CoreAction.Describe(message)}");
        if (node.Primary is { } primary)
        {
            if ((_flaws & SimulatorFlaws.AcknowledgedBeforeReceived) != 0 && message is AckMessage ack && primary.Phase is PrimaryPhase.Armed or PrimaryPhase.Arming)
            {
                message = new AckMessage(primary.Log.NextLsn - 1, ((AckMessage)message).ExecutedLsn, ((AckMessage)message).EchoSentUs);
            }
            primary.Received(Clock(n), connection.Id, message);
            if ((_flaws & SimulatorFlaws.OneAcknowledgementIsEnough) != 0 && message is AckMessage one)
            {
                foreach (SimulatorConnection other in _connections)
                {
                    bool isAnother = other.IsOpen && other.From == n && other.FromLife == node.Life && other != connection;
                    if (isAnother && _nodes[other.To].Backup is { Phase: BackupPhase.Armed }) primary.Received(Clock(n), other.Id, new AckMessage(one.ReceivedLsn, 0, 0));
                }
            }
        }
        else if (node.Backup is { } backup)
        {
            if (connection.To == n) node.LastConnection = connection.Id;
            backup.Received(Clock(n), connection.Id, message);
        }
    }

    private void Slice(int n, SimulatorNode node)
    {
        Post(n, SliceUs, EventKind.Slice);
        PrimaryCore? primary = node.Primary;
        if (primary is null || !node.IsLive || node.IsPaused) return;
        if (node.Guest!.IsOver)
        {
            if (primary.OutputsHeld == 0) primary.PowerOff(Clock(n));
            Flush(n, node);
            return;
        }
        if (_chance.OneIn(_plan.InputOneIn))
        {
            long inputs = _plan.InputBursts && _chance.OneIn(10) ? _chance.Between(2, 40) : 1;
            for (; inputs > 0 && !node.IsPaused && node.IsLive; inputs--)
            {
                primary.Input(Clock(n), NextInput());
                Flush(n, node);
            }
        }
        if (!node.IsLive || node.Primary is null) return;
        node.Guest.RunFor(Math.Max(SimulatorGuest.NsPerInstruction, SliceNs * node.Speed / LagController.FullSpeed), node.Outputs);
        foreach (Output output in node.Outputs)
        {
            primary.Produced(output);
            node.Made.Enqueue((primary.OutputOrdinal, _nowUs));
            if ((_flaws & SimulatorFlaws.OutputsDoNotWait) != 0) See(n, primary.Epoch, primary.OutputOrdinal, output);
        }
        node.Outputs.Clear();
        node.RanUs = _nowUs;
        primary.Ran(Clock(n), node.Guest.Position, node.Guest.IsHalted);
        Flush(n, node);
    }

    // Frames of many sizes, and now and then an operation of the operator's: all of them are inputs.
    private InputEvent NextInput()
    {
        _nextInput++;
        return _chance.Between(0, 40) switch
        {
            0 => InputEvent.Reset(),
            1 => InputEvent.MediumChange(0, _nextInput * 2048, new byte[16]),
            < 12 => InputEvent.NetFrame(0, new byte[_chance.Between(14, 300)]),
            _ => InputEvent.RateChange(_nextInput),
        };
    }

    private void See(int n, ulong epoch, ulong ordinal, Output output) => _world.See(_nowUs, n, epoch, _arbiter.Epoch, ordinal, output);

    private void AskArbiter(in Event e)
    {
        ArbiterRequest request = (ArbiterRequest)e.Reference!;
        if ((_flaws & SimulatorFlaws.NobodyAsks) != 0 && request.Kind == ArbiterRequestKind.Claim)
        {
            Post(e.Node, 100, EventKind.ArbiterReply, reference: new ArbiterAnswer(request.Id, ArbiterVerdict.Done, request.Wanted));
            return;
        }
        bool isDown = _nowUs < _arbiter.DownUntilUs;
        // While it is in trouble a request may also be carried out although its answer is lost.
        ArbiterAnswer answer = isDown && _chance.OneIn(2) ? default : _arbiter.Ask(request);
        if (isDown) answer = new(request.Id, ArbiterVerdict.Unavailable, null);
        Trace?.Invoke($"{_nowUs,7} arbiter: node {e.Node} asks {request.Kind} from epoch {request.ExpectedEpoch}: {answer.Verdict}, now epoch {_arbiter.Epoch}");
        if (_nodes[e.Node].Life != e.Life) return;
        Post(e.Node, isDown ? 2_000 : _chance.Between(50, 600), EventKind.ArbiterReply, reference: answer);
    }
}
