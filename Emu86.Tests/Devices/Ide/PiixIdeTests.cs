// The PIIX3's IDE function (82371SB datasheet, 2.3 and 2.7).
using Emu86.Devices.Ide;

namespace Emu86.Tests.Devices.Ide;

public sealed class PiixIdeTests
{
    private readonly DeviceRig _rig = new();
    private readonly FakeMemory _memory = new(0x10000);
    private readonly IrqProbe _irq14 = new();
    private readonly IrqProbe _irq15 = new();

    private PiixIde Build()
    {
        var identity = new AtaIdentity("EMU86 DISK", "0003", "1.0");
        return new(_memory, _irq14.Line, _irq15.Line, [null, null, null, new AtaDrive(3, new FakeStore(100), identity, _rig.Clock, _rig.Events, null)]);
    }

    [Fact]
    public void The_function_is_a_legacy_bus_master_ide_controller()
    {
        PiixIde ide = Build();
        Assert.Equal(0x70108086u, ide.Function.ReadConfig(0, 4));
        Assert.Equal(0x010180u, ide.Function.ReadConfig(8, 4) >> 8);
        ide.Function.WriteConfig(0x20, 4, 0xffffffff);
        Assert.Equal(0xfffffff1u, ide.Function.ReadConfig(0x20, 4));
    }

    [Fact]
    public void A_channel_that_is_not_decoded_floats()
    {
        PiixIde ide = Build();
        Assert.Equal(0x7fu, ide.Primary.ReadPort(7, 1));
        ide.Function.WriteConfig(0x40, 2, 0);
        Assert.Equal(0xffu, ide.Primary.ReadPort(7, 1));
        Assert.Equal(0xffu, ide.Primary.ControlPort.ReadPort(0, 1));
    }

    [Fact]
    public void The_secondary_bus_master_is_eight_ports_further()
    {
        PiixIde ide = Build();
        ide.WritePort(12, 4, 0x1000);
        Assert.Equal(0x1000u, ide.ReadPort(12, 4));
        Assert.Equal(0u, ide.ReadPort(4, 4));
        new byte[] { 0, 0x20, 0, 0, 0, 2, 0, 0x80 }.CopyTo(_memory.Bytes, 0x1000);
        ide.Secondary.WritePort(6, 1, 0xf0);
        ide.Secondary.WritePort(2, 1, 1);
        ide.Secondary.WritePort(3, 1, 0);
        ide.Secondary.WritePort(7, 1, 0xc8);
        ide.WritePort(8, 1, 9);
        _rig.Advance(1_000_000);
        Assert.True(_irq15.Level);
        Assert.Equal(4u, ide.ReadPort(10, 1));
        Assert.Equal(new FakeStore(1).Bytes, _memory.Bytes[0x2000..0x2200]);
    }

    [Fact]
    public void Reset_and_saved_state_cover_all_parts()
    {
        PiixIde ide = Build();
        byte[][] powerOn = [.. ide.Units.Select(StateOf.Save)];
        ide.Function.WriteConfig(0x40, 2, 0xa307);
        ide.WritePort(4, 4, 0x5000);
        ide.Secondary.WritePort(6, 1, 0xf0);
        ide.Secondary.WritePort(7, 1, 0xec);
        _rig.Advance(1_000_000);
        Assert.True(_irq15.Level);
        ide.Reset();
        Assert.False(_irq15.Level);
        Assert.Equal(powerOn, ide.Units.Select(StateOf.Save));
    }
}
