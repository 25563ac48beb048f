// Pairs of processes of which one side's disk or memory fails: the other side has a good copy, and the guest notices nothing.
using System.Net;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class HostFailureTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-failure").FullName;
    private readonly int _port = PairProcess.FreePort();
    private readonly int _status = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private string Image => Path.Combine(_state, "a.img");

    private string Copy => Path.Combine(_state, "b.img");

    private string[] Common => ["--state-dir", _state, "--net", "none", "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200", "--scrub", "2"];

    [Fact]
    public void A_backup_whose_image_cannot_be_read_leaves_and_the_guest_goes_on()
    {
        (PairProcess primary, PairProcess backup) = Pair();
        Truncate(Copy);
        Reset();
        Assert.Equal(1, backup.WaitForExit(30));
        Assert.Contains("this backup's disk failed: reading", backup.Text);
        primary.WaitFor("backup lost, unprotected");
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.DoesNotContain("sees an error", primary.Text);
        Backup();
        primary.WaitFor("protected by", seconds: 40, nth: 2);
    }

    [Fact]
    public void A_protected_primary_whose_image_cannot_be_read_hands_over_and_the_guest_never_sees_the_error()
    {
        (PairProcess primary, PairProcess backup) = Pair();
        Truncate(Image);
        Reset();
        Assert.Equal(1, primary.WaitForExit(30));
        Assert.Contains("handed over to the backup: reading", primary.Text);
        backup.WaitFor("went live epoch 2");
        backup.WaitFor("emu86-guest: ready");
        Assert.DoesNotContain("sees an error", primary.Text + backup.Text);
        backup.Type("state");
        backup.WaitFor("counter 0");
    }

    [Fact]
    public void Without_a_partner_the_guest_sees_the_drives_error()
    {
        PairProcess primary = Primary();
        primary.WaitFor("emu86-guest: ready");
        Truncate(Image);
        Reset();
        primary.WaitFor("the guest sees an error of its disk hda");
        primary.WaitFor("emu86-guest: start", nth: 2);
        Assert.False(primary.HasExited);
    }

    [SkippableFact]
    public void A_bit_that_flips_in_a_backups_memory_is_found_and_the_backup_leaves()
    {
        (PairProcess primary, PairProcess backup) = Pair();
        Skip.IfNot(GuestMemory.FlipBit(backup.Id), "the memory of a child process can be written (ptrace)");
        Assert.Equal(1, backup.WaitForExit(30));
        string line = backup.WaitFor("memory of this backup's host changed without being written, at ");
        string evidence = line[(line.IndexOf("evidence in ", StringComparison.Ordinal) + 12)..];
        primary.WaitFor("backup lost, unprotected");
        Emu86Process replay = Emu86Process.Run(TimeSpan.FromSeconds(60), "--replay", evidence);
        Assert.Contains("changed without being written", replay.Errors);
        Assert.Contains("flipped", replay.Errors);
        Assert.Equal(0, replay.ExitCode);
    }

    [SkippableFact]
    public void A_bit_that_flips_in_a_protected_primarys_memory_makes_it_hand_over()
    {
        (PairProcess primary, PairProcess backup) = Pair();
        Skip.IfNot(GuestMemory.FlipBit(primary.Id), "the memory of a child process can be written (ptrace)");
        Assert.Equal(1, primary.WaitForExit(30));
        Assert.Contains("handed over to the backup: memory of this host changed without being written, at ", primary.Text);
        backup.WaitFor("went live epoch 2");
        backup.Type("state");
        backup.WaitFor("counter 0");
    }

    private static void Truncate(string image)
    {
        using FileStream file = new(image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(0);
    }

    private void Reset() => Assert.Equal(HttpStatusCode.OK, PairProcess.Post(_status, "/control/reset").Code);

    private (PairProcess Primary, PairProcess Backup) Pair()
    {
        PairProcess primary = Primary();
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup();
        primary.WaitFor("protected by", seconds: 40);
        return (primary, backup);
    }

    private PairProcess Primary()
    {
        File.WriteAllBytes(Image, new byte[65536]);
        return Start(["--primary", "--backups", $"127.0.0.1:{_port}", .. Common, "--hda", Image, "--kernel", PairTests.EmbeddedGuest, "--status", $"127.0.0.1:{_status}"]);
    }

    private PairProcess Backup() => Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", .. Common, "--hda", Copy]);

    private PairProcess Start(string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }
}
