// Memory for translated code: one memory object mapped twice, once to write and once to execute. No mapping is both (W^X).
using System.Runtime.InteropServices;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Translate;

/// <summary>A bump allocator over a dual mapping. What is written through <see cref="Writable"/> runs at the same offset from
/// <see cref="Executable"/>.</summary>
internal sealed unsafe partial class CodeMemory
{
    private const int ProtRead = 1, ProtWrite = 2, ProtExecute = 4, MapShared = 1;
    private const uint CloseOnExec = 1;

    private readonly nuint _bytes;
    private nuint _used, _kept;

    private CodeMemory(byte* writable, byte* executable, nuint bytes)
    {
        Writable = writable;
        Executable = executable;
        _bytes = bytes;
    }

    public byte* Writable { get; }

    public byte* Executable { get; }

    /// <summary>What has been taken, in bytes.</summary>
    public nuint Used => _used;

    /// <summary>Null where the host does not allow it: there the interpreter does all the work.</summary>
    public static CodeMemory? TryCreate(nuint bytes)
    {
        if (!OperatingSystem.IsLinux()) return null;
        int file = MemoryFile("emu86-code", CloseOnExec);
        if (file < 0) return null;
        nint writable = -1, executable = -1;
        if (SetLength(file, (nint)bytes) == 0)
        {
            writable = HostMemory.Map(0, bytes, ProtRead | ProtWrite, MapShared, file, 0);
            executable = HostMemory.Map(0, bytes, ProtRead | ProtExecute, MapShared, file, 0);
        }
        _ = Close(file);
        if (writable != -1 && executable != -1) return new CodeMemory((byte*)writable, (byte*)executable, bytes);
        if (writable != -1) _ = HostMemory.Unmap(writable, bytes);
        if (executable != -1) _ = HostMemory.Unmap(executable, bytes);
        return null;
    }

    /// <summary>Whether <paramref name="bytes"/> more fit.</summary>
    public bool HasRoom(nuint bytes) => _used + bytes <= _bytes;

    /// <summary>Takes what was written at the end of the used part.</summary>
    public void Take(nuint bytes) => _used = (_used + bytes + 15) & ~(nuint)15;

    /// <summary>What is there now stays when <see cref="Reset"/> drops the rest.</summary>
    public void Keep() => _kept = _used;

    public void Reset() => _used = _kept;

    public void Free()
    {
        _ = HostMemory.Unmap((nint)Writable, _bytes);
        _ = HostMemory.Unmap((nint)Executable, _bytes);
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate")]
    private static partial int SetLength(int file, nint length);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
