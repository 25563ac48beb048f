// Wall time and guest time: what is owed is made up smoothly, what is too much is given up.
using System.Diagnostics;
using Emu86.Ft.Run;

namespace Emu86.Tests.Ft;

public sealed class PacerTests
{
    private const ulong Ms = 1_000_000;

    private readonly Pacer _pacer;
    private long _ticks = 12_345;

    public PacerTests() => _pacer = new Pacer(() => _ticks);

    [Fact]
    public void Halted_time_passes_as_wall_time_does()
    {
        _pacer.Anchor(500 * Ms);
        Pass(7);
        Near(507 * Ms, _pacer.IdleLimitNs(500 * Ms));
        Assert.InRange(_pacer.Until(510 * Ms).TotalMilliseconds, 2.9, 3.1);
    }

    [Fact]
    public void What_is_owed_is_made_up_at_twice_the_speed()
    {
        _pacer.Anchor(0, 300e6);
        ulong guest = 0;
        for (int ms = 0; ms < 1000; ms++)
        {
            Pass(1);
            ulong limit = _pacer.IdleLimitNs(guest);
            Assert.InRange(limit - guest, ms < 299 ? 2 * Ms - 10 : 1 * Ms - 10, 2 * Ms + 10);
            guest = limit;
        }
        Near(1300 * Ms, guest);
    }

    [Fact]
    public void A_guest_that_is_too_far_goes_at_half_the_speed_and_never_stands_still()
    {
        _pacer.Anchor(1000 * Ms, -200e6);
        Pass(100);
        Near(1050 * Ms, _pacer.IdleLimitNs(1040 * Ms));
        Pass(900);
        Near(1800 * Ms, _pacer.IdleLimitNs(1790 * Ms));
    }

    [Fact]
    public void A_guest_that_fell_behind_catches_up_without_a_jump_and_completely()
    {
        _pacer.Anchor(0);
        Pass(1000);
        ulong guest = 400 * Ms;
        Near(600 * Ms, guest = _pacer.IdleLimitNs(guest));
        for (int ms = 0; ms < 700; ms++)
        {
            Pass(1);
            ulong limit = _pacer.IdleLimitNs(guest);
            Assert.InRange(limit - guest, Ms - 10, 2 * Ms + 10);
            guest = limit;
        }
        Near(1700 * Ms, guest);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(300)]
    [InlineData(8000)]
    public void A_busy_guest_keeps_pace_however_fast_the_host_executes_it(int mips)
    {
        _pacer.Anchor(0);
        double guest = 0;
        ulong rate = 10UL << 32;
        for (int ms = 1; ms <= 5000; ms++)
        {
            Pass(1);
            _pacer.Ran((ulong)mips * 1000, Stopwatch.Frequency / 1000);
            guest += mips * 1000 * (rate / 4294967296.0);
            rate = _pacer.Adjust((ulong)guest, rate) ?? rate;
            if (ms > 3000) Assert.InRange(guest, (ms - 50) * 1e6, (ms + 50) * 1e6);
        }
    }

    [Theory]
    [InlineData(30)]
    [InlineData(90)]
    public void A_host_that_wakes_it_late_each_time_does_not_hold_the_guest_back(int everyMs)
    {
        _pacer.Anchor(0, 300e6);
        ulong guest = 0;
        for (int ms = 0; ms < 3000; ms += everyMs)
        {
            Pass(everyMs);
            guest = _pacer.IdleLimitNs(guest);
        }
        Assert.InRange(guest, 3290 * Ms, 3400 * Ms);
    }

    [Fact]
    public void A_debt_of_more_than_ten_seconds_is_dropped_and_said()
    {
        TimeSpan dropped = default;
        _pacer.DebtDropped = t => dropped = t;
        _pacer.Anchor(0);
        Pass(11_000);
        Assert.Equal(5 * Ms, _pacer.IdleLimitNs(5 * Ms));
        Assert.InRange(dropped.TotalSeconds, 10.9, 11.1);
        Pass(3);
        Near(8 * Ms, _pacer.IdleLimitNs(5 * Ms));
    }

    [Fact]
    public void A_busy_guest_that_is_behind_counts_up_to_twice_as_fast()
    {
        const ulong tenNs = 10UL << 32;
        _pacer.Anchor(0);
        Pass(1000);
        _pacer.Ran(10_000_000, Ticks(100));
        Assert.Equal(2 * tenNs, _pacer.Adjust(500 * Ms, tenNs));
    }

    private static long Ticks(double ms) => (long)(ms * Stopwatch.Frequency / 1000);

    private static void Near(ulong expected, ulong actual) => Assert.InRange(actual, expected - 1000, expected + 1000);

    private void Pass(double ms) => _ticks += Ticks(ms);
}
