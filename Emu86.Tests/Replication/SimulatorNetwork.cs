// The simulator's network: connections in order, datagrams in any; delays, partitions, slow links, broken connections.
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

/// <summary>One connection between two processes (a process is a node and its life).</summary>
internal sealed class SimulatorConnection(int id, int from, int fromLife, int to, int toLife)
{
    public int Id { get; } = id;

    public int From { get; } = from;

    public int To { get; } = to;

    public int FromLife { get; } = fromLife;

    public int ToLife { get; } = toLife;

    public bool IsOpen { get; set; } = true;

    /// <summary>The node that closed it in good order: what it sent before still arrives. -1: it broke, and nothing does.</summary>
    public int ClosedBy { get; set; } = -1;

    /// <summary>Earliest time of the next delivery in each direction: a stream keeps its order.</summary>
    public long FreeAtUsToServer { get; set; }

    public long FreeAtUsToClient { get; set; }

    /// <summary>What the clone's chunks would have carried.</summary>
    public SimulatorGuest? Clone { get; set; }
}

internal sealed class SimulatorNetwork(int nodes)
{
    private readonly long[] _cutUntilUs = new long[nodes * nodes];
    private readonly long[] _slowUntilUs = new long[nodes * nodes];
    private readonly long[] _stalledUntilUs = new long[nodes * nodes];

    public long LossyUntilUs { get; set; }

    public void Clear()
    {
        Array.Clear(_cutUntilUs);
        Array.Clear(_slowUntilUs);
        Array.Clear(_stalledUntilUs);
        LossyUntilUs = 0;
    }

    public void Cut(int a, int b, long untilUs) => _cutUntilUs[a * nodes + b] = untilUs;

    /// <summary>Streams stand still (as when retransmissions back off) while datagrams pass.</summary>
    public void Stall(int from, int to, long untilUs) => _stalledUntilUs[from * nodes + to] = untilUs;

    public void Slow(int a, int b, long untilUs) => _slowUntilUs[a * nodes + b] = _slowUntilUs[b * nodes + a] = untilUs;

    public bool IsCut(int from, int to, long nowUs) => nowUs < _cutUntilUs[from * nodes + to];

    public long DelayUs(int from, int to, long nowUs, ref SimulatorChance chance) =>
        nowUs < _slowUntilUs[from * nodes + to] ? chance.Between(2_000, 12_000) : chance.Between(50, 400);

    /// <summary>When a message on a stream arrives: what is cut off is sent again when the cut is over.</summary>
    public long ArrivalUs(SimulatorConnection connection, int from, long nowUs, ref SimulatorChance chance)
    {
        bool toServer = from == connection.From;
        int to = toServer ? connection.To : connection.From;
        long at = nowUs + DelayUs(from, to, nowUs, ref chance);
        long cut = Math.Max(_cutUntilUs[from * nodes + to], _stalledUntilUs[from * nodes + to]);
        if (nowUs < cut) at = cut + chance.Between(500, 4_000);
        long free = toServer ? connection.FreeAtUsToServer : connection.FreeAtUsToClient;
        if (at < free) at = free;
        if (toServer) connection.FreeAtUsToServer = at;
        else connection.FreeAtUsToClient = at;
        return at;
    }
}

/// <summary>The arbiter with the rules of the product, and the troubles of the world.</summary>
internal sealed class SimulatorArbiter
{
    public ArbiterValue? Value { get; private set; }

    public ulong Epoch => Value?.Epoch ?? 0;

    public long DownUntilUs { get; set; }

    /// <summary>A flaw to be found: the epoch under which the claimant was armed is not looked at.</summary>
    public bool IgnoresEpoch { get; set; }

    /// <summary>A flaw to be found: an ended guest may go live.</summary>
    public bool IgnoresOff { get; set; }

    public void Clear()
    {
        Value = null;
        DownUntilUs = 0;
        IgnoresEpoch = IgnoresOff = false;
    }

    public ArbiterAnswer Ask(ArbiterRequest request)
    {
        if (IgnoresEpoch && request.Kind == ArbiterRequestKind.Claim && Value!.Owner != request.Wanted!.Owner)
        {
            Value = request.Wanted with { Epoch = Value.Epoch + 1 };
            return new(request.Id, ArbiterVerdict.Done, Value);
        }
        if (IgnoresOff && request.Kind == ArbiterRequestKind.Update && request.Wanted!.State == GuestState.Off) return new(request.Id, ArbiterVerdict.Done, Value);
        ArbiterVerdict verdict = ArbiterRules.Decide(Value, request, out ArbiterValue? next);
        Value = next ?? Value;
        return new(request.Id, verdict, Value);
    }
}
