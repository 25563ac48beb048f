// A host that offers itself as a backup, and which of several is taken.
namespace Emu86.Ft.Host.Etcd;

/// <param name="Id">The process, as the arbiter would know it.</param>
/// <param name="Address">HOST:PORT of its logging channel.</param>
/// <param name="LoadPermille">Tasks that run or want to, per processor, in thousandths.</param>
/// <param name="FreeBytes">Memory that a guest could have.</param>
public sealed record Candidate(Guid Id, string Address, int LoadPermille, long FreeBytes)
{
    /// <summary>In the order in which they are tried: first those that were not tried lately, then those with room for the guest, then by
    /// load. The live side itself is no candidate.</summary>
    /// <param name="offered">All that are registered.</param>
    /// <param name="self">The live side.</param>
    /// <param name="guestBytes">Memory of the guest.</param>
    /// <param name="triedAt">When one was tried lately, or lost: the later, the worse; 0 when it was not.</param>
    public static IReadOnlyList<Candidate> Rank(IEnumerable<Candidate> offered, Guid self, long guestBytes, Func<Guid, long> triedAt) =>
    [
        .. offered.Where(c => c.Id != self)
            .OrderBy(c => triedAt(c.Id))
            .ThenBy(c => c.FreeBytes < guestBytes)
            .ThenBy(c => c.LoadPermille)
            .ThenByDescending(c => c.FreeBytes)
            .ThenBy(c => c.Id),
    ];
}
