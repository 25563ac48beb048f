// The cascaded 8259A pair against its datasheet.
using Emu86.Chipset;

namespace Emu86.Tests.Chipset;

public sealed class Pic8259Tests
{
    private readonly Pic8259 _pic = new();

    public Pic8259Tests() => Initialize(_pic);

    [Fact]
    public void A_rising_edge_requests_and_is_acknowledged_with_the_vector()
    {
        var levels = new List<bool>();
        _pic.IntrChanged = levels.Add;
        _pic.SetInput(3, true);
        Assert.True(_pic.Intr);
        Assert.Equal(0x23, _pic.Acknowledge());
        Assert.Equal([true, false], levels);
        Assert.Equal(0x08, ReadIsr(_pic.MasterPorts));
        Assert.Equal(0x00, ReadIrr(_pic.MasterPorts));
    }

    [Fact]
    public void A_slave_request_comes_through_input_2()
    {
        _pic.SetInput(12, true);
        Assert.Equal(0x04, ReadIrr(_pic.MasterPorts));
        Assert.Equal(0x2c, _pic.Acknowledge());
        Assert.Equal(0x04, ReadIsr(_pic.MasterPorts));
        Assert.Equal(0x10, ReadIsr(_pic.SlavePorts));
    }

    [Fact]
    public void Lower_priorities_wait_for_the_end_of_interrupt()
    {
        _pic.SetInput(1, true);
        _pic.SetInput(4, true);
        Assert.Equal(0x21, _pic.Acknowledge());
        Assert.False(_pic.Intr);
        _pic.SetInput(0, true);
        Assert.True(_pic.Intr);
        Assert.Equal(0x20, _pic.Acknowledge());
        Out(_pic.MasterPorts, 0, 0x20);
        Assert.False(_pic.Intr);
        Out(_pic.MasterPorts, 0, 0x20);
        Assert.True(_pic.Intr);
        Assert.Equal(0x24, _pic.Acknowledge());
    }

    [Fact]
    public void A_masked_request_waits_in_irr()
    {
        Out(_pic.MasterPorts, 1, 0x08);
        _pic.SetInput(3, true);
        Assert.False(_pic.Intr);
        Assert.Equal(0x08, ReadIrr(_pic.MasterPorts));
        Assert.Equal(0x08, In(_pic.MasterPorts, 1));
        Out(_pic.MasterPorts, 1, 0);
        Assert.True(_pic.Intr);
    }

    [Fact]
    public void An_edge_input_that_stays_high_requests_once()
    {
        _pic.SetInput(3, true);
        _pic.Acknowledge();
        Out(_pic.MasterPorts, 0, 0x63);
        _pic.SetInput(3, true);
        Assert.False(_pic.Intr);
        _pic.SetInput(3, false);
        _pic.SetInput(3, true);
        Assert.True(_pic.Intr);
    }

    [Fact]
    public void A_level_input_requests_as_long_as_it_is_high()
    {
        Out(_pic.EdgeLevelPorts, 1, 0x08);
        _pic.SetInput(11, true);
        Assert.Equal(0x2b, _pic.Acknowledge());
        Assert.False(_pic.Intr);
        EndBoth();
        Assert.True(_pic.Intr);
        _pic.SetInput(11, false);
        Assert.False(_pic.Intr);
    }

    [Fact]
    public void Elcr_bits_of_system_interrupts_stay_edge()
    {
        Out(_pic.EdgeLevelPorts, 0, 0xff);
        Out(_pic.EdgeLevelPorts, 1, 0xff);
        Assert.Equal(0xf8, In(_pic.EdgeLevelPorts, 0));
        Assert.Equal(0xde, In(_pic.EdgeLevelPorts, 1));
    }

    [Fact]
    public void Two_wires_of_one_pin_are_ored()
    {
        Out(_pic.EdgeLevelPorts, 1, 0x02);
        _pic.SetInput(9, true);
        _pic.SetInput(16 + 9, true);
        _pic.SetInput(9, false);
        Assert.True(_pic.Intr);
        _pic.SetInput(16 + 9, false);
        Assert.False(_pic.Intr);
    }

    [Fact]
    public void A_request_that_vanished_is_the_spurious_irq_7_without_in_service_bit()
    {
        _pic.SetInput(3, true);
        _pic.SetInput(3, false);
        Assert.False(_pic.Intr);
        Assert.Equal(0x27, _pic.Acknowledge());
        Assert.Equal(0, ReadIsr(_pic.MasterPorts));
    }

    [Fact]
    public void A_slave_request_masked_before_the_acknowledge_is_the_masters_spurious_irq_7()
    {
        // Masked at the slave after its INT was seen: the master forgets it too, and the whole pair is spurious.
        _pic.SetInput(10, true);
        Out(_pic.SlavePorts, 1, 0xff);
        Assert.Equal(0x27, _pic.Acknowledge());
        Assert.Equal(0, ReadIsr(_pic.SlavePorts));
    }

    [Fact]
    public void A_specific_eoi_clears_just_its_level()
    {
        _pic.SetInput(5, true);
        _pic.Acknowledge();
        _pic.SetInput(1, true);
        _pic.Acknowledge();
        Out(_pic.MasterPorts, 0, 0x65);
        Assert.Equal(0x02, ReadIsr(_pic.MasterPorts));
    }

    [Fact]
    public void Rotation_on_eoi_makes_the_served_level_lowest()
    {
        _pic.SetInput(4, true);
        _pic.Acknowledge();
        Out(_pic.MasterPorts, 0, 0xa0);
        _pic.SetInput(4, false);
        _pic.SetInput(4, true);
        _pic.SetInput(6, true);
        Assert.Equal(0x26, _pic.Acknowledge());
    }

    [Fact]
    public void Set_priority_makes_a_level_lowest()
    {
        Out(_pic.MasterPorts, 0, 0xc3);
        _pic.SetInput(3, true);
        _pic.SetInput(4, true);
        Assert.Equal(0x24, _pic.Acknowledge());
    }

    [Fact]
    public void Auto_eoi_leaves_nothing_in_service_and_can_rotate()
    {
        Initialize(_pic, masterIcw4: 3);
        Out(_pic.MasterPorts, 0, 0x80);
        _pic.SetInput(3, true);
        Assert.Equal(0x23, _pic.Acknowledge());
        Assert.Equal(0, ReadIsr(_pic.MasterPorts));
        _pic.SetInput(3, false);
        _pic.SetInput(3, true);
        _pic.SetInput(6, true);
        Assert.Equal(0x26, _pic.Acknowledge());
    }

    [Fact]
    public void Special_mask_mode_lets_lower_levels_through_a_masked_level_in_service()
    {
        _pic.SetInput(3, true);
        _pic.Acknowledge();
        _pic.SetInput(5, true);
        Assert.False(_pic.Intr);
        Out(_pic.MasterPorts, 1, 0x08);
        Out(_pic.MasterPorts, 0, 0x68);
        Assert.True(_pic.Intr);
        Assert.Equal(0x25, _pic.Acknowledge());
        // A non-specific EOI does not touch the masked level.
        Out(_pic.MasterPorts, 0, 0x20);
        Assert.Equal(0x08, ReadIsr(_pic.MasterPorts));
    }

    [Fact]
    public void Special_fully_nested_lets_a_higher_slave_level_interrupt_a_lower_one()
    {
        Initialize(_pic, masterIcw4: 0x11);
        _pic.SetInput(12, true);
        Assert.Equal(0x2c, _pic.Acknowledge());
        _pic.SetInput(8, true);
        Assert.True(_pic.Intr);
        Assert.Equal(0x28, _pic.Acknowledge());

        Initialize(_pic);
        _pic.SetInput(8, false);
        _pic.SetInput(12, false);
        _pic.SetInput(12, true);
        _pic.Acknowledge();
        _pic.SetInput(8, true);
        Assert.False(_pic.Intr);
    }

    [Fact]
    public void Poll_acknowledges_by_a_read()
    {
        Out(_pic.MasterPorts, 0, 0x0c);
        Assert.Equal(0, In(_pic.MasterPorts, 0));
        _pic.SetInput(6, true);
        Out(_pic.MasterPorts, 0, 0x0c);
        Assert.Equal(0x86, In(_pic.MasterPorts, 0));
        Assert.Equal(0x40, ReadIsr(_pic.MasterPorts));
        Assert.False(_pic.Intr);
    }

    [Fact]
    public void Initialization_clears_mask_and_edge_latches()
    {
        Out(_pic.MasterPorts, 1, 0xff);
        _pic.SetInput(3, true);
        Initialize(_pic);
        Assert.Equal(0, In(_pic.MasterPorts, 1));
        Assert.False(_pic.Intr);
    }

    [Fact]
    public void Auto_eoi_slave_with_two_requests_gives_both()
    {
        Initialize(_pic, slaveIcw4: 3);
        _pic.SetInput(9, true);
        _pic.SetInput(10, true);
        Assert.Equal(0x29, _pic.Acknowledge());
        Out(_pic.MasterPorts, 0, 0x20);
        Assert.True(_pic.Intr);
        Assert.Equal(0x2a, _pic.Acknowledge());
    }

    [Fact]
    public void State_survives()
    {
        _pic.SetInput(12, true);
        _pic.Acknowledge();
        _pic.SetInput(1, true);
        Out(_pic.EdgeLevelPorts, 1, 0x0c);
        var copy = new Pic8259();
        bool intr = false;
        copy.IntrChanged = level => intr = level;
        StateOf.AssertRoundTrip(_pic, copy);
        Assert.True(intr);
        Assert.Equal(0x21, copy.Acknowledge());
    }

    private void EndBoth()
    {
        Out(_pic.SlavePorts, 0, 0x20);
        Out(_pic.MasterPorts, 0, 0x20);
    }

    private static void Initialize(Pic8259 pic, byte masterIcw4 = 1, byte slaveIcw4 = 1)
    {
        Out(pic.MasterPorts, 0, 0x11);
        Out(pic.MasterPorts, 1, 0x20);
        Out(pic.MasterPorts, 1, 0x04);
        Out(pic.MasterPorts, 1, masterIcw4);
        Out(pic.SlavePorts, 0, 0x11);
        Out(pic.SlavePorts, 1, 0x28);
        Out(pic.SlavePorts, 1, 0x02);
        Out(pic.SlavePorts, 1, slaveIcw4);
    }

    private static byte ReadIrr(IPortDevice chip)
    {
        Out(chip, 0, 0x0a);
        return In(chip, 0);
    }

    private static byte ReadIsr(IPortDevice chip)
    {
        Out(chip, 0, 0x0b);
        return In(chip, 0);
    }

    private static void Out(IPortDevice chip, int offset, byte value) => chip.WritePort(offset, 1, value);

    private static byte In(IPortDevice chip, int offset) => (byte)chip.ReadPort(offset, 1);
}
