// One connection to an NBD export after the handshake: one request at a time, answered by simple replies (NBD protocol,
// "Transmission").
using System.Buffers.Binary;
using System.Net;
using Emu86.Ft.Host.Links;

namespace Emu86.Ft.Host.Nbd;

/// <summary>How long to wait for a server, in milliseconds.</summary>
/// <param name="ConnectMs">For a connection.</param>
/// <param name="HandshakeMs">For the export to be agreed on.</param>
/// <param name="RequestMs">For the answer to a request: longer than a server's disk takes to wake up.</param>
/// <param name="PatienceMs">For a server that has gone to come back (it is being started anew), before a request fails.</param>
public sealed record NbdTimes(int ConnectMs = 5_000, int HandshakeMs = 5_000, int RequestMs = 15_000, int PatienceMs = 5_000);

/// <summary>An export that is open. After an <see cref="NbdException"/> that is no refusal it is of no more use.</summary>
public sealed class NbdSession : IDisposable
{
    private const uint RequestMagic = 0x25609513, ReplyMagic = 0x67446698;
    private const ushort CommandRead = 0, CommandWrite = 1, CommandDisconnect = 2, CommandFlush = 3;
    private const ushort ForceUnitAccess = 1;
    private const int HeadBytes = 28, ReplyBytes = 16;
    private const uint ShuttingDown = 108;

    /// <summary>Data up to this length goes out together with its head.</summary>
    private const int TogetherBytesMax = 64 << 10;

    private readonly INbdWire _wire;
    private readonly NbdTimes _times;
    private readonly byte[] _out = new byte[HeadBytes + TogetherBytesMax];
    private ulong _handle;

    /// <summary>Agrees on the export.</summary>
    /// <param name="wire">Connected; owned from now on.</param>
    /// <param name="export">Its name.</param>
    /// <param name="times">How long to wait.</param>
    /// <param name="encrypt">See <see cref="NbdHandshake.Agree"/>.</param>
    /// <exception cref="NbdException">They do not come to terms.</exception>
    public NbdSession(INbdWire wire, string export, NbdTimes times, Func<INbdWire>? encrypt = null)
    {
        _wire = wire;
        _times = times;
        try
        {
            wire.Within(times.HandshakeMs);
            Export = NbdHandshake.Agree(ref _wire, export, encrypt);
        }
        catch (NbdException)
        {
            _wire.Dispose();
            throw;
        }
    }

    public NbdExport Export { get; }

    /// <summary>Connects and agrees on the export.</summary>
    /// <param name="server">Where it is.</param>
    /// <param name="address">What it is asked for.</param>
    /// <param name="identity">For TLS; null: without.</param>
    /// <param name="times">How long to wait.</param>
    /// <exception cref="NbdException">It cannot be had.</exception>
    public static NbdSession Open(IPEndPoint server, NbdAddress address, TlsIdentity? identity, NbdTimes times)
    {
        NbdSocket socket = NbdSocket.Connect(server, times.ConnectMs);
        return new NbdSession(socket, address.Export, times, identity is null ? null : () =>
        {
            NbdTlsWire wire = socket.Encrypt(identity, address.At.Host);
            wire.Within(times.HandshakeMs);
            return wire;
        });
    }

    /// <param name="offset">In bytes; the range is inside the export.</param>
    /// <param name="destination">Its content is undefined after an exception.</param>
    public void Read(long offset, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            Span<byte> part = destination[..int.Min(destination.Length, Export.RequestBytesMax)];
            Ask(CommandRead, 0, offset, part.Length, default);
            Answered("read");
            _wire.Receive(part);
            offset += part.Length;
            destination = destination[part.Length..];
        }
    }

    /// <summary>Returns when the server has taken the data; durable after the next <see cref="Flush"/>, or now where the server knows
    /// no flush but writes that are durable at once.</summary>
    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        ushort flags = Export is { HasFlush: false, HasFua: true } ? ForceUnitAccess : (ushort)0;
        while (source.Length > 0)
        {
            ReadOnlySpan<byte> part = source[..int.Min(source.Length, Export.RequestBytesMax)];
            Ask(CommandWrite, flags, offset, part.Length, part);
            Answered("write");
            offset += part.Length;
            source = source[part.Length..];
        }
    }

    /// <summary>Returns when all writes that were answered are durable. A server without flushes promises nothing, and is asked for nothing.</summary>
    public void Flush()
    {
        if (!Export.HasFlush) return;
        Ask(CommandFlush, 0, 0, 0, default);
        Answered("flush");
    }

    /// <summary>Takes leave and closes.</summary>
    public void Disconnect()
    {
        try
        {
            Ask(CommandDisconnect, 0, 0, 0, default);
        }
        catch (NbdException)
        {
            // It has gone already.
        }
        Dispose();
    }

    public void Dispose() => _wire.Dispose();

    private void Ask(ushort command, ushort flags, long offset, int length, ReadOnlySpan<byte> data)
    {
        _wire.Within(_times.RequestMs);
        Span<byte> head = _out;
        BinaryPrimitives.WriteUInt32BigEndian(head, RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(head[4..], flags);
        BinaryPrimitives.WriteUInt16BigEndian(head[6..], command);
        BinaryPrimitives.WriteUInt64BigEndian(head[8..], ++_handle);
        BinaryPrimitives.WriteInt64BigEndian(head[16..], offset);
        BinaryPrimitives.WriteInt32BigEndian(head[24..], length);
        int together = int.Min(data.Length, TogetherBytesMax);
        data[..together].CopyTo(head[HeadBytes..]);
        _wire.Send(head[..(HeadBytes + together)]);
        _wire.Send(data[together..]);
    }

    private void Answered(string what)
    {
        Span<byte> reply = stackalloc byte[ReplyBytes];
        _wire.Receive(reply);
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(reply);
        if (magic != ReplyMagic) throw new NbdException($"the server sent {magic:x8} where a reply should begin");
        ulong handle = BinaryPrimitives.ReadUInt64BigEndian(reply[8..]);
        if (handle != _handle) throw new NbdException($"the server answered request {handle}, where {_handle} was asked");
        uint error = BinaryPrimitives.ReadUInt32BigEndian(reply[4..]);
        if (error == ShuttingDown) throw new NbdException("the server is shutting down");
        if (error != 0) throw new NbdException($"the server could not {what}: {Reason(error)}", isRefusal: true);
    }

    // The errors that the protocol knows ("Error values").
    private static string Reason(uint error) => error switch
    {
        1 => "not permitted (EPERM)",
        5 => "its disk failed (EIO)",
        12 => "it has no memory (ENOMEM)",
        22 => "it takes the request for invalid (EINVAL)",
        28 => "it has no room left (ENOSPC)",
        75 => "the request is too long for it (EOVERFLOW)",
        95 => "it does not support that (ENOTSUP)",
        _ => $"error {error}",
    };
}
