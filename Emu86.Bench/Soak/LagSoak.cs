// `lag`: a backup that gets half of its core. The primary must be slowed to what the backup can follow, so that the lag stays within
// --max-lag, and no further: the backup uses all that it gets.
using System.Diagnostics;

namespace Emu86.Bench.Soak;

internal static class LagSoak
{
    private const int HaltMs = 5, WarmUps = 8;
    private const double MaxLagMs = 1000, BusyMin = 0.9, FullAgain = 0.9;

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(60), SampleEvery = TimeSpan.FromMilliseconds(50);

    /// <summary>What was seen over a time: guest MIPS of the live side, the backup's processor time and what it had, and the lags.</summary>
    private readonly record struct Seen(double Seconds, double Mips, double BackupBusy, double BackupHad, double[] LagsMs, bool Protected);

    public static int Run(SoakOptions options)
    {
        bool pinned = Cores.PinThisProcess();
        using var shell = new GuestShell();
        using var pair = new SoakPair(options) { SerialPort = shell.Port, LiveCore = pinned ? Cores.Live : null };
        Side backup = pair.StartBackup(), primary = pair.StartPrimary();
        primary.WaitFor("protected by", TimeSpan.FromSeconds(180));
        shell.WaitUntilReady();
        for (int n = 0; n < WarmUps; n++) shell.Run("/bench/sieve >/dev/null", Soon);
        shell.Run("{ while :; do /bench/sieve; done >/dev/null 2>&1 & }", Soon);
        Thread.Sleep(2000);

        Seen full = Watch(pair, backup, options.Duration, () => 1);
        Say("a whole core", full);
        Seen half;
        using (var brake = new Brake(backup))
        {
            // The first seconds are the way down.
            _ = Watch(pair, backup, options.Duration / 4, () => brake.Share);
            half = Watch(pair, backup, options.Duration, () => brake.Share);
        }
        Say("half of it", half);
        var released = Stopwatch.StartNew();
        Seen after;
        do after = Watch(pair, backup, TimeSpan.FromSeconds(1), () => 1);
        while (after.Mips < FullAgain * full.Mips && released.Elapsed < Soon);
        Console.WriteLine($"lag: {after.Mips:F0} MIPS again after {released.Elapsed.TotalSeconds:F0} s with the whole core");

        bool held = half.LagsMs.Max() <= MaxLagMs && half.BackupBusy / half.BackupHad >= BusyMin && half.Protected && after.Mips >= FullAgain * full.Mips;
        Console.WriteLine($"lag: {(held ? "held" : "NOT held")}: with half of a core the lag stays within {MaxLagMs:F0} ms (at most {half.LagsMs.Max():F0}), the backup uses at least {BusyMin * 100:F0} % of what it has ({half.BackupBusy / half.BackupHad * 100:F0} %), stays a backup, and the speed comes back");
        return held ? 0 : 1;
    }

    private static void Say(string share, Seen s)
    {
        double[] lags = [.. s.LagsMs.Order()];
        Console.WriteLine($"lag: backup with {share}: {s.Mips:F0} MIPS on the live side, backup busy {s.BackupBusy / s.Seconds * 100:F0} % of the time ({s.BackupBusy / s.BackupHad * 100:F0} % of what it had), lag min/median/p99/max {lags[0]:F0}/{lags.Median():F0}/{lags[(lags.Length - 1) * 99 / 100]:F0}/{lags[^1]:F0} ms");
    }

    /// <param name="share">Of the time: how much of it the backup could run since the last call.</param>
    private static Seen Watch(SoakPair pair, Side backup, TimeSpan time, Func<double> share)
    {
        var lags = new List<double>();
        bool isProtected = true;
        _ = share();
        TimeSpan busyBefore = backup.ProcessorTime;
        double countBefore = pair.StatusOfFirst("instructionCount");
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < time)
        {
            Thread.Sleep(SampleEvery);
            lags.Add(pair.StatusOfFirst("lagMs"));
            isProtected &= pair.StatusOfFirst("protected") != 0;
        }
        double count = pair.StatusOfFirst("instructionCount") - countBefore, seconds = watch.Elapsed.TotalSeconds;
        return new Seen(seconds, count / seconds / 1e6, (backup.ProcessorTime - busyBefore).TotalSeconds, seconds * share(), [.. lags], isProtected);
    }

    /// <summary>Halts a process half of the time, a few milliseconds each.</summary>
    private sealed class Brake : IDisposable
    {
        private readonly Side _side;
        private readonly Thread _thread;
        private readonly object _lock = new();
        private TimeSpan _ran, _halted;
        private volatile bool _done;

        public Brake(Side side)
        {
            _side = side;
            _thread = new Thread(Run) { IsBackground = true, Name = "brake", Priority = ThreadPriority.Highest };
            _thread.Start();
        }

        /// <summary>Of the time since the last call: the part that the process was not halted.</summary>
        public double Share
        {
            get
            {
                lock (_lock)
                {
                    TimeSpan all = _ran + _halted;
                    double share = all == TimeSpan.Zero ? 1 : _ran / all;
                    (_ran, _halted) = (TimeSpan.Zero, TimeSpan.Zero);
                    return share;
                }
            }
        }

        public void Dispose()
        {
            _done = true;
            _thread.Join();
        }

        private void Run()
        {
            while (!_done)
            {
                long began = Stopwatch.GetTimestamp();
                _side.Signal(Side.SigStop);
                Thread.Sleep(HaltMs);
                long halted = Stopwatch.GetTimestamp();
                _side.Signal(Side.SigCont);
                Thread.Sleep(HaltMs);
                lock (_lock)
                {
                    _halted += Stopwatch.GetElapsedTime(began, halted);
                    _ran += Stopwatch.GetElapsedTime(halted);
                }
            }
        }
    }
}
