// `failover` and `freeze`: the primary is killed, or stopped for a while, under traffic.
using System.Diagnostics;

namespace Emu86.Bench.Soak;

internal static class FailoverSoak
{
    private static readonly TimeSpan Protection = TimeSpan.FromSeconds(180), Readiness = TimeSpan.FromSeconds(300), Recovery = TimeSpan.FromSeconds(20);

    /// <summary>SIGKILL at a seeded moment, round after round.</summary>
    public static int Kill(SoakOptions options) => Repeat(options, "failover", (pair, random) =>
    {
        Side backup = pair.StartBackup(), primary = pair.StartPrimary();
        primary.WaitFor("protected by", Protection);
        using Clients clients = Clients.Open(pair, random.Next());
        long began = Stopwatch.GetTimestamp();
        Thread.Sleep(options.Duration * (0.1 + 0.8 * random.NextDouble()));
        long killed = Stopwatch.GetTimestamp();
        primary.Signal(Side.SigKill);
        string said = backup.WaitFor("went live", Recovery);
        clients.WaitForReplies(Stopwatch.GetTimestamp());
        TimeSpan left = options.Duration - Stopwatch.GetElapsedTime(began);
        if (left > TimeSpan.Zero) Thread.Sleep(left);
        clients.Finish();
        return (clients.Outage(killed), $"{clients.Summary(killed)}, said: {said[(said.IndexOf("went live", StringComparison.Ordinal) + 10)..]}");
    });

    /// <summary>SIGSTOP for ten seconds: the other side goes on, and the one that wakes lets nothing out and ends with exit code 3.</summary>
    public static int Freeze(SoakOptions options) => Repeat(options, "freeze", (pair, random) =>
    {
        using var tap = new CableTap(pair.SwitchPort);
        pair.PrimaryNetPort = tap.Port;
        Side backup = pair.StartBackup(), primary = pair.StartPrimary();
        primary.WaitFor("protected by", Protection);
        using Clients clients = Clients.Open(pair, random.Next());
        Thread.Sleep(options.Duration);
        long stopped = Stopwatch.GetTimestamp();
        primary.Signal(Side.SigStop);
        backup.WaitFor("went live", Recovery);
        clients.WaitForReplies(Stopwatch.GetTimestamp());
        TimeSpan left = TimeSpan.FromSeconds(10) - Stopwatch.GetElapsedTime(stopped);
        if (left > TimeSpan.Zero) Thread.Sleep(left);
        long before = tap.FramesFromGuest;
        primary.Signal(Side.SigCont);
        int code = primary.WaitForExit(TimeSpan.FromSeconds(15));
        Thread.Sleep(500);
        long after = tap.FramesFromGuest - before;
        Thread.Sleep(options.Duration);
        clients.Finish();
        if (code != 3) throw new SoakException($"the loser ended with exit code {code} instead of 3; {primary.Last()}");
        if (after != 0) throw new SoakException($"the loser sent {after} frames after it was continued");
        return (clients.Outage(stopped), $"{clients.Summary(stopped)}, loser: exit code {code}, no frame; {primary.Last()}");
    });

    /// <summary>Runs the rounds and prints what they say; 0 when none failed.</summary>
    private static int Repeat(SoakOptions options, string name, Func<SoakPair, Random, (double Outage, string Text)> round)
    {
        var outages = new List<double>();
        int failures = 0;
        for (int n = 1; n <= options.Rounds; n++)
        {
            // A round can be repeated alone: its seed is printed.
            int seed = options.Seed + n - 1;
            try
            {
                using var pair = new SoakPair(options);
                (double outage, string text) = round(pair, new Random(seed));
                outages.Add(outage);
                Console.WriteLine($"{name} {n}/{options.Rounds} seed {seed}: outage {outage:F0} ms, {text}");
            }
            catch (SoakException e)
            {
                failures++;
                Console.WriteLine($"{name} {n}/{options.Rounds} seed {seed}: FAILED: {e.Message}");
            }
        }
        outages.Sort();
        if (outages.Count > 0) Console.WriteLine($"{name}: {outages.Count} of {options.Rounds} rounds without a loss, outage min {outages[0]:F0} median {outages[outages.Count / 2]:F0} max {outages[^1]:F0} ms");
        Console.WriteLine($"{name}: {failures} failures");
        return failures == 0 ? 0 : 1;
    }

    /// <summary>Both kinds of traffic at once.</summary>
    private sealed class Clients : IDisposable
    {
        private readonly EchoTraffic _echo;
        private readonly CountTraffic _count;

        private Clients(EchoTraffic echo, CountTraffic count)
        {
            _echo = echo;
            _count = count;
        }

        public static Clients Open(SoakPair pair, int seed)
        {
            EchoTraffic echo = EchoTraffic.Open(Service.OnLoopback(pair.EchoPort), seed, Readiness);
            long began = Stopwatch.GetTimestamp();
            while (CountTraffic.Ask(Service.OnLoopback(pair.HttpPort), pair.CountPath) is null)
            {
                if (Stopwatch.GetElapsedTime(began) > Readiness) throw new SoakException("the guest does not answer on its HTTP port");
                Thread.Sleep(200);
            }
            var count = new CountTraffic(Service.OnLoopback(pair.HttpPort), pair.CountPath);
            echo.Start();
            count.Start();
            return new Clients(echo, count);
        }

        public void WaitForReplies(long since)
        {
            long began = Stopwatch.GetTimestamp();
            while (!_echo.RepliedSince(since) || !_count.RepliedSince(since))
            {
                Check();
                if (Stopwatch.GetElapsedTime(began) > Recovery) throw new SoakException($"no reply within {Recovery.TotalSeconds:F0} s after the failover (echo {_echo.RepliedSince(since)}, count {_count.RepliedSince(since)})");
                Thread.Sleep(10);
            }
        }

        public void Finish()
        {
            _echo.Finish();
            _count.Finish();
            Check();
        }

        public double Outage(long moment) => _echo.SilenceAfter(moment);

        public string Summary(long moment) => $"HTTP {_count.SilenceAfter(moment):F0} ms, {_echo.Replies} echoes, counted to {_count.Last}, {_count.Unacknowledged} requests unanswered";

        public void Dispose()
        {
            _echo.Dispose();
            _count.Dispose();
        }

        private void Check()
        {
            if (_echo.Failure is { } echo) throw new SoakException($"echo: {echo}");
            if (_count.Failure is { } count) throw new SoakException($"count: {count}");
        }
    }
}
