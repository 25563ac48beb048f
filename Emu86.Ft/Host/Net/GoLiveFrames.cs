// What a side that goes live tells the network: where the guest's MAC address is now, and under which epoch.
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using Emu86.Ft.Host.Net.User;

namespace Emu86.Ft.Host.Net;

/// <summary>The epoch frame is private to this program and its switch: EtherType 88B5h (for local experiments, IEEE 802), to a multicast
/// address that bridges never forward (IEEE 802.1D, table 7-10). After the Ethernet header: "EMU86EPO", 64-bit hash of the guest's name,
/// MAC address, 64-bit epoch; big-endian.</summary>
public static class GoLiveFrames
{
    private const ulong EpochDestination = 0x0180_c200_000f;
    private const ushort EpochType = 0x88b5;
    private const ulong Magic = 0x454d_5538_3645_504f;
    private const int EpochBytes = 60;

    /// <summary>The frame that announces an epoch to the switch. Sent before anything else by the side that goes live.</summary>
    /// <param name="mac">6 bytes.</param>
    public static byte[] EpochFrame(string guestName, ReadOnlySpan<byte> mac, ulong epoch)
    {
        byte[] frame = new byte[EpochBytes];
        Ethernet.WriteHeader(frame, EpochDestination, Ethernet.Mac(mac), EpochType);
        BinaryPrimitives.WriteUInt64BigEndian(frame.AsSpan(14), Magic);
        BinaryPrimitives.WriteUInt64BigEndian(frame.AsSpan(22), XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(guestName)));
        Ethernet.WriteMac(frame.AsSpan(30), Ethernet.Mac(mac));
        BinaryPrimitives.WriteUInt64BigEndian(frame.AsSpan(36), epoch);
        return frame;
    }

    /// <summary>Whether a frame is addressed and typed like an epoch frame, well-formed or not.</summary>
    public static bool IsEpochFrame(ReadOnlySpan<byte> frame) =>
        frame.Length >= Ethernet.HeaderBytes && Ethernet.Destination(frame) == EpochDestination && Ethernet.Type(frame) == EpochType;

    public static bool TryParseEpoch(ReadOnlySpan<byte> frame, out ulong guest, out ulong mac, out ulong epoch)
    {
        guest = mac = epoch = 0;
        if (!IsEpochFrame(frame) || frame.Length < 44 || BinaryPrimitives.ReadUInt64BigEndian(frame[14..]) != Magic) return false;
        guest = BinaryPrimitives.ReadUInt64BigEndian(frame[22..]);
        mac = Ethernet.Mac(frame[30..]);
        epoch = BinaryPrimitives.ReadUInt64BigEndian(frame[36..]);
        return !Ethernet.IsGroup(mac);
    }

    /// <summary>The broadcasts that move a guest's MAC address on any network: a reverse ARP request, which needs no IP address, and when
    /// that is known gratuitous ARP as request and as reply, since hosts differ in which one they heed.</summary>
    /// <param name="mac">6 bytes.</param>
    /// <param name="ip">4 bytes, or empty when it is not known.</param>
    public static byte[][] Announcement(ReadOnlySpan<byte> mac, ReadOnlySpan<byte> ip = default)
    {
        ulong own = Ethernet.Mac(mac);
        byte[] reverse = new ArpPacket(ArpPacket.ReverseRequest, own, 0, own, 0).Frame(Ethernet.Broadcast);
        if (ip.IsEmpty) return [reverse];
        uint address = BinaryPrimitives.ReadUInt32BigEndian(ip);
        return
        [
            reverse,
            new ArpPacket(ArpPacket.Request, own, address, 0, address).Frame(Ethernet.Broadcast),
            new ArpPacket(ArpPacket.Reply, own, address, Ethernet.Broadcast, address).Frame(Ethernet.Broadcast),
        ];
    }
}
