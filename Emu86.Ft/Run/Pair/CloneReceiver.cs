// Builds this side's copy of the machine from what a primary streams: its own images are brought in sync, then the state is loaded.
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>One clone. A problem is kept and told at the end: the stream is consumed until then.</summary>
/// <param name="options">This side's.</param>
/// <param name="hello">What the primary said about the machine.</param>
/// <param name="protocol">Must be the primary's.</param>
/// <param name="link">Where answers go.</param>
/// <param name="build">Makes a machine with <see cref="Disks"/>. Throws <see cref="HostException"/>.</param>
public sealed class CloneReceiver(RunOptions options, Hello hello, ProtocolOptions protocol, Link link, Func<MachineConfig, Machine> build) : IDisposable
{
    private const long HeaderBytesMax = 5L << 30, UnitBytesMax = 256 << 20;
    private const int PageBytes = 4096;

    /// <summary>What takes longer to compare is compared while the backup replays.</summary>
    private static readonly TimeSpan MediumWait = TimeSpan.FromSeconds(1);

    private readonly RawDisk?[] _disks = new RawDisk?[4];
    private readonly ChunkedBuffer _state = new();
    private ulong _headerBytes;
    private Machine? _machine;

    /// <summary>Why the clone cannot run here; null as long as it can.</summary>
    public string? Problem { get; private set; }

    /// <summary>The drives, for the machine.</summary>
    public SnapshotDisk?[] Disks { get; } = new SnapshotDisk?[4];

    /// <summary>Takes a message of the stream, in order.</summary>
    public void Take(Message message)
    {
        try
        {
            switch (message)
            {
                case CloneBeginMessage begin: Begin(begin); break;
                case CloneDiskHashesMessage hashes: Compare(hashes); break;
                case CloneDiskBlocksMessage blocks: Write(blocks); break;
                case CloneStateMessage state: Append(state); break;
                case ClonePagesMessage pages: Write(pages); break;
            }
        }
        catch (Exception e) when (e is HostException or IOException or UnauthorizedAccessException or InvalidDataException or StateFormatException)
        {
            Problem ??= e.Message;
            if (message is CloneDiskHashesMessage hashes) link.Send(new CloneDiskWantMessage(hashes.Disk, []));
        }
    }

    /// <summary>The machine, at the clone's position; the caller's from now on. Throws <see cref="HostException"/> with the reason when
    /// there is none.</summary>
    public Machine Load()
    {
        if (Problem is not null) throw new HostException(Problem);
        if (_machine is not { } machine) throw new HostException("the state is incomplete");
        try
        {
            machine.EndRestore(_state.ToSequence());
        }
        catch (StateFormatException e)
        {
            throw new HostException(e.Message);
        }
        MediaLibrary.Require(machine, MediumWait);
        _machine = null;
        return machine;
    }

    /// <summary>The copies are whole: they will be written by the replay from now on.</summary>
    public void MarkCurrent()
    {
        for (int n = 0; n < _disks.Length; n++)
        {
            if (_disks[n] is null) continue;
            _disks[n]!.Flush();
            SideFile(n, DiskCopyState.Current).Write(options.Disks[n]!.Path);
        }
    }

    /// <summary>This side has won an epoch with these copies.</summary>
    public void MarkLive(ulong epoch)
    {
        for (int n = 0; n < _disks.Length; n++)
        {
            if (_disks[n] is not null) (SideFile(n, DiskCopyState.Current) with { Epoch = epoch }).Write(options.Disks[n]!.Path);
        }
    }

    public void Dispose()
    {
        _machine?.Dispose();
        foreach (RawDisk? disk in _disks) disk?.Dispose();
    }

    private static string Drive(int n) => $"hd{(char)('a' + n)}";

    private void Begin(CloneBeginMessage begin)
    {
        _headerBytes = begin.HeaderBytes;
        if (begin.HeaderBytes > HeaderBytesMax) throw new HostException($"a configuration of {begin.HeaderBytes} bytes is offered; at most {HeaderBytesMax} are accepted");
        if (begin.DiskSectors.Length != _disks.Length) throw new HostException($"the primary has {begin.DiskSectors.Length} drives, this program has {_disks.Length}");
        for (int n = 0; n < _disks.Length; n++)
        {
            if (begin.DiskSectors[n] > long.MaxValue / 512) throw new HostException($"a disk of {begin.DiskSectors[n]} sectors is offered");
            long sectors = (long)begin.DiskSectors[n];
            if (sectors == 0 && options.Disks[n] is { } surplus) throw new HostException($"--{Drive(n)} {surplus.Path} is given here, but the primary's machine has no such disk");
            if (sectors == 0) continue;
            _disks[n] = OpenDisk(n, sectors);
            Disks[n] = new SnapshotDisk(IsReadOnly(n) ? new ReadOnlyView(_disks[n]!) : _disks[n]!, StateDirectories.Of(options));
        }
    }

    private RawDisk OpenDisk(int n, long sectors)
    {
        string path = options.Disks[n]?.Path ?? throw new HostException($"the primary's machine has a disk {Drive(n)} of {sectors} sectors; give this backup a place for its copy with --{Drive(n)} PATH");
        long bytes = File.Exists(path) ? new FileInfo(path).Length : 0;
        if (DiskSideFile.RefuseSync(path, bytes != 0, DiskSideFile.Read(path), DiskId(n), options.OverwriteDisk) is { } refusal) throw new HostException(refusal);
        if (bytes != sectors * 512)
        {
            if (bytes != 0 && !options.OverwriteDisk) throw new HostException($"{path} has {bytes} bytes, the primary's disk has {sectors * 512}; --overwrite-disk makes it as long");
            using FileStream file = new(path, FileMode.OpenOrCreate, FileAccess.Write);
            file.SetLength(sectors * 512);
        }
        RawDisk disk = RawDisk.Open(path, readOnly: false);
        SideFile(n, DiskCopyState.Syncing).Write(path);
        return disk;
    }

    // What the guest may do with a drive is the primary's machine's business: both sides must answer a write alike.
    private bool IsReadOnly(int n) => hello.Machine.Disks.Any(d => d.Drive == Recording.RecordingDisks.IdentityOf(n, isReadOnly: true, d.Id).Drive);

    private Guid DiskId(int n) => hello.Machine.Disks.FirstOrDefault(d => d.Drive == Drive(n) || d == Recording.RecordingDisks.IdentityOf(n, isReadOnly: true, d.Id))?.Id ?? throw new HostException($"the primary does not name the identity of its disk {Drive(n)}");

    private DiskSideFile SideFile(int n, DiskCopyState state) =>
        new(DiskId(n), DiskCopies.Name(options.Disks[n]!.Path), hello.Epoch, state) { Guest = hello.Machine.Name, Arbiter = Arbiters.AddressOf(options) };

    private SnapshotDisk Disk(int n) =>
        Problem is not null ? throw new HostException(Problem)
        : n >= 0 && n < Disks.Length && Disks[n] is { } disk ? disk : throw new HostException($"blocks of a disk {n} came, which the machine does not have");

    private void Compare(CloneDiskHashesMessage hashes)
    {
        SnapshotDisk disk = Disk(hashes.Disk);
        if (hashes.BlockBytes != SnapshotDisk.BlockBytes) throw new HostException($"disk blocks of {hashes.BlockBytes} bytes; this program has {SnapshotDisk.BlockBytes}");
        int count = hashes.Hashes.Length / 8;
        if (count > disk.BlockCount || hashes.FirstBlock > (ulong)(disk.BlockCount - count)) throw new HostException("hashes of blocks behind the disk's end came");
        List<ulong> wanted = [];
        byte[] own = new byte[SnapshotDisk.BlockBytes];
        for (int i = 0; i < count; i++)
        {
            ulong block = hashes.FirstBlock + (ulong)i;
            Span<byte> content = own.AsSpan(0, (int)Math.Min(own.Length, (disk.SectorCount - (long)block * (SnapshotDisk.BlockBytes / 512)) * 512));
            bool same = disk.Read((long)block * (SnapshotDisk.BlockBytes / 512), content) == BlockResult.Ok
                && CloneSender.BlockHash(content) == BinaryPrimitives.ReadUInt64LittleEndian(hashes.Hashes.Span[(8 * i)..]);
            if (!same) wanted.Add(block);
        }
        link.Send(new CloneDiskWantMessage(hashes.Disk, [.. wanted]));
    }

    private void Write(CloneDiskBlocksMessage blocks)
    {
        SnapshotDisk disk = Disk(blocks.Disk);
        long lba = (long)blocks.FirstBlock * (SnapshotDisk.BlockBytes / 512);
        if (blocks.FirstBlock > (ulong)disk.BlockCount || blocks.Data.Length == 0 || blocks.Data.Length % 512 != 0 || lba < 0 || lba + blocks.Data.Length / 512 > disk.SectorCount) throw new HostException("a disk block came out of place");
        if (_disks[blocks.Disk]!.Write(lba, blocks.Data.Span) != BlockResult.Ok) throw new HostException(_disks[blocks.Disk]!.LastError ?? $"the image of {Drive(blocks.Disk)} cannot be written");
    }

    private void Append(CloneStateMessage state)
    {
        if (Problem is not null) return;
        ulong end = state.Offset + (ulong)state.Data.Length;
        if (state.Offset != (ulong)_state.Length || end > _headerBytes + UnitBytesMax || (state.Offset < _headerBytes && end > _headerBytes)) throw new HostException("a piece of the state came out of place");
        _state.Write(state.Data.Span);
        if (end != _headerBytes) return;
        MachineConfig config = Snapshot.ReadConfig(_state.ToSequence());
        Compare(config);
        _machine = build(config);
        _machine.BeginRestore();
    }

    private void Write(ClonePagesMessage pages)
    {
        if (Problem is not null) return;
        if (_machine is null || pages.Data.Length != (long)pages.Pages.Length * PageBytes) throw new HostException("pages of memory came out of place");
        for (int n = 0; n < pages.Pages.Length; n++) _machine.RestorePage(pages.Pages[n], pages.Data.Span.Slice(n * PageBytes, PageBytes));
    }

    // What was given on the command line must be what the primary's machine has; what was not given is taken from it.
    private void Compare(MachineConfig config)
    {
        RunOptions plain = new();
        MediaLibrary.RefuseSurplus(options.Cdrom, config);
        if (options.MemoryBytes != plain.MemoryBytes && options.MemoryBytes != config.MemoryBytes) throw new HostException($"--memory {options.MemoryBytes >> 20}M is given here, the primary's machine has {config.MemoryBytes >> 20}M");
        if (options.Cpu != plain.Cpu && options.Cpu != config.Cpu) throw new HostException($"--cpu {options.Cpu} is given here, the primary's machine has {config.Cpu}");
        if (options.Nic != plain.Nic && options.Nic != config.Nic) throw new HostException($"--nic {options.Nic} is given here, the primary's machine has {config.Nic}");
        if (!options.Mac.AsSpan().SequenceEqual(plain.Mac) && !options.Mac.AsSpan().SequenceEqual(config.Mac)) throw new HostException("--mac is given here with another address than the primary's machine has");
        if (Identities.ConfigurationHash(config, protocol) != hello.Machine.ConfigurationHash)
        {
            throw new HostException("the configuration hashes differ: give both sides the same --heartbeat, --failure-timeout, --max-lag and --hash-every");
        }
    }
}

/// <summary>A disk that the guest cannot write.</summary>
internal sealed class ReadOnlyView(IBlockStore below) : IBlockStore
{
    public IBlockStore Below => below;

    public long SectorCount => below.SectorCount;

    public bool IsReadOnly => true;

    public BlockResult Read(long lba, Span<byte> destination) => below.Read(lba, destination);

    public BlockResult Write(long lba, ReadOnlySpan<byte> source) => BlockResult.ReadOnly;

    public BlockResult Flush() => BlockResult.Ok;
}

internal static class DiskCopies
{
    /// <summary>What the arbiter knows a copy by: host and path.</summary>
    public static string Name(string image) => $"{Environment.MachineName}:{Path.GetFullPath(image)}";

    public static string[] Names(RunOptions options) => options.SharedDisks ? [] : [.. options.Disks.Where(d => d is { IsWritableFile: true }).Select(d => Name(d!.Path))];
}

/// <summary>What two sides compare of their machines.</summary>
public static class Identities
{
    /// <summary>Of everything that the guest could notice, and of the protocol's times.</summary>
    public static UInt128 ConfigurationHash(MachineConfig config, ProtocolOptions protocol)
    {
        Span<byte> bytes = stackalloc byte[16 + 5 * 8];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, config.Hash());
        long[] times = [protocol.HeartbeatUs, protocol.FailureTimeoutUs, protocol.LeaseUs, protocol.MaxLagUs, (long)protocol.HashEveryNs];
        for (int n = 0; n < times.Length; n++) BinaryPrimitives.WriteInt64LittleEndian(bytes[(16 + 8 * n)..], times[n]);
        return XxHash128.HashToUInt128(bytes);
    }
}
