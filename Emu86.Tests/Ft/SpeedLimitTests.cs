// A slowed guest gets the speed it was given, although a host cannot wait for as short as a slice.
using Emu86.Ft.Run;

namespace Emu86.Tests.Ft;

public sealed class SpeedLimitTests
{
    [Theory]
    [InlineData(980)]
    [InlineData(700)]
    [InlineData(100)]
    [InlineData(20)]
    public void A_guest_runs_at_the_speed_it_was_given_where_every_wait_takes_a_millisecond_longer_than_asked(int speed)
    {
        const long SliceUs = 300, WaitMinUs = 2_000, LateUs = 1_000;
        var limit = new SpeedLimit(WaitMinUs);
        long ran = 0, rested = 0;
        while (ran + rested < 10_000_000)
        {
            if (limit.Due is > 0 and var due)
            {
                rested += due + LateUs;
                limit.Rested(due + LateUs);
                continue;
            }
            ran += SliceUs;
            limit.Ran(SliceUs, speed);
        }
        Assert.InRange(ran * 1000 / (ran + rested), speed * 97 / 100 - 1, speed * 103 / 100 + 1);
    }

    [Fact]
    public void What_is_owed_is_forgotten_at_full_speed()
    {
        var limit = new SpeedLimit(2_000);
        Assert.Equal(50_000, limit.Ran(1_000, 20));
        Assert.Equal(49_000, limit.Due);
        Assert.Equal(1_000, limit.Ran(1_000, 1000));
        Assert.Equal(0, limit.Due);
    }

    [Fact]
    public void A_host_that_slept_does_not_owe_the_guest_more_than_one_rest()
    {
        var limit = new SpeedLimit(2_000);
        limit.Ran(1_000, 500);
        limit.Rested(10_000_000);
        limit.Ran(5_000, 500);
        Assert.Equal(3_000, limit.Due);
    }
}
