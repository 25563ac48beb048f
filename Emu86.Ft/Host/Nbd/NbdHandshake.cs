// How client and server agree on an export: the newstyle handshake, fixed or not (NBD protocol, doc/proto.md of
// github.com/NetworkBlockDevice/nbd, "Handshake"). Everything is big-endian.
using System.Buffers.Binary;
using System.Text;

namespace Emu86.Ft.Host.Nbd;

/// <summary>The client's side.</summary>
public static class NbdHandshake
{
    private const ulong Greeting = 0x4e42444d41474943;        // NBDMAGIC
    private const ulong OldStyle = 0x0000420281861253;
    private const ulong OptionMagic = 0x49484156454f5054;     // IHAVEOPT
    private const ulong ReplyMagic = 0x0003e889045565a9;

    // Handshake flags of the server; the client says the same ones back.
    private const ushort FixedNewstyle = 1, NoZeroes = 2;
    private const int ReservedBytes = 124;

    private const uint OptionExportName = 1, OptionStartTls = 5, OptionGo = 7;
    private const uint ReplyAck = 1, ReplyInfo = 3, ReplyError = 0x8000_0000, ReplyUnsupported = ReplyError + 1, ReplyTlsRequired = ReplyError + 5, ReplyUnknown = ReplyError + 6;
    private const ushort InfoExport = 0, InfoBlockSize = 3;

    /// <summary>Bounds of what a server may send before the export is agreed on.</summary>
    private const int RepliesMax = 32, ReplyBytesMax = 16 << 10, ShownMax = 200;

    /// <summary>Asks for an export.</summary>
    /// <param name="wire">Connected.</param>
    /// <param name="export">Its name.</param>
    /// <param name="encrypt">Makes the TLS handshake on the wire; all that follows goes over what it returns. Null: nothing is encrypted.</param>
    /// <exception cref="NbdException">The server does not have it, or is none.</exception>
    public static NbdExport Agree(ref INbdWire wire, string export, Func<INbdWire>? encrypt = null)
    {
        Span<byte> hello = stackalloc byte[18];
        wire.Receive(hello[..8]);
        if (BinaryPrimitives.ReadUInt64BigEndian(hello) != Greeting) throw new NbdException("what answers there is no NBD server");
        wire.Receive(hello[8..16]);
        ulong style = BinaryPrimitives.ReadUInt64BigEndian(hello[8..]);
        if (style == OldStyle) throw new NbdException("the server has the oldstyle handshake, which knows no names of exports; use a newer server");
        if (style != OptionMagic) throw new NbdException("the server's greeting is damaged");
        wire.Receive(hello[16..]);
        int flags = BinaryPrimitives.ReadUInt16BigEndian(hello[16..]) & (FixedNewstyle | NoZeroes);
        Span<byte> own = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(own, flags);
        wire.Send(own);
        if (encrypt is not null)
        {
            RequireTls(wire, isFixed: (flags & FixedNewstyle) != 0);
            wire = encrypt();
        }
        byte[] name = Encoding.UTF8.GetBytes(export);
        // Without the fixed handshake there are no replies, and one option only.
        return ((flags & FixedNewstyle) != 0 ? Go(wire, name, export) : null) ?? ByName(wire, name, (flags & NoZeroes) != 0);
    }

    private static void RequireTls(INbdWire wire, bool isFixed)
    {
        if (!isFixed) throw new NbdException("the server's handshake is too old for TLS");
        SendOption(wire, OptionStartTls, default);
        (uint type, _) = ReceiveReply(wire, OptionStartTls);
        if (type != ReplyAck) throw new NbdException(type >= ReplyError ? $"the server does not offer TLS (error {type - ReplyError})" : $"the server answers with a reply of type {type}, which does not belong here");
    }

    /// <summary>NBD_OPT_GO; null when the server does not know it.</summary>
    private static NbdExport? Go(INbdWire wire, ReadOnlySpan<byte> name, string export)
    {
        byte[] data = new byte[4 + name.Length + 2 + 2];
        BinaryPrimitives.WriteInt32BigEndian(data, name.Length);
        name.CopyTo(data.AsSpan(4));
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(4 + name.Length), 1);
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(6 + name.Length), InfoBlockSize);
        SendOption(wire, OptionGo, data);
        (ulong Bytes, ushort Flags)? size = null;
        uint blockMin = 1, requestMax = uint.MaxValue;
        for (int n = 0; n < RepliesMax; n++)
        {
            (uint type, byte[] reply) = ReceiveReply(wire, OptionGo);
            switch (type)
            {
                case ReplyUnsupported: return null;
                case ReplyAck when size is { } said: return NbdExport.From(said.Bytes, said.Flags, blockMin, requestMax);
                case ReplyAck: throw new NbdException("the server does not say how large the export is");
                case ReplyInfo when reply.Length >= 2:
                    ushort info = BinaryPrimitives.ReadUInt16BigEndian(reply);
                    if (info == InfoExport && reply.Length == 12) size = (BinaryPrimitives.ReadUInt64BigEndian(reply.AsSpan(2)), BinaryPrimitives.ReadUInt16BigEndian(reply.AsSpan(10)));
                    else if (info == InfoBlockSize && reply.Length == 14) (blockMin, requestMax) = (BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(2)), BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(10)));
                    else if (info is InfoExport or InfoBlockSize) throw new NbdException($"the server's information {info} has {reply.Length} bytes");
                    break;
                case >= ReplyError: throw Refused(type, reply, export);
                default: throw new NbdException($"the server answers with a reply of type {type}, which does not belong here");
            }
        }
        throw new NbdException("the server's replies do not come to an end");
    }

    /// <summary>NBD_OPT_EXPORT_NAME, which cannot be answered with an error: a server that does not have the export closes the connection.</summary>
    private static NbdExport ByName(INbdWire wire, ReadOnlySpan<byte> name, bool noZeroes)
    {
        SendOption(wire, OptionExportName, name);
        Span<byte> answer = stackalloc byte[10 + ReservedBytes];
        wire.Receive(answer[..(noZeroes ? 10 : answer.Length)]);
        return NbdExport.From(BinaryPrimitives.ReadUInt64BigEndian(answer), BinaryPrimitives.ReadUInt16BigEndian(answer[8..]));
    }

    private static void SendOption(INbdWire wire, uint option, ReadOnlySpan<byte> data)
    {
        byte[] message = new byte[16 + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(message, OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(8), option);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(12), data.Length);
        data.CopyTo(message.AsSpan(16));
        wire.Send(message);
    }

    private static (uint Type, byte[] Data) ReceiveReply(INbdWire wire, uint option)
    {
        Span<byte> head = stackalloc byte[20];
        wire.Receive(head);
        if (BinaryPrimitives.ReadUInt64BigEndian(head) != ReplyMagic || BinaryPrimitives.ReadUInt32BigEndian(head[8..]) != option) throw new NbdException("the server's reply in the handshake is damaged");
        uint length = BinaryPrimitives.ReadUInt32BigEndian(head[16..]);
        if (length > ReplyBytesMax) throw new NbdException($"the server announces a reply of {length} bytes in the handshake, where {ReplyBytesMax} are possible");
        byte[] data = new byte[length];
        wire.Receive(data);
        return (BinaryPrimitives.ReadUInt32BigEndian(head[12..]), data);
    }

    private static NbdException Refused(uint type, byte[] text, string export)
    {
        if (type == ReplyTlsRequired) return new NbdException($"the server wants TLS; name it as {NbdAddress.SecurePrefix}HOST:PORT/EXPORT, with --tls-cert, --tls-key and --tls-ca");
        string said = string.Concat(Encoding.UTF8.GetString(text).Take(ShownMax).Select(c => char.IsControl(c) ? ' ' : c));
        string why = said.Length > 0 ? $": it says \"{said}\"" : "";
        return new NbdException(type == ReplyUnknown ? $"the server has no export \"{export}\"{why}" : $"the server refuses the export \"{export}\" with error {type - ReplyError}{why}");
    }
}
