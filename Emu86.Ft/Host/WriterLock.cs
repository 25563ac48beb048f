// One writer for an image file: a lock of the open file description (fcntl(2), F_OFD_SETLK), which ends with the process however it
// ends. .NET's own locks let all writers in that share the file for reading.
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Emu86.Ft.Host;

internal static partial class WriterLock
{
    private const int SetLock = 37;
    private const short WriteLock = 1, FromStart = 0;
    private const long ToEnd = 0;
    private const int TryAgain = 11, AccessDenied = 13;

    /// <summary>struct flock of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Lock
    {
        public short Type;
        public short Whence;
        public long Start;

        /// <summary>0: to the end, wherever that is.</summary>
        public long Length;

        /// <summary>0 for locks of an open file description.</summary>
        public int Process;
    }

    /// <summary>Takes the lock for as long as the file is open.</summary>
    /// <param name="file">Open for writing.</param>
    /// <returns>False when another program has it. A file system or system without such locks gives it to everyone.</returns>
    public static bool Take(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux() || !Environment.Is64BitProcess) return true;
        var whole = new Lock { Type = WriteLock, Whence = FromStart, Start = 0, Length = ToEnd, Process = 0 };
        return Fcntl(file, SetLock, ref whole) == 0 || Marshal.GetLastPInvokeError() is not (TryAgain or AccessDenied);
    }

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(SafeFileHandle file, int command, ref Lock argument);
}
