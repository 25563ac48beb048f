// A scripted guest on the cable of a host network: ARP, IP, UDP and TCP, with frames that may be lost, repeated and reordered.
using System.Buffers.Binary;
using System.Collections.Concurrent;
using Emu86.Ft.Host.Net;
using Emu86.Ft.Host.Net.User;

namespace Emu86.Tests.Ft.Net;

/// <summary>Runs on a thread of its own; everything that tests call is safe from any thread.</summary>
internal sealed class GuestOnWire : IDisposable
{
    public const ulong Mac = 0x5254_0012_3456;

    private readonly IHostNetwork _network;
    private readonly Random _random;
    private readonly int _lossPercent;
    private readonly BlockingCollection<byte[]> _arrived = new(100_000);
    private readonly Dictionary<(uint, ushort, ushort), Connection> _connections = [];
    private readonly Dictionary<ushort, Action<Connection>> _listeners = [];
    private readonly ConcurrentQueue<Action> _work = new();
    private readonly Thread _thread;
    private ulong _gatewayMac;
    private ushort _nextPort = 2000;
    private volatile bool _ending;

    public GuestOnWire(IHostNetwork network, int seed = 1, int lossPercent = 0, uint address = Lan.FirstGuest, ulong mac = Mac)
    {
        _network = network;
        _random = new Random(seed);
        _lossPercent = lossPercent;
        Address = address;
        OwnMac = mac;
        network.Start(frame => _arrived.TryAdd(frame));
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
        Send(new ArpPacket(ArpPacket.Request, OwnMac, Address, 0, Lan.Gateway).Frame(Ethernet.Broadcast));
        Until(() => _gatewayMac != 0, "ARP answer of the gateway");
    }

    public uint Address { get; }

    public ulong OwnMac { get; }

    /// <summary>Frames that are neither TCP nor ARP, as they came.</summary>
    public BlockingCollection<byte[]> Others { get; } = [];

    public static void Until(Func<bool> condition, string what)
    {
        for (int i = 0; i < 3000 && !condition(); i++) Thread.Sleep(5);
        Assert.True(condition(), "waited in vain for: " + what);
    }

    /// <summary>Sends a frame over the bad cable.</summary>
    public void Send(byte[] frame)
    {
        lock (_random)
        {
            if (_random.Next(100) < _lossPercent) return;
            if (_random.Next(100) < _lossPercent) _network.Send(frame);
        }
        _network.Send(frame);
    }

    public void SendIp(byte protocol, uint destination, ReadOnlySpan<byte> payload, uint? source = null, ulong? to = null)
    {
        byte[] frame = new byte[34 + payload.Length];
        Ethernet.WriteHeader(frame, to ?? _gatewayMac, OwnMac, Ethernet.TypeIpv4);
        new Ipv4Header(source ?? Address, destination, protocol, 64, 7, 0, false).Write(frame.AsSpan(14), payload.Length);
        payload.CopyTo(frame.AsSpan(34));
        Send(frame);
    }

    public void SendUdp(ushort port, uint destination, ushort destinationPort, ReadOnlySpan<byte> data, uint? source = null, ulong? to = null)
    {
        byte[] datagram = new byte[8 + data.Length];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, port);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), destinationPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)datagram.Length);
        data.CopyTo(datagram.AsSpan(8));
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(6), Checksum.Fold(Checksum.Add(Checksum.Pseudo(source ?? Address, destination, 17, datagram.Length), datagram)));
        SendIp(17, destination, datagram, source, to);
    }

    /// <summary>The next frame of a kind that is neither TCP nor ARP.</summary>
    public byte[] Other(Func<byte[], bool> which)
    {
        for (int i = 0; i < 100; i++)
            if (Others.TryTake(out byte[]? frame, 5000) && which(frame)) return frame;
        throw new TimeoutException("no such frame came");
    }

    public void Listen(ushort port, Action<Connection> accepted) => Do(() => _listeners[port] = accepted);

    public Connection Connect(uint destination, ushort port)
    {
        Connection? connection = null;
        Do(() =>
        {
            connection = new Connection(this, destination, _nextPort++, port);
            _connections.Add((destination, port, connection.Tcp.LocalPort), connection);
            connection.Tcp.Connect(Environment.TickCount64);
        });
        return connection!;
    }

    public void Do(Action work)
    {
        using var done = new ManualResetEventSlim();
        _work.Enqueue(() =>
        {
            work();
            done.Set();
        });
        _arrived.TryAdd([]);
        Assert.True(done.Wait(10_000));
    }

    public void Dispose()
    {
        _ending = true;
        _arrived.TryAdd([]);
        _thread.Join();
        _network.Dispose();
    }

    private void Run()
    {
        while (!_ending)
        {
            bool any = _arrived.TryTake(out byte[]? frame, 10);
            while (_work.TryDequeue(out Action? work)) work();
            for (; any; any = _arrived.TryTake(out frame))
            {
                if (frame!.Length == 0) continue;
                bool lost, twice;
                lock (_random) (lost, twice) = (_random.Next(100) < _lossPercent, _random.Next(100) < _lossPercent);
                if (lost) continue;
                Arrive(frame);
                if (twice) Arrive(frame);
            }
            long now = Environment.TickCount64;
            foreach (Connection connection in _connections.Values)
            {
                connection.Tcp.Time(now);
                connection.Pump();
                connection.Tcp.Output(now);
            }
        }
    }

    private void Arrive(byte[] frame)
    {
        Assert.True(frame.Length <= 1514);
        if (Ethernet.Type(frame) == Ethernet.TypeArp && ArpPacket.TryParse(frame.AsSpan(14), out ArpPacket arp))
        {
            if (arp.Operation == ArpPacket.Reply && arp.SenderIp == Lan.Gateway) _gatewayMac = arp.SenderMac;
            if (arp.Operation == ArpPacket.Request && arp.TargetIp == Address) Send(new ArpPacket(ArpPacket.Reply, OwnMac, Address, arp.SenderMac, arp.SenderIp).Frame(arp.SenderMac));
            return;
        }
        if (Ethernet.Type(frame) != Ethernet.TypeIpv4 || frame[23] != 6)
        {
            Others.Add(frame);
            return;
        }
        Assert.True(Ipv4Header.TryParse(frame.AsSpan(14), out Ipv4Header ip, out ReadOnlySpan<byte> segment));
        Assert.Equal(0, Checksum.Fold(Checksum.Add(Checksum.Pseudo(ip.Source, ip.Destination, 6, segment.Length), segment)));
        Assert.True(TcpHeader.TryParse(segment, out TcpHeader header, out ReadOnlySpan<byte> data));
        long now = Environment.TickCount64;
        var key = (ip.Source, header.SourcePort, header.DestinationPort);
        if (_connections.TryGetValue(key, out Connection? connection))
        {
            connection.Tcp.Receive(header, data, now);
            return;
        }
        if (header.Flags == TcpFlags.Syn && _listeners.TryGetValue(header.DestinationPort, out Action<Connection>? accepted))
        {
            connection = new Connection(this, ip.Source, header.DestinationPort, header.SourcePort);
            _connections.Add(key, connection);
            connection.Tcp.Offer(header);
            connection.Tcp.Accept(now);
            accepted(connection);
            return;
        }
        if (TcpEndpoint.Refusal(header, data.Length, out TcpHeader reset)) Transmit(ip.Source, reset, default, default);
    }

    private void Transmit(uint destination, in TcpHeader header, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        byte[] segment = new byte[TcpHeader.LengthMax + first.Length + second.Length];
        int length = header.Write(segment);
        first.CopyTo(segment.AsSpan(length));
        second.CopyTo(segment.AsSpan(length + first.Length));
        length += first.Length + second.Length;
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(16), Checksum.Fold(Checksum.Add(Checksum.Pseudo(Address, destination, 6, length), segment.AsSpan(0, length))));
        SendIp(6, destination, segment.AsSpan(0, length));
    }

    internal sealed class Connection(GuestOnWire guest, uint remote, ushort local, ushort remotePort) : ITcpLink
    {
        private TcpEndpoint? _tcp;

        /// <summary>What it does whenever something may have changed, on the guest's thread.</summary>
        public Action<Connection>? Work { get; set; }

        public TcpEndpoint Tcp => _tcp ??= new TcpEndpoint(this, local, remotePort, (uint)(remotePort * 2_654_435_761L));

        public MemoryStream Received { get; } = new();

        /// <summary>Sends back what comes, and closes when the peer does.</summary>
        public static void Echo(Connection connection)
        {
            TcpEndpoint tcp = connection.Tcp;
            while (tcp.Readable() is { IsEmpty: false } data)
            {
                Span<byte> space = tcp.Space();
                if (space.IsEmpty) return;
                int count = int.Min(space.Length, data.Length);
                data[..count].CopyTo(space);
                tcp.Commit(count);
                tcp.Consume(count);
            }
            if (tcp.EndOfStream) tcp.FinishWriting();
        }

        /// <summary>Sends data, then closes; collects what comes.</summary>
        public static Action<Connection> Exchange(byte[] data)
        {
            int sent = 0;
            return connection =>
            {
                TcpEndpoint tcp = connection.Tcp;
                while (sent < data.Length && tcp.Space() is { IsEmpty: false } space)
                {
                    int count = int.Min(space.Length, data.Length - sent);
                    data.AsSpan(sent, count).CopyTo(space);
                    tcp.Commit(count);
                    sent += count;
                }
                if (sent == data.Length && tcp.WasOpen) tcp.FinishWriting();
                while (tcp.Readable() is { IsEmpty: false } got)
                {
                    connection.Received.Write(got);
                    tcp.Consume(got.Length);
                }
            };
        }

        public void Pump() => Work?.Invoke(this);

        public void Transmit(in TcpHeader header, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second) => guest.Transmit(remote, header, first, second);
    }
}
