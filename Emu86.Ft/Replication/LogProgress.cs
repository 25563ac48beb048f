// How far one backup has come in the log.
namespace Emu86.Ft.Replication;

/// <summary>What a backup has received and executed, as it says. Never goes back: acknowledgements of an earlier connection may
/// arrive late.</summary>
/// <param name="log">Keeps everything after <see cref="ExecutedLsn"/>.</param>
/// <param name="before">The last record that the backup's state contains when it begins.</param>
internal sealed class LogProgress(LogBuffer log, ulong before)
{
    /// <summary>Last record the backup has in memory.</summary>
    public ulong ReceivedLsn { get; private set; } = before;

    /// <summary>Last frontier the backup has in memory: outputs made before it was appended may leave.</summary>
    public ulong ReceivedFrontierLsn { get; private set; }

    /// <summary>Last record the backup has executed.</summary>
    public ulong ExecutedLsn { get; private set; } = before;

    /// <summary>It has everything.</summary>
    public bool HasReceivedAll => ReceivedLsn + 1 == log.NextLsn;

    public bool HasExecutedAll => ExecutedLsn + 1 == log.NextLsn;

    /// <summary>Takes an acknowledgement. False when it cannot be true: the other side is broken.</summary>
    public bool Acknowledge(ulong received, ulong executed)
    {
        if (received >= log.NextLsn || executed > received) return false;
        for (ulong lsn = ReceivedLsn + 1; lsn <= received; lsn++)
        {
            if (log.Record(lsn) is FrontierRecord) ReceivedFrontierLsn = lsn;
        }
        ReceivedLsn = Math.Max(ReceivedLsn, received);
        ExecutedLsn = Math.Max(ExecutedLsn, executed);
        return true;
    }

    /// <summary>Age of the oldest record that is not executed, in microseconds; 0 when there is none.</summary>
    public long LagUs(long nowUs) => log.AgeUs(ExecutedLsn + 1, nowUs);

    /// <summary>Age of the oldest record that is not received, in microseconds; 0 when there is none.</summary>
    public long UnacknowledgedUs(long nowUs) => log.AgeUs(ReceivedLsn + 1, nowUs);
}
