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

    public const int NodesMax = 3;

    private const long SliceUs = 1_000;
    private const ulong SliceCount = 4 * SimulatorGuest.StepCount;

    /// <summary>The product's times divided by about ten: a run is a quarter of a second.</summary>
    public static readonly ProtocolOptions Options = new()
    {
        HeartbeatUs = 5_000,
        FailureTimeoutUs = 20_000,
        LeaseUs = 13_000,
        FrontierUs = 1_000,
        MaxLagUs = 8_000,
        ReconnectTimeoutUs = 60_000,
        ConnectRetryUs = 6_000,
        ArbiterRetryUs = 3_000,
        HashEveryNs = 5_000,
        LogBytesMax = 8_192,
        OutputBytesMax = 8_192,
    };

    private static readonly MachineIdentity Machine = new("default", new Guid(7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 42, "simulated", []);

    private readonly SimulatorNode[] _nodes = [new(), new(), new()];
    private readonly SimulatorNetwork _network = new(NodesMax);
    private readonly SimulatorArbiter _arbiter = new();
    private readonly SimulatorWorld _world = new();
    private readonly PriorityQueue<Event, ulong> _queue = new();
    private readonly List<SimulatorConnection> _connections = [];
    private readonly Stack<List<CoreAction>> _actionLists = new();
    private SimulatorChance _chance;
    private SimulatorFlaws _flaws;
    private ProtocolOptions _options = Options;
    private long _nowUs;
    private ulong _order;
    private ulong _nextInput;
    private int _nodeCount;
    private int _failovers;
    private int _armings;
    private int _divergences;

    /// <summary>When set, every event and action is written here: the transcript.</summary>
    public Action<string>? Trace { get; set; }

    public SimulatorResult Run(ulong seed, SimulatorFlaws flaws = SimulatorFlaws.None)
    {
        Begin(seed, flaws, nodeCount: 2 + (int)(seed % 4 == 0 ? 1u : 0u));
        PlanFaults();
        int events = Go(EndUs);
        CheckEnd();
        return new(seed, _world.Violation, _world.Count, _world.Repetitions, _failovers, _armings, _divergences, events);
    }

    private void Begin(ulong seed, SimulatorFlaws flaws, int nodeCount)
    {
        _chance = new(seed);
        _flaws = flaws;
        _options = (flaws & SimulatorFlaws.LeaseNeverEnds) != 0 ? Options with { LeaseUs = 1_000_000_000 } : Options;
        _queue.Clear();
        _connections.Clear();
        // Connection numbers begin with 1.
        _connections.Add(new(0, 0, -1, 0, -1) { IsOpen = false });
        _network.Clear();
        _world.Clear();
        _arbiter.Clear();
        _arbiter.IgnoresEpoch = (flaws & SimulatorFlaws.EpochIsIgnored) != 0;
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
        }
        for (int i = 1; i < nodeCount; i++) StartBackup(i);
        SimulatorNode first = _nodes[0];
        first.IsUp = true;
        first.Guest = new();
        first.Primary = new(_options, new() { Self = first.Identity(0), Machine = Machine, Candidates = nodeCount - 1, SessionSeed = 1000 }, Clock(0));
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

    private long Clock(int node) => _nowUs + _nodes[node].ClockOffsetUs;

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
                Post(n, 2_500, EventKind.Tick);
                node.Primary?.Tick(Clock(n));
                node.Backup?.Tick(Clock(n));
                break;
            case EventKind.Deliver: Deliver(n, node, _connections[e.Number], (Message)e.Reference!); break;
            case EventKind.Datagram:
                node.Primary?.HeartbeatReceived(Clock(n), (HeartbeatMessage)e.Reference!);
                node.Backup?.HeartbeatReceived(Clock(n), (HeartbeatMessage)e.Reference!);
                break;
            case EventKind.Opened: node.Primary?.ConnectionOpened(Clock(n), e.Number); break;
            case EventKind.ConnectFailed: node.Primary?.ConnectFailed(Clock(n), e.Value == 1); break;
            case EventKind.Closed:
                node.Primary?.ConnectionClosed(Clock(n), e.Number);
                node.Backup?.ConnectionClosed(Clock(n), e.Number);
                break;
            case EventKind.PeerGone: node.Backup?.PeerGone(Clock(n)); break;
            case EventKind.ArbiterReply:
                node.Primary?.ArbiterAnswered(Clock(n), (ArbiterAnswer)e.Reference!);
                node.Backup?.ArbiterAnswered(Clock(n), (ArbiterAnswer)e.Reference!);
                break;
            case EventKind.RunDone when e.Number == node.GuestNumber && node.Backup is not null:
                node.Guest!.RunTo(e.Value, node.Outputs);
                foreach (Output output in node.Outputs) node.Backup.Produced(output);
                node.Outputs.Clear();
                node.Backup.Executed(Clock(n), node.Guest.Position);
                break;
            case EventKind.CloneStreamed: node.Primary?.CloneStreamed(Clock(n)); break;
            case EventKind.CloneLoaded when e.Number == node.GuestNumber:
                node.Backup?.CloneLoaded(Clock(n), node.Guest!.StateHash, null);
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
        if (_chance.OneIn(3))
        {
            primary.Input(Clock(n), InputEvent.RateChange(++_nextInput));
            Flush(n, node);
        }
        if (!node.IsLive || node.Primary is null) return;
        ulong slice = Math.Max(1, SliceCount * node.Speed / LagController.FullSpeed);
        node.Guest!.RunTo(node.Guest.Count + slice, node.Outputs);
        foreach (Output output in node.Outputs)
        {
            primary.Produced(output);
            node.Made.Enqueue((primary.OutputOrdinal, _nowUs));
            if ((_flaws & SimulatorFlaws.OutputsDoNotWait) != 0) See(n, primary.Epoch, primary.OutputOrdinal, output);
        }
        node.Outputs.Clear();
        node.RanUs = _nowUs;
        primary.Ran(Clock(n), node.Guest.Position, false);
        Flush(n, node);
    }

    private void See(int n, ulong epoch, ulong ordinal, Output output) => _world.See(_nowUs, n, epoch, _arbiter.Epoch, ordinal, output.Value);

    private void AskArbiter(in Event e)
    {
        ArbiterRequest request = (ArbiterRequest)e.Reference!;
        bool isDown = _nowUs < _arbiter.DownUntilUs;
        // While it is in trouble a request may also be carried out although its answer is lost.
        ArbiterAnswer answer = isDown && _chance.OneIn(2) ? default : _arbiter.Ask(request);
        if (isDown) answer = new(request.Id, ArbiterVerdict.Unavailable, null);
        Trace?.Invoke($"{_nowUs,7} arbiter: node {e.Node} asks {request.Kind} from epoch {request.ExpectedEpoch}: {answer.Verdict}, now epoch {_arbiter.Epoch}");
        if (_nodes[e.Node].Life != e.Life) return;
        Post(e.Node, isDown ? 2_000 : _chance.Between(50, 600), EventKind.ArbiterReply, reference: answer);
    }
}
