// Waiting until files of Linux can be read (poll(2)).
using System.Runtime.InteropServices;

namespace Emu86.Ft.Host;

public static unsafe partial class HostPoll
{
    private const short PollIn = 1;

    /// <summary>Waits until one of these files can be read, at most so long; false: none can.</summary>
    /// <param name="files">Open files; a few.</param>
    /// <param name="milliseconds">At most.</param>
    public static bool WaitToRead(ReadOnlySpan<int> files, int milliseconds)
    {
        Request* requests = stackalloc Request[files.Length];
        for (int n = 0; n < files.Length; n++) requests[n] = new Request { File = files[n], Events = PollIn };
        return Poll(requests, (nuint)files.Length, milliseconds) > 0;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Request
    {
        public int File;
        public short Events, Returned;
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(Request* requests, nuint count, int milliseconds);
}
