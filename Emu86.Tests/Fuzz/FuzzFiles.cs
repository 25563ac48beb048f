// What is read from files, and comes over the channel too: configurations, snapshots, and recordings that are replayed.
using System.Buffers;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;
using Emu86.Ft.Run;
using Emu86.Ft.Run.Recording;
using Emu86.Tests.Determinism;
using MessagePack;

namespace Emu86.Tests.Fuzz;

internal static class FuzzFiles
{
    private const int Sectors = 64;
    private const ulong RecordedTo = 30_000, LongestNs = 1_000_000_000, SlowestRate = 10_000ul << 32;

    private static readonly Lazy<Machine> Restored = new(() => NewMachine(new OverlayDisk(MemoryDisk.WithPattern(Sectors))));

    /// <summary>Accepted is what a board can be built from.</summary>
    public static readonly FuzzTarget Configurations = new("configurations", () => [MessagePackSerializer.Serialize(Small)], bytes =>
    {
        try
        {
            MachineConfig config = MachineConfig.Read(new ReadOnlySequence<byte>(bytes));
            // The host's memory is the caller's business (a sentence of MachineBuilder); here it would only take time.
            if (config.MemoryBytes > 64 << 20) return false;
            MachineBuilder.Build(config, new IBlockStore?[4], new OutputList()).Dispose();
            return true;
        }
        catch (Exception e) when (e is StateFormatException or HostException)
        {
            return false;
        }
    })
    { AllocatedMax = 64 << 20 };

    public static readonly FuzzTarget Snapshots = new("snapshots", () => [Saved()], bytes =>
    {
        try
        {
            ReadOnlySequence<byte> snapshot = new(bytes);
            MachineConfig config = Snapshot.ReadConfig(snapshot);
            Assert.Null(config.Problem);
            Restored.Value.Restore(snapshot);
            return true;
        }
        catch (StateFormatException)
        {
            return false;
        }
    })
    { LengthMax = 8 << 20, AllocatedMax = 64 << 20 };

    /// <summary>The inputs of a log, forged, reach the devices.</summary>
    public static readonly FuzzTarget Replays = new("replays", () => [FuzzStreams.Encode(Log())], bytes =>
    {
        var frames = new FrameReader { PayloadBytesMax = Frame.PayloadBytesMax };
        var recording = new ArrayBufferWriter<byte>();
        var writer = new RecordingWriter(recording, Replication.FrameCodecTests.Machine, new byte[1], default, new ChunkedBuffer());
        Position end = default;
        try
        {
            frames.Push(FuzzStreams.WithChecksums(bytes));
            while (frames.TryRead() is { } message)
            {
                // A log may well say that a halted guest waits for a century; replaying that takes its time.
                if (message is not InputRecord record || record.Position.Count > RecordedTo || record.Position.VirtualTimeNs > LongestNs) continue;
                if (record.Input is { Kind: InputKind.RateChange, Value0: > SlowestRate }) continue;
                end = record.Position;
                writer.Append(new InputRecord(record.Position, record.Input));
            }
        }
        catch (ProtocolException)
        {
            // What came before is replayed.
        }
        writer.End(end);
        var disk = new OverlayDisk(MemoryDisk.WithPattern(Sectors));
        using Machine machine = NewMachine(disk);
        RecordingReader reader = new(new MemoryStream(recording.WrittenSpan.ToArray()), 1 << 20);
        ReplayResult result = new Replay(machine, reader, [disk, null, null, null]) { Slice = 5_000 }.Run();
        return result.End == ReplayEnd.Complete;
    })
    { AllocatedMax = 64 << 20 };

    public static MachineConfig Small => ChaosGuest.Config(Sectors) with { OptionRoms = [new OptionRom(0xd_0000, new byte[2048])], ExitPort = 0xf4 };

    private static Machine NewMachine(OverlayDisk disk) => new(ChaosGuest.Config(Sectors), [disk, null, null, null], new OutputList());

    private static byte[] Saved()
    {
        using Machine machine = NewMachine(new OverlayDisk(MemoryDisk.WithPattern(Sectors)));
        machine.RunUntil(new Position(20_000, 0));
        ArrayBufferWriter<byte> snapshot = new();
        machine.Save(snapshot);
        return snapshot.WrittenSpan.ToArray();
    }

    // At counts alone: the machine is not halted there.
    private static Message[] Log()
    {
        InputEvent[] inputs =
        [
            InputEvent.SerialBytes(0, new byte[] { 1, 2, 3 }),
            InputEvent.NetFrame(0, new byte[60]),
            InputEvent.Key(new byte[] { 0xe0, 0x1c }),
            InputEvent.Mouse(3, -4, 1, 2),
            InputEvent.RateChange(20ul << 32),
            InputEvent.DiskResult(0, 1, BlockResult.IoError, default),
            InputEvent.LinkChange(0, false),
            InputEvent.PowerButton(),
            InputEvent.Reset(),
        ];
        return [.. inputs.Select((input, n) => new InputRecord(new Position((ulong)(n + 1) * 1000, 0), input) { Lsn = (ulong)n + 1 })];
    }
}
