// A control operation that was answered is not lost when the primary dies at that moment.
using System.Net;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class LastingControlTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-lasting").FullName;
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    [Fact]
    public void A_reset_that_was_answered_outlives_the_primary()
    {
        (PairProcess primary, PairProcess backup, int status, int web) = Pair();
        for (int n = 1; n <= 3; n++) Assert.Equal($"{n}", PairProcess.Get(web, "/count").Trim());
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/reset").Code);
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        Answers(web);
        Assert.Equal("1", PairProcess.Get(web, "/count").Trim());
    }

    [Fact]
    public void An_operation_is_answered_when_the_backup_has_it_or_is_lost()
    {
        (PairProcess primary, PairProcess backup, int status, _) = Pair();
        backup.Signal(PairProcess.SigStop);
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/reset").Code);
        Assert.Contains("backup lost, unprotected", primary.Text);
    }

    // It starts anew, and its address is not there at once.
    private static void Answers(int web)
    {
        for (int n = 0; ; n++)
        {
            try
            {
                _ = PairProcess.Get(web, "/");
                return;
            }
            catch (AggregateException) when (n < 300)
            {
                Thread.Sleep(100);
            }
        }
    }

    private (PairProcess Primary, PairProcess Backup, int Status, int Web) Pair()
    {
        int listen = PairProcess.FreePort(), status = PairProcess.FreePort(), web = PairProcess.FreePort();
        string[] common = ["--backups", $"127.0.0.1:{listen}", "--net", $"user,hostfwd=tcp:127.0.0.1:{web}-:80", "--state-dir", _state, "--heartbeat", "50", "--failure-timeout", "1000"];
        PairProcess backup = Start(["--backup", "--listen", $"127.0.0.1:{listen}", .. common]);
        backup.WaitFor("role backup");
        PairProcess primary = Start(["--primary", "--memory", "16M", "--kernel", PairTests.EmbeddedGuest, "--status", $"127.0.0.1:{status}", .. common]);
        primary.WaitFor("protected by");
        primary.WaitFor("emu86-guest: ready 10.0.2.15");
        return (primary, backup, status, web);
    }

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }
}
