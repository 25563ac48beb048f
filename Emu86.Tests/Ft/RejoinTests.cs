// --rejoin: a side that lost gives its guest up and is a candidate again, in the same process.
namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class RejoinTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-rejoin").FullName;
    private readonly int _a = PairProcess.FreePort(), _b = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private PairProcess Start(string role, int own, int other, params string[] more)
    {
        PairProcess process = new([role, "--rejoin", "--listen", $"127.0.0.1:{own}", "--backups", $"127.0.0.1:{other}", "--state-dir", _state, "--net", "none", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200", "--print-hash", .. more]);
        _processes.Add(process);
        return process;
    }

    private (PairProcess Primary, PairProcess Backup) Pair(string[] primaryMore, string[] backupMore)
    {
        PairProcess backup = Start("--backup", _b, _a, backupMore);
        backup.WaitFor("role backup");
        PairProcess primary = Start("--primary", _a, _b, ["--memory", "16M", .. primaryMore]);
        primary.WaitFor($"protected by 127.0.0.1:{_b}");
        return (primary, backup);
    }

    [Fact]
    public void A_frozen_primary_wakes_up_as_a_candidate_and_can_go_live_again()
    {
        string image = Path.Combine(_state, "a.img"), copy = Path.Combine(_state, "b.img");
        File.WriteAllBytes(image, new byte[1 << 20]);
        int status = PairProcess.FreePort();
        (PairProcess first, PairProcess second) = Pair(["--hda", image, "--kernel", PairTests.EmbeddedGuest, "--status", $"127.0.0.1:{status}"], ["--hda", copy]);
        first.WaitFor("emu86-guest: ready");
        first.Signal(PairProcess.SigStop);
        second.WaitFor("went live epoch 2");
        first.Signal(PairProcess.SigCont);
        first.WaitFor("emu86: halted, epoch 2 belongs to another");
        first.WaitFor($"role backup, waiting on 127.0.0.1:{_a}");
        Assert.DoesNotContain("state-hash", first.Text);
        second.WaitFor($"protected by 127.0.0.1:{_a}");
        first.WaitForStatus(status, s => s.GetProperty("role").GetString() == "backup" && s.GetProperty("protected").GetBoolean());
        // And back: the other one is frozen now.
        second.Signal(PairProcess.SigStop);
        first.WaitFor("went live epoch 3");
        second.Signal(PairProcess.SigCont);
        second.WaitFor("emu86: halted, epoch 3 belongs to another");
        first.WaitFor("protected by 127.0.0.1:", nth: 2);
        // What is typed reaches the second machine of this process.
        first.Type("state");
        first.WaitFor("counter 0");
        first.Type("q");
        Assert.Equal(0, first.WaitForExit());
        Assert.Equal(0, second.WaitForExit());
        Assert.Equal(first.WaitFor("state-hash"), second.WaitFor("state-hash"));
    }

    [Fact]
    public void A_frozen_backup_wakes_up_as_a_candidate()
    {
        (PairProcess primary, PairProcess backup) = Pair([], []);
        backup.Signal(PairProcess.SigStop);
        primary.WaitFor("backup lost, unprotected");
        backup.Signal(PairProcess.SigCont);
        backup.WaitFor("halted, epoch 2 belongs to another");
        primary.WaitFor($"protected by 127.0.0.1:{_b}", nth: 2);
        Assert.False(backup.HasExited);
    }

    [Fact]
    public void A_primary_whose_guest_is_live_elsewhere_becomes_a_candidate_for_it()
    {
        PairProcess first = Start("--primary", _a, _b, "--memory", "16M");
        first.WaitFor("role primary epoch 1");
        PairProcess second = Start("--primary", _b, _a, "--memory", "16M");
        second.WaitFor("is already live");
        first.WaitFor($"protected by 127.0.0.1:{_b}");
        first.Signal(PairProcess.SigKill);
        second.WaitFor("went live epoch 2");
    }
}
