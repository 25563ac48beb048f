// The arbiter: what the paper's test-and-set on shared storage is. One value per guest name; whoever wins the next epoch
// is the only one that may be live. The rules are here, once; an implementation only has to apply them atomically.
namespace Emu86.Ft.Replication;

/// <summary>Values are stored and never reused.</summary>
public enum GuestState : byte
{
    Live = 1,

    /// <summary>Ended in good order: nobody may go live with what it replayed.</summary>
    Off = 2,
}

/// <param name="Epoch">Grows by one with every claim that is won.</param>
/// <param name="Owner">The process that may be live.</param>
/// <param name="OwnerAddress">Where it can be asked whether it still is; empty when it cannot be.</param>
/// <param name="State">Whether the guest runs.</param>
/// <param name="Members">The armed backups: besides the owner only they may claim the next epoch.</param>
/// <param name="CurrentDisks">Names of the disk copies that hold everything the guest has written.</param>
public sealed record ArbiterValue(ulong Epoch, Guid Owner, string OwnerAddress, GuestState State,
    IReadOnlyList<ArbiterMember> Members, IReadOnlyList<string> CurrentDisks)
{
    /// <summary>So many of the members have acknowledged what left; 0 when there is none.</summary>
    public int Quorum { get; init; }

    /// <summary>Grows with every change of members or quorum that the owner makes.</summary>
    public ulong Configuration { get; init; }
}

/// <param name="Id">The backup's process.</param>
/// <param name="Address">Where it can be reached by other backups.</param>
/// <param name="Session">Number of its session with the owner: a process may become a member again.</param>
public sealed record ArbiterMember(Guid Id, string Address, ulong Session);

public enum ArbiterRequestKind
{
    Read,

    /// <summary>A new guest: needs no membership, and the driver has made sure that a live owner does not answer.</summary>
    Start,

    /// <summary>Going live, or going on unprotected: from the epoch under which the claimant was armed (or is live) to the next.</summary>
    Claim,

    /// <summary>The owner changes its own value within its epoch: members, disks, off.</summary>
    Update,
}

/// <param name="Id">Answers carry it; only the answer to the latest request counts.</param>
/// <param name="Kind">What is asked.</param>
/// <param name="ExpectedEpoch">From which epoch; 0 when there must be no value yet.</param>
/// <param name="Wanted">The value after a success; null for a read.</param>
public sealed record ArbiterRequest(ulong Id, ArbiterRequestKind Kind, ulong ExpectedEpoch, ArbiterValue? Wanted);

public enum ArbiterVerdict
{
    /// <summary>Done; or, for a request whose earlier answer was lost, done before.</summary>
    Done,

    /// <summary>The epoch belongs to another, and always will.</summary>
    Lost,

    /// <summary>Nothing is known, not even whether it was done: ask again.</summary>
    Unavailable,
}

/// <param name="Current">The value after the request; null when there is none or nothing is known.</param>
public readonly record struct ArbiterAnswer(ulong RequestId, ArbiterVerdict Verdict, ArbiterValue? Current);

/// <summary>An arbiter that both sides reach. Implementations never throw for what the world does: that is Unavailable,
/// with <see cref="Problem"/> saying why.</summary>
public interface IArbiter
{
    /// <summary>Compared in the handshake up to the first space: two sides with different arbiters would both win. Behind it stands where this side finds it.</summary>
    string Identity { get; }

    /// <summary>Why the last answer was Unavailable, as a sentence; null after another answer.</summary>
    string? Problem { get; }

    Task<ArbiterAnswer> AskAsync(ArbiterRequest request, CancellationToken cancellation);
}

public static class ArbiterRules
{
    /// <summary>What a request does to a value. The caller replaces the value by <paramref name="next"/> (when not null)
    /// atomically, only if it still is <paramref name="current"/>, and else asks here again.</summary>
    public static ArbiterVerdict Decide(ArbiterValue? current, ArbiterRequest request, out ArbiterValue? next)
    {
        next = null;
        if (request.Kind == ArbiterRequestKind.Read) return ArbiterVerdict.Done;
        ArbiterValue wanted = request.Wanted!;
        ulong epoch = current?.Epoch ?? 0;
        bool mine = current is not null && current.Owner == wanted.Owner;
        if (request.Kind == ArbiterRequestKind.Update)
        {
            if (!mine || epoch != request.ExpectedEpoch || wanted.Epoch != epoch) return ArbiterVerdict.Lost;
            next = wanted;
            return ArbiterVerdict.Done;
        }
        if (wanted.Epoch != request.ExpectedEpoch + 1) return ArbiterVerdict.Lost;
        if (mine && epoch == wanted.Epoch) return ArbiterVerdict.Done;
        if (epoch != request.ExpectedEpoch) return ArbiterVerdict.Lost;
        if (request.Kind == ArbiterRequestKind.Claim
            && (current is null || current.State == GuestState.Off || !(mine || current.Members.Any(m => m.Id == wanted.Owner)))) return ArbiterVerdict.Lost;
        next = wanted;
        return ArbiterVerdict.Done;
    }
}
