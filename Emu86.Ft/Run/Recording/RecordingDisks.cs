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
    public static OverlayDisk?[] Open(RunOptions options) =>
        [.. options.Disks.Select(d => d is null ? null : new OverlayDisk(DiskImage.Open(d, readOnly: true), d.ReadOnly, StateDirectories.Of(options)))];

    /// <summary>What a recording holds of the disks. Reads all of them.</summary>
    public static IReadOnlyList<DiskIdentity> Identify(IReadOnlyList<OverlayDisk?> disks, Report report)
    {
        var identities = new List<DiskIdentity>();
        for (int n = 0; n < disks.Count; n++)
        {
            if (disks[n] is { } disk) identities.Add(IdentityOf(n, disk.IsReadOnly, ContentId(NameOf(n), disk, report)));
        }
        return identities;
    }

    /// <summary>What stands in a recording's header for a drive.</summary>
    public static DiskIdentity IdentityOf(int drive, bool isReadOnly, Guid content) => new(NameOf(drive) + (isReadOnly ? ReadOnlyMark : ""), content);

    /// <summary>Opens the disks for evidence, which holds what the guest used of them; for the rest an image may be given.</summary>
    /// <exception cref="HostException">An image is missing or has another length.</exception>
    public static OverlayDisk?[] OpenForEvidence(MachineIdentity machine, MachineConfig config, RunOptions options)
    {
        var disks = new OverlayDisk?[4];
        for (int n = 0; n < 4; n++)
        {
            if (config.DriveSectors[n] == 0) continue;
            string name = NameOf(n);
            IBlockStore below = options.Disks[n] is { } given ? DiskImage.Open(given, readOnly: true) : new UnknownDisk(config.DriveSectors[n]);
            if (below.SectorCount != config.DriveSectors[n]) throw new HostException($"the image given with --{name} has {below.SectorCount} sectors, the disk had {config.DriveSectors[n]}");
            disks[n] = new OverlayDisk(below, machine.Disks.Any(d => d.Drive == name + ReadOnlyMark), StateDirectories.Of(options));
        }
        return disks;
    }

    /// <summary>Opens the images that belong to a recording.</summary>
    /// <param name="machine">From the recording's header.</param>
    /// <param name="config">The recorded machine's.</param>
    /// <param name="options">Name the images.</param>
    /// <param name="report">Told what takes long.</param>
    /// <param name="isChecked">Their content was compared before, by this process.</param>
    /// <exception cref="HostException">An image is missing, is another one, or does not belong to the recording.</exception>
    public static OverlayDisk?[] OpenFor(MachineIdentity machine, MachineConfig config, RunOptions options, Report report, bool isChecked = false)
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
            disks[n] = new OverlayDisk(DiskImage.Open(given, readOnly: true), recorded.Drive != name, StateDirectories.Of(options));
            if (disks[n]!.SectorCount != config.DriveSectors[n] || (!isChecked && ContentId(name, disks[n]!, report) != recorded.Id))
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

    /// <summary>A disk of which nothing is known but its size.</summary>
    private sealed class UnknownDisk(long sectors) : IBlockStore
    {
        public long SectorCount => sectors;

        public bool IsReadOnly => true;

        public BlockResult Read(long lba, Span<byte> destination) => BlockResult.IoError;

        public BlockResult Write(long lba, ReadOnlySpan<byte> source) => BlockResult.ReadOnly;

        public BlockResult Flush() => BlockResult.Ok;
    }
}
