// A bit of a backup's memory or registers flips: it is found, written down, told from an engine's fault, and the backup is replaced.
#if EMU86_TEST_HOOKS
using System.Globalization;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class FlippedBitTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-flip").FullName;
    private readonly int _first = PairProcess.FreePort(), _second = PairProcess.FreePort(), _web = PairProcess.FreePort(), _status = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    [Theory]
    [InlineData("register", "first differing unit cpu", "the backup's own run was damaged")]
    [InlineData("written", "first differing unit memory", "memory pages in which the backup differed from this replay: ")]
    public void A_flip_that_the_state_shows_is_found_at_the_next_hash(string place, string what, string verdict)
    {
        (PairProcess primary, PairProcess backup) = Pair(place);
        string line = backup.WaitFor("emu86: diverged at count");
        string evidence = EvidenceOf(line);
        Goes(primary);

        Emu86Process replay = Emu86Process.Run(TimeSpan.FromSeconds(60), "--replay", evidence, "--serial", "null");
        Assert.Contains(what, replay.Errors);
        IsFoundAtTheNextHash(backup, replay.Errors);
        Assert.Contains("this replay agrees with the primary: the backup's own run was damaged", replay.Errors);
        Assert.Contains(verdict, replay.Errors);
        Assert.Equal(0, replay.ExitCode);

        Emu86Process bisect = Emu86Process.Run(TimeSpan.FromSeconds(120), "--bisect", evidence, "--state-dir", _state);
        Assert.Contains("both engines agree at every state hash", bisect.Errors + bisect.Output);
        Assert.Contains("the backup's own run was damaged", bisect.Errors + bisect.Output);
        Assert.Equal(0, bisect.ExitCode);
    }

    [Fact]
    public void A_flip_where_nobody_writes_is_found_by_the_scrubbing_named_and_put_right_in_the_evidence()
    {
        (PairProcess primary, PairProcess backup) = Pair("clean");
        string line = backup.WaitFor("memory of this backup's host changed without being written, at fff000h");
        Assert.Equal(1, backup.WaitForExit());
        Goes(primary);

        Emu86Process replay = Emu86Process.Run(TimeSpan.FromSeconds(60), "--replay", EvidenceOf(line), "--serial", "null");
        Assert.Contains("bit 3 of the byte at fffff3h flipped", replay.Errors);
        IsFoundAtTheNextHash(backup, replay.Errors);
        Assert.Contains("this replay agrees with the primary: the backup's own run was damaged", replay.Errors);
        Assert.Equal(0, replay.ExitCode);
    }

    // Between the last hash at which all was well and the one at which it was found.
    private static void IsFoundAtTheNextHash(PairProcess backup, string replay)
    {
        ulong flipped = Number(backup.WaitFor("flips at count"), "flips at count ");
        Assert.InRange(flipped, Number(replay, "the last equal state was at count "), Number(replay, "diverged at count "));
    }

    private static ulong Number(string text, string after) =>
        ulong.Parse(text[(text.IndexOf(after, StringComparison.Ordinal) + after.Length)..].TakeWhile(char.IsAsciiDigit).ToArray(), CultureInfo.InvariantCulture);

    // The guest goes on, loses nothing, and is protected anew.
    private void Goes(PairProcess primary)
    {
        for (int n = 4; n <= 6; n++) Assert.Equal($"{n}", PairProcess.Get(_web, "/count").Trim());
        string line = primary.WaitFor("protected by", nth: 2);
        for (int n = 7; n <= 9; n++) Assert.Equal($"{n}", PairProcess.Get(_web, "/count").Trim());
        primary.Signal(PairProcess.SigKill);
        _processes[line.EndsWith($":{_first}", StringComparison.Ordinal) ? 0 : 1].WaitFor("went live");
        Assert.Equal("10", PairProcess.Get(_web, "/count").Trim());
    }

    private (PairProcess Primary, PairProcess Backup) Pair(string place)
    {
        PairProcess backup = Start($"3000000 {place}", ["--backup", "--listen", $"127.0.0.1:{_first}", .. Common]);
        PairProcess other = Start(null, ["--backup", "--listen", $"127.0.0.1:{_second}", .. Common]);
        foreach (PairProcess each in new[] { backup, other }) each.WaitFor("role backup");
        PairProcess primary = Start(null, ["--primary", "--memory", "16M", "--kernel", PairTests.EmbeddedGuest, "--status", $"127.0.0.1:{_status}", .. Common]);
        primary.WaitFor($"protected by 127.0.0.1:{_first}");
        primary.WaitFor("emu86-guest: ready 10.0.2.15");
        for (int n = 1; n <= 3; n++) Assert.Equal($"{n}", PairProcess.Get(_web, "/count").Trim());
        return (primary, backup);
    }

    private string[] Common => ["--backups", $"127.0.0.1:{_first},127.0.0.1:{_second}", "--net", $"user,hostfwd=tcp:127.0.0.1:{_web}-:80", "--state-dir", _state,
        "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "1000", "--scrub", "1"];

    private PairProcess Start(string? flip, string[] arguments)
    {
        PairProcess process = new(flip, arguments);
        _processes.Add(process);
        return process;
    }

    private static string EvidenceOf(string line) => line[(line.IndexOf("evidence in ", StringComparison.Ordinal) + 12)..];
}
#endif
