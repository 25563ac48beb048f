// Heartbeats on the wire: one datagram each, authenticated by the session's key, which went over the channel. Little-endian:
// magic (4), flags (4), session (8), number (8), send time (8), the first 16 bytes of HMAC-SHA256 over all that.
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Emu86.Ft.Replication;

public static class HeartbeatDatagram
{
    public const int Bytes = 48;

    public const int KeyBytes = 32;

    private const uint Magic = 0x36_38_42_48;
    private const int SignedBytes = 32;

    /// <param name="datagram">Gets <see cref="Bytes"/> bytes.</param>
    /// <param name="heartbeat">What is said.</param>
    /// <param name="number">Of this datagram: each has a greater one than those before it, also when it says the same.</param>
    /// <param name="key">The session's.</param>
    public static void Write(Span<byte> datagram, HeartbeatMessage heartbeat, ulong number, ReadOnlySpan<byte> key)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(datagram, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(datagram[4..], heartbeat.FromPrimary ? 1u : 0u);
        BinaryPrimitives.WriteUInt64LittleEndian(datagram[8..], heartbeat.SessionId);
        BinaryPrimitives.WriteUInt64LittleEndian(datagram[16..], number);
        BinaryPrimitives.WriteInt64LittleEndian(datagram[24..], heartbeat.SentUs);
        Span<byte> code = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, datagram[..SignedBytes], code);
        code[..(Bytes - SignedBytes)].CopyTo(datagram[SignedBytes..]);
    }

    /// <param name="datagram">As it came.</param>
    /// <param name="key">The session's.</param>
    /// <param name="number">Of the datagram; what was recorded and is sent once more has an old one (<see cref="HeartbeatOrder"/>).</param>
    /// <returns>The heartbeat, or null for anything that was not made with the key: strangers are ignored, not answered.</returns>
    public static HeartbeatMessage? Read(ReadOnlySpan<byte> datagram, ReadOnlySpan<byte> key, out ulong number)
    {
        number = 0;
        if (datagram.Length != Bytes || BinaryPrimitives.ReadUInt32LittleEndian(datagram) != Magic) return null;
        Span<byte> code = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, datagram[..SignedBytes], code);
        if (!CryptographicOperations.FixedTimeEquals(code[..(Bytes - SignedBytes)], datagram[SignedBytes..])) return null;
        number = BinaryPrimitives.ReadUInt64LittleEndian(datagram[16..]);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(datagram[4..]);
        return flags > 1 ? null : new(BinaryPrimitives.ReadUInt64LittleEndian(datagram[8..]), flags == 1, BinaryPrimitives.ReadInt64LittleEndian(datagram[24..]));
    }
}

/// <summary>Which datagrams of a key are new. One that somebody recorded would otherwise make a dead side live for ever.</summary>
/// <param name="fromPrimary">Whose are expected; the own ones, sent back, are nothing.</param>
public sealed class HeartbeatOrder(bool fromPrimary)
{
    private ulong _session;
    private ulong _number;

    /// <summary>True once for each datagram that is newer than all before. Sessions of one key count upwards.</summary>
    public bool IsNew(HeartbeatMessage heartbeat, ulong number)
    {
        if (heartbeat.FromPrimary != fromPrimary || (heartbeat.SessionId, number).CompareTo((_session, _number)) <= 0) return false;
        (_session, _number) = (heartbeat.SessionId, number);
        return true;
    }
}
