// The logging channel's parsers: frames, payloads, heartbeats, recordings, and the two cores that hear what comes of them.
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using Emu86.Devices;
using Emu86.Ft.Replication;
using Emu86.Tests.Replication;

namespace Emu86.Tests.Fuzz;

internal static class FuzzStreams
{
    private static readonly byte[] Key = [.. Enumerable.Range(0, HeartbeatDatagram.KeyBytes).Select(n => (byte)n)];

    public static readonly FuzzTarget Frames = new("frames", () => [Encode(FrameCodecTests.Everything()), EncodePacked(FrameCodecTests.Everything())], bytes => Read(bytes, _ => { }));

    public static readonly FuzzTarget CheckedFrames = new("checked frames", () => [Encode(FrameCodecTests.Everything()), EncodePacked(FrameCodecTests.Everything())], bytes => Read(WithChecksums(bytes), _ => { }));

    /// <summary>The first byte is the type.</summary>
    public static readonly FuzzTarget Payloads = new("payloads", () => [.. FrameCodecTests.Everything().Select(Payload)], bytes =>
    {
        if (bytes.Length == 0) return false;
        try
        {
            Message message = MessageCodec.Read((MessageType)bytes[0], bytes.AsMemory(1), 1);
            // What was understood can be said again.
            MessageCodec.Write(new ArrayBufferWriter<byte>(), message);
            return true;
        }
        catch (ProtocolException)
        {
            return false;
        }
    });

    public static readonly FuzzTarget Heartbeats = new("heartbeats", () => [Heartbeat(1, true), Heartbeat(2, false)], bytes =>
    {
        HeartbeatMessage? heartbeat = HeartbeatDatagram.Read(bytes, Key, out ulong number);
        if (heartbeat is null) return false;
        Assert.Equal(Heartbeat(number, heartbeat.FromPrimary), bytes);
        return true;
    });

    public static readonly FuzzTarget Recordings = new("recordings", () => [Recording()], ReadRecording);

    public static readonly FuzzTarget CheckedRecordings = new("checked recordings", () => [Recording()], bytes => ReadRecording(WithChecksums(bytes)));

    public static readonly FuzzTarget Backup = new("backup", () => [Encode(ToBackup(handOver: true)), Encode(ToBackup(handOver: false)), EncodePacked(ToBackup(handOver: true))], bytes =>
    {
        FuzzBackup backup = new();
        return Read(WithChecksums(bytes), backup.Hear) && !backup.HasRefused;
    });

    public static readonly FuzzTarget Primary = new("primary", () => [Encode(ToPrimary())], bytes =>
    {
        FuzzPrimary primary = new();
        return Read(WithChecksums(bytes), primary.Hear) && !primary.HasRefused;
    });

    public static byte[] Encode(params Message[] messages)
    {
        FrameWriter writer = new();
        ArrayBufferWriter<byte> output = new();
        foreach (Message message in messages) writer.Write(output, message);
        return output.WrittenSpan.ToArray();
    }

    // As on a connection: log records that follow each other share a frame.
    private static byte[] EncodePacked(params Message[] messages)
    {
        FrameWriter writer = new();
        ArrayBufferWriter<byte> output = new();
        for (int n = 0; n < messages.Length;)
        {
            LogRecord[] records = [.. messages[n..].TakeWhile(m => m is LogRecord).Cast<LogRecord>()];
            if (records.Length == 0) writer.Write(output, messages[n++]);
            else writer.Write(output, records);
            n += records.Length;
        }
        return output.WrittenSpan.ToArray();
    }

    private static byte[] Payload(Message message)
    {
        ArrayBufferWriter<byte> output = new();
        output.Write([(byte)message.Type]);
        MessageCodec.Write(output, message);
        return output.WrittenSpan.ToArray();
    }

    private static byte[] Heartbeat(ulong number, bool fromPrimary)
    {
        byte[] datagram = new byte[HeartbeatDatagram.Bytes];
        HeartbeatDatagram.Write(datagram, new HeartbeatMessage(7, fromPrimary, 12_345), number, Key);
        return datagram;
    }

    private static byte[] Recording()
    {
        ChunkedBuffer state = new();
        state.Write(new byte[3000]);
        ArrayBufferWriter<byte> file = new();
        Position at = new(100, 1000);
        RecordingWriter writer = new(file, FrameCodecTests.Machine, new byte[500], at, state);
        writer.Append(new InputRecord(at, InputEvent.SerialBytes(0, new byte[] { 1, 2, 3 })));
        writer.Snapshot(at, 5, state, [new DiskRun(1, 77, new byte[1024])]);
        writer.Append(new StateHashRecord(at, 7, default));
        writer.UnitHashes(new byte[64]);
        writer.Append(new FrontierRecord(at, 0, 0, 0, 0));
        writer.End(at);
        return file.WrittenSpan.ToArray();
    }

    private static bool ReadRecording(byte[] bytes)
    {
        try
        {
            RecordingReader reader = new(new MemoryStream(bytes), 1 << 20);
            while (reader.Read() is { } message)
            {
                if (message is RecordingSnapshotMessage) reader.ReadSnapshot(keepState: true);
            }
            return true;
        }
        catch (ProtocolException)
        {
            return false;
        }
    }

    private static Message[] ToBackup(bool handOver)
    {
        static Position At(ulong count) => new(count, count * 10);
        List<Message> messages =
        [
            new HelloMessage(new(FrameCodecTests.Machine, 1, 7, false, Key)),
            new CloneBeginMessage(new byte[16], 300, [0, 0, 0, 0]),
            new CloneStateMessage(0, new byte[300]),
            new ClonePagesMessage([1], new byte[4096]),
            new CloneEndMessage(At(100), 5, 2, 1),
            new FrontierRecord(At(200), 0, 0, 1, 0) { Lsn = 1 },
            new InputRecord(At(200), InputEvent.SerialBytes(0, new byte[] { 1 })) { Lsn = 2 },
            new FrontierRecord(At(300), 0, 0, 2, 0) { Lsn = 3 },
            new StateHashRecord(At(300), 5, default) { Lsn = 4 },
            new FrontierRecord(At(400), 1, 0, 3, 1) { Lsn = 5 },
            new ArmedRecord(1, 1, [new(new Guid(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "", 7)]) { Lsn = 6 },
            new FrontierRecord(At(500), 2, 2, 4, 2) { Lsn = 7 },
        ];
        if (handOver) messages.AddRange([new HandOverRecord(At(500), new Guid(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)) { Lsn = 8 }, new FrontierRecord(At(500), 2, 2, 5, 2) { Lsn = 9 }]);
        else messages.Add(new EndedRecord(At(600), EndReason.GuestExit, 3) { Lsn = 8 });
        return [.. messages];
    }

    private static Message[] ToPrimary() =>
    [
        new WelcomeMessage(FuzzPrimary.Session, 0, new Guid(9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9), ""),
        new CloneLoadedMessage(""),
        new AckMessage(1, 1, FuzzPrimary.BeginUs),
        new AckMessage(2, 2, FuzzPrimary.BeginUs + 2_000),
        new AckMessage(3, 2, FuzzPrimary.BeginUs + 3_000),
        new AckMessage(4, 4, FuzzPrimary.BeginUs + 4_000),
        new LeaveMessage("asked to"),
    ];

    // First as a stranger's, then with the limits of a known peer, in pieces of several lengths.
    private static bool Read(byte[] bytes, Action<Message> hear)
    {
        FrameReader reader = new();
        try
        {
            int piece = 1 + bytes.Length % 97;
            for (int at = 0; at < bytes.Length; piece = piece * 3 % 5000 + 1)
            {
                int count = Math.Min(piece, bytes.Length - at);
                reader.Push(bytes.AsSpan(at, count));
                at += count;
                while (reader.TryRead() is { } message)
                {
                    reader.PayloadBytesMax = Frame.PayloadBytesMax;
                    hear(message);
                }
            }
            return reader.PendingBytes == 0;
        }
        catch (ProtocolException)
        {
            return false;
        }
    }

    /// <summary>Whoever forges frames gets their checksums right.</summary>
    public static byte[] WithChecksums(byte[] stream)
    {
        for (int at = Frame.PreambleBytes; stream.Length - at >= Frame.HeaderBytes + Frame.ChecksumBytes;)
        {
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(stream.AsSpan(at));
            if (length > stream.Length - at - Frame.HeaderBytes - Frame.ChecksumBytes) break;
            Span<byte> frame = stream.AsSpan(at, Frame.HeaderBytes + (int)length + Frame.ChecksumBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(frame[^Frame.ChecksumBytes..], XxHash3.HashToUInt64(frame[..^Frame.ChecksumBytes]));
            at += frame.Length;
        }
        return stream;
    }
}

/// <summary>A backup's core with a driver that does at once what it is asked.</summary>
internal sealed class FuzzBackup
{
    private readonly BackupCore _core = new(new ProtocolOptions(), new BackupStart { Self = new Guid(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), Name = FrameCodecTests.Machine.Name, ArbiterIdentity = FrameCodecTests.Machine.Arbiter }, 0);
    private long _nowUs;

    /// <summary>The stream was ended, or the backup has.</summary>
    public bool HasRefused { get; private set; }

    public void Hear(Message message)
    {
        _nowUs += 500;
        _core.Received(_nowUs, 1, message);
        Carry();
        _core.Tick(_nowUs);
        Carry();
    }

    private void Carry()
    {
        while (_core.Actions.Count > 0)
        {
            CoreAction[] taken = [.. _core.Actions];
            _core.Actions.Clear();
            foreach (CoreAction action in taken) Carry(action);
        }
    }

    private void Carry(in CoreAction action)
    {
        switch (action.Kind)
        {
            case ActionKind.LoadClone: _core.CloneLoaded(_nowUs, ((CloneEndMessage)action.Message!).StateHash, null); break;
            case ActionKind.RunTo:
                _core.Produced(new Output(OutputKind.SerialByte, action.Position, 0, 1, default));
                _core.Executed(_nowUs, action.Position);
                break;
            case ActionKind.TakeStateHash: _core.StateHash(_nowUs, 5); break;
            case ActionKind.AskArbiter: _core.ArbiterAnswered(_nowUs, new ArbiterAnswer(action.Request!.Id, ArbiterVerdict.Done, action.Request.Wanted)); break;
            // Going live and the guest's end break the connection too.
            case ActionKind.Disconnect: HasRefused |= _core.Phase is BackupPhase.Idle or BackupPhase.Armed; break;
        }
    }
}

/// <summary>A primary's core that runs a little between what it hears.</summary>
internal sealed class FuzzPrimary
{
    public const ulong Session = 7;
    public const long BeginUs = 1_000_000;

    private readonly SimulatorArbiter _arbiter = new();
    private readonly PrimaryCore _core = new(new ProtocolOptions(), new PrimaryStart
    {
        Self = new Guid(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        Machine = FrameCodecTests.Machine,
        Candidates = 1,
        SessionSeed = Session - 1,
    }, BeginUs);

    private long _nowUs = BeginUs;
    private ulong _count;
    private int _connection;
    private bool _isLive, _isPaused;

    public FuzzPrimary()
    {
        _core.Tick(_nowUs);
        Carry();
        Live();
    }

    public bool HasRefused { get; private set; }

    public void Hear(Message message)
    {
        _core.Received(_nowUs, _connection, message);
        // Asked to leave, it drops the backup.
        HasRefused |= message is not LeaveMessage && _core.Actions.Exists(a => a.Kind == ActionKind.Disconnect);
        Carry();
        Live();
    }

    private void Live()
    {
        for (int n = 0; n < 2; n++)
        {
            _nowUs += 1_000;
            _count += 300_000;
            _core.Tick(_nowUs);
            Carry();
            if (!_isLive || _isPaused) continue;
            _core.Produced(new Output(OutputKind.SerialByte, new Position(_count, _count * 10), 0, 1, default));
            _core.Ran(_nowUs, new Position(_count, _count * 10), false);
            Carry();
        }
    }

    private void Carry()
    {
        while (_core.Actions.Count > 0)
        {
            CoreAction[] taken = [.. _core.Actions];
            _core.Actions.Clear();
            foreach (CoreAction action in taken) Carry(action);
        }
    }

    private void Carry(in CoreAction action)
    {
        switch (action.Kind)
        {
            case ActionKind.AskArbiter: _core.ArbiterAnswered(_nowUs, _arbiter.Ask(action.Request!)); break;
            case ActionKind.Live: _isLive = true; break;
            case ActionKind.PauseGuest: _isPaused = true; break;
            case ActionKind.ResumeGuest: _isPaused = false; break;
            case ActionKind.Exit: _isLive = false; break;
            case ActionKind.Connect: _core.ConnectionOpened(_nowUs, action.Link, ++_connection); break;
            case ActionKind.TakeStateHash: _core.StateHash(_nowUs, 5); break;
            case ActionKind.BeginClone:
                _core.SnapshotTaken(_nowUs);
                _core.CloneStreamed(_nowUs, 5);
                break;
        }
    }
}
