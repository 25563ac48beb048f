// Threads that must not wait for their turn (setpriority(2)): .NET's thread priorities do nothing on Linux.
using System.Runtime.InteropServices;

namespace Emu86.Ft.Host;

public static partial class HostThread
{
    private const int CallingThread = 0, Nice = -10;

    /// <summary>Puts the calling thread before others of the host, where this user may do that (root, CAP_SYS_NICE, or a limit of RLIMIT_NICE);
    /// else it stays as it is. For threads that do little and are waited for.</summary>
    public static void Hasten()
    {
        if (OperatingSystem.IsLinux()) _ = SetPriority(CallingThread, 0, Nice);
    }

    // On Linux it is the thread's, whatever POSIX says of the process.
    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, uint who, int value);
}
