// Runs without a partner on disks of a protected guest: every start wins an epoch, and a copy that is not current is refused.
namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class SoleOwnerTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-alone").FullName;
    private readonly int _port = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private string Image => Path.Combine(_state, "a.img");

    private string Copy => Path.Combine(_state, "b.img");

    [Fact]
    public void A_plain_image_stays_without_a_side_file_and_without_an_epoch()
    {
        File.WriteAllBytes(Image, new byte[65536]);
        PairProcess alone = Alone(Image);
        alone.WaitFor("emu86-guest: ready");
        alone.Type("q");
        Assert.Equal(0, alone.WaitForExit());
        Assert.DoesNotContain("epoch", alone.Text);
        Assert.Equal([Image], Directory.GetFiles(_state));
        Assert.False(Directory.Exists(Path.Combine(_state, "arbiter")));
    }

    [Fact]
    public void A_disk_of_a_pair_is_run_alone_in_an_epoch_of_its_own_and_its_other_copy_is_then_refused()
    {
        LeaveAPairBehind();
        PairProcess alone = Alone(Image);
        alone.WaitFor("role standalone epoch 2, the disk belongs to the guest 'other'");
        alone.WaitFor("emu86-guest: ready");
        PairProcess second = Primary("--hda", Copy, "--force-stale-disk");
        Assert.Equal(3, second.WaitForExit());
        Assert.Contains("is already live", second.Text);
        second = Alone(Copy, "--force-stale-disk");
        Assert.Equal(3, second.WaitForExit());
        Assert.Contains("the guest 'other', to which the disk belongs, is already live", second.Text);
        alone.Type("q");
        Assert.Equal(0, alone.WaitForExit());
        PairProcess stale = Alone(Copy);
        Assert.Equal(1, stale.WaitForExit());
        Assert.Contains($"{Copy} is behind since epoch 1; {Environment.MachineName}:{Image} is current", stale.Text);
        PairProcess primary = Primary("--hda", Image);
        primary.WaitFor("role primary epoch 3");
    }

    [Fact]
    public void A_stale_copy_that_is_forced_becomes_the_current_one()
    {
        LeaveAPairBehind();
        PairProcess forced = Alone(Copy, "--force-stale-disk");
        forced.WaitFor("role standalone epoch 2");
        forced.WaitFor("emu86-guest: ready");
        forced.Type("q");
        Assert.Equal(0, forced.WaitForExit());
        PairProcess stale = Alone(Image);
        Assert.Equal(1, stale.WaitForExit());
        Assert.Contains($"{Environment.MachineName}:{Copy} is current", stale.Text);
    }

    [Fact]
    public void A_frozen_run_whose_epoch_another_has_won_halts()
    {
        LeaveAPairBehind();
        PairProcess alone = Alone(Image);
        alone.WaitFor("emu86-guest: ready");
        alone.Signal(PairProcess.SigStop);
        PairProcess primary = Primary("--hda", Copy, "--force-stale-disk");
        primary.WaitFor("role primary epoch 3");
        Thread.Sleep(3500);
        alone.Signal(PairProcess.SigCont);
        Assert.Equal(3, alone.WaitForExit());
        Assert.Contains("halted, epoch 3 belongs to another", alone.Text);
    }

    private void LeaveAPairBehind()
    {
        File.WriteAllBytes(Image, new byte[65536]);
        PairProcess primary = Primary("--hda", Image);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", "--state-dir", _state, "--name", "other", "--net", "none", "--failure-timeout", "1000", "--heartbeat", "50", "--hda", Copy]);
        primary.WaitFor("protected by", seconds: 40);
        primary.Type("q");
        Assert.Equal(0, primary.WaitForExit());
        Assert.Equal(0, backup.WaitForExit());
    }

    private PairProcess Primary(params string[] more) =>
        Start(["--primary", "--backups", $"127.0.0.1:{_port}", "--state-dir", _state, "--name", "other", "--net", "none", "--memory", "16M", "--failure-timeout", "1000", "--heartbeat", "50", "--kernel", PairTests.EmbeddedGuest, .. more]);

    // Neither name nor arbiter are given: the side file knows them.
    private PairProcess Alone(string image, params string[] more) => Start(["--net", "none", "--memory", "16M", "--kernel", PairTests.EmbeddedGuest, "--hda", image, .. more]);

    private PairProcess Start(string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }
}
