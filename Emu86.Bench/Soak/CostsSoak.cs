// `costs`: what state hashes and heartbeats cost a protected guest: pairs that differ in nothing else, in turn. A process runs up to 15 %
// faster or slower by where its memory lies, so each round has new processes, and the shortest runs of all rounds are compared. That is
// more than a hash a second can be seen through; a pair that does a hundred times as much shows what one costs.
using System.Globalization;

namespace Emu86.Bench.Soak;

internal static class CostsSoak
{
    /// <summary>Each job is done so often in a pair, after so many that are not counted.</summary>
    private const int Repeats = 6, WarmUps = 8;

    private static readonly TimeSpan ToProtect = TimeSpan.FromSeconds(180);

    private static readonly Pairs[] All =
    [
        new("as usual", [], HasHashes: true),
        new("without hashes", ["--hash-every", "3600000"], HasHashes: false),
        new("a heartbeat a second", ["--heartbeat", "1000", "--failure-timeout", "10000"], HasHashes: true),
        new("without both", ["--hash-every", "3600000", "--heartbeat", "1000", "--failure-timeout", "10000"], HasHashes: false),
        new("a hundred hashes a second", ["--hash-every", "10"], HasHashes: true),
        new("500 heartbeats a second", ["--heartbeat", "2"], HasHashes: true),
    ];

    private static readonly GuestJob[] Jobs = [GuestJob.Cpu, GuestJob.Transactions];

    public static int Run(SoakOptions options)
    {
        options.NeedWorkloads();
        bool pinned = Cores.PinThisProcess();
        var costs = Jobs.ToDictionary(j => j, _ => All.ToDictionary(p => p, _ => new List<Cost>()));
        for (int round = 0; round < options.Rounds; round++)
        {
            foreach (Pairs kind in All)
            {
                foreach ((GuestJob job, Cost cost) in Measure(options, kind, pinned))
                {
                    costs[job][kind].Add(cost);
                    Console.WriteLine(Text($"costs: round {round + 1}, {job.Name}, {kind.Name}: {cost.Seconds:F3} s, processor {cost.Processor:F3} s, {cost.Mips:F0} MIPS, log {cost.LogKbits:F0} kbit/s"));
                }
            }
        }
        Console.WriteLine();
        Console.WriteLine("| job | pair | s: min/median | processor s: min/median | longer than without both: by the shortest, by the median | processor | log, kbit/s |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        Pairs without = All.Single(p => p.Name == "without both");
        foreach (GuestJob job in Jobs)
        {
            foreach (Pairs kind in All)
            {
                List<Cost> mine = costs[job][kind], theirs = costs[job][without];
                string More(Func<Cost, double> value) => Text($"{(mine.Min(value) / theirs.Min(value) - 1) * 100:+0.0;-0.0} %, {(Median(mine, value) / Median(theirs, value) - 1) * 100:+0.0;-0.0} %");
                Console.WriteLine(Text($"| {job.Name} | {kind.Name} | {mine.Min(c => c.Seconds):F3}/{Median(mine, c => c.Seconds):F3} | {mine.Min(c => c.Processor):F3}/{Median(mine, c => c.Processor):F3} | {More(c => c.Seconds)} | {More(c => c.Processor)} | {Median(mine, c => c.LogKbits):F0} |"));
            }
        }
        return 0;
    }

    // A pair of its own: booted, protected, warmed up, and each job done several times in turn.
    private static List<(GuestJob Job, Cost Cost)> Measure(SoakOptions options, Pairs kind, bool pinned)
    {
        using var shell = new GuestShell();
        using var pair = new SoakPair(options) { SerialPort = shell.Port, LiveCore = pinned ? Cores.Live : null, HasWorkloads = true };
        pair.StartBackup(kind.Options);
        Side live = pair.StartPrimary(kind.Options);
        live.WaitFor("protected by", ToProtect);
        shell.WaitUntilReady();
        for (int n = 0; n < WarmUps; n++)
        {
            foreach (GuestJob job in Jobs) job.Run(shell, pair.ExtraPort);
        }
        double hashes = pair.StatusOfSecond("hashesChecked");
        var costs = new List<(GuestJob, Cost)>();
        for (int n = 0; n < Repeats; n++)
        {
            foreach (GuestJob job in Jobs) costs.Add((job, Cost.Of(pair, live, isProtected: true, () => job.Run(shell, pair.ExtraPort))));
        }
        hashes = pair.StatusOfSecond("hashesChecked") - hashes;
        if (hashes > 0 != kind.HasHashes) throw new SoakException($"{kind.Name}: the backup compared {hashes:F0} state hashes meanwhile");
        if (pair.StatusOfFirst("protected") == 0) throw new SoakException($"{kind.Name}: the pair is not protected any more; {live.Last()}");
        return costs;
    }

    private static double Median(List<Cost> costs, Func<Cost, double> value) => costs.Select(value).ToArray().Median();

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>A kind of pair.</summary>
    /// <param name="Name">As printed.</param>
    /// <param name="Options">Both sides', beyond those that all have.</param>
    /// <param name="HasHashes">State hashes are compared while a job runs.</param>
    private sealed record Pairs(string Name, string[] Options, bool HasHashes);
}
