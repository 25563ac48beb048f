// Streams the running machine to a candidate, on a thread of its own while the guest goes on: disks and memory as they are, in
// rounds; then the machine is frozen for a moment, and what has changed meanwhile is sent as it was then (docs/ft-protocol.md).
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.IO.Hashing;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>One attempt to clone a machine. All members are for the emulation thread. When it fails or is disposed, nothing of it is
/// left in the machine.</summary>
public sealed class CloneSender : IDisposable
{
    /// <summary>How much of what the guest overwrites before it was sent is kept in memory; the rest is spilled to a file.</summary>
    private const long KeptBytesMax = 256 << 20;

    // Messages of less than 85,000 bytes: the receiver's garbage collector keeps longer ones apart, and takes long over them.
    private const int PageBytes = 4096, PagesPerMessage = 16;
    private const int StateChunkBytes = 256 << 10;
    private const int HashesPerMessage = 256;
    private const int AnswerMs = 30_000;

    // Blocks that are few enough to be left for the end, and how often the others are sent again at most: a guest can write faster.
    private const int FewBlocks = 64, DiskRoundsMax = 6;

    // Where the guest's core would not be left to it otherwise, the stream rests as long as it works, in turns of some milliseconds;
    // waiting for the line or for a processor is no work.
    private const int WorkMs = 3;

    // Of one page in so many it is looked after the round whether the guest has written it again; room is made in portions.
    private const int PagesPerSample = 64, RoomPages = 256;
    private static readonly bool Rests = Environment.ProcessorCount < 4;

    private readonly Link _link;
    private readonly Machine _machine;
    private readonly FrozenMachine _frozen;
    private readonly PageSpill _spill;
    private readonly SnapshotDisk?[] _disks;
    private readonly ulong[] _pageHashes;

    // What the candidate has of each page: 0 for zeros, else a hash. What was sent while the guest wrote it is what was hashed.
    private readonly ulong[] _sent;
    private readonly BlockingCollection<CloneDiskWantMessage> _wanted = [];
    private readonly CancellationTokenSource _cancelled = new();
    private readonly ManualResetEventSlim _goesOn = new();
    private readonly double _total;
    private double _done;
    private long _lookedAt;
    private TimeSpan _worked;
    private ulong _headerBytes;
    private volatile bool _isReady;

    /// <param name="link">To the candidate.</param>
    /// <param name="machine">Runs.</param>
    /// <param name="disks">Its drives.</param>
    /// <param name="spillDirectory">Where memory is kept that the guest overwrites, when it is much.</param>
    public CloneSender(Link link, Machine machine, SnapshotDisk?[] disks, string spillDirectory)
    {
        (_link, _machine, _disks) = (link, machine, disks);
        _spill = new PageSpill(spillDirectory);
        _frozen = new FrozenMachine(machine, _spill, KeptBytesMax);
        _pageHashes = new ulong[_frozen.PageCount];
        _sent = new ulong[_frozen.PageCount];
        // Memory is looked at twice: as it is, and as it was.
        _total = 2.0 * PageBytes * _frozen.PageCount + disks.Sum(d => d is null ? 0.0 : 512.0 * d.SectorCount);
        foreach (SnapshotDisk? disk in disks) disk?.BeginRounds();
    }

    public int Connection => _link.Id;

    /// <summary>What was sent or needs not be, as a share of all: 0 to 1.</summary>
    public double Progress => Volatile.Read(ref _done) / _total;

    /// <summary>Most is sent: <see cref="Freeze"/> and <see cref="GoOn"/> are to be called. False again after that.</summary>
    public bool IsReady => _isReady;

    /// <summary>Of the frozen machine; when all was sent.</summary>
    public UInt128 StateHash { get; private set; }

    /// <summary>Begins to stream.</summary>
    /// <param name="ended">Called on the streaming thread: null when all was sent, else why not.</param>
    public void Start(Action<string?> ended) => new Thread(() => ended(Stream())) { IsBackground = true, Name = "clone" }.Start();

    /// <summary>Prepares the freeze a little, so that it takes less time. False when nothing is left to prepare.</summary>
    public bool Rehearse() => _frozen.Rehearse();

    /// <summary>The clone is what the machine is now. The events that are due have been fired.</summary>
    public void Freeze()
    {
        _isReady = false;
        _frozen.Freeze();
        foreach (SnapshotDisk? disk in _disks) disk?.BeginSnapshot();
    }

    /// <summary>After <see cref="Freeze"/>: the rest is streamed.</summary>
    public void GoOn() => _goesOn.Set();

    /// <summary>When all was sent: spares the machine's next state hash what is known already.</summary>
    public void ReturnHashes() => _frozen.ReturnHashes(_pageHashes);

    /// <summary>The candidate's answer to block hashes.</summary>
    public void Wanted(CloneDiskWantMessage wanted)
    {
        if (!_cancelled.IsCancellationRequested) _wanted.Add(wanted);
    }

    public void Dispose()
    {
        _cancelled.Cancel();
        // First: from then on the streaming thread does not look at the machine, nor at what was spilled.
        _frozen.Dispose();
        // A large file takes the host a while to drop, which would be the guest's time.
        Task.Run(_spill.Dispose);
        foreach (SnapshotDisk? disk in _disks) disk?.EndSnapshot();
    }

    /// <summary>The hash by which blocks of disks are compared.</summary>
    public static ulong BlockHash(ReadOnlySpan<byte> block) => XxHash3.HashToUInt64(block);

    private string? Stream()
    {
        // The guest comes first, and the candidate, where it is on the same host, is what the stream waits for.
        BackgroundThread.GiveWay();
        (_lookedAt, _worked) = (Stopwatch.GetTimestamp(), BackgroundThread.Worked);
        try
        {
            Begin();
            for (int n = 0; n < _disks.Length; n++)
            {
                if (_disks[n] is { } disk) SendDisk(n, disk);
            }
            SendMemory(isFrozen: false);
            MakeRoom();
            _isReady = true;
            _goesOn.Wait(_cancelled.Token);
            for (int n = 0; n < _disks.Length; n++)
            {
                if (_disks[n] is { } disk) SendBlocks(n, disk.TakeWritten(), disk.ReadSnapshot);
            }
            var rest = new ChunkedBuffer();
            _frozen.SaveRest(rest);
            SendState(rest, _headerBytes);
            SendMemory(isFrozen: true);
            StateHash = _frozen.StateHash(_pageHashes);
            return null;
        }
        catch (OperationCanceledException)
        {
            return "cancelled";
        }
        catch (IOException e)
        {
            return e.Message;
        }
    }

    private void Begin()
    {
        byte[] configuration = new byte[16];
        BinaryPrimitives.WriteUInt128LittleEndian(configuration, _machine.Config.Hash());
        var header = new ChunkedBuffer();
        _frozen.SaveHeader(header);
        _headerBytes = (ulong)header.Length;
        Send(new CloneBeginMessage(configuration, _headerBytes, [.. _disks.Select(d => (ulong)(d?.SectorCount ?? 0))]));
        SendState(header, 0);
    }

    private void SendState(ChunkedBuffer state, ulong offset)
    {
        foreach (ReadOnlyMemory<byte> bytes in state.Pieces(StateChunkBytes))
        {
            Send(new CloneStateMessage(offset, bytes));
            offset += (ulong)bytes.Length;
        }
    }

    // The blocks whose hashes differ, then those that the guest has written meanwhile, until few are left.
    private void SendDisk(int drive, SnapshotDisk disk)
    {
        byte[] hashes = new byte[8 * HashesPerMessage], content = new byte[SnapshotDisk.BlockBytes];
        for (long first = 0; first < disk.BlockCount; first += HashesPerMessage)
        {
            int count = (int)Math.Min(HashesPerMessage, disk.BlockCount - first);
            for (int n = 0; n < count; n++) BitConverter.TryWriteBytes(hashes.AsSpan(8 * n), BlockHash(disk.ReadNow(first + n, content)));
            Send(new CloneDiskHashesMessage(drive, (ulong)first, SnapshotDisk.BlockBytes, hashes.AsSpan(0, 8 * count).ToArray()));
            if (!_wanted.TryTake(out CloneDiskWantMessage? wanted, AnswerMs, _cancelled.Token)) throw new IOException("the candidate does not answer to disk block hashes");
            foreach (ulong block in wanted.Blocks)
            {
                if (wanted.Disk != drive || (long)block < first || (long)block >= first + count) throw new IOException("the candidate asks for disk blocks that were not offered");
                Send(new CloneDiskBlocksMessage(drive, block, disk.ReadNow((long)block)));
            }
            Did((double)count * SnapshotDisk.BlockBytes);
        }
        for (int round = 0; round < DiskRoundsMax && SendBlocks(drive, disk.TakeWritten(), disk.ReadNow) > FewBlocks; round++)
        {
        }
    }

    private int SendBlocks(int drive, long[] blocks, Func<long, byte[]> content)
    {
        foreach (long block in blocks) Send(new CloneDiskBlocksMessage(drive, (ulong)block, content(block)));
        return blocks.Length;
    }

    // A page that the candidate has already does not travel again; one that is zero there and here never does.
    private void SendMemory(bool isFrozen)
    {
        byte[] content = new byte[PagesPerMessage * PageBytes];
        ulong[] pages = new ulong[PagesPerMessage];
        int count = 0;
        for (uint page = 0; page < _frozen.PageCount; page++)
        {
            Span<byte> place = content.AsSpan(count * PageBytes, PageBytes);
            if (!(isFrozen ? _frozen.Take(page, place) : _frozen.Peek(page, place))) throw new IOException(_spill.Problem ?? "the clone has ended");
            ulong hash = FrozenMachine.PageHash(page, place);
            if (isFrozen) _pageHashes[page] = hash;
            ulong known = Known(hash, place);
            Did(PageBytes);
            if (known == _sent[page]) continue;
            _sent[page] = known;
            pages[count++] = page;
            if (count < PagesPerMessage) continue;
            SendPages(pages, content, count);
            count = 0;
        }
        if (count > 0) SendPages(pages, content, count);
    }

    // About as much as the guest will overwrite before it is sent: what it has overwritten since the round.
    private void MakeRoom()
    {
        byte[] content = new byte[PageBytes];
        int written = 0;
        for (uint page = 0; page < _frozen.PageCount; page += PagesPerSample)
        {
            if (!_frozen.Peek(page, content)) throw new OperationCanceledException();
            if (Known(FrozenMachine.PageHash(page, content), content) != _sent[page]) written += PagesPerSample;
        }
        for (int first = 0; first < written; first += RoomPages)
        {
            if (!_frozen.MakeRoom(first..int.Min(first + RoomPages, written))) throw new OperationCanceledException();
            Rest();
        }
    }

    private static ulong Known(ulong hash, ReadOnlySpan<byte> content) => content.ContainsAnyExcept((byte)0) ? Math.Max(hash, 1) : 0;

    private void SendPages(ulong[] pages, byte[] content, int count) =>
        Send(new ClonePagesMessage(pages[..count], content.AsMemory(0, count * PageBytes)));

    private void Did(double bytes)
    {
        Volatile.Write(ref _done, _done + bytes);
        Rest();
    }

    private void Rest()
    {
        if (!Rests || Stopwatch.GetElapsedTime(_lookedAt).TotalMilliseconds < WorkMs) return;
        _cancelled.Token.WaitHandle.WaitOne(BackgroundThread.Worked - _worked);
        (_lookedAt, _worked) = (Stopwatch.GetTimestamp(), BackgroundThread.Worked);
    }

    private void Send(Message message)
    {
        _cancelled.Token.ThrowIfCancellationRequested();
        if (!_link.SendInTurn(message)) throw new OperationCanceledException();
    }
}
