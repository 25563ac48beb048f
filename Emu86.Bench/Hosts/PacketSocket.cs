// A socket for whole frames, as they pass by at the interfaces of a network namespace (packet(7)).
using System.Runtime.InteropServices;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

internal sealed unsafe partial class PacketSocket : IDisposable
{
    private const int PacketFamily = 17, Raw = 3, EveryType = 0x0300, SocketLevel = 1, ReceiveTimeout = 20, PacketLevel = 263, OffloadHeader = 15, Outgoing = 4, AddressBytes = 20, Nonblocking = 0x40;

    /// <param name="where">The namespace.</param>
    /// <param name="interfaceIndex">The only interface; 0: all.</param>
    /// <param name="withOffloads">Each frame has a header of 10 bytes in front (struct virtio_net_hdr): what the sender's kernel has left to be done, a
    /// checksum or cutting into segments, is so handed on with the frame.</param>
    public PacketSocket(NetworkNamespace where, int interfaceIndex = 0, bool withOffloads = false)
    {
        Handle = where.Within(() => Socket(PacketFamily, Raw, EveryType));
        if (Handle < 0) throw new SoakException($"a packet socket cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}");
        long* wait = stackalloc long[2] { 0, 100_000 };
        _ = SetOption(Handle, SocketLevel, ReceiveTimeout, wait, 2 * sizeof(long));
        int yes = 1;
        if (withOffloads && SetOption(Handle, PacketLevel, OffloadHeader, &yes, sizeof(int)) != 0) throw new SoakException($"PACKET_VNET_HDR: {Marshal.GetLastPInvokeErrorMessage()}");
        if (interfaceIndex == 0) return;
        byte* address = stackalloc byte[AddressBytes];
        new Span<byte>(address, AddressBytes).Clear();
        *(ushort*)address = PacketFamily;
        *(ushort*)(address + 2) = EveryType;
        *(int*)(address + 4) = interfaceIndex;
        if (Bind(Handle, address, AddressBytes) != 0) throw new SoakException($"a packet socket cannot be bound: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    public int Handle { get; }

    /// <summary>The next frame that came in; waits a tenth of a second at most, or not at all. Its length, 0 when there is none, or what came was
    /// sent out by this namespace.</summary>
    /// <param name="into">Takes it.</param>
    /// <param name="port">The interface.</param>
    /// <param name="mayWait">False: only what is there.</param>
    /// <param name="isAny">Something came, even if it is none of those.</param>
    public int Receive(Span<byte> into, out int port, bool mayWait, out bool isAny)
    {
        byte* from = stackalloc byte[AddressBytes];
        int size = AddressBytes;
        nint got;
        fixed (byte* bytes = into) got = ReceiveFrom(Handle, bytes, into.Length, mayWait ? 0 : Nonblocking, from, &size);
        port = got > 0 ? *(int*)(from + 4) : 0;
        isAny = got > 0;
        return got > 0 && from[10] != Outgoing ? (int)got : 0;
    }

    /// <summary>Sends a frame out of the interface; what cannot be sent is lost, as on a cable.</summary>
    public void Send(ReadOnlySpan<byte> frame)
    {
        fixed (byte* bytes = frame) _ = SendBytes(Handle, bytes, frame.Length, Nonblocking);
    }

    public void Dispose() => _ = Close(Handle);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    private static partial int Bind(int socket, void* address, int size);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetOption(int socket, int level, int option, void* value, int size);

    [LibraryImport("libc", EntryPoint = "recvfrom", SetLastError = true)]
    private static partial nint ReceiveFrom(int socket, byte* into, nint size, int flags, byte* from, int* fromSize);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint SendBytes(int socket, byte* bytes, nint size, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
