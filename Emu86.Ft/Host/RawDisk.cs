// A raw disk image in a file: sector n is at byte 512 n.
using Emu86.Devices;
using Microsoft.Win32.SafeHandles;

namespace Emu86.Ft.Host;

/// <summary>An image file, locked against a second writer while it is open. Its length stays what it was.</summary>
public sealed class RawDisk : IBlockStore, IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly string _path;

    private RawDisk(string path, SafeFileHandle file, long sectors, bool readOnly)
    {
        _path = path;
        _file = file;
        SectorCount = sectors;
        IsReadOnly = readOnly;
    }

    public long SectorCount { get; }

    public bool IsReadOnly { get; }

    /// <summary>The last host error, for the report; null when there was none.</summary>
    public string? LastError { get; private set; }

    /// <summary>Opens an image. Throws <see cref="HostException"/>.</summary>
    public static RawDisk Open(string path, bool readOnly) => OpenUnlessLocked(path, readOnly)
        ?? throw new HostException($"disk image {path} is being written by another program, perhaps another emu86: two would destroy it; end that one first, or use a copy");

    /// <summary>The same; null while another program holds the writer's lock.</summary>
    public static RawDisk? OpenUnlessLocked(string path, bool readOnly = false)
    {
        if (Directory.Exists(path)) throw new HostException($"disk image {path} is a directory; give the path of a raw image file");
        if (!File.Exists(path)) throw new HostException($"disk image {path} does not exist; create one, for example with: truncate -s 1G {path}");
        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(path, FileMode.Open, readOnly ? FileAccess.Read : FileAccess.ReadWrite, readOnly ? FileShare.ReadWrite : FileShare.Read);
        }
        catch (UnauthorizedAccessException)
        {
            throw new HostException($"disk image {path} cannot be opened for {(readOnly ? "reading" : "writing")}: permission denied; change its mode or add ,readonly");
        }
        catch (IOException e)
        {
            throw new HostException($"disk image {path} cannot be opened: {e.Message} Is another emu86 using it?");
        }
        if (!readOnly && !WriterLock.Take(file))
        {
            file.Dispose();
            return null;
        }
        long bytes = RandomAccess.GetLength(file);
        if (bytes == 0 || bytes % 512 != 0)
        {
            file.Dispose();
            throw new HostException($"disk image {path} has {bytes} bytes, which is not a whole number of 512-byte sectors; it is truncated or not a raw image");
        }
        return new RawDisk(path, file, bytes / 512, readOnly);
    }

    public BlockResult Read(long lba, Span<byte> destination)
    {
        try
        {
            int read = 0;
            while (read < destination.Length)
            {
                int got = RandomAccess.Read(_file, destination[read..], lba * 512 + read);
                if (got == 0) throw new IOException("the file became shorter");
                read += got;
            }
            return BlockResult.Ok;
        }
        catch (IOException e)
        {
            LastError = $"reading {_path} failed: {e.Message}";
            return BlockResult.IoError;
        }
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        if (IsReadOnly) return BlockResult.ReadOnly;
        try
        {
            // Written behind its end, a file that another program has cut would grow again, with zeros where the guest's data was.
            if (RandomAccess.GetLength(_file) < SectorCount * 512) throw new IOException("the file became shorter");
            RandomAccess.Write(_file, source, lba * 512);
            return BlockResult.Ok;
        }
        catch (IOException e)
        {
            LastError = $"writing {_path} failed: {e.Message}";
            return BlockResult.IoError;
        }
    }

    public BlockResult Flush()
    {
        if (IsReadOnly) return BlockResult.Ok;
        try
        {
            RandomAccess.FlushToDisk(_file);
            return BlockResult.Ok;
        }
        catch (IOException e)
        {
            LastError = $"flushing {_path} failed: {e.Message}";
            return BlockResult.IoError;
        }
    }

    public void Dispose() => _file.Dispose();
}
