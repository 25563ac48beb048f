// Pairs over one disk image (--disks shared): the live side alone writes it, and only once the other one cannot any more.
using System.Buffers.Binary;
using System.Diagnostics;
using Emu86.Tests.Ft.Nbd;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class SharedDiskTests : IDisposable
{
    private const int CounterOffset = 512 + 16;

    private readonly string _state = Directory.CreateTempSubdirectory("emu86-shared").FullName;
    private readonly int _port = PairProcess.FreePort(), _web = PairProcess.FreePort(), _cable = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    private string Image => Path.Combine(_state, "shared.img");

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }

    private string[] Common => ["--state-dir", _state, "--net", $"stream,addr=127.0.0.1:{_cable}", "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200", "--disks", "shared"];

    private PairProcess Primary(params string[] more) => Start(["--primary", "--backups", $"127.0.0.1:{_port}", "--kernel", PairTests.EmbeddedGuest, .. Common, .. more]);

    private PairProcess Backup(params string[] more) => Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", .. Common, .. more]);

    private void Switch() => Start("--switch", $"127.0.0.1:{_cable}", "--hostfwd", $"tcp:127.0.0.1:{_web}-:80").WaitFor("switch on");

    private int Count() => int.Parse(PairProcess.Get(_web, "/count").Trim(), System.Globalization.CultureInfo.InvariantCulture);

    // The connection that was kept open knows nothing of the reset.
    private int CountAfterReset()
    {
        try
        {
            return Count();
        }
        catch (AggregateException)
        {
            return Count();
        }
    }

    // The guest writes its counter at most ten times a second, and flushes.
    private static void WaitForCounter(string image, int counter)
    {
        int found = 0;
        for (long began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began).TotalSeconds < 20; Thread.Sleep(50))
        {
            using FileStream file = new(image, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            byte[] word = new byte[4];
            file.Position = CounterOffset;
            file.ReadExactly(word);
            if ((found = BinaryPrimitives.ReadInt32BigEndian(word)) == counter) return;
        }
        Assert.Fail($"the image holds {found}, not {counter}");
    }

    [Fact]
    public void One_image_serves_both_sides_and_the_counter_on_it_goes_on_after_a_kill()
    {
        File.WriteAllBytes(Image, new byte[65536]);
        int status = PairProcess.FreePort();
        Switch();
        PairProcess primary = Primary("--hda", Image, "--status", $"127.0.0.1:{status}");
        primary.WaitFor("emu86-guest: ready");
        Assert.Equal(1, Count());
        PairProcess backup = Backup("--hda", Image);
        primary.WaitFor("protected by");
        for (int n = 2; n <= 20; n++) Assert.Equal(n, Count());
        WaitForCounter(Image, 20);
        // It reads its disk when it starts: both sides read the same, though one alone looks.
        Assert.Equal(System.Net.HttpStatusCode.OK, PairProcess.Post(status, "/control/reset").Code);
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.Equal(21, CountAfterReset());
        ulong hashes = PairProcess.Status(status).GetProperty("hashesChecked").GetUInt64();
        primary.WaitForStatus(status, s => s.GetProperty("hashesChecked").GetUInt64() >= hashes + 3);
        Assert.Equal(0, PairProcess.Status(status).GetProperty("diverged").GetInt32());
        for (int n = 22; n <= 30; n++) Assert.Equal(n, Count());
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        for (int n = 31; n <= 40; n++) Assert.Equal(n, Count());
        WaitForCounter(Image, 40);
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        WaitForCounter(Image, 40);
    }

    [Fact]
    public void A_side_that_went_live_writes_only_when_the_frozen_one_has_let_go_of_the_image()
    {
        File.WriteAllBytes(Image, new byte[65536]);
        Switch();
        PairProcess primary = Primary("--hda", Image);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup("--hda", Image);
        primary.WaitFor("protected by");
        for (int n = 1; n <= 5; n++) Assert.Equal(n, Count());
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("won epoch 2");
        backup.WaitFor($"waiting until the side that was live lets go of {Image}");
        byte[] before = File.ReadAllBytes(Image);
        Thread.Sleep(1500);
        Assert.DoesNotContain("went live", backup.Text);
        Assert.Equal(before, File.ReadAllBytes(Image));
        primary.Signal(PairProcess.SigCont);
        Assert.Equal(3, primary.WaitForExit());
        backup.WaitFor("went live");
        Assert.Equal(6, Count());
        WaitForCounter(Image, 6);
    }

    [Fact]
    public void A_fence_command_cuts_a_frozen_side_off()
    {
        File.WriteAllBytes(Image, new byte[65536]);
        Switch();
        string told = Path.Combine(_state, "told");
        PairProcess primary = Primary("--hda", Image);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup("--hda", Image, "--fence-command", $"echo $EMU86_GUEST $EMU86_EPOCH > {told}; kill -9 {primary.Id}");
        primary.WaitFor("protected by");
        Assert.Equal(1, Count());
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("went live");
        Assert.Equal("default 2", File.ReadAllText(told).Trim());
        Assert.Equal(2, Count());
        WaitForCounter(Image, 2);
    }

    [Fact]
    public void A_fence_that_is_not_confirmed_is_waited_for()
    {
        File.WriteAllBytes(Image, new byte[65536]);
        Switch();
        string open = Path.Combine(_state, "open");
        PairProcess primary = Primary("--hda", Image);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup("--hda", Image, "--fence-command", $"test -e {open} && kill -9 {primary.Id}");
        primary.WaitFor("protected by");
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("does not confirm that the side that was live is cut off: it ended with 1", nth: 2);
        Assert.DoesNotContain("went live", backup.Text);
        File.WriteAllText(open, "");
        backup.WaitFor("went live");
        Assert.Equal(1, Count());
    }

    [SkippableTheory]
    [InlineData("nbd-server")]
    [InlineData("qemu-nbd")]
    public void An_export_of_an_NBD_server_serves_both_sides_behind_a_fence(string program)
    {
        File.WriteAllBytes(Image, new byte[65536]);
        using var folder = new TemporaryFolder();
        int port = PairProcess.FreePort();
        using NbdTool server = NbdTool.Start(program, Image, folder, port);
        string export = $"nbd:127.0.0.1:{port}/disk";
        Switch();
        PairProcess primary = Primary("--hda", export, "--fence-command", "true");
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup("--hda", export, "--fence-command", $"kill -9 {primary.Id}");
        primary.WaitFor("protected by");
        for (int n = 1; n <= 10; n++) Assert.Equal(n, Count());
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("went live");
        for (int n = 11; n <= 20; n++) Assert.Equal(n, Count());
        WaitForCounter(Image, 20);
    }

    [Fact]
    public void Two_sides_that_mean_different_disks_are_told_so()
    {
        string other = Path.Combine(_state, "other.img"), small = Path.Combine(_state, "small.img");
        File.WriteAllBytes(Image, new byte[65536]);
        File.WriteAllBytes(other, new byte[65536]);
        File.WriteAllBytes(small, new byte[512]);
        Switch();
        PairProcess primary = Primary("--hda", Image);
        primary.WaitFor("role primary");
        PairProcess backup = Backup("--hda", small);
        backup.WaitFor("it is another one, or was changed behind the primary's back");
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        backup = Backup("--hda", other);
        backup.WaitFor("it is another one; give --hda the image that the primary uses");
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        backup = Backup("--hda", Image, "--disks", "replicated");
        Assert.Equal(2, backup.WaitForExit());
        Assert.DoesNotContain("protected by", primary.Text);
    }

    [Fact]
    public void An_export_without_a_fence_command_is_refused()
    {
        PairProcess primary = Primary("--hda", "nbd:127.0.0.1:1/disk");
        Assert.Equal(2, primary.WaitForExit());
        Assert.Contains("give --fence-command", primary.Text);
    }
}
