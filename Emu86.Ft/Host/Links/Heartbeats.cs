// Heartbeats over UDP, timed by a thread of their own: a long slice, a snapshot or a garbage collection does not look like
// death. What is sent is made by the core on the emulation thread; when that thread hangs, its heartbeats end too.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host.Links;

/// <summary>Sends the core's last heartbeat again while the emulation thread makes progress, and receives the other side's.</summary>
public sealed class Heartbeats : IDisposable
{
    private sealed record Session(ReadOnlyMemory<byte> Key, IPEndPoint? To, IPAddress? LearnsFrom, HeartbeatOrder Order);

    /// <summary>Datagrams looked at before this side's own heartbeat is: a flood of strangers' cannot silence it.</summary>
    private const int ReceivedMax = 64;

    /// <summary>Failure timeouts without progress after which the emulation thread is taken to hang. More than one: on a host that has more to
    /// do than it can, a thread waits for its turn that long now and then, and comes back sooner than another side could be live.</summary>
    private const int HangTimeouts = 5;

    private readonly Socket _socket;
    private readonly int _everyUs;
    private readonly int _patienceUs;
    private readonly bool _isPatient;
    private readonly long _hangUs;
    private readonly Action<HeartbeatMessage> _received;
    private readonly Lock _lock = new();
    private volatile Session? _session;
    private HeartbeatMessage? _last;
    private long _publishedUs;
    private long _sentUs;
    private long _excusedUntilUs;
    private ulong _number;
    private volatile bool _isClosed;

    /// <param name="bind">Where to receive; port 0 on the primary.</param>
    /// <param name="options">Times.</param>
    /// <param name="isPatient">A primary's: it looks at the backup's heartbeats every two of them only, because each time its thread wakes
    /// takes from the guest's processor. A backup's must see at once that the primary lives, and when it last did.</param>
    /// <param name="received">Called on the thread with authenticated heartbeats only.</param>
    public Heartbeats(IPEndPoint bind, ProtocolOptions options, bool isPatient, Action<HeartbeatMessage> received)
    {
        _everyUs = (int)options.HeartbeatUs;
        // Even after this the other side hears in time from an emulation thread that is busy with something long.
        _patienceUs = (int)Math.Max(1000, Math.Min(2 * options.HeartbeatUs, options.FailureTimeoutUs / 5));
        _isPatient = isPatient;
        _hangUs = HangTimeouts * options.FailureTimeoutUs;
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
        new Thread(Run) { IsBackground = true, Name = "heartbeats" }.Start();
    }

    /// <summary>A primary's session begins, or goes on over a new connection.</summary>
    /// <param name="key">Authenticates both directions.</param>
    /// <param name="backup">Where the backup listens.</param>
    public void SendTo(ReadOnlyMemory<byte> key, IPEndPoint backup) => Use(key, backup, null);

    /// <summary>A backup's session begins, or goes on over a new connection.</summary>
    /// <param name="key">Authenticates both directions.</param>
    /// <param name="primary">The host at the other end of the channel; the port is learned from the heartbeats that come from there.</param>
    public void LearnFrom(ReadOnlyMemory<byte> key, IPAddress primary) => Use(key, null, primary);

    private void Use(ReadOnlyMemory<byte> key, IPEndPoint? to, IPAddress? learnsFrom)
    {
        Session? before = _session is { } session && session.Key.Span.SequenceEqual(key.Span) ? session : null;
        if (before is not null && (learnsFrom is null ? to!.Equals(before.To) : learnsFrom.Equals(before.LearnsFrom))) return;
        lock (_lock) _last = null;
        _session = new(key.ToArray(), to, learnsFrom, before?.Order ?? new HeartbeatOrder(fromPrimary: learnsFrom is not null));
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
        HeartbeatDatagram.Write(datagram, _last, ++_number, session.Key.Span);
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

    private void Run()
    {
        HostThread.Hasten();
        byte[] buffer = new byte[512];
        EndPoint any = new IPEndPoint(_socket.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
        int waitUs = _everyUs;
        while (!_isClosed)
        {
            try
            {
                if (_isPatient) Thread.Sleep(_patienceUs / 1000);
                // Polling, not waiting in a receive: a closed socket gives its port back at once.
                for (int n = 0; n < ReceivedMax && _socket.Poll(n > 0 || _isPatient ? 0 : waitUs, SelectMode.SelectRead); n++) Receive(buffer, any);
            }
            catch (SocketException)
            {
                // An ICMP answer to an earlier datagram: nobody listens there.
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            waitUs = Repeat();
        }
    }

    private void Receive(byte[] buffer, EndPoint any)
    {
        EndPoint from = any;
        int count = _socket.ReceiveFrom(buffer, ref from);
        if (_session is not { } session || HeartbeatDatagram.Read(buffer.AsSpan(0, count), session.Key.Span, out ulong number) is not { } heartbeat) return;
        if (!session.Order.IsNew(heartbeat, number)) return;
        // A copy that comes sooner by another way leads nobody astray.
        if (from is IPEndPoint at && at.Address.Equals(session.LearnsFrom) && !at.Equals(session.To)) Interlocked.CompareExchange(ref _session, session with { To = at }, session);
        _received(heartbeat);
    }

    /// <summary>Sends the last heartbeat again when it is due; how long nothing is to be sent, in microseconds.</summary>
    private int Repeat()
    {
        lock (_lock)
        {
            long now = HostClock.NowUs;
            bool lives = _last is not null && (now - _publishedUs < _hangUs || now < Volatile.Read(ref _excusedUntilUs));
            if (lives && now - _sentUs >= _everyUs) Send();
            // A little after the core should have sent its next one: mostly there is nothing to do then.
            return !lives ? _everyUs : (int)Math.Clamp(_sentUs + (_everyUs * 5L / 4) - now, 1000, _everyUs * 5L / 4);
        }
    }
}
