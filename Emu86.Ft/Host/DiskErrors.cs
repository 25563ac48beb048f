// What people are told of a disk image that fails.
using Emu86.Devices;
using Emu86.Devices.Ide;

namespace Emu86.Ft.Host;

/// <summary>Sentences about failed requests.</summary>
internal static class DiskErrors
{
    /// <summary>What the drive is called on the command line.</summary>
    public static string NameOf(int drive) => $"hd{(char)('a' + drive)}";

    /// <param name="disk">Null for a CD-ROM drive.</param>
    public static string KindOf(IBlockStore? disk) => disk is null ? "CD-ROM drive" : "disk";

    /// <summary>What the host said.</summary>
    /// <param name="drive">0 to 3.</param>
    /// <param name="disk">Null for a CD-ROM drive.</param>
    /// <param name="media">Of a machine that has one.</param>
    public static string Reason(int drive, IBlockStore? disk, IMediumStore? media = null) => Last(disk) ?? (disk is null ? (media as MediaLibrary)?.LastError : null) ?? $"the image of {NameOf(drive)} cannot be used";

    /// <summary>The same where no other copy is good.</summary>
    public static string Sentence(DiskFailure failure, IBlockStore? disk, IMediumStore? media = null) => $"{Reason(failure.Drive, disk, media)}; the guest sees an error of its {KindOf(disk)} {NameOf(failure.Drive)}";

    /// <summary>Flushes disks at the end of a run: what the guest was told is written must be there when the program ends with 0.</summary>
    /// <param name="disks">By drive.</param>
    /// <param name="say">Told of those that fail.</param>
    /// <returns>False when one has failed.</returns>
    public static bool Flush(IReadOnlyList<IBlockStore?> disks, Action<string> say)
    {
        bool isWhole = true;
        for (int n = 0; n < disks.Count; n++)
        {
            if (disks[n] is not { } disk || disk.Flush() == BlockResult.Ok) continue;
            say($"{Reason(n, disk)}; what the guest has written to its disk {NameOf(n)} last may be lost");
            isWhole = false;
        }
        return isWhole;
    }

    private static string? Last(IBlockStore? disk) => disk switch
    {
        RawDisk raw => raw.LastError,
        Nbd.NbdDisk nbd => nbd.LastError,
        SnapshotDisk snapshot => Last(snapshot.Store),
        OverlayDisk overlay => Last(overlay.Below),
        PatientDisk patient => Last(patient.Below),
        DiskHistory history => Last(history.Below),
        Run.Pair.ReadOnlyView view => Last(view.Below),
        Run.Pair.SharedDisk shared => Last(shared.Image),
        _ => null,
    };
}
