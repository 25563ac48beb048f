// A CD image of this host, known by its content (docs/ft-protocol.md, "Removable media"). Sector n is at byte 2048 n.
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
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
    private readonly Task<string?> _comparison;

    private CdImage(SafeFileHandle file, Medium medium, DateTime written, Task<string?> comparison) => (_file, Medium, _written, _comparison) = (file, medium, written, comparison);

    /// <summary>What it is, with the full path.</summary>
    public Medium Medium { get; }

    /// <summary>Opens an image and reads all of it, to know it again. On any thread. Throws <see cref="HostException"/>.</summary>
    public static CdImage Open(string path) => Open(path, (file, bytes, written) =>
        new CdImage(file, new Medium(bytes, HashOf(path, file, bytes), Path.GetFullPath(path)), written, Task.FromResult<string?>(null)));

    /// <summary>Opens the image that another side has, at its path; whether the content is the same is found out on another thread, since it may
    /// take longer than a side may be silent. Throws <see cref="HostException"/>.</summary>
    internal static CdImage Expect(Medium medium) => Open(medium.Path, (file, bytes, written) =>
        bytes == medium.Bytes ? new CdImage(file, medium, written, Task.Run(() => Compare(file, medium))) : throw new HostException(OtherContent(medium)));

    /// <summary>Why the content is not what was expected; null: it is, or that is not known yet.</summary>
    /// <param name="atMost">How long to wait until it is known.</param>
    internal string? Problem(TimeSpan atMost) => _comparison.Wait(atMost) ? _comparison.Result : null;

    /// <summary>Since it was opened: no longer the content that it is known by.</summary>
    internal bool WasChanged => File.GetLastWriteTimeUtc(_file) != _written;

    /// <summary>Null when all was read; else why not.</summary>
    internal string? Read(long sector, Span<byte> destination)
    {
        try
        {
            if (WasChanged) return $"CD image {Medium.Path} was changed while the guest uses it";
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

    private static CdImage Open(string path, Func<SafeFileHandle, long, DateTime, CdImage> make)
    {
        if (Directory.Exists(path)) throw new HostException($"CD image {path} is a directory; give the path of an ISO image file");
        if (!File.Exists(path)) throw new HostException($"CD image {path} does not exist; check the path");
        // A pipe, too: to open it would wait for a writer.
        if (new FileInfo(path).Length == 0) throw new HostException($"CD image {path} has 0 bytes; it is truncated or not an ISO image");
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            long bytes = RandomAccess.GetLength(file);
            if (bytes % Medium.SectorBytes != 0) throw new HostException($"CD image {path} has {bytes} bytes, which is not a whole number of 2048-byte sectors; it is truncated or not an ISO image");
            DateTime written = File.GetLastWriteTimeUtc(file);
            RefuseTruncated(path, file, bytes);
            return make(file, bytes, written);
        }
        catch (Exception e)
        {
            file?.Dispose();
            if (e is UnauthorizedAccessException or IOException) throw new HostException($"CD image {path} cannot be read: {e.Message}");
            throw;
        }
    }

    private static string? Compare(SafeFileHandle file, Medium medium)
    {
        try
        {
            return HashOf(medium.Path, file, medium.Bytes) == medium.Hash ? null : OtherContent(medium);
        }
        catch (Exception e) when (e is HostException or IOException)
        {
            return e.Message;
        }
        catch (ObjectDisposedException)
        {
            return null;                                // nobody wants to know any more
        }
    }

    private static string OtherContent(Medium medium) => $"{medium.Path} has another content here; copy that image to this host, or give it with --cdrom PATH";

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
