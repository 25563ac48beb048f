// How processes end that cannot end in good order: a stuck one, and the children of one that was killed.
using System.Diagnostics;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class EndTests
{
    [Fact]
    public void A_second_SIGTERM_ends_a_process_whose_emulation_thread_hangs()
    {
        string disk = Path.Combine(Path.GetTempPath(), $"emu86-flood-{Environment.ProcessId}.img");
        byte[] image = new byte[1 << 20];
        // MOV AL,'x'; OUT E9h,AL; again: until the pipe that nobody reads is full, and the emulation thread waits in a write.
        new byte[] { 0xb0, 0x78, 0xe6, 0xe9, 0xeb, 0xfc }.CopyTo(image, 0);
        (image[510], image[511]) = (0x55, 0xaa);
        File.WriteAllBytes(disk, image);
        var start = new ProcessStartInfo("dotnet") { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string word in new[] { Path.Combine(AppContext.BaseDirectory, "emu86.dll"), "--hda", disk, "--net", "none", "--serial", "null", "--debug-port" }) start.ArgumentList.Add(word);
        using Process process = Process.Start(start)!;
        try
        {
            // The BIOS has a message for this port, too.
            while (process.StandardError.Read() is not ('x' or -1))
            {
            }
            Thread.Sleep(3000);
            PairProcess.Signal(process.Id, PairProcess.SigTerm);
            Assert.False(process.WaitForExit(1000), "the emulation thread should hang in its write");
            PairProcess.Signal(process.Id, PairProcess.SigTerm);
            Assert.True(process.WaitForExit(10_000), "a second signal ends it");
            Assert.Equal(1, process.ExitCode);
        }
        finally
        {
            if (!process.HasExited) process.Kill();
            File.Delete(disk);
        }
    }

    [SkippableFact]
    public void The_processes_of_a_demo_end_when_it_is_killed()
    {
        Skip.IfNot(Directory.Exists("/proc/self"), "needs /proc, which Linux has");
        using PairProcess demo = new("--demo");
        int[] children = [];
        Assert.True(Within(40, () => (children = ChildrenOf(demo.Id)).Length == 3), $"a demo has three processes; it printed {demo.Text}");
        demo.Signal(PairProcess.SigKill);
        Assert.True(Within(20, () => !children.Any(IsRunning)), "they end with it");
    }

    private static bool Within(int seconds, Func<bool> holds)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start).TotalSeconds < seconds; Thread.Sleep(50))
        {
            if (holds()) return true;
        }
        return false;
    }

    private static int[] ChildrenOf(int parent) =>
        [.. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Select(n => int.TryParse(n, out int id) ? id : 0).Where(id => id > 0 && Fields(id) is { Length: > 1 } f && f[1] == $"{parent}")];

    private static bool IsRunning(int id) => Fields(id) is [not ("Z" or "X"), ..];

    /// <summary>State, parent, … of /proc/ID/stat; null when there is no such process.</summary>
    private static string[]? Fields(int id)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{id}/stat");
            return stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (IOException)
        {
            return null;
        }
    }
}
