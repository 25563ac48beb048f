// The shared disks of a machine: who may touch the images, and how a new live side makes sure that the old one does not any more
// (docs/ft-protocol.md, "Shared disks").
using System.IO.Hashing;
using System.Text;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Nbd;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

internal sealed class SharedDisks : IDisposable
{
    private const string Marker = " shared";
    private readonly PairHost _host;
    private readonly RunOptions _options;
    private readonly SharedDisk?[] _disks = new SharedDisk?[4];
    private readonly IBlockStore?[] _images = new IBlockStore?[4];
    private readonly SharedWriter _writer;
    private readonly bool[] _needsCommand = new bool[4];
    private readonly Queue<(Output Output, ulong Number, ulong Ordinal)> _followed = new();
    private ArbiterValue? _before;

    private SharedDisks(PairHost host)
    {
        (_host, _options) = (host, host.Options);
        _writer = new SharedWriter(_disks, _images, host.Report.Say);
    }

    /// <summary>For the machine.</summary>
    public IReadOnlyList<IBlockStore?> Stores => _disks;

    /// <summary>What both sides compare.</summary>
    public IReadOnlyList<DiskIdentity> Ids { get; private set; } = [];

    /// <summary>See <see cref="SharedWriter.Durable"/>.</summary>
    public Action<ulong> Durable { set => _writer.Durable = value; }

    /// <summary>See <see cref="SharedWriter.Problem"/>.</summary>
    public string? Problem => _writer.Problem;

    /// <summary>Told before and after each read of an image, which may have to wait for a server.</summary>
    public (Action Begins, Action Ends) Reading
    {
        set
        {
            foreach (SharedDisk? disk in _disks) if (disk is not null) disk.Reading = value;
        }
    }

    /// <summary>A side that starts the guest: the images are its own to write at once.</summary>
    /// <param name="host">Of the run.</param>
    /// <param name="outputs">Where the machine's outputs are collected.</param>
    /// <exception cref="HostException">An image cannot be opened.</exception>
    public static SharedDisks Open(PairHost host, IOutputSink outputs)
    {
        RunOptions options = host.Options;
        var disks = new SharedDisks(host) { _before = host.ReadArbiter() };
        for (int n = 0; n < 4; n++)
        {
            if (options.Disks[n] is not { } disk) continue;
            disks.LookAtLocks(n, disk);
            IBlockStore image = disks._images[n] = DiskImage.Open(disk, disk.ReadOnly);
            disks._disks[n] = new SharedDisk(n, image.SectorCount, disk.ReadOnly, outputs);
            disks._disks[n]!.GoLive(image);
        }
        disks.Ids = disks.Identify();
        disks._writer.Start();
        return disks;
    }

    /// <summary>A backup: the images are looked at, and left alone.</summary>
    /// <param name="host">Of the run.</param>
    /// <param name="machine">What the primary said about its own.</param>
    /// <param name="config">The machine.</param>
    /// <param name="outputs">Where the machine's outputs are collected.</param>
    /// <exception cref="HostException">They are not the primary's.</exception>
    public static SharedDisks Follow(PairHost host, MachineIdentity machine, MachineConfig config, IOutputSink outputs)
    {
        RunOptions options = host.Options;
        var disks = new SharedDisks(host);
        for (int n = 0; n < 4; n++)
        {
            string drive = DiskErrors.NameOf(n);
            long sectors = config.DriveSectors[n];
            if (options.Disks[n] is not { } disk)
            {
                if (sectors != 0) throw new HostException($"the primary's machine has a shared disk {drive}; say where this host finds it with --{drive}");
                continue;
            }
            if (sectors == 0) throw new HostException($"--{drive} {disk.Path} is given here, but the primary's machine has no such disk");
            disks.LookAtLocks(n, disk);
            IBlockStore image = disks.OpenToRead(disk);
            long here = image.SectorCount;
            if (!options.BackupReads || here != sectors) (image as IDisposable)?.Dispose();
            if (here != sectors) throw new HostException($"--{drive} {disk.Path} has {here} sectors, the primary's shared disk has {sectors}: it is another one, or was changed behind the primary's back");
            disks._disks[n] = new SharedDisk(n, sectors, disk.ReadOnly, outputs) { Own = options.BackupReads ? disks._images[n] = image : null };
        }
        disks.Ids = disks.Identify();
        foreach (DiskIdentity theirs in machine.Disks)
        {
            DiskIdentity ours = disks.Ids.FirstOrDefault(d => d.Drive == theirs.Drive) ?? throw new HostException($"the primary's disk {theirs.Drive} is used otherwise here: give both sides the same --disks, --disk-reads and ,readonly");
            if (ours != theirs) throw new HostException($"the shared disk {ours.Drive} has the id {ours.Id:N} here and {theirs.Id:N} on the primary: it is another one; give --{ours.Drive.Split(' ')[0]} the image that the primary uses");
        }
        disks._writer.Start();
        return disks;
    }

    /// <summary>Whether the primary's disks are shared ones.</summary>
    public static bool AreIn(MachineIdentity machine) => machine.Disks.Any(d => d.Drive.Contains(Marker, StringComparison.Ordinal));

    /// <summary>What the live side has read, as a record of the log says it.</summary>
    public void Give(InputEvent input)
    {
        if (input.Data.Length > 0 && input.Unit is >= 0 and < 4) _disks[input.Unit]?.Give(new SharedRead(input.Unit, (long)input.Value0, input.Data.ToArray()));
    }

    /// <summary>A side that follows has executed up to an output of the guest, which the live side writes.</summary>
    /// <param name="output">A gated output, in order.</param>
    /// <param name="ordinal">Its number in the guest's life.</param>
    public void Produced(Output output, ulong ordinal)
    {
        if (!_options.BackupReads || output.Kind != OutputKind.DiskWrite) return;
        _followed.Enqueue((output, _disks[output.Unit]!.Released(), ordinal));
    }

    /// <summary>The live side says up to which output writes are in the image.</summary>
    public void DurableThere(ulong upTo)
    {
        while (_followed.TryPeek(out (Output Output, ulong Number, ulong Ordinal) write) && write.Ordinal <= upTo)
        {
            _disks[write.Output.Unit]!.Durable((long)write.Output.Value, write.Output.Data.Length, write.Number);
            _followed.Dequeue();
        }
    }

    /// <summary>A side that follows is not executing what the live one does.</summary>
    public bool HasStrayed => Array.Exists(_disks, d => d is { HasStrayed: true });

    /// <summary>What was read since the last call.</summary>
    public IEnumerable<SharedRead> TakeReads() => _disks.SelectMany(d => d?.TakeReads() ?? []);

    /// <summary>Makes the images this side's own, once the side that was live cannot write them any more. Waits as long as that takes.</summary>
    /// <param name="epoch">That was won.</param>
    /// <param name="turn">Called while waiting; false: the run is to end.</param>
    /// <exception cref="HostException">The run is to end, an image is another one now, or another side has gone live meanwhile.</exception>
    public void GoLive(ulong epoch, Func<bool> turn)
    {
        Fence fence = new(_options.FenceCommand, new FenceRequest(_options.Name, epoch, _host.LastOwner), turn, _host.Report.Say);
        for (int n = 0; n < 4; n++)
        {
            if (_disks[n] is not { } disk) continue;
            IBlockStore image = _images[n] = fence.Take(_options.Disks[n]!, _needsCommand[n]);
            if (image.SectorCount != disk.SectorCount) throw new HostException($"{_options.Disks[n]!.Path} has {image.SectorCount} sectors now and had {disk.SectorCount}: it was changed behind the guest's back");
            AskBeforeGoingOn(image);
            disk.GoLive(image);
        }
        // This side may itself have been frozen since it won: its connections were made before this answer, or they are cut. A lock stays.
        for (bool? isOwner = Array.Exists(_needsCommand, n => n) ? null : true; isOwner is null;)
        {
            if (!turn()) throw new HostException("stopped while it asked the arbiter whether its shared disk is still its own");
            isOwner = _host.IsOwner();
            if (isOwner is false) throw new HostException("another side went live while this one waited for its shared disk", ExitCode.HaltedByOther);
        }
    }

    /// <summary>A side that starts the guest has won its epoch. The one that was live before may not have ended in good order: then a
    /// server may still hold a write of it. A file's lock was taken when it was opened.</summary>
    /// <param name="epoch">That was won.</param>
    /// <param name="turn">Called while waiting; false: the run is to end.</param>
    /// <exception cref="HostException">The run is to end.</exception>
    public void Start(ulong epoch, Func<bool> turn)
    {
        bool ended = _before is null ? epoch == 1 : _before.State == GuestState.Off && _before.Epoch + 1 == epoch;
        var fence = new Fence(_options.FenceCommand, new FenceRequest(_options.Name, epoch, _before?.OwnerAddress ?? ""), turn, _host.Report.Say);
        for (int n = 0; n < 4; n++)
        {
            if (_images[n] is not { } image) continue;
            AskBeforeGoingOn(image);
            if (!ended && _needsCommand[n]) fence.Confirm(_options.Disks[n]!.Path);
        }
    }

    /// <summary>A write that was kept while this side followed: it is written again.</summary>
    public void Adopt(Output output, ulong ordinal)
    {
        _disks[output.Unit]!.Adopt((long)output.Value, output.Data.ToArray());
        Release(output, ordinal);
    }

    /// <summary>See <see cref="SharedWriter.Release"/>.</summary>
    public void Release(Output output, ulong ordinal) => _writer.Release(output, ordinal);

    /// <summary>At the end of a live run. One that lost leaves what is not written to the other side, which has it too.</summary>
    public static bool FinishAfter(int exitCode, SharedDisks? shared) => shared is null || exitCode == ExitCode.HaltedByOther || shared._writer.Finish(TimeSpan.FromSeconds(10));

    /// <summary>What was not written yet is left to the other side, which has it too.</summary>
    public void Dispose()
    {
        _writer.Dispose();
        foreach (IBlockStore? image in _images) (image as IDisposable)?.Dispose();
    }

    private IReadOnlyList<DiskIdentity> Identify()
    {
        var ids = new List<DiskIdentity>();
        for (int n = 0; n < 4; n++)
        {
            if (_disks[n] is { } disk) ids.Add(new DiskIdentity($"{DiskErrors.NameOf(n)}{Marker}{(disk.IsReadOnly ? ",readonly" : "")}{(_options.BackupReads ? ",read by backup" : "")}", IdOf(_options.Disks[n]!, disk.SectorCount)));
        }
        return ids;
    }

    // An image's identity lies beside it; an export has only its name and its size.
    private Guid IdOf(DiskOption disk, long sectors)
    {
        if (disk.Nbd is { } nbd)
        {
            Span<byte> hash = stackalloc byte[16];
            XxHash128.Hash(Encoding.UTF8.GetBytes($"nbd {nbd.Export} {sectors}"), hash);
            return new Guid(hash);
        }
        try
        {
            if (DiskSideFile.Read(disk.Path) is { } side) return side.DiskId;
            if (_options.Role == Role.Backup) return Guid.Empty;
            var made = new DiskSideFile(Guid.NewGuid(), "shared", 0, DiskCopyState.Current) { Guest = _options.Name, Arbiter = Arbiters.AddressOf(_options) };
            made.Write(disk.Path);
            return made.DiskId;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new HostException($"{DiskSideFile.PathOf(disk.Path)}, which says whose disk it is, cannot be used: {e.Message}");
        }
    }

    // A server's answers wait for no longer than a backup may do nothing.
    private IBlockStore OpenToRead(DiskOption disk) => _options.BackupReads && disk.Nbd is { } nbd
        ? NbdDisk.Open(nbd, readOnly: true, new NbdTimes(ConnectMs: 500, HandshakeMs: 1000, RequestMs: 1000, PatienceMs: 500))
        : DiskImage.Open(disk, readOnly: true);

    // A server has no lock, and --fence-command is there then (CommandLine).
    private void LookAtLocks(int drive, DiskOption disk)
    {
        string? why = disk.Nbd is not null || disk.ReadOnly ? null : LockReach.WhyLocal(disk.Path);
        if (why is not null && _options.FenceCommand is null)
        {
            throw new HostException($"disk image {disk.Path} cannot be a shared disk by its writer's lock: {why}, so the lock holds on this host only; mount it otherwise, or give --fence-command");
        }
        if (_options.BackupReads && disk.Nbd is null && LockReach.CachesOf(disk.Path) is { } type)
        {
            throw new HostException($"disk image {disk.Path} cannot be read by a backup: on its file system ({type}) a host may read what another has overwritten; use an NBD server, or leave out --disk-reads backup");
        }
        _needsCommand[drive] = disk.Nbd is not null || why is not null;
    }

    // A fence may have ended the connection while this side was frozen; a new one would go round it.
    private void AskBeforeGoingOn(IBlockStore image)
    {
        if (image is not NbdDisk { IsReadOnly: false } nbd) return;
        nbd.MayGoOn = () =>
        {
            if (_host.IsOwner() is not { } isOwner) throw new NbdException("the connection was lost, and the arbiter does not say whether the disk is still this side's");
            if (isOwner) return;
            // It has nothing to wait for.
            _host.Patience?.End();
            throw new NbdException("another side is live and has the disk", isRefusal: true);
        };
    }
}
