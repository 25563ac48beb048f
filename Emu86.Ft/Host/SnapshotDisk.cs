// A disk whose content at one moment can be read while the guest goes on writing: blocks are kept before they are overwritten.
// Before that moment it can be read in rounds: what was written meanwhile is read once more.
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>A store with at most one snapshot. Reading the snapshot is for another thread than the one that writes.</summary>
/// <param name="store">What the guest uses.</param>
/// <param name="spillDirectory">Where kept blocks go that do not fit into memory; null: all are kept in memory.</param>
/// <param name="memoryMax">Bytes of kept blocks in memory.</param>
public sealed class SnapshotDisk(IBlockStore store, string? spillDirectory = null, long memoryMax = 64 << 20) : IBlockStore
{
    /// <summary>Blocks of snapshots, in bytes; the last one of a disk may be shorter.</summary>
    public const int BlockBytes = 64 << 10;

    private const int BlockSectors = BlockBytes / 512;

    private readonly Lock _lock = new();

    // Null for a block that is in the spill file, at its place on the disk.
    private Dictionary<long, byte[]?>? _kept;
    private SpillFile? _spill;

    // Written while rounds are made; then all that the snapshot will be asked for. Null: no rounds are made, and all may be asked for.
    private HashSet<long>? _written;
    private long _memory;
    private string? _broken;

    /// <summary>What the guest uses.</summary>
    public IBlockStore Store => store;

    public long SectorCount => store.SectorCount;

    public bool IsReadOnly => store.IsReadOnly;

    public long BlockCount => (SectorCount + BlockSectors - 1) / BlockSectors;

    /// <summary>What is written from now on is remembered for <see cref="TakeWritten"/>.</summary>
    public void BeginRounds()
    {
        EndSnapshot();
        lock (_lock) _written = [];
    }

    /// <summary>Blocks written since the rounds began or since this was asked, in ascending order. When a snapshot has begun: those
    /// that were written before it, and are the ones that it may be asked for.</summary>
    /// <exception cref="IOException">There are no rounds, or they have ended.</exception>
    public long[] TakeWritten()
    {
        lock (_lock)
        {
            long[] taken = [.. (_written ?? throw new IOException("the rounds have ended")).Order()];
            if (_kept is null) _written.Clear();
            return taken;
        }
    }

    /// <summary>A block as it is now.</summary>
    /// <exception cref="IOException">The host's disk failed.</exception>
    public byte[] ReadNow(long block)
    {
        byte[] content = new byte[Length(block)];
        ReadNow(block, content);
        return content;
    }

    /// <summary>The same into a buffer of at least <see cref="BlockBytes"/>; returns the part of it that was needed.</summary>
    /// <exception cref="IOException">The host's disk failed.</exception>
    public ReadOnlySpan<byte> ReadNow(long block, Span<byte> buffer)
    {
        Span<byte> content = buffer[..Length(block)];
        lock (_lock)
        {
            return store.Read(block * BlockSectors, content) == BlockResult.Ok ? content : throw new IOException($"block {block} cannot be read");
        }
    }

    /// <summary>The content as it is now is kept for <see cref="ReadSnapshot"/>; after rounds, only of the blocks that
    /// <see cref="TakeWritten"/> names.</summary>
    public void BeginSnapshot()
    {
        lock (_lock)
        {
            DropKept();
            (_kept, _memory, _broken) = ([], 0, null);
        }
    }

    /// <summary>Nothing is kept or remembered any more.</summary>
    public void EndSnapshot()
    {
        lock (_lock)
        {
            DropKept();
            _written = null;
        }
    }

    /// <summary>A block as it was when the snapshot began.</summary>
    /// <exception cref="IOException">The host's disk failed.</exception>
    public byte[] ReadSnapshot(long block)
    {
        lock (_lock)
        {
            if (_kept is null) throw new IOException("the snapshot has ended");
            if (_broken is not null) throw new IOException(_broken);
            if (!_kept.TryGetValue(block, out byte[]? kept)) return ReadBlock(block) ?? throw new IOException($"block {block} cannot be read");
            if (kept is not null) return kept;
            byte[] content = new byte[Length(block)];
            _spill!.Read(block * BlockBytes, content);
            return content;
        }
    }

    public BlockResult Read(long lba, Span<byte> destination) => store.Read(lba, destination);

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        lock (_lock)
        {
            for (long block = lba / BlockSectors; block <= (lba + source.Length / 512 - 1) / BlockSectors; block++)
            {
                if (_kept is null) _written?.Add(block);
                else if (_broken is null && _written?.Contains(block) is not false) Keep(block);
            }
            return store.Write(lba, source);
        }
    }

    public BlockResult Flush() => store.Flush();

    // What cannot be kept ends the snapshot, not the guest.
    private void Keep(long block)
    {
        if (_kept!.ContainsKey(block)) return;
        byte[]? content = ReadBlock(block);
        if (content is null)
        {
            _broken = $"block {block} cannot be read before it is written";
            return;
        }
        if (spillDirectory is null || _memory < memoryMax)
        {
            _kept.Add(block, content);
            _memory += content.Length;
            return;
        }
        try
        {
            (_spill ??= new SpillFile(spillDirectory)).Write(block * BlockBytes, content);
            _kept.Add(block, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _broken = $"what the guest overwrites meanwhile cannot be kept in {spillDirectory}: {e.Message}";
        }
    }

    private void DropKept()
    {
        _kept = null;
        _spill?.Dispose();
        _spill = null;
    }

    private int Length(long block) => (int)Math.Min(BlockSectors, SectorCount - block * BlockSectors) * 512;

    private byte[]? ReadBlock(long block)
    {
        byte[] content = new byte[Length(block)];
        return store.Read(block * BlockSectors, content) == BlockResult.Ok ? content : null;
    }
}
