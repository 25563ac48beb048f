// The virtual network 10.0.2.0/24 on which the guest sees a gateway and a name server: addressing, ARP, sending of packets.
using System.Buffers.Binary;

namespace Emu86.Ft.Host.Net.User;

/// <summary>The gateway's end of the guest's cable.</summary>
public sealed class Lan(Action<byte[]> send)
{
    public const uint Network = 0x0a00_0200, Mask = 0xffff_ff00;
    public const uint Gateway = Network | 2, NameServer = Network | 3, FirstGuest = Network | 15, BroadcastIp = Network | 255;

    /// <summary>The gateway's MAC address: locally administered, with its IP address in it.</summary>
    public const ulong OwnMac = 0x5255_0a00_0202;

    private const byte OwnTimeToLive = 64;

    // By the last byte of the address; 0: not known.
    private readonly ulong[] _neighbours = new ulong[256];
    private ushort _identification;

    /// <summary>Told when a guest's address became known or moved.</summary>
    public Action<uint>? Learned { get; set; }

    public static bool IsOwn(uint address) => address is Gateway or NameServer;

    public static bool IsLocal(uint address) => (address & Mask) == Network;

    /// <summary>Who has an address, as far as known; 0 when it is not.</summary>
    public ulong MacOf(uint address) => IsLocal(address) ? _neighbours[address & 0xff] : 0;

    /// <summary>A frame showed who has an address.</summary>
    public void Learn(uint address, ulong mac)
    {
        if (!IsLocal(address) || IsOwn(address) || address is Network or BroadcastIp || Ethernet.IsGroup(mac) || mac == 0) return;
        if (_neighbours[address & 0xff] == mac) return;
        _neighbours[address & 0xff] = mac;
        Learned?.Invoke(address);
    }

    /// <summary>Answers who-has for the addresses of this side.</summary>
    public void ReceiveArp(ReadOnlySpan<byte> packet)
    {
        if (!ArpPacket.TryParse(packet, out ArpPacket arp)) return;
        Learn(arp.SenderIp, arp.SenderMac);
        if (arp.Operation != ArpPacket.Request || !IsOwn(arp.TargetIp)) return;
        send(new ArpPacket(ArpPacket.Reply, OwnMac, arp.TargetIp, arp.SenderMac, arp.SenderIp).Frame(arp.SenderMac));
    }

    /// <summary>Asks who has an address.</summary>
    public void Ask(uint address) => send(new ArpPacket(ArpPacket.Request, OwnMac, Gateway, 0, address).Frame(Ethernet.Broadcast));

    /// <summary>A frame with its headers filled in, and where its payload goes; null, after asking who has it, when the destination is
    /// not known yet.</summary>
    /// <param name="payloadBytes">At most <see cref="Ipv4Header.PayloadBytesMax"/>.</param>
    public byte[]? Packet(byte protocol, uint source, uint destination, int payloadBytes, out Span<byte> payload)
    {
        payload = default;
        ulong mac = MacOf(destination);
        if (mac == 0)
        {
            if (IsLocal(destination)) Ask(destination);
            return null;
        }
        return Packet(protocol, source, destination, mac, payloadBytes, out payload);
    }

    public byte[] Packet(byte protocol, uint source, uint destination, ulong mac, int payloadBytes, out Span<byte> payload)
    {
        byte[] frame = new byte[Ethernet.HeaderBytes + Ipv4Header.Bytes + payloadBytes];
        Ethernet.WriteHeader(frame, mac, OwnMac, Ethernet.TypeIpv4);
        new Ipv4Header(source, destination, protocol, OwnTimeToLive, _identification++, 0, false).Write(frame.AsSpan(Ethernet.HeaderBytes), payloadBytes);
        payload = frame.AsSpan(Ethernet.HeaderBytes + Ipv4Header.Bytes);
        return frame;
    }

    /// <summary>Sends a finished frame.</summary>
    public void Send(byte[] frame) => send(frame);

    /// <summary>Sends a UDP datagram, in fragments when it is long.</summary>
    /// <param name="mac">0: whoever has the destination address.</param>
    public void SendUdp(uint source, ushort sourcePort, uint destination, ushort destinationPort, ReadOnlySpan<byte> data, ulong mac = 0)
    {
        if (mac == 0) mac = MacOf(destination);
        int length = 8 + data.Length;
        if (mac == 0 || length > 65_515) return;
        byte[] datagram = new byte[length];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), destinationPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)length);
        data.CopyTo(datagram.AsSpan(8));
        ushort sum = Checksum.Fold(Checksum.Add(Checksum.Pseudo(source, destination, Ipv4Header.Udp, length), datagram));
        // Zero would mean that there is no checksum (RFC 768).
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(6), sum == 0 ? (ushort)0xffff : sum);
        ushort identification = _identification++;
        for (int offset = 0; offset < length; offset += Ipv4Header.PayloadBytesMax)
        {
            int bytes = int.Min(length - offset, Ipv4Header.PayloadBytesMax);
            byte[] frame = new byte[Ethernet.HeaderBytes + Ipv4Header.Bytes + bytes];
            Ethernet.WriteHeader(frame, mac, OwnMac, Ethernet.TypeIpv4);
            new Ipv4Header(source, destination, Ipv4Header.Udp, OwnTimeToLive, identification, offset, offset + bytes < length).Write(frame.AsSpan(Ethernet.HeaderBytes), bytes);
            datagram.AsSpan(offset, bytes).CopyTo(frame.AsSpan(Ethernet.HeaderBytes + Ipv4Header.Bytes));
            send(frame);
        }
    }

    /// <summary>Answers an ICMP echo request to this side (RFC 792).</summary>
    public void ReceiveIcmp(in Ipv4Header ip, ReadOnlySpan<byte> message)
    {
        if (!IsOwn(ip.Destination) || message.Length < 8 || message.Length > Ipv4Header.PayloadBytesMax || message[0] != 8 || Checksum.Of(message) != 0) return;
        if (Packet(Ipv4Header.Icmp, ip.Destination, ip.Source, message.Length, out Span<byte> payload) is not { } frame) return;
        message.CopyTo(payload);
        payload[0] = 0;
        payload[2..4].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(payload[2..], Checksum.Of(payload));
        send(frame);
    }
}
