// The soak tools by name.
using Emu86.Bench.Guests;
using Emu86.Bench.Hosts;

namespace Emu86.Bench.Soak;

internal static class SoakTools
{
    public static Func<SoakOptions, int>? Find(string name) => name switch
    {
        "failover" => FailoverSoak.Kill,
        "freeze" => FailoverSoak.Freeze,
        "stale-disk" => StaleDiskSoak.Run,
        "bandwidth" => BandwidthSoak.Run,
        "tables" => TablesSoak.Run,
        "costs" => CostsSoak.Run,
        "clock" => ClockSoak.Run,
        "lag" => LagSoak.Run,
        "clone" => CloneSoak.Run,
        "latency-hosts" => LatencyHosts.Run,
        "busy-hosts" => BusyHosts.Run,
        "chaos" => ChaosSoak.Run,
        "failover-hosts" => FailoverHosts.Run,
        _ => null,
    };

    /// <summary>Exit code: 0 all held, 1 something did not, 2 usage.</summary>
    public static int Run(string name, Func<SoakOptions, int> tool, string[] args)
    {
        try
        {
            return tool(SoakOptions.Parse(name, args));
        }
        catch (BenchException e)
        {
            Console.Error.WriteLine($"bench: {e.Message}");
            return 2;
        }
        catch (SoakException e)
        {
            Console.WriteLine($"{name}: FAILED: {e.Message}");
            return 1;
        }
    }
}
