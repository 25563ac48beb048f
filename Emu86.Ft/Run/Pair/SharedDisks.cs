// The shared disks of a machine: who may touch the images, the one thread that writes them, and how a new live side makes sure that
// the old one does not any more (docs/ft-protocol.md, "Shared disks").
using System.Collections.Concurrent;
using System.IO.Hashing;
using System.Text;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

internal sealed class SharedDisks : IDisposable
{
    private const string Marker = " shared";
    private const int RetryMs = 200, BatchMax = 256;

    private readonly record struct Write(int Drive, long Lba, ReadOnlyMemory<byte> Data, ulong Number, ulong Ordinal);

    private readonly RunOptions _options;
    private readonly Action<string> _say;
    private readonly SharedDisk?[] _disks = new SharedDisk?[4];
    private readonly IBlockStore?[] _images = new IBlockStore?[4];
    private readonly BlockingCollection<Write> _queue = [];
    private readonly Thread _writer;
    private volatile bool _isAbandoned;
    private volatile int _unwritten;

    private SharedDisks(RunOptions options, Action<string> say)
    {
        (_options, _say) = (options, say);
        _writer = new Thread(WriteAll) { IsBackground = true, Name = "shared disks" };
    }

    /// <summary>For the machine.</summary>
    public IReadOnlyList<IBlockStore?> Stores => _disks;

    /// <summary>What both sides compare.</summary>
    public IReadOnlyList<DiskIdentity> Ids { get; private set; } = [];

    /// <summary>Told on the writer's thread up to which output all writes are durable.</summary>
    public Action<ulong>? Durable { private get; set; }

    /// <summary>A side that starts the guest: the images are its own to write at once.</summary>
    /// <param name="options">Of the run.</param>
    /// <param name="outputs">Where the machine's outputs are collected.</param>
    /// <param name="say">Told what does not go as it should.</param>
    /// <exception cref="HostException">An image cannot be opened.</exception>
    public static SharedDisks Open(RunOptions options, IOutputSink outputs, Action<string> say)
    {
        var disks = new SharedDisks(options, say);
        for (int n = 0; n < 4; n++)
        {
            if (options.Disks[n] is not { } disk) continue;
            IBlockStore image = disks._images[n] = DiskImage.Open(disk, disk.ReadOnly);
            disks._disks[n] = new SharedDisk(n, image.SectorCount, disk.ReadOnly, outputs);
            disks._disks[n]!.GoLive(image);
        }
        disks.Ids = disks.Identify();
        disks._writer.Start();
        return disks;
    }

    /// <summary>A backup: the images are looked at, and left alone.</summary>
    /// <param name="options">Of the run.</param>
    /// <param name="machine">What the primary said about its own.</param>
    /// <param name="config">The machine.</param>
    /// <param name="outputs">Where the machine's outputs are collected.</param>
    /// <param name="say">Told what does not go as it should.</param>
    /// <exception cref="HostException">They are not the primary's.</exception>
    public static SharedDisks Follow(RunOptions options, MachineIdentity machine, MachineConfig config, IOutputSink outputs, Action<string> say)
    {
        var disks = new SharedDisks(options, say);
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
            IBlockStore image = DiskImage.Open(disk, readOnly: true);
            long here = image.SectorCount;
            (image as IDisposable)?.Dispose();
            if (here != sectors) throw new HostException($"--{drive} {disk.Path} has {here} sectors, the primary's shared disk has {sectors}: it is another one, or was changed behind the primary's back");
            disks._disks[n] = new SharedDisk(n, sectors, disk.ReadOnly, outputs);
        }
        disks.Ids = disks.Identify();
        foreach (DiskIdentity theirs in machine.Disks)
        {
            DiskIdentity ours = disks.Ids.FirstOrDefault(d => d.Drive == theirs.Drive) ?? throw new HostException($"the primary's disk {theirs.Drive} is used otherwise here: give both sides the same --disks and the same ,readonly");
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
        if (input.Unit is >= 0 and < 4) _disks[input.Unit]?.Give(new SharedRead(input.Unit, (long)input.Value0, input.Data.ToArray()));
    }

    /// <summary>A side that follows is not executing what the live one does.</summary>
    public bool HasStrayed => Array.Exists(_disks, d => d is { HasStrayed: true });

    /// <summary>What was read since the last call.</summary>
    public IEnumerable<SharedRead> TakeReads() => _disks.SelectMany(d => d?.TakeReads() ?? []);

    /// <summary>Makes the images this side's own, once the side that was live cannot write them any more. Waits as long as that takes.</summary>
    /// <param name="fence">What is known of the side that was live, for --fence-command.</param>
    /// <param name="turn">Called while waiting; false: the run is to end.</param>
    /// <exception cref="HostException">The run is to end, or an image is not there any more.</exception>
    public void GoLive(FenceRequest fence, Func<bool> turn)
    {
        for (int n = 0; n < 4; n++)
        {
            if (_disks[n] is not { } disk) continue;
            IBlockStore image = _images[n] = Fence.Take(_options.Disks[n]!, _options.FenceCommand, fence, turn, _say);
            if (image.SectorCount != disk.SectorCount) throw new HostException($"{_options.Disks[n]!.Path} has {image.SectorCount} sectors now and had {disk.SectorCount}: it was changed behind the guest's back");
            disk.GoLive(image);
        }
    }

    /// <summary>A write that was kept while this side followed: it is written again.</summary>
    public void Adopt(Output output, ulong ordinal)
    {
        _disks[output.Unit]!.Adopt((long)output.Value, output.Data.ToArray());
        Release(output, ordinal);
    }

    /// <summary>A write may leave: it goes to the image, in order.</summary>
    public void Release(Output output, ulong ordinal)
    {
        Interlocked.Increment(ref _unwritten);
        _queue.Add(new Write(output.Unit, (long)output.Value, output.Data, _disks[output.Unit]!.Released(), ordinal));
    }

    /// <summary>Waits until everything that was released is durable.</summary>
    /// <returns>False: an image fails, and what the guest was told is written is not.</returns>
    public bool Finish(TimeSpan atMost)
    {
        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        while (_unwritten > 0)
        {
            if (System.Diagnostics.Stopwatch.GetElapsedTime(began) > atMost)
            {
                _say($"{_unwritten} writes of the guest could not be written to its shared disk");
                return false;
            }
            Thread.Sleep(1);
        }
        return true;
    }

    /// <summary>At the end of a live run. One that lost leaves what is not written to the other side, which has it too.</summary>
    public static bool FinishAfter(int exitCode, SharedDisks? shared) => shared is null || exitCode == ExitCode.HaltedByOther || shared.Finish(TimeSpan.FromSeconds(10));

    /// <summary>What was not written yet is left to the other side, which has it too.</summary>
    public void Dispose()
    {
        _isAbandoned = true;
        _queue.CompleteAdding();
        _writer.Join();
        foreach (IBlockStore? image in _images) (image as IDisposable)?.Dispose();
    }

    private IReadOnlyList<DiskIdentity> Identify()
    {
        var ids = new List<DiskIdentity>();
        for (int n = 0; n < 4; n++)
        {
            if (_disks[n] is { } disk) ids.Add(new DiskIdentity($"{DiskErrors.NameOf(n)}{Marker}{(disk.IsReadOnly ? ",readonly" : "")}", IdOf(_options.Disks[n]!, disk.SectorCount)));
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

    private void WriteAll()
    {
        var batch = new List<Write>();
        foreach (Write first in _queue.GetConsumingEnumerable())
        {
            batch.Clear();
            batch.Add(first);
            while (batch.Count < BatchMax && _queue.TryTake(out Write next)) batch.Add(next);
            if (_isAbandoned) return;
            // Written again from the first after a failure: what a failed flush was to make durable may have been dropped.
            while (!TryWrite(batch))
            {
                if (_isAbandoned) return;
                Thread.Sleep(RetryMs);
            }
            foreach (Write write in batch) _disks[write.Drive]!.Durable(write.Lba, write.Data.Length, write.Number);
            Durable?.Invoke(batch[^1].Ordinal);
            Interlocked.Add(ref _unwritten, -batch.Count);
        }
    }

    private bool TryWrite(List<Write> batch)
    {
        foreach (Write write in batch)
        {
            if (_images[write.Drive]!.Write(write.Lba, write.Data.Span) != BlockResult.Ok) return Failed(write.Drive);
        }
        foreach (int drive in batch.Select(w => w.Drive).Distinct())
        {
            if (_images[drive]!.Flush() != BlockResult.Ok) return Failed(drive);
        }
        return true;
    }

    // The guest was told that it is done: there is nothing but to try again.
    private bool Failed(int drive)
    {
        _say($"{DiskErrors.Reason(drive, _images[drive])}; the shared disk is tried again until it works");
        return false;
    }
}
