// One IDE channel with up to two disks, driven through its ports.
using Emu86.Devices.Ide;

namespace Emu86.Tests.Devices.Ide;

internal sealed class AtaRig : IDiskWriteObserver
{
    public const byte Idle = 0x50;
    public const byte DataRequest = 0x58;
    public const byte Failed = 0x51;

    public AtaRig(bool drive0 = true, bool drive1 = false, int sectors = 70000)
    {
        Store = new(sectors);
        var identity = new AtaIdentity("EMU86 DISK", "0001", "1.0");
        Drive0 = drive0 ? new(0, Store, identity, Rig.Clock, Rig.Events, this) : null;
        Drive1 = drive1 ? new(1, new FakeStore(100), identity, Rig.Clock, Rig.Events, this) : null;
        BusMaster = new(0, Memory);
        Channel = new(0, Drive0, Drive1, Irq.Line, BusMaster);
    }

    public DeviceRig Rig { get; } = new();

    public FakeStore Store { get; }

    public FakeMemory Memory { get; } = new(0x400000);

    public IrqProbe Irq { get; } = new();

    public AtaDrive? Drive0 { get; }

    public AtaDrive? Drive1 { get; }

    public BusMasterChannel BusMaster { get; }

    public IdeChannel Channel { get; }

    public List<(int Drive, long Lba, int Bytes)> Writes { get; } = [];

    /// <summary>Without clearing the interrupt.</summary>
    public byte AlternateStatus => (byte)Channel.ControlPort.ReadPort(0, 1);

    public byte Status => In(7);

    public byte Error => In(1);

    public void Written(int drive, long lba, ReadOnlySpan<byte> data) => Writes.Add((drive, lba, data.Length));

    void IDiskWriteObserver.Failed(int drive, ulong request) => Failures.Add(request);

    /// <summary>Numbers of the requests that the store failed.</summary>
    public List<ulong> Failures { get; } = [];

    public byte In(int register) => (byte)Channel.ReadPort(register, 1);

    public void Out(int register, byte value) => Channel.WritePort(register, 1, value);

    public void Control(byte value) => Channel.ControlPort.WritePort(0, 1, value);

    public void Wait() => Rig.Advance(1_000_000_000);

    public void Lba28(byte command, int lba, int count, byte device = 0xe0)
    {
        Out(6, (byte)(device | (lba >> 24)));
        Out(2, (byte)count);
        Out(3, (byte)lba);
        Out(4, (byte)(lba >> 8));
        Out(5, (byte)(lba >> 16));
        Out(7, command);
    }

    public void Lba48(byte command, long lba, int count)
    {
        Out(6, 0xe0);
        Out(2, (byte)(count >> 8));
        Out(3, (byte)(lba >> 24));
        Out(4, (byte)(lba >> 32));
        Out(5, (byte)(lba >> 40));
        Out(2, (byte)count);
        Out(3, (byte)lba);
        Out(4, (byte)(lba >> 8));
        Out(5, (byte)(lba >> 16));
        Out(7, command);
    }

    public byte[] ReadData(int bytes, int size = 2)
    {
        byte[] data = new byte[bytes];
        for (int i = 0; i < bytes; i += size)
        {
            uint value = Channel.ReadPort(0, size);
            for (int j = 0; j < size; j++) data[i + j] = (byte)(value >> (8 * j));
        }
        return data;
    }

    public void WriteData(ReadOnlySpan<byte> data, int size = 2)
    {
        for (int i = 0; i < data.Length; i += size)
        {
            uint value = 0;
            for (int j = 0; j < size; j++) value |= (uint)data[i + j] << (8 * j);
            Channel.WritePort(0, size, value);
        }
    }

    /// <summary>Puts a descriptor table at <paramref name="table"/>; the last region ends it.</summary>
    public void Prd(uint table, params (uint Address, int Bytes)[] regions)
    {
        for (int i = 0; i < regions.Length; i++)
        {
            Span<byte> entry = Memory.Bytes.AsSpan((int)table + (8 * i), 8);
            BitConverter.TryWriteBytes(entry, regions[i].Address);
            BitConverter.TryWriteBytes(entry[4..], (ushort)regions[i].Bytes);
            entry[7] = i == regions.Length - 1 ? (byte)0x80 : (byte)0;
        }
        BusMaster.WritePort(4, 4, table);
    }
}
