// TCP of the guest through host sockets, both ways.
using System.Net;
using System.Net.Sockets;

namespace Emu86.Ft.Host.Net.User;

/// <summary>The connections, by the guest's and the outside address. At most <see cref="FlowsMax"/>: the longest silent one gives way.</summary>
public sealed class TcpNat(Lan lan, IPAddress[] nameServers) : IDisposable
{
    public const int FlowsMax = 256;

    private readonly Dictionary<(uint Guest, ushort GuestPort, uint Outside, ushort OutsidePort), TcpFlow> _flows = [];
    private readonly List<TcpForward> _forwards = [];
    private readonly List<TcpFlow> _gone = [];
    private ushort _nextPort = 49_152;

    public IEnumerable<IPolled> Polled => _forwards.Concat<IPolled>(_flows.Values.Where(f => f.IsConnected));

    public int Count => _flows.Count;

    /// <summary>Listens for a forwarded port.</summary>
    public void Forward(Cli.HostForward forward)
    {
        Socket socket = HostAddress.Listen(forward.Host, forward.HostPort, "--net user,hostfwd");
        _forwards.Add(new TcpForward(this, socket, (ushort)forward.GuestPort));
    }

    /// <summary>A guest's segment, its checksum verified.</summary>
    public void Receive(in Ipv4Header ip, ReadOnlySpan<byte> segment, long now)
    {
        if (!TcpHeader.TryParse(segment, out TcpHeader header, out ReadOnlySpan<byte> data)) return;
        var key = (ip.Source, header.SourcePort, ip.Destination, header.DestinationPort);
        if (_flows.TryGetValue(key, out TcpFlow? flow) && flow.Endpoint.IsReplacedBy(header))
        {
            flow.Close(reset: false);
            _flows.Remove(key);
            flow = null;
        }
        if (flow is not null)
        {
            flow.LastUsed = now;
            flow.Endpoint.Receive(header, data, now);
            flow.Touched = true;
            return;
        }
        if ((header.Flags & (TcpFlags.Syn | TcpFlags.Ack | TcpFlags.Rst)) == TcpFlags.Syn && Open(ip, header) is { } opened)
        {
            opened.LastUsed = now;
            Add(key, opened);
            return;
        }
        if (TcpEndpoint.Refusal(header, data.Length, out TcpHeader reset)) TcpFlow.Transmit(lan, ip.Destination, ip.Source, reset, default, default);
    }

    /// <summary>A client of a forwarded port came: connects on to the guest.</summary>
    public void Accepted(Socket client, ushort guestPort, long now)
    {
        ushort port = client.RemoteEndPoint is IPEndPoint { Port: > 0 } remote ? (ushort)remote.Port : _nextPort;
        while (_flows.ContainsKey((Lan.FirstGuest, guestPort, Lan.Gateway, port)))
        {
            port = _nextPort;
            _nextPort = _nextPort == ushort.MaxValue ? (ushort)49_152 : (ushort)(_nextPort + 1);
        }
        var flow = new TcpFlow(lan, client, connecting: false, Lan.FirstGuest, guestPort, Lan.Gateway, port) { LastUsed = now };
        Add((Lan.FirstGuest, guestPort, Lan.Gateway, port), flow);
        flow.Endpoint.Connect(now);
    }

    /// <summary>A guest became reachable.</summary>
    public void Nudge(uint guest, long now)
    {
        foreach (TcpFlow flow in _flows.Values)
            if (flow.Guest == guest) flow.Endpoint.Nudge(now);
    }

    /// <summary>Moves data between guests and sockets, sends what is due and forgets what has ended; returns when it wants to be called
    /// again at the latest.</summary>
    public long Pump(long now)
    {
        long deadline = TcpSender.Never;
        foreach (TcpFlow flow in _flows.Values)
        {
            if (now >= flow.Endpoint.Deadline)
            {
                flow.Endpoint.Time(now);
                flow.Touched = true;
            }
            if (flow.Touched) flow.Pump(now);
            if (flow.IsGone) _gone.Add(flow);
            deadline = long.Min(deadline, flow.Endpoint.Deadline);
        }
        foreach (TcpFlow flow in _gone) _flows.Remove((flow.Guest, flow.Endpoint.RemotePort, flow.Outside, flow.Endpoint.LocalPort));
        _gone.Clear();
        return deadline;
    }

    public void Dispose()
    {
        foreach (TcpForward forward in _forwards) forward.Socket.Dispose();
        foreach (TcpFlow flow in _flows.Values) flow.Close(reset: true);
        _forwards.Clear();
        _flows.Clear();
    }

    private void Add((uint Guest, ushort GuestPort, uint Outside, ushort OutsidePort) key, TcpFlow flow)
    {
        if (_flows.Count == FlowsMax)
        {
            TcpFlow oldest = _flows.Values.MinBy(f => f.IsConnected ? f.LastUsed : long.MinValue + f.LastUsed)!;
            oldest.Endpoint.Abort();
            oldest.Close(reset: true);
            _flows.Remove((oldest.Guest, oldest.Endpoint.RemotePort, oldest.Outside, oldest.Endpoint.LocalPort));
        }
        flow.Touched = true;
        _flows.Add(key, flow);
    }

    private TcpFlow? Open(in Ipv4Header ip, in TcpHeader header)
    {
        IPAddress to;
        if (ip.Destination == Lan.Gateway) to = IPAddress.Loopback;
        else if (ip.Destination == Lan.NameServer && header.DestinationPort == 53 && nameServers.Length > 0) to = nameServers[0];
        else if (Lan.IsLocal(ip.Destination) || ip.Destination >= 0xe000_0000 || ip.Destination >> 24 is 0 or 127) return null;
        else to = Ipv4Header.Address(ip.Destination);
        Socket? socket = null;
        try
        {
            socket = new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { Blocking = false, NoDelay = true };
            socket.Connect(to, header.DestinationPort);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress or SocketError.IOPending)
        {
            // The event loop sees when it is connected.
        }
        catch (SocketException)
        {
            socket?.Dispose();
            return null;
        }
        var flow = new TcpFlow(lan, socket!, connecting: true, ip.Source, header.SourcePort, ip.Destination, header.DestinationPort);
        flow.Endpoint.Offer(header);
        return flow;
    }
}

/// <summary>A listening socket whose clients reach a port of the guest.</summary>
public sealed class TcpForward(TcpNat nat, Socket socket, ushort guestPort) : IPolled
{
    public Socket Socket => socket;

    public bool WantsRead => true;

    public bool WantsWrite => false;

    public void Ready(bool read, bool write, long now)
    {
        Socket? client = null;
        try
        {
            client = socket.Accept();
            client.Blocking = false;
            client.NoDelay = true;
            nat.Accepted(client, guestPort, now);
        }
        catch (SocketException)
        {
            // The client went away before it was accepted, or the host has no more sockets.
            client?.Dispose();
        }
    }
}
