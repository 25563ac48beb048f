// Ethernet II frames and addresses (IEEE 802.3), and ARP (RFC 826).
using System.Buffers.Binary;

namespace Emu86.Ft.Host.Net.User;

/// <summary>Offsets and numbers of Ethernet frames. MAC addresses are 48-bit numbers, the first byte on the wire uppermost.</summary>
public static class Ethernet
{
    public const int HeaderBytes = 14;

    /// <summary>Longest frame that the guest side takes part in, without FCS.</summary>
    public const int FrameBytesMax = 1514;

    public const ulong Broadcast = 0xffff_ffff_ffff;
    public const ushort TypeIpv4 = 0x0800;
    public const ushort TypeArp = 0x0806;
    public const ushort TypeRarp = 0x8035;

    public static ulong Destination(ReadOnlySpan<byte> frame) => Mac(frame);

    public static ulong Source(ReadOnlySpan<byte> frame) => Mac(frame[6..]);

    public static ushort Type(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt16BigEndian(frame[12..]);

    /// <summary>Broadcast or multicast.</summary>
    public static bool IsGroup(ulong mac) => (mac & 0x0100_0000_0000) != 0;

    public static ulong Mac(ReadOnlySpan<byte> at) => ((ulong)BinaryPrimitives.ReadUInt32BigEndian(at) << 16) | BinaryPrimitives.ReadUInt16BigEndian(at[4..]);

    public static void WriteMac(Span<byte> at, ulong mac)
    {
        BinaryPrimitives.WriteUInt32BigEndian(at, (uint)(mac >> 16));
        BinaryPrimitives.WriteUInt16BigEndian(at[4..], (ushort)mac);
    }

    public static void WriteHeader(Span<byte> frame, ulong destination, ulong source, ushort type)
    {
        WriteMac(frame, destination);
        WriteMac(frame[6..], source);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], type);
    }
}

/// <summary>ARP and RARP packets for IPv4 over Ethernet.</summary>
/// <param name="Operation">1 request, 2 reply, 3 reverse request.</param>
public readonly record struct ArpPacket(ushort Operation, ulong SenderMac, uint SenderIp, ulong TargetMac, uint TargetIp)
{
    public const ushort Request = 1, Reply = 2, ReverseRequest = 3;

    /// <summary>Shortest frame on a cable, without FCS.</summary>
    private const int FrameBytesMin = 60;

    public static bool TryParse(ReadOnlySpan<byte> packet, out ArpPacket arp)
    {
        arp = default;
        // Ethernet, IPv4, address lengths 6 and 4.
        if (packet.Length < 28 || BinaryPrimitives.ReadUInt64BigEndian(packet) >> 16 != 0x0001_0800_0604) return false;
        arp = new ArpPacket(
            BinaryPrimitives.ReadUInt16BigEndian(packet[6..]),
            Ethernet.Mac(packet[8..]), BinaryPrimitives.ReadUInt32BigEndian(packet[14..]),
            Ethernet.Mac(packet[18..]), BinaryPrimitives.ReadUInt32BigEndian(packet[24..]));
        return true;
    }

    /// <summary>The packet as a frame.</summary>
    public byte[] Frame(ulong destination)
    {
        byte[] frame = new byte[FrameBytesMin];
        Ethernet.WriteHeader(frame, destination, SenderMac, Operation == ReverseRequest ? Ethernet.TypeRarp : Ethernet.TypeArp);
        Span<byte> packet = frame.AsSpan(Ethernet.HeaderBytes);
        BinaryPrimitives.WriteUInt64BigEndian(packet, 0x0001_0800_0604_0000ul | Operation);
        Ethernet.WriteMac(packet[8..], SenderMac);
        BinaryPrimitives.WriteUInt32BigEndian(packet[14..], SenderIp);
        Ethernet.WriteMac(packet[18..], TargetMac);
        BinaryPrimitives.WriteUInt32BigEndian(packet[24..], TargetIp);
        return frame;
    }
}
