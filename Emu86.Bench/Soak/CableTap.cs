// A cable between a side and the switch that counts the guest's frames on it (QEMU's stream framing: 32-bit big-endian
// length, then the frame).
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Emu86.Bench.Soak;

/// <summary>Listens for the side and hands everything on to the switch and back.</summary>
internal sealed class CableTap : IDisposable
{
    // The side's own word to the switch, which epoch it has, is no output of the guest (type 88B5h).
    private static readonly byte[] GuestMac = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _switchPort;
    private readonly List<TcpClient> _open = [];
    private long _frames;

    public CableTap(int switchPort)
    {
        _switchPort = switchPort;
        _listener.Start();
        new Thread(Accept) { IsBackground = true, Name = "cable" }.Start();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Frames with the guest's source address that left the side.</summary>
    public long FramesFromGuest => Volatile.Read(ref _frames);

    public void Dispose()
    {
        _listener.Stop();
        lock (_open)
        {
            foreach (TcpClient client in _open) client.Dispose();
        }
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                TcpClient side = _listener.AcceptTcpClient(), to = new("127.0.0.1", _switchPort);
                side.NoDelay = to.NoDelay = true;
                lock (_open) _open.AddRange([side, to]);
                new Thread(() => Carry(side.GetStream(), to.GetStream(), count: true)) { IsBackground = true }.Start();
                new Thread(() => Carry(to.GetStream(), side.GetStream(), count: false)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The round has ended.
        }
    }

    private void Carry(NetworkStream from, NetworkStream to, bool count)
    {
        byte[] buffer = new byte[4 + (1 << 16)];
        try
        {
            while (true)
            {
                from.ReadExactly(buffer, 0, 4);
                int length = (int)BinaryPrimitives.ReadUInt32BigEndian(buffer);
                if (length is < 0 or > 1 << 16) throw new IOException("this is not the stream framing");
                from.ReadExactly(buffer, 4, length);
                if (count && length >= 14 && buffer.AsSpan(10, 6).SequenceEqual(GuestMac) && BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(16)) != 0x88b5) Interlocked.Increment(ref _frames);
                to.Write(buffer, 0, 4 + length);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            to.Close();
        }
    }
}
