// Connections of a port whose peer has not shown yet who it is. They get little: a few at a time, two seconds each, so many a
// second from one address. Who brings more loses its own; a peer with another address finds room at any time.
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Emu86.Ft.Host.Links;

/// <summary>The unknown connections of one port. Safe for several threads.</summary>
/// <param name="atOnce">How many there may be.</param>
/// <param name="nowUs">The host's time in microseconds.</param>
public sealed class Strangers(int atOnce, Func<long> nowUs)
{
    /// <summary>How long one may take until it is known.</summary>
    public const int PatienceMs = 2000;

    /// <summary>Connections that one address may begin at once; then one every <see cref="EveryUs"/>.</summary>
    public const int BurstMax = 50;

    /// <summary>See <see cref="BurstMax"/>.</summary>
    public const long EveryUs = 20_000;

    private const int AddressesMax = 256;
    private const int SaidBurstMax = 10;
    private const long SaidEveryUs = 6_000_000;

    private readonly Lock _lock = new();
    private readonly List<Visitor> _present = [];
    private readonly Dictionary<IPAddress, long> _dueUs = [];
    private long _sayDueUs;

    /// <summary>A connection was accepted.</summary>
    /// <returns>Null when it comes too often: it is closed.</returns>
    public Visitor? Enter(Socket socket, IPEndPoint remote)
    {
        Visitor? crowdedOut = null;
        Visitor? visitor = null;
        lock (_lock)
        {
            if (IsWithinRate(remote.Address))
            {
                if (_present.Count >= atOnce) crowdedOut = OldestOfTheMany();
                visitor = new Visitor(this, socket, remote);
                _present.Add(visitor);
            }
        }
        if (crowdedOut is not null) End(crowdedOut, "too many unknown connections came at once");
        if (visitor is null) socket.Dispose();
        else visitor.Begin();
        return visitor;
    }

    /// <summary>Whether something may be said about a connection: a flood of them must not fill the log.</summary>
    public bool MaySay()
    {
        lock (_lock) return Take(ref _sayDueUs, SaidEveryUs, SaidBurstMax);
    }

    internal bool Leave(Visitor visitor)
    {
        lock (_lock) return _present.Remove(visitor);
    }

    internal void End(Visitor visitor, string why)
    {
        if (!Leave(visitor)) return;
        visitor.Ended(why);
    }

    private bool IsWithinRate(IPAddress from)
    {
        // Only who has that many addresses gets around the rate; how many there are at once is bounded all the same.
        if (_dueUs.Count >= AddressesMax && !_dueUs.ContainsKey(from)) _dueUs.Clear();
        return Take(ref CollectionsMarshal.GetValueRefOrAddDefault(_dueUs, from, out _), EveryUs, BurstMax);
    }

    private bool Take(ref long dueUs, long everyUs, int burst)
    {
        long now = nowUs(), due = Math.Max(dueUs, now);
        if (due - now > everyUs * (burst - 1)) return false;
        dueUs = due + everyUs;
        return true;
    }

    // Of the address that has the most here: one peer's flood cannot take another one's place.
    private Visitor OldestOfTheMany()
    {
        IPAddress from = _present.GroupBy(v => v.Remote.Address).MaxBy(g => g.Count())!.Key;
        return _present.Find(v => v.Remote.Address.Equals(from))!;
    }
}

/// <summary>One unknown connection.</summary>
public sealed class Visitor
{
    private readonly Strangers _among;
    private readonly Timer _patience;

    internal Visitor(Strangers among, Socket socket, IPEndPoint remote)
    {
        _among = among;
        Socket = socket;
        Remote = remote;
        _patience = new Timer(_ => _among.End(this, $"it did not show within {Strangers.PatienceMs / 1000} s who it is"));
    }

    public Socket Socket { get; }

    public IPEndPoint Remote { get; }

    /// <summary>Why this side closed it; null while it did not.</summary>
    public string? Why { get; private set; }

    /// <summary>It has shown who it is, or has ended: it is no stranger any more.</summary>
    public void Known()
    {
        _among.Leave(this);
        _patience.Dispose();
    }

    /// <summary>What is to be said about its end: null for nothing.</summary>
    public string? Sentence(string? problem) => (Why ?? problem) is { } sentence && _among.MaySay() ? sentence : null;

    internal void Begin() => _patience.Change(Strangers.PatienceMs, Timeout.Infinite);

    internal void Ended(string why)
    {
        Why = why;
        Socket.Dispose();
        _patience.Dispose();
    }
}
