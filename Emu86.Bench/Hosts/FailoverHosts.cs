// `failover-hosts`: on hosts of their own, the live side's process is killed or its host is cut off, round after round; the cluster
// heals by itself. Times are taken from the fault: to the first frame of the guest from another host, to the next echoed reply, and
// to the next protection.
using System.Diagnostics;
using System.Globalization;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal static class FailoverHosts
{
    private const int RoundsToJudge = 20;
    private const int EchoPort = 7, CountPort = 80;
    private const double KillMedianMs = 100, KillP99Ms = 300, CutP99Ms = 600, ProtectedMs = 5000;
    private static readonly TimeSpan Recovery = TimeSpan.FromSeconds(30), Healing = TimeSpan.FromSeconds(60), Readiness = TimeSpan.FromSeconds(120);

    public static int Run(SoakOptions options)
    {
        if (HostNetwork.Problem is { } problem)
        {
            Console.WriteLine($"failover-hosts: skipped: {problem}");
            return 0;
        }
        using var cluster = new HostCluster(options, sides: 3);
        var random = new Random(options.Seed);
        ClusterHost live = cluster.Begin();
        using EchoTraffic echo = EchoTraffic.Open(cluster.Guest(EchoPort), options.Seed, Readiness);
        var count = new CountTraffic(cluster.Guest(CountPort), "/cgi-bin/count");
        echo.Start();
        count.Start();
        var kills = new Times("kill");
        var cuts = new Times("cut");
        for (int n = 1; n <= options.Rounds + options.Cuts; n++)
        {
            // Cuts are spread over the run.
            bool cut = n * options.Cuts / (options.Rounds + options.Cuts) > (n - 1) * options.Cuts / (options.Rounds + options.Cuts);
            live = Round(cluster, live, cut, random, echo, count, cut ? cuts : kills, $"failover-hosts {n}/{options.Rounds + options.Cuts} {(cut ? "cut" : "kill")}");
        }
        echo.Finish();
        count.Finish();
        Check(echo, count);
        int diverged = cluster.Hosts.Sum(h => h.Process.Count("diverged at"));
        bool held = diverged == 0;
        if (options.Rounds > 0) held &= kills.Print("first frame", KillMedianMs, KillP99Ms);
        if (options.Cuts > 0) held &= cuts.Print("first frame", CutP99Ms, CutP99Ms);
        Console.WriteLine($"failover-hosts: {echo.Replies} echoes on one connection, counted to {count.Last}, {count.Unacknowledged} requests unanswered, {diverged} divergences; all hosts share this machine");
        Console.WriteLine($"failover-hosts: {(held ? "held" : "NOT held")}");
        return held ? 0 : 1;
    }

    private static ClusterHost Round(HostCluster cluster, ClusterHost live, bool cut, Random random, EchoTraffic echo, CountTraffic count, Times times, string title)
    {
        Thread.Sleep(random.Next(300, 1500));
        Check(echo, count);
        ClusterHost next = cluster.BackupIn(ProtectionOf(live));
        int from = next.Process.Said;
        cluster.Frames.Forget(Stopwatch.GetTimestamp());
        long fault = Stopwatch.GetTimestamp();
        if (cut) live.Host.Cut(CutKind.Both);
        else live.Process.Signal(Side.SigKill);
        string went = next.Process.WaitFor("went live", Recovery, from);
        long wentLive = Stopwatch.GetTimestamp();
        SeenFrame first = WaitForFrame(cluster, next, fault);
        for (long began = Stopwatch.GetTimestamp(); !echo.RepliedSince(wentLive) || !count.RepliedSince(wentLive); Thread.Sleep(5))
        {
            Check(echo, count);
            if (Stopwatch.GetElapsedTime(began) > Recovery) throw new SoakException($"no reply within {Recovery.TotalSeconds:F0} s after the failover; {next.Process.Last()}");
        }
        next.Process.WaitFor("protected by", Healing, from);
        double healed = Stopwatch.GetElapsedTime(fault).TotalMilliseconds;
        // A cable is out when the command that takes it out has run, which on a busy host takes a while: the last frame of the old side says when.
        long last = cut ? cluster.Frames.Since(fault).TakeWhile(f => f.At < first.At).LastOrDefault(f => f.Port == live.Host.PortIndex).At : 0;
        double frame = Stopwatch.GetElapsedTime(long.Max(fault, last), first.At).TotalMilliseconds, outage = echo.SilenceAfter(fault);
        string parts = next.Process.WaitFor("of the outage", Recovery, from);
        times.Add(frame, outage, healed, parts);
        // What the loser sends after its cable is back: nothing of the guest.
        long back = Stopwatch.GetTimestamp();
        int loserSaid = live.Process.Said;
        if (cut)
        {
            live.Host.Heal();
            live.Process.WaitFor("waiting on", Healing, loserSaid);
        }
        else
        {
            _ = live.Process.WaitForExit(Recovery);
            cluster.Start(live);
            live.Process.WaitFor("waiting on", Healing);
        }
        int stray = cluster.Frames.Since(back).Count(f => f.Port == live.Host.PortIndex);
        if (stray > 0) throw new SoakException($"{live} sent {stray} frames of the guest after it had lost");
        Console.WriteLine($"{title} {live}: first frame of {next} after {frame:F0} ms, echo silent for {outage:F0} ms, protected again after {healed:F0} ms; {went[(went.IndexOf("went live", StringComparison.Ordinal) + 10)..]}: {string.Join(" + ", Numbers(parts))} ms");
        return next;
    }

    // The line that says by whom it is protected now: on a busy host one side may have taken the other for lost meanwhile.
    private static string ProtectionOf(ClusterHost live)
    {
        for (long began = Stopwatch.GetTimestamp(); ; Thread.Sleep(20))
        {
            string[] lines = live.Process.Lines();
            int at = Array.FindLastIndex(lines, l => l.Contains("protected by", StringComparison.Ordinal));
            if (at >= 0 && !lines[at..].Any(l => l.Contains("backup lost", StringComparison.Ordinal))) return lines[at];
            if (Stopwatch.GetElapsedTime(began) > Healing) throw new SoakException($"{live} is not protected any more; {live.Process.Last()}");
        }
    }

    private static SeenFrame WaitForFrame(HostCluster cluster, ClusterHost host, long since)
    {
        for (long began = Stopwatch.GetTimestamp(); ; Thread.Sleep(2))
        {
            SeenFrame frame = cluster.Frames.Since(since).FirstOrDefault(f => f.Port == host.Host.PortIndex);
            if (frame.At != 0) return frame;
            if (Stopwatch.GetElapsedTime(began) > Recovery) throw new SoakException($"no frame of the guest from {host}");
        }
    }

    // The sentence's numbers, in its order.
    private static double[] Numbers(string sentence) => [.. sentence[sentence.IndexOf("of the outage", StringComparison.Ordinal)..].Split(' ')
        .Select(w => double.TryParse(w, NumberStyles.None, CultureInfo.InvariantCulture, out double number) ? number : -1).Where(n => n >= 0)];

    private static void Check(EchoTraffic echo, CountTraffic count)
    {
        if (echo.Failure is { } no) throw new SoakException($"echo: {no}");
        if (count.Failure is { } nor) throw new SoakException($"count: {nor}");
    }

    /// <summary>What was measured for one kind of fault, in milliseconds.</summary>
    private sealed class Times(string kind)
    {
        private static readonly string[] Stations = ["noticed", "epoch won", "log executed", "world taken over"];

        private readonly List<double> _frames = [], _outages = [], _healed = [];
        private readonly List<double>[] _parts = [[], [], [], []];

        /// <param name="frame">To the first frame.</param>
        /// <param name="outage">The client's.</param>
        /// <param name="healed">To the next protection.</param>
        /// <param name="sentence">The new side's, of its outage's parts.</param>
        public void Add(double frame, double outage, double healed, string sentence)
        {
            _frames.Add(frame);
            _outages.Add(outage);
            _healed.Add(healed);
            double[] parts = Numbers(sentence);
            for (int n = 0; n < _parts.Length; n++) _parts[n].Add(parts[n]);
        }

        /// <summary>Whether the targets are held.</summary>
        public bool Print(string what, double medianMs, double p99Ms)
        {
            Console.WriteLine($"failover-hosts: {_frames.Count} × {kind}: {what} {_frames.Spread()} ms (target: median {medianMs:F0}, p99 {p99Ms:F0})");
            Console.WriteLine($"failover-hosts: {_frames.Count} × {kind}: client's echo silent {_outages.Spread()} ms, protected again {_healed.Spread()} ms (target {ProtectedMs:F0})");
            for (int n = 0; n < _parts.Length; n++) Console.WriteLine($"failover-hosts: {_frames.Count} × {kind}: until {Stations[n]} {_parts[n].Spread()} ms");
            // A handful of rounds says nothing about a median.
            return _frames.Count < RoundsToJudge || _frames.Quantile(0.5) <= medianMs && _frames.Quantile(0.99) <= p99Ms && _healed.Quantile(1) <= ProtectedMs;
        }
    }
}
