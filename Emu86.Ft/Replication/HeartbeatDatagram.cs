// Heartbeats on the wire: one datagram each, authenticated by the session's key, which went over the channel. Little-endian:
// magic (4), flags (4), session (8), send time (8), the first 16 bytes of HMAC-SHA256 over all that.
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Emu86.Ft.Replication;

public static class HeartbeatDatagram
{
    public const int Bytes = 40;

    public const int KeyBytes = 32;

    private const uint Magic = 0x36_38_42_48;
    private const int SignedBytes = 24;

    public static void Write(Span<byte> datagram, HeartbeatMessage heartbeat, ReadOnlySpan<byte> key)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(datagram, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(datagram[4..], heartbeat.FromPrimary ? 1u : 0u);
        BinaryPrimitives.WriteUInt64LittleEndian(datagram[8..], heartbeat.SessionId);
        BinaryPrimitives.WriteInt64LittleEndian(datagram[16..], heartbeat.SentUs);
        Span<byte> code = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, datagram[..SignedBytes], code);
        code[..(Bytes - SignedBytes)].CopyTo(datagram[SignedBytes..]);
    }

    /// <returns>The heartbeat, or null for anything that was not made with the key: strangers are ignored, not answered.</returns>
    public static HeartbeatMessage? Read(ReadOnlySpan<byte> datagram, ReadOnlySpan<byte> key)
    {
        if (datagram.Length != Bytes || BinaryPrimitives.ReadUInt32LittleEndian(datagram) != Magic) return null;
        Span<byte> code = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, datagram[..SignedBytes], code);
        if (!CryptographicOperations.FixedTimeEquals(code[..(Bytes - SignedBytes)], datagram[SignedBytes..])) return null;
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(datagram[4..]);
        return flags > 1 ? null : new(BinaryPrimitives.ReadUInt64LittleEndian(datagram[8..]), flags == 1, BinaryPrimitives.ReadInt64LittleEndian(datagram[16..]));
    }
}
