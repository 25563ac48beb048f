// Writes kept in memory over an image that is never altered: recording and replaying (docs/determinism.md).
using System.IO.Hashing;
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>A copy-on-write view of a disk. What is written is forgotten with the process.</summary>
public sealed class OverlayDisk(IBlockStore below) : IBlockStore
{
    private readonly Dictionary<long, byte[]> _sectors = [];

    public long SectorCount => below.SectorCount;

    public bool IsReadOnly => false;

    public BlockResult Read(long lba, Span<byte> destination)
    {
        BlockResult result = below.Read(lba, destination);
        if (result != BlockResult.Ok) return result;
        for (int n = 0; n < destination.Length / 512; n++)
        {
            if (_sectors.TryGetValue(lba + n, out byte[]? sector)) sector.CopyTo(destination[(n * 512)..]);
        }
        return BlockResult.Ok;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        for (int n = 0; n < source.Length / 512; n++) _sectors[lba + n] = source.Slice(n * 512, 512).ToArray();
        return BlockResult.Ok;
    }

    public BlockResult Flush() => BlockResult.Ok;

    /// <summary>Sectors written so far, for a snapshot in the middle of a recording.</summary>
    public IReadOnlyDictionary<long, byte[]> Written => _sectors;

    /// <summary>128-bit hash of a disk's content.</summary>
    public static UInt128 ContentHash(IBlockStore disk)
    {
        var hash = new XxHash128();
        byte[] buffer = new byte[1 << 20];
        for (long lba = 0; lba < disk.SectorCount; lba += buffer.Length / 512)
        {
            Span<byte> part = buffer.AsSpan(0, (int)long.Min(buffer.Length, (disk.SectorCount - lba) * 512));
            if (disk.Read(lba, part) != BlockResult.Ok) throw new HostException("a disk image cannot be read while it is hashed; check the host's disk");
            hash.Append(part);
        }
        return hash.GetCurrentHashAsUInt128();
    }
}
