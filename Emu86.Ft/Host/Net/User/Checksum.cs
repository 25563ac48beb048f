// The Internet checksum (RFC 1071).
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Emu86.Ft.Host.Net.User;

public static class Checksum
{
    /// <summary>Adds data to a running sum. Only the last piece may be of odd length. The sum is in host byte order of the words as
    /// they lie in memory; <see cref="Fold"/> gives what belongs into a header.</summary>
    public static ulong Add(ulong sum, ReadOnlySpan<byte> data)
    {
        // 32-bit words into a 64-bit sum: cannot overflow for anything that fits into memory.
        foreach (uint word in MemoryMarshal.Cast<byte, uint>(data)) sum += word;
        int at = data.Length & ~3;
        if ((data.Length & 2) != 0)
        {
            sum += MemoryMarshal.Read<ushort>(data[at..]);
            at += 2;
        }
        if ((data.Length & 1) != 0) sum += BitConverter.IsLittleEndian ? data[at] : (uint)data[at] << 8;
        return sum;
    }

    /// <summary>The complement of the folded sum, as the big-endian field of a header.</summary>
    public static ushort Fold(ulong sum)
    {
        ushort folded = (ushort)~Fold16(sum);
        return BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(folded) : folded;
    }

    /// <summary>The checksum of a header whose checksum field is zero; zero for one whose field is right.</summary>
    public static ushort Of(ReadOnlySpan<byte> data) => Fold(Add(0, data));

    /// <summary>The sum over the pseudo header of TCP and UDP.</summary>
    public static ulong Pseudo(uint source, uint destination, byte protocol, int length)
    {
        Span<byte> pseudo = stackalloc byte[12];
        BinaryPrimitives.WriteUInt32BigEndian(pseudo, source);
        BinaryPrimitives.WriteUInt32BigEndian(pseudo[4..], destination);
        pseudo[8] = 0;
        pseudo[9] = protocol;
        BinaryPrimitives.WriteUInt16BigEndian(pseudo[10..], (ushort)length);
        return Add(0, pseudo);
    }

    private static ushort Fold16(ulong sum)
    {
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)((sum & 0xffff) + (sum >> 16));
    }
}
