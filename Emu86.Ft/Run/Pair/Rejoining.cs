// --rejoin: a side that lost discards its guest and becomes a candidate in the same process, under a new identity.
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>The lives of one process, one after the other.</summary>
internal static class Rejoining
{
    public static int RunPrimary(RunOptions options)
    {
        int code = options.Rejoin && IsLiveElsewhere(options) ? ExitCode.HaltedByOther : PairRoles.RunPrimary(options);
        // What belongs to the first life is not the candidate's.
        return Follows(options, code) ? RunBackup(options with { Role = Role.Backup, Restore = null, SaveSnapshot = null, SaveSnapshotAt = null }) : code;
    }

    public static int RunBackup(RunOptions options)
    {
        int code;
        do code = PairRoles.RunBackup(options);
        while (Follows(options, code));
        return code;
    }

    /// <summary>A life that ends with this code is followed by one as a candidate.</summary>
    public static bool Follows(RunOptions options, int code) => options.Rejoin && code == ExitCode.HaltedByOther;

    // Asked before this side's own disks are: they may well be behind those of the side that is live.
    private static bool IsLiveElsewhere(RunOptions options)
    {
        var report = new Report(options.JsonLog);
        TlsIdentity? tls = TlsIdentity.Of(options);
        IArbiter arbiter = Arbiters.Open(Arbiters.AddressOf(options), options.Name, tls, report.Say);
        using var closed = arbiter as IDisposable;
        ArbiterValue? value = arbiter.AskAsync(new(0, ArbiterRequestKind.Read, 0, null), CancellationToken.None).GetAwaiter().GetResult().Current;
        if (value is not { State: GuestState.Live } || !OwnerListener.MayLive(OwnerListener.Ask(value.OwnerAddress, value.Owner, 5_000L * options.FailureTimeoutMs, tls))) return false;
        report.Say($"the guest '{options.Name}' is already live at {value.OwnerAddress} in epoch {value.Epoch}; this side becomes a candidate");
        return true;
    }
}
