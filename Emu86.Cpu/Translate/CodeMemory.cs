// Memory for translated code: one memory object mapped twice, once to write and once to execute. No mapping is both (W^X).
// Behind the executable mapping, where code reaches it, lie the cells that code reads and writes (AccessCell).
using System.Runtime.InteropServices;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Translate;

/// <summary>Two bump allocators: for code over a dual mapping (what is written through <see cref="Writable"/> runs at the same offset
/// from <see cref="Executable"/>), and for cells.</summary>
internal sealed unsafe partial class CodeMemory
{
    private const int ProtRead = 1, ProtWrite = 2, ProtExecute = 4, MapShared = 1, MapPrivate = 2, MapFixed = 0x10, MapAnonymous = 0x20;
    private const uint CloseOnExec = 1;

    private readonly nuint _bytes, _cellBytes;
    private readonly AccessCell* _cells;
    private nuint _used, _kept;
    private int _cellsUsed, _cellsKept;

    private CodeMemory(byte* writable, byte* executable, nuint bytes, nuint cellBytes)
    {
        Writable = writable;
        Executable = executable;
        _bytes = bytes;
        _cellBytes = cellBytes;
        _cells = (AccessCell*)(executable + bytes);
    }

    public byte* Writable { get; }

    public byte* Executable { get; }

    /// <summary>What has been taken, in bytes.</summary>
    public nuint Used => _used;

    /// <summary>Null where the host does not allow it: there the interpreter does all the work.</summary>
    /// <param name="bytes">For code.</param>
    /// <param name="cellBytes">For cells. Both are multiples of the page size.</param>
    public static CodeMemory? TryCreate(nuint bytes, nuint cellBytes)
    {
        if (!OperatingSystem.IsLinux()) return null;
        int file = MemoryFile("emu86-code", CloseOnExec);
        if (file < 0) return null;
        nint writable = -1, cells = -1, executable = -1;
        if (SetLength(file, (nint)bytes) == 0)
        {
            writable = HostMemory.Map(0, bytes, ProtRead | ProtWrite, MapShared, file, 0);
            cells = HostMemory.Map(0, bytes + cellBytes, ProtRead | ProtWrite, MapPrivate | MapAnonymous, -1, 0);
            if (cells != -1) executable = HostMemory.Map(cells, bytes, ProtRead | ProtExecute, MapShared | MapFixed, file, 0);
        }
        _ = Close(file);
        if (writable != -1 && executable != -1) return new CodeMemory((byte*)writable, (byte*)executable, bytes, cellBytes);
        if (writable != -1) _ = HostMemory.Unmap(writable, bytes);
        if (cells != -1) _ = HostMemory.Unmap(cells, bytes + cellBytes);
        return null;
    }

    /// <summary>Whether <paramref name="bytes"/> more of code and <paramref name="cells"/> more cells fit.</summary>
    public bool HasRoom(nuint bytes, int cells) => _used + bytes <= _bytes && (nuint)(_cellsUsed + cells) * (nuint)sizeof(AccessCell) <= _cellBytes;

    /// <summary>A cell that admits nothing.</summary>
    public AccessCell* NewCell()
    {
        AccessCell* cell = _cells + _cellsUsed++;
        *cell = default;
        return cell;
    }

    /// <summary>No cell admits anything.</summary>
    public void ClearCells() => new Span<AccessCell>(_cells, _cellsUsed).Clear();

    /// <summary>Takes what was written at the end of the used part.</summary>
    public void Take(nuint bytes) => _used = (_used + bytes + 15) & ~(nuint)15;

    /// <summary>What is there now stays when <see cref="Reset"/> drops the rest.</summary>
    public void Keep() => (_kept, _cellsKept) = (_used, _cellsUsed);

    public void Reset() => (_used, _cellsUsed) = (_kept, _cellsKept);

    public void Free()
    {
        _ = HostMemory.Unmap((nint)Writable, _bytes);
        _ = HostMemory.Unmap((nint)Executable, _bytes + _cellBytes);
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate")]
    private static partial int SetLength(int file, nint length);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
