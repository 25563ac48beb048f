// A disk of the host as the command line names it: an image file, or an export of an NBD server.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Nbd;

namespace Emu86.Ft.Host;

/// <summary>Opens disks.</summary>
internal static class DiskImage
{
    /// <param name="disk">What was given.</param>
    /// <param name="readOnly">The image is never written, whatever was given.</param>
    /// <exception cref="HostException">It cannot be opened.</exception>
    public static IBlockStore Open(DiskOption disk, bool readOnly) => disk.Nbd is { } nbd ? NbdDisk.Open(nbd, readOnly) : RawDisk.Open(disk.Path, readOnly);
}
