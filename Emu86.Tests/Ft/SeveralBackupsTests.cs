// Four real processes on loopback: a primary with two backups at a time, and one host to spare.
namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class SeveralBackupsTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-several").FullName;
    private readonly int[] _ports = [PairProcess.FreePort(), PairProcess.FreePort(), PairProcess.FreePort()];
    private readonly int[] _status = [PairProcess.FreePort(), PairProcess.FreePort(), PairProcess.FreePort(), PairProcess.FreePort()];
    private readonly int _web = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    [Fact]
    public void Two_backups_survive_the_death_of_the_primary_and_of_the_next_and_the_counter_loses_nothing()
    {
        PairProcess[] backups = [Backup(0), Backup(1)];
        PairProcess primary = Primary();
        primary.WaitFor("protected by", nth: 2);
        primary.WaitFor("emu86-guest: ready 10.0.2.15");
        primary.WaitForStatus(_status[3], s => s.GetProperty("replicas").GetInt32() == 2 && s.GetProperty("quorum").GetInt32() == 2
            && s.GetProperty("backups").EnumerateArray().Count(b => b.GetProperty("armed").GetBoolean()) == 2);
        int count = Count(0, 3);
        primary.Signal(PairProcess.SigKill);
        int live = Live(backups);
        Assert.Contains("went live epoch 2", backups[live].Text);
        count = Count(count, 3);
        // The other one is needed again, and a third host takes the place of the dead one.
        PairProcess third = Backup(2);
        backups[live].WaitFor("protected by", nth: 2);
        Assert.DoesNotContain("went live", backups[1 - live].Text);
        count = Count(count, 3);
        backups[live].Signal(PairProcess.SigKill);
        PairProcess[] left = [backups[1 - live], third];
        live = Live(left);
        count = Count(count, 3);
        left[live].WaitFor("protected by");
        Count(count, 3);
        left[live].Signal(PairProcess.SigKill);
        left[1 - live].WaitFor("went live");
        Count(count + 3, 3);
    }

    [Fact]
    public void A_primary_that_loses_one_of_two_backups_is_protected_by_the_other_and_finds_a_third()
    {
        PairProcess[] backups = [Backup(0), Backup(1)];
        PairProcess primary = Primary();
        primary.WaitFor("protected by", nth: 2);
        primary.WaitFor("emu86-guest: ready 10.0.2.15");
        backups[0].Signal(PairProcess.SigKill);
        primary.WaitFor("backup lost, 1 left");
        primary.WaitForStatus(_status[3], s => s.GetProperty("protected").GetBoolean() && s.GetProperty("quorum").GetInt32() == 1 && s.GetProperty("epoch").GetUInt64() == 2);
        int count = Count(0, 3);
        Backup(2);
        primary.WaitFor("protected by", nth: 3);
        Count(count, 3);
        primary.Signal(PairProcess.SigTerm);
        Assert.Equal(0, primary.WaitForExit());
    }

    private static int Live(PairProcess[] of)
    {
        for (int n = 0; n < 600; n++)
        {
            if (Array.FindIndex(of, p => p.Text.Contains("went live", StringComparison.Ordinal)) is >= 0 and var live) return live;
            Thread.Sleep(100);
        }
        Assert.Fail("none of the backups went live");
        return -1;
    }

    private int Count(int from, int times)
    {
        for (int n = 1; n <= times; n++) Assert.Equal($"{from + n}", PairProcess.Get(_web, "/count").Trim());
        return from + times;
    }

    private string Hosts => string.Join(',', _ports.Select(p => $"127.0.0.1:{p}"));

    private string[] Common(int host) => ["--replicas", "2", "--backups", Hosts, "--state-dir", _state, "--net", $"user,hostfwd=tcp:127.0.0.1:{_web}-:80",
        "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200", "--status", $"127.0.0.1:{_status[host]}"];

    private PairProcess Primary() => Start(["--primary", .. Common(3)]);

    private PairProcess Backup(int host)
    {
        PairProcess backup = Start(["--backup", "--listen", $"127.0.0.1:{_ports[host]}", .. Common(host)]);
        backup.WaitFor("role backup");
        return backup;
    }

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }
}
