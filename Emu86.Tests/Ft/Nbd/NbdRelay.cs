// Between a client and an NBD server: a network that can keep bytes back, let them through later, or be cut.
using System.Net;
using System.Net.Sockets;

namespace Emu86.Tests.Ft.Nbd;

internal sealed class NbdRelay : IDisposable
{
    private const int HeadBytes = 28;
    private static readonly byte[] RequestMagic = [0x25, 0x60, 0x95, 0x13];

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Lock _lock = new();
    private readonly List<Socket> _open = [];
    private readonly List<(Socket To, byte[] Bytes)> _kept = [];
    private readonly int _to;
    private bool _isKeeping, _isCut;
    private volatile int _writes, _connections;

    /// <param name="to">The server's port.</param>
    public NbdRelay(int to)
    {
        _to = to;
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        Begin(Accept);
    }

    public int Port { get; }

    /// <summary>Writes that clients have begun to send so far.</summary>
    public int Writes => _writes;

    /// <summary>Clients that have connected so far.</summary>
    public int Connections => _connections;

    /// <summary>What clients send stays here from now on, as in a socket's buffer; what the server answers goes on.</summary>
    public void Keep()
    {
        lock (_lock) _isKeeping = true;
    }

    /// <summary>What was kept reaches the server, and what follows too.</summary>
    public void LetThrough()
    {
        lock (_lock)
        {
            _isKeeping = false;
            foreach ((Socket to, byte[] bytes) in _kept) to.Send(bytes);
            _kept.Clear();
        }
    }

    /// <summary>Ends the connections, with what was kept on them.</summary>
    /// <param name="forGood">Nobody is connected any more after that.</param>
    public void Cut(bool forGood)
    {
        lock (_lock)
        {
            _isCut = forGood;
            _isKeeping = false;
            _kept.Clear();
            foreach (Socket socket in _open) socket.Dispose();
            _open.Clear();
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        Cut(forGood: true);
    }

    private static void Begin(Action work) => new Thread(() => work()) { IsBackground = true, Name = "NBD relay" }.Start();

    private void Accept()
    {
        try
        {
            while (true)
            {
                Socket client = _listener.AcceptSocket();
                Socket server = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                client.NoDelay = true;
                lock (_lock)
                {
                    _connections++;
                    _open.AddRange([client, server]);
                    if (_isCut) client.Dispose();
                }
                server.Connect(IPAddress.Loopback, _to);
                Begin(() => Pass(client, server, isClient: true));
                Begin(() => Pass(server, client, isClient: false));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It was ended.
        }
    }

    private void Pass(Socket from, Socket to, bool isClient)
    {
        byte[] buffer = new byte[1 << 17];
        try
        {
            for (int got; (got = from.Receive(buffer)) > 0;)
            {
                lock (_lock)
                {
                    // A client waits for each answer: a request begins where bytes begin.
                    if (isClient && got >= HeadBytes && buffer.AsSpan(0, 4).SequenceEqual(RequestMagic) && buffer[7] == NbdServer.Write) _writes++;
                    if (isClient && _isKeeping) _kept.Add((to, buffer[..got]));
                    else to.Send(buffer, got, SocketFlags.None);
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Cut, or one end has gone.
        }
        lock (_lock)
        {
            if (!_kept.Exists(k => k.To == to)) to.Dispose();
        }
    }
}
