// Pairs over one shared disk that fails: the guest sees an error of its drive on both sides at the same place, or stands still until the
// disk is back; neither side is lost for it.
using System.Net;
using Emu86.Tests.Ft.Nbd;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class SharedDiskFailureTests : IDisposable
{
    private const int DiskBytes = 65536;

    private readonly SharedPair _pair = new();
    private readonly NbdServer _server = new(DiskBytes);
    private readonly TemporaryFolder _folder = new();
    private SmallMount? _small;

    public void Dispose()
    {
        _pair.Dispose();
        _server.Dispose();
        _small?.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("EIO")]
    [InlineData("vanished")]
    [InlineData("size")]
    [InlineData("middle")]
    public void A_read_that_fails_is_an_error_of_the_drive_on_both_sides(string how)
    {
        (PairProcess primary, PairProcess backup) = Protected("report");
        Assert.Equal(1, _pair.Count());
        WaitForCounter(1);
        Break(how);
        Reset();
        Assert.Contains(how switch
        {
            "EIO" => "its disk failed (EIO)",
            "vanished" => "nothing listens there",
            "size" => "it is another disk",
            _ => "closed the connection",
        }, primary.WaitFor("the guest sees an error of its disk hda"));
        primary.WaitFor("emu86-guest: ready", nth: 2);
        _pair.WaitForHashes(primary);
        AssertNobodyIsLost(primary, backup);
        // The guest has learned that its disk cannot be used, and does so on the other side as well.
        Mend();
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        backup.Type("state");
        backup.WaitFor("disk unreadable");
        Assert.Equal(1, _pair.Count());
    }

    [Theory]
    [InlineData("EIO")]
    [InlineData("vanished")]
    [InlineData("size")]
    [InlineData("middle")]
    public void A_guest_that_is_not_to_hear_of_it_stands_still_until_the_disk_is_back(string how)
    {
        (PairProcess primary, PairProcess backup) = Protected("stop");
        Assert.Equal(1, _pair.Count());
        WaitForCounter(1);
        Break(how);
        Reset();
        primary.WaitFor("the guest stands still until its disk hda works again");
        Thread.Sleep(2500);
        Mend();
        primary.WaitFor("the disk hda works again, the guest goes on");
        primary.WaitFor("emu86-guest: disk holds the counter, counter 1");
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.Equal(2, _pair.Count());
        WaitForCounter(2);
        _pair.WaitForHashes(primary);
        AssertNobodyIsLost(primary, backup);
        Assert.DoesNotContain("sees an error", primary.Text + backup.Text);
    }

    [Theory]
    [InlineData("EIO")]
    [InlineData("vanished")]
    [InlineData("middle")]
    public void Writes_wait_for_a_disk_that_fails_and_the_pair_goes_on(string how)
    {
        (PairProcess primary, PairProcess backup) = Protected("report");
        Break(how);
        Assert.Equal(1, _pair.Count());
        primary.WaitFor("the shared disk hda is tried again until it works", seconds: 40);
        Assert.Contains("is tried again", PairProcess.Status(_pair.Status).GetProperty("diskProblem").GetString());
        Thread.Sleep(500);
        Mend();
        primary.WaitFor("the shared disk hda works again");
        WaitForCounter(1);
        Assert.Equal(2, _pair.Count());
        _pair.WaitForHashes(primary);
        AssertNobodyIsLost(primary, backup);
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        Assert.Equal(3, _pair.Count());
        WaitForCounter(3);
    }

    [Fact]
    public void A_side_that_goes_live_while_the_disk_is_away_waits_for_it()
    {
        (PairProcess primary, PairProcess backup) = Protected("report");
        Assert.Equal(1, _pair.Count());
        WaitForCounter(1);
        _server.Stop();
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("nothing listens there (is the NBD server running?); the guest has no other disk, so it is tried again until it works");
        Thread.Sleep(1000);
        Assert.DoesNotContain("went live", backup.Text);
        _server.Start();
        backup.WaitFor("went live");
        Assert.Equal(2, _pair.Count());
        WaitForCounter(2);
    }

    [SkippableFact]
    public void A_shared_image_without_room_is_waited_for()
    {
        _small = SmallMount.Make(_folder["small"], "64k");
        string image = _small.NewSparse("disk.img", 1 << 20);
        (PairProcess primary, PairProcess backup) = _pair.Protected(["--hda", image], ["--hda", image]);
        string filler = _small.Fill();
        Assert.Equal(1, _pair.Count());
        Assert.Contains("No space left on device", primary.WaitFor("the shared disk hda is tried again until it works"));
        File.Delete(filler);
        primary.WaitFor("the shared disk hda works again");
        SharedPair.WaitForCounter(() => SharedPair.CounterIn(image), 1);
        Assert.Equal(2, _pair.Count());
        _pair.WaitForHashes(primary);
        AssertNobodyIsLost(primary, backup);
    }

    [Fact]
    public void Hashes_stay_equal_over_a_server_until_the_primary_is_killed()
    {
        (PairProcess primary, PairProcess backup) = Protected("report");
        for (int n = 1; n <= 20; n++) Assert.Equal(n, _pair.Count());
        WaitForCounter(20);
        Reset();
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.Equal(21, _pair.Count());
        _pair.WaitForHashes(primary, more: 5);
        AssertNobodyIsLost(primary, backup);
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        for (int n = 22; n <= 40; n++) Assert.Equal(n, _pair.Count());
        WaitForCounter(40);
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        Assert.Equal(40, SharedPair.CounterIn(_server.Durable));
    }

    private (PairProcess Primary, PairProcess Backup) Protected(string onError)
    {
        string[] disk = ["--hda", _server.Address, "--fence-command", "true", "--on-disk-error", onError];
        return _pair.Protected(disk, disk);
    }

    private void Break(string how)
    {
        switch (how)
        {
            case "EIO":
                _server.Fault = _ => NbdFault.Refuse;
                break;
            case "vanished":
                _server.Stop();
                break;
            case "size":
                _server.SaidBytes = 2 * DiskBytes;
                _server.Crash();
                break;
            case "middle":
                _server.Fault = _ => NbdFault.CutReply;
                break;
        }
    }

    private void Mend()
    {
        _server.Fault = _ => NbdFault.None;
        _server.SaidBytes = null;
        _server.Stop();
        _server.Start();
    }

    // Whether the backup has it may not be known before the disk is back.
    private void Reset() => Assert.Contains(PairProcess.Post(_pair.Status, "/control/reset").Code, new[] { HttpStatusCode.OK, HttpStatusCode.GatewayTimeout });

    private void WaitForCounter(int counter) => SharedPair.WaitForCounter(() => SharedPair.CounterIn(_server.Durable), counter);

    private static void AssertNobodyIsLost(PairProcess primary, PairProcess backup)
    {
        Assert.False(primary.HasExited || backup.HasExited);
        Assert.DoesNotContain("backup lost", primary.Text);
        Assert.DoesNotContain("went live", backup.Text);
    }
}
