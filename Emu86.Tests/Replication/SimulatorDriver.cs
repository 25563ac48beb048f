// How the simulator carries out a core's actions: the part that sockets and threads play in the product.
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

internal sealed partial class Simulator
{
    private void Flush(int n, SimulatorNode node)
    {
        while (true)
        {
            List<CoreAction>? actions = node.Primary?.Actions ?? node.Backup?.Actions;
            if (actions is null || actions.Count == 0) return;
            Carry(n, actions);
        }
    }

    // Answers that come while actions are carried out add to the core's list: it is taken over first.
    private void Carry(int n, List<CoreAction> actions)
    {
        if (!_actionLists.TryPop(out List<CoreAction>? taken)) taken = [];
        taken.AddRange(actions);
        actions.Clear();
        int life = _nodes[n].Life;
        foreach (CoreAction action in taken)
        {
            if (_nodes[n].Life == life) Carry(n, _nodes[n], action);
        }
        taken.Clear();
        _actionLists.Push(taken);
    }

    private void Carry(int n, SimulatorNode node, in CoreAction action)
    {
        Trace?.Invoke($"{_nowUs,7} node {n} > {action}");
        switch (action.Kind)
        {
            case ActionKind.Connect: Connect(n, action.Link, (int)action.Number); break;
            case ActionKind.Disconnect: Close(_connections[action.Connection], n, inGoodOrder: true); break;
            case ActionKind.Send: Send(n, _connections[action.Connection], action.Message!); break;
            case ActionKind.SendHeartbeat: SendHeartbeat(n, action.Message!); break;
            case ActionKind.AskArbiter: Post(n, _chance.Between(50, 600), EventKind.ArbiterArrive, reference: action.Request); break;
            case ActionKind.Live: node.IsLive = true; break;
            case ActionKind.PauseGuest: node.IsPaused = true; break;
            case ActionKind.ResumeGuest: node.IsPaused = false; break;
            case ActionKind.SetSpeed: node.SetSpeed(_nowUs, action.Number); break;
            case ActionKind.Inject:
                if ((_flaws & SimulatorFlaws.InputIsLostOnBackup) != 0 && node.Backup is not null && _chance.OneIn(20)) break;
                node.Guest!.Inject(action.Input!);
                break;
            case ActionKind.TakeStateHash:
                node.Primary?.StateHash(Clock(n), node.Guest!.StateHash);
                node.Backup?.StateHash(Clock(n), node.Guest!.StateHash);
                break;
            case ActionKind.BeginClone:
                _connections[action.Connection].Clone = node.Guest!.Clone();
                node.Primary!.SnapshotTaken(Clock(n));
                node.CloneHash = node.Guest.StateHash;
                Post(n, _chance.Between(500, 5_000), EventKind.CloneStreamed);
                break;
            case ActionKind.LoadClone:
                node.Guest = _connections[node.LastConnection].Clone!.Clone();
                Post(n, _chance.Between(200, 4_000), EventKind.CloneLoaded, node.GuestNumber, node.LoadFails ? 1u : 0);
                node.LoadFails = false;
                break;
            case ActionKind.DiscardGuest:
                node.Guest = null;
                node.GuestNumber++;
                node.IsDamaged = false;
                break;
            case ActionKind.RunTo:
                Post(n, _chance.Between(20, 600), EventKind.RunDone, node.GuestNumber, reference: action.Position);
                break;
            case ActionKind.WriteEvidence: _divergences++; CheckDivergence(n, node); break;
            case ActionKind.Release: Release(n, node, action); break;
            case ActionKind.BecomePrimary: BecomePrimary(n, node); break;
            case ActionKind.Exit: Exit(n, node, action); break;
            case ActionKind.Report when action.Text!.StartsWith("armed", StringComparison.Ordinal): _armings++; break;
        }
    }

    private void Release(int n, SimulatorNode node, in CoreAction action)
    {
        if (node.IsDamaged) return;
        if (node.Backup is { } backup)
        {
            if ((_flaws & SimulatorFlaws.KeptOutputsAreLost) != 0) return;
            if ((_flaws & SimulatorFlaws.WritesAreNotRepeated) != 0 && action.Output!.Kind == OutputKind.DiskWrite && action.Number <= (ulong)_world.Count) return;
            See(n, backup.TakeOver.Epoch, action.Number, action.Output!);
        }
        else if ((_flaws & SimulatorFlaws.OutputsDoNotWait) == 0) See(n, node.Primary!.Epoch, action.Number, action.Output!);
        if (action.Output!.Kind != OutputKind.DiskWrite) return;
        node.DiskFreeAtUs = Math.Max(node.DiskFreeAtUs, _nowUs) + _chance.Between(100, 1_500);
        node.Writes.Enqueue(action.Number);
        PostAt(n, node.DiskFreeAtUs, EventKind.DiskDone);
        if ((_flaws & SimulatorFlaws.WritesAreReportedEarly) != 0) node.Primary?.DiskWritesDurable(action.Number);
    }

    private void BecomePrimary(int n, SimulatorNode node)
    {
        TakeOver state = node.Backup!.TakeOver;
        _failovers++;
        // Memory that was damaged after the last state hash that came: no protocol can know. The run is not judged further.
        _isJudged &= !node.IsDamaged;
        if (node.Guest!.Position != state.Position) _world.Fail($"{_nowUs}: node {n} went live at {state.Position} with its guest at {node.Guest.Position}");
        node.Backup = null;
        node.IsLive = true;
        node.IsPaused = false;
        node.SetSpeed(_nowUs, LagController.FullSpeed);
        node.RanUs = _nowUs;
        node.Primary = new(_options, new()
        {
            Self = node.Identity(n),
            Machine = Machine,
            Candidates = _nodeCount - 1,
            Replicas = _replicas,
            Epoch = state.Epoch,
            Position = state.Position,
            OutputOrdinal = state.OutputOrdinal,
            UndurableWrite = state.UndurableWrite,
            SessionSeed = 1000 * state.Epoch + 100_000 * (ulong)n,
        }, Clock(n));
        Post(n, SliceUs, EventKind.Slice);
    }

    private void Exit(int n, SimulatorNode node, in CoreAction action)
    {
        // A process that ends in good order flushes its disks first.
        while (action.Number == 0 && node.Writes.TryDequeue(out ulong write)) _world.Durable(write);
        // Off is recorded before the process ends; only an arbiter that was out of reach may have missed it.
        if (action.Number == 0 && node.Primary is { HasEnded: true } && (_arbiter.Value!.State == GuestState.Off || _arbiter.IgnoresOff)) _world.Off(_nowUs);
        EndProcess(n, node);
        // Whoever supervises the process starts it anew, as a candidate.
        PostAt(n, _nowUs + _chance.Between(2_000, 10_000), EventKind.Restart);
    }

    private void EndProcess(int n, SimulatorNode node)
    {
        foreach (SimulatorConnection connection in _connections)
        {
            if (connection.IsOpen && ((connection.From == n && connection.FromLife == node.Life) || (connection.To == n && connection.ToLife == node.Life)))
            {
                int peer = connection.From == n ? connection.To : connection.From;
                bool wasPrimary = node.Primary is not null;
                bool reachable = !_network.IsCut(n, peer, _nowUs);
                Close(connection, n, inGoodOrder: false);
                if (reachable && wasPrimary && _chance.OneIn(2)) Post(peer, _chance.Between(500, 3_000), EventKind.PeerGone, value: node.Primary!.Epoch);
            }
        }
        node.EndProcess();
    }

    private void Connect(int n, int link, int candidate)
    {
        int to = candidate >= n ? candidate + 1 : candidate;
        SimulatorNode peer = _nodes[to];
        if (_network.IsCut(n, to, _nowUs) || _network.IsCut(to, n, _nowUs))
        {
            Post(n, 5_000, EventKind.ConnectFailed, link, value: 0);
            return;
        }
        long there = _network.DelayUs(n, to, _nowUs, ref _chance);
        if (!peer.IsUp || peer.Backup is null)
        {
            // Nobody listens there: an answer, and a certain one.
            Post(n, 2 * there, EventKind.ConnectFailed, link, value: 1);
            return;
        }
        _connections.Add(new(_connections.Count, n, _nodes[n].Life, to, peer.Life));
        Post(n, 2 * there, EventKind.Opened, _connections.Count - 1, (ulong)link);
    }

    private void Send(int n, SimulatorConnection connection, Message message)
    {
        if (!connection.IsOpen) return;
        bool toServer = n == connection.From;
        int to = toServer ? connection.To : connection.From;
        if ((_flaws & SimulatorFlaws.FullBufferDrops) != 0 && message is InputRecord left && _nodes[n].Primary!.Log.Bytes > _options.LogBytesMax / 2)
        {
            message = new StateHashRecord(left.Position, 0) { Lsn = left.Lsn };
        }
        if (_nodes[to].Life != (toServer ? connection.ToLife : connection.FromLife)) return;
        PostAt(to, _network.ArrivalUs(connection, n, _nowUs, ref _chance), EventKind.Deliver, connection.Id, reference: message);
    }

    // The other side learns of it later, or never when it is cut off.
    private void Close(SimulatorConnection connection, int by, bool inGoodOrder)
    {
        if (!connection.IsOpen) return;
        bool toServer = by == connection.From;
        int to = toServer ? connection.To : connection.From;
        bool isCut = _network.IsCut(by, to, _nowUs);
        long at = _network.ArrivalUs(connection, by, _nowUs, ref _chance);
        connection.IsOpen = false;
        if (inGoodOrder) connection.ClosedBy = by;
        if (!isCut && _nodes[to].Life == (toServer ? connection.ToLife : connection.FromLife)) PostAt(to, at, EventKind.Closed, connection.Id);
    }

    private void SendHeartbeat(int n, Message message)
    {
        for (int to = 0; to < _nodeCount; to++)
        {
            if (to == n || !_nodes[to].IsUp || _network.IsCut(n, to, _nowUs)) continue;
            if (_nowUs < _network.LossyUntilUs && !_chance.OneIn(4)) continue;
            Post(to, _network.DelayUs(n, to, _nowUs, ref _chance), EventKind.Datagram, reference: message);
        }
    }
}
