// A machine with the chaos guest, and what determinism tests do with it.
using System.Buffers;
using System.IO.Hashing;
using Emu86.Devices;

namespace Emu86.Tests.Determinism;

/// <summary>A disk in memory.</summary>
internal sealed class MemoryDisk(byte[] bytes) : IBlockStore
{
    public byte[] Bytes { get; } = bytes;

    public long SectorCount => Bytes.Length / 512;

    public bool IsReadOnly => false;

    public static MemoryDisk WithPattern(int sectors)
    {
        byte[] bytes = new byte[sectors * 512];
        for (int n = 0; n < bytes.Length; n++) bytes[n] = (byte)(n * 7 + (n >> 9));
        return new MemoryDisk(bytes);
    }

    public BlockResult Read(long lba, Span<byte> destination)
    {
        Bytes.AsSpan((int)lba * 512, destination.Length).CopyTo(destination);
        return BlockResult.Ok;
    }

    public BlockResult Write(long lba, ReadOnlySpan<byte> source)
    {
        source.CopyTo(Bytes.AsSpan((int)lba * 512));
        return BlockResult.Ok;
    }

    public BlockResult Flush() => BlockResult.Ok;
}

/// <summary>All outputs with their positions, as text.</summary>
internal sealed class OutputList : IOutputSink
{
    public List<string> Lines { get; } = [];

    public void Emit(Output output) =>
        Lines.Add($"{output.Position} {output.Kind} {output.Unit} {output.Value:x} {output.Data.Length}:{XxHash3.HashToUInt64(output.Data.Span):x16}");
}

/// <summary>A machine under test. <see cref="Move"/> puts its state into a new machine.</summary>
internal sealed class ChaosWorld : IDisposable
{
    private const int Sectors = 256;

    public ChaosWorld()
    {
        Machine = New();
    }

    public Machine Machine { get; private set; }

    public OutputList Outputs { get; } = new();

    public MemoryDisk Disk { get; } = MemoryDisk.WithPattern(Sectors);

    public Position Position => Machine.Position;

    /// <summary>Goes on in another machine that is restored from a snapshot; saving that one gives the same bytes.</summary>
    public void Move()
    {
        byte[] saved = Save(Machine);
        Machine.Dispose();
        Machine = New();
        Machine.Restore(new ReadOnlySequence<byte>(saved));
        Assert.Equal(saved, Save(Machine));
    }

    /// <summary>No TLB content is state.</summary>
    public void FlushTlb() => Machine.Board.Processor.Mmu.FlushAll();

    /// <summary>To the first boundary with a count, whatever is halted in between.</summary>
    public void RunTo(ulong count) => Assert.Equal(StopReason.Limit, Machine.RunUntil(new Position(count, 0)));

    /// <summary>To a position that another run was at.</summary>
    public void RunTo(Position position)
    {
        StopReason reason = Machine.RunUntil(position);
        Assert.True(Machine.Position == position, $"asked for {position}, at {Machine.Position} ({reason})");
    }

    public static byte[] Save(Machine machine)
    {
        var buffer = new ArrayBufferWriter<byte>(1 << 20);
        machine.Save(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Fails with the units that differ, and with the guest's own complaint.</summary>
    public void AssertEqualTo(ChaosWorld other)
    {
        Assert.Equal(other.Position, Position);
        if (Machine.StateHash() != other.Machine.StateHash())
        {
            IEnumerable<string> different = Machine.StateHashes().Zip(other.Machine.StateHashes()).Where(p => p.First.Hash != p.Second.Hash).Select(p => p.First.Unit);
            Assert.Fail($"at {Position} these units differ: {string.Join(", ", different)}");
        }
        Assert.Equal(other.Outputs.Lines, Outputs.Lines);
        Assert.Equal(other.Disk.Bytes, Disk.Bytes);
    }

    public void AssertGuestIsWell() => Assert.Equal(0u, Word(ChaosGuest.UnexpectedAt));

    /// <summary>How often the guest saw an interrupt line (or <see cref="ChaosGuest.StepCounter"/>).</summary>
    public uint Counter(int line) => Word(ChaosGuest.CountersAt + (uint)line * 4);

    public void Dispose() => Machine.Dispose();

    private uint Word(uint address)
    {
        Span<byte> bytes = stackalloc byte[4];
        Machine.Board.Memory.Read(address, bytes);
        return BitConverter.ToUInt32(bytes);
    }

    private Machine New() => new(ChaosGuest.Config(Sectors), [Disk, null, null, null], Outputs);
}
