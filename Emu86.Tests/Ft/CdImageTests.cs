// What is refused as a CD, by the program and by its control operation.
using System.Net;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

public sealed class CdImageTests
{
    [Fact]
    public void A_CD_that_is_missing_ragged_or_truncated_ends_the_run_with_a_sentence()
    {
        using var folder = new TemporaryFolder();
        byte[] volume = new byte[20 * 2048];
        "\u0001CD001"u8.CopyTo(volume.AsSpan(16 * 2048));
        volume[16 * 2048 + 80] = 21;
        (string Path, string Sentence)[] cases =
        [
            (folder["absent.iso"], "does not exist"),
            (folder.Write("ragged.iso", new byte[2049]), "not a whole number of 2048-byte sectors"),
            (folder.Write("empty.iso", []), "has 0 bytes"),
            (folder.Write("short.iso", volume), "is truncated"),
            (Path.GetTempPath(), "is a directory"),
        ];
        foreach ((string path, string sentence) in cases)
        {
            Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), "--cdrom", path, "--net", "none", "--stop-at", "1000");
            Assert.Equal(1, run.ExitCode);
            Assert.Contains(sentence, run.Errors);
            Assert.DoesNotContain("   at ", run.Errors);
        }
    }

    [Theory]
    [InlineData("--boot d", "--boot d goes with --cdrom PATH")]
    [InlineData("--cdrom none --hdc x.img", "--cdrom and --hdc are the same place")]
    public void Options_that_contradict_each_other_are_a_sentence(string arguments, string sentence)
    {
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), arguments.Split(' '));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(sentence, run.Errors);
    }

    [Fact]
    public void A_run_with_a_CD_is_recorded_replayed_and_refused_with_another_CD()
    {
        using var folder = new TemporaryFolder();
        byte[] content = new byte[64 * 2048];
        string cd = folder.Write("one.iso", content), recording = folder["run.emu86log"];
        content[5]++;
        string other = folder.Write("two.iso", content);
        Emu86Process recorded = Emu86Process.Run(TimeSpan.FromSeconds(120), "--record", recording, "--cdrom", cd, "--net", "none", "--rtc-base", "2026-01-01", "--stop-at", "3000000", "--print-hash");
        Assert.True(recorded.ExitCode == 0, recorded.Errors);
        Emu86Process replayed = Emu86Process.Run(TimeSpan.FromSeconds(120), "--replay", recording, "--cdrom", cd, "--print-hash");
        Assert.True(replayed.ExitCode == 0, replayed.Errors);
        Assert.Equal(recorded.StateHash(), replayed.StateHash());
        Emu86Process refused = Emu86Process.Run(TimeSpan.FromSeconds(120), "--replay", recording, "--cdrom", other);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("give it with --cdrom PATH", refused.Errors);
    }

    [Fact]
    public void The_control_operation_refuses_what_cannot_lie_in_the_drive()
    {
        using var folder = new TemporaryFolder();
        int port = PairProcess.FreePort();
        using var run = new PairProcess("--cdrom", "none", "--boot", "d", "--net", "none", "--state-dir", folder["state"], "--status", $"127.0.0.1:{port}");
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                PairProcess.Status(port);
                break;
            }
            catch (AggregateException) when (System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds < 60)
            {
                Thread.Sleep(100);
            }
        }
        string ragged = Uri.EscapeDataString(folder.Write("ragged.iso", new byte[100])), whole = Uri.EscapeDataString(folder.Write("a whole one.iso", new byte[4096]));
        Assert.Equal(HttpStatusCode.BadRequest, PairProcess.Post(port, "/control/medium").Code);
        Assert.Equal(HttpStatusCode.BadRequest, PairProcess.Post(port, "/control/medium?drive=fda&path=x").Code);
        Assert.Equal(HttpStatusCode.BadRequest, PairProcess.Post(port, "/control/medium?drive=cdrom&path=/nowhere.iso").Code);
        Assert.Equal(HttpStatusCode.BadRequest, PairProcess.Post(port, $"/control/medium?drive=cdrom&path={ragged}").Code);
        (HttpStatusCode code, string text) = PairProcess.Post(port, $"/control/medium?drive=cdrom&path={whole}");
        Assert.True(code == HttpStatusCode.OK, text);
        Assert.Contains("4096 bytes", text);
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(port, "/control/medium?drive=cdrom&path=").Code);
    }
}
