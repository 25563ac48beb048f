// What people are told of a disk image that fails.
using Emu86.Devices;

namespace Emu86.Ft.Host;

/// <summary>Sentences about failed requests.</summary>
internal static class DiskErrors
{
    /// <summary>What the host said.</summary>
    public static string Reason(DiskFailure failure, IBlockStore? disk) => Last(disk) ?? $"the image of hd{(char)('a' + failure.Drive)} cannot be used";

    /// <summary>The same where no other copy is good.</summary>
    public static string Sentence(DiskFailure failure, IBlockStore? disk) => $"{Reason(failure, disk)}; the guest sees an error of its disk hd{(char)('a' + failure.Drive)}";

    private static string? Last(IBlockStore? disk) => disk switch
    {
        RawDisk raw => raw.LastError,
        Nbd.NbdDisk nbd => nbd.LastError,
        SnapshotDisk snapshot => Last(snapshot.Store),
        OverlayDisk overlay => Last(overlay.Below),
        Run.Pair.ReadOnlyView view => Last(view.Below),
        _ => null,
    };
}
