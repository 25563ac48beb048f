// Recordings: the same frames as on the wire. Header, configuration, start snapshot, then log records with snapshots and unit
// hashes between them, end record.
using System.Buffers;
using System.Buffers.Binary;
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>Consecutive sectors of a drive as a recording's snapshot holds them.</summary>
/// <param name="Drive">0 to 3.</param>
/// <param name="Lba">First sector.</param>
/// <param name="Data">Whole sectors.</param>
public readonly record struct DiskRun(int Drive, long Lba, ReadOnlyMemory<byte> Data);

/// <summary>Encodes a recording. All that is written are whole frames; where they go is the caller's business.</summary>
public sealed class RecordingWriter
{
    private readonly IBufferWriter<byte> _output;
    private readonly FrameWriter _frames = new();
    private ulong _records;

    /// <param name="output">Where to.</param>
    /// <param name="machine">Identity of the machine.</param>
    /// <param name="configuration">The machine's configuration as the board saves it.</param>
    /// <param name="start">Position of <paramref name="state"/>.</param>
    /// <param name="state">The snapshot it starts from; empty for power-on.</param>
    public RecordingWriter(IBufferWriter<byte> output, MachineIdentity machine, ReadOnlyMemory<byte> configuration, Position start, ChunkedBuffer state)
    {
        _output = output;
        Write(new RecordingHeaderMessage(machine, (ulong)configuration.Length, start, (ulong)state.Length));
        for (int at = 0; at < configuration.Length; at += RecordingReader.ChunkBytes)
        {
            Write(new CloneStateMessage((ulong)at, configuration.Slice(at, int.Min(RecordingReader.ChunkBytes, configuration.Length - at))));
        }
        Chunks(state);
    }

    /// <summary>Log records so far.</summary>
    public ulong Records => _records;

    /// <summary>Appends a record and numbers it; a record object is used for one log only.</summary>
    public void Append(LogRecord record)
    {
        record.Lsn = ++_records;
        Write(record);
    }

    /// <summary>Appends the hashes that belong to the state hash appended last.</summary>
    public void UnitHashes(ReadOnlyMemory<byte> hashes) => Write(new RecordingUnitHashesMessage(hashes));

    /// <summary>Appends a snapshot at this place in the log.</summary>
    /// <param name="position">Of the state.</param>
    /// <param name="stateHash">Of the state.</param>
    /// <param name="state">As the machine saves it.</param>
    /// <param name="disks">Sectors written since the snapshot before this one, in runs of at most <see cref="RecordingReader.ChunkBytes"/>.</param>
    public void Snapshot(Position position, UInt128 stateHash, ChunkedBuffer state, IReadOnlyList<DiskRun> disks) =>
        Snapshot(position, stateHash, state, disks.Sum(d => (long)d.Data.Length), disks, () => { });

    /// <summary>The same for disk blocks that need not all be in memory.</summary>
    /// <param name="position">Of the state.</param>
    /// <param name="stateHash">Of the state.</param>
    /// <param name="state">As the machine saves it.</param>
    /// <param name="diskBytes">Length of all runs together.</param>
    /// <param name="disks">The runs; each is written before the next is asked for.</param>
    /// <param name="written">Called after each run: what was written so far may be taken away.</param>
    public void Snapshot(Position position, UInt128 stateHash, ChunkedBuffer state, long diskBytes, IEnumerable<DiskRun> disks, Action written)
    {
        Write(new RecordingSnapshotMessage(position, stateHash, (ulong)state.Length, (ulong)diskBytes));
        Chunks(state);
        foreach (DiskRun run in disks)
        {
            Write(new CloneDiskBlocksMessage(run.Drive, (ulong)run.Lba, run.Data));
            written();
        }
    }

    /// <summary>Makes the recording evidence: to be called first.</summary>
    /// <param name="evidence">What is known.</param>
    /// <param name="pages">Hashes of this side's pages where the states differed; may be empty.</param>
    public void Evidence(RecordingEvidenceMessage evidence, ReadOnlySpan<ulong> pages)
    {
        Write(evidence);
        for (int first = 0; first < pages.Length; first += RecordingReader.ChunkBytes / 8)
        {
            ReadOnlySpan<ulong> part = pages.Slice(first, int.Min(RecordingReader.ChunkBytes / 8, pages.Length - first));
            byte[] hashes = new byte[8 * part.Length];
            for (int n = 0; n < part.Length; n++) BinaryPrimitives.WriteUInt64LittleEndian(hashes.AsSpan(8 * n), part[n]);
            Write(new RecordingPageHashesMessage((ulong)first, hashes));
        }
    }

    /// <summary>Ends the recording; without this it counts as cut off.</summary>
    public void End(Position position) => Write(new RecordingEndMessage(position, _records));

    private void Chunks(ChunkedBuffer state)
    {
        ulong offset = 0;
        foreach (ReadOnlyMemory<byte> piece in state.Pieces(RecordingReader.ChunkBytes))
        {
            Write(new CloneStateMessage(offset, piece));
            offset += (ulong)piece.Length;
        }
    }

    private void Write(Message message) => _frames.Write(_output, message);
}

/// <summary>Reads a recording message by message, so that its length does not matter.</summary>
public sealed class RecordingReader
{
    /// <summary>Size of the pieces in which state is stored.</summary>
    public const int ChunkBytes = 256 << 10;

    /// <summary>Longest configuration: ROMs, a kernel and an initial RAM disk.</summary>
    private const ulong ConfigurationBytesMax = 1 << 30;

    private readonly Stream _stream;
    private readonly ulong _stateBytesMax;
    private readonly FrameReader _frames = new() { PayloadBytesMax = Frame.PayloadBytesMax, NextLsn = 1 };
    private readonly byte[] _buffer = new byte[64 << 10];
    private RecordingSnapshotMessage? _unread;
    private ulong _records;

    /// <param name="stream">Read from its present position on.</param>
    /// <param name="stateBytesMax">Longest snapshot that can be of use, in bytes.</param>
    /// <exception cref="ProtocolException">The stream is no recording, or damaged.</exception>
    public RecordingReader(Stream stream, ulong stateBytesMax)
    {
        _stream = stream;
        _stateBytesMax = stateBytesMax;
        Header = Next() as RecordingHeaderMessage ?? throw new ProtocolException("this is a log, but not a recording: it has no header");
        Configuration = Content("configuration", Header.ConfigurationBytes, ConfigurationBytesMax, keep: true)!.ToSequence();
        State = Content("snapshot", Header.StateBytes, _stateBytesMax, keep: true)!.ToSequence();
    }

    public RecordingHeaderMessage Header { get; }

    /// <summary>The machine's configuration as the board saves it.</summary>
    public ReadOnlySequence<byte> Configuration { get; }

    /// <summary>The snapshot to start from; empty for power-on.</summary>
    public ReadOnlySequence<byte> State { get; }

    /// <summary>Set when the last message has been read.</summary>
    public RecordingEndMessage? End { get; private set; }

    /// <returns>The next log record, snapshot, unit hashes or part of evidence; null at the end of a complete recording. What belongs to a snapshot is
    /// passed over unless <see cref="ReadSnapshot"/> is called before the next call.</returns>
    /// <exception cref="ProtocolException">Damaged or cut off.</exception>
    public Message? Read()
    {
        if (End is not null) return null;
        if (_unread is not null) ReadSnapshot(keepState: false, _ => { });
        Message message = Next();
        switch (message)
        {
            case LogRecord:
                _records++;
                return message;
            case RecordingUnitHashesMessage or RecordingEvidenceMessage or RecordingPageHashesMessage:
                return message;
            case RecordingSnapshotMessage snapshot:
                _unread = snapshot;
                return message;
            case RecordingEndMessage end:
                if (end.Records != _records) throw new ProtocolException($"the recording should have {end.Records} records, {_records} are there");
                End = end;
                return null;
            default:
                throw new ProtocolException($"a {message.Type} message in the middle of a recording");
        }
    }

    /// <summary>The content of the snapshot that was read last.</summary>
    /// <param name="keepState">False: only the disk blocks are wanted.</param>
    /// <exception cref="ProtocolException">Damaged or cut off.</exception>
    public (ChunkedBuffer? State, IReadOnlyList<DiskRun> Disks) ReadSnapshot(bool keepState)
    {
        var disks = new List<DiskRun>();
        return (ReadSnapshot(keepState, disks.Add), disks);
    }

    /// <summary>The same for disk blocks that need not all be in memory: each is handed over as it is read.</summary>
    public ChunkedBuffer? ReadSnapshot(bool keepState, Action<DiskRun> disk)
    {
        RecordingSnapshotMessage snapshot = _unread ?? throw new InvalidOperationException("no snapshot was read");
        _unread = null;
        ChunkedBuffer? state = Content("snapshot", snapshot.StateBytes, _stateBytesMax, keepState);
        for (ulong got = 0; got < snapshot.DiskBytes;)
        {
            CloneDiskBlocksMessage blocks = Next() as CloneDiskBlocksMessage ?? throw new ProtocolException("a snapshot in the recording lacks disk blocks");
            got += (ulong)blocks.Data.Length;
            if (blocks.Data.Length == 0 || blocks.Data.Length % 512 != 0 || blocks.Disk is < 0 or > 3 || blocks.FirstBlock > long.MaxValue / 512 || got > snapshot.DiskBytes)
            {
                throw new ProtocolException("a snapshot in the recording has disk blocks out of place");
            }
            disk(new DiskRun(blocks.Disk, (long)blocks.FirstBlock, blocks.Data));
        }
        return state;
    }

    // Grown as the content arrives: a damaged length alone makes nobody allocate.
    private ChunkedBuffer? Content(string what, ulong length, ulong lengthMax, bool keep)
    {
        if (length > lengthMax) throw new ProtocolException($"the recording has a {what} of {length} bytes; at most {lengthMax} are possible");
        ChunkedBuffer? content = keep ? new ChunkedBuffer() : null;
        for (ulong got = 0; got < length;)
        {
            CloneStateMessage chunk = Next() as CloneStateMessage ?? throw new ProtocolException("a snapshot in the recording is incomplete");
            if (chunk.Offset != got || chunk.Data.Length == 0 || got + (ulong)chunk.Data.Length > length) throw new ProtocolException("a snapshot in the recording has a piece out of place");
            got += (ulong)chunk.Data.Length;
            content?.Write(chunk.Data.Span);
        }
        return content;
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
