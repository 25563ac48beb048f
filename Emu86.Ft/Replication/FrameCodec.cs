// Frames: how messages stand on the wire and in recordings. Little-endian: length of the payload (4), type (1), three zero
// bytes, sequence number (8), payload, XxHash3 of all that (8). A stream begins with a preamble: magic and version.
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using MessagePack;

namespace Emu86.Ft.Replication;

public static class Frame
{
    public const int HeaderBytes = 16;

    public const int ChecksumBytes = 8;

    /// <summary>Longest payload once the peer is known. Longer content goes in chunks.</summary>
    public const int PayloadBytesMax = 1 << 20;

    /// <summary>Longest payload before the handshake is done.</summary>
    public const int HandshakeBytesMax = 64 << 10;

    public const int PreambleBytes = 12;

    /// <summary>Raised when frames or the meaning of messages change; another one is refused.</summary>
    public const uint ProtocolVersion = 4;

    /// <summary>Type of a frame that holds several log records; its sequence number is the first one's.</summary>
    internal const uint RecordsType = 48;

    /// <summary>A frame takes no more records once it holds so much: the largest record (one disk request) still fits.</summary>
    internal const int RecordsBytesMax = 256 << 10;

    internal const int RecordsLayout = 1;

    public static ReadOnlySpan<byte> Magic => "EMU86LOG"u8;
}

/// <summary>Writes one direction of a connection, or a file.</summary>
public sealed class FrameWriter
{
    private readonly ArrayBufferWriter<byte> _payload = new();
    private PackState _pack;
    private ulong _nextControl = 1;
    private bool _begun;

    /// <summary>Bytes of all frames with log records so far.</summary>
    public long LogBytes { get; private set; }

    /// <summary>Appends a frame (and before the first one the preamble).</summary>
    public void Write(IBufferWriter<byte> output, Message message)
    {
        _payload.ResetWrittenCount();
        MessageCodec.Write(_payload, message);
        if (_payload.WrittenCount > Frame.PayloadBytesMax) throw new ArgumentException($"a {message.Type} message of {_payload.WrittenCount} bytes must be sent in pieces", nameof(message));
        Append(output, (uint)message.Type, message is LogRecord record ? record.Lsn : _nextControl++);
    }

    /// <summary>Appends records with consecutive numbers, in as few frames as possible.</summary>
    public void Write(IBufferWriter<byte> output, ReadOnlySpan<LogRecord> records)
    {
        while (!records.IsEmpty)
        {
            _payload.ResetWrittenCount();
            MessagePackWriter layout = new(_payload);
            layout.Write(Frame.RecordsLayout);
            layout.Flush();
            int count = 0;
            while (count < records.Length && _payload.WrittenCount < Frame.RecordsBytesMax) _pack.Write(_payload, records[count++]);
            LogBytes += Append(output, Frame.RecordsType, records[0].Lsn);
            records = records[count..];
        }
    }

    private int Append(IBufferWriter<byte> output, uint type, ulong sequence)
    {
        if (!_begun)
        {
            _begun = true;
            Span<byte> preamble = output.GetSpan(Frame.PreambleBytes);
            Frame.Magic.CopyTo(preamble);
            BinaryPrimitives.WriteUInt32LittleEndian(preamble[8..], Frame.ProtocolVersion);
            output.Advance(Frame.PreambleBytes);
        }
        int length = _payload.WrittenCount;
        int total = Frame.HeaderBytes + length + Frame.ChecksumBytes;
        Span<byte> frame = output.GetSpan(total)[..total];
        BinaryPrimitives.WriteInt32LittleEndian(frame, length);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[4..], type);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[8..], sequence);
        _payload.WrittenSpan.CopyTo(frame[Frame.HeaderBytes..]);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[^Frame.ChecksumBytes..], XxHash3.HashToUInt64(frame[..^Frame.ChecksumBytes]));
        output.Advance(total);
        return total;
    }
}

/// <summary>Reads one direction of a connection, or a file. Holds at most one unfinished frame; anything that is not the next
/// whole, undamaged frame throws, and the reader then stays unusable: nothing is applied in part.</summary>
public sealed class FrameReader
{
    private byte[] _buffer = new byte[4096];
    private int _start;
    private int _end;
    private readonly Queue<LogRecord> _unpacked = new();
    private PackState _pack;
    private ulong _nextControl = 1;
    private bool _begun;
    private bool _broken;

    /// <summary>Longest payload accepted now, in bytes; raised when the handshake is done.</summary>
    public int PayloadBytesMax { get; set; } = Frame.HandshakeBytesMax;

    /// <summary>The sequence number that the next log record must have; 0: the first one that comes decides.</summary>
    public ulong NextLsn { get; set; }

    /// <summary>Bytes received that are not a whole frame yet. Not zero at the end of a stream: it was cut off.</summary>
    public int PendingBytes => _end - _start;

    /// <summary>Takes bytes as they come. Call <see cref="TryRead"/> until it has nothing before the next push.</summary>
    public void Push(ReadOnlySpan<byte> bytes)
    {
        if (_buffer.Length - _end < bytes.Length)
        {
            int pending = PendingBytes;
            byte[] target = _buffer.Length - pending >= bytes.Length ? _buffer : new byte[Math.Max(2 * _buffer.Length, pending + bytes.Length)];
            Buffer.BlockCopy(_buffer, _start, target, 0, pending);
            (_buffer, _start, _end) = (target, 0, pending);
        }
        bytes.CopyTo(_buffer.AsSpan(_end));
        _end += bytes.Length;
    }

    /// <returns>The next message, or null when more bytes are needed.</returns>
    /// <exception cref="ProtocolException">The stream is not what it should be; the connection must be ended.</exception>
    public Message? TryRead()
    {
        if (_broken) throw new ProtocolException("the stream was damaged earlier");
        _broken = true;
        Message? message = Next();
        _broken = false;
        return message;
    }

    private Message? Next()
    {
        if (_unpacked.TryDequeue(out LogRecord? unpacked)) return unpacked;
        if (!_begun && !Preamble()) return null;
        ReadOnlySpan<byte> bytes = _buffer.AsSpan(_start, PendingBytes);
        if (bytes.Length < Frame.HeaderBytes) return null;
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        uint typeField = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        if (length > PayloadBytesMax) throw new ProtocolException($"a frame of {length} bytes; at most {PayloadBytesMax} are allowed here");
        bool isPack = typeField == Frame.RecordsType;
        if (!isPack && (typeField > 255 || !Enum.IsDefined((MessageType)typeField))) throw new ProtocolException($"a frame of the unknown type {typeField}");
        int total = Frame.HeaderBytes + (int)length + Frame.ChecksumBytes;
        if (bytes.Length < total) return null;
        bytes = bytes[..total];
        if (BinaryPrimitives.ReadUInt64LittleEndian(bytes[^Frame.ChecksumBytes..]) != XxHash3.HashToUInt64(bytes[..^Frame.ChecksumBytes]))
        {
            throw new ProtocolException($"a {(isPack ? "Records" : (MessageType)typeField)} frame is damaged: its checksum does not match");
        }
        ulong sequence = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        // The message keeps referring to its bytes: it gets a copy of its own.
        byte[] payload = bytes.Slice(Frame.HeaderBytes, (int)length).ToArray();
        _start += total;
        if (isPack) return Unpack(payload, sequence);
        Message message = MessageCodec.Read((MessageType)typeField, payload, sequence);
        Sequence(message, sequence);
        return message;
    }

    private LogRecord Unpack(byte[] payload, ulong sequence)
    {
        try
        {
            MessagePackReader r = new(payload);
            if (r.ReadInt32() is var layout and not Frame.RecordsLayout) throw new ProtocolException($"a Records frame has the layout version {layout}; this program knows {Frame.RecordsLayout}");
            do
            {
                LogRecord record = _pack.Read(ref r);
                record.Lsn = sequence;
                Sequence(record, sequence++);
                _unpacked.Enqueue(record);
            }
            while (!r.End);
            return _unpacked.Dequeue();
        }
        catch (Exception e) when (MessageCodec.IsUnreadable(e))
        {
            throw new ProtocolException($"a Records frame cannot be read: {e.Message}");
        }
    }

    private bool Preamble()
    {
        ReadOnlySpan<byte> bytes = _buffer.AsSpan(_start, PendingBytes);
        int known = Math.Min(bytes.Length, Frame.Magic.Length);
        if (!bytes[..known].SequenceEqual(Frame.Magic[..known])) throw new ProtocolException("this is not an Emu86 log: the first bytes are others");
        if (bytes.Length < Frame.PreambleBytes) return false;
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version != Frame.ProtocolVersion) throw new ProtocolException($"protocol version {version}; this program speaks version {Frame.ProtocolVersion}");
        _start += Frame.PreambleBytes;
        _begun = true;
        return true;
    }

    private void Sequence(Message message, ulong sequence)
    {
        if (message is LogRecord)
        {
            if (NextLsn != 0 && sequence != NextLsn) throw new ProtocolException($"log record {sequence} came where {NextLsn} belongs");
            NextLsn = sequence + 1;
        }
        else if (sequence != _nextControl++) throw new ProtocolException($"message {sequence} came where {_nextControl - 1} belongs");
    }
}
