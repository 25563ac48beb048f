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
        BackupLeaves,
        LoadFails,
        PowerOff,
    }

    private sealed record FaultPlan(FaultKind Kind, int Node, int Other, long LastsUs);

    /// <summary>Faults begin after the first arming and are over well before the end, so that the end can be judged.</summary>
    private const long FaultsFromUs = 12_000;

    private const long FaultsToUs = 80_000;

    private const long FaultUsMax = 45_000;

    /// <summary>At the end the guest must have run, and what it made must have left, within this time.</summary>
    private const long AtEndUs = 30_000;

    private long _endUs;
    private bool _mayHaveLostGuest;
    private bool _mayHaveEnded;
    private bool _isJudged;

    private void ClearPlan() => (_mayHaveLostGuest, _mayHaveEnded, _isJudged) = (false, false, true);

    private void PlanFaults()
    {
        int faults = (int)_chance.Between(1, 5);
        for (int i = 0; i < faults; i++)
        {
            // Half of them meet whoever is live then (-1): the interesting one.
            int node = _chance.OneIn(2) ? -1 : (int)_chance.Between(0, _nodeCount);
            int away = 1 + (int)_chance.Between(0, _nodeCount - 1);
            FaultKind kind = (FaultKind)_chance.Between(0, (long)FaultKind.PowerOff + 1);
            // A guest that is switched off has nothing more to show: not too often.
            if (kind == FaultKind.PowerOff && !_chance.OneIn(5)) kind = FaultKind.Crash;
            PostAt(0, _chance.Between(FaultsFromUs, FaultsToUs), EventKind.Fault, reference: new FaultPlan(kind, node, away, _chance.Between(2_000, FaultUsMax)));
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
                _mayHaveLostGuest |= IsNeeded(fault.Node);
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
            case FaultKind.BackupLeaves when node.Backup is not null:
                _mayHaveLostGuest |= IsNeeded(fault.Node);
                node.Backup.Leave(Clock(fault.Node), "the operator stops this backup");
                Flush(fault.Node, node);
                break;
            case FaultKind.LoadFails: node.LoadFails = true; break;
            case FaultKind.PowerOff when node.Primary is not null:
                _mayHaveEnded = true;
                node.Primary.PowerOff(Clock(fault.Node));
                Flush(fault.Node, node);
                break;
        }
    }

    /// <summary>Nobody else is certain to go on with the guest when this process ends.</summary>
    private bool IsNeeded(int n)
    {
        if (_nodes[n].Primary is { } primary)
        {
            if (_arbiter.Value?.Owner != _nodes[n].Identity(n)) return false;
            return primary.Phase != PrimaryPhase.Armed || !primary.IsProtected
                || !_nodes.Any(b => b.Backup is { Phase: BackupPhase.Armed } && !b.IsDamaged);
        }
        return _nodes[n].Backup!.Phase is BackupPhase.Claiming or BackupPhase.GoingLive
            || (_nodes[n].Backup!.Phase is BackupPhase.Armed && !_nodes.Any(p => p.Primary is { Phase: PrimaryPhase.Armed or PrimaryPhase.Disarming } live && live.Epoch == _arbiter.Epoch));
    }

    private void CheckDivergence(int n, SimulatorNode node)
    {
        if (!node.IsDamaged && _flaws == SimulatorFlaws.None) _world.Fail($"{_nowUs}: node {n} diverged although its memory is sound");
    }

    /// <summary>After the last fault: the guest runs on exactly one side, and is protected again; or it has ended on all.</summary>
    private void CheckEnd()
    {
        if (_world.Violation is not null || !_isJudged) return;
        SimulatorNode[] live = [.. _nodes.Where(n => n.IsLive)];
        if (live.Length > 1) _world.Fail($"{live.Length} sides are live at the end");
        // Ended just now: there was no time to say so.
        if (_world.IsOff && _world.OffUs > _endUs - AtEndUs) return;
        if (live.Length > 0 && (_world.IsOff || _arbiter.Value!.State == GuestState.Off)) _world.Fail("a side is live at the end although the guest was switched off");
        if (_mayHaveLostGuest || _divergences > 0) return;
        if (_world.LostWrite(_endUs - AtEndUs) is > 0 and var lost) _world.Fail($"disk write {lost} was begun and never came to its end");
        // With a flaw built in the run may well come to a stop: that alone does not show that the flaw was found.
        if (_flaws != SimulatorFlaws.None) return;
        if (live.Length == 0)
        {
            if (!_world.IsOff && !_mayHaveEnded) _world.Fail("nobody is live at the end although no two failures came together");
            return;
        }
        PrimaryCore primary = live[0].Primary!;
        Queue<(ulong Ordinal, long MadeUs)> made = live[0].Made;
        while (made.TryPeek(out var first) && first.Ordinal <= primary.ReleasedUpTo) made.Dequeue();
        if (made.TryPeek(out var held) && held.MadeUs < _endUs - AtEndUs) _world.Fail($"output {held.Ordinal} waits since {held.MadeUs}");
        else if (live[0].RanUs < _endUs - AtEndUs) _world.Fail($"the guest has not run since {live[0].RanUs}");
        else if (live[0].SlowSinceUs < _endUs - AtEndUs) _world.Fail($"the guest runs at {live[0].Speed} permille, and slowly since {live[0].SlowSinceUs}, long after the last trouble");
        else if (!primary.IsProtected || primary.Backups.Count(b => b.IsProtecting) < _replicas) _world.Fail($"redundancy was not restored: {primary.Backups.Count(b => b.IsProtecting)} of {_replicas} backups at the end");
    }
}
