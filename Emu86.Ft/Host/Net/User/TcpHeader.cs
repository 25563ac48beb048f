// The TCP header (RFC 9293, 3.1) with the two options that are used: maximum segment size and window scale (RFC 7323).
using System.Buffers.Binary;

namespace Emu86.Ft.Host.Net.User;

[Flags]
public enum TcpFlags : byte
{
    None = 0,
    Fin = 1,
    Syn = 2,
    Rst = 4,
    Psh = 8,
    Ack = 16,
}

/// <summary>A TCP header, in host byte order.</summary>
/// <param name="Window">As it stands in the header, not scaled.</param>
/// <param name="Mss">0: the option is absent.</param>
/// <param name="WindowShift">-1: the option is absent.</param>
public readonly record struct TcpHeader(ushort SourcePort, ushort DestinationPort, uint Sequence, uint Acknowledgement, TcpFlags Flags, ushort Window, ushort Mss = 0, int WindowShift = -1)
{
    public const int LengthMax = 28;

    public bool Has(TcpFlags flags) => (Flags & flags) != 0;

    /// <summary>Reads the header of a segment whose checksum was verified; false when it is malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> segment, out TcpHeader header, out ReadOnlySpan<byte> data)
    {
        header = default;
        data = default;
        if (segment.Length < 20) return false;
        int length = (segment[12] >> 4) * 4;
        if (length < 20 || length > segment.Length) return false;
        ushort mss = 0;
        int shift = -1;
        for (ReadOnlySpan<byte> options = segment[20..length]; options.Length > 0;)
        {
            if (options[0] == 0) break;
            if (options[0] == 1)
            {
                options = options[1..];
                continue;
            }
            if (options.Length < 2 || options[1] < 2 || options[1] > options.Length) break;
            if (options[0] == 2 && options[1] == 4) mss = BinaryPrimitives.ReadUInt16BigEndian(options[2..]);
            if (options[0] == 3 && options[1] == 3) shift = int.Min(options[2], 14);
            options = options[options[1]..];
        }
        header = new TcpHeader(
            BinaryPrimitives.ReadUInt16BigEndian(segment), BinaryPrimitives.ReadUInt16BigEndian(segment[2..]),
            BinaryPrimitives.ReadUInt32BigEndian(segment[4..]), BinaryPrimitives.ReadUInt32BigEndian(segment[8..]),
            (TcpFlags)(segment[13] & 0x1f), BinaryPrimitives.ReadUInt16BigEndian(segment[14..]), mss, shift);
        data = segment[length..];
        return true;
    }

    /// <summary>Writes the header, its checksum field zero; returns its length.</summary>
    public int Write(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt16BigEndian(to, SourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], DestinationPort);
        BinaryPrimitives.WriteUInt32BigEndian(to[4..], Sequence);
        BinaryPrimitives.WriteUInt32BigEndian(to[8..], Acknowledgement);
        to[13] = (byte)Flags;
        BinaryPrimitives.WriteUInt16BigEndian(to[14..], Window);
        to[16..20].Clear();
        int length = 20;
        if (Mss != 0)
        {
            to[length] = 2;
            to[length + 1] = 4;
            BinaryPrimitives.WriteUInt16BigEndian(to[(length + 2)..], Mss);
            length += 4;
        }
        if (WindowShift >= 0)
        {
            to[length] = 1;
            to[length + 1] = 3;
            to[length + 2] = 3;
            to[length + 3] = (byte)WindowShift;
            length += 4;
        }
        to[12] = (byte)(length / 4 << 4);
        return length;
    }
}

/// <summary>Sends the segments of a connection. The data comes in two pieces where it wraps in a buffer; it is valid during the call.</summary>
public interface ITcpLink
{
    void Transmit(in TcpHeader header, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second);
}

/// <summary>Sequence numbers are compared modulo 2^32.</summary>
public static class Sequence
{
    public static bool Before(uint a, uint b) => (int)(a - b) < 0;

    public static bool After(uint a, uint b) => (int)(a - b) > 0;
}
