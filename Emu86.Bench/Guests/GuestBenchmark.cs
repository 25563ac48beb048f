// `guests`: boots the same Linux guest in emu86 and in its peers, in turn, and compares how long its programs take.
using System.Globalization;

namespace Emu86.Bench.Guests;

/// <summary>What one run says about one program.</summary>
internal readonly record struct Sample(TimeSpan Wall, TimeSpan Processor);

internal sealed record Settings(Guest Guest, IReadOnlyList<string> Peers, int Runs, string Jobs, string? Program, string Engine, bool ProcessorTime, bool OwnCores, TimeSpan Timeout)
{
    /// <summary>How often each program runs in an emulator; the last time is taken. With a processor for each side it is the second: during
    /// the first the backup still catches up with what was executed while it was cloned.</summary>
    public int Passes => OwnCores ? 2 : 1;

    /// <summary>All passes.</summary>
    public string AllJobs => string.Join(',', Enumerable.Repeat(Jobs, Passes));

    public const string Usage = """
        Emu86.Bench guests [--against qemu,qemu-icount,bochs,interpreter,pair,native] [--engine NAME] [--runs N] [--only NAME,...] [--time wall|cpu] [--cores all|own] [--guest DIR] [--emu86 FILE] [--timeout SECONDS]
          --against   the emulators to compare with (default qemu; interpreter: our own; pair: emu86 with a backup beside it; native: none, the host itself); each round runs all of them, one after the other
          --engine    how emu86 runs the guest: auto (default), interpreter or translator
          --runs      rounds (default 3)
          --only      programs of guests/bench, or boot (default all)
          --time      wall: what a clock on the wall shows (default); cpu: processor time of the emulator, for hosts that do other work too
          --cores     all: every emulator has all processors (default); own: with --against pair, each side has one of its own, and emu86 without a backup has one too while an independent one runs the same on the other; every program runs twice, and the second time is taken
          --guest     where vmlinuz, initrd.gz and disk.img are (default guests/linux/out)
          --emu86     another build of emu86 to measure
          --timeout   the most that one emulator may take for one round (default 900)
        """;

    /// <summary>In the order in which they run.</summary>
    private static readonly string[] All =
    [
        "sieve", "crc32", "quicksort", "mixed", "memory", "fib", "interpreter", "strings", "sha256sum", "gzip",
        "nbody", "mandelbrot", "linpack", "getpid", "fork", "pipe", "pagefault",
    ];

    public static Settings Parse(string[] args)
    {
        var values = new Dictionary<string, string>();
        for (int n = 0; n < args.Length; n += 2)
        {
            if (n + 1 == args.Length || !args[n].StartsWith("--", StringComparison.Ordinal)) throw new BenchException(Usage);
            values[args[n]] = args[n + 1];
        }
        string Take(string name, string otherwise) => values.Remove(name, out string? value) ? value : otherwise;
        string directory = Take("--guest", Path.Combine("guests", "linux", "out"));
        string[] only = Take("--only", string.Join(',', All)).Split(',', StringSplitOptions.RemoveEmptyEntries);
        string[] jobs = [.. only.Where(j => j != "boot")];
        if (jobs.Except(All).FirstOrDefault() is { } unknown) throw new BenchException($"--only knows boot, {string.Join(", ", All)}, not \"{unknown}\"");
        var settings = new Settings(
            new Guest(Path.Combine(directory, "vmlinuz"), Path.Combine(directory, "initrd.gz"), Path.Combine(directory, "disk.img")),
            Take("--against", "qemu").Split(',', StringSplitOptions.RemoveEmptyEntries),
            int.Parse(Take("--runs", "3"), CultureInfo.InvariantCulture),
            jobs.Length == 0 ? "hello" : string.Join(',', jobs),
            values.Remove("--emu86", out string? program) ? program : null,
            Take("--engine", "auto"),
            Take("--time", "wall") == "cpu",
            Take("--cores", "all") == "own",
            TimeSpan.FromSeconds(double.Parse(Take("--timeout", "900"), CultureInfo.InvariantCulture)));
        if (settings.OwnCores && settings.Peers.Any(p => p != "pair")) throw new BenchException("--cores own compares with the pair only: give it with --against pair");
        if (values.Count > 0) throw new BenchException($"{values.Keys.First()} is not an option of guests\n{Usage}");
        return settings;
    }
}

internal static class GuestBenchmark
{
    public const string Boot = "boot";

    public static int Run(string[] args)
    {
        try
        {
            return Run(Settings.Parse(args));
        }
        catch (BenchException e)
        {
            Console.Error.WriteLine($"bench: {e.Message}");
            return 2;
        }
        catch (FormatException e)
        {
            Console.Error.WriteLine($"bench: {e.Message}\n{Settings.Usage}");
            return 2;
        }
    }

    private static int Run(Settings settings)
    {
        foreach (string file in new[] { settings.Guest.Kernel, settings.Guest.Initrd })
        {
            if (!File.Exists(file)) throw new BenchException($"{file} is not there: guests/linux/build.sh makes it");
        }
        var ours = new Emu86(settings.Program, settings.Engine);
        var emulators = new List<Emulator> { settings.OwnCores ? new Beside(settings.Program, settings.Engine) : ours };
        emulators.AddRange(settings.Peers.Select(p => Emulator.Peer(p, settings.Program, settings.Engine, settings.OwnCores)));
        foreach (Emulator e in emulators)
        {
            if (e.Missing(settings.Guest) is { } missing) throw new BenchException($"{e.Name}: {missing}");
        }
        string work = Directory.CreateTempSubdirectory("emu86-bench-").FullName;
        try
        {
            var table = new GuestTable(settings, [.. emulators]);
            Console.Error.WriteLine("bench: counting instructions");
            table.Count(GuestProcess.Run(ours.Counting(settings.Guest, settings.Jobs), settings.Timeout));
            for (int round = 1; round <= settings.Runs; round++)
            {
                foreach (Emulator e in emulators)
                {
                    Console.Error.WriteLine($"bench: round {round} of {settings.Runs}, {e.Name}");
                    table.Add(e.Name, GuestProcess.Run(e.Prepare(settings.Guest, settings.AllJobs, work), settings.Timeout));
                }
            }
            table.Print(Console.Out);
            return table.Failed ? 1 : 0;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }
}
