// What becomes of the guest when its disk on the host fails: --on-disk-error report and stop.
using System.Net;
using Emu86.Tests.Ft.Nbd;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class DiskErrorActionTests : IDisposable
{
    private const string Waits = "the guest stands still until its disk hda works again", GoesOn = "the disk hda works again, the guest goes on after";
    private const int ImageBytes = 65536;

    private readonly string _state = Directory.CreateTempSubdirectory("emu86-disk").FullName;
    private readonly int _port = PairProcess.FreePort();
    private readonly int _status = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];
    private SmallMount? _small;

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        _small?.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private string Image => Path.Combine(_state, "a.img");

    private string Copy => Path.Combine(_state, "b.img");

    [Fact]
    public void A_guest_whose_NBD_server_goes_away_stands_still_until_it_is_back_and_notices_nothing()
    {
        using var server = new NbdServer(ImageBytes);
        PairProcess guest = Alone("--hda", server.Address, "--on-disk-error", "stop");
        guest.WaitFor("emu86-guest: disk holds the counter");
        guest.WaitFor("emu86-guest: ready");
        server.Stop();
        // It reads its disk when it starts.
        Reset();
        Assert.Contains($"emu86: {server.Address}: nothing listens there (is the NBD server running?); {Waits}", guest.WaitFor(Waits));
        Assert.Contains(Waits, PairProcess.Status(_status).GetProperty("diskProblem").GetString());
        Assert.Contains("emu86_disk_waits 1\n", PairProcess.Get(_status, "/metrics"));
        (HttpStatusCode code, string text) = PairProcess.Post(_status, "/control/pause");
        Assert.Equal(HttpStatusCode.Conflict, code);
        Assert.Contains(Waits, text);
        ulong count = PairProcess.Status(_status).GetProperty("instructionCount").GetUInt64();
        Thread.Sleep(1000);
        Assert.Equal(count, PairProcess.Status(_status).GetProperty("instructionCount").GetUInt64());
        server.Start();
        guest.WaitFor(GoesOn);
        guest.WaitFor("emu86-guest: disk holds the counter", nth: 2);
        guest.WaitFor("emu86-guest: ready", nth: 2);
        Assert.Equal("", PairProcess.Status(_status).GetProperty("diskProblem").GetString());
        Assert.DoesNotContain("sees an error", guest.Text);
        guest.Type("q");
        Assert.Equal(0, guest.WaitForExit());
    }

    [Fact]
    public void A_guest_that_is_to_hear_of_it_sees_an_error_of_its_drive()
    {
        using var server = new NbdServer(ImageBytes) { Error = 5 };
        PairProcess guest = Alone("--hda", server.Address, "--on-disk-error", "report");
        guest.WaitFor("emu86-guest: ready");
        server.Fault = _ => NbdFault.Refuse;
        Reset();
        guest.WaitFor("could not read: its disk failed (EIO); the guest sees an error of its disk hda");
        guest.WaitFor("emu86-guest: ready", nth: 2);
        guest.Type("state");
        guest.WaitFor("disk unreadable");
    }

    [Fact]
    public void A_flush_that_fails_at_the_end_is_said_and_is_no_success()
    {
        using var server = new NbdServer(ImageBytes);
        server.Fault = r => r.Command == NbdServer.Flush ? NbdFault.Refuse : NbdFault.None;
        PairProcess guest = Alone("--hda", server.Address);
        guest.WaitFor("emu86-guest: ready");
        guest.Signal(PairProcess.SigTerm);
        Assert.Equal(1, guest.WaitForExit());
        Assert.Contains("what the guest has written to its disk hda last may be lost", guest.Text);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_run_that_is_ended_while_the_guest_waits_ends_with_1_and_without_a_snapshot(bool byControl)
    {
        string snapshot = Path.Combine(_state, "snapshot");
        PairProcess guest = Alone("--hda", NewImage(), "--on-disk-error", "stop", "--save-snapshot", snapshot);
        guest.WaitFor("emu86-guest: ready");
        SetLength(Image, 0);
        Reset();
        guest.WaitFor(Waits);
        if (byControl) Assert.Equal(HttpStatusCode.OK, PairProcess.Post(_status, "/control/poweroff").Code);
        else guest.Signal(PairProcess.SigTerm);
        Assert.Equal(1, guest.WaitForExit());
        Assert.Contains("the run ends while the guest waits for its disk hda", guest.Text);
        Assert.False(File.Exists(snapshot));
    }

    [SkippableFact]
    public void A_guest_whose_host_has_no_room_left_waits_for_room()
    {
        _small = SmallMount.Make(Path.Combine(_state, "small"), "64k");
        string image = _small.NewSparse("disk.img", 1 << 20), filler = _small.Fill();
        int web = PairProcess.FreePort();
        PairProcess guest = Start(["--hda", image, "--on-disk-error", "stop", "--memory", "16M", "--kernel", PairTests.EmbeddedGuest, "--net", $"user,hostfwd=tcp:127.0.0.1:{web}-:80"]);
        guest.WaitFor("emu86-guest: ready 10.0.2.15");
        Assert.Equal("1", PairProcess.Get(web, "/count").Trim());
        // The counter goes to the disk.
        Assert.Contains("No space left on device", guest.WaitFor(Waits));
        File.Delete(filler);
        guest.WaitFor(GoesOn);
        Assert.Equal("2", PairProcess.Get(web, "/count").Trim());
        guest.Type("q");
        Assert.Equal(0, guest.WaitForExit());
        Assert.Equal("Emu86 counter 1"u8.ToArray(), File.ReadAllBytes(image)[512..527]);
    }

    [Fact]
    public void A_side_without_a_partner_waits_and_a_protected_one_hands_over_and_then_the_other_waits()
    {
        PairProcess primary = Start(["--primary", "--backups", $"127.0.0.1:{_port}", .. Pair, "--hda", NewImage(), "--kernel", PairTests.EmbeddedGuest, "--status", $"127.0.0.1:{_status}"]);
        primary.WaitFor("emu86-guest: ready");
        SetLength(Image, 0);
        Reset();
        primary.WaitFor(Waits);
        Assert.Contains(Waits, PairProcess.Status(_status).GetProperty("diskProblem").GetString());
        SetLength(Image, ImageBytes);
        primary.WaitFor(GoesOn);
        primary.WaitFor("emu86-guest: ready", nth: 2);

        int backupStatus = PairProcess.FreePort();
        PairProcess backup = Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", .. Pair, "--hda", Copy, "--status", $"127.0.0.1:{backupStatus}"]);
        primary.WaitFor("protected by", seconds: 40);
        SetLength(Image, 0);
        Reset();
        Assert.Equal(1, primary.WaitForExit(30));
        Assert.Contains("handed over to the backup: reading", primary.Text);
        backup.WaitFor("went live epoch 2");
        backup.WaitFor("emu86-guest: ready");

        SetLength(Copy, 0);
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(backupStatus, "/control/reset").Code);
        backup.WaitFor(Waits);
        SetLength(Copy, ImageBytes);
        backup.WaitFor(GoesOn);
        backup.WaitFor("emu86-guest: ready", nth: 2);
        Assert.DoesNotContain("sees an error", primary.Text + backup.Text);
    }

    [Fact]
    public void A_backup_does_not_wait_for_its_disk_but_leaves()
    {
        PairProcess primary = Start(["--primary", "--backups", $"127.0.0.1:{_port}", .. Pair, "--hda", NewImage(), "--kernel", PairTests.EmbeddedGuest, "--status", $"127.0.0.1:{_status}"]);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", .. Pair, "--hda", Copy]);
        primary.WaitFor("protected by", seconds: 40);
        SetLength(Copy, 0);
        Reset();
        Assert.Equal(1, backup.WaitForExit(30));
        Assert.Contains("this backup's disk failed: reading", backup.Text);
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.DoesNotContain(Waits, primary.Text + backup.Text);
    }

    [Fact]
    public void A_recording_holds_the_errors_of_a_disk_and_is_the_same_run_on_a_good_one()
    {
        using var server = new NbdServer(ImageBytes);
        string recording = Path.Combine(_state, "recording");
        // What the guest reads, not what is read to know the disk again.
        server.Fault = r => r is { Command: NbdServer.Read, Length: 512 } ? NbdFault.Refuse : NbdFault.None;
        Emu86Process recorded = Emu86Process.Run(TimeSpan.FromSeconds(60), "--record", recording, "--hda", server.Address, "--kernel", PairTests.EmbeddedGuest, "--memory", "16M",
            "--net", "none", "--serial", "null", "--rtc-base", "2026-01-01", "--stop-at", "20000000", "--print-hash");
        Assert.Equal(0, recorded.ExitCode);
        Assert.Contains("the guest sees an error of its disk hda", recorded.Errors);
        server.Fault = _ => NbdFault.None;
        Emu86Process replayed = Emu86Process.Run(TimeSpan.FromSeconds(60), "--replay", recording, "--hda", server.Address, "--serial", "null", "--print-hash");
        Assert.Equal(0, replayed.ExitCode);
        Assert.Equal(recorded.StateHash(), replayed.StateHash());
    }

    private string[] Pair => ["--state-dir", _state, "--net", "none", "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200", "--on-disk-error", "stop"];

    private PairProcess Alone(params string[] arguments) =>
        Start(["--kernel", PairTests.EmbeddedGuest, "--memory", "16M", "--net", "none", "--status", $"127.0.0.1:{_status}", .. arguments]);

    private PairProcess Start(string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }

    private void Reset() => Assert.Equal(HttpStatusCode.OK, PairProcess.Post(_status, "/control/reset").Code);

    private string NewImage()
    {
        File.WriteAllBytes(Image, new byte[ImageBytes]);
        return Image;
    }

    private static void SetLength(string image, long bytes)
    {
        using FileStream file = new(image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(bytes);
    }
}
