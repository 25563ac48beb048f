// `bandwidth`: what protection costs. Log kbit/s on an idle guest; seconds and guest MIPS of three jobs, alone and protected.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Emu86.Bench.Soak;

internal static class BandwidthSoak
{
    private const int NetBytes = 4 << 20;

    private static readonly TimeSpan Boot = TimeSpan.FromSeconds(400), JobWithin = TimeSpan.FromSeconds(600);

    /// <summary>A job's seconds on the host's clock and of the live side's processor time, guest MIPS, and log kbit/s (0 when unprotected).</summary>
    private readonly record struct Cost(double Seconds, double Processor, double Mips, double LogKbits);

    public static int Run(SoakOptions options)
    {
        (Cost idleAlone, Cost[] alone) = Measure(options, isProtected: false);
        (Cost idle, Cost[] guarded) = Measure(options, isProtected: true);
        Console.WriteLine($"bandwidth: idle {idle.Seconds:F0} s: log {idle.LogKbits:F1} kbit/s, {idle.Mips:F2} MIPS (alone {idleAlone.Mips:F2}); target under 20 kbit/s");
        string[] names = ["CPU", "receive", "send"];
        for (int n = 0; n < names.Length; n++)
        {
            double slower = (guarded[n].Seconds / alone[n].Seconds - 1) * 100, busier = (guarded[n].Processor / alone[n].Processor - 1) * 100;
            Console.WriteLine($"bandwidth: {names[n]}: alone {alone[n].Seconds:F2} s ({alone[n].Processor:F2} s processor) {alone[n].Mips:F1} MIPS, protected {guarded[n].Seconds:F2} s ({guarded[n].Processor:F2} s) {guarded[n].Mips:F1} MIPS: {slower:+0.0;-0.0} %, processor {busier:+0.0;-0.0} %, log {guarded[n].LogKbits:F0} kbit/s");
        }
        bool held = idle.LogKbits < 20 && guarded[0].Seconds < alone[0].Seconds * 1.03;
        Console.WriteLine($"bandwidth: targets {(held ? "held" : "NOT held")} (idle under 20 kbit/s, CPU job less than 3 % slower)");
        return held ? 0 : 1;
    }

    private static (Cost Idle, Cost[] Jobs) Measure(SoakOptions options, bool isProtected)
    {
        using var shell = new GuestShell();
        using var pair = new SoakPair(options) { SerialPort = shell.Port };
        if (isProtected) pair.StartBackup();
        Side live = isProtected ? pair.StartPrimary() : pair.StartStandalone();
        if (isProtected) live.WaitFor("protected by", TimeSpan.FromSeconds(180));
        shell.WaitFor("emu86-guest: ready", Boot);
        shell.WaitFor("emu86:/# ", TimeSpan.FromSeconds(60));
        Thread.Sleep(3000);
        Cost idle = Watch(pair, live, isProtected, () =>
        {
            Thread.Sleep(options.Duration);
            return options.Duration;
        });
        Cost processor = Watch(pair, live, isProtected, () => shell.Run("/bench/sieve >/dev/null", JobWithin));
        Cost receive = Watch(pair, live, isProtected, () => shell.Run("nc -l -p 9 | wc -c", JobWithin, () => Transfer(pair.ExtraPort, send: true)));
        Cost send = Watch(pair, live, isProtected, () => shell.Run($"dd if=/dev/zero bs=64k count={NetBytes >> 16} 2>/dev/null | nc -l -p 9", JobWithin, () => Transfer(pair.ExtraPort, send: false)));
        return (idle, [processor, receive, send]);
    }

    private static Cost Watch(SoakPair pair, Side live, bool isProtected, Func<TimeSpan> job)
    {
        double before = pair.StatusOfFirst("instructionCount");
        TimeSpan processorBefore = live.ProcessorTime;
        long began = Stopwatch.GetTimestamp();
        double rates = 0;
        int samples = 0;
        bool done = false;
        var sampler = new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                rates += isProtected ? pair.StatusOfFirst("logBytesPerSecond") : 0;
                samples++;
                Thread.Sleep(250);
            }
        });
        sampler.Start();
        double seconds, processor;
        try
        {
            seconds = job().TotalSeconds;
            processor = (live.ProcessorTime - processorBefore).TotalSeconds;
        }
        finally
        {
            Volatile.Write(ref done, true);
            sampler.Join();
        }
        double instructions = pair.StatusOfFirst("instructionCount") - before;
        return new Cost(seconds, processor, instructions / Stopwatch.GetElapsedTime(began).TotalSeconds / 1e6, rates / samples * 8 / 1000);
    }

    /// <summary>Connects until the guest listens, then moves the bytes.</summary>
    private static void Transfer(int port, bool send)
    {
        for (var began = Stopwatch.StartNew(); began.Elapsed < JobWithin;)
        {
            try
            {
                using var client = new TcpClient();
                client.Connect(IPAddress.Loopback, port);
                NetworkStream stream = client.GetStream();
                if (Move(stream, send) == NetBytes) return;
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // nc does not listen yet.
            }
            Thread.Sleep(100);
        }
        throw new SoakException("the guest does not take the connection for a network job");
    }

    private static int Move(NetworkStream stream, bool send)
    {
        byte[] buffer = new byte[64 << 10];
        int moved = 0;
        if (send)
        {
            for (; moved < NetBytes; moved += buffer.Length) stream.Write(buffer);
            stream.Socket.Shutdown(SocketShutdown.Send);
            while (stream.Read(buffer) > 0)
            {
            }
            return moved;
        }
        for (int got; (got = stream.Read(buffer)) > 0;) moved += got;
        return moved;
    }
}
