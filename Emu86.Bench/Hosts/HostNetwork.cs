// The network of a run with hosts of their own: each host a network namespace with a cable to one bridge, which stands in another.
//
//   namespace of host N                                   namespace "sw"
//   tap0 (the guest's cable) ── br0 10.86.0.N ── eth0 ═══ vN ── bridge lan
//
// While a relay disturbs the host's frames: vN ── relay ── rN ═══ qN ── bridge lan
using System.Net;
using System.Runtime.InteropServices;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal sealed class HostNetwork : IDisposable
{
    public const string Subnet = "10.86.0";

    private readonly string _prefix = $"e86-{Environment.ProcessId}";
    private readonly Lock _clearing = new();
    private readonly List<TestHost> _hosts = [];
    private readonly NetworkNamespace _switch;
    private readonly PosixSignalRegistration[] _signals;

    /// <summary>Throws <see cref="SoakException"/> where namespaces cannot be made.</summary>
    public HostNetwork()
    {
        if (Problem is { } problem) throw new SoakException(problem);
        _switch = new NetworkNamespace($"{_prefix}-sw");
        AppDomain.CurrentDomain.ProcessExit += Ended;
        // Neither an exception that nobody handles nor a signal raises it.
        AppDomain.CurrentDomain.UnhandledException += Ended;
        _signals = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }.Select(s => PosixSignalRegistration.Create(s, _ => Clear()))];
        _switch.Run("ip", "link", "add", "lan", "type", "bridge", "forward_delay", "0", "ageing_time", "30000");
        _switch.Run("ip", "link", "set", "lan", "up");
    }

    /// <summary>Why hosts cannot be made here, as a sentence; null when they can.</summary>
    public static string? Problem
    {
        get
        {
            if (!OperatingSystem.IsLinux()) return "hosts of their own need Linux's network namespaces";
            if (!Environment.IsPrivilegedProcess) return "hosts of their own need root (network namespaces, bridges, tap devices)";
            foreach (string tool in new[] { "ip", "tc", "iptables" })
            {
                if (!new[] { "/usr/sbin", "/sbin", "/usr/bin", "/bin" }.Any(d => File.Exists(Path.Combine(d, tool)))) return $"hosts of their own need the command {tool} (Debian: apt-get install iproute2 iptables)";
            }
            if (!File.Exists("/dev/net/tun")) return "hosts of their own need /dev/net/tun";
            string probe = $"e86-{Environment.ProcessId}-probe";
            try
            {
                new NetworkNamespace(probe).Dispose();
                return null;
            }
            catch (SoakException e)
            {
                return $"network namespaces cannot be made here: {e.Message}";
            }
        }
    }

    /// <summary>The bridge's namespace: frames are watched there.</summary>
    public NetworkNamespace Switch => _switch;

    /// <summary>Whether what comes in by this interface comes from a host.</summary>
    public bool IsHostsPort(int interfaceIndex) => _hosts.Exists(h => h.PortIndex == interfaceIndex);

    /// <param name="name">As it appears in what is printed.</param>
    /// <param name="number">Last byte of its address, from 1.</param>
    /// <param name="hasGuest">Whether a guest may be plugged in.</param>
    public TestHost Add(string name, int number, bool hasGuest)
    {
        var host = new TestHost(name, new NetworkNamespace($"{_prefix}-{number}"), _switch, IPAddress.Parse($"{Subnet}.{number}"), number, hasGuest);
        _hosts.Add(host);
        return host;
    }

    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= Ended;
        AppDomain.CurrentDomain.UnhandledException -= Ended;
        foreach (PosixSignalRegistration signal in _signals) signal.Dispose();
        Clear();
    }

    private void Ended(object? sender, EventArgs e) => Clear();

    // The run, which sees its hosts vanish, may fail meanwhile: then it waits until all is cleared.
    private void Clear()
    {
        lock (_clearing)
        {
            foreach (TestHost host in _hosts) host.Dispose();
            _hosts.Clear();
            if (File.Exists($"/run/netns/{_switch.Name}")) _switch.Dispose();
        }
    }
}
