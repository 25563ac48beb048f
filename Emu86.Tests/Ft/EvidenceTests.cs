// Evidence of a divergence: written by a backup whose run was damaged, and replayed.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;
using Emu86.Ft.Run;
using Emu86.Ft.Run.Pair;
using Emu86.Ft.Run.Recording;
using Emu86.Tests.Determinism;

namespace Emu86.Tests.Ft;

public sealed class EvidenceTests : IDisposable
{
    private const uint Untouched = 0x70_0123;

    private readonly string _folder = Directory.CreateTempSubdirectory("emu86-evidence").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_backup_whose_memory_was_written_to_is_convicted_by_the_replay()
    {
        string file = Diverge(16 << 20, backup => backup.Machine.Board.Memory.Write(Untouched, [1]));
        RecordingEvidenceMessage told = Read(file);
        Assert.Equal(("backup", "first differing unit memory", ""), (told.Side, told.What, told.Problem));
        Assert.Equal((100_000ul, 150_000ul), (told.LastEqual.Count, told.Differs.Count));
        Emu86Process replay = Emu86Process.Run(TimeSpan.FromSeconds(120), "--replay", file, "--serial", "null", "--state-dir", _folder);
        Assert.Contains("this replay agrees with the primary: the backup's own run was damaged; memory pages in which the backup differed from this replay: 700000h", replay.Errors);
        Assert.Equal(ExitCode.Ok, replay.ExitCode);
    }

    [Fact]
    public void A_bit_that_flipped_without_a_write_is_named()
    {
        string file = Diverge(16 << 20, backup => backup.Machine.Board.Memory.RamPage(Untouched >> 12)[5] ^= 4, hashesAlikeAfter: true);
        Assert.Contains("memory of this host changed without being written, at 700000h: bit 2 of the byte at 700005h flipped", Read(file).What);
        Assert.Equal(ExitCode.Ok, Replay(file));
    }

    [Fact]
    public void A_page_with_more_damage_than_a_bit_is_named_and_the_evidence_cannot_be_replayed()
    {
        string file = Diverge(16 << 20, backup => backup.Machine.Board.Memory.RamPage(Untouched >> 12)[5] ^= 6, hashesAlikeAfter: true);
        Assert.Contains("memory of this host changed without being written, at 700000h;", Read(file).What);
        var e = Assert.Throws<HostException>(() => Replay(file));
        Assert.Equal(ExitCode.Failure, e.ExitCode);
        Assert.Contains("cannot be replayed: the state at the last equal position", e.Message);
    }

    [Fact]
    public void A_disk_that_was_another_gives_the_same_difference_again()
    {
        string file = Diverge(16 << 20, backup => backup.Image.Bytes.AsSpan().Fill(0x5a));
        Assert.Contains("memory", Read(file).What);
        Assert.Equal(ExitCode.Diverged, Replay(file));
    }

    [Fact]
    public void A_damaged_device_is_named()
    {
        string file = Diverge(16 << 20, backup => backup.Machine.Inject(InputEvent.PowerButton()));
        Assert.Contains("pm", Read(file).What);
        Assert.Equal(ExitCode.Ok, Replay(file));
    }

    [Fact]
    public void When_the_bound_was_passed_the_evidence_says_that_it_cannot_be_replayed()
    {
        string file = Diverge(200 << 10, backup => backup.Machine.Board.Memory.Write(Untouched, [1]));
        RecordingEvidenceMessage told = Read(file);
        Assert.Equal("first differing unit memory", told.What);
        var e = Assert.Throws<HostException>(() => Replay(file));
        Assert.Equal(ExitCode.Failure, e.ExitCode);
        Assert.Contains("this evidence cannot be replayed: more than 204800 bytes (--evidence-memory)", e.Message);
    }

    [Fact]
    public void A_position_that_the_backup_does_not_come_to_is_evidence_too()
    {
        using var primary = new EvidenceSide();
        using var backup = new EvidenceSide();
        using var evidence = new BackupEvidence(_folder, "g", 16 << 20);
        primary.RunTo(50_000);
        backup.Attach(evidence);
        backup.RunTo(50_000);
        evidence.Attach(backup.Machine, [backup.History, null, null, null], 0, backup.Machine.StateHash());
        backup.RunTo(60_000);
        Position missed = new(60_000, 5);
        string file = evidence.Write(1, 1, backup.Machine.StateHash(), missed);
        Assert.Contains("the log goes on at", Read(file).What);
        Assert.Equal(ExitCode.Diverged, Replay(file));
    }

    private string Diverge(long bytesMax, Action<EvidenceSide> tamper, bool hashesAlikeAfter = false) => DivergedPair.Run(_folder, bytesMax, tamper, hashesAlikeAfter);

    private static RecordingEvidenceMessage Read(string file)
    {
        using FileStream stream = File.OpenRead(file);
        return (RecordingEvidenceMessage)new RecordingReader(stream, 1 << 30).Read()!;
    }

    private int Replay(string file) => new Replayer(new RunOptions { Role = Role.Replay, ReplayFile = file, Serial = "null", StateDir = _folder }).Run();
}
