// The role --replay on files that are not what they should be: sentences and exit codes.
using System.Buffers.Binary;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;
using Emu86.Ft.Run.Recording;

namespace Emu86.Tests.Determinism;

public sealed class ReplayRoleTests : IDisposable
{
    private static readonly Lazy<byte[]> Recording = new(() =>
        RecordingTests.Record(new MemoryStream(), new RecorderSettings(HashEveryNs: 500_000, SnapshotEveryNs: 1_000_000, SnapshotEveryCount: 50_000, SnapshotBytesPerSecond: 1UL << 40)).Bytes);

    private readonly string _folder = Directory.CreateTempSubdirectory("emu86-replay").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_whole_recording_with_its_image_ends_with_0_and_leaves_the_image_alone()
    {
        RunOptions options = Options(Recording.Value);
        byte[] image = File.ReadAllBytes(options.Disks[0]!.Path);
        Assert.Equal(ExitCode.Ok, new Replayer(options).Run());
        Assert.Equal(ExitCode.Ok, new Replayer(options with { Slice = 777, Until = 100_000 }).Run());
        Assert.Equal(ExitCode.Ok, new Replayer(options with { From = 250_000 }).Run());
        Assert.Equal(image, File.ReadAllBytes(options.Disks[0]!.Path));
    }

    [Fact]
    public void A_file_that_does_not_exist() => AssertRefused("does not exist", Options(Recording.Value) with { ReplayFile = Path.Combine(_folder, "nothing") });

    [Fact]
    public void A_directory() => AssertRefused("is a directory", Options(Recording.Value) with { ReplayFile = _folder });

    [Fact]
    public void A_file_that_is_no_recording() => AssertRefused("not an Emu86 log", Options("hello, this is text"u8.ToArray()));

    [Fact]
    public void An_empty_file() => AssertRefused("cut off", Options([]));

    [Fact]
    public void A_recording_of_another_version()
    {
        byte[] other = (byte[])Recording.Value.Clone();
        BinaryPrimitives.WriteUInt32LittleEndian(other.AsSpan(8), Frame.ProtocolVersion + 1);
        AssertRefused($"version {Frame.ProtocolVersion + 1}", Options(other));
    }

    [Fact]
    public void A_recording_that_was_cut_off()
    {
        AssertRefused("cut off", Options(Recording.Value[..100]));
        AssertRefused("replayed what is whole", Options(Recording.Value[..^50]));
    }

    [Fact]
    public void A_recording_with_a_flipped_bit()
    {
        byte[] damaged = (byte[])Recording.Value.Clone();
        damaged[^200] ^= 4;
        AssertRefused("replayed what is whole", Options(damaged));
    }

    [Fact]
    public void A_missing_image() => AssertRefused("needs the image of disk hda", Options(Recording.Value) with { Disks = [null, null, null, null] });

    [Fact]
    public void Another_image()
    {
        RunOptions options = Options(Recording.Value);
        byte[] image = File.ReadAllBytes(options.Disks[0]!.Path);
        image[777] ^= 1;
        File.WriteAllBytes(options.Disks[0]!.Path, image);
        AssertRefused("its content differs", options);
    }

    [Fact]
    public void An_image_too_many()
    {
        RunOptions options = Options(Recording.Value);
        AssertRefused("has no disk hdb", options with { Disks = [options.Disks[0], options.Disks[0], null, null] });
    }

    [Fact]
    public void Counts_outside_the_recording()
    {
        AssertRefused("before --from", Options(Recording.Value) with { From = 10_000_000 });
        AssertRefused("before the asked count", Options(Recording.Value) with { Until = 10_000_000 });
        AssertRefused("after --until", Options(Recording.Value) with { From = 250_000, Until = 5 });
    }

    [Fact]
    public void Options_of_the_machine_are_refused() =>
        Assert.Contains("leave out --kernel", Assert.Throws<UsageException>(() => new Replayer(Options(Recording.Value) with { Kernel = "x" }).Run()).Message);

    private static void AssertRefused(string words, RunOptions options)
    {
        var e = Assert.Throws<HostException>(() => new Replayer(options).Run());
        Assert.Contains(words, e.Message);
        Assert.Equal(ExitCode.Failure, e.ExitCode);
    }

    private RunOptions Options(byte[] recording)
    {
        string file = Path.Combine(_folder, "run.rec"), image = Path.Combine(_folder, "hda.img");
        File.WriteAllBytes(file, recording);
        File.WriteAllBytes(image, MemoryDisk.WithPattern(256).Bytes);
        return new RunOptions { Role = Role.Replay, ReplayFile = file, Serial = "null", Disks = [new DiskOption(image, ReadOnly: false), null, null, null] };
    }
}
