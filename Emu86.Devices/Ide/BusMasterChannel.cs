// One channel of a bus master IDE controller (Programming Interface for Bus Master IDE Controller, revision 1.0).
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Ide;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct BusMasterState
{
    /// <summary>Bit 0 start, bit 3 direction (1: to memory).</summary>
    public byte Command;

    /// <summary>Bit 0 active, 1 error, 2 interrupt, 5 and 6 drives capable of DMA.</summary>
    public byte Status;

    /// <summary>Physical address of the table of physical region descriptors.</summary>
    public uint Table;

    /// <summary>Next descriptor, and what is left of the current region.</summary>
    public uint Descriptor;
    public uint RegionAddress;
    public int RegionBytes;
    public byte LastRegion;
}

/// <summary>How a descriptor table fits a transfer.</summary>
internal enum PrdFit
{
    Enough,

    /// <summary>The controller runs out of memory regions: it stops and the disk is left wanting.</summary>
    TooShort,

    /// <summary>A region crosses a 64 KiB boundary, or the direction is not the command's: the controller reports an error.</summary>
    Invalid,
}

/// <summary>Eight ports of BAR 4: command, status, descriptor table pointer.</summary>
public sealed class BusMasterChannel(int number, IDmaMemory memory) : IPortDevice, IStateful
{
    private const byte Start = 0x01;
    private const byte ToMemoryBit = 0x08;
    private const byte Active = 0x01;
    private const byte ErrorBit = 0x02;
    private const byte InterruptBit = 0x04;
    private const byte CapableBits = 0x60;

    /// <summary>A table does not cross a 64 KiB boundary, so it has no more descriptors than this.</summary>
    private const int DescriptorsMax = 8192;

    private BusMasterState _state;

    public string StateName => $"ide.busmaster{number}";

    public int StateVersion => 1;

    internal bool Started => (_state.Command & Start) != 0 && (_state.Status & Active) != 0;

    /// <summary>Wired by the channel: the start bit went up.</summary>
    internal Action? OnStart { get; set; }

    /// <summary>Wired by the channel: the start bit went down.</summary>
    internal Action? OnStop { get; set; }

    public void Reset() => _state = default;

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<BusMasterState>();

    public uint ReadPort(int offset, int size)
    {
        uint value = 0;
        for (int i = 0; i < size; i++) value |= (uint)ReadByte(offset + i) << (8 * i);
        return value;
    }

    public void WritePort(int offset, int size, uint value)
    {
        for (int i = 0; i < size; i++) WriteByte(offset + i, (byte)(value >> (8 * i)));
    }

    internal void LatchInterrupt() => _state.Status |= InterruptBit;

    /// <summary>Checks that the table takes <paramref name="bytes"/> and goes back to its first descriptor.</summary>
    internal PrdFit Prepare(bool toMemory, long bytes)
    {
        _state.Descriptor = _state.Table;
        _state.RegionBytes = 0;
        _state.LastRegion = 0;
        if (toMemory != ((_state.Command & ToMemoryBit) != 0)) return Stop(PrdFit.Invalid);
        long room = 0;
        for (int i = 0; i < DescriptorsMax && _state.LastRegion == 0 && room < bytes; i++)
        {
            NextRegion();
            if ((_state.RegionAddress & 0xffff) + _state.RegionBytes > 0x10000) return Stop(PrdFit.Invalid);
            room += _state.RegionBytes;
        }
        _state.Descriptor = _state.Table;
        _state.RegionBytes = 0;
        _state.LastRegion = 0;
        return room >= bytes ? PrdFit.Enough : Stop(PrdFit.TooShort);
    }

    internal void ToMemory(ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            int length = Region(data.Length);
            memory.Write(_state.RegionAddress, data[..length]);
            Consume(length);
            data = data[length..];
        }
    }

    internal void FromMemory(Span<byte> data)
    {
        while (data.Length > 0)
        {
            int length = Region(data.Length);
            memory.Read(_state.RegionAddress, data[..length]);
            Consume(length);
            data = data[length..];
        }
    }

    /// <summary>The disk has moved everything. The controller stays active when its table holds more.</summary>
    internal void Complete()
    {
        if (_state.LastRegion != 0 && _state.RegionBytes == 0) _state.Status &= unchecked((byte)~Active);
    }

    private PrdFit Stop(PrdFit why)
    {
        _state.Status &= unchecked((byte)~Active);
        if (why == PrdFit.Invalid) _state.Status |= ErrorBit;
        return why;
    }

    private int Region(int wanted)
    {
        if (_state.RegionBytes == 0) NextRegion();
        return Math.Min(wanted, _state.RegionBytes);
    }

    private void Consume(int bytes)
    {
        _state.RegionAddress += (uint)bytes;
        _state.RegionBytes -= bytes;
    }

    private void NextRegion()
    {
        Span<byte> descriptor = stackalloc byte[8];
        memory.Read(_state.Descriptor, descriptor);
        _state.Descriptor = (_state.Descriptor & 0xffff0000) | ((_state.Descriptor + 8) & 0xffff);
        _state.RegionAddress = BinaryPrimitives.ReadUInt32LittleEndian(descriptor) & ~1u;
        int count = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[4..]) & ~1;
        _state.RegionBytes = count == 0 ? 0x10000 : count;
        _state.LastRegion = (byte)(descriptor[7] >> 7);
    }

    private byte ReadByte(int register) => register switch
    {
        0 => _state.Command,
        2 => _state.Status,
        >= 4 and <= 7 => (byte)(_state.Table >> (8 * (register - 4))),
        _ => 0,
    };

    private void WriteByte(int register, byte value)
    {
        switch (register)
        {
            case 0:
                byte old = _state.Command;
                _state.Command = (byte)(value & (Start | ToMemoryBit));
                if ((value & Start) != 0 && (old & Start) == 0)
                {
                    _state.Status |= Active;
                    OnStart?.Invoke();
                }
                else if ((value & Start) == 0 && (old & Start) != 0)
                {
                    _state.Status &= unchecked((byte)~Active);
                    OnStop?.Invoke();
                }
                break;
            case 2:
                int cleared = value & (ErrorBit | InterruptBit);
                _state.Status = (byte)((_state.Status & ~CapableBits & ~cleared) | (value & CapableBits));
                break;
            case >= 4 and <= 7:
                int shift = 8 * (register - 4);
                _state.Table = ((_state.Table & ~(0xffu << shift)) | ((uint)value << shift)) & ~3u;
                break;
        }
    }
}
