// Sees every frame that a host sends into the bridge: when the guest is heard of, and from where.
using System.Diagnostics;
using Emu86.Ft.Host;

namespace Emu86.Bench.Hosts;

internal sealed class FrameWatch : IDisposable
{
    private const int FrameBytes = 2048;

    private readonly byte[] _mac;
    private readonly List<SeenFrame> _seen = [];
    private readonly PacketSocket _socket;
    private readonly HostNetwork _network;
    private readonly Thread _thread;
    private volatile bool _ends;

    /// <param name="network">Whose bridge.</param>
    /// <param name="mac">The guest's address.</param>
    public FrameWatch(HostNetwork network, byte[] mac)
    {
        _mac = mac;
        _network = network;
        _socket = new PacketSocket(network.Switch);
        _thread = new Thread(Watch) { IsBackground = true, Name = "frames" };
        _thread.Start();
    }

    /// <summary>The guest's frames from a moment on, in order.</summary>
    public SeenFrame[] Since(long moment)
    {
        lock (_seen)
        {
            int first = _seen.FindIndex(s => s.At >= moment);
            return first < 0 ? [] : [.. _seen[first..]];
        }
    }

    /// <summary>Forgets what was before a moment.</summary>
    public void Forget(long before)
    {
        lock (_seen) _seen.RemoveAll(s => s.At < before);
    }

    public void Dispose()
    {
        _ends = true;
        _thread.Join();
        _socket.Dispose();
    }

    private void Watch()
    {
        // A frame's time is when it was seen.
        HostThread.Hasten();
        Span<byte> frame = stackalloc byte[FrameBytes];
        while (!_ends)
        {
            int got = _socket.Receive(frame, out int port, mayWait: true, out _);
            // A broadcast comes by once more as the bridge's own, and a frame that is relayed behind the relay.
            if (got < 14 || !frame.Slice(6, 6).SequenceEqual(_mac) || !_network.IsHostsPort(port)) continue;
            var seen = new SeenFrame(Stopwatch.GetTimestamp(), port, (ushort)(frame[12] << 8 | frame[13]));
            lock (_seen) _seen.Add(seen);
        }
    }
}
