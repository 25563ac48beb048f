// Pairs over one disk image (--disks shared): the live side alone writes it, and only once the other one cannot any more.
using Emu86.Tests.Ft.Nbd;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class SharedDiskTests : IDisposable
{
    private readonly SharedPair _pair = new();
    private readonly string _image;

    public SharedDiskTests() => _image = _pair.NewImage();

    public void Dispose() => _pair.Dispose();

    private int Count() => _pair.Count();

    private void WaitForCounter(int counter) => SharedPair.WaitForCounter(() => SharedPair.CounterIn(_image), counter);

    [Fact]
    public void One_image_serves_both_sides_and_the_counter_on_it_goes_on_after_a_kill()
    {
        PairProcess primary = _pair.Primary("--hda", _image);
        primary.WaitFor("emu86-guest: ready");
        Assert.Equal(1, Count());
        PairProcess backup = _pair.Backup("--hda", _image);
        primary.WaitFor("protected by");
        for (int n = 2; n <= 20; n++) Assert.Equal(n, Count());
        WaitForCounter(20);
        // It reads its disk when it starts: both sides read the same, though one alone looks.
        Assert.Equal(System.Net.HttpStatusCode.OK, PairProcess.Post(_pair.Status, "/control/reset").Code);
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.Equal(21, Count());
        _pair.WaitForHashes(primary);
        for (int n = 22; n <= 30; n++) Assert.Equal(n, Count());
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        for (int n = 31; n <= 40; n++) Assert.Equal(n, Count());
        WaitForCounter(40);
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        WaitForCounter(40);
    }

    [Fact]
    public void A_side_that_went_live_writes_only_when_the_frozen_one_has_let_go_of_the_image()
    {
        PairProcess primary = _pair.Primary("--hda", _image);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = _pair.Backup("--hda", _image);
        primary.WaitFor("protected by");
        for (int n = 1; n <= 5; n++) Assert.Equal(n, Count());
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("won epoch 2");
        backup.WaitFor($"waiting until the side that was live lets go of {_image}");
        byte[] before = File.ReadAllBytes(_image);
        Thread.Sleep(1500);
        Assert.DoesNotContain("went live", backup.Text);
        Assert.Equal(before, File.ReadAllBytes(_image));
        primary.Signal(PairProcess.SigCont);
        Assert.Equal(3, primary.WaitForExit());
        backup.WaitFor("went live");
        Assert.Equal(6, Count());
        WaitForCounter(6);
    }

    [Fact]
    public void A_fence_command_cuts_a_frozen_side_off()
    {
        string told = Path.Combine(_pair.Directory, "told");
        PairProcess primary = _pair.Primary("--hda", _image);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = _pair.Backup("--hda", _image, "--fence-command", $"echo $EMU86_GUEST $EMU86_EPOCH > {told}; kill -9 {primary.Id}");
        primary.WaitFor("protected by");
        Assert.Equal(1, Count());
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("went live");
        Assert.Equal("default 2", File.ReadAllText(told).Trim());
        Assert.Equal(2, Count());
        WaitForCounter(2);
    }

    [Fact]
    public void A_fence_that_is_not_confirmed_is_waited_for()
    {
        string open = Path.Combine(_pair.Directory, "open");
        PairProcess primary = _pair.Primary("--hda", _image);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = _pair.Backup("--hda", _image, "--fence-command", $"test -e {open} && kill -9 {primary.Id}");
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
        using var folder = new TemporaryFolder();
        int port = PairProcess.FreePort();
        using NbdTool server = NbdTool.Start(program, _image, folder, port);
        string export = $"nbd:127.0.0.1:{port}/disk";
        PairProcess primary = _pair.Primary("--hda", export, "--fence-command", "true");
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = _pair.Backup("--hda", export, "--fence-command", $"kill -9 {primary.Id}");
        primary.WaitFor("protected by");
        for (int n = 1; n <= 10; n++) Assert.Equal(n, Count());
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("went live");
        for (int n = 11; n <= 20; n++) Assert.Equal(n, Count());
        WaitForCounter(20);
    }

    [SkippableFact]
    public void A_guest_that_is_started_where_another_side_was_live_needs_a_fence_and_after_its_end_none()
    {
        using var folder = new TemporaryFolder();
        int port = PairProcess.FreePort();
        using NbdTool server = NbdTool.Start("nbd-server", _image, folder, port);
        string export = $"nbd:127.0.0.1:{port}/disk", told = Path.Combine(_pair.Directory, "told"), open = Path.Combine(_pair.Directory, "open");
        // Nobody was live before: a command that does not confirm is not asked.
        PairProcess primary = _pair.Primary("--hda", export, "--fence-command", "false");
        primary.WaitFor("emu86-guest: ready");
        Assert.Equal(1, Count());
        WaitForCounter(1);
        primary.Signal(PairProcess.SigKill);
        primary.WaitForExit();

        primary = _pair.Primary("--hda", export, "--fence-command", $"echo $EMU86_GUEST $EMU86_EPOCH $EMU86_OWNER > {told}; test -e {open}");
        primary.WaitFor($"making sure by --fence-command that the side that was live writes {export} no more");
        primary.WaitFor("does not confirm that the side that was live is cut off", nth: 2);
        Assert.StartsWith("default 2 127.0.0.1:", File.ReadAllText(told));
        Assert.DoesNotContain("role primary", primary.Text);
        File.WriteAllText(open, "");
        primary.WaitFor("role primary epoch 2");
        primary.WaitFor("emu86-guest: disk holds the counter, counter 1");
        primary.WaitFor("emu86-guest: ready");
        primary.Type("q");
        Assert.Equal(0, primary.WaitForExit());

        primary = _pair.Primary("--hda", export, "--fence-command", "false");
        primary.WaitFor("role primary epoch 3");
        primary.WaitFor("emu86-guest: ready");
    }

    [Fact]
    public void Two_sides_that_mean_different_disks_are_told_so()
    {
        string other = Path.Combine(_pair.Directory, "other.img"), small = Path.Combine(_pair.Directory, "small.img");
        File.WriteAllBytes(other, new byte[65536]);
        File.WriteAllBytes(small, new byte[512]);
        PairProcess primary = _pair.Primary("--hda", _image);
        primary.WaitFor("role primary");
        PairProcess backup = _pair.Backup("--hda", small);
        backup.WaitFor("it is another one, or was changed behind the primary's back");
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        backup = _pair.Backup("--hda", other);
        backup.WaitFor("it is another one; give --hda the image that the primary uses");
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        backup = _pair.Backup("--hda", _image, "--disks", "replicated");
        Assert.Equal(2, backup.WaitForExit());
        Assert.DoesNotContain("protected by", primary.Text);
    }

    [Fact]
    public void An_export_without_a_fence_command_is_refused()
    {
        PairProcess primary = _pair.Primary("--hda", "nbd:127.0.0.1:1/disk");
        Assert.Equal(2, primary.WaitForExit());
        Assert.Contains("give --fence-command", primary.Text);
    }
}
