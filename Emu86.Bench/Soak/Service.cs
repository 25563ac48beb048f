// A TCP service of the guest as a client reaches it.
using System.Net;
using System.Net.Sockets;

namespace Emu86.Bench.Soak;

/// <param name="At">Address and port.</param>
/// <param name="NewSocket">Makes the client's sockets: on whichever host the client is.</param>
internal sealed record Service(IPEndPoint At, Func<Socket> NewSocket)
{
    /// <summary>A forwarded port of this host.</summary>
    public static Service OnLoopback(int port) => new(new IPEndPoint(IPAddress.Loopback, port), () => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });

    /// <summary>Connects, waiting for at most the time given.</summary>
    /// <exception cref="SocketException">Nobody answers.</exception>
    public Socket Connect(TimeSpan atMost)
    {
        Socket socket = NewSocket();
        try
        {
            using var patience = new CancellationTokenSource(atMost);
            socket.ConnectAsync(At, patience.Token).AsTask().GetAwaiter().GetResult();
            socket.ReceiveTimeout = (int)atMost.TotalMilliseconds;
            return socket;
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            socket.Dispose();
            throw e as SocketException ?? new SocketException((int)SocketError.TimedOut);
        }
    }
}
