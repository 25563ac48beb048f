// The bytes between this program and an NBD server. Every wait has an end.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host.Nbd;

/// <summary>A stream both ways. All members throw <see cref="NbdException"/> when it has ended or the time is over.</summary>
public interface INbdWire : IDisposable
{
    /// <summary>All that follows must be done within this time, in milliseconds.</summary>
    void Within(int milliseconds);

    void Send(ReadOnlySpan<byte> bytes);

    /// <summary>Returns when the whole span is filled.</summary>
    void Receive(Span<byte> bytes);
}

/// <summary>A TCP connection.</summary>
public sealed class NbdSocket : INbdWire
{
    private readonly Socket _socket;
    private NbdDeadline _deadline;

    private NbdSocket(Socket socket) => _socket = socket;

    /// <param name="to">The server.</param>
    /// <param name="milliseconds">How long to wait for it at most.</param>
    /// <exception cref="NbdException">Nobody answers there.</exception>
    public static NbdSocket Connect(IPEndPoint to, int milliseconds)
    {
        Socket socket = new(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            // Not ConnectAsync, which makes each later receive of the socket slower; closing it ends a connect that takes too long.
            using (new Timer(_ => socket.Dispose(), null, milliseconds, Timeout.Infinite)) socket.Connect(to);
            // Without a listener a port of the ephemeral range may connect to itself.
            if (Equals(socket.LocalEndPoint, socket.RemoteEndPoint)) throw new SocketException((int)SocketError.ConnectionRefused);
            socket.NoDelay = true;
            socket.Blocking = false;
            return new NbdSocket(socket);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            socket.Dispose();
            throw new NbdException(e switch
            {
                SocketException { SocketErrorCode: SocketError.ConnectionRefused } => "nothing listens there (is the NBD server running?)",
                SocketException { SocketErrorCode: not (SocketError.TimedOut or SocketError.OperationAborted or SocketError.Interrupted) } => $"it cannot be reached: {e.Message}",
                _ => $"nobody answers within {milliseconds / 1000.0:0.#} s",
            });
        }
    }

    /// <summary>The TLS handshake, within the time that is left. This wire is of no more use then, however it ends.</summary>
    /// <param name="identity">This side's certificate, and whom it believes.</param>
    /// <param name="host">What the server's certificate must name.</param>
    public NbdTlsWire Encrypt(TlsIdentity identity, string host)
    {
        int leftMs = (int)long.Max(1, _deadline.LeftMs);
        try
        {
            _socket.Blocking = true;
            using var bound = new Timer(_ => _socket.Dispose(), null, leftMs, Timeout.Infinite);
            return new NbdTlsWire(identity.Connect(_socket, (IPEndPoint)_socket.RemoteEndPoint!, host));
        }
        catch (Exception e) when (e is ProtocolException or IOException or SocketException or ObjectDisposedException)
        {
            throw new NbdException(e is ProtocolException ? $"it is not the server that it should be: {e.Message}" : "the connection ended during the TLS handshake");
        }
    }

    public void Within(int milliseconds) => _deadline = NbdDeadline.In(milliseconds);

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int sent = _socket.Send(bytes, SocketFlags.None, out SocketError error);
            if (error == SocketError.WouldBlock) Await(SelectMode.SelectWrite, "did not take the request");
            else if (error != SocketError.Success) throw Broken(error);
            else bytes = bytes[sent..];
        }
    }

    public void Receive(Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            Await(SelectMode.SelectRead, "did not answer");
            int got = _socket.Receive(bytes, SocketFlags.None, out SocketError error);
            if (error == SocketError.WouldBlock) continue;
            if (error != SocketError.Success) throw Broken(error);
            if (got == 0) throw new NbdException("the server closed the connection");
            bytes = bytes[got..];
        }
    }

    public void Dispose() => _socket.Dispose();

    private void Await(SelectMode mode, string failed)
    {
        long leftMs = _deadline.LeftMs;
        try
        {
            if (leftMs > 0 && _socket.Poll((int)(leftMs * 1000), mode)) return;
        }
        catch (SocketException e)
        {
            throw Broken(e.SocketErrorCode);
        }
        throw _deadline.Late(failed);
    }

    private static NbdException Broken(SocketError error) => new($"the connection broke: {new SocketException((int)error).Message}");
}
