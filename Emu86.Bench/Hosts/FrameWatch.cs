// Sees every frame that a host sends into the bridge: when the guest is heard of, and from where (packet(7)).
using System.Diagnostics;
using System.Runtime.InteropServices;
using Emu86.Bench.Soak;
using Emu86.Ft.Host;

namespace Emu86.Bench.Hosts;

internal sealed unsafe partial class FrameWatch : IDisposable
{
    private const int PacketFamily = 17, Raw = 3, EveryType = 0x0300, OptionLevel = 1, ReceiveTimeout = 20, FrameBytes = 2048, Outgoing = 4, AddressBytes = 20;

    private readonly byte[] _mac;
    private readonly List<SeenFrame> _seen = [];
    private readonly int _socket, _bridge;
    private readonly Thread _thread;
    private volatile bool _ends;

    /// <param name="network">Whose bridge.</param>
    /// <param name="mac">The guest's address.</param>
    public FrameWatch(HostNetwork network, byte[] mac)
    {
        _mac = mac;
        // A broadcast comes by once more as the bridge's own.
        _bridge = network.BridgeIndex;
        _socket = network.Switch.Within(() => Socket(PacketFamily, Raw, EveryType));
        if (_socket < 0) throw new SoakException("a packet socket cannot be opened");
        long* wait = stackalloc long[2] { 0, 100_000 };
        _ = SetOption(_socket, OptionLevel, ReceiveTimeout, wait, 2 * sizeof(long));
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
        _ = Close(_socket);
    }

    private void Watch()
    {
        // A frame's time is when it was seen.
        HostThread.Hasten();
        byte* frame = stackalloc byte[FrameBytes], from = stackalloc byte[AddressBytes];
        while (!_ends)
        {
            int size = AddressBytes;
            nint got = ReceiveFrom(_socket, frame, FrameBytes, 0, from, &size);
            if (got < 14 || from[10] == Outgoing || !new ReadOnlySpan<byte>(frame + 6, 6).SequenceEqual(_mac)) continue;
            int port = *(int*)(from + 4);
            if (port == _bridge) continue;
            var seen = new SeenFrame(Stopwatch.GetTimestamp(), port, (ushort)(frame[12] << 8 | frame[13]));
            lock (_seen) _seen.Add(seen);
        }
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetOption(int socket, int level, int option, void* value, int size);

    [LibraryImport("libc", EntryPoint = "recvfrom", SetLastError = true)]
    private static partial nint ReceiveFrom(int socket, byte* into, nint size, int flags, byte* from, int* fromSize);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
