// `chaos`: Linux with a disk on a cluster of four hosts, clients that count and write records, and one fault after the other. At
// the end the clients' histories, the frames of the guest, the state hashes and the guest's file system are judged.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal sealed class ChaosSoak : IDisposable
{
    private const int HttpPort = 80, EchoPort = 7, Sides = 4, RootOffset = (2048 + 40960) * 512;
    private static readonly TimeSpan Recovery = TimeSpan.FromSeconds(90), LineLate = TimeSpan.FromSeconds(5), Readiness = TimeSpan.FromSeconds(120);

    private readonly SoakOptions _options;
    private readonly Random _random;
    private readonly HostCluster _cluster;
    private readonly List<StepTraffic> _counts = [], _records = [];
    private readonly Dictionary<string, List<double>> _recoveries = [];
    private readonly Dictionary<Side, long> _hashes = [];
    private EchoTraffic? _echo;
    private ClusterHost _live;
    private int _unasked;

    private ChaosSoak(SoakOptions options)
    {
        _options = options;
        _random = new Random(options.Seed);
        _cluster = new HostCluster(options, Sides, Path.Combine(options.GuestDirectory, "disk.img"), options.SharesDisk);
        _live = _cluster.Hosts[0];
    }

    public static int Run(SoakOptions options)
    {
        if (HostNetwork.Problem is { } problem)
        {
            Console.WriteLine($"chaos: skipped: {problem}");
            return 0;
        }
        using var soak = new ChaosSoak(options);
        return soak.Run();
    }

    public void Dispose()
    {
        foreach (StepTraffic traffic in _counts.Concat(_records)) traffic.Dispose();
        _echo?.Dispose();
        _cluster.Dispose();
    }

    private int Run()
    {
        _live = _cluster.Begin();
        Open();
        long began = Stopwatch.GetTimestamp();
        int faults = 0;
        while (Stopwatch.GetElapsedTime(began) < _options.Duration)
        {
            if (FindLive() != _live)
            {
                // A busy host's doing: two faults at once are promised to nobody.
                _unasked++;
                _live = AwaitWhole($"chaos {Stopwatch.GetElapsedTime(began).TotalSeconds:F0} s, without a fault");
            }
            var fault = Fault.Next(_random, _live, _cluster);
            string title = $"chaos {Stopwatch.GetElapsedTime(began).TotalSeconds:F0} s, fault {++faults}: {fault.Kind} {(fault.Victim is null ? "" : $"of {fault.Victim} ({RoleOf(fault.Victim)}) ")}for {fault.Lasts.TotalSeconds:F1} s";
            double recovered = Suffer(fault, title);
            Console.WriteLine($"{title}: recovered after {recovered:F1} s, {_live} is live");
            Thread.Sleep(_random.Next(500, 2500));
        }
        return Judge(faults) ? 0 : 1;
    }

    private void Open()
    {
        Service http = _cluster.Guest(HttpPort);
        for (long began = Stopwatch.GetTimestamp(); ; Thread.Sleep(200))
        {
            try
            {
                _ = GuestHttp.Get(http, "/", TimeSpan.FromSeconds(3));
                break;
            }
            catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException && Stopwatch.GetElapsedTime(began) < Readiness)
            {
                // It boots.
            }
        }
        for (int n = 0; n < 3; n++) _counts.Add(new StepTraffic(http, "/cgi-bin/count", null, 60, _options.Seed + n));
        for (int n = 0; n < 3; n++) _records.Add(new StepTraffic(http, "/cgi-bin/append?", $"c{n}", 250, _options.Seed + 10 + n));
        foreach (StepTraffic traffic in _counts.Concat(_records)) traffic.Start();
        _echo = EchoTraffic.Open(_cluster.Guest(EchoPort), _options.Seed, Readiness);
        _echo.Start();
    }

    private string RoleOf(ClusterHost host) => host == _live ? "live" : _cluster.StatusOf(host)?["role"]?.GetValue<string>() ?? "no answer";

    /// <summary>One fault from its begin to the moment at which it is mended, the guest answers, and is protected; in seconds.</summary>
    private double Suffer(Fault fault, string title)
    {
        long began = Stopwatch.GetTimestamp();
        fault.Begin(_cluster);
        Thread.Sleep(fault.Lasts);
        fault.End(_cluster);
        _live = AwaitWhole(title);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        string key = $"{fault.Kind}";
        if (!_recoveries.TryGetValue(key, out List<double>? all)) _recoveries[key] = all = [];
        all.Add(seconds - fault.Lasts.TotalSeconds);
        return seconds;
    }

    // Until one side is live and protected and the guest answers all its clients.
    private ClusterHost AwaitWhole(string title)
    {
        for (long began = Stopwatch.GetTimestamp(); ; Thread.Sleep(20))
        {
            CheckTraffic(title);
            if (Stopwatch.GetElapsedTime(began) > Recovery) throw new SoakException($"{title}: not recovered within {Recovery.TotalSeconds:F0} s; {Said()}");
            long asked = Stopwatch.GetTimestamp();
            if (FindLive() is { } live && Answered(asked)) return live;
        }
    }

    private string Said() => string.Join("; ", _cluster.Hosts.Select(h => h.Process.Last()));

    // The one that is live and protected, when there is just one that says so.
    private ClusterHost? FindLive()
    {
        ClusterHost? found = null;
        foreach (ClusterHost host in _cluster.Hosts)
        {
            JsonNode? status = _cluster.StatusOf(host);
            if (status?["hashesChecked"]?.GetValue<long>() is { } hashes) _hashes[host.Process] = long.Max(hashes, _hashes.GetValueOrDefault(host.Process));
            if (status?["role"]?.GetValue<string>() != "primary") continue;
            if (found is not null || status["protected"]?.GetValue<bool>() != true) return null;
            found = host;
        }
        return found;
    }

    private bool Answered(long since)
    {
        for (long began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < TimeSpan.FromSeconds(5); Thread.Sleep(10))
        {
            if (_echo!.RepliedSince(since) && _counts.Exists(c => c.RepliedSince(since)) && _records.Exists(r => r.RepliedSince(since))) return true;
        }
        return false;
    }

    private void CheckTraffic(string title)
    {
        foreach (Traffic traffic in _counts.Concat(_records).Append<Traffic>(_echo!))
        {
            if (traffic.Failure is { } failure) throw new SoakException($"{title}: {failure}; {Said()}");
        }
    }

    private bool Judge(int faults)
    {
        foreach (StepTraffic traffic in _counts.Concat(_records)) traffic.Finish();
        _echo!.Finish();
        CheckTraffic("at the end");
        Service http = _cluster.Guest(HttpPort);
        // One more step, whose number says how many there are.
        long counted = GuestHttp.Number(http, "/cgi-bin/count", TimeSpan.FromSeconds(10)) - 1;
        Step[] counts = [.. _counts.SelectMany(c => c.Steps)], records = [.. _records.SelectMany(r => r.Steps)];
        string[] lines = Lines(GuestHttp.Get(http, "/log.txt", TimeSpan.FromSeconds(30)));
        bool held = Say("increments", History.Problem(counts, counted), $"{counts.Length} asked for, {counts.Count(c => c.Number != 0)} acknowledged, {counted} counted");
        held &= Say("records", History.Problem(records, lines), $"{records.Length} asked for, {records.Count(r => r.Number != 0)} acknowledged, {lines.Length} on the disk as the guest sees it");
        held &= Say("connection", null, $"{_echo.Replies} echoes on one connection");
        string[] said = [.. _cluster.Processes.SelectMany(p => p.Lines())];
        int diverged = said.Count(l => l.Contains("diverged at", StringComparison.Ordinal));
        held &= Say("state hashes", diverged > 0 ? $"{diverged} differences" : _hashes.Values.Sum() == 0 ? "none were compared" : null, $"0 differences, at least {_hashes.Values.Sum()} equal");
        SeenFrame[] frames = _cluster.Frames.Since(0);
        LiveSide[] sides = [.. _cluster.Hosts.SelectMany(LivesOf)];
        held &= Say("live sides", LiveSides.Problem(frames, sides, (long)(LineLate.TotalSeconds * Stopwatch.Frequency)), $"one at a time, {sides.Length} in all, by {frames.Length} frames of the guest");
        held &= CheckDisk(lines);
        foreach ((string kind, List<double> times) in _recoveries.OrderBy(r => r.Key)) Console.WriteLine($"chaos: {times.Count} × {kind}: recovered {times.Spread("F1")} s after it was mended");
        Console.WriteLine($"chaos: {faults} faults with seed {_options.Seed} in {_options.Duration.TotalMinutes:F0} minutes, {(_options.SharesDisk ? "one disk for all on an NBD server, " : "")}all hosts on this machine, {_unasked} times protection was lost or moved without one: {(held ? "held" : "NOT held")}");
        return held;
    }

    // The guest is switched off in good order; then its disk is looked at from outside.
    private bool CheckDisk(string[] lines)
    {
        _cluster.Control(_live, "powerbutton");
        if (_live.Process.WaitForExit(Recovery) != 0) return Say("disk", $"the live side did not end with 0; {_live.Process.Last()}", "");
        string image = $"{_cluster.ImageOf(_live)}?offset={RootOffset}";
        Side fsck = Side.StartCommand("e2fsck", ["e2fsck", "-fn", image], _options.Verbose);
        int code = fsck.WaitForExit(Recovery);
        string copy = Path.Combine(Path.GetDirectoryName(_cluster.ImageOf(_live))!, "log.txt");
        Side dump = Side.StartCommand("debugfs", ["debugfs", "-R", $"dump /data/log.txt {copy}", image], _options.Verbose);
        _ = dump.WaitForExit(Recovery);
        bool same = File.Exists(copy) && Lines(File.ReadAllText(copy)).SequenceEqual(lines);
        return Say("disk", code != 0 ? $"e2fsck ends with {code}; {fsck.Last()}" : same ? null : "the records in the image are not those that the guest saw", "the file system is clean, with every record");
    }

    private static bool Say(string what, string? problem, string otherwise)
    {
        Console.WriteLine($"chaos: {what}: {(problem is null ? $"held: {otherwise}" : $"NOT held: {problem}")}");
        return problem is null;
    }

    // When processes of the host became the live side.
    private IEnumerable<LiveSide> LivesOf(ClusterHost host) => _cluster.Processes.Where(p => p.Name == host.Host.Name)
        .SelectMany(p => p.Heard("role primary epoch ").Concat(p.Heard("went live epoch ")))
        .Select(l => new LiveSide(long.Parse(l.Line.Split("epoch ")[1].Split(' ')[0], CultureInfo.InvariantCulture), host.Host.PortIndex, l.Heard));

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
