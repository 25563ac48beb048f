// Heartbeats over UDP, timed by a thread of their own: a long slice, a snapshot or a garbage collection does not look like
// death. What is sent is made by the core on the emulation thread; when that thread hangs, its heartbeats end too.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host.Links;

/// <summary>Sends the core's last heartbeat again while the emulation thread makes progress, and receives the other side's.</summary>
public sealed class Heartbeats : IDisposable
{
    private sealed record Session(ReadOnlyMemory<byte> Key, EndPoint? To);

    private const int PollUs = 50_000;

    private readonly Socket _socket;
    private readonly int _everyMs;
    private readonly long _hangUs;
    private readonly Action<HeartbeatMessage> _received;
    private readonly Lock _lock = new();
    private volatile Session? _session;
    private HeartbeatMessage? _last;
    private long _publishedUs;
    private long _sentUs;
    private long _excusedUntilUs;
    private volatile bool _isClosed;

    /// <param name="bind">Where to receive; port 0 on the primary.</param>
    /// <param name="options">Times.</param>
    /// <param name="received">Called on the receiving thread with authenticated heartbeats only.</param>
    public Heartbeats(IPEndPoint bind, ProtocolOptions options, Action<HeartbeatMessage> received)
    {
        _everyMs = (int)(options.HeartbeatUs / 1000);
        _hangUs = options.FailureTimeoutUs;
        _received = received;
        _socket = new Socket(bind.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            _socket.Bind(bind);
        }
        catch (SocketException e)
        {
            _socket.Dispose();
            throw new HostException($"UDP port {bind} for heartbeats cannot be had: {e.Message}; choose another with --listen");
        }
        new Thread(Receive) { IsBackground = true, Name = "heartbeats in" }.Start();
        new Thread(Repeat) { IsBackground = true, Name = "heartbeats out", Priority = ThreadPriority.AboveNormal }.Start();
    }

    /// <summary>A session begins (or goes on over a new connection).</summary>
    /// <param name="key">Authenticates both directions.</param>
    /// <param name="to">The other side; null: wherever its heartbeats come from.</param>
    public void Use(ReadOnlyMemory<byte> key, EndPoint? to)
    {
        if (_session is { } session && session.Key.Span.SequenceEqual(key.Span) && (to is null || to.Equals(session.To))) return;
        lock (_lock) _last = null;
        _session = new(key.ToArray(), to);
    }

    /// <summary>Sends a heartbeat now; it is repeated until the next one, while this keeps being called.</summary>
    public void Publish(HeartbeatMessage heartbeat)
    {
        lock (_lock)
        {
            _last = heartbeat;
            _publishedUs = HostClock.NowUs;
            Send();
        }
    }

    /// <summary>The emulation thread is about to do something long: its silence until then is no sign of a hang.</summary>
    public void Excuse(long us) => Volatile.Write(ref _excusedUntilUs, HostClock.NowUs + us);

    /// <summary>The long operation is done.</summary>
    public void Excused()
    {
        lock (_lock) _publishedUs = HostClock.NowUs;
        Volatile.Write(ref _excusedUntilUs, 0);
    }

    /// <summary>Nothing is sent until the next <see cref="Publish"/>.</summary>
    public void Silence()
    {
        lock (_lock) _last = null;
    }

    public void Dispose()
    {
        _isClosed = true;
        Silence();
        _socket.Dispose();
    }

    private void Send()
    {
        if (_session is not { To: { } to } session || _last is null) return;
        Span<byte> datagram = stackalloc byte[HeartbeatDatagram.Bytes];
        HeartbeatDatagram.Write(datagram, _last, session.Key.Span);
        _sentUs = HostClock.NowUs;
        try
        {
            _socket.SendTo(datagram, SocketFlags.None, to);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // A lost heartbeat.
        }
    }

    private void Repeat()
    {
        long everyUs = _everyMs * 1000L;
        for (int waitMs = _everyMs; !_isClosed;)
        {
            Thread.Sleep(waitMs);
            lock (_lock)
            {
                long now = HostClock.NowUs;
                bool lives = _last is not null && (now - _publishedUs < _hangUs || now < Volatile.Read(ref _excusedUntilUs));
                if (lives && now - _sentUs >= everyUs) Send();
                // A little after the core should have sent its next one: mostly there is nothing to do then.
                waitMs = !lives ? _everyMs : (int)Math.Clamp((_sentUs + everyUs * 5 / 4 - now) / 1000, 1, _everyMs * 5 / 4);
            }
        }
    }

    private void Receive()
    {
        byte[] buffer = new byte[512];
        EndPoint any = new IPEndPoint(_socket.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
        while (!_isClosed)
        {
            try
            {
                // Polling, not waiting in a receive: a closed socket gives its port back at once.
                if (!_socket.Poll(PollUs, SelectMode.SelectRead)) continue;
                EndPoint from = any;
                int count = _socket.ReceiveFrom(buffer, ref from);
                if (_session is not { } session || HeartbeatDatagram.Read(buffer.AsSpan(0, count), session.Key.Span) is not { } heartbeat) continue;
                if (heartbeat.FromPrimary && !from.Equals(session.To)) _session = session with { To = from };
                _received(heartbeat);
            }
            catch (SocketException)
            {
                // An ICMP answer to an earlier datagram: nobody listens there.
            }
            catch (ObjectDisposedException)
            {
                return;
            }
        }
    }
}
