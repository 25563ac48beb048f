// --on-disk-error stop: the guest stands still in the middle of a request that the host cannot do, until it can. The guest never
// hears of it: virtual time waits for a disk as it does for one that is slow (docs/determinism.md).
using System.Diagnostics;
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>What all disks of a machine have in common while they wait. One for the process.</summary>
/// <param name="say">Where sentences go.</param>
public sealed class DiskPatience(Action<string> say)
{
    private readonly ManualResetEventSlim _ended = new();
    private volatile string? _problem;
    private long _since, _waited;

    /// <summary>Whether a request may wait now; where it may not, its error is told at once. Asked on the emulation thread.</summary>
    public Func<bool> MayWait { get; set; } = () => true;

    /// <summary>Milliseconds between two tries.</summary>
    public int RetryMs { get; init; } = 250;

    /// <summary>Called before each wait, on the emulation thread.</summary>
    public Action? EachWait { get; init; }

    /// <summary>Why the guest stands still, as a sentence; null while it does not. For any thread.</summary>
    public string? Problem => _problem;

    /// <summary>A request was given up because the run is to end: the guest has seen an error that it would not have seen.</summary>
    public bool HasGivenUp { get; private set; }

    /// <summary>How long requests have waited since the last call, in Stopwatch ticks.</summary>
    public long TakeWaited()
    {
        long waited = _waited;
        _waited = 0;
        return waited;
    }

    /// <summary>The run is to end: no request waits any more. From any thread.</summary>
    public void End() => _ended.Set();

    /// <summary>A request failed.</summary>
    /// <param name="drive">0 to 3.</param>
    /// <param name="reason">What the host said.</param>
    /// <returns>True after a while, when it is to be tried again.</returns>
    internal bool Wait(int drive, string reason)
    {
        if (!MayWait()) return false;
        if (_problem is null) _since = Stopwatch.GetTimestamp();
        string problem = $"{reason}; the guest stands still until its disk {DiskErrors.NameOf(drive)} works again";
        if (problem != _problem) say(problem);
        _problem = problem;
        EachWait?.Invoke();
        if (!_ended.Wait(RetryMs)) return true;
        if (!HasGivenUp) say($"the run ends while the guest waits for its disk {DiskErrors.NameOf(drive)}: the request is not done, and a snapshot at the end would hold the error");
        HasGivenUp = true;
        return false;
    }

    /// <summary>A request was done, or its error is told.</summary>
    internal void Over(int drive, bool isDone)
    {
        if (_problem is null) return;
        _problem = null;
        _waited += Stopwatch.GetTimestamp() - _since;
        if (isDone) say($"the disk {DiskErrors.NameOf(drive)} works again, the guest goes on after {Stopwatch.GetElapsedTime(_since).TotalSeconds:F1} s");
    }
}

/// <summary>A disk whose failed requests are tried again, a flush with all that it was to make durable.</summary>
public sealed class PatientDisk(IBlockStore below, int drive, DiskPatience patience) : IBlockStore
{
    private readonly UndurableWrites _undurable = new();

    public IBlockStore Below => below;

    public long SectorCount => below.SectorCount;

    public bool IsReadOnly => below.IsReadOnly;

    public bool MayFlush => below.MayFlush;

    /// <summary>The same drives, with patience; without one, as they are.</summary>
    public static IBlockStore?[] Over(IReadOnlyList<IBlockStore?> disks, DiskPatience? patience) =>
        [.. disks.Select((d, n) => d is null || patience is null ? d : new PatientDisk(d, n, patience))];

    public BlockResult Read(long lba, Span<byte> destination)
    {
        BlockResult result;
        while (IsToBeTriedAgain(result = below.Read(lba, destination)))
        {
        }
        return result;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        if (_undurable.IsFull && Flush() == BlockResult.IoError) return BlockResult.IoError;
        BlockResult result;
        while (IsToBeTriedAgain(result = below.Write(lba, source)))
        {
        }
        if (result == BlockResult.Ok) _undurable.Add(lba, source);
        return result;
    }

    public BlockResult Flush()
    {
        BlockResult result = below.Flush();
        while (IsToBeTriedAgain(result)) result = WriteAgain() ? below.Flush() : BlockResult.IoError;
        if (result == BlockResult.Ok) _undurable.Clear();
        return result;
    }

    private bool WriteAgain()
    {
        foreach ((long lba, byte[] data) in _undurable.InOrder)
        {
            if (below.Write(lba, data) != BlockResult.Ok) return false;
        }
        return true;
    }

    private bool IsToBeTriedAgain(BlockResult result)
    {
        if (result == BlockResult.IoError && patience.Wait(drive, DiskErrors.Reason(drive, below))) return true;
        patience.Over(drive, isDone: result != BlockResult.IoError);
        return false;
    }
}
