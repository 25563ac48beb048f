// Large blocks of the host's memory, in large pages where the host has them: guest memory and decoded code are used all over,
// and small pages make the host's own TLB miss.
using System.Runtime.InteropServices;

namespace Emu86.Cpu.Memory;

/// <summary>A block of zeroed memory. What is not touched costs nothing where the host allows it.</summary>
public sealed unsafe partial class HostMemory
{
    private const nuint LargePage = 2 << 20;
    private const int ProtRead = 1, ProtWrite = 2, MapPrivate = 2, MapAnonymous = 0x20, AdviseHugePage = 14;

    private readonly nint _mapping;
    private readonly nuint _mapped;

    /// <param name="bytes">The block begins at a multiple of 4 KiB at least.</param>
    /// <exception cref="OutOfMemoryException">The host does not have it.</exception>
    public HostMemory(nuint bytes)
    {
        if (!OperatingSystem.IsLinux())
        {
            Start = (byte*)NativeMemory.AlignedAlloc(bytes, 4096);
            NativeMemory.Clear(Start, bytes);
            return;
        }
        _mapped = bytes + LargePage;
        _mapping = Map(0, _mapped, ProtRead | ProtWrite, MapPrivate | MapAnonymous, -1, 0);
        if (_mapping == -1) throw new OutOfMemoryException();
        Start = (byte*)(((nuint)_mapping + LargePage - 1) & ~(LargePage - 1));
        // Only advice: a host that has no large pages free gives small ones.
        _ = Advise((nint)Start, bytes, AdviseHugePage);
    }

    public byte* Start { get; }

    public void Free()
    {
        if (_mapped != 0) _ = Unmap(_mapping, _mapped);
        else NativeMemory.AlignedFree(Start);
    }

    /// <summary>mmap(2); -1 when it fails.</summary>
    [LibraryImport("libc", EntryPoint = "mmap")]
    internal static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    /// <summary>munmap(2).</summary>
    [LibraryImport("libc", EntryPoint = "munmap")]
    internal static partial int Unmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);
}
