// `clock`: the guest's date against the host's, over time and after a failover. The RTC tells whole seconds, so that a
// guest that has just started is off by up to one: what is measured is how that offset changes.
using System.Diagnostics;
using System.Globalization;

namespace Emu86.Bench.Soak;

internal static class ClockSoak
{
    private const double LimitMs = 100;
    private const int Samples = 5;

    private static readonly TimeSpan Boot = TimeSpan.FromSeconds(400), Soon = TimeSpan.FromSeconds(30), Settled = TimeSpan.FromSeconds(30);

    public static int Run(SoakOptions options)
    {
        using var shell = new GuestShell();
        using var pair = new SoakPair(options) { SerialPort = shell.Port };
        Side backup = pair.StartBackup(), primary = pair.StartPrimary();
        primary.WaitFor("protected by", TimeSpan.FromSeconds(180));
        shell.WaitFor("emu86-guest: ready", Boot);
        shell.WaitFor("emu86:/# ", Soon);
        double start = Offset(shell);
        Console.WriteLine($"clock: at the start the guest's date is {start:+0;-0} ms from the host's");
        double worst = 0;
        var began = Stopwatch.StartNew();
        while (began.Elapsed < options.Duration)
        {
            Thread.Sleep(TimeSpan.FromSeconds(20));
            shell.Run("/bench/crc32 >/dev/null", TimeSpan.FromSeconds(300));
            double drift = Offset(shell) - start;
            worst = double.Max(worst, double.Abs(drift));
            Console.WriteLine($"clock: after {began.Elapsed.TotalSeconds:F0} s of idle and load: {drift:+0;-0} ms since the start");
        }
        primary.Signal(Side.SigKill);
        backup.WaitFor("went live", Soon);
        Thread.Sleep(Settled - TimeSpan.FromSeconds(8));
        double after = Offset(shell) - start;
        Console.WriteLine($"clock: within {Settled.TotalSeconds:F0} s after a failover: {after:+0;-0} ms since the start");
        bool held = worst <= LimitMs && double.Abs(after) <= LimitMs;
        Console.WriteLine($"clock: target {(held ? "held" : "NOT held")}: at most {LimitMs:F0} ms");
        return held ? 0 : 1;
    }

    /// <summary>Guest minus host in milliseconds. The guest prints its second as soon as it begins; what delays the line makes
    /// the guest look late, so the largest of several values is nearest to the truth.</summary>
    private static double Offset(GuestShell shell)
    {
        double best = double.NegativeInfinity;
        for (int n = 0; n < Samples; n++)
        {
            shell.Type("s=$(date +%s); while n=$(date +%s); [ $n = $s ]; do :; done; echo tick-$n-");
            DateTime seen = shell.WaitFor("\ntick-", Soon);
            string second = shell.RestOfLine(Soon).Split('-')[0];
            double guest = double.Parse(second, CultureInfo.InvariantCulture) * 1000;
            best = double.Max(best, guest - (seen - DateTime.UnixEpoch).TotalMilliseconds);
        }
        return best;
    }
}
