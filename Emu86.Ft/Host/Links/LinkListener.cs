// A listening socket of this process: the logging channel's, the owner's, the status port's.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host.Links;

/// <summary>Accepts connections until it is disposed, each on a thread of its own; with TLS they are authenticated first.</summary>
public sealed class LinkListener : IDisposable
{
    private readonly Socket _socket;
    private readonly TlsIdentity? _tls;
    private readonly Strangers _strangers;
    private readonly Action<string> _say;
    private readonly Action<Visitor, Channel> _accepted;
    private volatile bool _isClosed;

    /// <summary>Listens. Throws <see cref="HostException"/> when the address cannot be had.</summary>
    /// <param name="at">Address; port 0 takes a free one.</param>
    /// <param name="option">The option that named it, for the sentences.</param>
    /// <param name="tls">Null: plain, on loopback only.</param>
    /// <param name="strangersMax">Connections at a time whose peer is not known yet.</param>
    /// <param name="say">Told why connections are refused.</param>
    /// <param name="accepted">Called on the connection's own thread; owns the channel. With TLS its peer is known; else the receiver says
    /// so (<see cref="Visitor.Known"/>) when it is.</param>
    public LinkListener(Endpoint at, string option, TlsIdentity? tls, int strangersMax, Action<string> say, Action<Visitor, Channel> accepted)
    {
        (_tls, _say, _accepted) = (tls, say, accepted);
        _strangers = new Strangers(strangersMax, () => HostClock.NowUs);
        IPEndPoint address = Addresses.Resolve(at, option, tls is not null);
        _socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            // A port whose last connections are still in TIME_WAIT can be listened on again; a second listener is refused.
            _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            _socket.Bind(address);
            _socket.Listen(16);
        }
        catch (SocketException e)
        {
            _socket.Dispose();
            throw new HostException(e.SocketErrorCode == SocketError.AddressAlreadyInUse
                ? $"{option} {at} is in use by another process (another backup?); stop it or choose another port with {option}"
                : $"{option} {at} cannot be listened on: {e.Message}");
        }
        Local = (IPEndPoint)_socket.LocalEndPoint!;
        new Thread(Accept) { IsBackground = true, Name = $"listener {Local}" }.Start();
    }

    public IPEndPoint Local { get; }

    public void Dispose()
    {
        _isClosed = true;
        _socket.Dispose();
    }

    private void Accept()
    {
        while (!_isClosed)
        {
            Socket? socket = null;
            try
            {
                socket = _socket.Accept();
                socket.NoDelay = true;
                if (_strangers.Enter(socket, (IPEndPoint)socket.RemoteEndPoint!) is { } visitor)
                {
                    new Thread(() => Serve(visitor)) { IsBackground = true, Name = $"caller of {Local.Port}" }.Start();
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // A caller that went away, no descriptor free, or this listener is closed.
                socket?.Dispose();
                if (!_isClosed) Thread.Sleep(10);
            }
        }
    }

    private void Serve(Visitor visitor)
    {
        if (_tls is null)
        {
            _accepted(visitor, new Channel(visitor.Socket, visitor.Remote));
            return;
        }
        try
        {
            Channel channel = _tls.Accept(visitor.Socket, visitor.Remote);
            visitor.Known();
            _accepted(visitor, channel);
        }
        catch (Exception e) when (e is ProtocolException or IOException)
        {
            visitor.Known();
            visitor.Socket.Dispose();
            if (visitor.Sentence(e.Message) is { } sentence) _say($"connection from {visitor.Remote} refused: {sentence}");
        }
    }
}
