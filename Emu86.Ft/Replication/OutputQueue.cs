// Outputs that wait: on the primary for an acknowledgement, on the backup for the news that the primary has sent them.
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <param name="Output">What waits.</param>
/// <param name="Ordinal">Number of the output in the guest's life, from 1: the same on both sides.</param>
/// <param name="AfterLsn">The output may leave when a frontier with this log sequence number or a later one is acknowledged.</param>
public readonly record struct WaitingOutput(Output Output, ulong Ordinal, ulong AfterLsn);

/// <summary>A queue that knows its size in bytes.</summary>
public sealed class OutputQueue
{
    private readonly Queue<WaitingOutput> _queue = new();

    public int Count => _queue.Count;

    public long Bytes { get; private set; }

    public void Add(in WaitingOutput waiting)
    {
        _queue.Enqueue(waiting);
        Bytes += Size(waiting.Output);
    }

    public bool TryPeek(out WaitingOutput waiting) => _queue.TryPeek(out waiting);

    public WaitingOutput Take()
    {
        WaitingOutput waiting = _queue.Dequeue();
        Bytes -= Size(waiting.Output);
        return waiting;
    }

    /// <summary>Takes out, in order, what need not be kept any more: bytes and frames that have left, disk writes that are durable.</summary>
    /// <param name="releasedUpTo">Ordinal of the last output that has left.</param>
    /// <param name="durableUpTo">Ordinal up to which disk writes are durable.</param>
    public void Forget(ulong releasedUpTo, ulong durableUpTo)
    {
        while (TryPeek(out WaitingOutput kept) && kept.Ordinal <= (kept.Output.Kind == OutputKind.DiskWrite ? durableUpTo : releasedUpTo)) Take();
    }

    public void Clear()
    {
        _queue.Clear();
        Bytes = 0;
    }

    private static long Size(Output output) => 96 + output.Data.Length;
}
