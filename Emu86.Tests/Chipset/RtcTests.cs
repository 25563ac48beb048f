// The MC146818A: calendar, formats, update cycle, alarm, periodic interrupt, CMOS RAM.
using Emu86.Chipset;

namespace Emu86.Tests.Chipset;

public sealed class RtcTests
{
    // 1999-12-31 23:59:58, a Friday.
    private const long EndOf1999 = 946_684_798;
    private const ulong Second = 1_000_000_000;

    private readonly TestTime _time = new();
    private readonly TestLines _lines = new();
    private readonly RtcMc146818 _rtc;

    public RtcTests() => _rtc = new RtcMc146818(_time.Clock, _time.Events, _lines.Line(8), EndOf1999);

    [Fact]
    public void The_start_time_shows_in_bcd_and_24_hours()
    {
        Assert.Equal([0x58, 0x59, 0x23, 0x06, 0x31, 0x12, 0x99, 0x19], Calendar());
    }

    [Fact]
    public void Updates_come_at_the_second_edges_of_the_time_at_power_on()
    {
        var time = new TestTime();
        var rtc = new RtcMc146818(time.Clock, time.Events, _lines.Line(10), EndOf1999, 300_000_001);
        int Seconds()
        {
            rtc.WritePort(0, 1, 0);
            return (int)rtc.ReadPort(1, 1);
        }
        Assert.Equal(0x58, Seconds());
        time.AdvanceTo(Second - 300_000_001 - 1);
        Assert.Equal(0x58, Seconds());
        time.AdvanceTo(Second - 300_000_001);
        Assert.Equal(0x59, Seconds());
        time.AdvanceTo(2 * Second - 300_000_001);
        Assert.Equal(0x00, Seconds());
    }

    [Fact]
    public void Periodic_interrupts_keep_the_phase_of_the_second()
    {
        // 2 Hz: the flag rises in the middle of a second and at its end.
        var time = new TestTime();
        var rtc = new RtcMc146818(time.Clock, time.Events, _lines.Line(10), EndOf1999, 300_000_000);
        void Write(int index, uint value)
        {
            rtc.WritePort(0, 1, (uint)index);
            rtc.WritePort(1, 1, value);
        }
        uint Flags()
        {
            rtc.WritePort(0, 1, 12);
            return rtc.ReadPort(1, 1);
        }
        Write(10, 0x2f);
        Write(11, 0x42);
        Flags();
        time.AdvanceTo(199_999_999);
        Assert.False(_lines.Level[10]);
        time.AdvanceTo(200_000_000);
        Assert.True(_lines.Level[10]);
        Assert.Equal(0xc0u, Flags());
        time.AdvanceTo(700_000_000);
        Assert.Equal(0xd0u, Flags());
    }

    [Fact]
    public void The_century_turns_with_the_year()
    {
        _time.AdvanceTo(2 * Second);
        Assert.Equal([0x00, 0x00, 0x00, 0x07, 0x01, 0x01, 0x00, 0x20], Calendar());
    }

    [Fact]
    public void A_leap_day_is_counted()
    {
        _rtc.SetTime(EndOf1999 + 2 + (31 + 29) * 86_400L - 1);
        Assert.Equal([0x59, 0x59, 0x23, 0x03, 0x29, 0x02, 0x00, 0x20], Calendar());
        _time.AdvanceTo(Second);
        Assert.Equal([0x00, 0x00, 0x00, 0x04, 0x01, 0x03, 0x00, 0x20], Calendar());
    }

    [Fact]
    public void Binary_and_12_hour_formats_count_through_noon()
    {
        Write(11, 0x84);
        Write(4, 11);
        Write(2, 59);
        Write(0, 59);
        Write(11, 0x04);
        _time.AdvanceTo(Second);
        Assert.Equal(0x8c, Read(4));
        Assert.Equal(0, Read(2));
        Assert.Equal(0, Read(0));
    }

    [Fact]
    public void Set_stops_updates_and_forbids_uip()
    {
        Write(11, 0x82);
        _time.AdvanceTo(Second - 1000);
        Assert.Equal(0x26, Read(10));
        _time.AdvanceTo(5 * Second);
        Assert.Equal(0x58, Read(0));
    }

    [Fact]
    public void Uip_is_set_for_2228_microseconds_before_the_update()
    {
        _time.AdvanceTo(Second - 2_228_001);
        Assert.Equal(0x26, Read(10));
        _time.AdvanceTo(Second - 2_228_000);
        Assert.Equal(0xa6, Read(10));
        _time.AdvanceTo(Second);
        Assert.Equal(0x26, Read(10));
    }

    [Fact]
    public void The_update_ended_interrupt_lasts_until_register_c_is_read()
    {
        Write(11, 0x12);
        _time.AdvanceTo(Second);
        Assert.True(_lines.Level[8]);
        Assert.Equal(0x90, Read(12) & 0x90);
        Assert.False(_lines.Level[8]);
        Assert.Equal(0, Read(12));
    }

    [Fact]
    public void The_alarm_compares_and_c0_matches_anything()
    {
        Write(1, 0x01);
        Write(3, 0xff);
        Write(5, 0xc0);
        Write(11, 0x22);
        _time.AdvanceTo(2 * Second);
        Assert.False(_lines.Level[8]);
        _time.AdvanceTo(3 * Second);
        Assert.True(_lines.Level[8]);
        Assert.Equal(0x20, Read(12) & 0x20);
    }

    [Fact]
    public void The_periodic_rate_6_is_1024_hz()
    {
        Write(11, 0x42);
        int interrupts = 0;
        for (ulong i = 1; i <= 4096; i++)
        {
            _time.AdvanceTo(Second * i / 4096);
            if (!_lines.Level[8]) continue;
            interrupts++;
            Assert.Equal(0xc0, Read(12) & 0xc0);
        }
        Assert.Equal(1024, interrupts);
    }

    [Fact]
    public void The_periodic_flag_comes_also_without_its_interrupt()
    {
        Assert.Equal(0, Read(12));
        _time.Advance(976_600);
        Assert.False(_lines.Level[8]);
        Assert.Equal(0x40, Read(12));
        Assert.Equal(0, Read(12));
    }

    [Fact]
    public void The_first_update_comes_half_a_second_after_the_divider_is_released()
    {
        Write(10, 0x76);
        _time.AdvanceTo(3 * Second);
        Assert.Equal(0x58, Read(0));
        Write(10, 0x26);
        _time.AdvanceTo(3 * Second + Second / 2 - 1);
        Assert.Equal(0x58, Read(0));
        _time.AdvanceTo(3 * Second + Second / 2);
        Assert.Equal(0x59, Read(0));
    }

    [Fact]
    public void Reset_disables_interrupts_and_keeps_time()
    {
        Write(11, 0x72);
        _time.AdvanceTo(Second);
        _rtc.Reset();
        Assert.False(_lines.Level[8]);
        Assert.Equal(0x02, Read(11));
        Assert.Equal(0x59, Read(0));
    }

    [Fact]
    public void Bit_7_of_the_index_masks_nmi()
    {
        _rtc.WritePort(0, 1, 0x8d);
        Assert.True(_rtc.NmiMasked);
        Assert.Equal(0x80u, _rtc.ReadPort(1, 1));
    }

    [Fact]
    public void Cmos_settings_carry_memory_sizes_and_a_checksum()
    {
        new CmosSettings(128 << 20, FloppyTypeA: 4, Disk0: new CmosDisk(1024, 16, 63), BootOrder: 0x0032).Fill(_rtc);
        Assert.Equal(640, Read(0x15) | Read(0x16) << 8);
        Assert.Equal(0xfc00, Read(0x17) | Read(0x18) << 8);
        Assert.Equal(112 * 16, Read(0x34) | Read(0x35) << 8);
        Assert.Equal(0x40, Read(0x10));
        Assert.Equal(0xf0, Read(0x12));
        Assert.Equal(0x32, Read(0x3d));
        int sum = 0;
        for (int i = 0x10; i < 0x2e; i++) sum += Read(i);
        Assert.Equal(sum, Read(0x2e) << 8 | Read(0x2f));
    }

    [Fact]
    public void State_survives()
    {
        Write(11, 0x42);
        Write(0x7f, 0x5a);
        _time.Advance(1_300_000_000);
        StateOf.AssertRoundTrip(_rtc, new RtcMc146818(_time.Clock, new EventQueue(), _lines.Line(9), 0));
    }

    private int[] Calendar() => [Read(0), Read(2), Read(4), Read(6), Read(7), Read(8), Read(9), Read(0x32)];

    private int Read(int index)
    {
        _rtc.WritePort(0, 1, (uint)index);
        return (int)_rtc.ReadPort(1, 1);
    }

    private void Write(int index, byte value)
    {
        _rtc.WritePort(0, 1, (uint)index);
        _rtc.WritePort(1, 1, value);
    }
}
