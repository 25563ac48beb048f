// Between primary and backup: passes the logging channel and the heartbeats on, and can cut the channel.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Ft;

internal sealed class PairProxy : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly UdpClient _outside;
    private readonly UdpClient _inside = new(new IPEndPoint(IPAddress.Loopback, 0));
    private readonly List<TcpClient> _open = [];
    private readonly IPEndPoint _to;
    private readonly Func<int, int>? _recordsOf;
    private IPEndPoint? _caller;
    private volatile bool _isClosed;

    /// <param name="to">The backup's port.</param>
    /// <param name="recordsOf">By number of the connection: after how many of the caller's records it is broken. Null: never.</param>
    public PairProxy(int to, Func<int, int>? recordsOf = null)
    {
        _recordsOf = recordsOf;
        _to = new IPEndPoint(IPAddress.Loopback, to);
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _outside = new UdpClient(new IPEndPoint(IPAddress.Loopback, Port));
        Begin(Accept);
        Begin(() => Datagrams(_outside, d => { _caller = d.RemoteEndPoint; _inside.Send(d.Buffer, _to); }));
        Begin(() => Datagrams(_inside, d => { if (_caller is { } caller) _outside.Send(d.Buffer, caller); }));
    }

    public int Port { get; }

    /// <summary>Connections that were passed on so far.</summary>
    public int Connections { get; private set; }

    /// <summary>Breaks the open connections, as a network would.</summary>
    public void Cut()
    {
        lock (_open)
        {
            foreach (TcpClient client in _open)
            {
                // Null when one of the passing threads has closed it.
                client.Client?.Close(0);
                client.Close();
            }
            _open.Clear();
        }
    }

    public void Dispose()
    {
        _isClosed = true;
        _listener.Stop();
        _outside.Dispose();
        _inside.Dispose();
        Cut();
    }

    private static void Begin(Action work) => new Thread(() => work()) { IsBackground = true }.Start();

    private void Accept()
    {
        while (!_isClosed)
        {
            try
            {
                TcpClient caller = _listener.AcceptTcpClient(), callee = new() { NoDelay = true };
                caller.NoDelay = true;
                callee.Connect(_to);
                lock (_open) _open.AddRange([caller, callee]);
                int number = ++Connections;
                if (_recordsOf is null) Begin(() => Pass(caller, callee));
                else Begin(() => PassRecords(caller, callee, _recordsOf(number)));
                Begin(() => Pass(callee, caller));
            }
            catch (SocketException)
            {
                // Closed, or nobody there.
            }
        }
    }

    private static void Pass(TcpClient from, TcpClient to)
    {
        try
        {
            from.GetStream().CopyTo(to.GetStream());
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // Cut.
        }
        to.Close();
    }

    private static void PassRecords(TcpClient from, TcpClient to, int records)
    {
        try
        {
            Stream source = from.GetStream(), target = to.GetStream();
            byte[] frame = new byte[Frame.PreambleBytes];
            source.ReadExactly(frame);
            target.Write(frame);
            for (int n = 0; n < records; n++)
            {
                frame = new byte[Frame.HeaderBytes];
                source.ReadExactly(frame);
                int length = Frame.HeaderBytes + BinaryPrimitives.ReadInt32LittleEndian(frame) + Frame.ChecksumBytes;
                Array.Resize(ref frame, length);
                source.ReadExactly(frame.AsSpan(Frame.HeaderBytes));
                target.Write(frame);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // Cut.
        }
        from.Close();
        to.Close();
    }

    private void Datagrams(UdpClient from, Action<UdpReceiveResult> pass)
    {
        while (!_isClosed)
        {
            try
            {
                pass(from.ReceiveAsync().Result);
            }
            catch (Exception e) when (e is AggregateException or ObjectDisposedException or SocketException)
            {
                // Closed, or an ICMP answer.
            }
        }
    }
}
