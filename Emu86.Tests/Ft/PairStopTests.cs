// Pairs that are stopped, saved and restored: both sides end at the same count in the same state.
namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class PairStopTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-stop").FullName;
    private readonly int _port = PairProcess.FreePort(), _status = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new([.. arguments, "--state-dir", _state, "--net", "none", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200", "--print-hash"]);
        _processes.Add(process);
        return process;
    }

    /// <summary>A protected primary and its backup, which was there first.</summary>
    private (PairProcess Primary, PairProcess Backup) Pair(params string[] primary)
    {
        PairProcess backup = Start("--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}");
        backup.WaitFor("role backup");
        PairProcess live = Start(["--primary", "--backups", $"127.0.0.1:{_port}", "--status", $"127.0.0.1:{_status}", "--memory", "16M", .. primary]);
        live.WaitFor("protected by", 40);
        return (live, backup);
    }

    private static string HashLine(PairProcess process) => process.WaitFor("state-hash ");

    // The idle guest executes some 67,000 instructions a second: there is time to become protected.
    [Fact]
    public void A_pair_that_is_stopped_at_a_count_prints_the_same_hash_on_both_sides()
    {
        (PairProcess primary, PairProcess backup) = Pair("--stop-at", "1500000", "--save-snapshot", Path.Combine(_state, "saved"));
        Assert.Equal(0, primary.WaitForExit(60));
        Assert.Equal(0, backup.WaitForExit());
        Assert.StartsWith("state-hash 1500000 ", HashLine(primary));
        Assert.Equal(HashLine(primary), HashLine(backup));
        Assert.Contains("the guest stands at count 1500000, as asked", primary.Text);
        Assert.DoesNotContain("went live", backup.Text);
        Emu86Process restored = Emu86Process.Run(TimeSpan.FromSeconds(60), "--restore", Path.Combine(_state, "saved"), "--net", "none", "--serial", "null", "--stop-at", "1500000", "--print-hash");
        Assert.Equal(HashLine(primary), $"state-hash {restored.StateHash().Count} {restored.StateHash().Hash}");
    }

    [Fact]
    public void A_primary_that_began_with_a_snapshot_is_protected_and_replaced()
    {
        string saved = Path.Combine(_state, "saved");
        Assert.Equal(0, Emu86Process.Run(TimeSpan.FromSeconds(60), "--memory", "16M", "--net", "none", "--serial", "null", "--rtc-base", "2026-01-01", "--stop-at", "600000", "--save-snapshot", saved).ExitCode);
        (PairProcess primary, PairProcess backup) = Pair("--restore", saved, "--save-snapshot", Path.Combine(_state, "later@700000"));
        primary.WaitForStatus(_status, s => s.GetProperty("instructionCount").GetUInt64() > 700_000 && s.GetProperty("hashesChecked").GetUInt64() > 0, 40);
        Assert.True(File.Exists(Path.Combine(_state, "later")));
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live epoch 2");
        // The guest was past its greeting when the snapshot was made.
        Assert.DoesNotContain("emu86-guest: start", backup.Text);
        backup.Type("q");
        Assert.Equal(0, backup.WaitForExit());
        HashLine(backup);
    }

    [Fact]
    public void A_reset_ends_a_pair_that_was_asked_not_to_reboot()
    {
        (PairProcess primary, PairProcess backup) = Pair("--no-reboot");
        PairProcess.Post(_status, "/control/reset");
        Assert.Equal(0, primary.WaitForExit());
        Assert.Equal(0, backup.WaitForExit());
        Assert.DoesNotContain("went live", backup.Text);
    }

    [Fact]
    public void Both_sides_end_with_the_code_that_the_guest_writes_to_the_exit_port()
    {
        string disk = Path.Combine(_state, "exit.img");
        // STI; HLT until COM1 has a byte (3FDh bit 0); OUT F4h,21h; HLT for ever.
        byte[] image = new byte[1 << 20];
        byte[] code = [0xfb, 0xf4, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, 0xb0, 0x21, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd];
        code.CopyTo(image, 0);
        (image[510], image[511]) = (0x55, 0xaa);
        File.WriteAllBytes(disk, image);
        PairProcess backup = Start("--backup", "--listen", $"127.0.0.1:{_port}", "--hda", Path.Combine(_state, "copy.img"));
        backup.WaitFor("role backup");
        PairProcess primary = Start("--primary", "--backups", $"127.0.0.1:{_port}", "--memory", "16M", "--hda", disk, "--exit-port", "0xf4");
        primary.WaitFor("protected by", 40);
        primary.Type("x");
        Assert.Equal(0x43, primary.WaitForExit(30));
        Assert.Equal(0x43, backup.WaitForExit());
        Assert.Equal(HashLine(primary), HashLine(backup));
    }

    [Theory]
    [InlineData("--restore")]
    [InlineData("--save-snapshot")]
    public void A_backup_refuses_what_its_primary_decides(string option)
    {
        PairProcess backup = Start("--backup", "--listen", "127.0.0.1:0", option, "file");
        Assert.Equal(2, backup.WaitForExit());
        Assert.Contains($"{option} cannot be used with --backup", backup.Text);
    }
}
