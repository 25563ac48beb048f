// A primary whose clones are cut, one after each record: it goes on as if there had been none, and the first whole one protects it.
namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class CloneCutTests : IDisposable
{
    private const string Count = "2500000";

    private readonly string _state = Directory.CreateTempSubdirectory("emu86-cut").FullName;
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    [Fact]
    public void A_primary_whose_clone_is_cut_at_every_record_is_in_the_state_of_one_that_had_none()
    {
        string[] machine = ["--memory", "16M", "--net", "none", "--serial", "null", "--rtc-base", "2026-01-01", "--clock", "fixed", "--stop-at", Count, "--print-hash"];
        (ulong _, string hash) = Emu86Process.Run(TimeSpan.FromSeconds(60), machine).StateHash();
        int port = PairProcess.FreePort();
        // The first two records are the greeting and the clone's begin; a clone of this machine has fewer than 60.
        using PairProxy proxy = new(port, connection => connection < 60 ? connection : int.MaxValue);
        string[] common = ["--state-dir", _state, "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200"];
        PairProcess backup = Start(["--backup", "--listen", $"127.0.0.1:{port}", "--net", "none", "--print-hash", .. common]);
        backup.WaitFor("role backup");
        // The same candidate many times: the next attempt follows at once.
        PairProcess primary = Start(["--primary", "--backups", string.Join(',', Enumerable.Repeat($"127.0.0.1:{proxy.Port}", 70)), .. machine, .. common]);
        primary.WaitFor("protected by", 100);
        Assert.InRange(proxy.Connections, 10, 61);
        Assert.Equal(0, primary.WaitForExit(100));
        Assert.Equal(0, backup.WaitForExit());
        Assert.Equal($"state-hash {Count} {hash}", primary.WaitFor("state-hash "));
        Assert.Equal($"state-hash {Count} {hash}", backup.WaitFor("state-hash "));
        Assert.DoesNotContain("diverged", primary.Text + backup.Text);
    }

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }
}
