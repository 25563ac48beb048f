// A host of a run: its address, its processes, and what can happen to its cable.
using System.Net;
using System.Net.Sockets;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal enum CutKind
{
    /// <summary>The cable is out: nothing in, nothing out, the guest's frames too.</summary>
    Both,

    /// <summary>What others send to the host is lost; what it sends arrives.</summary>
    ToHost,

    /// <summary>What the host sends is lost; what others send arrives.</summary>
    FromHost,
}

internal sealed class TestHost : IDisposable
{
    /// <summary>The guest's cable, for --net tap,ifname=…</summary>
    public const string TapName = "tap0";

    private readonly NetworkNamespace _namespace, _switch;
    private readonly string _port, _relayed, _relay;
    private readonly List<Side> _processes = [];
    private CutKind? _cut;
    private FrameRelay? _disturbing;
    private bool _isSlow;

    public TestHost(string name, NetworkNamespace own, NetworkNamespace switchNamespace, IPAddress address, int number, bool hasGuest)
    {
        (Name, _namespace, _switch, Address) = (name, own, switchNamespace, address);
        (_port, _relay, _relayed) = ($"v{number}", $"r{number}", $"q{number}");
        _switch.Run("ip", "link", "add", _port, "type", "veth", "peer", "name", "eth0", "netns", own.Name);
        _switch.Run("ip", "link", "set", _port, "master", "lan", "up");
        own.Run("ip", "link", "set", "eth0", "up");
        string carrier = "eth0";
        if (hasGuest)
        {
            own.Run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0");
            own.Run("ip", "tuntap", "add", "dev", TapName, "mode", "tap");
            foreach (string link in new[] { "eth0", TapName }) own.Run("ip", "link", "set", link, "master", "br0", "up");
            own.Run("ip", "link", "set", "br0", "up");
            carrier = "br0";
        }
        own.Run("ip", "addr", "add", $"{address}/24", "dev", carrier);
        PortIndex = _switch.InterfaceIndex(_port);
    }

    public string Name { get; }

    public IPAddress Address { get; }

    /// <summary>Interface number of its port on the bridge: frames from it are told apart by that.</summary>
    public int PortIndex { get; }

    /// <summary>Starts a process on it; it ends with the host.</summary>
    public Side Start(string name, SoakOptions options, IEnumerable<string> command)
    {
        Side side = Side.StartCommand(name, ["ip", "netns", "exec", _namespace.Name, .. command], options.Verbose);
        _processes.Add(side);
        return side;
    }

    public Socket NewTcpSocket() => _namespace.NewTcpSocket();

    /// <exception cref="SocketException">Nobody answers.</exception>
    public Socket NewTcpSocketTo(IPAddress address, int port)
    {
        Socket socket = NewTcpSocket();
        try
        {
            socket.Connect(address, port);
            return socket;
        }
        catch (SocketException)
        {
            socket.Dispose();
            throw;
        }
    }

    public T Within<T>(Func<T> make) => _namespace.Within(make);

    public void Cut(CutKind kind)
    {
        _cut = kind;
        if (kind == CutKind.Both) _switch.Run("ip", "link", "set", _port, "down");
        else Drop("-A", kind);
    }

    public void Heal()
    {
        if (_cut is not { } kind) return;
        if (kind == CutKind.Both) _switch.Run("ip", "link", "set", _port, "up");
        else Drop("-D", kind);
        _cut = null;
    }

    /// <summary>A slow link out of the host: a token bucket.</summary>
    public void Slow(string rate)
    {
        _namespace.Run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "16kbit", "latency", "400ms");
        _isSlow = true;
    }

    public void Quicken()
    {
        if (_isSlow) _namespace.Run("tc", "qdisc", "del", "dev", "eth0", "root");
        _isSlow = false;
    }

    /// <summary>From now on frames from and to the host are disturbed: they take the way of a relay.</summary>
    /// <param name="kind">How.</param>
    /// <param name="seed">Which of them.</param>
    public void Disturb(Disturbance kind, int seed)
    {
        _switch.Run("ip", "link", "add", _relay, "type", "veth", "peer", "name", _relayed);
        _switch.Run("ip", "link", "set", _relayed, "master", "lan", "up");
        _switch.Run("ip", "link", "set", _relay, "up");
        _switch.Run("ip", "link", "set", _port, "nomaster");
        _disturbing = new FrameRelay(_switch, PortIndex, _switch.InterfaceIndex(_relay), kind, seed);
    }

    public void Calm()
    {
        if (_disturbing is null) return;
        _disturbing.Dispose();
        _disturbing = null;
        _switch.Run("ip", "link", "set", _port, "master", "lan");
        _switch.Run("ip", "link", "del", _relay);
    }

    public void Dispose()
    {
        _disturbing?.Dispose();
        foreach (Side side in _processes) side.Dispose();
        if (File.Exists($"/run/netns/{_namespace.Name}")) _namespace.Dispose();
    }

    // The packets of the host itself; its guest's frames pass by on the bridge, as they would on a card of their own.
    private void Drop(string how, CutKind kind) => _namespace.Run("iptables", "-w", how, kind == CutKind.ToHost ? "INPUT" : "OUTPUT", "!", kind == CutKind.ToHost ? "-i" : "-o", "lo", "-j", "DROP");
}
