// What device tests stand on: a clock that the test moves, and doubles of the host's side.
using Emu86.Chipset;
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Tests.Devices;

/// <summary>Virtual time in steps of 10 ns (one instruction at the default rate).</summary>
internal sealed class DeviceRig : IInstructionCounter
{
    public DeviceRig() => Clock = new(this);

    public ulong InstructionCount { get; private set; }

    public Clock Clock { get; }

    public EventQueue Events { get; } = new();

    /// <summary>Fires everything that is due within the next <paramref name="ns"/> nanoseconds, each at its time.</summary>
    public void Advance(ulong ns)
    {
        ulong end = Clock.NowNs + ns;
        while (Events.NextDueNs <= end)
        {
            InstructionCount = Math.Max(InstructionCount, Clock.CountAt(Events.NextDueNs));
            Events.FireDue(Clock.NowNs);
        }
        InstructionCount = Math.Max(InstructionCount, Clock.CountAt(end));
    }

    /// <summary>Moves this rig to where <paramref name="other"/> is: position, clock and pending events.</summary>
    public void Follow(DeviceRig other)
    {
        InstructionCount = other.InstructionCount;
        StateOf.Load(Clock, StateOf.Save(other.Clock));
        StateOf.Load(Events, StateOf.Save(other.Events));
    }

    /// <summary>Save, load into another unit of the same kind, save again: the same bytes.</summary>
    public static void AssertRoundTrip(IStateful used, IStateful fresh)
    {
        Assert.NotEqual(StateOf.Save(used), StateOf.Save(fresh));
        StateOf.AssertRoundTrip(used, fresh);
    }
}

internal sealed class IrqProbe : IIrqSink
{
    public bool Level { get; private set; }

    public int RisingEdges { get; private set; }

    public IrqLine Line => new(this, 0);

    public void SetInput(int input, bool level)
    {
        if (level && !Level) RisingEdges++;
        Level = level;
    }
}

internal sealed class FakeMemory(int bytes) : IDmaMemory
{
    public byte[] Bytes { get; } = new byte[bytes];

    public void Read(uint physical, Span<byte> destination)
    {
        destination.Fill(0xff);
        if (physical < Bytes.Length) Bytes.AsSpan((int)physical, Math.Min(destination.Length, Bytes.Length - (int)physical)).CopyTo(destination);
    }

    public void Write(uint physical, ReadOnlySpan<byte> source)
    {
        if (physical < Bytes.Length) source[..Math.Min(source.Length, Bytes.Length - (int)physical)].CopyTo(Bytes.AsSpan((int)physical));
    }
}

internal sealed class FakeStore(int sectors) : IBlockStore
{
    public byte[] Bytes { get; } = Enumerable.Range(0, sectors * 512).Select(i => (byte)((i / 512 * 7) + i)).ToArray();

    public BlockResult ReadResult { get; set; }

    public BlockResult WriteResult { get; set; }

    public BlockResult FlushResult { get; set; }

    public int Flushes { get; private set; }

    public long SectorCount => sectors;

    public bool IsReadOnly { get; set; }

    public ReadOnlySpan<byte> Sector(long lba) => Bytes.AsSpan((int)lba * 512, 512);

    public BlockResult Read(long lba, Span<byte> destination)
    {
        Bytes.AsSpan((int)lba * 512, destination.Length).CopyTo(destination);
        return ReadResult;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        if (WriteResult == BlockResult.Ok) source.CopyTo(Bytes.AsSpan((int)lba * 512));
        return WriteResult;
    }

    public BlockResult Flush()
    {
        Flushes++;
        return FlushResult;
    }
}

internal sealed class ByteLog : IBytePort
{
    public List<byte> Bytes { get; } = [];

    public void Put(byte value) => Bytes.Add(value);
}

internal sealed class FrameLog : IFramePort
{
    public List<byte[]> Frames { get; } = [];

    public void Send(ReadOnlySpan<byte> frame) => Frames.Add(frame.ToArray());
}
