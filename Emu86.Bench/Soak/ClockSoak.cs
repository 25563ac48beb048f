// `clock`: the guest's date against the host's, over time and after a failover.
using System.Diagnostics;

namespace Emu86.Bench.Soak;

internal static class ClockSoak
{
    private const double LimitMs = 100;

    private static readonly TimeSpan Boot = TimeSpan.FromSeconds(400), Soon = TimeSpan.FromSeconds(30), Settled = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(20);

    public static int Run(SoakOptions options)
    {
        using var shell = new GuestShell();
        using var pair = new SoakPair(options) { SerialPort = shell.Port };
        Side backup = pair.StartBackup(), primary = pair.StartPrimary();
        primary.WaitFor("protected by", TimeSpan.FromSeconds(180));
        shell.WaitFor("emu86-guest: ready", Boot);
        shell.WaitFor("emu86:/# ", Soon);
        double worst = 0;
        ClockReading Look(string when)
        {
            ClockReading now = GuestClock.Read(pair.ClockPort);
            worst = double.Max(worst, double.Abs(now.OffsetMs));
            Console.WriteLine($"clock: {when}: the guest's date is {now.OffsetMs:+0.0;-0.0} ms from the host's (within {now.RoundTripMs / 2:F1} ms)");
            return now;
        }
        Look("at the start");
        var began = Stopwatch.StartNew();
        string After() => $"after {began.Elapsed.TotalSeconds:F0} s of idle and load";
        while (began.Elapsed < options.Duration)
        {
            TimeSpan left = options.Duration - began.Elapsed;
            Thread.Sleep(left < Idle ? left : Idle);
            Look($"{After()}, idle");
            shell.Run("/bench/crc32 >/dev/null", TimeSpan.FromSeconds(300));
            Look($"{After()}, loaded");
        }
        double before = worst;
        worst = 0;
        primary.Signal(Side.SigKill);
        backup.WaitFor("went live", Soon);
        var alone = Stopwatch.StartNew();
        Look($"{alone.Elapsed.TotalSeconds:F1} s after a failover");
        worst = 0;
        Thread.Sleep(Settled - alone.Elapsed);
        Look($"{alone.Elapsed.TotalSeconds:F0} s after a failover");
        bool held = before <= LimitMs && worst <= LimitMs;
        Console.WriteLine($"clock: target {(held ? "held" : "NOT held")}: at most {LimitMs:F0} ms from the host's date, before a failover (worst {before:F1}) and {Settled.TotalSeconds:F0} s after it ({worst:F1})");
        return held ? 0 : 1;
    }
}
