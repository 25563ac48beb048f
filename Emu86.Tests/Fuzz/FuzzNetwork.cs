// The parsers on the guest's cable: user-mode networking (ARP, IP and its fragments, ICMP, DHCP, TCP) and the switch.
using System.Buffers.Binary;
using Emu86.Ft.Host.Net;
using Emu86.Ft.Host.Net.Switching;
using Emu86.Ft.Host.Net.User;

namespace Emu86.Tests.Fuzz;

/// <summary>An input is a conversation: frames, each behind its 32-bit length as on a stream.</summary>
internal static class FuzzNetwork
{
    private const ulong Guest = 0x5254_0012_3456;
    private const int FramesMax = 2000;

    public static readonly FuzzTarget UserNetwork = new("user network", () => [Conversation(), Tcp()], bytes =>
    {
        UserNetworkWithoutSockets network = new();
        List<byte[]> frames = Frames(bytes);
        foreach (byte[] frame in frames) network.Receive(WithHeaderChecksum(frame));
        return network.Understood == frames.Count;
    });

    public static readonly FuzzTarget Switch = new("switch", () => [Join(GoLiveFrames.EpochFrame("default", [0x52, 0x54, 0, 0x12, 0x34, 0x56], 3), Arp(), Dhcp(1))], bytes =>
    {
        var network = new EthernetSwitch(_ => { });
        SwitchPort here = network.Add("here", _ => { });
        int passed = 0;
        network.Add("there", _ => passed++);
        List<byte[]> frames = Frames(bytes);
        long now = 0;
        foreach (byte[] frame in frames) network.Receive(here, frame, now += 10);
        Assert.InRange(network.AddressCount, 0, EthernetSwitch.AddressesMax);
        Assert.InRange(passed, 0, frames.Count);
        return passed == frames.Count(f => !GoLiveFrames.IsEpochFrame(f));
    });

    public static byte[] Join(params byte[][] frames)
    {
        using MemoryStream all = new();
        foreach (byte[] frame in frames)
        {
            byte[] length = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(length, frame.Length);
            all.Write(length);
            all.Write(frame);
        }
        return all.ToArray();
    }

    public static byte[] Arp() => new ArpPacket(ArpPacket.Request, Guest, Lan.FirstGuest, 0, Lan.Gateway).Frame(Ethernet.Broadcast);

    private static List<byte[]> Frames(byte[] bytes)
    {
        List<byte[]> frames = [];
        for (int at = 0; bytes.Length - at > 4 && frames.Count < FramesMax;)
        {
            int length = (int)Math.Min(BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(at)), (uint)(bytes.Length - at - 4));
            frames.Add(bytes.AsSpan(at + 4, length).ToArray());
            at += 4 + length;
        }
        return frames;
    }

    private static byte[] Ip(byte protocol, ReadOnlySpan<byte> payload, int offset = 0, bool more = false)
    {
        byte[] frame = new byte[Ethernet.HeaderBytes + Ipv4Header.Bytes + payload.Length];
        Ethernet.WriteHeader(frame, Lan.OwnMac, Guest, Ethernet.TypeIpv4);
        new Ipv4Header(Lan.FirstGuest, Lan.Gateway, protocol, 64, 7, offset, more).Write(frame.AsSpan(Ethernet.HeaderBytes), payload.Length);
        payload.CopyTo(frame.AsSpan(Ethernet.HeaderBytes + Ipv4Header.Bytes));
        return frame;
    }

    private static byte[] Dhcp(byte type)
    {
        byte[] datagram = new byte[8 + 300];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, DhcpServer.ClientPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), DhcpServer.ServerPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)datagram.Length);
        Span<byte> message = datagram.AsSpan(8);
        (message[0], message[1], message[2]) = (1, 1, 6);
        Ethernet.WriteMac(message[28..], Guest);
        BinaryPrimitives.WriteUInt32BigEndian(message[236..], 0x6382_5363);
        ((byte[])[53, 1, type, 50, 4, 10, 0, 2, 15, 255]).CopyTo(message[240..]);
        return Ip(Ipv4Header.Udp, datagram);
    }

    private static byte[] Conversation()
    {
        byte[] echo = [8, 0, 0, 0, 1, 2, 0, 3, 9, 9, 9, 9];
        BinaryPrimitives.WriteUInt16BigEndian(echo.AsSpan(2), Checksum.Of(echo));
        byte[] large = new byte[2400];
        large[0] = 8;
        BinaryPrimitives.WriteUInt16BigEndian(large.AsSpan(2), Checksum.Of(large));
        return Join(Arp(), Dhcp(1), Dhcp(3), Ip(Ipv4Header.Icmp, echo), Ip(Ipv4Header.Icmp, large.AsSpan(0, 1480), 0, true), Ip(Ipv4Header.Icmp, large.AsSpan(1480), 1480));
    }

    private static byte[] Tcp()
    {
        static byte[] Segment(TcpHeader header, int data)
        {
            byte[] segment = new byte[TcpHeader.LengthMax + data];
            int length = header.Write(segment);
            return Ip(Ipv4Header.Tcp, segment.AsSpan(0, length + data));
        }
        const uint theirs = UserNetworkWithoutSockets.InitialSequence;
        return Join(
            Segment(new TcpHeader(2000, 80, 100, 0, TcpFlags.Syn, 5000, 1460, 2), 0),
            Segment(new TcpHeader(2000, 80, 101, theirs + 1, TcpFlags.Ack, 5000), 0),
            Segment(new TcpHeader(2000, 80, 101, theirs + 1, TcpFlags.Ack | TcpFlags.Psh, 5000), 400),
            Segment(new TcpHeader(2000, 80, 901, theirs + 1, TcpFlags.Ack, 5000), 300),
            Segment(new TcpHeader(2000, 80, 501, theirs + 1, TcpFlags.Ack, 5000), 400),
            Segment(new TcpHeader(2000, 80, 1201, theirs + 1, TcpFlags.Ack | TcpFlags.Fin, 5000), 0));
    }

    /// <summary>What is forged has the right checksum: without it nothing behind would be reached.</summary>
    private static byte[] WithHeaderChecksum(byte[] frame)
    {
        if (frame.Length < Ethernet.HeaderBytes + Ipv4Header.Bytes || Ethernet.Type(frame) != Ethernet.TypeIpv4) return frame;
        Span<byte> packet = frame.AsSpan(Ethernet.HeaderBytes);
        int header = (packet[0] & 15) * 4;
        if (header < Ipv4Header.Bytes || header > packet.Length) return frame;
        packet[10..12].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], Checksum.Of(packet[..header]));
        return frame;
    }

    /// <summary>Takes frames as <see cref="Emu86.Ft.Host.Net.User.UserNetwork"/> does, but reaches no other host: TCP ends in an endpoint of its own.</summary>
    private sealed class UserNetworkWithoutSockets : ITcpLink
    {
        public const uint InitialSequence = 77;

        private readonly Lan _lan = new(frame => Assert.InRange(frame.Length, Ethernet.HeaderBytes, Ethernet.FrameBytesMax));
        private readonly DhcpServer _dhcp;
        private readonly Reassembly _reassembly = new();
        private TcpEndpoint? _tcp;
        private long _nowMs;

        public UserNetworkWithoutSockets() => _dhcp = new DhcpServer(_lan);

        /// <summary>Frames that had a meaning.</summary>
        public int Understood { get; private set; }

        public void Receive(byte[] frame)
        {
            _nowMs += 20;
            if (frame.Length < Ethernet.HeaderBytes) return;
            ulong source = Ethernet.Source(frame);
            _dhcp.Heard(source, _nowMs);
            if (Ethernet.Type(frame) == Ethernet.TypeArp)
            {
                _lan.ReceiveArp(frame.AsSpan(Ethernet.HeaderBytes));
                Understood++;
            }
            else if (Ipv4Header.TryParse(frame.AsSpan(Ethernet.HeaderBytes), out Ipv4Header ip, out ReadOnlySpan<byte> payload)) Packet(ip, payload, source);
            Tick();
        }

        public void Transmit(in TcpHeader header, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second) => Assert.InRange(first.Length + second.Length, 0, 1460);

        private void Packet(in Ipv4Header ip, ReadOnlySpan<byte> payload, ulong mac)
        {
            Understood++;
            if (ip.IsFragment && !_reassembly.TryComplete(ip, payload, _nowMs, out payload)) return;
            _lan.Learn(ip.Source, mac);
            switch (ip.Protocol)
            {
                case Ipv4Header.Udp when payload.Length >= 8: _dhcp.Receive(payload[8..], _nowMs); break;
                case Ipv4Header.Icmp: _lan.ReceiveIcmp(ip, payload); break;
                case Ipv4Header.Tcp: Segment(payload); break;
            }
        }

        private void Segment(ReadOnlySpan<byte> segment)
        {
            if (!TcpHeader.TryParse(segment, out TcpHeader header, out ReadOnlySpan<byte> data)) return;
            if (_tcp is null || _tcp.IsReplacedBy(header))
            {
                if ((header.Flags & (TcpFlags.Syn | TcpFlags.Ack | TcpFlags.Rst)) != TcpFlags.Syn)
                {
                    if (TcpEndpoint.Refusal(header, data.Length, out TcpHeader reset)) Transmit(reset, default, default);
                    return;
                }
                _tcp = new TcpEndpoint(this, header.DestinationPort, header.SourcePort, InitialSequence);
                _tcp.Offer(header);
                _tcp.Accept(_nowMs);
                return;
            }
            _tcp.Receive(header, data, _nowMs);
        }

        private void Tick()
        {
            if (_tcp is null) return;
            if (_nowMs >= _tcp.Deadline) _tcp.Time(_nowMs);
            while (_tcp.Readable() is { IsEmpty: false } got) _tcp.Consume(got.Length);
            if (_tcp.Space() is { IsEmpty: false } space) _tcp.Commit(Math.Min(space.Length, 100));
            if (_tcp.EndOfStream) _tcp.FinishWriting();
            _tcp.Output(_nowMs);
        }
    }
}
