// A connected socket, with or without TLS on it. Everything blocks: a socket that was once used asynchronously has each blocking
// receive served by way of two more threads for the rest of its life, and acknowledgements come hundreds of times a second.
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Emu86.Ft.Host.Links;

/// <summary>One thread may receive while another sends. Whatever goes wrong with the connection is an <see cref="IOException"/>.</summary>
/// <param name="socket">Connected; owned from now on.</param>
/// <param name="remote">The other side.</param>
/// <param name="tls">On that socket, its handshake done; null: bytes go as they are.</param>
public sealed class Channel(Socket socket, IPEndPoint remote, SslStream? tls = null) : IDisposable
{
    public IPEndPoint Remote => remote;

    public bool IsEncrypted => tls is not null;

    /// <summary>Longest wait of one receive; 0: for ever.</summary>
    public int ReceiveTimeoutMs
    {
        set => Try(value, (s, ms) => s.ReceiveTimeout = ms);
    }

    /// <summary>Longest wait of one send; 0: for ever.</summary>
    public int SendTimeoutMs
    {
        set => Try(value, (s, ms) => s.SendTimeout = ms);
    }

    /// <summary>The socket would take something now.</summary>
    public bool IsWritable
    {
        get
        {
            try
            {
                return socket.Poll(0, SelectMode.SelectWrite);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return false;
            }
        }
    }

    /// <returns>Bytes received; 0 at the end of the stream.</returns>
    public int Receive(Span<byte> buffer)
    {
        try
        {
            return tls is null ? socket.Receive(buffer) : tls.Read(buffer);
        }
        catch (Exception e) when (IsBroken(e))
        {
            throw Broken(e);
        }
    }

    /// <summary>Sends all of it: up to 16 KiB in one write, encrypted or not.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            if (tls is not null) tls.Write(bytes);
            else while (bytes.Length > 0) bytes = bytes[socket.Send(bytes)..];
        }
        catch (Exception e) when (IsBroken(e))
        {
            throw Broken(e);
        }
    }

    /// <summary>Nothing more will be sent; what was sent still arrives.</summary>
    public void EndSending()
    {
        try
        {
            // The encrypted farewell: without it the other side cannot tell the end from a cut.
            tls?.ShutdownAsync().GetAwaiter().GetResult();
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (IsBroken(e))
        {
            throw Broken(e);
        }
    }

    /// <summary>Wakes whoever receives or sends; a peer that does not read what was sent cannot hold us up.</summary>
    public void End()
    {
        try
        {
            socket.LingerState = new LingerOption(false, 0);
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (IsBroken(e))
        {
            // Gone already.
        }
        socket.Dispose();
    }

    public void Dispose()
    {
        socket.Dispose();
        tls?.Dispose();
    }

    /// <summary>The wait of <see cref="Receive"/> was over.</summary>
    public static bool IsTimeout(IOException e) => e.InnerException is SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock }
        || e.InnerException is IOException inner && IsTimeout(inner);

    // InvalidOperation: disposed meanwhile, by this side.
    private static bool IsBroken(Exception e) => e is SocketException or IOException or AuthenticationException or InvalidOperationException;

    private static IOException Broken(Exception e) => new("the connection broke", e);

    private void Try(int value, Action<Socket, int> set)
    {
        try
        {
            set(socket, value);
        }
        catch (Exception e) when (IsBroken(e))
        {
            throw Broken(e);
        }
    }
}
