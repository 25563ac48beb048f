// The one thread that writes the images of shared disks, in the order in which the output rule has let the guest's writes go
// (docs/ft-protocol.md, "Shared disks").
using System.Collections.Concurrent;
using System.Diagnostics;
using Emu86.Devices;
using Emu86.Ft.Host;

namespace Emu86.Ft.Run.Pair;

/// <param name="disks">By drive.</param>
/// <param name="images">By drive; there before the first write of a drive is released.</param>
/// <param name="say">Told what does not go as it should.</param>
internal sealed class SharedWriter(IReadOnlyList<SharedDisk?> disks, IReadOnlyList<IBlockStore?> images, Action<string> say) : IDisposable
{
    private const int RetryMs = 200, BatchMax = 256;

    private readonly record struct Write(int Drive, long Lba, ReadOnlyMemory<byte> Data, ulong Number, ulong Ordinal);

    private readonly BlockingCollection<Write> _queue = [];
    private Thread? _thread;
    private volatile bool _isAbandoned;
    private volatile int _unwritten;
    private volatile string? _problem;

    /// <summary>Told on the writer's thread up to which output all writes are durable.</summary>
    public Action<ulong>? Durable { private get; set; }

    /// <summary>Why what the guest has written waits, as a sentence; null while it does not. For any thread.</summary>
    public string? Problem => _problem;

    public void Start()
    {
        _thread = new Thread(WriteAll) { IsBackground = true, Name = "shared disks" };
        _thread.Start();
    }

    /// <summary>A write may leave: it goes to the image, in order.</summary>
    public void Release(Output output, ulong ordinal)
    {
        Interlocked.Increment(ref _unwritten);
        _queue.Add(new Write(output.Unit, (long)output.Value, output.Data, disks[output.Unit]!.Released(), ordinal));
    }

    /// <summary>Waits until everything that was released is durable.</summary>
    /// <returns>False: an image fails, and what the guest was told is written is not.</returns>
    public bool Finish(TimeSpan atMost)
    {
        long began = Stopwatch.GetTimestamp();
        while (_unwritten > 0)
        {
            if (Stopwatch.GetElapsedTime(began) > atMost)
            {
                say($"{_unwritten} writes of the guest could not be written to its shared disk");
                return false;
            }
            Thread.Sleep(1);
        }
        return true;
    }

    /// <summary>What was not written yet is left to the other side, which has it too.</summary>
    public void Dispose()
    {
        _isAbandoned = true;
        _queue.CompleteAdding();
        _thread?.Join();
    }

    private void WriteAll()
    {
        var batch = new List<Write>();
        foreach (Write first in _queue.GetConsumingEnumerable())
        {
            batch.Clear();
            batch.Add(first);
            while (batch.Count < BatchMax && _queue.TryTake(out Write next)) batch.Add(next);
            // Written again from the first after a failure: what a failed flush was to make durable may have been dropped.
            while (!TryWrite(batch))
            {
                if (_isAbandoned) return;
                Thread.Sleep(RetryMs);
            }
            if (_problem is not null) say($"the shared disk {DiskErrors.NameOf(first.Drive)} works again");
            _problem = null;
            foreach (Write write in batch) disks[write.Drive]!.Durable(write.Lba, write.Data.Length, write.Number);
            Durable?.Invoke(batch[^1].Ordinal);
            Interlocked.Add(ref _unwritten, -batch.Count);
        }
    }

    private bool TryWrite(List<Write> batch)
    {
        foreach (Write write in batch)
        {
            if (_isAbandoned) return false;
            if (images[write.Drive]!.Write(write.Lba, write.Data.Span) != BlockResult.Ok) return Failed(write.Drive);
        }
        foreach (int drive in batch.Select(w => w.Drive).Distinct())
        {
            if (images[drive]!.Flush() != BlockResult.Ok) return Failed(drive);
        }
        return true;
    }

    // The guest was told that it is done: there is nothing but to try again.
    private bool Failed(int drive)
    {
        string problem = $"{DiskErrors.Reason(drive, images[drive])}; the shared disk {DiskErrors.NameOf(drive)} is tried again until it works";
        if (problem != _problem) say(problem);
        _problem = problem;
        return false;
    }
}
