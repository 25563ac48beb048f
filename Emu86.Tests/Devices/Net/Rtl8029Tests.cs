// The RTL8029's PCI side and page 3 (RTL8029AS datasheet).
using Emu86.Devices.Net;

namespace Emu86.Tests.Devices.Net;

public sealed class Rtl8029Tests
{
    private readonly Rtl8029 _card = Build();

    private static Rtl8029 Build()
    {
        var rig = new DeviceRig();
        return new("net0", [0x52, 0x54, 0, 0, 0, 1], rig.Clock, rig.Events, new FrameLog());
    }

    private byte In(int port) => (byte)_card.ReadPort(port, 1);

    private void Out(int port, int value) => _card.WritePort(port, 1, (uint)value);

    [Fact]
    public void It_is_an_ethernet_controller_with_32_ports_and_inta()
    {
        Assert.Equal(0x802910ecu, _card.Function.ReadConfig(0, 4));
        Assert.Equal(0x020000u, _card.Function.ReadConfig(8, 4) >> 8);
        Assert.Equal(1u, _card.Function.ReadConfig(0x3d, 1));
        _card.Function.WriteConfig(0x10, 4, 0xffffffff);
        Assert.Equal(0xffffffe1u, _card.Function.ReadConfig(0x10, 4));
    }

    [Fact]
    public void A_driver_finds_an_8390_and_its_address()
    {
        Out(0x00, 0x61);
        Out(0x0d, 0xff);
        Out(0x00, 0x20);
        In(0x0d);
        Assert.Equal(0, In(0x0d));
        Out(0x1f, In(0x1f));
        Assert.NotEqual(0, In(0x07) & 0x80);
        foreach ((int port, int value) in new[] { (0, 0x21), (0xe, 0x49), (0xa, 32), (0xb, 0), (8, 0), (9, 0), (0, 0x0a) }) Out(port, value);
        byte[] prom = [.. Enumerable.Range(0, 16).Select(_ => In(0x10))];
        Assert.Equal([0x52, 0x54, 0, 0, 0, 1], prom[..6]);
        Assert.Equal([0x57, 0x57], prom[14..]);
        Assert.Equal([(byte)'P', (byte)'C'], [In(0x0a), In(0x0b)]);
    }

    [Fact]
    public void The_data_port_takes_double_words()
    {
        foreach ((int port, int value) in new[] { (0, 0x22), (0xe, 0x49), (0xa, 8), (0xb, 0), (8, 0), (9, 0x40), (0, 0x12) }) Out(port, value);
        _card.WritePort(0x10, 4, 0x44332211);
        _card.WritePort(0x10, 4, 0x88776655);
        Assert.Equal(0x40, In(0x07) & 0x40);
        Out(0x00, 0x0a);
        Assert.Equal(0x44332211u, _card.ReadPort(0x10, 4));
        Assert.Equal(0x6655u, _card.ReadPort(0x10, 2));
        Assert.Equal(0x8877u, _card.ReadPort(0x10, 2));
    }

    [Fact]
    public void Full_duplex_is_written_only_when_unlocked()
    {
        Out(0x00, 0xe0);
        Out(0x06, 0x40);
        Assert.Equal(0, In(0x06));
        Out(0x01, 0xc0);
        Out(0x06, 0x40);
        Assert.Equal(0x40, In(0x06));
        Assert.Equal([0x29, 0x80], [In(0x0e), In(0x0f)]);
        DeviceRig.AssertRoundTrip(_card, Build());
        _card.Reset();
        Out(0x00, 0xe0);
        Assert.Equal(0, In(0x06));
    }
}
