// The shell on COM1 of the Linux guest, over --serial tcp: whichever side is live connects here.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Emu86.Bench.Soak;

/// <summary>Waits for text with the host's time of its arrival, and types.</summary>
internal sealed class GuestShell : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly StringBuilder _text = new();
    private readonly object _lock = new();
    private TcpClient? _live;
    private int _seen;
    private int _numbers;

    public GuestShell()
    {
        _listener.Start();
        new Thread(Accept) { IsBackground = true, Name = "console" }.Start();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Waits for text after what was waited for before; returns when it was seen (UTC).</summary>
    public DateTime WaitFor(string text, TimeSpan atMost)
    {
        long began = Stopwatch.GetTimestamp();
        lock (_lock)
        {
            // Woken by what arrives, and looking at that alone: the host is being measured.
            for (int from = _seen; ;)
            {
                int at = _text.ToString(from, _text.Length - from).IndexOf(text, StringComparison.Ordinal);
                if (at >= 0)
                {
                    _seen = from + at + text.Length;
                    return DateTime.UtcNow;
                }
                from = int.Max(_seen, _text.Length - text.Length + 1);
                TimeSpan left = atMost - Stopwatch.GetElapsedTime(began);
                if (left > TimeSpan.Zero)
                {
                    Monitor.Wait(_lock, left);
                    continue;
                }
                string rest = _text.ToString(_seen, _text.Length - _seen);
                throw new SoakException($"the guest's console should show \"{text}\" within {atMost.TotalSeconds:F0} s; it shows: {rest[int.Max(0, rest.Length - 200)..]}");
            }
        }
    }

    /// <summary>Linux has started its services, and the shell waits for a command.</summary>
    public void WaitUntilReady()
    {
        WaitFor("emu86-guest: ready", TimeSpan.FromSeconds(400));
        WaitFor("emu86:/# ", TimeSpan.FromSeconds(60));
    }

    /// <summary>What stands on the console up to the next end of line.</summary>
    public string RestOfLine(TimeSpan atMost)
    {
        int from = _seen;
        WaitFor("\n", atMost);
        lock (_lock) return _text.ToString(from, _seen - from).Trim();
    }

    public void Type(string line)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(line + "\r");
        lock (_lock) (_live ?? throw new SoakException("no side has opened its serial port")).GetStream().Write(bytes);
    }

    /// <summary>Runs a command; returns how long it took on the host.</summary>
    public TimeSpan Run(string command, TimeSpan atMost, Action? started = null)
    {
        // The echo of the command shows a product, not its result.
        int number = ++_numbers;
        Type($"{command}; echo done-$(({number}*7+1000))");
        long began = Stopwatch.GetTimestamp();
        started?.Invoke();
        WaitFor($"done-{number * 7 + 1000}", atMost);
        return Stopwatch.GetElapsedTime(began);
    }

    public void Dispose()
    {
        _listener.Stop();
        _live?.Dispose();
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                TcpClient side = _listener.AcceptTcpClient();
                side.NoDelay = true;
                lock (_lock) _live = side;
                new Thread(() => Read(side)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The run has ended.
        }
    }

    private void Read(TcpClient side)
    {
        byte[] buffer = new byte[4096];
        try
        {
            for (int got; (got = side.GetStream().Read(buffer)) > 0;)
            {
                lock (_lock)
                {
                    _text.Append(Encoding.ASCII.GetString(buffer, 0, got));
                    Monitor.PulseAll(_lock);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // That side is gone.
        }
    }
}
