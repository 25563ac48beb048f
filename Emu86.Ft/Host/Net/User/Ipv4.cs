// IPv4 packets (RFC 791) in Ethernet frames, and their reassembly.
using System.Buffers.Binary;
using System.Net;

namespace Emu86.Ft.Host.Net.User;

/// <summary>The header fields that are used. Addresses are 32-bit numbers, the first byte uppermost.</summary>
public readonly record struct Ipv4Header(uint Source, uint Destination, byte Protocol, byte TimeToLive, ushort Identification, int FragmentOffset, bool MoreFragments)
{
    public const byte Icmp = 1, Tcp = 6, Udp = 17;
    public const int Bytes = 20;

    /// <summary>Largest payload of one packet on Ethernet.</summary>
    public const int PayloadBytesMax = 1480;

    public bool IsFragment => FragmentOffset != 0 || MoreFragments;

    /// <summary>Reads a packet; false when it is malformed or its header checksum is wrong.</summary>
    public static bool TryParse(ReadOnlySpan<byte> packet, out Ipv4Header header, out ReadOnlySpan<byte> payload)
    {
        header = default;
        payload = default;
        if (packet.Length < Bytes || packet[0] >> 4 != 4) return false;
        int headerBytes = (packet[0] & 15) * 4;
        int total = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);
        if (headerBytes < Bytes || total < headerBytes || total > packet.Length || Checksum.Of(packet[..headerBytes]) != 0) return false;
        int fragment = BinaryPrimitives.ReadUInt16BigEndian(packet[6..]);
        header = new Ipv4Header(
            BinaryPrimitives.ReadUInt32BigEndian(packet[12..]), BinaryPrimitives.ReadUInt32BigEndian(packet[16..]), packet[9], packet[8],
            BinaryPrimitives.ReadUInt16BigEndian(packet[4..]), (fragment & 0x1fff) * 8, (fragment & 0x2000) != 0);
        payload = packet[headerBytes..total];
        return true;
    }

    /// <summary>Writes a header without options and its checksum.</summary>
    public void Write(Span<byte> to, int payloadBytes)
    {
        to[..Bytes].Clear();
        to[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)(Bytes + payloadBytes));
        BinaryPrimitives.WriteUInt16BigEndian(to[4..], Identification);
        BinaryPrimitives.WriteUInt16BigEndian(to[6..], (ushort)((FragmentOffset / 8) | (MoreFragments ? 0x2000 : 0)));
        to[8] = TimeToLive;
        to[9] = Protocol;
        BinaryPrimitives.WriteUInt32BigEndian(to[12..], Source);
        BinaryPrimitives.WriteUInt32BigEndian(to[16..], Destination);
        BinaryPrimitives.WriteUInt16BigEndian(to[10..], Checksum.Of(to[..Bytes]));
    }

    public static uint Address(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        return address.TryWriteBytes(bytes, out int count) && count == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : 0;
    }

    public static IPAddress Address(uint address)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, address);
        return new IPAddress(bytes);
    }
}

/// <summary>Puts fragments together: one packet at a time for each of a few senders' packets, in order of arrival; others are lost.</summary>
public sealed class Reassembly
{
    private const int PacketsMax = 8;
    private const long TimeoutMs = 5_000;

    private sealed class Partial(Ipv4Header first, long since)
    {
        public Ipv4Header First { get; } = first;
        public long Since { get; } = since;
        public byte[] Data { get; } = new byte[65_536];
        // One bit for each unit of 8 bytes.
        public ulong[] Have { get; } = new ulong[65_536 / 8 / 64];
        public int Units { get; set; }
        public int Length { get; set; } = -1;
    }

    private readonly List<Partial> _partials = [];

    /// <summary>Takes a fragment; true with the whole payload when it was the last one missing.</summary>
    public bool TryComplete(Ipv4Header header, scoped ReadOnlySpan<byte> payload, long now, out ReadOnlySpan<byte> whole)
    {
        whole = default;
        _partials.RemoveAll(p => now - p.Since > TimeoutMs);
        if (header.MoreFragments && payload.Length % 8 != 0) return false;
        if (payload.Length == 0 || header.FragmentOffset + payload.Length > 65_515) return false;
        Partial? partial = _partials.Find(p => p.First.Identification == header.Identification && p.First.Source == header.Source && p.First.Destination == header.Destination && p.First.Protocol == header.Protocol);
        if (partial is null)
        {
            if (_partials.Count == PacketsMax) _partials.RemoveAt(0);
            partial = new Partial(header, now);
            _partials.Add(partial);
        }
        payload.CopyTo(partial.Data.AsSpan(header.FragmentOffset));
        for (int unit = header.FragmentOffset / 8; unit < (header.FragmentOffset + payload.Length + 7) / 8; unit++)
        {
            ulong bit = 1ul << (unit & 63);
            if ((partial.Have[unit >> 6] & bit) != 0) continue;
            partial.Have[unit >> 6] |= bit;
            partial.Units++;
        }
        if (!header.MoreFragments) partial.Length = header.FragmentOffset + payload.Length;
        if (partial.Length < 0 || partial.Units != (partial.Length + 7) / 8) return false;
        _partials.Remove(partial);
        whole = partial.Data.AsSpan(0, partial.Length);
        return true;
    }
}
