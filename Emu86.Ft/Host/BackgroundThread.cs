// Threads whose work can wait. The runtime's own thread priorities do nothing on Linux.
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Emu86.Ft.Host;

internal static partial class BackgroundThread
{
    /// <summary>At this nice value a thread that has to share one processor with another gets a quarter of it: on a host that is busy with
    /// much else it must get somewhere, too.</summary>
    private const int Nice = 5;

    /// <summary>The calling thread gives way to all others from now on. Without effect where the host does not know how.</summary>
    public static void GiveWay()
    {
        const int ThisThread = 0, Process = 0;
        // Linux's nice value is each thread's own.
        if (OperatingSystem.IsLinux()) _ = SetPriority(Process, ThisThread, Nice);
    }

    /// <summary>The processor time of the calling thread so far; the host's time where it does not tell.</summary>
    public static TimeSpan Worked
    {
        get
        {
            const int ThreadProcessorTime = 3;
            return OperatingSystem.IsLinux() && ReadClock(ThreadProcessorTime, out Time time) == 0
                ? TimeSpan.FromTicks(time.Seconds * TimeSpan.TicksPerSecond + time.Nanoseconds / TimeSpan.NanosecondsPerTick)
                : Stopwatch.GetElapsedTime(0);
        }
    }

    // On the 64-bit hosts that the program runs on.
    private readonly record struct Time(long Seconds, long Nanoseconds);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ReadClock(int clock, out Time time);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);
}
