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

    /// <summary>Each job is done so often in a setting; the shortest of them counts.</summary>
    private const int Repeats = 3;

    private const int WarmUps = 8;

    /// <summary>The network jobs, whose time is mostly the network's, are done in so many rounds only.</summary>
    private const int NetworkRounds = 3;

    private enum Setting
    {
        /// <summary>Primary and backup.</summary>
        Protected,

        /// <summary>Unprotected while another, independent machine does the same job on the other core: what sharing the host costs.</summary>
        Beside,

        /// <summary>Unprotected, and the other core idle.</summary>
        Alone,
    }

    /// <summary>A job's seconds on the host's clock and of the live side's processor time, guest MIPS, and log kbit/s.</summary>
    private readonly record struct Cost(double Seconds, double Processor, double Mips, double LogKbits);

    public static int Run(SoakOptions options)
    {
        bool pinned = Cores.PinThisProcess();
        Console.WriteLine(pinned
            ? "bandwidth: the live side has a core of its own; backup or independent machine, switch and this tool have another"
            : "bandwidth: no taskset or one core only: the host places the processes");
        var costs = new Dictionary<(Setting, int), List<Cost>>();
        double idleKbits = 0, idleMips = 0;
        using var bench = new Machines(options, pinned);
        for (int round = 0; round < options.Rounds; round++)
        {
            foreach (Setting setting in Enum.GetValues<Setting>())
            {
                bench.Set(setting);
                if (setting == Setting.Protected && round == 0) (_, _, idleMips, idleKbits) = bench.Watch(() => bench.Rest(options.Duration));
                for (int job = 0; job < (round < NetworkRounds ? GuestJob.All.Length : 1); job++)
                {
                    Cost cost = bench.Do(GuestJob.All[job]);
                    if (!costs.TryGetValue((setting, job), out List<Cost>? list)) costs.Add((setting, job), list = []);
                    list.Add(cost);
                    Console.WriteLine($"bandwidth: round {round + 1}, {GuestJob.All[job].Name}, {Name(setting)}: {cost.Seconds:F2} s, processor {cost.Processor:F2} s, {cost.Mips:F1} MIPS{(setting == Setting.Protected ? $", log {cost.LogKbits:F0} kbit/s" : "")}");
                }
            }
        }
        Console.WriteLine($"bandwidth: idle {options.Duration.TotalSeconds:F0} s: log {idleKbits:F1} kbit/s, {idleMips:F2} MIPS; target under {IdleKbitsMax:F0} kbit/s");
        for (int job = 0; job < GuestJob.All.Length; job++) Report(GuestJob.All[job].Name, s => costs[(s, job)]);
        // The shortest runs are free of what the host does besides; the rounds' median keeps a lucky one from deciding.
        double slowdown = double.Max(Shortest(s => costs[(s, 0)], Setting.Beside, c => c.Seconds), Slowdowns(s => costs[(s, 0)], Setting.Beside, c => c.Seconds).Median());
        bool held = idleKbits < IdleKbitsMax && slowdown < SlowdownMax;
        Console.WriteLine($"bandwidth: targets {(held ? "held" : "NOT held")} (idle under {IdleKbitsMax:F0} kbit/s; CPU job, by the shortest runs and by the median of the rounds, protected less than {SlowdownMax * 100:F0} % slower than beside an independent machine)");
        return held ? 0 : 1;
    }

    private static string Name(Setting setting) => setting switch { Setting.Alone => "alone", Setting.Beside => "beside another", _ => "protected" };

    private static void Report(string job, Func<Setting, List<Cost>> of)
    {
        foreach (Setting setting in Enum.GetValues<Setting>())
        {
            List<Cost> all = of(setting);
            Console.WriteLine($"bandwidth: {job}, {Name(setting)}: min/median {all.Min(c => c.Seconds):F2}/{Median(all, c => c.Seconds):F2} s, processor {all.Min(c => c.Processor):F2}/{Median(all, c => c.Processor):F2} s, {all.Max(c => c.Mips):F1}/{Median(all, c => c.Mips):F1} MIPS");
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

    /// <summary>Primary, backup and the independent machine, booted.</summary>
    private sealed class Machines : IDisposable
    {
        private static readonly TimeSpan ToProtect = TimeSpan.FromSeconds(180);

        private readonly GuestShell _shell = new(), _otherShell = new();
        private readonly SoakPair _pair;
        private readonly Side _live;
        private readonly int _otherPort = SoakPair.FreePorts(1)[0];
        private Side? _backup;
        private Setting _setting = Setting.Protected;

        public Machines(SoakOptions options, bool pinned)
        {
            _pair = new SoakPair(options) { SerialPort = _shell.Port, LiveCore = pinned ? Cores.Live : null };
            _backup = _pair.StartBackup();
            _live = _pair.StartPrimary();
            _live.WaitFor("protected by", ToProtect);
            _pair.StartIndependent(_otherShell.Port, _otherPort);
            foreach (GuestShell shell in new[] { _shell, _otherShell })
            {
                shell.WaitFor("emu86-guest: ready", TimeSpan.FromSeconds(400));
                shell.WaitFor("emu86:/# ", TimeSpan.FromSeconds(60));
            }
            // The compiler's work is done before anything is measured.
            foreach (GuestJob job in GuestJob.All) job.Run(_shell, _pair.ExtraPort);
        }

        public void Set(Setting setting)
        {
            _setting = setting;
            bool isProtected = setting == Setting.Protected, isNew = isProtected && _backup is null;
            if (!isProtected) _backup?.Signal(Side.SigKill);
            if (isNew) _backup = _pair.StartBackup();
            if (!isProtected) _backup = null;
            for (var began = Stopwatch.StartNew(); _pair.StatusOfFirst("protected") != 0 != isProtected; Thread.Sleep(100))
            {
                if (began.Elapsed > ToProtect) throw new SoakException($"the live side should be {(isProtected ? "protected" : "unprotected")} within {ToProtect.TotalSeconds:F0} s; {_live.Last()}");
            }
            // Until its compilers are done a new backup is slower than the live side, which waits for it.
            for (int n = 0; isNew && n < WarmUps; n++) GuestJob.All[0].Run(_shell, _pair.ExtraPort);
            Rest(TimeSpan.FromSeconds(3));
        }

        public TimeSpan Rest(TimeSpan time)
        {
            Thread.Sleep(time);
            return time;
        }

        public Cost Do(GuestJob job)
        {
            using var other = new Neighbour(job, _setting == Setting.Beside ? _otherShell : null, _otherPort);
            return Enumerable.Range(0, Repeats).Select(_ => Watch(() => job.Run(_shell, _pair.ExtraPort))).MinBy(c => c.Seconds);
        }

        /// <summary>What something costs the live side. Nothing is asked of it meanwhile.</summary>
        public Cost Watch(Func<TimeSpan> something)
        {
            double instructions = _pair.StatusOfFirst("instructionCount"), logged = _setting == Setting.Protected ? _pair.StatusOfFirst("logBytes") : 0;
            TimeSpan processor = _live.ProcessorTime;
            double seconds = something().TotalSeconds;
            processor = _live.ProcessorTime - processor;
            // The status is published twenty times a second; what an idle guest executes until then is nothing beside the job.
            Thread.Sleep(60);
            instructions = _pair.StatusOfFirst("instructionCount") - instructions;
            logged = _setting == Setting.Protected ? _pair.StatusOfFirst("logBytes") - logged : 0;
            return new Cost(seconds, processor.TotalSeconds, instructions / seconds / 1e6, logged * 8 / 1000 / seconds);
        }

        public void Dispose()
        {
            _pair.Dispose();
            _shell.Dispose();
            _otherShell.Dispose();
        }
    }

    /// <summary>The independent machine: does the job over and over until disposed.</summary>
    private sealed class Neighbour : IDisposable
    {
        private readonly Thread? _thread;
        private volatile bool _done;
        private Exception? _failed;

        public Neighbour(GuestJob job, GuestShell? shell, int port)
        {
            if (shell is null) return;
            _thread = new Thread(() =>
            {
                try
                {
                    while (!_done) job.Run(shell, port);
                }
                catch (SoakException e)
                {
                    _failed = e;
                }
            });
            _thread.Start();
        }

        public void Dispose()
        {
            _done = true;
            _thread?.Join();
            if (_failed is not null) Console.WriteLine($"bandwidth: the independent machine did not do its job: {_failed.Message}");
        }
    }
}
