// The roles --primary and --backup: from options to a running side.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Status;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Runs either side of a pair, until it ends or has lost.</summary>
public static class PairRoles
{
    public static int RunPrimary(RunOptions options)
    {
        using var host = new PairHost(options, isBackup: false);
        var gate = new GatedOutputs();
        using SharedDisks? shared = options.SharedDisks ? SharedDisks.Open(host, gate) : null;
        (PrimaryDisks disks, IReadOnlyList<DiskIdentity> ids) = PrimaryDisks.Open(shared is null ? options : options with { Disks = new DiskOption?[4] }, host);
        using PrimaryDisks closed = disks;
        IReadOnlyList<IBlockStore?> stores = shared?.Stores ?? disks.Stores;
        SnapshotFile? snapshot = options.Restore is { } file ? SnapshotFile.Read(file) : null;
        using var media = new MediaLibrary(options.Cdrom);
        MachineConfig config = snapshot?.ConfigFor(stores, options.Cdrom) ?? MachineBuilder.Configure(options, stores, media);
        using World world = World.Open(options, host.Queue, host.Report);
        using Machine machine = MachineBuilder.Build(config, PatientDisk.Over(stores, host.Patience), gate, options.Engine, media);
        snapshot?.RestoreTo(machine);
        SnapshotFile.CheckOptions(options, machine);
        var start = new PrimaryStart
        {
            Self = host.Self,
            Address = host.Owner.Address,
            Machine = new MachineIdentity(options.Name, Guid.NewGuid(), Identities.ConfigurationHash(config, host.Protocol), host.ArbiterIdentity, shared?.Ids ?? ids),
            Position = machine.Position,
            OwnDisks = DiskCopies.Names(options),
        };
        var driver = new PrimaryDriver(host, machine, disks.Stores, gate, world, start, new StatusBoard(), disks.MarkLive, shared);
        using StatusServer? status = options.Status is { } at ? new StatusServer(at, host.Tls, host.Report.Say, () => driver.Status.View with { DiskProblem = host.Patience?.Problem ?? shared?.Problem }, o => driver.Control.Do(o)) : null;
        using var signals = new Signals(host.StopAsked);
        world.Start();
        int code = driver.Run();
        bool isWhole = DiskErrors.Flush(disks.Stores, host.Report.Say) && SharedDisks.FinishAfter(code, shared) && host.Patience is not { HasGivenUp: true };
        if (options is { SaveSnapshot: { } save, SaveSnapshotAt: null } && code != ExitCode.HaltedByOther && host.Patience is not { HasGivenUp: true }) SnapshotFile.Write("--save-snapshot", save, machine);
        if (!Rejoining.Follows(options, code)) PrintHash(options, machine);
        return code == ExitCode.Ok && !isWhole ? ExitCode.Failure : code;
    }

    public static int RunBackup(RunOptions options)
    {
        if (options.Restore is not null) throw new HostException("--restore cannot be used with --backup: a backup gets the machine from its primary; give --restore to the primary", ExitCode.Usage);
        if (options.SaveSnapshot is not null) throw new HostException("--save-snapshot cannot be used with --backup: the primary has the same state; give --save-snapshot to the primary", ExitCode.Usage);
        using var host = new PairHost(options, isBackup: true);
        using var driver = new BackupDriver(host);
        using var signals = new Signals(host.StopAsked);
        using StatusServer? status = options.Status is { } statusAt ? new StatusServer(statusAt, host.Tls, host.Report.Say, () => driver.Status.View with { DiskProblem = host.Patience?.Problem ?? driver.SharedDiskProblem }, driver.Control) : null;
        host.Listen(options.Listen);
        Rehearsal.Begin(host);
        host.Report.Say($"role backup, waiting on {options.Listen}");
        try
        {
            return driver.Run();
        }
        catch (HostException e) when (e.ExitCode == ExitCode.HaltedByOther)
        {
            // With --rejoin the process goes on.
            host.Report.Say(e.Message);
            return e.ExitCode;
        }
    }

    /// <summary>The last line of a side that has a machine.</summary>
    internal static void PrintHash(RunOptions options, Machine machine)
    {
        if (options.PrintHash) Console.Out.WriteLine($"state-hash {machine.Position.Count} {machine.StateHash():x32}");
    }
}

/// <summary>A primary's own images with their side files.</summary>
internal sealed class PrimaryDisks : IDisposable
{
    private readonly RunOptions _options;
    private readonly string _arbiter;
    private readonly IBlockStore?[] _images;
    private readonly Guid[] _ids = new Guid[4];

    private PrimaryDisks(RunOptions options, string arbiter)
    {
        _options = options;
        _arbiter = arbiter;
        _images = MachineBuilder.OpenDisks(options);
        Stores = [.. _images.Select(d => d is null ? null : new SnapshotDisk(d, StateDirectories.Of(options)))];
    }

    public SnapshotDisk?[] Stores { get; }

    /// <summary>Opens the images; refuses a copy that is not current.</summary>
    public static (PrimaryDisks Disks, IReadOnlyList<DiskIdentity> Ids) Open(RunOptions options, PairHost host)
    {
        ArbiterValue? value = host.ReadArbiter();
        var disks = new PrimaryDisks(options, Arbiters.AddressOf(options));
        var ids = new List<DiskIdentity>();
        for (int n = 0; n < disks._images.Length; n++)
        {
            if (options.Disks[n] is not { } disk) continue;
            try
            {
                DiskSideFile? side = DiskSideFile.Read(disk.Path);
                if (!disk.ReadOnly && DiskSideFile.RefuseStart(disk.Path, side, value?.CurrentDisks ?? [], options.ForceStaleDisk) is { } refusal) throw new HostException(refusal);
                disks._ids[n] = side?.DiskId ?? Guid.NewGuid();
            }
            catch (InvalidDataException e)
            {
                throw new HostException(e.Message);
            }
            ids.Add(Recording.RecordingDisks.IdentityOf(n, disk.ReadOnly, disks._ids[n]));
        }
        return (disks, ids);
    }

    /// <summary>An epoch is won: these copies are the current ones.</summary>
    public void MarkLive(ulong epoch)
    {
        for (int n = 0; n < _images.Length; n++)
        {
            if (_options.Disks[n] is { ReadOnly: false } disk) new DiskSideFile(_ids[n], DiskCopies.Name(disk.Path), epoch, DiskCopyState.Current) { Guest = _options.Name, Arbiter = _arbiter }.Write(disk.Path);
        }
    }

    public void Dispose()
    {
        foreach (IBlockStore? image in _images) (image as IDisposable)?.Dispose();
    }
}
