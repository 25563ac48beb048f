// Selection, reset and interrupts of a cable (ATA/ATAPI-6, 7 and 9).
namespace Emu86.Tests.Devices.Ide;

public sealed class IdeChannelTests
{
    [Fact]
    public void An_empty_cable_reads_with_dd7_pulled_down()
    {
        var ata = new AtaRig(drive0: false);
        Assert.Equal(0x7f, ata.Status);
        ata.Out(2, 0x55);
        Assert.Equal(0x7f, ata.In(2));
        ata.Out(7, 0xec);
        ata.Wait();
        Assert.Equal(0, ata.Irq.RisingEdges);
    }

    [Fact]
    public void An_absent_device_1_is_never_ready()
    {
        var ata = new AtaRig();
        ata.Out(6, 0xb0);
        Assert.Equal(0x00, ata.Status);
        ata.Out(7, 0xec);
        ata.Wait();
        Assert.Equal(0x00, ata.AlternateStatus);
        ata.Out(6, 0xa0);
        Assert.Equal(AtaRig.Idle, ata.Status);
    }

    [Fact]
    public void Only_the_selected_device_executes()
    {
        var ata = new AtaRig(drive1: true);
        ata.Lba28(0x20, 3, 1, 0xf0);
        ata.Wait();
        Assert.Equal(AtaRig.DataRequest, ata.Status);
        ata.ReadData(512);
        ata.Out(6, 0xe0);
        Assert.Equal(AtaRig.Idle, ata.Status);
        ata.Lba28(0x30, 9, 1, 0xf0);
        ata.WriteData(new byte[512]);
        ata.Wait();
        Assert.Equal([(1, 9L, 512)], ata.Writes);
    }

    [Fact]
    public void Software_reset_ends_commands_and_leaves_the_signature_on_both()
    {
        var ata = new AtaRig(drive1: true);
        ata.Lba28(0x20, 3, 2);
        ata.Rig.Advance(100);
        ata.Control(0x04);
        Assert.Equal(0x80, ata.AlternateStatus);
        ata.Wait();
        Assert.Equal(0x80, ata.AlternateStatus);
        ata.Control(0x00);
        ata.Wait();
        foreach (byte device in new byte[] { 0xa0, 0xb0 })
        {
            ata.Out(6, device);
            Assert.Equal(AtaRig.Idle, ata.Status);
            Assert.Equal([1, 1, 1, 0, 0], Enumerable.Range(1, 5).Select(r => (int)ata.In(r)));
        }
        Assert.Equal(0, ata.Irq.RisingEdges);
    }

    [Fact]
    public void Diagnostic_tests_both_and_device_0_interrupts()
    {
        var ata = new AtaRig(drive1: true);
        ata.Out(6, 0xb0);
        ata.Out(7, 0x90);
        Assert.True(ata.Irq.Level);
        Assert.Equal(0x01, ata.Error);
        Assert.Equal(AtaRig.Idle, ata.Status);
        ata.Out(6, 0xb0);
        Assert.False(ata.Irq.Level);
        Assert.Equal(0x01, ata.Error);
    }

    [Fact]
    public void Nien_holds_the_line_and_alternate_status_keeps_the_interrupt()
    {
        var ata = new AtaRig();
        ata.Control(0x02);
        ata.Lba28(0xe7, 0, 0);
        ata.Wait();
        Assert.False(ata.Irq.Level);
        Assert.Equal(AtaRig.Idle, ata.AlternateStatus);
        ata.Control(0x00);
        Assert.True(ata.Irq.Level);
        Assert.Equal(AtaRig.Idle, ata.Status);
        Assert.False(ata.Irq.Level);
    }

    [Fact]
    public void A_busy_device_ignores_its_registers()
    {
        var ata = new AtaRig();
        ata.Lba28(0x20, 3, 1);
        ata.Out(3, 9);
        ata.Out(7, 0xe7);
        ata.Wait();
        Assert.Equal(AtaRig.DataRequest, ata.Status);
        Assert.Equal(ata.Store.Sector(3).ToArray(), ata.ReadData(512));
        Assert.Equal(0, ata.Store.Flushes);
    }

    [Fact]
    public void State_saves_and_loads_in_the_middle_of_a_transfer()
    {
        var ata = new AtaRig(drive1: true);
        ata.Lba28(0x20, 3, 2);
        ata.Wait();
        byte[] head = ata.ReadData(100);
        ata.Prd(0x1000, (0x2000, 512));
        ata.Control(0x02);
        var other = new AtaRig(drive1: true);
        DeviceRig.AssertRoundTrip(ata.Drive0!, other.Drive0!);
        DeviceRig.AssertRoundTrip(ata.Channel, other.Channel);
        DeviceRig.AssertRoundTrip(ata.BusMaster, other.BusMaster);
        Assert.Equal(ata.Store.Sector(3).ToArray(), head.Concat(other.ReadData(412)));
        other.Wait();
        Assert.Equal(ata.Store.Sector(4).ToArray(), other.ReadData(512));
    }
}
