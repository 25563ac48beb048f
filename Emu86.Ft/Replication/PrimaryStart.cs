// What a primary begins with, and what it is doing.
using Emu86.Devices;

namespace Emu86.Ft.Replication;

public enum PrimaryPhase
{
    /// <summary>Wins its first epoch; the guest does not run yet.</summary>
    Starting,

    /// <summary>Live without a backup; looks for one.</summary>
    Unprotected,

    /// <summary>A candidate is being asked.</summary>
    Offering,

    /// <summary>State and disks are being copied to the backup.</summary>
    Cloning,

    /// <summary>The backup loads the clone and replays up to the present.</summary>
    CatchingUp,

    /// <summary>Outputs wait for acknowledgements; the arbiter records the backup as a member.</summary>
    Arming,

    /// <summary>Protected: a backup may go live. Further ones may be on their way.</summary>
    Armed,

    /// <summary>A backup is lost: the next epoch must be won before anything more leaves.</summary>
    Disarming,

    /// <summary>Leaves; a backup is to go live at once.</summary>
    HandingOver,

    /// <summary>The guest ended in good order; this is being recorded.</summary>
    Ending,

    /// <summary>Nothing leaves any more.</summary>
    Ended,
}

/// <summary>What a primary begins with.</summary>
public sealed record PrimaryStart
{
    /// <summary>Identity of this process, as the arbiter knows it; never used by another one.</summary>
    public required Guid Self { get; init; }

    /// <summary>Where this process can be asked whether it lives.</summary>
    public string Address { get; init; } = "";

    public required MachineIdentity Machine { get; init; }

    /// <summary>Number of places where a backup may be found.</summary>
    public int Candidates { get; init; }

    /// <summary>Number of the candidate that stands for many hosts: it may be taken more than once. -1: none does.</summary>
    public int OpenCandidate { get; init; } = -1;

    /// <summary>How many backups are wanted.</summary>
    public int Replicas { get; init; } = 1;

    /// <summary>0: a new guest, which wins an epoch first. Else the epoch that going live has won.</summary>
    public ulong Epoch { get; init; }

    public Position Position { get; init; }

    /// <summary>Gated outputs the guest has produced so far.</summary>
    public ulong OutputOrdinal { get; init; }

    /// <summary>Ordinal of the last shared-disk write that is not known durable; 0 when there is none.</summary>
    public ulong UndurableWrite { get; init; }

    /// <summary>A random number: first of the session ids that this primary uses.</summary>
    public ulong SessionSeed { get; init; } = 1;

    /// <summary>Random bytes that authenticate the heartbeats.</summary>
    public ReadOnlyMemory<byte> HeartbeatKey { get; init; }

    /// <summary>Names of this side's own disk copies, kept in the arbiter's set of current ones.</summary>
    public IReadOnlyList<string> OwnDisks { get; init; } = [];
}
