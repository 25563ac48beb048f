// Frames and payloads: everything that can be said survives the wire, and nothing else is accepted.
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class FrameCodecTests
{
    internal static readonly MachineIdentity Machine = new("default", new Guid("00112233-4455-6677-8899-aabbccddeeff"), UInt128.MaxValue - 5, "file:/x",
        [new("hda", new Guid(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))]);

    private static readonly Position At = new(ulong.MaxValue - 1, 12_345_678_901);

    private static readonly byte[] Blob = [1, 2, 3, 255, 0, 7];

    /// <summary>One of every message; log records in order.</summary>
    internal static Message[] Everything() =>
    [
        new HelloMessage(new(Machine, 3, 77, true, Blob)),
        new WelcomeMessage(77, 12, new Guid(9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9), "host:1"),
        new RefusedMessage("the machine differs"),
        new CloneBeginMessage(Blob, 1ul << 40, [1, 2, ulong.MaxValue]),
        new CloneStateMessage(5, Blob),
        new CloneDiskHashesMessage(1, 6, 65536, Blob),
        new CloneDiskWantMessage(2, [7, 8]),
        new CloneDiskBlocksMessage(3, 9, Blob),
        new CloneEndMessage(At, 5, 6, 7),
        new CloneLoadedMessage(""),
        new AckMessage(8, 7, 123_456_789),
        new DivergedMessage(4, At, UInt128.One, new byte[32]),
        new LeaveMessage("asked to"),
        new HeartbeatMessage(77, true, -1),
        new InputRecord(At, new(InputKind.NetFrame, 2, 3, 4, Blob)) { Lsn = 1 },
        new FrontierRecord(At, 1, 2, 3, 4) { Lsn = 2 },
        new StateHashRecord(At, 99, Blob) { Lsn = 3 },
        new ArmedRecord(3, 1, [new(Guid.Empty, "host:1", 5), new(new Guid(9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9), "", 6)]) { Lsn = 4 },
        new EpochRecord(At, 4) { Lsn = 5 },
        new HandOverRecord(At, new Guid(9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9)) { Lsn = 6 },
        new EndedRecord(At, EndReason.GuestExit, 21) { Lsn = 7 },
        new RecordingHeaderMessage(Machine, 5, At, 6),
        new RecordingEndMessage(At, 7),
        new RecordingSnapshotMessage(At, 98, 4, 512),
        new RecordingUnitHashesMessage(Blob),
        new RecordingEvidenceMessage("backup", 3, At, At, "memory differs", 97, "too much changed"),
        new RecordingPageHashesMessage(5, Blob),
        new ClonePagesMessage([0, 5, ulong.MaxValue], Blob),
    ];

    [Fact]
    public void Every_message_type_survives_the_wire_byte_for_byte()
    {
        Message[] sent = Everything();
        Assert.Equal(Enum.GetValues<MessageType>().Order(), sent.Select(m => m.Type).Distinct().Order());
        byte[] wire = Bytes(sent);
        List<Message> received = Read(wire, chunk: 7);
        Assert.Equal(sent.Select(m => m.Type), received.Select(m => m.Type));
        Assert.Equal(wire, Bytes([.. received]));
        Assert.Equal(((InputRecord)sent[14]).Input, ((InputRecord)received[14]).Input);
    }

    [Fact]
    public void A_stream_cut_anywhere_gives_only_whole_messages()
    {
        byte[] wire = Bytes(Everything());
        for (int length = 0; length < wire.Length; length++)
        {
            FrameReader reader = new();
            reader.Push(wire.AsSpan(0, length));
            int count = 0;
            while (reader.TryRead() is not null) count++;
            Assert.True(count < Everything().Length);
        }
    }

    [Fact]
    public void A_flipped_bit_anywhere_is_noticed()
    {
        byte[] wire = Bytes(Everything());
        for (int i = 0; i < wire.Length; i++)
        {
            byte[] damaged = (byte[])wire.Clone();
            damaged[i] ^= (byte)(1 << (i % 8));
            try
            {
                // A changed length may make the reader wait for more: then the message never comes.
                Assert.NotEqual(Everything().Length, Read(damaged, wire.Length).Count);
            }
            catch (ProtocolException)
            {
            }
        }
    }

    [Fact]
    public void A_frame_that_is_too_long_is_refused_before_its_bytes_come()
    {
        FrameReader reader = new();
        byte[] wire = Bytes([new LeaveMessage("x")]);
        BinaryPrimitives.WriteInt32LittleEndian(wire.AsSpan(Frame.PreambleBytes), Frame.HandshakeBytesMax + 1);
        reader.Push(wire.AsSpan(0, Frame.PreambleBytes + Frame.HeaderBytes));
        Assert.Contains("at most 65536", Assert.Throws<ProtocolException>(() => reader.TryRead()).Message);
        Assert.Throws<ProtocolException>(() => reader.TryRead());
    }

    [Fact]
    public void Log_records_that_share_a_frame_come_out_as_they_went_in()
    {
        LogRecord[] records = [.. Enumerable.Range(0, 3).SelectMany(_ => Everything()).OfType<LogRecord>(), .. Frames([20, 60, 60, 0, 1514, 64, 63, 1514, 1514])];
        for (int n = 0; n < records.Length; n++) records[n].Lsn = (ulong)n + 1;
        byte[] wire = Packed(records[..9], records[9..]);
        foreach (int chunk in new[] { 1, 7, 100_000 })
        {
            List<Message> received = Read(wire, chunk);
            Assert.Equal(records.Select(r => r.Lsn), received.Cast<LogRecord>().Select(r => r.Lsn));
            Assert.Equal(Bytes(records), Bytes([.. received]));
        }
    }

    [Fact]
    public void A_full_network_frame_takes_less_than_its_own_length_of_the_log()
    {
        LogRecord[] first = [.. Frames([1514])], rest = [.. Frames([.. Enumerable.Repeat(1514, 64)])];
        for (int n = 0; n < rest.Length; n++) rest[n].Lsn = (ulong)n + 2;
        first[0].Lsn = 1;
        Assert.InRange(Packed(first, rest).Length - Packed(first).Length, 1, 1500 * rest.Length);
    }

    [Fact]
    public void Records_too_large_for_one_frame_are_spread()
    {
        LogRecord[] records = [.. Frames([.. Enumerable.Repeat(InputEvent.DataBytesMax, 20)])];
        for (int n = 0; n < records.Length; n++) records[n].Lsn = (ulong)n + 1;
        FrameReader reader = new() { PayloadBytesMax = Frame.PayloadBytesMax };
        reader.Push(Packed(records));
        List<Message> received = [];
        while (reader.TryRead() is { } message) received.Add(message);
        Assert.Equal(Bytes(records), Bytes([.. received]));
    }

    [Fact]
    public void A_frame_of_records_that_refers_to_a_frame_that_was_not_is_refused()
    {
        // layout, Input, count, time, kind NetFrame, unit, two values, mask of the first eight bytes, two more bytes.
        byte[] payload = [1, 40, 0, 0, (byte)InputKind.NetFrame, 0, 0, 0, 0xcc, 0xff, 0xc4, 2, 1, 2];
        byte[] wire = Packed([new EpochRecord(At, 1) { Lsn = 1 }]);
        byte[] frame = new byte[Frame.PreambleBytes + Frame.HeaderBytes + payload.Length + Frame.ChecksumBytes];
        wire.AsSpan(0, Frame.PreambleBytes + Frame.HeaderBytes).CopyTo(frame);
        BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(Frame.PreambleBytes), payload.Length);
        payload.CopyTo(frame, Frame.PreambleBytes + Frame.HeaderBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(frame.Length - 8), XxHash3.HashToUInt64(frame.AsSpan(Frame.PreambleBytes, frame.Length - 8 - Frame.PreambleBytes)));
        Assert.Contains("where there is none", Assert.Throws<ProtocolException>(() => Read(frame, 1000)).Message);
    }

    [Fact]
    public void Records_out_of_order_are_refused()
    {
        byte[] gap = Bytes([new ArmedRecord(1, 0, []) { Lsn = 1 }, new ArmedRecord(1, 0, []) { Lsn = 3 }]);
        Assert.Contains("record 3 came where 2", Assert.Throws<ProtocolException>(() => Read(gap, 1000)).Message);
    }

    [Fact]
    public void Another_protocol_another_version_and_unknown_types_are_refused_with_a_sentence()
    {
        Assert.Contains("not an Emu86 log", Assert.Throws<ProtocolException>(() => Read("GET / HTTP/1.1\r\n"u8.ToArray(), 100)).Message);
        byte[] wire = Bytes([new LeaveMessage("x")]);
        byte[] version = (byte[])wire.Clone();
        version[8] = 9;
        Assert.Contains("version 9", Assert.Throws<ProtocolException>(() => Read(version, 100)).Message);
        byte[] type = (byte[])wire.Clone();
        type[Frame.PreambleBytes + 4] = 200;
        Assert.Contains("unknown type 200", Assert.Throws<ProtocolException>(() => Read(type, 100)).Message);
    }

    [Fact]
    public void A_payload_with_a_wrong_layout_is_refused_though_its_checksum_is_right()
    {
        SimulatorChance chance = new(5);
        byte[] wire = Bytes([new FrontierRecord(At, 1, 2, 3, 4) { Lsn = 1 }]);
        int refused = 0;
        for (int i = 0; i < 2_000; i++)
        {
            byte[] forged = (byte[])wire.Clone();
            int at = (int)chance.Between(Frame.PreambleBytes + Frame.HeaderBytes, forged.Length - Frame.ChecksumBytes);
            forged[at] = (byte)chance.Next();
            ReadOnlySpan<byte> summed = forged.AsSpan(Frame.PreambleBytes..^Frame.ChecksumBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(forged.AsSpan(forged.Length - Frame.ChecksumBytes), XxHash3.HashToUInt64(summed));
            try
            {
                Assert.Single(Read(forged, 1000));
            }
            catch (ProtocolException)
            {
                refused++;
            }
        }
        Assert.InRange(refused, 100, 1_999);
    }

    [Fact]
    public void A_recording_comes_back_and_a_cut_one_says_so()
    {
        byte[] state = new byte[600_000];
        for (int i = 0; i < state.Length; i++) state[i] = (byte)SimulatorGuest.Mix((ulong)i);
        ChunkedBuffer saved = new();
        saved.Write(state);
        ArrayBufferWriter<byte> file = new();
        RecordingWriter writer = new(file, Machine, Blob, At, saved);
        writer.Append(new InputRecord(At, InputEvent.SerialBytes(1, Blob)));
        writer.Snapshot(At, 5, saved, [new DiskRun(1, 77, state.AsMemory(0, 1024))]);
        writer.Append(new FrontierRecord(At, 0, 0, 0, 0));
        writer.Snapshot(At, 6, saved, []);
        writer.End(At);
        byte[] bytes = file.WrittenSpan.ToArray();

        RecordingReader reader = new(new MemoryStream(bytes), 1 << 20);
        Assert.Equal(Blob, reader.Configuration.ToArray());
        Assert.Equal(state, reader.State.ToArray());
        Assert.IsType<InputRecord>(reader.Read());
        Assert.IsType<RecordingSnapshotMessage>(reader.Read());
        (ChunkedBuffer? middle, IReadOnlyList<DiskRun> disks) = reader.ReadSnapshot(keepState: true);
        Assert.Equal(state, middle!.ToSequence().ToArray());
        Assert.Equal((1, 77L, 1024), (disks[0].Drive, disks[0].Lba, disks[0].Data.Length));
        Assert.IsType<FrontierRecord>(reader.Read());
        Assert.IsType<RecordingSnapshotMessage>(reader.Read());
        Assert.Null(reader.Read());
        Assert.Equal(2ul, reader.End!.Records);

        foreach (int length in new[] { 5, 100, 300_000, bytes.Length - 60, bytes.Length - 1 })
        {
            ProtocolException e = Assert.Throws<ProtocolException>(() =>
            {
                RecordingReader cut = new(new MemoryStream(bytes, 0, length), 1 << 20);
                while (cut.Read() is not null) { }
            });
            Assert.Contains("cut off", e.Message);
        }
        Assert.Contains("at most 1000 are possible", Assert.Throws<ProtocolException>(() => new RecordingReader(new MemoryStream(bytes), 1000)).Message);
    }

    [Fact]
    public void Heartbeats_of_strangers_are_ignored()
    {
        byte[] key = [.. Enumerable.Range(0, HeartbeatDatagram.KeyBytes).Select(i => (byte)i)];
        byte[] datagram = new byte[HeartbeatDatagram.Bytes];
        HeartbeatDatagram.Write(datagram, new(5, true, 77), 9, key);
        HeartbeatMessage read = HeartbeatDatagram.Read(datagram, key, out ulong number)!;
        Assert.Equal((5ul, true, 77L, 9ul), (read.SessionId, read.FromPrimary, read.SentUs, number));
        for (int i = 0; i < datagram.Length; i++)
        {
            datagram[i] ^= 1;
            Assert.Null(HeartbeatDatagram.Read(datagram, key, out _));
            datagram[i] ^= 1;
        }
        key[0] ^= 1;
        Assert.Null(HeartbeatDatagram.Read(datagram, key, out _));
        Assert.Null(HeartbeatDatagram.Read(datagram.AsSpan(1), key, out _));
    }

    [Fact]
    public void A_heartbeat_that_was_recorded_is_heard_once_and_an_own_one_never()
    {
        HeartbeatOrder order = new(fromPrimary: true);
        Assert.True(order.IsNew(new(5, true, 1), 1));
        Assert.False(order.IsNew(new(5, true, 1), 1));
        Assert.True(order.IsNew(new(5, true, 1), 3));
        Assert.False(order.IsNew(new(5, true, 9), 2));
        // Another session of the key: another process may count from the beginning.
        Assert.True(order.IsNew(new(6, true, 2), 1));
        Assert.False(order.IsNew(new(5, true, 3), 4));
        Assert.False(order.IsNew(new(6, false, 3), 9));
        Assert.True(order.IsNew(new(6, true, 3), 2));
    }

    private static byte[] Bytes(Message[] messages)
    {
        FrameWriter writer = new();
        ArrayBufferWriter<byte> output = new();
        foreach (Message message in messages) writer.Write(output, message);
        return output.WrittenSpan.ToArray();
    }

    // Each part is one flush of a connection.
    private static byte[] Packed(params LogRecord[][] parts)
    {
        FrameWriter writer = new();
        ArrayBufferWriter<byte> output = new();
        foreach (LogRecord[] part in parts) writer.Write(output, part);
        return output.WrittenSpan.ToArray();
    }

    // Frames of one flow: the same head but for a few bytes, and contents of their own.
    private static IEnumerable<LogRecord> Frames(int[] lengths)
    {
        Random random = new(7);
        byte[] head = new byte[54];
        random.NextBytes(head);
        foreach (int length in lengths)
        {
            byte[] frame = new byte[length];
            random.NextBytes(frame);
            head.AsSpan(0, int.Min(length, 54)).CopyTo(frame);
            random.NextBytes(frame.AsSpan(int.Min(length, 18), int.Min(6, length - int.Min(length, 18))));
            yield return new InputRecord(At, new(InputKind.NetFrame, 0, 0, 0, frame));
        }
    }

    private static List<Message> Read(byte[] wire, int chunk)
    {
        FrameReader reader = new();
        List<Message> messages = [];
        for (int at = 0; at < wire.Length; at += chunk)
        {
            reader.Push(wire.AsSpan(at, Math.Min(chunk, wire.Length - at)));
            while (reader.TryRead() is { } message) messages.Add(message);
        }
        return messages;
    }
}
