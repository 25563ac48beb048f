// The options that the soak tools share (docs/soak.md).
using System.Globalization;
using Emu86.Bench.Guests;

namespace Emu86.Bench.Soak;

/// <summary>Which guest runs in the pair.</summary>
internal enum SoakGuest
{
    Embedded,
    Linux,
}

/// <param name="Rounds">How often; each round has processes of its own.</param>
/// <param name="Seed">Decides when the primary dies and what is sent.</param>
/// <param name="Guest">What runs.</param>
/// <param name="Duration">Of the traffic in one round, or of a measurement.</param>
/// <param name="GuestDirectory">Where vmlinuz and initrd.gz are.</param>
/// <param name="Program">emu86.dll or its executable.</param>
/// <param name="Verbose">Show what all processes say.</param>
internal sealed record SoakOptions(int Rounds, int Seed, SoakGuest Guest, TimeSpan Duration, string GuestDirectory, string Program, bool Verbose)
{
    /// <summary>Rounds besides in which a host is cut off, where a tool has such.</summary>
    public int Cuts { get; init; }

    /// <summary>One disk for all hosts, which an NBD server serves, instead of a copy on each.</summary>
    public bool SharesDisk { get; init; }

    /// <summary>The initrd with the programs that the measured jobs name (guests/workloads).</summary>
    public string WorkloadsInitrd => Path.Combine(GuestDirectory, "..", "..", "workloads", "out", "initrd.gz");

    /// <exception cref="SoakException">It has not been built.</exception>
    public void NeedWorkloads()
    {
        if (!File.Exists(WorkloadsInitrd)) throw new SoakException("run guests/workloads/build.sh first");
    }

    public const string Usage = """
        Emu86.Bench failover|freeze|bandwidth|tables|costs|lag|clock|clone|stale-disk|failover-hosts|latency-hosts|busy-hosts|chaos [--rounds N] [--cuts N] [--disks replicated|shared] [--seed S] [--guest linux|embedded] [--seconds T] [--linux DIR] [--emu86 FILE] [--verbose]
        """;

    /// <summary>What starts emu86, without its arguments.</summary>
    public string[] Command => Program.EndsWith(".dll", StringComparison.Ordinal) ? ["dotnet", Program] : [Program];

    public static SoakOptions Parse(string tool, string[] args)
    {
        bool verbose = args.Contains("--verbose");
        string[] rest = [.. args.Where(a => a != "--verbose")];
        var values = new Dictionary<string, string>();
        for (int n = 0; n < rest.Length; n += 2)
        {
            if (n + 1 == rest.Length || !rest[n].StartsWith("--", StringComparison.Ordinal)) throw new BenchException(Usage);
            values[rest[n]] = rest[n + 1];
        }
        string Take(string name, string otherwise) => values.Remove(name, out string? value) ? value : otherwise;
        bool onHosts = tool is "failover-hosts" or "latency-hosts" or "busy-hosts" or "chaos";
        int Number(string name, int otherwise, int least = 1) => int.TryParse(Take(name, $"{otherwise}"), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= least
            ? number
            : throw new BenchException($"{name} takes a number of at least {least}");
        string disks = Take("--disks", "replicated");
        if (disks is not ("replicated" or "shared") || disks == "shared" && tool != "chaos") throw new BenchException($"--disks takes replicated or, for chaos, shared, not \"{disks}\"");
        bool needsLinux = onHosts || tool is "bandwidth" or "tables" or "costs" or "clock" or "lag";
        string guest = Take("--guest", needsLinux ? "linux" : "embedded");
        if (guest is not ("linux" or "embedded")) throw new BenchException($"--guest takes linux or embedded, not \"{guest}\"");
        if (guest == "embedded" && needsLinux) throw new BenchException($"{tool} needs the shell of the Linux guest");
        int seconds = tool switch { "failover" => 60, "clock" => 600, "bandwidth" => 60, "lag" => 20, "chaos" or "busy-hosts" => 1800, "latency-hosts" => 60, _ => 5 };
        var options = new SoakOptions(
            Number("--rounds", tool switch { "failover" => 50, "failover-hosts" => 200, "bandwidth" => 3, "tables" or "costs" => 5, _ => 1 }, onHosts ? 0 : 1),
            Number("--seed", 1),
            guest == "linux" ? SoakGuest.Linux : SoakGuest.Embedded,
            TimeSpan.FromSeconds(Number("--seconds", seconds)),
            Take("--linux", Path.Combine("guests", "linux", "out")),
            Take("--emu86", Path.Combine(AppContext.BaseDirectory, "emu86.dll")),
            verbose)
        {
            Cuts = onHosts ? Number("--cuts", 50, 0) : 0,
            SharesDisk = disks == "shared",
        };
        if (values.Count > 0) throw new BenchException($"{values.Keys.First()} is not an option of {tool}\n{Usage}");
        if (options.Guest == SoakGuest.Linux && !File.Exists(Path.Combine(options.GuestDirectory, "vmlinuz"))) throw new BenchException($"{options.GuestDirectory} has no vmlinuz; run guests/linux/build.sh");
        return options;
    }
}

/// <summary>Something that should hold does not.</summary>
internal sealed class SoakException(string message) : Exception(message);
