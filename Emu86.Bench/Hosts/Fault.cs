// What can happen to a host that offers itself, to etcd, or to the client's host.
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal enum FaultKind
{
    Kill,
    Freeze,
    CutBoth,
    CutToHost,
    CutFromHost,
    Slow,
    Delay,
    Reorder,
    Duplicate,
    EtcdStop,
    EtcdCut,
    ClientCut,
    NbdCut,
    NbdFreeze,
}

/// <param name="Kind">What happens.</param>
/// <param name="Victim">Where; null for etcd and the client.</param>
/// <param name="Lasts">How long before it is mended; a process that was killed is started again then.</param>
internal sealed record Fault(FaultKind Kind, ClusterHost? Victim, TimeSpan Lasts)
{
    /// <summary>A fault for the cluster as it is.</summary>
    public static Fault Next(Random random, ClusterHost live, HostCluster cluster)
    {
        FaultKind kind = (FaultKind)random.Next((int)(cluster.NbdHost is null ? FaultKind.ClientCut : FaultKind.NbdFreeze) + 1);
        // The live side more often than chance would have it.
        ClusterHost? victim = kind >= FaultKind.EtcdStop ? null : random.Next(2) == 0 ? live : cluster.Hosts[random.Next(cluster.Hosts.Length)];
        double seconds = kind switch
        {
            FaultKind.Kill => random.NextDouble(),
            // Shorter and longer than the failure timeout.
            _ => random.Next(3) == 0 ? 0.05 + (random.NextDouble() * 0.4) : 1 + (random.NextDouble() * 6),
        };
        return new Fault(kind, victim, TimeSpan.FromSeconds(seconds));
    }

    public void Begin(HostCluster cluster)
    {
        switch (Kind)
        {
            case FaultKind.Kill: Victim!.Process.Signal(Side.SigKill); break;
            case FaultKind.Freeze: Victim!.Process.Signal(Side.SigStop); break;
            case FaultKind.CutBoth: Victim!.Host.Cut(CutKind.Both); break;
            case FaultKind.CutToHost: Victim!.Host.Cut(CutKind.ToHost); break;
            case FaultKind.CutFromHost: Victim!.Host.Cut(CutKind.FromHost); break;
            case FaultKind.Slow: Victim!.Host.Slow("4mbit"); break;
            case FaultKind.Delay: Victim!.Host.Disturb(Disturbance.Delay, Victim.Number); break;
            case FaultKind.Reorder: Victim!.Host.Disturb(Disturbance.Reorder, Victim.Number); break;
            case FaultKind.Duplicate: Victim!.Host.Disturb(Disturbance.Duplicate, Victim.Number); break;
            case FaultKind.EtcdStop: cluster.StopEtcd(); break;
            case FaultKind.EtcdCut: cluster.EtcdHost.Cut(CutKind.Both); break;
            case FaultKind.ClientCut: cluster.Client.Cut(CutKind.Both); break;
            case FaultKind.NbdCut: cluster.NbdHost!.Cut(CutKind.Both); break;
            case FaultKind.NbdFreeze: Side.Signal(cluster.NbdProcess!.Value, Side.SigStop); break;
        }
    }

    public void End(HostCluster cluster)
    {
        switch (Kind)
        {
            case FaultKind.Kill:
                _ = Victim!.Process.WaitForExit(TimeSpan.FromSeconds(30));
                cluster.Start(Victim);
                break;
            case FaultKind.Freeze: Victim!.Process.Signal(Side.SigCont); break;
            case FaultKind.CutBoth or FaultKind.CutToHost or FaultKind.CutFromHost: Victim!.Host.Heal(); break;
            case FaultKind.Slow: Victim!.Host.Quicken(); break;
            case FaultKind.Delay or FaultKind.Reorder or FaultKind.Duplicate: Victim!.Host.Calm(); break;
            case FaultKind.EtcdStop: cluster.StartEtcd(); break;
            case FaultKind.EtcdCut: cluster.EtcdHost.Heal(); break;
            case FaultKind.ClientCut: cluster.Client.Heal(); break;
            case FaultKind.NbdCut: cluster.NbdHost!.Heal(); break;
            case FaultKind.NbdFreeze: Side.Signal(cluster.NbdProcess!.Value, Side.SigCont); break;
        }
    }
}
