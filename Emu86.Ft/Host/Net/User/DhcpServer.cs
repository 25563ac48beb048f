// A DHCP server (RFC 2131, 2132) that also answers plain BOOTP (RFC 951).
using System.Buffers.Binary;

namespace Emu86.Ft.Host.Net.User;

/// <summary>Gives the first guest 10.0.2.15 and further ones on the same cable the addresses that follow.</summary>
public sealed class DhcpServer(Lan lan)
{
    public const ushort ServerPort = 67, ClientPort = 68;

    private const byte Discover = 1, Offer = 2, Request = 3, Decline = 4, Ack = 5, Nak = 6, Release = 7, Inform = 8;
    private const int LeasesMax = 16;
    private const uint LeaseSeconds = 86_400;
    // The guest that has the forwarded address may be started anew with another MAC address: a silent one gives way.
    private const long SilentMs = 60_000;
    private const uint Magic = 0x6382_5363;
    private const int FixedBytes = 240;

    private readonly (ulong Mac, long Heard)[] _leases = new (ulong, long)[LeasesMax];

    /// <summary>A guest was heard: its lease is in use.</summary>
    public void Heard(ulong mac, long now)
    {
        for (int i = 0; i < LeasesMax; i++)
        {
            if (_leases[i].Mac != mac) continue;
            _leases[i].Heard = now;
            return;
        }
    }

    /// <summary>Answers a message to the server port.</summary>
    public void Receive(ReadOnlySpan<byte> message, long now)
    {
        // BOOTREQUEST, Ethernet, 6-byte addresses.
        if (message.Length < FixedBytes || message[0] != 1 || message[1] != 1 || message[2] != 6) return;
        ulong mac = Ethernet.Mac(message[28..]);
        if (Ethernet.IsGroup(mac) || mac == 0) return;
        uint client = BinaryPrimitives.ReadUInt32BigEndian(message[12..]);
        byte type = 0;
        uint wanted = 0, server = 0;
        if (BinaryPrimitives.ReadUInt32BigEndian(message[236..]) == Magic)
        {
            for (ReadOnlySpan<byte> options = message[FixedBytes..]; options.Length > 0 && options[0] != 255;)
            {
                if (options[0] == 0)
                {
                    options = options[1..];
                    continue;
                }
                if (options.Length < 2 || options.Length < 2 + options[1]) break;
                ReadOnlySpan<byte> value = options.Slice(2, options[1]);
                if (options[0] == 53 && value.Length == 1) type = value[0];
                if (options[0] == 50 && value.Length == 4) wanted = BinaryPrimitives.ReadUInt32BigEndian(value);
                if (options[0] == 54 && value.Length == 4) server = BinaryPrimitives.ReadUInt32BigEndian(value);
                options = options[(2 + options[1])..];
            }
        }
        if (server != 0 && server != Lan.Gateway) return;
        uint address = Lan.FirstGuest + (uint)Lease(mac, now);
        switch (type)
        {
            case 0: Answer(message, 0, address, mac); break;
            case Discover: Answer(message, Offer, address, mac); break;
            case Request:
                uint asked = wanted != 0 ? wanted : client;
                Answer(message, asked == address ? Ack : Nak, address, mac);
                break;
            case Inform: Answer(message, Ack, 0, mac); break;
            case Decline or Release: break;
        }
    }

    private int Lease(ulong mac, long now)
    {
        int best = -1;
        for (int i = 0; i < LeasesMax; i++)
        {
            if (_leases[i].Mac == mac)
            {
                _leases[i].Heard = now;
                return i;
            }
            if (best < 0 && (_leases[i].Mac == 0 || now - _leases[i].Heard > SilentMs)) best = i;
        }
        if (best < 0) best = Array.IndexOf(_leases, _leases.MinBy(l => l.Heard));
        _leases[best] = (mac, now);
        return best;
    }

    private void Answer(ReadOnlySpan<byte> request, byte type, uint address, ulong mac)
    {
        Span<byte> reply = stackalloc byte[300];
        reply.Clear();
        reply[0] = 2;
        reply[1] = 1;
        reply[2] = 6;
        request[4..8].CopyTo(reply[4..]);
        request[10..12].CopyTo(reply[10..]);
        request[12..16].CopyTo(reply[12..]);
        if (type != Nak) BinaryPrimitives.WriteUInt32BigEndian(reply[16..], address);
        BinaryPrimitives.WriteUInt32BigEndian(reply[20..], Lan.Gateway);
        request[24..44].CopyTo(reply[24..]);
        BinaryPrimitives.WriteUInt32BigEndian(reply[236..], Magic);
        int at = FixedBytes;
        if (type != 0) Option(reply, ref at, 53, type, 1);
        if (type != 0) Option(reply, ref at, 54, Lan.Gateway, 4);
        if (type != Nak)
        {
            Option(reply, ref at, 1, Lan.Mask, 4);
            Option(reply, ref at, 3, Lan.Gateway, 4);
            Option(reply, ref at, 6, Lan.NameServer, 4);
            Option(reply, ref at, 28, Lan.BroadcastIp, 4);
            if (type is Offer or Ack && address != 0) Option(reply, ref at, 51, LeaseSeconds, 4);
        }
        reply[at] = 255;

        bool broadcast = (request[10] & 0x80) != 0 || type == Nak;
        uint client = BinaryPrimitives.ReadUInt32BigEndian(request[12..]);
        uint destination = broadcast ? uint.MaxValue : client != 0 ? client : address;
        if (type is Ack or 0 && address != 0) lan.Learn(address, mac);
        lan.SendUdp(Lan.Gateway, ServerPort, destination, ClientPort, reply, broadcast ? Ethernet.Broadcast : mac);
    }

    private static void Option(Span<byte> reply, ref int at, byte code, uint value, int bytes)
    {
        reply[at] = code;
        reply[at + 1] = (byte)bytes;
        if (bytes == 1) reply[at + 2] = (byte)value;
        else BinaryPrimitives.WriteUInt32BigEndian(reply[(at + 2)..], value);
        at += 2 + bytes;
    }
}
