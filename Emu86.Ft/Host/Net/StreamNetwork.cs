// The guest's cable as a stream socket to a switch or to QEMU ("-netdev stream").
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Net;

/// <summary>A client that connects again, in the background, whenever the peer goes away; frames meanwhile are lost.</summary>
public sealed class StreamNetwork : IHostNetwork
{
    private const int ConnectTimeoutMs = 3000;
    private const int RetryFirstMs = 50;
    private const int RetryMaxMs = 1000;

    private readonly Endpoint? _at;
    private readonly string? _path;
    private readonly Action<string> _say;
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _ending = new();
    private Action<byte[]> _received = _ => { };
    private EndPoint? _endPoint;
    private StreamLink? _link;
    private byte[][] _greeting = [];
    private bool _complained;

    /// <param name="at">Where the peer listens; null: at <paramref name="path"/>.</param>
    /// <param name="path">A local socket.</param>
    /// <param name="say">Told what happens to the connection, a sentence at a time.</param>
    public StreamNetwork(Endpoint? at, string? path, Action<string> say)
    {
        _at = at;
        _path = path;
        _say = say;
    }

    /// <summary>Frames that are sent first on every connection, and at once when there is one: who goes live tells the network its
    /// epoch and where the guest is (<see cref="GoLiveFrames"/>).</summary>
    public IReadOnlyList<byte[]> Greeting
    {
        get => _greeting;
        set
        {
            lock (_lock)
            {
                _greeting = [.. value];
                foreach (byte[] frame in _greeting) _link?.Send(frame);
            }
        }
    }

    private string Name => _at?.ToString() ?? _path!;

    /// <summary>Connects; may be called again after it failed.</summary>
    public void Start(Action<byte[]> received)
    {
        _received = received;
        try
        {
            _endPoint = _at is not null ? new IPEndPoint(HostAddress.Resolve(_at.Host), _at.Port) : new UnixDomainSocketEndPoint(_path!);
        }
        catch (ArgumentOutOfRangeException)
        {
            throw new HostException($"--net stream: the path \"{_path}\" is too long for a socket");
        }
        Socket socket = Connect(out string? why) ?? throw new HostException($"--net stream: cannot connect to {Name}: {why}");
        Use(socket);
    }

    public void Send(ReadOnlyMemory<byte> frame)
    {
        // What a guest sends cannot pass for this program's own announcements.
        if (GoLiveFrames.IsEpochFrame(frame.Span)) return;
        _link?.Send(frame.Span);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _ending.Set();
            _link?.Dispose();
            _link = null;
        }
    }

    private Socket? Connect(out string? why)
    {
        why = null;
        Socket socket = _endPoint is IPEndPoint
            ? new Socket(_endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
            : new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            if (socket.ConnectAsync(_endPoint!).Wait(ConnectTimeoutMs)) return socket;
            why = "no answer";
        }
        catch (Exception e) when (e is SocketException or AggregateException)
        {
            SocketError error = ((e as SocketException) ?? e.InnerException as SocketException)?.SocketErrorCode ?? SocketError.SocketError;
            why = error switch
            {
                SocketError.ConnectionRefused => "nobody listens there",
                SocketError.AddressNotAvailable => "there is no such socket",
                SocketError.AccessDenied => "this user may not use it",
                _ => (e.InnerException ?? e).Message,
            };
        }
        socket.Dispose();
        return null;
    }

    private void Use(Socket socket)
    {
        lock (_lock)
        {
            if (_ending.IsSet)
            {
                socket.Dispose();
                return;
            }
            _link = new StreamLink(socket, _received, Closed);
            _link.Start();
            foreach (byte[] frame in _greeting) _link.Send(frame);
        }
    }

    private void Closed(StreamLink link, string why)
    {
        lock (_lock)
        {
            if (_ending.IsSet) return;
            _link = null;
        }
        // A peer that is not a switch would be complained about again and again.
        if (!_complained) _say($"network {Name} lost: {why}; connecting again");
        _complained = true;
        // This is the thread of the link that ended: it becomes the one that connects.
        for (int waitMs = RetryFirstMs; !_ending.Wait(waitMs); waitMs = int.Min(waitMs * 2, RetryMaxMs))
        {
            if (Connect(out _) is not { } socket) continue;
            Use(socket);
            return;
        }
    }
}
