// A drive whose one image both hosts reach (docs/ft-protocol.md, "Shared disks"). The live side reads and writes it; what it read goes
// over the log. The other side is told what was read, and its writes go nowhere but into its outputs.
using Emu86.Devices;

namespace Emu86.Ft.Run.Pair;

/// <summary>What a live side has read of a shared disk, for the log.</summary>
internal readonly record struct SharedRead(int Drive, long Lba, byte[] Data)
{
    /// <summary>The log's record. A failed request has the request's number in its place, and no data.</summary>
    public InputEvent AsInput() => InputEvent.DiskResult(Drive, (ulong)Lba, BlockResult.Ok, Data);

    /// <summary>Whether an input is such a record.</summary>
    public static bool Is(InputEvent input) => input.Kind == InputKind.DiskResult && input.Value1 == (ulong)BlockResult.Ok && input.Data.Length > 0;
}

/// <param name="drive">Its number on the board.</param>
/// <param name="sectors">Its size.</param>
/// <param name="isReadOnly">The guest may not write it.</param>
/// <param name="outputs">Where writes go, as outputs of the guest.</param>
internal sealed class SharedDisk(int drive, long sectors, bool isReadOnly, IOutputSink outputs) : IBlockStore
{
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

    /// <summary>What is below while live; for the reason of a failure.</summary>
    public IBlockStore? Image => _image;

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
        _image = image;
        _given.Clear();
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
        if (_image is null) return ReadGiven(lba, destination);
        lock (_lock)
        {
            if (_image.Read(lba, destination) is var result and not BlockResult.Ok) return result;
            for (int n = 0; _held.Count > 0 && n < destination.Length / 512; n++)
            {
                if (_held.TryGetValue(lba + n, out (byte[] Data, int At, ulong Number) held)) held.Data.AsSpan(held.At, 512).CopyTo(destination[(512 * n)..]);
            }
        }
        _reads.Add(new SharedRead(drive, lba, destination.ToArray()));
        return BlockResult.Ok;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        if (isReadOnly) return BlockResult.ReadOnly;
        byte[] data = source.ToArray();
        if (_image is not null) Hold(lba, data);
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
