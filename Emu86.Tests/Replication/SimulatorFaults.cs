// What goes wrong in a simulated run, when, and what must hold at its end.
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

internal sealed partial class Simulator
{
    private enum FaultKind
    {
        Crash,
        Freeze,
        Cut,
        CutOneWay,
        SlowLink,
        StallStreams,
        BreakConnections,
        ArbiterDown,
        LoseDatagrams,
        Damage,
        HandOver,
    }

    private sealed record FaultPlan(FaultKind Kind, int Node, int Other, long LastsUs);

    /// <summary>Faults begin after the first arming and are over well before the end, so that the end can be judged.</summary>
    private const long FaultsFromUs = 12_000;

    private const long FaultsToUs = 80_000;

    private const long EndUs = 200_000;

    /// <summary>At the end the guest must have run, and what it made must have left, within this time.</summary>
    private const long AtEndUs = 30_000;

    private bool _mayHaveLostGuest;
    private bool _isJudged;

    private void ClearPlan() => (_mayHaveLostGuest, _isJudged) = (false, true);

    private void PlanFaults()
    {
        int faults = (int)_chance.Between(1, 5);
        for (int i = 0; i < faults; i++)
        {
            // Half of them meet whoever is live then (-1): the interesting one.
            int node = _chance.OneIn(2) ? -1 : (int)_chance.Between(0, _nodeCount);
            int away = 1 + (int)_chance.Between(0, _nodeCount - 1);
            FaultKind kind = (FaultKind)_chance.Between(0, (long)FaultKind.HandOver + 1);
            PostAt(0, _chance.Between(FaultsFromUs, FaultsToUs), EventKind.Fault, reference: new FaultPlan(kind, node, away, _chance.Between(2_000, 45_000)));
        }
    }

    private void Fault(FaultPlan fault)
    {
        if (fault.Node < 0) fault = fault with { Node = Math.Max(0, Array.FindIndex(_nodes, n => n.IsLive)) };
        fault = fault with { Other = (fault.Node + fault.Other) % _nodeCount };
        SimulatorNode node = _nodes[fault.Node];
        long untilUs = _nowUs + fault.LastsUs;
        Trace?.Invoke($"{_nowUs,7} fault: {fault.Kind} node {fault.Node} and {fault.Other} for {fault.LastsUs}");
        switch (fault.Kind)
        {
            case FaultKind.Crash when node.IsUp:
                // A primary that is not confirmed protected is the only one who can go on; so is a backup that goes live.
                if (node.Primary is { Phase: not PrimaryPhase.Armed } or { IsProtected: false } || node.Backup is { Phase: BackupPhase.Claiming or BackupPhase.GoingLive or BackupPhase.Armed }) _mayHaveLostGuest = true;
                EndProcess(fault.Node, node);
                PostAt(fault.Node, untilUs, EventKind.Restart);
                break;
            case FaultKind.Freeze: node.FrozenUntilUs = Math.Max(node.FrozenUntilUs, untilUs); break;
            case FaultKind.Cut:
                _network.Cut(fault.Node, fault.Other, untilUs);
                _network.Cut(fault.Other, fault.Node, untilUs);
                break;
            case FaultKind.CutOneWay: _network.Cut(fault.Node, fault.Other, untilUs); break;
            case FaultKind.StallStreams: _network.Stall(fault.Other, fault.Node, untilUs); break;
            case FaultKind.SlowLink: _network.Slow(fault.Node, fault.Other, untilUs); break;
            case FaultKind.BreakConnections:
                foreach (SimulatorConnection connection in _connections)
                {
                    if (!connection.IsOpen) continue;
                    Post(connection.From, 1, EventKind.Closed, connection.Id);
                    Close(connection, connection.From, inGoodOrder: false);
                }
                break;
            case FaultKind.ArbiterDown: _arbiter.DownUntilUs = untilUs; break;
            case FaultKind.LoseDatagrams: _network.LossyUntilUs = untilUs; break;
            case FaultKind.Damage when node.Guest is not null && node.Backup is { Phase: BackupPhase.Replaying or BackupPhase.Armed }:
                // A copy that goes live before the next hash cannot be found out: only whole-host checks would.
                node.Guest.Damage();
                node.IsDamaged = true;
                break;
            case FaultKind.HandOver when node.Primary is not null:
                if (!node.Primary.IsProtected) break;
                node.Primary.Stop(Clock(fault.Node));
                Flush(fault.Node, node);
                break;
        }
    }

    private void CheckDivergence(int n, SimulatorNode node)
    {
        if (!node.IsDamaged && _flaws == SimulatorFlaws.None) _world.Fail($"{_nowUs}: node {n} diverged although its memory is sound");
    }

    /// <summary>After the last fault: the guest runs on exactly one side, and is protected again.</summary>
    private void CheckEnd()
    {
        if (_world.Violation is not null || !_isJudged || _flaws != SimulatorFlaws.None) return;
        SimulatorNode[] live = [.. _nodes.Where(n => n.IsLive)];
        if (live.Length > 1) _world.Fail($"{live.Length} sides are live at the end");
        if (_mayHaveLostGuest || _divergences > 0) return;
        if (live.Length == 0)
        {
            _world.Fail("nobody is live at the end although no two failures came together");
            return;
        }
        PrimaryCore primary = live[0].Primary!;
        Queue<(ulong Ordinal, long MadeUs)> made = live[0].Made;
        while (made.TryPeek(out var first) && first.Ordinal <= primary.ReleasedUpTo) made.Dequeue();
        if (made.TryPeek(out var held) && held.MadeUs < EndUs - AtEndUs) _world.Fail($"output {held.Ordinal} waits since {held.MadeUs}");
        else if (live[0].RanUs < EndUs - AtEndUs) _world.Fail($"the guest has not run since {live[0].RanUs}");
        else if (live[0].Speed < LagController.FullSpeed / 2) _world.Fail($"the guest runs at {live[0].Speed} permille long after the last trouble");
        else if (!primary.IsProtected) _world.Fail("redundancy was not restored");
    }
}
