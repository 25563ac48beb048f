// A disk whose content at one moment can be read while the guest goes on writing: blocks are kept before they are overwritten.
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>A store with at most one snapshot. Reading the snapshot is for another thread than the one that writes.</summary>
public sealed class SnapshotDisk(IBlockStore store) : IBlockStore
{
    /// <summary>Blocks of snapshots, in bytes; the last one of a disk may be shorter.</summary>
    public const int BlockBytes = 64 << 10;

    private const int BlockSectors = BlockBytes / 512;

    private readonly Lock _lock = new();
    private Dictionary<long, byte[]>? _kept;

    public long SectorCount => store.SectorCount;

    public bool IsReadOnly => store.IsReadOnly;

    public long BlockCount => (SectorCount + BlockSectors - 1) / BlockSectors;

    /// <summary>The content as it is now is kept for <see cref="ReadSnapshot"/>.</summary>
    public void BeginSnapshot()
    {
        lock (_lock) _kept = [];
    }

    public void EndSnapshot()
    {
        lock (_lock) _kept = null;
    }

    /// <summary>A block as it was when the snapshot began.</summary>
    /// <exception cref="IOException">The host's disk failed.</exception>
    public byte[] ReadSnapshot(long block)
    {
        lock (_lock)
        {
            if (_kept is null) throw new IOException("the snapshot has ended");
            return _kept.TryGetValue(block, out byte[]? kept) ? kept : ReadBlock(block) ?? throw new IOException($"block {block} cannot be read");
        }
    }

    public BlockResult Read(long lba, Span<byte> destination) => store.Read(lba, destination);

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        lock (_lock)
        {
            if (_kept is not null)
            {
                for (long block = lba / BlockSectors; block <= (lba + source.Length / 512 - 1) / BlockSectors; block++)
                {
                    if (!_kept.ContainsKey(block) && ReadBlock(block) is { } content) _kept.Add(block, content);
                }
            }
            return store.Write(lba, source);
        }
    }

    public BlockResult Flush() => store.Flush();

    private byte[]? ReadBlock(long block)
    {
        long first = block * BlockSectors;
        byte[] content = new byte[Math.Min(BlockSectors, SectorCount - first) * 512];
        return store.Read(first, content) == BlockResult.Ok ? content : null;
    }
}
