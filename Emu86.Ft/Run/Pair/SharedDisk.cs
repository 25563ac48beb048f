// A drive whose one image both hosts reach (docs/ft-protocol.md, "Shared disks"). The live side reads and writes it; what it read goes
// over the log. The other side is told what was read, and its writes go nowhere but into its outputs.
using Emu86.Devices;

namespace Emu86.Ft.Run.Pair;

/// <summary>What a live side has read of a shared disk, for the log.</summary>
internal readonly record struct SharedRead(int Drive, long Lba, byte[] Data)
{
    /// <summary>A record that says nothing but that a backup has come to its position (--disk-reads backup).</summary>
    public static InputEvent Mark { get; } = InputEvent.DiskResult(0, 0, BlockResult.Ok, default);

    /// <summary>The log's record. A failed request has the request's number in its place, and no data.</summary>
    public InputEvent AsInput() => InputEvent.DiskResult(Drive, (ulong)Lba, BlockResult.Ok, Data);

    /// <summary>Whether an input is such a record, or a mark: nothing that the machine is told.</summary>
    public static bool Is(InputEvent input) => input.Kind == InputKind.DiskResult && input.Value1 == (ulong)BlockResult.Ok;
}

/// <param name="drive">Its number on the board.</param>
/// <param name="sectors">Its size.</param>
/// <param name="isReadOnly">The guest may not write it.</param>
/// <param name="outputs">Where writes go, as outputs of the guest.</param>
internal sealed class SharedDisk(int drive, long sectors, bool isReadOnly, IOutputSink outputs) : IBlockStore
{
    private const int OwnReadMs = 1000, OwnRetryMs = 20;

    private readonly Lock _lock = new();

    // What the guest has written and the image does not hold durably, by sector: the newest write of it.
    private readonly Dictionary<long, (byte[] Data, int At, ulong Number)> _held = [];
    private readonly Queue<SharedRead> _given = new();
    private readonly List<SharedRead> _reads = [];
    private IBlockStore? _image;
    private ulong _writes, _released;

    public long SectorCount => sectors;

    public bool IsReadOnly => isReadOnly;

    /// <summary>A side that follows was asked for something that the live side did not do: this is another execution.</summary>
    public bool HasStrayed { get; private set; }

    /// <summary>What is below; for the reason of a failure. Null on a side that follows and is told what was read.</summary>
    public IBlockStore? Image => _image ?? Own;

    /// <summary>On a side that follows: the image, to read what the log does not have (--disk-reads backup).</summary>
    public IBlockStore? Own { private get; init; }

    /// <summary>See <see cref="SharedDisks.Reading"/>.</summary>
    public (Action Begins, Action Ends)? Reading { private get; set; }

    /// <summary>True when everything that was written is durable in the image. A side that follows does not wait for that: the live one has.</summary>
    public bool MayFlush
    {
        get
        {
            lock (_lock) return _image is null || _held.Count == 0;
        }
    }

    /// <summary>The image is this side's to read and write from now on.</summary>
    public void GoLive(IBlockStore image)
    {
        lock (_lock)
        {
            _image = image;
            _given.Clear();
            // What it kept is adopted.
            _held.Clear();
            (_writes, _released) = (0, 0);
        }
        (Own as IDisposable)?.Dispose();
    }

    /// <summary>What the live side has read, in order.</summary>
    public void Give(SharedRead read) => _given.Enqueue(read);

    /// <summary>What was read since the last call.</summary>
    public SharedRead[] TakeReads()
    {
        SharedRead[] taken = [.. _reads];
        _reads.Clear();
        return taken;
    }

    public BlockResult Read(long lba, Span<byte> destination)
    {
        if (_image is null) return _given.Count == 0 && Own is not null ? ReadOwn(Own, lba, destination) : ReadGiven(lba, destination);
        Reading?.Begins();
        BlockResult result = ReadImage(_image, lba, destination);
        Reading?.Ends();
        if (result == BlockResult.Ok) _reads.Add(new SharedRead(drive, lba, destination.ToArray()));
        return result;
    }

    private BlockResult ReadImage(IBlockStore image, long lba, Span<byte> destination)
    {
        lock (_lock)
        {
            if (image.Read(lba, destination) is var result and not BlockResult.Ok) return result;
            for (int n = 0; _held.Count > 0 && n < destination.Length / 512; n++)
            {
                if (_held.TryGetValue(lba + n, out (byte[] Data, int At, ulong Number) held)) held.Data.AsSpan(held.At, 512).CopyTo(destination[(512 * n)..]);
            }
        }
        return BlockResult.Ok;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        if (isReadOnly) return BlockResult.ReadOnly;
        byte[] data = source.ToArray();
        if (_image is not null || Own is not null) Hold(lba, data);
        outputs.Emit(new Output(OutputKind.DiskWrite, default, drive, (ulong)lba, data));
        return BlockResult.Ok;
    }

    /// <summary>The machine asks only when <see cref="MayFlush"/>.</summary>
    public BlockResult Flush() => BlockResult.Ok;

    /// <summary>A write that this side kept while it followed: the guest's reads see it before the image has it.</summary>
    public void Adopt(long lba, byte[] data) => Hold(lba, data);

    /// <summary>A write may go to the image. They are released in the order in which they were held.</summary>
    /// <returns>Its number, for <see cref="Durable"/>.</returns>
    public ulong Released() => ++_released;

    /// <summary>A write is durable in the image. From any thread.</summary>
    public void Durable(long lba, int bytes, ulong number)
    {
        lock (_lock)
        {
            for (int n = 0; n < bytes / 512; n++)
            {
                if (_held.TryGetValue(lba + n, out (byte[] Data, int At, ulong Number) held) && held.Number == number) _held.Remove(lba + n);
            }
        }
    }

    // The live side could read it, so it is tried again, but not so long that this side would be taken for lost.
    private BlockResult ReadOwn(IBlockStore own, long lba, Span<byte> destination)
    {
        for (long began = Environment.TickCount64; ; Thread.Sleep(OwnRetryMs))
        {
            BlockResult result = ReadImage(own, lba, destination);
            if (result != BlockResult.IoError || Environment.TickCount64 - began > OwnReadMs) return result;
        }
    }

    private BlockResult ReadGiven(long lba, Span<byte> destination)
    {
        if (!_given.TryDequeue(out SharedRead read) || read.Lba != lba || read.Data.Length != destination.Length)
        {
            HasStrayed = true;
            return BlockResult.IoError;
        }
        read.Data.CopyTo(destination);
        return BlockResult.Ok;
    }

    private void Hold(long lba, byte[] data)
    {
        lock (_lock)
        {
            ulong number = ++_writes;
            for (int n = 0; n < data.Length / 512; n++) _held[lba + n] = (data, 512 * n, number);
        }
    }
}
