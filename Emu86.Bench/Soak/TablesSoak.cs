// `tables`: the paper's Table 1 (speed of protected guests, and log) and Table 2 (the network at its full rate), on stand-ins for its
// workloads. Measured as `bandwidth` measures: one live process in three settings in turn, the shortest of several runs in each.
using System.Globalization;

namespace Emu86.Bench.Soak;

internal static class TablesSoak
{
    private const double CpuSpeedMin = 0.98, IoSpeedMin = 0.95, RateMin = 0.95;

    /// <summary>Log bytes for a thousand guest instructions, where the guest computes.</summary>
    private const double LogPerThousandMax = 0.05;

    private const double ReceivedMax = 1.05, SentMax = 0.01;

    private static readonly GuestJob[] Jobs = [GuestJob.Transactions, GuestJob.Compile, GuestJob.Database, GuestJob.Receive(32), GuestJob.Send(8)];

    public static int Run(SoakOptions options)
    {
        options.NeedWorkloads();
        bool pinned = Cores.PinThisProcess();
        var costs = Jobs.ToDictionary(j => j, _ => Enum.GetValues<Setting>().ToDictionary(s => s, _ => new List<Cost>()));
        using var bench = new MeasuredMachines(options, pinned, Jobs, hasWorkloads: true);
        for (int round = 0; round < options.Rounds; round++)
        {
            foreach (Setting setting in Enum.GetValues<Setting>())
            {
                bench.Set(setting);
                foreach (GuestJob job in Jobs)
                {
                    Cost cost = bench.Do(job);
                    costs[job][setting].Add(cost);
                    Console.WriteLine(Text($"tables: round {round + 1}, {job.Name}, {setting.Name()}: {cost.Seconds:F2} s, {cost.Mips:F0} MIPS{(setting == Setting.Protected ? Text($", log {cost.LogKbits:F0} kbit/s") : "")}"));
                }
            }
        }
        Console.WriteLine();
        Console.WriteLine("| Table 1 | protected, s | beside another machine, s | alone, s | speed against beside | against alone | log, kbit/s | log bytes per 1,000 instructions |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|");
        bool held = true;
        foreach (GuestJob job in Jobs.Where(j => j.Bytes == 0))
        {
            (Cost mine, Cost beside, Cost alone) = Shortest(costs[job]);
            double speed = beside.Seconds / mine.Seconds, logged = mine.LogBytes / mine.Instructions * 1000;
            bool computes = job.Talk is null;
            held &= speed >= (computes ? CpuSpeedMin : IoSpeedMin) && (!computes || logged <= LogPerThousandMax);
            Console.WriteLine(Text($"| {job.Name} | {mine.Seconds:F2} | {beside.Seconds:F2} | {alone.Seconds:F2} | {speed:F3} ({Rounds(costs[job], Setting.Beside)}) | {alone.Seconds / mine.Seconds:F3} ({Rounds(costs[job], Setting.Alone)}) | {mine.LogKbits:F0} | {logged:F4} |"));
        }
        Console.WriteLine();
        Console.WriteLine("| Table 2 | protected, Mbit/s | beside another machine, Mbit/s | alone, Mbit/s | rate against beside | against alone | log, kbit/s | log bytes per guest byte |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|");
        foreach (GuestJob job in Jobs.Where(j => j.Bytes > 0))
        {
            (Cost mine, Cost beside, Cost alone) = Shortest(costs[job]);
            double Rate(Cost cost) => job.Bytes * 8 / cost.Seconds / 1e6;
            double rate = beside.Seconds / mine.Seconds, logged = mine.LogBytes / job.Bytes;
            held &= rate >= RateMin && logged <= (job.Name == "receive" ? ReceivedMax : SentMax);
            Console.WriteLine(Text($"| {job.Name} | {Rate(mine):F1} | {Rate(beside):F1} | {Rate(alone):F1} | {rate:F3} ({Rounds(costs[job], Setting.Beside)}) | {alone.Seconds / mine.Seconds:F3} ({Rounds(costs[job], Setting.Alone)}) | {mine.LogKbits:F0} | {logged:F4} |"));
        }
        Console.WriteLine();
        Console.WriteLine(Text($"tables: targets {(held ? "held" : "NOT held")} (speed, against an independent machine beside it: {CpuSpeedMin} computing, {IoSpeedMin} with disk and network, {RateMin} of the network's rate; log bytes: {LogPerThousandMax} per 1,000 instructions computing, {ReceivedMax} for a byte received, {SentMax} for one sent)"));
        return held ? 0 : 1;
    }

    private static (Cost Mine, Cost Beside, Cost Alone) Shortest(Dictionary<Setting, List<Cost>> costs) =>
        (costs[Setting.Protected].MinBy(c => c.Seconds), costs[Setting.Beside].MinBy(c => c.Seconds), costs[Setting.Alone].MinBy(c => c.Seconds));

    // Of the rounds: least, median, greatest.
    private static string Rounds(Dictionary<Setting, List<Cost>> costs, Setting other)
    {
        double[] all = [.. costs[Setting.Protected].Zip(costs[other], (mine, theirs) => theirs.Seconds / mine.Seconds)];
        return Text($"{all.Min():F2}/{all.Median():F2}/{all.Max():F2}");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
