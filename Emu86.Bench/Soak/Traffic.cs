// The client's side of a soak run: one TCP echo connection that is never opened again, and counted HTTP requests.
using System.Diagnostics;
using System.Net.Sockets;

namespace Emu86.Bench.Soak;

/// <summary>A client on a thread of its own.</summary>
internal abstract class Traffic : IDisposable
{
    // Longer than any tool waits for a recovery: those judge how long it may take, a client only what it is told.
    protected static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(100);

    private readonly List<long> _replies = [];
    private readonly Thread _thread;
    private volatile bool _stop;

    protected Traffic(string name) => _thread = new Thread(Guarded) { IsBackground = true, Name = name };

    /// <summary>What did not hold; null while all is well.</summary>
    public string? Failure { get; private set; }

    public int Replies
    {
        get
        {
            lock (_replies) return _replies.Count;
        }
    }

    protected bool Stopping => _stop;

    public void Start() => _thread.Start();

    /// <summary>Ends after the answer that is due.</summary>
    public void Finish()
    {
        _stop = true;
        if (!_thread.Join(AnswerWithin + TimeSpan.FromSeconds(5))) Failure ??= "a client does not end";
    }

    /// <summary>From the last reply before a moment to the first after it, in milliseconds: the longest silence that ends
    /// after it, because replies that were on their way still come.</summary>
    public double SilenceAfter(long moment)
    {
        lock (_replies)
        {
            long longest = 0;
            for (int n = 1; n < _replies.Count; n++)
            {
                if (_replies[n] > moment) longest = long.Max(longest, _replies[n] - _replies[n - 1]);
            }
            return longest * 1000.0 / Stopwatch.Frequency;
        }
    }

    public bool RepliedSince(long moment)
    {
        lock (_replies) return _replies.Count > 0 && _replies[^1] > moment;
    }

    public void Dispose()
    {
        _stop = true;
        Close();
    }

    protected abstract void Talk();

    protected abstract void Close();

    protected void Replied()
    {
        lock (_replies) _replies.Add(Stopwatch.GetTimestamp());
    }

    private void Guarded()
    {
        try
        {
            Talk();
        }
        catch (Exception e) when (e is SoakException or IOException or SocketException or ObjectDisposedException)
        {
            if (!_stop || e is SoakException) Failure = e.Message;
        }
    }
}

/// <summary>What comes back is what was sent, in order, on the one connection.</summary>
internal sealed class EchoTraffic : Traffic
{
    private const int BytesMax = 1200, Outstanding = 4;

    private readonly Random _random;
    private readonly Socket _socket;

    private EchoTraffic(Socket socket, int seed)
        : base("echo")
    {
        _socket = socket;
        _random = new Random(seed);
    }

    /// <summary>Connects once the guest answers.</summary>
    public static EchoTraffic Open(Service service, int seed, TimeSpan atMost)
    {
        long began = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(began) < atMost)
        {
            Socket? socket = null;
            try
            {
                socket = service.Connect(TimeSpan.FromSeconds(3));
                socket.Send("hello"u8);
                byte[] back = new byte[5];
                for (int at = 0, got; at < back.Length; at += got)
                {
                    if ((got = socket.Receive(back.AsSpan(at))) == 0) throw new SocketException((int)SocketError.ConnectionReset);
                }
                socket.ReceiveTimeout = (int)AnswerWithin.TotalMilliseconds;
                return new EchoTraffic(socket, seed);
            }
            catch (SocketException)
            {
                socket?.Dispose();
                Thread.Sleep(200);
            }
        }
        throw new SoakException($"the guest does not answer on its echo port within {atMost.TotalSeconds:F0} s");
    }

    protected override void Talk()
    {
        byte[] back = new byte[BytesMax * Outstanding];
        while (!Stopping)
        {
            byte[][] sent = [.. Enumerable.Range(0, _random.Next(1, Outstanding + 1)).Select(_ => Block())];
            foreach (byte[] block in sent) _socket.Send(block);
            byte[] expected = [.. sent.SelectMany(b => b)];
            for (int at = 0; at < expected.Length;)
            {
                int got = _socket.Receive(back.AsSpan(0, expected.Length - at));
                if (got == 0) throw new SoakException("the echo connection was closed from the other side");
                if (!back.AsSpan(0, got).SequenceEqual(expected.AsSpan(at, got))) throw new SoakException($"echoed bytes differ from those sent, after {Replies} replies");
                at += got;
                Replied();
            }
            Thread.Sleep(_random.Next(2, 8));
        }
    }

    protected override void Close() => _socket.Dispose();

    private byte[] Block()
    {
        byte[] block = new byte[_random.Next(1, BytesMax + 1)];
        _random.NextBytes(block);
        return block;
    }
}

/// <summary>Each acknowledged request has a number of its own, greater than those acknowledged before; what is skipped was
/// asked for and not acknowledged.</summary>
internal sealed class CountTraffic(Service service, string path) : Traffic("count")
{
    /// <summary>The last number acknowledged; 0 before the first.</summary>
    public long Last { get; private set; }

    /// <summary>Requests without an answer.</summary>
    public int Unacknowledged { get; private set; }

    /// <summary>One request, for example to see whether the guest is ready; null without an answer.</summary>
    public static long? Ask(Service service, string path)
    {
        var once = new CountTraffic(service, path);
        try
        {
            return once.Request(TimeSpan.FromSeconds(3));
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            return null;
        }
    }

    protected override void Talk()
    {
        int open = 0;
        while (!Stopping)
        {
            try
            {
                long number = Request(AnswerWithin);
                if (Last != 0 && (number <= Last || number > Last + 1 + open)) throw new SoakException($"the counter went from {Last} to {number} with {open} requests unanswered");
                (Last, open) = (number, 0);
                Replied();
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                open++;
                Unacknowledged++;
            }
            Thread.Sleep(20);
        }
    }

    protected override void Close()
    {
    }

    private long Request(TimeSpan within) => GuestHttp.Number(service, path, within);
}
