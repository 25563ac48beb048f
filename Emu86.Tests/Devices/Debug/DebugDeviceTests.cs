// Debug ports and the firmware configuration device.
using System.Buffers.Binary;
using System.Text;
using Emu86.Devices.Debug;

namespace Emu86.Tests.Devices.Debug;

public sealed class DebugDeviceTests
{
    private readonly FwCfg _config = new(64 << 20, 1);

    private byte[] Item(ushort key, int bytes)
    {
        _config.WritePort(0, 2, key);
        return [.. Enumerable.Range(0, bytes).Select(_ => (byte)_config.ReadPort(1, 1))];
    }

    [Fact]
    public void A_debug_port_prints_bytes_and_reads_as_present()
    {
        var log = new ByteLog();
        var port = new DebugPort(log);
        foreach (byte b in "hi"u8) port.WritePort(0, 1, b);
        Assert.Equal("hi"u8.ToArray(), log.Bytes);
        Assert.Equal(0xe9u, port.ReadPort(0, 1));
    }

    [Fact]
    public void Debug_exit_hands_over_the_value_at_any_width()
    {
        var values = new List<uint>();
        var exit = new IsaDebugExit(values.Add);
        exit.WritePort(0, 1, 0x10);
        exit.WritePort(0, 4, 0x12345678);
        Assert.Equal([0x10u, 0x12345678u], values);
    }

    [Fact]
    public void Numbered_items_are_read_byte_by_byte_and_zero_follows()
    {
        Assert.Equal("QEMU\0\0"u8.ToArray(), Item(0x00, 6));
        Assert.Equal([1, 0, 0, 0], Item(0x01, 4));
        Assert.Equal(64ul << 20, BitConverter.ToUInt64(Item(0x03, 8)));
        Assert.Equal(1, BitConverter.ToUInt16(Item(0x05, 2)));
        Assert.Equal([0, 0], Item(0x77, 2));
        _config.AddItem(0x0e, [1, 0]);
        _config.AddItem(0x8003, [5]);
        Assert.Equal([1, 0], Item(0x0e, 2));
        Assert.Equal([5], Item(0xc003, 1));
    }

    [Fact]
    public void The_directory_names_size_and_key_of_every_file()
    {
        _config.AddFile("bootorder", "disk"u8);
        _config.AddFile("etc/e820", new byte[300]);
        byte[] directory = Item(0x19, 4 + (2 * 64));
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32BigEndian(directory));
        Assert.Equal(300u, BinaryPrimitives.ReadUInt32BigEndian(directory.AsSpan(68)));
        Assert.Equal("etc/e820", Encoding.ASCII.GetString(directory, 76, 56).TrimEnd('\0'));
        ushort key = BinaryPrimitives.ReadUInt16BigEndian(directory.AsSpan(8));
        Assert.Equal("disk"u8.ToArray(), Item(key, 4));
    }

    [Fact]
    public void State_is_the_read_position()
    {
        Item(0x00, 2);
        var other = new FwCfg(64 << 20, 1);
        DeviceRig.AssertRoundTrip(_config, other);
        Assert.Equal((byte)'M', (byte)other.ReadPort(1, 1));
        other.Reset();
        Assert.Equal((byte)'Q', (byte)other.ReadPort(1, 1));
    }
}
