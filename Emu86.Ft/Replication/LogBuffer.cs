// The primary's part of the log that not every backup has executed yet: kept for reconnection, and the measure of their lag.
using Emu86.Cpu;

namespace Emu86.Ft.Replication;

/// <summary>A ring of records with consecutive sequence numbers, from the oldest that is kept to the newest.</summary>
public sealed class LogBuffer
{
    private struct Entry
    {
        public LogRecord Record;
        public long AppendedUs;
    }

    private Entry[] _ring = new Entry[64];

    /// <summary>Sequence number of the oldest record that is kept; <see cref="NextLsn"/> when none is.</summary>
    public ulong FirstLsn { get; private set; } = 1;

    /// <summary>Sequence number that the next record gets.</summary>
    public ulong NextLsn { get; private set; } = 1;

    /// <summary>Estimated size of what is kept, in bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>Begins a new log.</summary>
    /// <param name="nextLsn">Its first sequence number.</param>
    public void Reset(ulong nextLsn = 1)
    {
        Array.Clear(_ring);
        (FirstLsn, NextLsn, Bytes) = (nextLsn, nextLsn, 0);
    }

    public void Append(LogRecord record, long nowUs)
    {
        if (NextLsn - FirstLsn == (ulong)_ring.Length) Grow();
        record.Lsn = NextLsn;
        _ring[NextLsn & (ulong)(_ring.Length - 1)] = new() { Record = record, AppendedUs = nowUs };
        NextLsn++;
        Bytes += Size(record);
    }

    /// <summary>Forgets the records up to this one.</summary>
    public void Trim(ulong upTo)
    {
        Check.That(upTo < NextLsn);
        for (; FirstLsn <= upTo; FirstLsn++)
        {
            ref Entry entry = ref At(FirstLsn);
            Bytes -= Size(entry.Record);
            entry = default;
        }
    }

    public LogRecord Record(ulong lsn)
    {
        Check.That(lsn >= FirstLsn && lsn < NextLsn);
        return At(lsn).Record;
    }

    /// <summary>Age of a record in microseconds; 0 for one that is still to come.</summary>
    public long AgeUs(ulong lsn, long nowUs)
    {
        Check.That(lsn >= FirstLsn);
        return lsn >= NextLsn ? 0 : nowUs - At(lsn).AppendedUs;
    }

    /// <summary>What a record costs in memory, roughly; the same estimate bounds both sides.</summary>
    public static long Size(LogRecord record) => record is InputRecord input ? 96 + input.Input.Data.Length : 64;

    private ref Entry At(ulong lsn) => ref _ring[lsn & (ulong)(_ring.Length - 1)];

    private void Grow()
    {
        Entry[] larger = new Entry[2 * _ring.Length];
        for (ulong lsn = FirstLsn; lsn < NextLsn; lsn++) larger[lsn & (ulong)(larger.Length - 1)] = At(lsn);
        _ring = larger;
    }
}
