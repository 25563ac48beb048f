// Recordings: a live run written down, replayed with other slices, from the middle, cut off, damaged, and on a full disk.
using System.Buffers.Binary;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;
using Emu86.Ft.Run;
using Emu86.Ft.Run.Recording;

namespace Emu86.Tests.Determinism;

public sealed class RecordingTests
{
    private const int Sectors = 256;
    private const ulong StopAt = 300_000;

    private static readonly RecorderSettings Often = new(HashEveryNs: 100_000, SnapshotEveryNs: 1_000_000, SnapshotEveryCount: 10_000, SnapshotBytesPerSecond: 1UL << 40);

    private static readonly Lazy<Recorded> Shared = new(() => Record(new MemoryStream(), Often));

    /// <summary>A recording and how the run that was recorded ended.</summary>
    internal sealed record Recorded(byte[] Bytes, UInt128 EndHash, Position End, IReadOnlyList<string> Outputs, byte[] Disk);

    [Theory]
    [InlineData(1)]
    [InlineData(997)]
    [InlineData(1_000_000)]
    public void A_recording_replays_to_the_same_end_with_any_slice(ulong slice)
    {
        Recorded recorded = Shared.Value;
        using var again = new Again(recorded.Bytes, slice);
        again.Replay.Begin();
        ReplayResult result = again.Replay.Run();
        Assert.Equal((ReplayEnd.Complete, ""), (result.End, result.Detail));
        Assert.InRange(result.HashesMatched, 20ul, 1_000ul);
        again.AssertEndsAs(recorded);
        Assert.Equal(recorded.Outputs, again.Outputs.Lines);
    }

    [Fact]
    public void A_replay_from_each_snapshot_in_a_recording_comes_to_the_same_end()
    {
        Recorded recorded = Shared.Value;
        int snapshots = Messages(recorded.Bytes).Count(m => m is RecordingSnapshotMessage);
        Assert.InRange(snapshots, 3, 100);
        for (int ordinal = 1; ordinal <= snapshots; ordinal++)
        {
            using var again = new Again(recorded.Bytes, 10_000);
            again.Replay.BeginAt(ordinal);
            Assert.Equal(ReplayEnd.Complete, again.Replay.Run().End);
            again.AssertEndsAs(recorded);
        }
    }

    [Fact]
    public void Until_stops_at_the_first_boundary_with_the_count()
    {
        using Again one = new(Shared.Value.Bytes, 1), other = new(Shared.Value.Bytes, 50_000);
        one.Replay.Begin();
        other.Replay.Begin();
        Assert.Equal(ReplayEnd.UntilReached, one.Replay.Run(123_456).End);
        Assert.Equal(ReplayEnd.UntilReached, other.Replay.Run(123_456).End);
        Assert.Equal((123_456ul, one.Machine.StateHash()), (one.Machine.Position.Count, other.Machine.StateHash()));
    }

    [Fact]
    public void A_count_behind_the_end_is_not_called_reached()
    {
        using var again = new Again(Shared.Value.Bytes, 50_000);
        again.Replay.Begin();
        Assert.Equal(ReplayEnd.EndedBeforeUntil, again.Replay.Run(StopAt + 1).End);
    }

    [Fact]
    public void A_cut_recording_is_replayed_as_far_as_it_is_whole_and_says_so()
    {
        byte[] bytes = Shared.Value.Bytes;
        int start = StartBytes(bytes);
        var random = new Random(1);
        ulong last = 0;
        foreach (int length in Enumerable.Range(0, 6).Select(_ => random.Next(start, bytes.Length)).Append(bytes.Length - 1).Order())
        {
            using var again = new Again(bytes[..length], 50_000);
            again.Replay.Begin();
            ReplayResult result = again.Replay.Run();
            Assert.Equal(ReplayEnd.Broken, result.End);
            Assert.Contains("cut off", result.Detail);
            Assert.True(result.Position.Count >= last);
            last = result.Position.Count;
        }
        Assert.Equal(StopAt, last);
    }

    [Fact]
    public void A_flipped_bit_anywhere_in_a_recording_is_noticed()
    {
        byte[] bytes = Shared.Value.Bytes;
        var random = new Random(2);
        for (int n = 0; n < 25; n++)
        {
            byte[] damaged = (byte[])bytes.Clone();
            damaged[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            Assert.Throws<ProtocolException>(() => Messages(damaged).Count());
        }
    }

    [Fact]
    public void A_difference_is_found_and_its_unit_named()
    {
        using var again = new Again(Shared.Value.Bytes, 50_000);
        again.Disk.Write(0, new byte[Sectors * 512]);
        again.Replay.Begin();
        ReplayResult result = again.Replay.Run();
        Assert.Equal(ReplayEnd.Diverged, result.End);
        Assert.Contains("first differing unit memory", result.Detail);
        Assert.InRange(result.Position.Count, 1ul, StopAt - 1);
    }

    [Fact]
    public void A_position_that_cannot_be_reached_is_a_divergence()
    {
        byte[] bytes = Rewrite(Shared.Value.Bytes, m => m is InputRecord r ? new InputRecord(r.Position with { VirtualTimeNs = r.Position.VirtualTimeNs + 1 }, r.Input) : m);
        using var again = new Again(bytes, 50_000);
        again.Replay.Begin();
        ReplayResult result = again.Replay.Run();
        Assert.Equal(ReplayEnd.Diverged, result.End);
        Assert.Contains("the recording goes on at", result.Detail);
    }

    [Theory]
    [InlineData(70_000)]
    [InlineData(200_001)]
    public void A_full_disk_ends_the_recording_with_a_sentence_and_no_half_record(int room)
    {
        var disk = new FullDisk(room);
        var e = Assert.Throws<HostException>(() => Record(disk, Often));
        Assert.Contains("cannot be written any further: no room", e.Message);
        Assert.Equal(ExitCode.Failure, e.ExitCode);
        var frames = new FrameReader { PayloadBytesMax = Frame.PayloadBytesMax };
        frames.Push(disk.ToArray());
        while (frames.TryRead() is not null)
        {
        }
        Assert.Equal(0, frames.PendingBytes);
    }

    [Fact]
    public void A_recording_of_a_restored_machine_starts_with_its_state()
    {
        byte[] bytes;
        UInt128 hash;
        using (var world = new ChaosWorld())
        {
            world.RunTo(50_000);
            var stream = new MemoryStream();
            using var file = new RecordingFile(stream, "test");
            var recorder = new Recorder(world.Machine, [null, null, null, null], Identity(world.Machine.Config), file, Often with { SnapshotEveryCount = ulong.MaxValue / 2 });
            new LiveLoop(world.Machine, new InputQueue(), new LiveSettings(1_000, 60_000, FixedClock: true, Paced: false), recorder).Run();
            recorder.End();
            (bytes, hash) = (stream.ToArray(), world.Machine.StateHash());
        }
        // The overlay of the test does not know what the guest wrote before; this stretch must not read it back.
        using var again = new Again(bytes, 50_000);
        again.Replay.Begin();
        Assert.Equal(50_000ul, again.Machine.Position.Count);
        Assert.Equal(ReplayEnd.Complete, again.Replay.Run().End);
        Assert.Equal(hash, again.Machine.StateHash());
    }

    /// <summary>Records a run of the chaos guest with inputs of every kind.</summary>
    internal static Recorded Record(Stream stream, RecorderSettings settings, string path = "test")
    {
        MachineConfig config = ChaosGuest.Config(Sectors);
        var disk = new OverlayDisk(MemoryDisk.WithPattern(Sectors));
        var outputs = new OutputList();
        using var machine = new Machine(config, [disk, null, null, null], outputs);
        using var file = new RecordingFile(stream, path);
        var queue = new InputQueue();
        LiveLoop? loop = null;
        var random = new Random(3);
        var recorder = new Recorder(machine, [disk, null, null, null], Identity(config), file, settings)
        {
            AtBoundary = () =>
            {
                if (random.Next(3) == 0) queue.Put(AnyInput(random));
            },
            Broken = () => loop!.Stop(),
        };
        loop = new LiveLoop(machine, queue, new LiveSettings(1_234, StopAt, FixedClock: true, Paced: false), recorder);
        loop.Run();
        recorder.End();
        return new Recorded((stream as MemoryStream)?.ToArray() ?? [], machine.StateHash(), machine.Position, [.. outputs.Lines], Content(disk));
    }

    private static InputEvent AnyInput(Random random)
    {
        byte[] bytes = new byte[60 + random.Next(200)];
        random.NextBytes(bytes);
        bytes.AsSpan(0, 6).Fill(0xff);
        return random.Next(5) switch
        {
            0 => InputEvent.SerialBytes(0, bytes.AsMemory(6, 3)),
            1 => InputEvent.Key(bytes.AsMemory(6, 1)),
            2 => InputEvent.RateChange((ulong)random.Next(1, 100) << 30),
            _ => InputEvent.NetFrame(0, bytes),
        };
    }

    private static MachineIdentity Identity(MachineConfig config) =>
        new("default", Guid.NewGuid(), config.Hash(), "", [new DiskIdentity("hda", ContentId(MemoryDisk.WithPattern(Sectors)))]);

    internal static Guid ContentId(IBlockStore disk)
    {
        Span<byte> id = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128LittleEndian(id, OverlayDisk.ContentHash(disk));
        return new Guid(id);
    }

    private static byte[] Content(IBlockStore disk)
    {
        byte[] bytes = new byte[Sectors * 512];
        disk.Read(0, bytes);
        return bytes;
    }

    private static IEnumerable<Message> Messages(byte[] recording)
    {
        var reader = new RecordingReader(new MemoryStream(recording), 1 << 30);
        while (reader.Read() is { } message) yield return message;
    }

    private static int StartBytes(byte[] recording)
    {
        // Header and configuration: the first frames, before the first log record.
        int at = Frame.PreambleBytes;
        while (recording[at + 4] is (byte)MessageType.RecordingHeader or (byte)MessageType.CloneState)
        {
            at += Frame.HeaderBytes + BinaryPrimitives.ReadInt32LittleEndian(recording.AsSpan(at)) + Frame.ChecksumBytes;
        }
        return at;
    }

    internal static byte[] Rewrite(byte[] recording, Func<Message, Message> change)
    {
        var frames = new FrameReader { PayloadBytesMax = Frame.PayloadBytesMax };
        frames.Push(recording);
        var writer = new FrameWriter();
        var output = new System.Buffers.ArrayBufferWriter<byte>();
        while (frames.TryRead() is { } message)
        {
            Message changed = change(message);
            if (changed is LogRecord to && message is LogRecord from) to.Lsn = from.Lsn;
            writer.Write(output, changed);
        }
        return output.WrittenSpan.ToArray();
    }

    /// <summary>A machine that replays.</summary>
    private sealed class Again : IDisposable
    {
        public Again(byte[] recording, ulong slice)
        {
            Disk = new OverlayDisk(MemoryDisk.WithPattern(Sectors));
            Machine = new Machine(ChaosGuest.Config(Sectors), [Disk, null, null, null], Outputs);
            Replay = new Replay(Machine, new RecordingReader(new MemoryStream(recording), 1 << 30), [Disk, null, null, null]) { Slice = slice };
        }

        public Machine Machine { get; }

        public OverlayDisk Disk { get; }

        public OutputList Outputs { get; } = new();

        public Replay Replay { get; }

        public void AssertEndsAs(Recorded recorded)
        {
            Assert.Equal(recorded.End, Machine.Position);
            Assert.Equal(recorded.EndHash, Machine.StateHash());
            Assert.Equal(recorded.Disk, Content(Disk));
        }

        public void Dispose() => Machine.Dispose();
    }

    /// <summary>Has room for so many bytes; a write that does not fit is done in part.</summary>
    private sealed class FullDisk(int room) : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            int fits = int.Min(buffer.Length, room - (int)Position);
            base.Write(buffer[..fits]);
            if (fits < buffer.Length) throw new IOException("no room");
        }
    }
}
