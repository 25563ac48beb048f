// Writes kept over an image that is never altered: recording and replaying (docs/determinism.md).
using System.IO.Hashing;
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>A copy-on-write view of a disk. What is written is forgotten with the process.</summary>
/// <param name="below">Never written.</param>
/// <param name="isReadOnly">What the guest sees.</param>
/// <param name="spillDirectory">Where writes go that do not fit into memory; null: all are kept in memory.</param>
/// <param name="memoryMax">Bytes kept in memory.</param>
public sealed class OverlayDisk(IBlockStore below, bool isReadOnly = false, string? spillDirectory = null, long memoryMax = 64 << 20) : IBlockStore, IDisposable
{
    private const int SectorBytes = 512;
    private const int BlockSectors = 128;

    /// <summary>Sectors of a block that were written at all, and since the last <see cref="TakeChanged"/>. Without data they are in the spill file.</summary>
    private sealed class Block
    {
        public UInt128 Present;
        public UInt128 Changed;
        public byte[]? Data;
    }

    private readonly Dictionary<long, Block> _blocks = [];
    private readonly SpillFile? _spill = spillDirectory is null ? null : new SpillFile(spillDirectory);
    private long _memory;

    /// <summary>The image.</summary>
    public IBlockStore Below => below;

    public long SectorCount => below.SectorCount;

    public bool IsReadOnly => isReadOnly;

    /// <summary>Set when the image could not be read, or a write not be kept: the guest then sees something that no log holds.</summary>
    public bool Failed { get; private set; }

    /// <summary>Bytes written since the last <see cref="TakeChanged"/>.</summary>
    public long ChangedBytes { get; private set; }

    public BlockResult Read(long lba, Span<byte> destination)
    {
        int count = destination.Length / SectorBytes;
        for (int n = 0; n < count;)
        {
            // Runs of sectors that are all here or all below: the image is not asked for what is here.
            bool here = IsHere(lba + n);
            int run = 1;
            while (n + run < count && IsHere(lba + n + run) == here) run++;
            Span<byte> part = destination.Slice(n * SectorBytes, run * SectorBytes);
            if (here ? !ReadHere(lba + n, part) : below.Read(lba + n, part) != BlockResult.Ok)
            {
                Failed = true;
                return BlockResult.IoError;
            }
            n += run;
        }
        return BlockResult.Ok;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        return isReadOnly ? BlockResult.ReadOnly : Put(lba, source);
    }

    /// <summary>Writes also what the guest sees as read-only: content from a recording.</summary>
    public BlockResult Put(long lba, ReadOnlySpan<byte> source)
    {
        try
        {
            for (int n = 0; n < source.Length / SectorBytes; n++) Write(lba + n, source.Slice(n * SectorBytes, SectorBytes), BlockOf(lba + n));
            return BlockResult.Ok;
        }
        catch (IOException)
        {
            Failed = true;
            return BlockResult.IoError;
        }
    }

    public BlockResult Flush() => BlockResult.Ok;

    /// <summary>The sectors written since the last call, in ascending runs of at most <paramref name="bytesMax"/> bytes: what a
    /// snapshot in the middle of a recording adds. The bytes of a run are valid until the next one is asked for.</summary>
    public IEnumerable<(long Lba, ReadOnlyMemory<byte> Data)> TakeChanged(int bytesMax)
    {
        byte[] run = new byte[bytesMax];
        long first = 0;
        int bytes = 0;
        foreach (long number in _blocks.Where(b => b.Value.Changed != 0).Select(b => b.Key).Order())
        {
            UInt128 changed = _blocks[number].Changed;
            for (int n = 0; n < BlockSectors; n++)
            {
                if ((changed >> n & 1) == 0) continue;
                long lba = number * BlockSectors + n;
                if (bytes > 0 && (lba != first + bytes / SectorBytes || bytes + SectorBytes > bytesMax))
                {
                    yield return (first, run.AsMemory(0, bytes));
                    bytes = 0;
                }
                if (bytes == 0) first = lba;
                if (!ReadHere(lba, run.AsSpan(bytes, SectorBytes))) throw new HostException("what the guest has written to a disk cannot be read back from the state directory; check the host's disk");
                bytes += SectorBytes;
            }
        }
        if (bytes > 0) yield return (first, run.AsMemory(0, bytes));
        foreach (Block block in _blocks.Values) block.Changed = 0;
        ChangedBytes = 0;
    }

    /// <summary>128-bit hash of a disk's content.</summary>
    public static UInt128 ContentHash(IBlockStore disk)
    {
        var hash = new XxHash128();
        byte[] buffer = new byte[1 << 20];
        for (long lba = 0; lba < disk.SectorCount; lba += buffer.Length / SectorBytes)
        {
            Span<byte> part = buffer.AsSpan(0, (int)long.Min(buffer.Length, (disk.SectorCount - lba) * SectorBytes));
            if (disk.Read(lba, part) != BlockResult.Ok) throw new HostException("a disk image cannot be read while it is hashed; check the host's disk");
            hash.Append(part);
        }
        return hash.GetCurrentHashAsUInt128();
    }

    public void Dispose()
    {
        _spill?.Dispose();
        (below as IDisposable)?.Dispose();
    }

    private bool IsHere(long lba) => _blocks.TryGetValue(lba / BlockSectors, out Block? block) && (block.Present >> (int)(lba % BlockSectors) & 1) != 0;

    private bool ReadHere(long lba, Span<byte> destination)
    {
        try
        {
            for (; destination.Length > 0; lba++, destination = destination[SectorBytes..])
            {
                Block block = _blocks[lba / BlockSectors];
                if (block.Data is { } data) data.AsSpan((int)(lba % BlockSectors) * SectorBytes, SectorBytes).CopyTo(destination);
                else _spill!.Read(lba * SectorBytes, destination[..SectorBytes]);
            }
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private Block BlockOf(long lba)
    {
        if (_blocks.TryGetValue(lba / BlockSectors, out Block? block)) return block;
        block = new Block();
        if (_spill is null || _memory < memoryMax)
        {
            block.Data = new byte[BlockSectors * SectorBytes];
            _memory += block.Data.Length;
        }
        _blocks.Add(lba / BlockSectors, block);
        return block;
    }

    private void Write(long lba, ReadOnlySpan<byte> sector, Block block)
    {
        int n = (int)(lba % BlockSectors);
        if (block.Data is { } data) sector.CopyTo(data.AsSpan(n * SectorBytes));
        else _spill!.Write(lba * SectorBytes, sector);
        UInt128 bit = UInt128.One << n;
        block.Present |= bit;
        if ((block.Changed & bit) == 0) ChangedBytes += SectorBytes;
        block.Changed |= bit;
    }
}
