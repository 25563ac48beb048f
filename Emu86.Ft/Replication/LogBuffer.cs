// The primary's part of the log that the backup has not executed yet: kept for reconnection, and the measure of its lag.
using Emu86.Cpu;

namespace Emu86.Ft.Replication;

/// <summary>A ring of records with consecutive sequence numbers, from the oldest not executed to the newest.</summary>
public sealed class LogBuffer
{
    private struct Entry
    {
        public LogRecord Record;
        public long AppendedUs;
    }

    private Entry[] _ring = new Entry[64];
    private ulong _first = 1;

    /// <summary>Sequence number that the next record gets.</summary>
    public ulong NextLsn { get; private set; } = 1;

    /// <summary>Estimated size of what is kept, in bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>All bytes ever appended: the logging channel's traffic without clones.</summary>
    public long BytesAppended { get; private set; }

    /// <summary>Last record the backup has in memory.</summary>
    public ulong ReceivedLsn { get; private set; }

    /// <summary>Last frontier the backup has in memory: outputs made before it was appended may leave.</summary>
    public ulong ReceivedFrontierLsn { get; private set; }

    /// <summary>Last record the backup has executed.</summary>
    public ulong ExecutedLsn => _first - 1;

    /// <summary>Begins a new log at sequence number 1.</summary>
    public void Reset()
    {
        Array.Clear(_ring);
        (_first, NextLsn, Bytes, ReceivedLsn, ReceivedFrontierLsn) = (1, 1, 0, 0, 0);
    }

    public void Append(LogRecord record, long nowUs)
    {
        if (NextLsn - _first == (ulong)_ring.Length) Grow();
        record.Lsn = NextLsn;
        _ring[NextLsn & (ulong)(_ring.Length - 1)] = new() { Record = record, AppendedUs = nowUs };
        NextLsn++;
        long size = Size(record);
        Bytes += size;
        BytesAppended += size;
    }

    /// <summary>Takes an acknowledgement. False when it cannot be true: the other side is broken.</summary>
    public bool Acknowledge(ulong received, ulong executed)
    {
        if (received >= NextLsn || executed > received) return false;
        for (ulong lsn = ReceivedLsn + 1; lsn <= received; lsn++)
        {
            if (At(lsn).Record is FrontierRecord) ReceivedFrontierLsn = lsn;
        }
        // Acknowledgements of an earlier connection may arrive late: never go back.
        if (received > ReceivedLsn) ReceivedLsn = received;
        while (_first <= executed)
        {
            ref Entry entry = ref At(_first);
            Bytes -= Size(entry.Record);
            entry = default;
            _first++;
        }
        return true;
    }

    public LogRecord Record(ulong lsn)
    {
        Check.That(lsn >= _first && lsn < NextLsn);
        return At(lsn).Record;
    }

    /// <summary>Age of the oldest record that is not executed, in microseconds; 0 when there is none.</summary>
    public long LagUs(long nowUs) => _first == NextLsn ? 0 : nowUs - At(_first).AppendedUs;

    /// <summary>Age of the oldest record that is not received, in microseconds; 0 when there is none.</summary>
    public long UnacknowledgedUs(long nowUs) => ReceivedLsn + 1 == NextLsn ? 0 : nowUs - At(ReceivedLsn + 1).AppendedUs;

    /// <summary>What a record costs in memory, roughly; the same estimate bounds both sides.</summary>
    public static long Size(LogRecord record) => record is InputRecord input ? 96 + input.Input.Data.Length : 64;

    private ref Entry At(ulong lsn) => ref _ring[lsn & (ulong)(_ring.Length - 1)];

    private void Grow()
    {
        Entry[] larger = new Entry[2 * _ring.Length];
        for (ulong lsn = _first; lsn < NextLsn; lsn++) larger[lsn & (ulong)(larger.Length - 1)] = At(lsn);
        _ring = larger;
    }
}
