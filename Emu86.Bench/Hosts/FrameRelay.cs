// A stretch of cable that delays frames, lets them overtake each other, or brings some twice: the kernel's own queue for that (netem) may
// be missing.
using System.Diagnostics;
using Emu86.Ft.Host;

namespace Emu86.Bench.Hosts;

internal enum Disturbance
{
    /// <summary>Each frame comes 5 to 40 ms later, in order.</summary>
    Delay,

    /// <summary>One frame in four comes 1 to 20 ms later, behind those that were sent after it.</summary>
    Reorder,

    /// <summary>One frame in four comes once more, up to 20 ms later.</summary>
    Duplicate,
}

/// <summary>Between two interfaces of a namespace, until disposed of.</summary>
internal sealed class FrameRelay : IDisposable
{
    /// <summary>A header, and what a kernel hands over in one piece for a card that would cut it.</summary>
    private const int FrameBytes = 10 + 14 + 65_536;

    private readonly PacketSocket[] _sockets;
    private readonly Disturbance _kind;
    private readonly Random _random;
    private readonly PriorityQueue<(PacketSocket To, byte[] Frame), (long Due, long Order)> _waiting = new();
    private readonly long[] _lastDue = new long[2];
    private readonly Thread _thread;
    private long _order;
    private volatile bool _ends;

    /// <param name="where">The namespace.</param>
    /// <param name="first">Number of one interface.</param>
    /// <param name="second">Number of the other.</param>
    /// <param name="kind">What happens to the frames.</param>
    /// <param name="seed">To which of them.</param>
    public FrameRelay(NetworkNamespace where, int first, int second, Disturbance kind, int seed)
    {
        _sockets = [new PacketSocket(where, first, withOffloads: true), new PacketSocket(where, second, withOffloads: true)];
        (_kind, _random) = (kind, new Random(seed));
        _thread = new Thread(Run) { IsBackground = true, Name = "relay" };
        _thread.Start();
    }

    public void Dispose()
    {
        _ends = true;
        _thread.Join();
        foreach (PacketSocket socket in _sockets) socket.Dispose();
    }

    private void Run()
    {
        HostThread.Hasten();
        byte[] frame = new byte[FrameBytes];
        while (!_ends)
        {
            _ = HostPoll.WaitToRead([_sockets[0].Handle, _sockets[1].Handle], _waiting.TryPeek(out _, out (long Due, long Order) next) ? (int)long.Clamp(Milliseconds(next.Due - Stopwatch.GetTimestamp()), 0, 20) : 20);
            for (int n = 0; n < 2; n++)
            {
                for (bool isAny = true; isAny;)
                {
                    int got = _sockets[n].Receive(frame, out _, mayWait: false, out isAny);
                    if (got > 0) Take(n, frame[..got]);
                }
            }
            SendDue(Stopwatch.GetTimestamp());
        }
        SendDue(long.MaxValue);
    }

    private void Take(int from, byte[] frame)
    {
        long now = Stopwatch.GetTimestamp();
        PacketSocket to = _sockets[1 - from];
        bool isChosen = _random.Next(4) == 0;
        switch (_kind)
        {
            case Disturbance.Delay: Put(to, frame, _lastDue[from] = long.Max(_lastDue[from], now + Ticks(5 + (_random.NextDouble() * 35)))); break;
            case Disturbance.Reorder: Put(to, frame, isChosen ? now + Ticks(1 + (_random.NextDouble() * 19)) : now); break;
            case Disturbance.Duplicate:
                Put(to, frame, now);
                if (isChosen) Put(to, frame, now + Ticks(_random.NextDouble() * 20));
                break;
        }
    }

    private void Put(PacketSocket to, byte[] frame, long due) => _waiting.Enqueue((to, frame), (due, _order++));

    private void SendDue(long now)
    {
        while (_waiting.TryPeek(out (PacketSocket To, byte[] Frame) first, out (long Due, long Order) at) && at.Due <= now)
        {
            first.To.Send(first.Frame);
            _waiting.Dequeue();
        }
    }

    private static long Ticks(double milliseconds) => (long)(milliseconds / 1000 * Stopwatch.Frequency);

    private static long Milliseconds(long ticks) => ticks * 1000 / Stopwatch.Frequency;
}
