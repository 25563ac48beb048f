// --disk-reads backup, the paper's alternative (section 4.2): a backup reads the shared disk for itself, and nothing that was read crosses
// the channel. So a write must not reach the image before the backups have executed what read the same sectors before it.
using Emu86.Devices;

namespace Emu86.Ft.Run.Pair;

/// <summary>The live side's part: keeps writes back. That a backup has come to a position is known by records of the log that it has
/// executed there (marks): a frontier may be passed over before what it allows is executed.</summary>
/// <param name="write">Takes a write that may go to the image, with its ordinal, in order.</param>
internal sealed class BackupReads(Action<Output, ulong> write)
{
    private const ulong NotYet = ulong.MaxValue;

    /// <summary>Reads without a mark that are remembered, before one is wanted for them alone.</summary>
    private const int UnmarkedMax = 100;

    private sealed class Reading(SharedRead read, Position at, bool isBehind)
    {
        /// <summary>Log sequence number of a mark behind it.</summary>
        public ulong Mark { get; private set; } = NotYet;

        public bool Overlaps(Output w) => w.Unit == read.Drive && read.Lba < (long)w.Value + (w.Data.Length / 512) && (long)w.Value < read.Lba + (read.Data.Length / 512);

        public void Marked(Position mark, ulong lsn)
        {
            if (Mark == NotYet && (isBehind ? at < mark : at <= mark)) Mark = lsn;
        }
    }

    private readonly record struct Waiting(Output Output, ulong Ordinal, Reading[] Before);

    private readonly List<Reading> _readings = [];
    private readonly Queue<Waiting> _waiting = new();

    /// <summary>A mark is to be logged.</summary>
    public bool WantsMark => (_waiting.TryPeek(out Waiting next) && Array.Exists(next.Before, r => r.Mark == NotYet)) || _readings.Count(r => r.Mark == NotYet) > UnmarkedMax;

    /// <summary>The guest has read; the backups have not.</summary>
    /// <param name="read">What was read.</param>
    /// <param name="at">The boundary to which the guest has been executed.</param>
    /// <param name="isBehind">It was read by events that are due there: a backup that has stopped there has not done it.</param>
    public void Read(SharedRead read, Position at, bool isBehind) => _readings.Add(new Reading(read, at, isBehind));

    /// <summary>A mark was logged.</summary>
    public void Marked(Position at, ulong lsn) => _readings.ForEach(r => r.Marked(at, lsn));

    /// <summary>A write has left by the output rule. It waits for the backups that read the same sectors before it, and behind those that wait.</summary>
    public void Release(Output output, ulong ordinal)
    {
        Reading[] before = [.. _readings.Where(r => r.Overlaps(output))];
        if (before.Length == 0 && _waiting.Count == 0) write(output, ordinal);
        else _waiting.Enqueue(new Waiting(output, ordinal, before));
    }

    /// <summary>Writes what no backup has to read before.</summary>
    /// <param name="upTo">All backups have executed the records before this one.</param>
    public void Executed(ulong upTo)
    {
        _readings.RemoveAll(r => r.Mark < upTo);
        while (_waiting.TryPeek(out Waiting next) && Array.TrueForAll(next.Before, r => r.Mark < upTo)) Next();
    }

    /// <summary>No backup reads any more: all that has left is written.</summary>
    public void Finish()
    {
        _readings.Clear();
        while (_waiting.Count > 0) Next();
    }

    private void Next()
    {
        Waiting next = _waiting.Dequeue();
        write(next.Output, next.Ordinal);
    }
}
