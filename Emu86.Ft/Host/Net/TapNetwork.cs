// The guest's cable as a Linux tap device (Documentation/networking/tuntap.rst of the kernel).
using System.Runtime.InteropServices;
using System.Text;

namespace Emu86.Ft.Host.Net;

/// <summary>Opens an existing tap device, or makes one that lives as long as the program when the user may.</summary>
public sealed partial class TapNetwork(string name) : IHostNetwork
{
    private const int NameBytesMax = 15;
    private const int OpenReadWrite = 2, OpenNonBlocking = 0x800, OpenCloseOnExec = 0x80000;
    private const uint SetInterface = 0x400454ca;  // TUNSETIFF
    private const short Tap = 2, NoPacketInformation = 0x1000;
    private const int NotPermitted = 1, NoEntry = 2, NoDevice = 6, AccessDenied = 13, Busy = 16, NoSuchDevice = 19, Invalid = 22;
    private const int PollMs = 200;
    private const int FrameBytesMax = 65_536;

    private int _file = -1;
    private Thread? _thread;
    private volatile Action<byte[]>? _received;
    private volatile bool _ending;

    public void Start(Action<byte[]> received)
    {
        Plug();
        _received = received;
    }

    /// <summary>Opens the device, so that its link is up before the guest is heard there: a bridge takes its time until it forwards what comes
    /// from a port whose link has just come up. What arrives before <see cref="Start"/> is dropped. Throws as that does.</summary>
    public void Plug()
    {
        if (_thread is not null) return;
        if (!OperatingSystem.IsLinux()) throw new HostException("--net tap needs Linux; use --net user or --net stream here");
        byte[] request = new byte[40];
        if (Encoding.UTF8.GetByteCount(name) > NameBytesMax) throw new HostException($"--net tap: the interface name \"{name}\" is longer than {NameBytesMax} bytes", ExitCode.Usage);
        Encoding.UTF8.GetBytes(name, request);
        BitConverter.TryWriteBytes(request.AsSpan(16), (short)(Tap | NoPacketInformation));
        _file = Open("/dev/net/tun", OpenReadWrite | OpenNonBlocking | OpenCloseOnExec);
        if (_file < 0)
        {
            throw new HostException(Marshal.GetLastPInvokeError() switch
            {
                NoEntry or NoDevice or NoSuchDevice => "--net tap: this host has no /dev/net/tun (the kernel module tun is not loaded)",
                NotPermitted or AccessDenied => "--net tap: this user may not open /dev/net/tun",
                int error => $"--net tap: cannot open /dev/net/tun: {Marshal.GetPInvokeErrorMessage(error)}",
            });
        }
        if (Control(_file, SetInterface, request) < 0)
        {
            int error = Marshal.GetLastPInvokeError();
            _ = Close(_file);
            _file = -1;
            throw new HostException(error switch
            {
                NotPermitted or AccessDenied => $"--net tap: this user may not use the interface \"{name}\"; as root: ip tuntap add {name} mode tap user {Environment.UserName}",
                Busy => $"--net tap: the interface \"{name}\" is in use by another program",
                Invalid => $"--net tap: \"{name}\" exists and is not a tap device",
                _ => $"--net tap: cannot use the interface \"{name}\": {Marshal.GetPInvokeErrorMessage(error)}",
            });
        }
        _thread = new Thread(Read) { IsBackground = true, Name = "tap reader" };
        _thread.Start();
    }

    public void Send(ReadOnlyMemory<byte> frame)
    {
        if (_ending || _file < 0 || frame.Length == 0) return;
        // An interface that is down or full loses the frame.
        _ = Write(_file, frame.Span, frame.Length);
    }

    public void Dispose()
    {
        _ending = true;
        _thread?.Join();
        if (_file >= 0) _ = Close(_file);
        _file = -1;
    }

    private void Read()
    {
        byte[] buffer = new byte[FrameBytesMax];
        while (!_ending)
        {
            if (!HostPoll.WaitToRead([_file], PollMs)) continue;
            nint count = Read(_file, buffer, buffer.Length);
            if (count > 0) _received?.Invoke(buffer.AsSpan(0, (int)count).ToArray());
            // The interface was deleted: its cable stays dead.
            else if (Marshal.GetLastPInvokeError() is not (4 or 11)) Thread.Sleep(PollMs);
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int file, nuint request, Span<byte> argument);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(int file, Span<byte> buffer, nint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(int file, ReadOnlySpan<byte> buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);
}
