// The date of the Linux guest, asked over its port 37 (guests/linux/src/tellclock.c).
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Emu86.Bench.Soak;

/// <summary>How far the guest's clock is from this host's.</summary>
/// <param name="OffsetMs">Guest minus host, at the middle between question and answer.</param>
/// <param name="RoundTripMs">Of the best question: the offset is at most half of this from the truth.</param>
internal readonly record struct ClockReading(double OffsetMs, double RoundTripMs);

internal static class GuestClock
{
    private const int Questions = 40;

    private static readonly TimeSpan Within = TimeSpan.FromSeconds(20);

    /// <summary>Asks some times; the quickest answer counts.</summary>
    public static ClockReading Read(int port)
    {
        SocketException? last = null;
        for (var began = Stopwatch.StartNew(); began.Elapsed < Within; Thread.Sleep(100))
        {
            try
            {
                return Ask(port);
            }
            catch (SocketException e)
            {
                last = e;
            }
        }
        throw new SoakException($"the guest does not tell its date on port 37: {last?.Message}; was guests/linux/build.sh run?");
    }

    private static ClockReading Ask(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 5000 };
        socket.Connect(IPAddress.Loopback, port);
        byte[] answer = new byte[64];
        var best = new ClockReading(0, double.PositiveInfinity);
        for (int n = 0; n < Questions; n++)
        {
            DateTime sent = DateTime.UtcNow;
            long before = Stopwatch.GetTimestamp();
            socket.Send("?"u8);
            int got = 0;
            while (got == 0 || answer[got - 1] != '\n')
            {
                int more = socket.Receive(answer.AsSpan(got));
                if (more == 0) throw new SocketException((int)SocketError.ConnectionReset);
                got += more;
            }
            TimeSpan roundTrip = Stopwatch.GetElapsedTime(before);
            decimal guest = decimal.Parse(Encoding.ASCII.GetString(answer, 0, got - 1), CultureInfo.InvariantCulture);
            decimal host = (sent - DateTime.UnixEpoch).Ticks / 1e7m;
            double offset = (double)(guest - host) * 1000 - roundTrip.TotalMilliseconds / 2;
            if (roundTrip.TotalMilliseconds < best.RoundTripMs) best = new ClockReading(offset, roundTrip.TotalMilliseconds);
            Thread.Sleep(5);
        }
        return best;
    }
}
