// A guest that is moved to another host while it runs, by the status port.
using System.Net;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class MoveTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-move").FullName;
    private readonly int _first = PairProcess.FreePort(), _second = PairProcess.FreePort(), _status = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    [Fact]
    public void A_guest_is_moved_to_a_host_that_was_not_its_backup_and_is_protected_there_again()
    {
        PairProcess backup = Backup(_first, _second), target = Backup(_second, _first);
        PairProcess primary = Primary($"127.0.0.1:{_first}");
        primary.WaitFor($"protected by 127.0.0.1:{_first}");
        primary.WaitFor("emu86-guest: ready");
        Assert.Equal((HttpStatusCode.OK, $"moving to 127.0.0.1:{_second}\n"), PairProcess.Post(_status, $"/control/move?to=127.0.0.1:{_second}"));
        target.WaitFor("went live epoch 3");
        Assert.Equal(0, primary.WaitForExit());
        Assert.Contains("emu86: handed over to the backup", primary.Text);
        // The old backup was sent away, and is a candidate again.
        Assert.Contains("emu86: the guest moves to another host", backup.Text);
        target.WaitFor($"protected by 127.0.0.1:{_first}");
        target.Type("state");
        target.WaitFor("counter 0");
        target.Signal(PairProcess.SigKill);
        backup.WaitFor("went live epoch 4");
    }

    [Fact]
    public void A_guest_that_is_moved_to_its_backup_goes_on_there_at_once()
    {
        PairProcess backup = Backup(_first, _second);
        PairProcess primary = Primary($"127.0.0.1:{_first}");
        primary.WaitFor("protected by");
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(_status, $"/control/move?to=127.0.0.1:{_first}").Code);
        Assert.Equal(0, primary.WaitForExit());
        backup.WaitFor("went live epoch 2");
    }

    [Fact]
    public void A_guest_that_cannot_be_moved_stays_where_it_is()
    {
        PairProcess primary = Primary($"127.0.0.1:{_first}");
        primary.WaitFor("emu86-guest: ready");
        Assert.Equal(HttpStatusCode.BadRequest, PairProcess.Post(_status, "/control/move").Code);
        Assert.Equal((HttpStatusCode.BadRequest, "move takes HOST:PORT, not \"nowhere\"\n"), PairProcess.Post(_status, "/control/move?to=nowhere"));
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(_status, $"/control/move?to=127.0.0.1:{_second}").Code);
        primary.WaitFor("emu86: the guest is not moved: nobody answers there");
        PairProcess backup = Backup(_first, _second);
        primary.WaitFor("protected by");
        primary.Signal(PairProcess.SigTerm);
        Assert.Equal(0, primary.WaitForExit());
        backup.WaitFor("went live epoch 2");
    }

    private PairProcess Primary(string backups) => Start("--primary", "--backups", backups, "--status", $"127.0.0.1:{_status}");

    private PairProcess Backup(int listen, int other)
    {
        PairProcess backup = Start("--backup", "--listen", $"127.0.0.1:{listen}", "--backups", $"127.0.0.1:{other}");
        backup.WaitFor("role backup");
        return backup;
    }

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new([.. arguments, "--state-dir", _state, "--net", "none", "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200"]);
        _processes.Add(process);
        return process;
    }
}
