// Host bridge, ISA bridge with its interrupt router, and power management.
using Emu86.Chipset;

namespace Emu86.Tests.Chipset;

public sealed class BridgeTests
{
    private readonly TestTime _time = new();
    private readonly TestLines _lines = new();

    [Fact]
    public void Pam_registers_announce_their_regions()
    {
        var bridge = new I440fx(64 << 20);
        var seen = new List<ShadowRegion>();
        bridge.ShadowChanged = seen.Add;
        bridge.Pci.WriteConfig(0x59, 1, 0x30);
        bridge.Pci.WriteConfig(0x5a, 1, 0x12);
        Assert.Equal(
            [new(0xf0000, 0x10000, true, true), new(0xc0000, 0x4000, false, true), new(0xc4000, 0x4000, true, false)],
            seen);
        seen.Clear();
        bridge.Reset();
        Assert.Equal(13, seen.Count);
        Assert.All(seen, region => Assert.False(region.ReadRam || region.WriteRam));
    }

    [Fact]
    public void Row_boundaries_end_with_all_memory()
    {
        var bridge = new I440fx(256 << 20);
        Assert.Equal(16u, bridge.Pci.ReadConfig(0x60, 1));
        Assert.Equal(32u, bridge.Pci.ReadConfig(0x67, 1));
    }

    [Fact]
    public void A_locked_smram_register_keeps_its_value()
    {
        var bridge = new I440fx(64 << 20);
        bridge.Pci.WriteConfig(0x72, 1, 0x4a);
        Assert.True(bridge.IsSmramOpen);
        bridge.Pci.WriteConfig(0x72, 1, 0x5a);
        Assert.False(bridge.IsSmramOpen);
        bridge.Pci.WriteConfig(0x72, 1, 0x4a);
        Assert.Equal(0x1au, bridge.Pci.ReadConfig(0x72, 1));
        bridge.Reset();
        bridge.Pci.WriteConfig(0x72, 1, 0x4a);
        Assert.True(bridge.IsSmramOpen);
    }

    [Fact]
    public void Interrupt_pins_are_rotated_over_the_pirqs_and_ored()
    {
        var bridge = new Piix3(_lines);
        bridge.Pci.WriteConfig(0x60, 4, 0x0b0a0b0a);
        // Devices 3 (PIRQC) and 5 (PIRQA) share IRQ 10.
        bridge.PciInterrupt(3, 1).Set(true);
        bridge.PciInterrupt(5, 1).Set(true);
        Assert.True(_lines.Level[16 + 10]);
        bridge.PciInterrupt(3, 1).Set(false);
        Assert.True(_lines.Level[16 + 10]);
        bridge.PciInterrupt(5, 1).Set(false);
        Assert.False(_lines.Level[16 + 10]);
        bridge.PciInterrupt(4, 1).Set(true);
        Assert.True(_lines.Level[16 + 11]);
    }

    [Fact]
    public void A_moved_or_disabled_route_takes_the_level_along()
    {
        var bridge = new Piix3(_lines);
        bridge.PciInterrupt(1, 1).Set(true);
        Assert.DoesNotContain(true, _lines.Level);
        bridge.Pci.WriteConfig(0x60, 1, 11);
        Assert.True(_lines.Level[16 + 11]);
        bridge.Pci.WriteConfig(0x60, 1, 10);
        Assert.False(_lines.Level[16 + 11]);
        Assert.True(_lines.Level[16 + 10]);
        bridge.Reset();
        Assert.DoesNotContain(true, _lines.Level);
        StateOf.AssertRoundTrip(bridge, new Piix3(new TestLines()));
    }

    [Fact]
    public void The_pm_timer_counts_at_3579545_hz_in_24_bits()
    {
        AcpiPm pm = Pm();
        _time.AdvanceTo(1_000_000_000);
        Assert.Equal(3_579_545u, pm.ReadPort(8, 4));
        _time.AdvanceTo(10_000_000_000);
        Assert.Equal(35_795_450u & 0xffffff, pm.ReadPort(8, 4));
    }

    [Fact]
    public void A_carry_of_the_timers_top_bit_raises_the_sci_when_enabled()
    {
        AcpiPm pm = Pm();
        pm.WritePort(2, 2, 1);
        pm.WritePort(4, 2, 1);
        // 2^23 ticks take 2.3435 s.
        _time.AdvanceTo(2_343_000_000);
        Assert.False(_lines.Level[9]);
        _time.AdvanceTo(2_344_000_000);
        Assert.True(_lines.Level[9]);
        Assert.Equal(1u, pm.ReadPort(0, 2));
        pm.WritePort(0, 2, 1);
        Assert.False(_lines.Level[9]);
        _time.AdvanceTo(4_688_000_000);
        Assert.True(_lines.Level[9]);
    }

    [Fact]
    public void The_power_button_raises_the_sci_in_acpi_mode()
    {
        AcpiPm pm = Pm();
        pm.WritePort(2, 2, 0x100);
        pm.PressPowerButton();
        Assert.Equal(0x100u, pm.ReadPort(0, 2) & 0x100);
        Assert.False(_lines.Level[9]);
        pm.ApmPorts.WritePort(0, 1, 0xf1);
        Assert.Equal(1u, pm.ReadPort(4, 2));
        Assert.True(_lines.Level[9]);
        pm.WritePort(0, 2, 0x100);
        Assert.False(_lines.Level[9]);
    }

    [Fact]
    public void Sleep_type_0_with_enable_switches_off()
    {
        AcpiPm pm = Pm();
        int offs = 0;
        pm.SoftOff = () => offs++;
        pm.WritePort(4, 2, 0x0001);
        Assert.Equal(0, offs);
        pm.WritePort(4, 2, 0x2001);
        Assert.Equal(1, offs);
        Assert.Equal(1u, pm.ReadPort(4, 2));
    }

    [Fact]
    public void Pm_registers_appear_at_pmbase_when_pmregmisc_says_so()
    {
        var ports = new PortBus();
        var bus = new PciBus(ports, new NoMemoryMap());
        AcpiPm pm = Pm();
        bus.Attach(1, 3, pm.Pci);
        pm.Pci.WriteConfig(0x40, 4, 0xb001);
        Assert.Equal(0xb001u, pm.Pci.ReadConfig(0x40, 4));
        Assert.Equal(0xffffu, ports.Read(0xb000, 2));
        pm.Pci.WriteConfig(0x80, 1, 1);
        Assert.Equal(0u, ports.Read(0xb000, 2));
    }

    [Fact]
    public void Power_management_state_survives()
    {
        AcpiPm pm = Pm();
        pm.WritePort(2, 2, 0x101);
        pm.WritePort(0x10, 4, 0x12345678);
        pm.PressPowerButton();
        StateOf.AssertRoundTrip(pm, new AcpiPm(_time.Clock, new EventQueue(), _lines.Line(8)));
    }

    private AcpiPm Pm() => new(_time.Clock, _time.Events, _lines.Line(9));

    private sealed class NoMemoryMap : IMemoryMap
    {
        public bool IsFree(uint physical, uint size) => false;

        public void Map(uint physical, uint size, Emu86.Cpu.IMemoryWindow window) { }

        public void Unmap(uint physical, uint size, Emu86.Cpu.IMemoryWindow window) { }
    }
}
