// Writes kept in memory over an image that is never altered: recording and replaying (docs/determinism.md).
using System.IO.Hashing;
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>A copy-on-write view of a disk. What is written is forgotten with the process.</summary>
/// <param name="below">Never written.</param>
/// <param name="isReadOnly">What the guest sees.</param>
public sealed class OverlayDisk(IBlockStore below, bool isReadOnly = false) : IBlockStore
{
    private readonly Dictionary<long, byte[]> _sectors = [];
    private readonly SortedSet<long> _changed = [];

    public long SectorCount => below.SectorCount;

    public bool IsReadOnly => isReadOnly;

    /// <summary>Set when the image could not be read: the guest then sees something that no log holds, and the run must end.</summary>
    public bool Failed { get; private set; }

    public BlockResult Read(long lba, Span<byte> destination)
    {
        BlockResult result = below.Read(lba, destination);
        if (result != BlockResult.Ok)
        {
            Failed = true;
            return result;
        }
        for (int n = 0; n < destination.Length / 512; n++)
        {
            if (_sectors.TryGetValue(lba + n, out byte[]? sector)) sector.CopyTo(destination[(n * 512)..]);
        }
        return BlockResult.Ok;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        if (isReadOnly) return BlockResult.ReadOnly;
        for (int n = 0; n < source.Length / 512; n++)
        {
            _sectors[lba + n] = source.Slice(n * 512, 512).ToArray();
            _changed.Add(lba + n);
        }
        return BlockResult.Ok;
    }

    public BlockResult Flush() => BlockResult.Ok;

    /// <summary>The sectors written since the last call, in ascending runs of at most <paramref name="bytesMax"/> bytes: what a
    /// snapshot in the middle of a recording adds.</summary>
    public IEnumerable<(long Lba, byte[] Data)> TakeChanged(int bytesMax)
    {
        long first = 0;
        var run = new List<byte[]>();
        foreach (long lba in _changed)
        {
            if (run.Count > 0 && (lba != first + run.Count || (run.Count + 1) * 512 > bytesMax))
            {
                yield return (first, [.. run.SelectMany(s => s)]);
                run.Clear();
            }
            if (run.Count == 0) first = lba;
            run.Add(_sectors[lba]);
        }
        if (run.Count > 0) yield return (first, [.. run.SelectMany(s => s)]);
        _changed.Clear();
    }

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
