// Ethernet frames over a stream socket in QEMU's framing ("-netdev stream"): a 32-bit big-endian length, then the frame.
using System.Buffers.Binary;
using System.Net.Sockets;

namespace Emu86.Ft.Host.Net;

/// <summary>One connected socket. Sending never waits: what the socket does not take at once is kept, up to a bound, and then lost.</summary>
public sealed class StreamLink : IDisposable
{
    public const int FrameBytesMax = 65_536;

    private const int BacklogBytesMax = 512 * 1024;
    private const int PollMicroseconds = 1_000_000;

    private readonly Socket _socket;
    private readonly Action<byte[]> _received;
    private readonly Action<StreamLink, string> _closed;
    private readonly Lock _lock = new();
    private readonly byte[] _out = new byte[4 + FrameBytesMax];
    private readonly SemaphoreSlim _backlogged = new(0);
    private byte[] _backlog = [];
    private int _backlogStart;
    private int _backlogBytes;
    private string? _why;
    private volatile bool _ending;

    /// <param name="socket">Connected; belongs to the link from now on.</param>
    /// <param name="received">Gets every frame, on the link's thread.</param>
    /// <param name="closed">Told once, on the link's thread, why the link ended.</param>
    public StreamLink(Socket socket, Action<byte[]> received, Action<StreamLink, string> closed)
    {
        _socket = socket;
        _received = received;
        _closed = closed;
        _socket.Blocking = false;
        if (_socket.ProtocolType == ProtocolType.Tcp) _socket.NoDelay = true;
    }

    /// <summary>Frames that found no room.</summary>
    public long Dropped { get; private set; }

    public void Start()
    {
        new Thread(Read) { IsBackground = true, Name = "stream reader" }.Start();
        new Thread(Flush) { IsBackground = true, Name = "stream writer" }.Start();
    }

    public void Send(ReadOnlySpan<byte> frame)
    {
        if (frame.Length is 0 or > FrameBytesMax) return;
        lock (_lock)
        {
            if (_ending) return;
            int total = 4 + frame.Length;
            if (_backlogBytes + total > BacklogBytesMax)
            {
                Dropped++;
                return;
            }
            BinaryPrimitives.WriteInt32BigEndian(_out, frame.Length);
            frame.CopyTo(_out.AsSpan(4));
            int sent = _backlogBytes == 0 ? TrySend(_out.AsSpan(0, total)) : 0;
            if (sent == total || _ending) return;
            Keep(_out.AsSpan(sent, total - sent));
        }
    }

    public void Dispose() => End("closed by this side");

    private int TrySend(ReadOnlySpan<byte> data)
    {
        try
        {
            int sent = _socket.Send(data, SocketFlags.None, out SocketError error);
            if (error == SocketError.Success) return sent;
            if (error != SocketError.WouldBlock) End("the connection broke");
        }
        catch (ObjectDisposedException)
        {
            End("the connection was closed");
        }
        return 0;
    }

    private void Keep(ReadOnlySpan<byte> data)
    {
        if (_backlog.Length == 0) _backlog = new byte[BacklogBytesMax];
        if (_backlogStart + _backlogBytes + data.Length > _backlog.Length)
        {
            Buffer.BlockCopy(_backlog, _backlogStart, _backlog, 0, _backlogBytes);
            _backlogStart = 0;
        }
        data.CopyTo(_backlog.AsSpan(_backlogStart + _backlogBytes));
        _backlogBytes += data.Length;
        if (_backlogBytes == data.Length) _backlogged.Release();
    }

    private void Flush()
    {
        while (true)
        {
            _backlogged.Wait();
            while (true)
            {
                if (_ending) return;
                if (!Poll(SelectMode.SelectWrite)) continue;
                lock (_lock)
                {
                    int sent = TrySend(_backlog.AsSpan(_backlogStart, _backlogBytes));
                    _backlogStart += sent;
                    _backlogBytes -= sent;
                    if (_backlogBytes > 0) continue;
                    _backlogStart = 0;
                    break;
                }
            }
        }
    }

    private void Read()
    {
        byte[] buffer = new byte[4 + FrameBytesMax];
        int have = 0;
        while (!_ending)
        {
            if (!Poll(SelectMode.SelectRead)) continue;
            int count;
            SocketError error;
            try
            {
                count = _socket.Receive(buffer.AsSpan(have), SocketFlags.None, out error);
            }
            catch (ObjectDisposedException)
            {
                break;
            }
            if (error == SocketError.WouldBlock) continue;
            if (error != SocketError.Success) End("the connection broke");
            else if (count == 0) End("the peer closed the connection");
            if (_ending) break;
            have += count;
            int at = 0;
            while (have - at >= 4)
            {
                uint length = BinaryPrimitives.ReadUInt32BigEndian(buffer.AsSpan(at));
                if (length is 0 or > FrameBytesMax)
                {
                    End($"the peer sent a frame of {length} bytes, which is not 1 to {FrameBytesMax}: it does not speak this protocol");
                    break;
                }
                if (have - at - 4 < (int)length) break;
                _received(buffer.AsSpan(at + 4, (int)length).ToArray());
                at += 4 + (int)length;
            }
            Buffer.BlockCopy(buffer, at, buffer, 0, have - at);
            have -= at;
        }
        _socket.Dispose();
        _closed(this, _why ?? "the connection was closed");
    }

    private bool Poll(SelectMode mode)
    {
        try
        {
            return _socket.Poll(PollMicroseconds, mode);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            End("the connection broke");
            return false;
        }
    }

    private void End(string why)
    {
        lock (_lock)
        {
            if (_ending) return;
            _ending = true;
            _why = why;
        }
        _backlogged.Release();
        try
        {
            // Wakes the threads that wait for it.
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is gone already.
        }
    }
}
