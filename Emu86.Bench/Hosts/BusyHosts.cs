// `busy-hosts`: other processes want more processors than there are; nobody must be taken for dead.
using System.Diagnostics;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal static class BusyHosts
{
    private const int EchoPort = 7;

    public static int Run(SoakOptions options)
    {
        if (HostNetwork.Problem is { } problem)
        {
            Console.WriteLine($"busy-hosts: skipped: {problem}");
            return 0;
        }
        using var cluster = new HostCluster(options, sides: 2);
        ClusterHost live = cluster.Begin();
        using EchoTraffic echo = EchoTraffic.Open(cluster.Guest(EchoPort), options.Seed, TimeSpan.FromSeconds(120));
        echo.Start();
        int spinners = 2 * Environment.ProcessorCount;
        Side[] busy = [.. Enumerable.Range(0, spinners).Select(n => Side.StartCommand($"spinner {n}", ["sh", "-c", "while :; do :; done"], verbose: false))];
        try
        {
            for (long began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < options.Duration; Thread.Sleep(500))
            {
                if (echo.Failure is { } failure) throw new SoakException($"echo: {failure}");
            }
        }
        finally
        {
            foreach (Side spinner in busy) spinner.Dispose();
        }
        echo.Finish();
        int lost = cluster.Processes.Sum(p => p.Count("backup lost")), live2 = cluster.Processes.Sum(p => p.Count("went live"));
        Console.WriteLine($"busy-hosts: {spinners} spinning processes on {Environment.ProcessorCount} processors for {options.Duration.TotalSeconds:F0} s, {echo.Replies} echoes: {live2} failovers, {lost} times a backup was taken for lost; all hosts share this machine");
        bool held = lost == 0 && live2 == 0;
        Console.WriteLine($"busy-hosts: {(held ? "held" : $"NOT held; {live.Process.Last()}")}");
        return held ? 0 : 1;
    }
}
