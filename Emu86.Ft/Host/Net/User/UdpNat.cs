// UDP of the guest through host sockets, and its questions to the name server.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Emu86.Ft.Host.Net.User;

/// <summary>A socket in the event loop.</summary>
public interface IPolled
{
    Socket Socket { get; }

    bool WantsRead { get; }

    bool WantsWrite { get; }

    void Ready(bool read, bool write, long now);
}

/// <summary>One host socket for each UDP port of a guest. Answers pass from addresses that were asked.</summary>
public sealed class UdpNat(Lan lan, IPAddress[] nameServers) : IDisposable
{
    private const int FlowsMax = 256;
    private const long IdleMs = 120_000;
    private const long NameIdleMs = 10_000;
    private const int PeersMax = 64;
    private const ushort NamePort = 53;

    private readonly Dictionary<(uint Address, ushort Port, bool Name), Flow> _flows = [];
    private readonly byte[] _buffer = new byte[65_536];
    private readonly IPAddress[] _nameServers = nameServers;

    public IEnumerable<IPolled> Polled => _flows.Values;

    /// <summary>Sends a guest's datagram to the world.</summary>
    public void Receive(in Ipv4Header ip, ReadOnlySpan<byte> datagram, long now)
    {
        ushort source = BinaryPrimitives.ReadUInt16BigEndian(datagram);
        ushort destination = BinaryPrimitives.ReadUInt16BigEndian(datagram[2..]);
        ReadOnlySpan<byte> data = datagram[8..];
        bool name = ip.Destination == Lan.NameServer;
        if (name && (destination != NamePort || _nameServers.Length == 0)) return;
        // Multicast and broadcast stay on the guest's cable.
        if (ip.Destination >= 0xe000_0000 || (Lan.IsLocal(ip.Destination) && !Lan.IsOwn(ip.Destination))) return;
        if (!_flows.TryGetValue((ip.Source, source, name), out Flow? flow))
        {
            if (_flows.Count == FlowsMax) Remove(_flows.Values.MinBy(f => f.LastUsed)!);
            if (Flow.Open(this, ip.Source, source, name) is not { } opened) return;
            flow = opened;
            _flows.Add((ip.Source, source, name), flow);
        }
        flow.LastUsed = now;
        flow.Send(ip.Destination, destination, data);
    }

    /// <summary>Closes what has been idle for long.</summary>
    public void Age(long now)
    {
        foreach (Flow flow in _flows.Values.Where(f => now - f.LastUsed > (f.Name ? NameIdleMs : IdleMs)).ToArray()) Remove(flow);
    }

    public void Dispose()
    {
        foreach (Flow flow in _flows.Values) flow.Socket.Dispose();
        _flows.Clear();
    }

    private void Remove(Flow flow)
    {
        _flows.Remove((flow.Guest, flow.Port, flow.Name));
        flow.Socket.Dispose();
    }

    private sealed class Flow : IPolled
    {
        private readonly UdpNat _nat;
        private readonly SocketAddress _from;
        private readonly HashSet<uint> _peers = [];
        private int _server;
        private ushort _question;
        private bool _answered = true;

        private Flow(UdpNat nat, Socket socket, uint guest, ushort port, bool name)
        {
            _nat = nat;
            Socket = socket;
            Guest = guest;
            Port = port;
            Name = name;
            _from = new SocketAddress(socket.AddressFamily);
        }

        public Socket Socket { get; }

        public uint Guest { get; }

        public ushort Port { get; }

        public bool Name { get; }

        public long LastUsed { get; set; }

        public bool WantsRead => true;

        public bool WantsWrite => false;

        public static Flow? Open(UdpNat nat, uint guest, ushort port, bool name)
        {
            Socket? socket = null;
            try
            {
                AddressFamily family = name ? nat._nameServers[0].AddressFamily : AddressFamily.InterNetwork;
                socket = new Socket(family, SocketType.Dgram, ProtocolType.Udp) { Blocking = false };
                socket.Bind(new IPEndPoint(family == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0));
                return new Flow(nat, socket, guest, port, name);
            }
            catch (SocketException)
            {
                // The host has no more sockets: the datagram is lost.
                socket?.Dispose();
                return null;
            }
        }

        public void Send(uint destination, ushort port, ReadOnlySpan<byte> data)
        {
            IPAddress to;
            if (Name)
            {
                ushort question = data.Length >= 2 ? BinaryPrimitives.ReadUInt16BigEndian(data) : (ushort)0;
                // Asked again without an answer: the next server is tried.
                if (!_answered && question == _question) _server = (_server + 1) % _nat._nameServers.Length;
                _question = question;
                _answered = false;
                to = _nat._nameServers[_server];
                if (to.AddressFamily != Socket.AddressFamily) to = _nat._nameServers[0];
            }
            else
            {
                if (_peers.Count == PeersMax) _peers.Clear();
                to = destination == Lan.Gateway ? IPAddress.Loopback : Ipv4Header.Address(destination);
                _peers.Add(Ipv4Header.Address(to));
            }
            try
            {
                Socket.SendTo(data, SocketFlags.None, new IPEndPoint(to, port).Serialize());
            }
            catch (SocketException)
            {
                // Unreachable or refused: lost, as UDP is.
            }
        }

        public void Ready(bool read, bool write, long now)
        {
            // A few at a time, so that one flow does not keep the others waiting.
            for (int i = 0; i < 16 && Socket.Available > 0; i++)
            {
                int length;
                try
                {
                    length = Socket.ReceiveFrom(_nat._buffer, SocketFlags.None, _from);
                }
                catch (SocketException)
                {
                    return;
                }
                LastUsed = now;
                Span<byte> data = _nat._buffer.AsSpan(0, length);
                var peer = (IPEndPoint)new IPEndPoint(Socket.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0).Create(_from);
                if (Name)
                {
                    if (peer.Port != NamePort || Array.IndexOf(_nat._nameServers, peer.Address) < 0) continue;
                    _answered = true;
                    _nat.Deliver(Lan.NameServer, NamePort, this, data);
                }
                else
                {
                    uint address = Ipv4Header.Address(peer.Address);
                    if (!_peers.Contains(address)) continue;
                    _nat.Deliver(IPAddress.IsLoopback(peer.Address) ? Lan.Gateway : address, (ushort)peer.Port, this, data);
                }
            }
        }
    }

    private void Deliver(uint source, ushort port, Flow flow, ReadOnlySpan<byte> data) => lan.SendUdp(source, port, flow.Guest, flow.Port, data);
}
