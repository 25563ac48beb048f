// Debian's kernel, started directly, to a busybox shell on ttyS0: the same state at the same count, however it is run.
using Emu86.Ft.Cli;
using Emu86.Tests.Ft;

namespace Emu86.Tests.Guests;

public sealed class LinuxBootTests
{
    private const string CommandLine = "console=ttyS0,115200 quiet emu86.net=off", Prompt = "emu86:/# ";
    private const ulong Middle = 3_500_000_000, Limit = 10_000_000_000, Slice = 100_000;

    /// <summary>One boot in this process, one by the program under the interpreter with another slice length, and half a boot from its snapshot.</summary>
    [SkippableFact]
    public void Linux_boots_to_a_shell_and_to_the_same_hash_in_another_slicing_and_through_a_snapshot()
    {
        Skip.IfNot(GuestFiles.HaveLinux, GuestFiles.HowToGetLinux);
        using var folder = new TemporaryFolder();
        using var guest = new GuestConsole(new RunOptions
        {
            Kernel = GuestFiles.Kernel,
            Initrd = GuestFiles.Initrd,
            Append = CommandLine,
            Net = NetKind.None,
            RtcBase = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
            Slice = Slice,
        });
        guest.WaitFor("emu86-guest: userspace", Limit);
        guest.WaitFor("emu86-guest: ready none", Limit);
        guest.WaitFor("BusyBox v1.", Limit);
        guest.WaitFor(Prompt, Limit);
        guest.RunTo(guest.Count + 1_234_567);
        ulong stop = guest.Count;
        string expected = $"{guest.Machine.StateHash():x32}";
        byte[] atShell = guest.Save();

        Emu86Process whole = Program(["--engine", "interpreter", "--slice", "1000003", "--save-snapshot", $"{folder["middle"]}@{Middle}", .. Boot(stop)]);
        Assert.Contains(Prompt, whole.Output);
        Assert.Equal((stop, expected), whole.StateHash());
        Assert.Equal(0, whole.ExitCode);

        Emu86Process second = Program(["--slice", "77777", "--restore", folder["middle"], .. Common(stop)]);
        Assert.Equal((stop, expected), second.StateHash());

        guest.Restore(atShell);
        Assert.Equal(expected, $"{guest.Machine.StateHash():x32}");
        guest.Type("echo $((6*7))-$(uname -m)-$(cat /proc/uptime | wc -l); date +%Y-%m-%d; poweroff -f");
        guest.WaitFor("42-i686-1", 1_000_000_000);
        guest.WaitFor("2026-01-01", 1_000_000_000);
        guest.WaitForPowerOff(2_000_000_000);
    }

    private static Emu86Process Program(string[] arguments) => Emu86Process.Run(TimeSpan.FromMinutes(5), arguments);

    private static string[] Boot(ulong stop) => ["--kernel", GuestFiles.Kernel, "--initrd", GuestFiles.Initrd, "--append", CommandLine, .. Common(stop)];

    private static string[] Common(ulong stop) => ["--net", "none", "--rtc-base", "2026-01-01", "--stop-at", $"{stop}", "--print-hash"];
}
