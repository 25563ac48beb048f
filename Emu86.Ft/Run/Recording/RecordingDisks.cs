// The disks of recordings and replays: images that are never altered, known by their content.
using System.Buffers.Binary;
using System.Diagnostics;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Recording;

/// <summary>Opens images under overlays. The identity of a disk in a recording is the hash of its content; a drive that the guest
/// cannot write has ",readonly" after its name.</summary>
public static class RecordingDisks
{
    private const string ReadOnlyMark = ",readonly";
    private static readonly TimeSpan LongTime = TimeSpan.FromSeconds(3);

    /// <summary>Opens what the options name.</summary>
    public static OverlayDisk?[] Open(RunOptions options) => [.. options.Disks.Select(d => d is null ? null : new OverlayDisk(RawDisk.Open(d.Path, readOnly: true), d.ReadOnly))];

    /// <summary>What a recording holds of the disks. Reads all of them.</summary>
    public static IReadOnlyList<DiskIdentity> Identify(IReadOnlyList<OverlayDisk?> disks, Report report)
    {
        var identities = new List<DiskIdentity>();
        for (int n = 0; n < disks.Count; n++)
        {
            if (disks[n] is { } disk) identities.Add(new DiskIdentity(NameOf(n) + (disk.IsReadOnly ? ReadOnlyMark : ""), ContentId(NameOf(n), disk, report)));
        }
        return identities;
    }

    /// <summary>Opens the images that belong to a recording.</summary>
    /// <exception cref="HostException">An image is missing, is another one, or does not belong to the recording.</exception>
    public static OverlayDisk?[] OpenFor(MachineIdentity machine, MachineConfig config, RunOptions options, Report report)
    {
        var disks = new OverlayDisk?[4];
        for (int n = 0; n < 4; n++)
        {
            string name = NameOf(n);
            DiskIdentity? recorded = machine.Disks.FirstOrDefault(d => d.Drive == name || d.Drive == name + ReadOnlyMark);
            DiskOption? given = options.Disks[n];
            if (recorded is null != (config.DriveSectors[n] == 0)) throw new HostException("the recording contradicts itself about its disks; it is damaged");
            if (recorded is null)
            {
                if (given is not null) throw new HostException($"the recorded machine has no disk {name}; leave out --{name}");
                continue;
            }
            if (given is null) throw new HostException($"the recording needs the image of disk {name} ({config.DriveSectors[n]} sectors) as it was when the recording began; give it with --{name}");
            disks[n] = new OverlayDisk(RawDisk.Open(given.Path, readOnly: true), recorded.Drive != name);
            if (disks[n]!.SectorCount != config.DriveSectors[n] || ContentId(name, disks[n]!, report) != recorded.Id)
            {
                throw new HostException($"{given.Path} is not the image that --{name} had when the recording began (its content differs); give that image, unaltered");
            }
        }
        return disks;
    }

    private static string NameOf(int drive) => $"hd{(char)('a' + drive)}";

    private static Guid ContentId(string name, OverlayDisk disk, Report report)
    {
        long started = Stopwatch.GetTimestamp();
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, OverlayDisk.ContentHash(disk));
        TimeSpan took = Stopwatch.GetElapsedTime(started);
        if (took > LongTime) report.Say($"disk {name}: {disk.SectorCount >> 11} MiB read in {took.TotalSeconds:F0} s to know it again");
        return new Guid(bytes);
    }
}
