// What the runs of the guest say, as a table.
using System.Globalization;

namespace Emu86.Bench.Guests;

/// <summary>Collects samples by emulator and program, and prints them.</summary>
internal sealed class GuestTable(Settings settings, IReadOnlyList<Emulator> emulators)
{
    private readonly Dictionary<(string Emulator, string Program), List<Sample>> _samples = [];
    private readonly Dictionary<string, string> _checksums = [];
    private readonly Dictionary<string, double> _instructions = [];
    private readonly Dictionary<string, long> _peaksKib = [];

    /// <summary>A program was missing, failed, or computed something else than in another emulator.</summary>
    public bool Failed { get; private set; }

    /// <summary>Takes instruction counts from a run in which guest time counts instructions.</summary>
    public void Count(List<GuestLine> lines)
    {
        foreach (GuestLine line in lines)
        {
            if (Result(line.Text) is { } result) _instructions[result.Program] = result.Seconds * 1e9 / Emu86.CountingNs;
        }
    }

    /// <summary>Takes the times of a run.</summary>
    public void Add(string emulator, List<GuestLine> lines)
    {
        var seen = new Dictionary<string, int>();
        GuestLine? begin = null;
        _peaksKib[emulator] = long.Max(_peaksKib.GetValueOrDefault(emulator), lines.Count > 0 ? lines.Max(l => l.MemoryKib) : 0);
        foreach (GuestLine line in lines)
        {
            if (line.Text.EndsWith("emu86-guest: userspace", StringComparison.Ordinal)) Take(emulator, GuestBenchmark.Boot, new Sample(line.Wall, line.Processor));
            else if (line.Text.StartsWith("emu86-guest: begin ", StringComparison.Ordinal)) begin = line;
            else if (Result(line.Text) is { } result && begin is { } from)
            {
                int times = seen[result.Program] = seen.GetValueOrDefault(result.Program) + 1;
                if (times == settings.Passes) Take(emulator, result.Program, new Sample(line.Wall - from.Wall, line.Processor - from.Processor));
                // A process number of the host's is another one.
                bool isGuest = emulators.First(e => e.Name == emulator).Boots;
                if (isGuest && !_checksums.TryAdd(result.Program, result.Checksum) && _checksums[result.Program] != result.Checksum)
                {
                    Fail($"{result.Program} gave checksum {result.Checksum} in {emulator}, {_checksums[result.Program]} elsewhere");
                }
            }
        }
        foreach (string job in settings.Jobs.Split(',').Where(j => seen.GetValueOrDefault(j) < settings.Passes)) Fail($"{job} gave no result in {emulator}; the last line was: {(lines.Count > 0 ? lines[^1].Text : "none")}");
    }

    /// <summary>Prints the table as Markdown.</summary>
    public void Print(TextWriter to)
    {
        string[] peers = [.. emulators.Skip(1).Select(e => e.Name)], unbooted = [.. emulators.Where(e => !e.Boots).Select(e => e.Name)];
        to.WriteLine($"{settings.Runs} rounds, medians; {(settings.ProcessorTime ? "processor" : "wall clock")} seconds on the host; ratio = time of the other / time of emu86 (min median max over rounds){(settings.OwnCores ? "; each on a processor of its own, the second time that a program runs" : "")}");
        to.WriteLine();
        to.WriteLine($"| program | emu86 s |{string.Concat(peers.Select(p => $" {p} s |"))} emu86 MIPS |{string.Concat(peers.Select(p => $" ratio to {p} |"))}");
        to.WriteLine($"|---|---:|{string.Concat(peers.Select(_ => "---:|"))}---:|{string.Concat(peers.Select(_ => "---|"))}");
        var logs = peers.ToDictionary(p => p, _ => new List<double>());
        foreach (string program in settings.Jobs.Split(',').Prepend(GuestBenchmark.Boot))
        {
            double[] ours = Times(Emu86.Subject, program);
            string mips = ours.Length > 0 && _instructions.TryGetValue(program, out double count) ? Text(count / ours.Median() / 1e6, 0) : "";
            to.Write($"| {program} | {(ours.Length > 0 ? Text(ours.Median(), 2) : "failed")} |");
            foreach (string peer in peers)
            {
                if (program == GuestBenchmark.Boot && unbooted.Contains(peer)) to.Write(" |");
                else to.Write(Times(peer, program) is { Length: > 0 } theirs ? $" {Text(theirs.Median(), 2)} |" : " failed |");
            }
            to.Write($" {mips} |");
            foreach (string peer in peers)
            {
                double[] ratios = [.. Times(peer, program).Zip(ours, (theirs, own) => theirs / double.Max(own, 0.001)).Where(r => r > 0).Order()];
                if (ratios.Length == 0) to.Write(" |");
                else
                {
                    to.Write($" {Text(ratios[0], 3)} **{Text(ratios.Median(), 3)}** {Text(ratios[^1], 3)} |");
                    if (program != GuestBenchmark.Boot) logs[peer].Add(double.Log(ratios.Median()));
                }
            }
            to.WriteLine();
        }
        to.WriteLine();
        foreach (string peer in peers.Where(p => logs[p].Count > 0))
        {
            to.WriteLine($"Geometric mean of the ratios to {peer}, {logs[peer].Count} programs without boot: {Text(double.Exp(logs[peer].Average()), 3)}");
        }
        to.WriteLine($"Peak memory in MiB, with the guest's 128: {Peaks()}");
    }

    /// <summary>The most memory that the processes had, guest's included.</summary>
    private string Peaks() => string.Join(", ", emulators.Where(e => e.Boots).Select(e => $"{e.Name} {_peaksKib.GetValueOrDefault(e.Name) >> 10}"));

    private double[] Times(string emulator, string program) =>
        _samples.TryGetValue((emulator, program), out List<Sample>? list) ? [.. list.Select(s => (settings.ProcessorTime ? s.Processor : s.Wall).TotalSeconds)] : [];

    private void Take(string emulator, string program, Sample sample)
    {
        if (!_samples.TryGetValue((emulator, program), out List<Sample>? list)) _samples[(emulator, program)] = list = [];
        list.Add(sample);
    }

    private void Fail(string sentence)
    {
        Failed = true;
        Console.Error.WriteLine($"bench: {sentence}");
    }

    /// <summary><c>bench NAME SECONDS checksum HEX</c> (guests/bench/README.md).</summary>
    private static (string Program, double Seconds, string Checksum)? Result(string line)
    {
        string[] words = line.Split(' ');
        if (words is not ["bench", var program, var seconds, "checksum", var checksum]) return null;
        return double.TryParse(seconds, CultureInfo.InvariantCulture, out double value) ? (program, value, checksum) : null;
    }

    private static string Text(double value, int decimals) => value.ToString("F" + decimals, CultureInfo.InvariantCulture);
}
