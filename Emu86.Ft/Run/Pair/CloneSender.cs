// Streams a snapshot of the running machine to a candidate, on a thread of its own while the guest goes on.
using System.Collections.Concurrent;
using System.IO.Hashing;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>One attempt to clone the machine. The state was captured when it was made; disks are read as they were then.</summary>
internal sealed class CloneSender : IDisposable
{
    private const int StateChunkBytes = 256 << 10;
    private const int HashesPerMessage = 256;
    private const int AnswerMs = 30_000;

    private readonly Link _link;
    private readonly KeptState _state;
    private readonly UInt128 _configuration;
    private readonly SnapshotDisk?[] _disks;
    private readonly BlockingCollection<CloneDiskWantMessage> _wanted = [];
    private readonly CancellationTokenSource _cancelled = new();

    /// <param name="link">To the candidate.</param>
    /// <param name="state">The machine's state, kept from now on until this is disposed.</param>
    /// <param name="configuration">Hash of its configuration.</param>
    /// <param name="disks">The board's drives; their snapshots begin here.</param>
    public CloneSender(Link link, KeptState state, UInt128 configuration, SnapshotDisk?[] disks)
    {
        (_link, _state, _configuration, _disks) = (link, state, configuration, disks);
        foreach (SnapshotDisk? disk in disks) disk?.BeginSnapshot();
    }

    public int Connection => _link.Id;

    /// <summary>Begins to stream.</summary>
    /// <param name="ended">Called on the streaming thread: null when all was sent, else why not.</param>
    public void Start(Action<string?> ended) => new Thread(() => ended(Stream())) { IsBackground = true, Name = "clone" }.Start();

    /// <summary>The candidate's answer to block hashes.</summary>
    public void Wanted(CloneDiskWantMessage wanted)
    {
        if (!_cancelled.IsCancellationRequested) _wanted.Add(wanted);
    }

    public void Dispose()
    {
        _cancelled.Cancel();
        _state.Dispose();
        foreach (SnapshotDisk? disk in _disks) disk?.EndSnapshot();
    }

    private string? Stream()
    {
        try
        {
            byte[] configuration = new byte[16];
            System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(configuration, _configuration);
            var state = new ChunkedBuffer();
            _state.Save(state);
            Send(new CloneBeginMessage(configuration, (ulong)state.Length, [.. _disks.Select(d => (ulong)(d?.SectorCount ?? 0))]));
            for (int n = 0; n < _disks.Length; n++)
            {
                if (_disks[n] is { } disk) StreamDisk(n, disk);
            }
            ulong offset = 0;
            foreach (ReadOnlyMemory<byte> bytes in state.Pieces(StateChunkBytes))
            {
                Send(new CloneStateMessage(offset, bytes));
                offset += (ulong)bytes.Length;
            }
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

    private void StreamDisk(int drive, SnapshotDisk disk)
    {
        byte[] hashes = new byte[8 * HashesPerMessage];
        for (long first = 0; first < disk.BlockCount; first += HashesPerMessage)
        {
            int count = (int)Math.Min(HashesPerMessage, disk.BlockCount - first);
            for (int n = 0; n < count; n++) BitConverter.TryWriteBytes(hashes.AsSpan(8 * n), BlockHash(disk.ReadSnapshot(first + n)));
            Send(new CloneDiskHashesMessage(drive, (ulong)first, SnapshotDisk.BlockBytes, hashes.AsSpan(0, 8 * count).ToArray()));
            if (!_wanted.TryTake(out CloneDiskWantMessage? wanted, AnswerMs, _cancelled.Token)) throw new IOException("the candidate does not answer to disk block hashes");
            foreach (ulong block in wanted.Blocks)
            {
                if (wanted.Disk != drive || (long)block < first || (long)block >= first + count) throw new IOException("the candidate asks for disk blocks that were not offered");
                Send(new CloneDiskBlocksMessage(drive, block, disk.ReadSnapshot((long)block)));
            }
        }
    }

    public static ulong BlockHash(ReadOnlySpan<byte> block) => XxHash3.HashToUInt64(block);

    private void Send(Message message)
    {
        _cancelled.Token.ThrowIfCancellationRequested();
        if (!_link.SendInTurn(message)) throw new OperationCanceledException();
    }
}
