// Recordings: the same frames as on the wire, in a stream. Header, state chunks, log records, end record.
using System.Buffers;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>Writes a recording. Nothing is buffered beyond a frame; the stream belongs to the caller.</summary>
public sealed class RecordingWriter
{
    private readonly Stream _stream;
    private readonly FrameWriter _frames = new();
    private readonly ArrayBufferWriter<byte> _bytes = new();
    private ulong _records;

    /// <param name="stream">Where to; written from its present position on.</param>
    /// <param name="header">What is needed to run the recording again.</param>
    /// <param name="state">The snapshot it starts from; empty for power-on. Its length stands in the header.</param>
    public RecordingWriter(Stream stream, RecordingHeaderMessage header, ReadOnlyMemory<byte> state)
    {
        if ((ulong)state.Length != header.StateBytes) throw new ArgumentException($"the header announces {header.StateBytes} bytes of state, {state.Length} are given", nameof(state));
        _stream = stream;
        Write(header);
        for (int offset = 0; offset < state.Length; offset += RecordingReader.ChunkBytes)
        {
            Write(new CloneStateMessage((ulong)offset, state.Slice(offset, Math.Min(RecordingReader.ChunkBytes, state.Length - offset))));
        }
    }

    /// <summary>Appends a record and numbers it; a record object is used for one log only.</summary>
    public void Append(LogRecord record)
    {
        record.Lsn = ++_records;
        Write(record);
    }

    /// <summary>Ends the recording; without this it counts as cut off.</summary>
    public void End(Position position)
    {
        Write(new RecordingEndMessage(position, _records));
        _stream.Flush();
    }

    private void Write(Message message)
    {
        _bytes.ResetWrittenCount();
        _frames.Write(_bytes, message);
        _stream.Write(_bytes.WrittenSpan);
    }
}

/// <summary>Reads a recording record by record, so that its length does not matter.</summary>
public sealed class RecordingReader
{
    /// <summary>Size of the pieces in which state is stored.</summary>
    public const int ChunkBytes = 256 << 10;

    private readonly Stream _stream;
    private readonly FrameReader _frames = new() { PayloadBytesMax = Frame.PayloadBytesMax, NextLsn = 1 };
    private readonly byte[] _buffer = new byte[64 << 10];
    private ulong _records;

    /// <param name="stream">Read from its present position on.</param>
    /// <param name="stateBytesMax">Longest snapshot that can be of use, in bytes.</param>
    /// <exception cref="ProtocolException">The stream is no recording, or damaged.</exception>
    public RecordingReader(Stream stream, long stateBytesMax)
    {
        _stream = stream;
        Header = Next() as RecordingHeaderMessage ?? throw new ProtocolException("this is a log, but not a recording: it has no header");
        if (Header.StateBytes > (ulong)Math.Min(stateBytesMax, Array.MaxLength)) throw new ProtocolException($"the recording has a snapshot of {Header.StateBytes} bytes; at most {stateBytesMax} are possible");
        // Grown as the content arrives: a damaged length alone makes nobody allocate.
        ArrayBufferWriter<byte> state = new();
        while ((ulong)state.WrittenCount < Header.StateBytes)
        {
            CloneStateMessage chunk = Next() as CloneStateMessage ?? throw new ProtocolException("the recording's snapshot is incomplete");
            if (chunk.Offset != (ulong)state.WrittenCount || chunk.Data.Length == 0 || chunk.Offset + (ulong)chunk.Data.Length > Header.StateBytes)
            {
                throw new ProtocolException("the recording's snapshot has a piece out of place");
            }
            state.Write(chunk.Data.Span);
        }
        State = state.WrittenMemory;
    }

    public RecordingHeaderMessage Header { get; }

    /// <summary>The snapshot to start from; empty for power-on.</summary>
    public ReadOnlyMemory<byte> State { get; }

    /// <summary>Set when the last record has been read.</summary>
    public RecordingEndMessage? End { get; private set; }

    /// <returns>The next log record, or null at the end of a complete recording.</returns>
    /// <exception cref="ProtocolException">Damaged or cut off.</exception>
    public LogRecord? Read()
    {
        if (End is not null) return null;
        Message message = Next();
        if (message is LogRecord record)
        {
            _records++;
            return record;
        }
        End = message as RecordingEndMessage ?? throw new ProtocolException($"a {message.Type} message in the middle of a recording");
        if (End.Records != _records) throw new ProtocolException($"the recording should have {End.Records} records, {_records} are there");
        return null;
    }

    private Message Next()
    {
        while (true)
        {
            if (_frames.TryRead() is { } message) return message;
            int count = _stream.Read(_buffer);
            if (count == 0) throw new ProtocolException("the recording was cut off: it ends without its end record");
            _frames.Push(_buffer.AsSpan(0, count));
        }
    }
}
