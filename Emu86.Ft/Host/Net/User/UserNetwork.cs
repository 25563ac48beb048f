// User-mode networking: a network with DHCP, name service and address translation through ordinary host sockets. Nothing has to be
// installed or allowed on the host. The guest is 10.0.2.15, the host 10.0.2.2, the name server 10.0.2.3.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Net.User;

/// <summary>One thread runs everything; it sleeps in the host's poll until a socket, a frame or a time is due.</summary>
public sealed class UserNetwork : IHostNetwork
{
    private const int FramesMax = 2048;
    private const long AgeEveryMs = 1000;
    // Longer frames than a cable carries are a guest's mistake; a tagged one is 4 bytes longer.
    private const int FrameBytesMax = Ethernet.FrameBytesMax + 4;

    private readonly IReadOnlyList<HostForward> _options;
    private readonly FrameQueue _frames = new(FramesMax);
    private readonly Lan _lan;
    private readonly DhcpServer _dhcp;
    private readonly UdpNat _udp;
    private readonly TcpNat _tcp;
    private readonly Reassembly _reassembly = new();
    private readonly Socket _wake = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
    private readonly byte[] _wakeByte = new byte[1];
    private readonly Thread _thread;
    private Action<byte[]>? _received;
    private int _asleep;
    private volatile bool _ending;
    private bool _nudge;

    /// <param name="forwards">Ports of the host that lead to ports of the guest at 10.0.2.15.</param>
    /// <param name="nameServers">Whom 10.0.2.3 asks; null: those of the host.</param>
    public UserNetwork(IReadOnlyList<HostForward> forwards, IPAddress[]? nameServers = null)
    {
        _options = forwards;
        nameServers ??= HostAddress.NameServers();
        _lan = new Lan(frame => _received!(frame)) { Learned = address => _nudge |= address == Lan.FirstGuest };
        _dhcp = new DhcpServer(_lan);
        _udp = new UdpNat(_lan, nameServers);
        _tcp = new TcpNat(_lan, nameServers);
        _thread = new Thread(Run) { IsBackground = true, Name = "user network" };
    }

    public void Start(Action<byte[]> received)
    {
        _received = received;
        try
        {
            foreach (HostForward forward in _options) _tcp.Forward(forward);
            _wake.Blocking = false;
            _wake.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _wake.Connect(_wake.LocalEndPoint!);
        }
        catch (Exception e) when (e is HostException or SocketException)
        {
            _tcp.Dispose();
            if (e is HostException) throw;
            throw new HostException($"--net user cannot use the loopback interface of this host: {e.Message}");
        }
        _thread.Start();
    }

    public void Send(ReadOnlyMemory<byte> frame)
    {
        if (frame.Length is < Ethernet.HeaderBytes or > FrameBytesMax) return;
        _frames.Put(frame.Span);
        // The thread looks at the queue once more after it said that it falls asleep.
        if (Interlocked.Exchange(ref _asleep, 0) == 1) Wake();
    }

    public void Dispose()
    {
        _ending = true;
        if (_thread.IsAlive)
        {
            Wake();
            _thread.Join();
        }
        _udp.Dispose();
        _tcp.Dispose();
        _wake.Dispose();
    }

    private void Wake()
    {
        try
        {
            _wake.Send(_wakeByte, SocketFlags.None, out _);
        }
        catch (ObjectDisposedException)
        {
            // A frame that was sent while the network was closed.
        }
    }

    private void Run()
    {
        var readable = new List<Socket>();
        var writable = new List<Socket>();
        var polled = new Dictionary<Socket, IPolled>();
        byte[] drained = new byte[64];
        long age = 0;
        while (!_ending)
        {
            long now = Environment.TickCount64;
            TakeFrames(now);
            if (_nudge)
            {
                _nudge = false;
                _tcp.Nudge(Lan.FirstGuest, now);
            }
            long deadline = _tcp.Pump(now);
            if (now >= age)
            {
                _udp.Age(now);
                age = now + AgeEveryMs;
            }
            deadline = long.Min(deadline, age);

            polled.Clear();
            readable.Clear();
            writable.Clear();
            readable.Add(_wake);
            Collect(_udp.Polled);
            Collect(_tcp.Polled);
            Volatile.Write(ref _asleep, 1);
            Interlocked.MemoryBarrier();
            long wait = _frames.IsEmpty ? long.Clamp(deadline - now, 0, AgeEveryMs) : 0;
            try
            {
                Socket.Select(readable, writable, null, (int)wait * 1000);
            }
            catch (SocketException)
            {
                // A socket broke between two looks; its flow finds out when it is used.
                readable.Clear();
                writable.Clear();
                foreach (IPolled one in polled.Values)
                {
                    if (one.WantsRead) readable.Add(one.Socket);
                    if (one.WantsWrite) writable.Add(one.Socket);
                }
            }
            Volatile.Write(ref _asleep, 0);

            now = Environment.TickCount64;
            foreach (Socket socket in writable) polled[socket].Ready(read: false, write: true, now);
            foreach (Socket socket in readable)
            {
                if (socket == _wake) _wake.Receive(drained, SocketFlags.None, out _);
                else polled[socket].Ready(read: true, write: false, now);
            }
        }

        void Collect(IEnumerable<IPolled> some)
        {
            foreach (IPolled one in some)
            {
                bool read = one.WantsRead, write = one.WantsWrite;
                if (!read && !write) continue;
                polled[one.Socket] = one;
                if (read) readable.Add(one.Socket);
                if (write) writable.Add(one.Socket);
            }
        }
    }

    private void TakeFrames(long now)
    {
        // Not more than fit into the queue at once, so that sockets get their turn.
        for (int i = 0; i < FramesMax && _frames.TryTake(out ReadOnlySpan<byte> frame, out byte[] storage); i++)
        {
            Frame(frame, now);
            FrameQueue.Done(storage);
        }
    }

    private void Frame(ReadOnlySpan<byte> frame, long now)
    {
        ulong destination = Ethernet.Destination(frame), source = Ethernet.Source(frame);
        if ((destination != Lan.OwnMac && !Ethernet.IsGroup(destination)) || Ethernet.IsGroup(source)) return;
        _dhcp.Heard(source, now);
        ReadOnlySpan<byte> packet = frame[Ethernet.HeaderBytes..];
        switch (Ethernet.Type(frame))
        {
            case Ethernet.TypeArp: _lan.ReceiveArp(packet); break;
            case Ethernet.TypeIpv4: Packet(packet, source, now); break;
        }
    }

    private void Packet(ReadOnlySpan<byte> packet, ulong mac, long now)
    {
        if (!Ipv4Header.TryParse(packet, out Ipv4Header ip, out ReadOnlySpan<byte> payload)) return;
        if (ip.IsFragment && !_reassembly.TryComplete(ip, payload, now, out payload)) return;
        if (ip.Protocol == Ipv4Header.Udp)
        {
            if (payload.Length < 8) return;
            int length = BinaryPrimitives.ReadUInt16BigEndian(payload[4..]);
            if (length < 8 || length > payload.Length) return;
            payload = payload[..length];
            if (BinaryPrimitives.ReadUInt16BigEndian(payload[6..]) != 0 && !Intact(ip, payload)) return;
            // Before it has an address, a guest speaks from 0.0.0.0 to everybody.
            if (BinaryPrimitives.ReadUInt16BigEndian(payload[2..]) == DhcpServer.ServerPort && ip.Destination is uint.MaxValue or Lan.Gateway or Lan.BroadcastIp)
            {
                _dhcp.Receive(payload[8..], now);
                return;
            }
        }
        if (!Lan.IsLocal(ip.Source) || Lan.IsOwn(ip.Source)) return;
        _lan.Learn(ip.Source, mac);
        switch (ip.Protocol)
        {
            case Ipv4Header.Icmp: _lan.ReceiveIcmp(ip, payload); break;
            case Ipv4Header.Udp: _udp.Receive(ip, payload, now); break;
            case Ipv4Header.Tcp when Intact(ip, payload): _tcp.Receive(ip, payload, now); break;
        }
    }

    private static bool Intact(in Ipv4Header ip, ReadOnlySpan<byte> payload) =>
        Checksum.Fold(Checksum.Add(Checksum.Pseudo(ip.Source, ip.Destination, ip.Protocol, payload.Length), payload)) == 0;
}
