// The 8254's six modes against the waveforms and read commands of its datasheet, in ticks of its clock.
using Emu86.Chipset;

namespace Emu86.Tests.Chipset;

public sealed class Pit8254Tests
{
    private readonly TestTime _time = new();
    private readonly TestLines _lines = new();
    private readonly Pit8254 _pit;

    public Pit8254Tests()
    {
        _pit = new Pit8254(_time.Clock, _time.Events, _lines.Line(0));
        _pit.Gate2 = true;
        To(100);
    }

    [Fact]
    public void Mode0_output_rises_n_plus_one_clocks_after_the_write()
    {
        Program(0, 0, 5);
        AssertOutput(0, (0, false), (5, false), (6, true), (100, true));
        Assert.Equal(1, _lines.Rises[0]);
    }

    [Fact]
    public void Mode0_counting_pauses_while_the_gate_is_low()
    {
        Program(2, 0, 10);
        To(104);
        Assert.Equal(7, Count(2));
        _pit.Gate2 = false;
        To(200);
        Assert.Equal(7, Count(2));
        Assert.False(_pit.Output(2));
        _pit.Gate2 = true;
        To(206);
        Assert.False(_pit.Output(2));
        To(207);
        Assert.True(_pit.Output(2));
    }

    [Fact]
    public void Mode0_first_byte_of_a_new_count_stops_counting_and_lowers_the_output()
    {
        Program(0, 0, 2);
        To(110);
        Assert.True(_pit.Output(0));
        Out(0, 3);
        Assert.False(_pit.Output(0));
        To(200);
        Assert.False(_lines.Level[0]);
        Out(0, 0);
        To(203);
        Assert.False(_lines.Level[0]);
        To(204);
        Assert.True(_lines.Level[0]);
    }

    [Fact]
    public void Mode0_wraps_after_terminal_count()
    {
        Program(0, 0, 2);
        To(105);
        Assert.Equal(0xfffe, Count(0));
    }

    [Fact]
    public void Mode1_pulse_starts_with_the_clock_after_the_trigger_and_is_retriggerable()
    {
        _pit.Gate2 = false;
        Program(2, 1, 4);
        To(110);
        Assert.True(_pit.Output(2));
        _pit.Gate2 = true;
        Assert.True(_pit.Output(2));
        To(111);
        Assert.False(_pit.Output(2));
        To(113);
        _pit.Gate2 = false;
        _pit.Gate2 = true;
        To(117);
        Assert.False(_pit.Output(2));
        To(118);
        Assert.True(_pit.Output(2));
    }

    [Fact]
    public void Mode2_output_is_low_for_the_last_clock_of_each_period()
    {
        Program(0, 2, 4);
        // Loaded at 1; counts 4 3 2 1, then again.
        AssertOutput(0, (1, true), (3, true), (4, false), (5, true), (7, true), (8, false), (9, true));
    }

    [Fact]
    public void Mode2_new_count_waits_for_the_end_of_the_period()
    {
        Program(0, 2, 10);
        To(105);
        Out(0, 4);
        Out(0, 0);
        To(110);
        Assert.Equal(1, Count(0));
        To(111);
        Assert.Equal(4, Count(0));
        AssertOutput(0, (11, true), (14, false), (15, true), (18, false));
    }

    [Fact]
    public void Mode2_low_gate_forces_the_output_high_and_its_rise_restarts()
    {
        Program(2, 2, 10);
        To(110);
        Assert.False(_pit.Output(2));
        _pit.Gate2 = false;
        Assert.True(_pit.Output(2));
        To(150);
        _pit.Gate2 = true;
        To(151);
        Assert.Equal(10, Count(2));
        To(160);
        Assert.False(_pit.Output(2));
    }

    [Fact]
    public void Mode3_even_count_is_half_high_half_low()
    {
        Program(0, 3, 4);
        AssertOutput(0, (1, true), (2, true), (3, false), (4, false), (5, true), (7, false));
    }

    [Fact]
    public void Mode3_odd_count_is_high_one_tick_longer()
    {
        Program(0, 3, 5);
        AssertOutput(0, (1, true), (3, true), (4, false), (5, false), (6, true), (8, true), (9, false));
    }

    [Fact]
    public void Mode3_counts_down_by_two_from_an_even_number()
    {
        Program(0, 3, 7);
        int[] counts = new int[8];
        for (int i = 0; i < 8; i++)
        {
            To(101 + (ulong)i);
            counts[i] = Count(0);
        }
        Assert.Equal([6, 4, 2, 0, 6, 4, 2, 6], counts);
    }

    [Fact]
    public void Mode3_new_count_waits_for_the_end_of_the_half_period()
    {
        Program(0, 3, 8);
        To(102);
        Out(0, 4);
        Out(0, 0);
        AssertOutput(0, (4, true), (5, false), (6, false), (7, true), (8, true), (9, false));
    }

    [Fact]
    public void Mode4_strobes_once_for_one_clock()
    {
        Program(0, 4, 3);
        AssertOutput(0, (0, true), (3, true), (4, false), (5, true), (100, true));
        To(100 + 4 + 0x10000);
        Assert.True(_pit.Output(0));
    }

    [Fact]
    public void Mode5_strobes_after_a_gate_trigger()
    {
        _pit.Gate2 = false;
        Program(2, 5, 3);
        To(150);
        Assert.True(_pit.Output(2));
        _pit.Gate2 = true;
        AssertOutput(2, (51, true), (53, true), (54, false), (55, true));
    }

    [Fact]
    public void A_count_of_zero_is_65536_or_10000_in_bcd()
    {
        Program(0, 2, 0);
        To(101 + 65535);
        Assert.False(_pit.Output(0));
        Out(3, 0x35);
        Out(0, 0);
        Out(0, 0);
        ulong load = _pit.NowTick + 1;
        To(load);
        Assert.Equal(0, Count(0));
        To(load + 1);
        Assert.Equal(0x9999, Count(0));
        To(load + 9999);
        Assert.False(_pit.Output(0));
    }

    [Fact]
    public void A_latched_count_is_held_until_it_is_read()
    {
        Program(0, 2, 1000);
        To(111);
        Out(3, 0x00);
        To(150);
        Out(3, 0x00);
        Assert.Equal(990, Count(0));
        Assert.Equal(951, Count(0));
    }

    [Fact]
    public void Read_back_latches_status_then_count()
    {
        Program(0, 2, 1000);
        Out(3, 0xe2);
        To(111);
        Out(3, 0xd2);
        To(120);
        // Status was latched before the load: output high, null count, both bytes, mode 2.
        Assert.Equal(0xf4, In(0));
        Assert.Equal(990, In(0) | In(0) << 8);
        Out(3, 0xe2);
        Assert.Equal(0xb4, In(0));
    }

    [Fact]
    public void Single_byte_access_reads_and_writes_one_byte()
    {
        Out(3, 0x54);
        Out(1, 18);
        To(101);
        Assert.Equal(18, In(1));
        Assert.Equal(18, In(1));
        Out(3, 0x64);
        Out(1, 1);
        To(102);
        Assert.Equal(1, In(1));
    }

    [Fact]
    public void A_thousand_hertz_for_a_minute_does_not_drift()
    {
        Program(0, 2, 1193);
        for (ulong second = 1; second <= 60; second++) _time.AdvanceTo(second * 1_000_000_000);
        ulong ticks = _pit.NowTick - 101;
        Assert.Equal(60 * Pit8254.FrequencyHz, _pit.NowTick);
        Assert.Equal((int)(ticks / 1193), _lines.Rises[0] - 1);
    }

    [Fact]
    public void State_survives_with_the_scheduled_edge()
    {
        Program(0, 2, 1000);
        To(300);
        Out(3, 0xc2);
        var time = new TestTime();
        var lines = new TestLines();
        var copy = new Pit8254(time.Clock, time.Events, lines.Line(0));
        time.Advance(_time.NowNs);
        StateOf.AssertRoundTrip(_time.Events, time.Events);
        StateOf.AssertRoundTrip(_pit, copy);
        lines.Level[0] = true;
        time.Advance(2_000_000);
        Assert.Equal(2, lines.Rises[0]);
    }

    private void Program(int channel, int mode, int count)
    {
        Out(3, (byte)(channel << 6 | 0x30 | mode << 1));
        Out(channel, (byte)count);
        Out(channel, (byte)(count >> 8));
    }

    /// <summary>Compares OUT at ticks after tick 100, where the tests program.</summary>
    private void AssertOutput(int channel, params (ulong Tick, bool Level)[] expected)
    {
        foreach ((ulong tick, bool level) in expected)
        {
            if (100 + tick > _pit.NowTick) To(100 + tick);
            Assert.True(level == _pit.Output(channel), $"output of channel {channel} is {!level} at {tick}");
            if (channel == 0) Assert.Equal(level, _lines.Level[0]);
        }
    }

    private void To(ulong tick) => _time.AdvanceTo((ulong)(((UInt128)tick * 1_000_000_000 + Pit8254.FrequencyHz - 1) / Pit8254.FrequencyHz));

    private int Count(int channel) => In(channel) | In(channel) << 8;

    private byte In(int offset) => (byte)_pit.ReadPort(offset, 1);

    private void Out(int offset, byte value) => _pit.WritePort(offset, 1, value);
}
