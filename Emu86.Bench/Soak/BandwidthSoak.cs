// `bandwidth`: what protection costs. Log kbit/s on an idle guest; seconds, processor time and guest MIPS of three jobs: protected, and
// unprotected alone and beside an independent machine. All in one live process, whose backup is killed and started anew: how fast a
// process runs depends on where its memory happens to lie (15 % here), so two processes cannot be compared. A host that others share
// takes 30 % more at one minute than at another: the shortest of many runs in turn is what protection itself costs.
using System.Diagnostics;
using System.Globalization;

namespace Emu86.Bench.Soak;

internal static class BandwidthSoak
{
    private const double IdleKbitsMax = 20, SlowdownMax = 0.03;

    /// <summary>The network jobs, whose time is mostly the network's, are done in so many rounds only.</summary>
    private const int NetworkRounds = 3;

    private static readonly GuestJob[] Jobs = [GuestJob.Cpu, GuestJob.Receive(4), GuestJob.Send(4)];

    public static int Run(SoakOptions options)
    {
        bool pinned = Cores.PinThisProcess();
        Console.WriteLine(pinned
            ? "bandwidth: the live side has a core of its own; backup or independent machine, switch and this tool have another"
            : "bandwidth: no taskset or one core only: the host places the processes");
        var costs = new Dictionary<(Setting, int), List<Cost>>();
        Cost idle = default;
        using var bench = new MeasuredMachines(options, pinned, Jobs);
        for (int round = 0; round < options.Rounds; round++)
        {
            foreach (Setting setting in Enum.GetValues<Setting>())
            {
                bench.Set(setting);
                if (setting == Setting.Protected && round == 0) idle = bench.Watch(() => bench.Rest(options.Duration));
                for (int job = 0; job < (round < NetworkRounds ? Jobs.Length : 1); job++)
                {
                    Cost cost = bench.Do(Jobs[job]);
                    if (!costs.TryGetValue((setting, job), out List<Cost>? list)) costs.Add((setting, job), list = []);
                    list.Add(cost);
                    Console.WriteLine($"bandwidth: round {round + 1}, {Jobs[job].Name}, {setting.Name()}: {cost.Seconds:F2} s, processor {cost.Processor:F2} s, {cost.Mips:F1} MIPS{(setting == Setting.Protected ? $", log {cost.LogKbits:F0} kbit/s" : "")}");
                }
            }
        }
        Console.WriteLine($"bandwidth: idle {options.Duration.TotalSeconds:F0} s: log {idle.LogKbits:F1} kbit/s, {idle.Mips:F2} MIPS; target under {IdleKbitsMax:F0} kbit/s");
        for (int job = 0; job < Jobs.Length; job++) Report(Jobs[job].Name, s => costs[(s, job)]);
        // The shortest runs are free of what the host does besides; the rounds' median keeps a lucky one from deciding.
        double slowdown = double.Max(Shortest(s => costs[(s, 0)], Setting.Beside, c => c.Seconds), Slowdowns(s => costs[(s, 0)], Setting.Beside, c => c.Seconds).Median());
        bool held = idle.LogKbits < IdleKbitsMax && slowdown < SlowdownMax;
        Console.WriteLine($"bandwidth: targets {(held ? "held" : "NOT held")} (idle under {IdleKbitsMax:F0} kbit/s; CPU job, by the shortest runs and by the median of the rounds, protected less than {SlowdownMax * 100:F0} % slower than beside an independent machine)");
        return held ? 0 : 1;
    }

    private static void Report(string job, Func<Setting, List<Cost>> of)
    {
        foreach (Setting setting in Enum.GetValues<Setting>())
        {
            List<Cost> all = of(setting);
            Console.WriteLine($"bandwidth: {job}, {setting.Name()}: min/median {all.Min(c => c.Seconds):F2}/{Median(all, c => c.Seconds):F2} s, processor {all.Min(c => c.Processor):F2}/{Median(all, c => c.Processor):F2} s, {all.Max(c => c.Mips):F1}/{Median(all, c => c.Mips):F1} MIPS");
        }
        string Percents(Setting other, Func<Cost, double> value)
        {
            double[] all = Slowdowns(of, other, value);
            return string.Create(CultureInfo.InvariantCulture, $"{Shortest(of, other, value) * 100:+0.0;-0.0} % (rounds {all.Min() * 100:+0.0;-0.0}/{all.Median() * 100:+0.0;-0.0}/{all.Max() * 100:+0.0;-0.0} %)");
        }
        string Against(Setting other) => $"{Percents(other, c => c.Seconds)}, processor {Percents(other, c => c.Processor)}";
        Console.WriteLine($"bandwidth: {job}, protected, by how much longer, shortest runs (min/median/max of the rounds): beside another {Against(Setting.Beside)}; alone {Against(Setting.Alone)}");
    }

    // What the shortest of all takes more than the other setting's.
    private static double Shortest(Func<Setting, List<Cost>> of, Setting other, Func<Cost, double> value) => of(Setting.Protected).Min(value) / of(other).Min(value) - 1;

    // One for each round: what one setting takes more than the other.
    private static double[] Slowdowns(Func<Setting, List<Cost>> of, Setting other, Func<Cost, double> value) =>
        [.. of(Setting.Protected).Zip(of(other), (mine, theirs) => value(mine) / value(theirs) - 1)];

    private static double Median(List<Cost> costs, Func<Cost, double> value) => costs.Select(value).ToArray().Median();
}
