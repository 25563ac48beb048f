// Who may go live, and how many must have acknowledged what leaves. Part of PrimaryCore.
namespace Emu86.Ft.Replication;

/// <summary>The members and the quorum as the arbiter holds them. They change only there, before they take effect here.</summary>
/// <param name="core">Whose backups they are.</param>
/// <param name="start">What the primary began with.</param>
internal sealed class Membership(PrimaryCore core, PrimaryStart start)
{
    private ulong _configuration;

    public IReadOnlyList<ArbiterMember> Current { get; private set; } = [];

    /// <summary>So many members must have acknowledged before an output leaves, and so many leases must hold.</summary>
    public int Quorum { get; private set; }

    /// <summary>A backup is to become a member: it is recorded before it is told.</summary>
    public void Arm(BackupLink link) => core.Arbiter.Ask(ArbiterRequestKind.Update, core.Epoch, Value(core.Epoch, GuestState.Live, [.. Current, Member(link)]));

    /// <summary>A value for the arbiter.</summary>
    public ArbiterValue Value(ulong epoch, GuestState state, IReadOnlyList<ArbiterMember> members) =>
        new(epoch, start.Self, start.Address, state, members, start.OwnDisks)
        {
            Quorum = members.Count,
            Configuration = _configuration + 1,
        };

    /// <summary>The arbiter holds this value.</summary>
    public void Confirmed(ArbiterValue value) => (Current, Quorum, _configuration) = (value.Members, value.Quorum, value.Configuration);

    /// <summary>All that the arbiter holds as members are still there.</summary>
    public bool IsWhole => Current.All(m => core.Links.Exists(l => l.Backup == m.Id && l.Session == m.Session));

    /// <summary>The output may leave: enough members have what led to it, and enough leases hold that no other side can be live.</summary>
    public bool Protects(in WaitingOutput output)
    {
        int received = 0, leases = 0;
        foreach (BackupLink link in core.Links)
        {
            if (!link.ArmedConfirmed) continue;
            if (link.Progress!.ReceivedFrontierLsn >= output.AfterLsn) received++;
            if (core.NowUs < link.LeaseUntilUs) leases++;
        }
        return received >= Quorum && leases >= Quorum;
    }

    /// <summary>Asks for the next epoch with the members that are left, as soon as they have all that has left: whoever of them goes
    /// live then finds it among those that the smaller quorum makes sufficient.</summary>
    /// <param name="releasedLsn">The frontier that the last output that left had to wait for.</param>
    public void Shrink(ulong releasedLsn)
    {
        foreach (BackupLink link in core.Links)
        {
            if (!link.ArmedConfirmed) link.NotArmed();
        }
        ArbiterMember[] left = [.. core.Links.Where(l => l.ArmedConfirmed).Select(Member)];
        ArbiterValue wanted = Value(core.Epoch + 1, GuestState.Live, left);
        if (core.Links.Count(l => l.ArmedConfirmed && l.Progress!.ReceivedFrontierLsn >= releasedLsn) >= wanted.Quorum) core.Arbiter.Ask(ArbiterRequestKind.Claim, core.Epoch, wanted);
    }

    private static ArbiterMember Member(BackupLink link) => new(link.Backup, link.Address, link.Session);
}
