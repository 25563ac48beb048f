// What was written to a disk and may not be on its medium yet, kept so that it can be written again: a flush that failed, and a server
// that died, may have lost all of it, and a later flush that succeeds knows nothing of that.
namespace Emu86.Ft.Host;

/// <summary>The writes since the last flush. Whoever adds to them flushes when they are full.</summary>
public sealed class UndurableWrites
{
    public const int BytesMax = 16 << 20;

    private readonly List<(long Lba, byte[] Data)> _writes = [];
    private long _bytes;

    /// <summary>At least <see cref="BytesMax"/> are kept.</summary>
    public bool IsFull => _bytes >= BytesMax;

    public IReadOnlyList<(long Lba, byte[] Data)> InOrder => _writes;

    public void Add(long lba, ReadOnlySpan<byte> data)
    {
        _writes.Add((lba, data.ToArray()));
        _bytes += data.Length;
    }

    /// <summary>They are durable.</summary>
    public void Clear()
    {
        _writes.Clear();
        _bytes = 0;
    }
}
