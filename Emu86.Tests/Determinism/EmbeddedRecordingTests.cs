// The embedded guest in wall-clock mode, with typing: what a user records, replayed.
using System.Text;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Replication;
using Emu86.Ft.Run;
using Emu86.Ft.Run.Recording;

namespace Emu86.Tests.Determinism;

public sealed class EmbeddedRecordingTests
{
    private static readonly IBlockStore?[] NoDisks = [null, null, null, null];

    [Theory]
    [InlineData(1_000_000)]
    [InlineData(3_333)]
    public void A_live_run_with_typing_and_power_off_replays_with_all_hashes_and_the_same_serial_output(ulong slice)
    {
        MachineConfig config = MachineBuilder.Configure(new RunOptions { Net = NetKind.None }, NoDisks);
        var stream = new MemoryStream();
        (Position end, UInt128 hash, string output) = Record(config, stream);
        Assert.Contains("emu86-guest: ready", output);
        Assert.Contains("emu86-guest: off", output);

        var outputs = new SerialText();
        using Machine machine = MachineBuilder.Build(config, NoDisks, outputs);
        var replay = new Replay(machine, new RecordingReader(new MemoryStream(stream.ToArray()), 1 << 30), []) { Slice = slice };
        replay.Begin();
        ReplayResult result = replay.Run();
        Assert.Equal((ReplayEnd.Complete, ""), (result.End, result.Detail));
        Assert.True(result.HashesMatched > 3);
        Assert.Equal((end, hash, output), (machine.Position, machine.StateHash(), outputs.Text.ToString()));
    }

    private static (Position End, UInt128 Hash, string Output) Record(MachineConfig config, Stream stream)
    {
        var outputs = new SerialText();
        using Machine machine = MachineBuilder.Build(config, NoDisks, outputs);
        using var file = new RecordingFile(stream, "test");
        var queue = new InputQueue();
        var identity = new MachineIdentity("default", Guid.NewGuid(), config.Hash(), "", []);
        int typed = 0;
        var recorder = new Recorder(machine, [], identity, file, new RecorderSettings(HashEveryNs: 2_000_000))
        {
            AtBoundary = () =>
            {
                if (typed == 0 && outputs.Text.ToString().Contains("ready", StringComparison.Ordinal)) Type(queue, ref typed, "state\r");
                if (typed == 1 && outputs.Text.ToString().Contains("state", StringComparison.Ordinal)) Type(queue, ref typed, "off\r");
            },
        };
        var loop = new LiveLoop(machine, queue, new LiveSettings(100_000, ulong.MaxValue, FixedClock: false, Paced: true), recorder);
        using var timeout = new Timer(_ => loop.Stop(), null, TimeSpan.FromSeconds(60), Timeout.InfiniteTimeSpan);
        Assert.Equal(LiveEnd.PoweredOff, loop.Run());
        recorder.End();
        return (machine.Position, machine.StateHash(), outputs.Text.ToString());
    }

    private static void Type(InputQueue queue, ref int typed, string text)
    {
        typed++;
        queue.Put(InputEvent.SerialBytes(0, Encoding.ASCII.GetBytes(text)));
    }

    private sealed class SerialText : IOutputSink
    {
        public StringBuilder Text { get; } = new();

        public void Emit(Output output)
        {
            if (output.Kind == OutputKind.SerialByte) Text.Append((char)output.Value);
        }
    }
}
