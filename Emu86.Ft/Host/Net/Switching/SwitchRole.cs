// The role --switch: a network that outlives the machines on it.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Net.User;
using Emu86.Ft.Run;

namespace Emu86.Ft.Host.Net.Switching;

/// <summary>A switch whose ports are stream connections, and one the user-mode network with its forwarded ports.</summary>
public sealed class SwitchRole(RunOptions options)
{
    /// <summary>Runs until SIGTERM or Ctrl-C; returns the exit code.</summary>
    public int Run()
    {
        using var ended = new ManualResetEventSlim();
        using var signals = new Signals(ended.Set);
        using var server = new SwitchServer(options.SwitchAt!, options.Forwards, new Report(options.JsonLog).Say);
        server.Start();
        ended.Wait();
        return ExitCode.Ok;
    }
}

/// <summary>A listening switch.</summary>
public sealed class SwitchServer(Endpoint at, IReadOnlyList<HostForward> forwards, Action<string> say) : IDisposable
{
    public const int PortsMax = 64;

    private const int PollMicroseconds = 200_000;

    private readonly EthernetSwitch _switch = new(say);
    private readonly UserNetwork _user = new(forwards);
    private readonly List<StreamLink> _links = [];
    private Socket? _listener;
    private Thread? _thread;
    private volatile bool _ending;
    private int _named;

    /// <summary>Where it listens, with the port that was really taken.</summary>
    public Endpoint At { get; private set; } = at;

    /// <exception cref="HostException">A port is not to be had.</exception>
    public void Start()
    {
        _listener = HostAddress.Listen(At.Host, At.Port, "--switch");
        At = At with { Port = ((IPEndPoint)_listener.LocalEndPoint!).Port };
        SwitchPort nat = _switch.Add("user network", frame => _user.Send(frame));
        _user.Start(frame => _switch.Receive(nat, frame, Environment.TickCount64));
        _thread = new Thread(Accept) { IsBackground = true, Name = "switch" };
        _thread.Start();
        say($"switch on {At}");
    }

    public void Dispose()
    {
        _ending = true;
        _thread?.Join();
        _listener?.Dispose();
        lock (_links)
            foreach (StreamLink link in _links) link.Dispose();
        _user.Dispose();
    }

    private void Accept()
    {
        while (!_ending)
        {
            Socket socket;
            try
            {
                if (!_listener!.Poll(PollMicroseconds, SelectMode.SelectRead)) continue;
                socket = _listener.Accept();
            }
            catch (SocketException)
            {
                // The client went away, or the host has no more sockets: give it time to have some.
                Thread.Sleep(10);
                continue;
            }
            lock (_links)
            {
                if (_links.Count >= PortsMax)
                {
                    socket.Dispose();
                    say($"a connection was refused: all {PortsMax} ports are taken");
                    continue;
                }
                Connect(socket);
            }
        }
    }

    private void Connect(Socket socket)
    {
        string name = $"{++_named} ({socket.RemoteEndPoint})";
        StreamLink? link = null;
        SwitchPort port = _switch.Add(name, frame => link!.Send(frame));
        link = new StreamLink(socket, frame => _switch.Receive(port, frame, Environment.TickCount64), (ended, why) =>
        {
            _switch.Remove(port, Environment.TickCount64);
            lock (_links) _links.Remove(ended);
            if (!_ending) say($"port {name} down: {why}");
        });
        _links.Add(link);
        say($"port {name} up");
        link.Start();
    }
}
