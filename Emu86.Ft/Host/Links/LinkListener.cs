// The backup's listening socket of the logging channel.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Links;

/// <summary>Accepts connections until it is disposed.</summary>
public sealed class LinkListener : IDisposable
{
    private readonly Socket _socket;
    private volatile bool _isClosed;

    /// <summary>Listens. Throws <see cref="HostException"/> when the address cannot be had.</summary>
    /// <param name="at">Address; port 0 takes a free one.</param>
    /// <param name="option">The option that named it, for the sentence.</param>
    /// <param name="accepted">Called on the listener's thread; owns the socket.</param>
    public LinkListener(Endpoint at, string option, Action<Socket> accepted)
    {
        IPEndPoint address = Loopback.Resolve(at, option);
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
        new Thread(() => Accept(accepted)) { IsBackground = true, Name = $"listener {Local}" }.Start();
    }

    public IPEndPoint Local { get; }

    public void Dispose()
    {
        _isClosed = true;
        _socket.Dispose();
    }

    private void Accept(Action<Socket> accepted)
    {
        while (!_isClosed)
        {
            try
            {
                accepted(_socket.Accept());
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // A caller that went away, no descriptor free, or this listener is closed.
                if (!_isClosed) Thread.Sleep(10);
            }
        }
    }
}
