// What a disk held at an earlier position where the guest has read or written it since: with it the guest's way from there can
// be repeated although the image has gone on (docs/ft-protocol.md, "Divergence").
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>A view of a disk that keeps the sectors it is asked for as they were. Bounded by a budget: what is passed is not kept.</summary>
public sealed class DiskHistory(IBlockStore below, KeepingBudget budget) : IBlockStore
{
    private const int SectorBytes = 512;
    private const int SectorCost = SectorBytes + 64;

    private readonly Dictionary<long, (byte[] Data, int Offset)> _sectors = [];
    private bool _keeps;

    public IBlockStore Below => below;

    public long SectorCount => below.SectorCount;

    public bool IsReadOnly => below.IsReadOnly;

    /// <summary>The present content is the one to keep from now on; the budget has been reset.</summary>
    public void Begin()
    {
        _sectors.Clear();
        _keeps = true;
    }

    /// <summary>Nothing is kept any more.</summary>
    public void Stop()
    {
        _sectors.Clear();
        _keeps = false;
    }

    public BlockResult Read(long lba, Span<byte> destination)
    {
        BlockResult result = below.Read(lba, destination);
        if (_keeps && result == BlockResult.Ok) Keep(lba, destination);
        return result;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        if (_keeps && !below.IsReadOnly && !HasAll(lba, source.Length / SectorBytes))
        {
            byte[] before = new byte[source.Length];
            if (below.Read(lba, before) == BlockResult.Ok) Keep(lba, before);
        }
        return below.Write(lba, source);
    }

    public BlockResult Flush() => below.Flush();

    /// <summary>What was kept, in ascending runs of at most <paramref name="bytesMax"/> bytes.</summary>
    public IEnumerable<(long Lba, byte[] Data)> Runs(int bytesMax)
    {
        long first = 0;
        var run = new List<byte>();
        foreach (long lba in _sectors.Keys.Order())
        {
            if (run.Count > 0 && (lba != first + run.Count / SectorBytes || run.Count + SectorBytes > bytesMax))
            {
                yield return (first, run.ToArray());
                run.Clear();
            }
            if (run.Count == 0) first = lba;
            (byte[] data, int offset) = _sectors[lba];
            run.AddRange(data.AsSpan(offset, SectorBytes));
        }
        if (run.Count > 0) yield return (first, run.ToArray());
    }

    private bool HasAll(long lba, int count)
    {
        for (int n = 0; n < count; n++)
        {
            if (!_sectors.ContainsKey(lba + n)) return false;
        }
        return true;
    }

    // A sector that is kept was seen before: what is there now may have been written since.
    private void Keep(long lba, ReadOnlySpan<byte> content)
    {
        byte[]? copy = null;
        for (int n = 0; n < content.Length / SectorBytes; n++)
        {
            if (_sectors.ContainsKey(lba + n)) continue;
            if (!budget.Take(SectorCost))
            {
                Stop();
                return;
            }
            copy ??= content.ToArray();
            _sectors.Add(lba + n, (copy, n * SectorBytes));
        }
    }
}
