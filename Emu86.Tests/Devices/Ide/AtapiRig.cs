// A channel with a CD-ROM drive, driven through its ports.
using Emu86.Devices;
using Emu86.Devices.Ide;

namespace Emu86.Tests.Devices.Ide;

internal sealed class AtapiRig : IMediumStore, IDiskWriteObserver
{
    public const int Sectors = 1000;

    public AtapiRig(bool empty = false)
    {
        Content = new byte[Sectors * Medium.SectorBytes];
        for (int i = 0; i < Content.Length; i++) Content[i] = (byte)((i / 2048 * 7) + (i * 13 / 5));
        Drive = new(2, this, empty ? null : new Medium(Content.Length, 1, ""), Rig.Clock, Rig.Events, this);
        BusMaster = new(1, Memory);
        Channel = new(1, Drive, null, Irq.Line, BusMaster);
    }

    public DeviceRig Rig { get; } = new();

    public FakeMemory Memory { get; } = new(0x400000);

    public IrqProbe Irq { get; } = new();

    public byte[] Content { get; }

    public AtapiDrive Drive { get; }

    public BusMasterChannel BusMaster { get; }

    public IdeChannel Channel { get; }

    public BlockResult OpenResult { get; set; }

    public BlockResult ReadResult { get; set; }

    public List<ulong> Failures { get; } = [];

    public byte Status => In(7);

    public byte Error => In(1);

    /// <summary>With the unit attention of power-on out of the way.</summary>
    public static AtapiRig Ready(bool empty = false)
    {
        var rig = new AtapiRig(empty);
        rig.RequestSense();
        return rig;
    }

    public BlockResult Open(Medium medium) => OpenResult;

    public BlockResult Read(Medium medium, long sector, Span<byte> destination)
    {
        Content.AsSpan((int)sector * Medium.SectorBytes, destination.Length).CopyTo(destination);
        return ReadResult;
    }

    public void Written(int drive, long lba, ReadOnlySpan<byte> data) => throw new InvalidOperationException("a CD was written");

    void IDiskWriteObserver.Failed(int drive, ulong request) => Failures.Add(request);

    public byte In(int register) => (byte)Channel.ReadPort(register, 1);

    public void Out(int register, byte value) => Channel.WritePort(register, 1, value);

    public void Wait() => Rig.Advance(1_000_000_000);

    /// <summary>Sends a packet; what follows is the data phase, or the end.</summary>
    public void Packet(int limit, byte features, params byte[] packet)
    {
        Out(6, 0xa0);
        Out(1, features);
        Out(4, (byte)limit);
        Out(5, (byte)(limit >> 8));
        Out(7, 0xa0);
        Wait();
        Assert.Equal(0x58u, Channel.ControlPort.ReadPort(0, 1));
        Assert.Equal(1, In(2));
        byte[] whole = new byte[12];
        packet.CopyTo(whole, 0);
        for (int i = 0; i < 12; i += 2) Channel.WritePort(0, 2, (uint)(whole[i] | (whole[i + 1] << 8)));
        Wait();
    }

    /// <summary>A command by PIO: all its data. The status is the last one.</summary>
    public byte[] Pio(params byte[] packet) => PioLimited(0xfffe, out _, packet);

    public byte[] PioLimited(int limit, out List<int> blocks, params byte[] packet)
    {
        Packet(limit, 0, packet);
        blocks = [];
        List<byte> data = [];
        while ((Status & 0x88) == 0x08)
        {
            Assert.Equal(2, In(2));
            int bytes = In(4) | (In(5) << 8);
            blocks.Add(bytes);
            for (int i = 0; i < bytes; i += 2)
            {
                uint word = Channel.ReadPort(0, 2);
                data.Add((byte)word);
                if (i + 1 < bytes) data.Add((byte)(word >> 8));
            }
            Wait();
        }
        Assert.Equal(3, In(2));
        return [.. data];
    }

    /// <summary>Key, code and qualifier.</summary>
    public (int Key, int Code, int Qualifier) RequestSense()
    {
        byte[] sense = Pio(0x03, 0, 0, 0, 18);
        return (sense[2], sense[12], sense[13]);
    }

    /// <summary>The command fails with this sense.</summary>
    public void Fails((int Key, int Code, int Qualifier) sense, params byte[] packet)
    {
        Assert.Empty(Pio(packet));
        Assert.Equal(0x51, Status);
        Assert.Equal((sense.Key << 4) | 4, Error);
        Assert.Equal(sense, RequestSense());
    }

    /// <summary>Puts a descriptor table at 1000h; the last region ends it.</summary>
    public void Prd(params (uint Address, int Bytes)[] regions)
    {
        for (int i = 0; i < regions.Length; i++)
        {
            Span<byte> entry = Memory.Bytes.AsSpan(0x1000 + (8 * i), 8);
            BitConverter.TryWriteBytes(entry, regions[i].Address);
            BitConverter.TryWriteBytes(entry[4..], (ushort)regions[i].Bytes);
            entry[7] = i == regions.Length - 1 ? (byte)0x80 : (byte)0;
        }
        BusMaster.WritePort(4, 4, 0x1000);
    }
}
