// `latency-hosts`: what the output rule adds to the guest's answers, with the backup across a cable; and what that cable takes itself.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal static class LatencyHosts
{
    private const int EchoPort = 7, PingPort = 7007;
    private const double MedianUsMax = 200, P99UsMax = 2000;

    public static int Run(SoakOptions options)
    {
        if (HostNetwork.Problem is { } problem)
        {
            Console.WriteLine($"latency-hosts: skipped: {problem}");
            return 0;
        }
        using var cluster = new HostCluster(options, sides: 2);
        ClusterHost live = cluster.Begin();
        using EchoTraffic echo = EchoTraffic.Open(cluster.Guest(EchoPort), options.Seed, TimeSpan.FromSeconds(120));
        echo.Start();
        // What the compilers do at first is not the cable's.
        Thread.Sleep(10_000);
        using var ping = new Ping(live.Host, cluster.Hosts[1].Host);
        var medians = new List<double>();
        var tails = new List<double>();
        for (long began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < options.Duration; Thread.Sleep(1000))
        {
            ping.Once();
            if (echo.Failure is { } failure) throw new SoakException($"echo: {failure}");
            JsonNode status = cluster.StatusOf(live) ?? throw new SoakException($"the live side does not answer; {live.Process.Last()}");
            if (status["protected"]?.GetValue<bool>() != true) throw new SoakException($"the guest is not protected any more; {live.Process.Last()}");
            // Each is over the last thousand outputs.
            medians.Add(status["outputDelayMicroseconds"]!["p50"]!.GetValue<double>());
            tails.Add(status["outputDelayMicroseconds"]!["p99"]!.GetValue<double>());
        }
        echo.Finish();
        double roundTrip = ping.Times.Quantile(0.5), median = medians.Quantile(0.5), tail = tails.Quantile(0.5);
        Console.WriteLine($"latency-hosts: round trip of a datagram on the same cable, µs: {ping.Times.Spread()}");
        Console.WriteLine($"latency-hosts: median delay of an output, µs, each second anew: {medians.Spread()}");
        Console.WriteLine($"latency-hosts: 99th percentile, the same way: {tails.Spread()}");
        bool held = median <= roundTrip + MedianUsMax && tail <= P99UsMax;
        Console.WriteLine($"latency-hosts: {(held ? "held" : "NOT held")}: median {median:F0} (target {roundTrip:F0} + {MedianUsMax:F0}), p99 {tail:F0} (target {P99UsMax:F0}); {echo.Replies} echoes; both hosts share this machine");
        return held ? 0 : 1;
    }

    /// <summary>Datagrams between two hosts and back, answered by a thread that waits for them.</summary>
    private sealed class Ping : IDisposable
    {
        private readonly Socket _near, _far;
        private readonly Thread _answers;

        public Ping(TestHost near, TestHost far)
        {
            _far = Bound(far);
            _near = Bound(near);
            _near.Connect(new IPEndPoint(far.Address, PingPort));
            _far.Connect(new IPEndPoint(near.Address, PingPort));
            _answers = new Thread(Answer) { IsBackground = true };
            _answers.Start();
        }

        /// <summary>Microseconds there and back.</summary>
        public List<double> Times { get; } = [];

        /// <summary>Twenty of them.</summary>
        public void Once()
        {
            byte[] datagram = new byte[64];
            for (int n = 0; n < 20; n++)
            {
                long began = Stopwatch.GetTimestamp();
                _near.Send(datagram);
                _near.Receive(datagram);
                Times.Add(Stopwatch.GetElapsedTime(began).TotalMicroseconds);
            }
        }

        public void Dispose()
        {
            _near.Dispose();
            _far.Dispose();
            _answers.Join();
        }

        private static Socket Bound(TestHost host) => host.Within(() =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 2000 };
            socket.Bind(new IPEndPoint(host.Address, PingPort));
            return socket;
        });

        private void Answer()
        {
            byte[] datagram = new byte[64];
            while (true)
            {
                try
                {
                    _far.Send(datagram.AsSpan(0, _far.Receive(datagram)));
                }
                catch (SocketException e) when (e.SocketErrorCode == SocketError.TimedOut)
                {
                    // None came; look whether it is over.
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException)
                {
                    return;
                }
            }
        }
    }
}
