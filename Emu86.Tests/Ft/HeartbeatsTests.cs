// Heartbeats over UDP between two ends in this process.
using System.Diagnostics;
using System.Net;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Ft;

public sealed class HeartbeatsTests
{
    private static readonly ProtocolOptions Options = ProtocolOptions.For(heartbeatMs: 20, failureTimeoutMs: 200, maxLagMs: 1000);

    private static long NowUs => (long)Stopwatch.GetElapsedTime(0).TotalMicroseconds;

    [Fact]
    public void An_emulation_thread_that_waits_for_its_turn_is_not_taken_to_hang_and_one_that_hangs_is()
    {
        var port = new IPEndPoint(IPAddress.Loopback, PairProcess.FreePort());
        byte[] key = new byte[HeartbeatDatagram.KeyBytes];
        long lastUs = 0;
        using var backup = new Heartbeats(port, Options, isPatient: false, _ => Volatile.Write(ref lastUs, NowUs));
        using var primary = new Heartbeats(new IPEndPoint(IPAddress.Loopback, 0), Options, isPatient: true, _ => { });
        backup.LearnFrom(key, IPAddress.Loopback);
        primary.SendTo(key, port);
        long publishedUs = NowUs;
        primary.Publish(new HeartbeatMessage(1, fromPrimary: true, publishedUs));
        // Nothing more is published: the thread that does it stands still.
        long endUs = publishedUs + 20_000_000;
        while (NowUs < endUs && NowUs - Math.Max(Volatile.Read(ref lastUs), publishedUs) < 1_500_000) Thread.Sleep(10);
        Assert.InRange(NowUs, publishedUs, endUs);
        Assert.InRange(lastUs - publishedUs, 3 * Options.FailureTimeoutUs, 15_000_000);
    }
}
