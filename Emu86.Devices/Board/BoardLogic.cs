// The board's own logic: reset and power, where device outputs become records, PCI and DMA views of memory.
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;
using Emu86.Cpu.Memory;
using Emu86.Devices.Ide;

namespace Emu86.Devices;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct BoardState
{
    /// <summary>Running hash over all disk writes: drive, address, data.</summary>
    public UInt128 DiskWrites;

    /// <summary>Frames and bytes sent so far: where in its output stream a machine is.</summary>
    public ulong FramesSent, SerialBytesSent;

    public byte ResetRequested;

    /// <summary>0 running, else 1 + <see cref="StopReason"/>.</summary>
    public byte Ended;
}

/// <summary>A request of a drive that the host could not do.</summary>
/// <param name="Drive">0 to 3.</param>
/// <param name="Request">Its number on that drive.</param>
public readonly record struct DiskFailure(int Drive, ulong Request)
{
    /// <summary>The input with which a replay is given the same failure.</summary>
    public InputEvent AsInput() => InputEvent.DiskResult(Drive, Request, BlockResult.IoError, default);
}

internal sealed class BoardLogic : IStateful, IMemoryMap, IDmaMemory, IFramePort, IDiskWriteObserver
{
    private readonly Board _board;
    private readonly IOutputSink _outputs;
    private BoardState _state;

    public BoardLogic(Board board, IOutputSink outputs)
    {
        _board = board;
        _outputs = outputs;
    }

    public string StateName => "board";

    public int StateVersion => 1;

    /// <summary>Not the guest's: what the driver has not taken yet.</summary>
    public List<DiskFailure> DiskFailures { get; } = [];

    public StopReason? Ended => _state.Ended == 0 ? null : (StopReason)(_state.Ended - 1);

    private PhysicalMemory Memory => _board.Memory;

    /// <summary>Takes effect at the next boundary.</summary>
    public void RequestReset()
    {
        _state.ResetRequested = 1;
        _board.Processor.RequestExit();
    }

    public bool TakeReset()
    {
        bool asked = _state.ResetRequested != 0;
        _state.ResetRequested = 0;
        return asked;
    }

    public void PowerOff()
    {
        Emit(OutputKind.PowerOff, 0, 0);
        End(StopReason.PoweredOff);
    }

    public void End(StopReason reason)
    {
        _state.Ended = (byte)(1 + (int)reason);
        _board.Processor.RequestExit();
    }

    /// <summary>isa-debug-exit.</summary>
    public void Exit(uint value)
    {
        Emit(OutputKind.GuestExit, 0, value);
        End(StopReason.Ended);
    }

    /// <summary>A byte for people: POST codes.</summary>
    public void PostCode(byte value) => Emit(OutputKind.DebugByte, 0x80, value);

    /// <summary>Where a serial port's bytes go.</summary>
    public IBytePort Serial(int unit) => new ByteOut(this, OutputKind.SerialByte, unit);

    /// <summary>Where a debug port's bytes go.</summary>
    public IBytePort Debug(int port) => new ByteOut(this, OutputKind.DebugByte, port);

    public void Send(ReadOnlySpan<byte> frame)
    {
        _state.FramesSent++;
        Emit(OutputKind.Frame, 0, 0, frame.ToArray());
    }

    public void Written(int drive, long lba, ReadOnlySpan<byte> data)
    {
        var hash = new XxHash128();
        Span<byte> head = stackalloc byte[32];
        BinaryPrimitives.WriteUInt128LittleEndian(head, _state.DiskWrites);
        BinaryPrimitives.WriteInt64LittleEndian(head[16..], drive);
        BinaryPrimitives.WriteInt64LittleEndian(head[24..], lba);
        hash.Append(head);
        hash.Append(data);
        _state.DiskWrites = hash.GetCurrentHashAsUInt128();
    }

    public void Failed(int drive, ulong request)
    {
        DiskFailures.Add(new DiskFailure(drive, request));
        _board.Processor.RequestExit();
    }

    public void Read(uint physical, Span<byte> destination) => Memory.Read(physical, destination);

    public void Write(uint physical, ReadOnlySpan<byte> source) => Memory.Write(physical, source);

    public bool IsFree(uint physical, uint size)
    {
        if ((physical & 0xfff) != 0 || (size & 0xfff) != 0) return false;
        for (uint page = physical >> 12; page <= (physical + size - 1) >> 12; page++)
        {
            if (page < Memory.RamBytes >> 12 || !Memory.IsUnclaimed(page)) return false;
        }
        return true;
    }

    public void Map(uint physical, uint size, IMemoryWindow window) => Memory.MapWindow(physical, size, window);

    public void Unmap(uint physical, uint size, IMemoryWindow window) => Memory.UnmapWindow(physical, size);

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<BoardState>();

    private void Emit(OutputKind kind, int unit, ulong value, ReadOnlyMemory<byte> data = default) =>
        _outputs.Emit(new Output(kind, new Position(_board.InstructionCount, _board.Clock.NowNs), unit, value, data));

    private sealed class ByteOut(BoardLogic logic, OutputKind kind, int unit) : IBytePort
    {
        public void Put(byte value)
        {
            if (kind == OutputKind.SerialByte) logic._state.SerialBytesSent++;
            logic.Emit(kind, unit, value);
        }
    }
}
