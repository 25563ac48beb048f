// --bisect on recordings: engines that agree, an engine with a fault at one instruction or in one piece, files that cannot be used.
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;
using Emu86.Ft.Run.Recording;
using Emu86.Tests.Determinism;

namespace Emu86.Tests.Ft.Bisect;

public sealed unsafe class BisectTests : IDisposable
{
    private const int Sectors = 256;
    private const uint Untouched = 0x70_0123;

    private static readonly Lazy<byte[]> Recording = new(() =>
        RecordingTests.Record(new MemoryStream(), new RecorderSettings(HashEveryNs: 100_000, SnapshotEveryNs: 1_000_000, SnapshotEveryCount: 50_000, SnapshotBytesPerSecond: 1UL << 40)).Bytes);

    private readonly string _folder = Directory.CreateTempSubdirectory("emu86-bisect").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Engines_that_agree_are_said_to_agree_and_end_with_0()
    {
        RunOptions options = Options(Recording.Value);
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(120), "--bisect", options.BisectFile!, "--hda", options.Disks[0]!.Path, "--state-dir", _folder);
        Assert.Matches(@"emu86: both engines agree at every state hash up to count 300000 \(\d\d+\)", run.Errors);
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Output));
    }

    [Theory]
    [InlineData(1ul)]
    [InlineData(123_456ul)]
    [InlineData(299_999ul)]
    public void The_first_instruction_that_an_engine_executes_otherwise_is_found(ulong count)
    {
        BisectRun run = BisectRun.Of(Options(Recording.Value) with { Slice = 1 }, BisectRun.Faulty(count - 1, count, machine =>
        {
            if (machine.Position.Count != count) return;
            machine.Board.Processor.Context->S.Dr[1] ^= 0x40;
            machine.Board.Memory.Write(Untouched, [0x81]);
        }));
        Assert.Equal(ExitCode.Diverged, run.ExitCode);
        Assert.Contains($"the first instruction that differs is the one executed from count {count - 1} to {count}", run.Lines);
        Assert.Matches($@"(?m)^{count - 1}: ([0-9a-f]{{4}}:[0-9a-f]{{8}}  [0-9a-f]+ +\w+|an interrupt comes here)", run.Text);
        Assert.Contains("cpu: DR1 is 00000000h with the interpreter, 00000040h with the faulty engine", run.Lines);
        Assert.Contains("memory page 700000h: at 700123h 00 with the interpreter, 81 with the faulty engine", run.Lines);
    }

    [Fact]
    public void A_piece_of_code_that_goes_wrong_only_as_a_whole_is_found_from_its_first_instruction_to_its_last()
    {
        (ulong from, ulong to) = QuietStretch();
        ulong begin = from + 200;
        Assert.True(begin + 37 < to);
        BisectRun run = BisectRun.Of(Options(Recording.Value), BisectRun.Faulty(begin, begin + 37, machine => machine.Board.Processor.Context->S.R[Gpr.Ebx] ^= 0x100));
        Assert.Equal(ExitCode.Diverged, run.ExitCode);
        Assert.Contains($"the first difference is at count {begin + 37}, and only when the 37 instructions from count {begin} on are executed without a stop", run.Lines);
        for (ulong count = begin; count < begin + 37; count++) Assert.Contains(run.Lines, l => l.StartsWith($"{count}: ", StringComparison.Ordinal));
        Assert.Matches("(?m)^cpu: EBX is [0-9a-f]{8}h with the interpreter, [0-9a-f]{8}h with the faulty engine$", run.Text);
    }

    [Fact]
    public void Engines_that_agree_with_each_other_but_not_with_the_recording_end_with_4()
    {
        RunOptions options = Options(Changed(Recording.Value));
        BisectRun run = BisectRun.Of(options);
        Assert.Equal(ExitCode.Diverged, run.ExitCode);
        Assert.Contains("and in another state at count", run.Text);
        Assert.Contains("but this is not the recorded state: diverged at count", run.Text);
    }

    [Fact]
    public void Files_that_cannot_be_used_are_refused_with_a_sentence()
    {
        AssertRefused("does not exist", Options(Recording.Value) with { BisectFile = Path.Combine(_folder, "nothing") });
        AssertRefused("is a directory", Options(Recording.Value) with { BisectFile = _folder });
        AssertRefused("--bisect", Options("hello, this is text"u8.ToArray()));
        AssertRefused("what is whole ends at count", Options(Recording.Value[..^50]));
        AssertRefused("needs the image of disk hda", Options(Recording.Value) with { Disks = [null, null, null, null] });
    }

    [Theory]
    [InlineData("--engine", "interpreter")]
    [InlineData("--stop-at", "5")]
    [InlineData("--replay", "f")]
    [InlineData("--kernel", "f")]
    public void Options_that_do_not_go_with_it_are_refused(string option, string value)
    {
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), "--bisect", Options(Recording.Value).BisectFile!, option, value);
        Assert.Equal(ExitCode.Usage, run.ExitCode);
        Assert.Contains(option, run.Errors);
        Assert.DoesNotContain("   at ", run.Errors);
    }

    /// <summary>Between two records: no run is stopped there on its way.</summary>
    private static (ulong From, ulong To) QuietStretch()
    {
        var reader = new RecordingReader(new MemoryStream(Recording.Value), 1 << 30);
        ulong last = 0;
        while (reader.Read() is { } message)
        {
            ulong at = message is InputRecord input ? input.Position.Count : message is StateHashRecord hash ? hash.Position.Count : last;
            if (last > 60_000 && at > last + 300) return (last, at);
            last = at;
        }
        throw new InvalidOperationException("the recording has no stretch without records");
    }

    /// <summary>The recording with one state hash that is another.</summary>
    private static byte[] Changed(byte[] recording)
    {
        int hashes = 0;
        return RecordingTests.Rewrite(recording, m => m is StateHashRecord r && ++hashes == 5 ? new StateHashRecord(r.Position, r.Hash ^ 1, r.Units) : m);
    }

    private static void AssertRefused(string words, RunOptions options)
    {
        var e = Assert.Throws<HostException>(() => BisectRun.Of(options));
        Assert.Contains(words, e.Message);
        Assert.Equal(ExitCode.Failure, e.ExitCode);
    }

    private RunOptions Options(byte[] recording)
    {
        string file = Path.Combine(_folder, "run.rec"), image = Path.Combine(_folder, "hda.img");
        File.WriteAllBytes(file, recording);
        File.WriteAllBytes(image, MemoryDisk.WithPattern(Sectors).Bytes);
        return new RunOptions { BisectFile = file, Disks = [new DiskOption(image, ReadOnly: false), null, null, null] };
    }
}
