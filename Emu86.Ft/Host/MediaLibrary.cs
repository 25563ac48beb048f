// CD images of this host, known by their content (docs/ft-protocol.md, "Removable media"). Sector n of an image is at byte 2048 n.
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using Emu86.Devices;
using Emu86.Devices.Ide;
using Microsoft.Win32.SafeHandles;

namespace Emu86.Ft.Host;

/// <summary>One image file, open for reading.</summary>
public sealed class CdImage : IDisposable
{
    private const int PieceBytes = 1 << 20;
    private const int DescriptorAt = 16 * Medium.SectorBytes;

    private readonly SafeFileHandle _file;
    private readonly DateTime _written;

    private CdImage(SafeFileHandle file, Medium medium, DateTime written) => (_file, Medium, _written) = (file, medium, written);

    /// <summary>What it is, with the full path.</summary>
    public Medium Medium { get; }

    /// <summary>Opens an image and reads all of it, to know it again. On any thread. Throws <see cref="HostException"/>.</summary>
    public static CdImage Open(string path)
    {
        if (Directory.Exists(path)) throw new HostException($"CD image {path} is a directory; give the path of an ISO image file");
        if (!File.Exists(path)) throw new HostException($"CD image {path} does not exist; check the path");
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            long bytes = RandomAccess.GetLength(file);
            if (bytes == 0 || bytes % Medium.SectorBytes != 0) throw new HostException($"CD image {path} has {bytes} bytes, which is not a whole number of 2048-byte sectors; it is truncated or not an ISO image");
            DateTime written = File.GetLastWriteTimeUtc(file);
            RefuseTruncated(path, file, bytes);
            return new CdImage(file, new Medium(bytes, HashOf(path, file, bytes), Path.GetFullPath(path)), written);
        }
        catch (Exception e)
        {
            file?.Dispose();
            if (e is UnauthorizedAccessException or IOException) throw new HostException($"CD image {path} cannot be read: {e.Message}");
            throw;
        }
    }

    /// <summary>Null when all was read; else why not.</summary>
    internal string? Read(long sector, Span<byte> destination)
    {
        try
        {
            if (File.GetLastWriteTimeUtc(_file) != _written) return $"CD image {Medium.Path} was changed while the guest uses it";
            int read = 0;
            while (read < destination.Length)
            {
                int got = RandomAccess.Read(_file, destination[read..], sector * Medium.SectorBytes + read);
                if (got == 0) return $"CD image {Medium.Path} became shorter";
                read += got;
            }
            return null;
        }
        catch (IOException e)
        {
            return $"reading CD image {Medium.Path} failed: {e.Message}";
        }
    }

    public void Dispose() => _file.Dispose();

    // The primary volume descriptor says how long the volume is (ECMA-119, 8.4.8). What is no ISO 9660 volume cannot be judged.
    private static void RefuseTruncated(string path, SafeFileHandle file, long bytes)
    {
        Span<byte> descriptor = stackalloc byte[84];
        if (bytes < DescriptorAt + Medium.SectorBytes || RandomAccess.Read(file, descriptor, DescriptorAt) != descriptor.Length || !descriptor[..6].SequenceEqual("\u0001CD001"u8)) return;
        long volume = (long)BinaryPrimitives.ReadUInt32LittleEndian(descriptor[80..]) * Medium.SectorBytes;
        if (volume > bytes) throw new HostException($"CD image {path} is truncated: its volume has {volume} bytes, the file {bytes}; copy it again");
    }

    private static UInt128 HashOf(string path, SafeFileHandle file, long bytes)
    {
        var hash = new XxHash128();
        byte[] piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
        for (long at = 0; at < bytes;)
        {
            int got = RandomAccess.Read(file, piece, at);
            if (got == 0) throw new HostException($"CD image {path} became shorter while it was read");
            hash.Append(piece.AsSpan(0, (int)Math.Min(got, bytes - at)));
            at += got;
        }
        ArrayPool<byte>.Shared.Return(piece);
        return hash.GetCurrentHashAsUInt128();
    }
}

/// <summary>The images that one side has. On the emulation thread.</summary>
public sealed class MediaLibrary : IMediumStore, IDisposable
{
    /// <summary>On the command line: a drive without a medium.</summary>
    public const string Empty = "none";

    private readonly Dictionary<(long Bytes, UInt128 Hash), CdImage> _images = [];

    /// <param name="path">What --cdrom names; null: there is no drive.</param>
    /// <exception cref="HostException">It cannot be opened.</exception>
    public MediaLibrary(string? path)
    {
        if (path is null or Empty) return;
        CdImage image = CdImage.Open(path);
        Keep(image);
        Initial = image.Medium with { Path = "" };
    }

    /// <summary>What --cdrom names. Without its path, which is each side's own.</summary>
    public Medium? Initial { get; }

    /// <summary>The last problem, for the report; null when there was none.</summary>
    public string? LastError { get; private set; }

    /// <summary>From now on this content can be read.</summary>
    public void Keep(CdImage image)
    {
        if (!_images.TryAdd((image.Medium.Bytes, image.Medium.Hash), image)) image.Dispose();
    }

    public BlockResult Open(Medium medium)
    {
        if (_images.ContainsKey((medium.Bytes, medium.Hash))) return BlockResult.Ok;
        try
        {
            if (medium.Path.Length == 0) throw new HostException("this side has no such image; give it with --cdrom PATH");
            CdImage image = CdImage.Open(medium.Path);
            Keep(image);
            if (image.Medium.Bytes != medium.Bytes || image.Medium.Hash != medium.Hash) throw new HostException($"{medium.Path} has another content here; copy that image to this host, or give it with --cdrom PATH");
            return BlockResult.Ok;
        }
        catch (HostException e)
        {
            LastError = $"the guest's CD-ROM drive holds an image of {medium.Bytes} bytes with the content hash {medium.Hash:x32}: {e.Message}";
            return BlockResult.IoError;
        }
    }

    public BlockResult Read(Medium medium, long sector, Span<byte> destination)
    {
        if (Open(medium) != BlockResult.Ok) return BlockResult.IoError;
        if (_images[(medium.Bytes, medium.Hash)].Read(sector, destination) is not { } problem) return BlockResult.Ok;
        LastError = problem;
        return BlockResult.IoError;
    }

    /// <summary>A state was restored: what lies in its drive must be here. Throws <see cref="HostException"/>.</summary>
    public static void Require(Machine machine)
    {
        if (machine.Board.Cdrom?.Medium is { } medium && machine.Media is MediaLibrary library && library.Open(medium) != BlockResult.Ok) throw new HostException(library.LastError!);
    }

    /// <summary>A drive that is given goes with a machine that has one. Throws <see cref="HostException"/>.</summary>
    public static void RefuseSurplus(string? path, MachineConfig config)
    {
        if (path is not null && config.Cdrom is null) throw new HostException($"--cdrom {path} is given here, but the machine has no CD-ROM drive; leave it out");
    }

    public void Dispose()
    {
        foreach (CdImage image in _images.Values) image.Dispose();
    }
}
