// The numbers of the protocol, all in microseconds or bytes, and the rules that they must obey (docs/ft-protocol.md).
namespace Emu86.Ft.Replication;

/// <summary>Both sides use the same values: they are part of the configuration hash of the handshake.</summary>
public sealed record ProtocolOptions
{
    /// <summary>Between two heartbeats of one side.</summary>
    public long HeartbeatUs { get; init; } = 20_000;

    /// <summary>Silence after which the primary takes the backup for lost. The backup waits a quarter longer.</summary>
    public long FailureTimeoutUs { get; init; } = 200_000;

    /// <summary>How long an answered message lets the primary release outputs, counted from when it sent the message.</summary>
    public long LeaseUs { get; init; } = 140_000;

    /// <summary>Longest time between two frontiers while the guest runs.</summary>
    public long FrontierUs { get; init; } = 2_000;

    /// <summary>A guest that has executed less than this since the last frontier is quiet: what the backup has not been allowed
    /// to execute yet is done in a moment, and no output waits. Frontiers then come at <see cref="QuietFrontierUs"/> only.</summary>
    public ulong QuietInstructions { get; init; }

    /// <summary>Longest time between two frontiers of a quiet guest. What waits for one is not executed: this must stay below
    /// the lag at which the primary is slowed.</summary>
    public long QuietFrontierUs { get; init; } = 40_000;

    /// <summary>How long full network frames of a stream wait for more of them, to share a frontier; 0: not at all.</summary>
    public long BulkHoldUs { get; init; }

    /// <summary>The backup's execution lag above which the primary is slowed.</summary>
    public long MaxLagUs { get; init; } = 100_000;

    /// <summary>How long a backup whose heartbeats arrive may be without a channel, leave a record unacknowledged, or execute nothing.</summary>
    public long ReconnectTimeoutUs { get; init; } = 2_000_000;

    /// <summary>Between two attempts to reach a candidate.</summary>
    public long ConnectRetryUs { get; init; } = 1_000_000;

    /// <summary>Between two attempts to reach the arbiter.</summary>
    public long ArbiterRetryUs { get; init; } = 100_000;

    /// <summary>Guest time between two state hashes, in virtual nanoseconds.</summary>
    public ulong HashEveryNs { get; init; } = 1_000_000_000;

    /// <summary>Log kept for a backup that has not executed it. A full one stops the guest.</summary>
    public long LogBytesMax { get; init; } = 64 << 20;

    /// <summary>Outputs held on the primary, or kept on the backup. A full queue stops the guest, or the replay.</summary>
    public long OutputBytesMax { get; init; } = 16 << 20;

    /// <summary>How long the backup waits: a little longer than the primary would.</summary>
    public long BackupTimeoutUs => FailureTimeoutUs + FailureTimeoutUs / 4;

    /// <summary>A sentence when the values cannot be safe, null otherwise. Asked by the command line, not by the cores.</summary>
    public string? Problem =>
        HeartbeatUs <= 0 || FrontierUs <= 0 || MaxLagUs <= 0 || ArbiterRetryUs <= 0 || ConnectRetryUs <= 0
            ? "heartbeat, frontier, lag and retry times must be positive"
        : FailureTimeoutUs < 3 * HeartbeatUs
            ? $"the failure timeout ({FailureTimeoutUs / 1000} ms) must be at least three heartbeats ({HeartbeatUs / 1000} ms each)"
        : LeaseUs >= FailureTimeoutUs || LeaseUs < 2 * HeartbeatUs
            ? $"the lease ({LeaseUs / 1000} ms) must be shorter than the failure timeout and at least two heartbeats"
        : QuietInstructions > 0 && QuietFrontierUs > MaxLagUs / 2
            ? $"the frontiers of a quiet guest ({QuietFrontierUs / 1000} ms) must come within half of the lag limit ({MaxLagUs / 1000} ms)"
        : LogBytesMax < 1 << 20 || OutputBytesMax < 1 << 20
            ? "the log and output buffers must have at least 1 MiB"
        : null;

    /// <summary>Values for given heartbeat and failure timeout, with the lease in its place between them.</summary>
    public static ProtocolOptions For(long heartbeatMs, long failureTimeoutMs, long maxLagMs) => new()
    {
        HeartbeatUs = heartbeatMs * 1000,
        FailureTimeoutUs = failureTimeoutMs * 1000,
        LeaseUs = failureTimeoutMs * 700,
        MaxLagUs = maxLagMs * 1000,
        QuietInstructions = 200_000,
        // 10 Mbit/s, which is what the guest's card does, is a full frame every 1.2 ms.
        BulkHoldUs = 10_000,
        QuietFrontierUs = Math.Min(40_000, maxLagMs * 400),
        // Each one costs a send, an acknowledgement or two and their wake-ups; an output that waits does not wait for this.
        FrontierUs = Math.Min(40_000, maxLagMs * 100),
    };
}
