// How much a guest is slowed for a new backup that has to catch up.
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class CatchUpTests
{
    private const long Near = 900_000;

    /// <summary>The guest at the bound, the backup at a speed; returns the lowest bound until it is near, and when that was.</summary>
    private static (int SpeedMin, long Us) Until(long waitingUs, int backupSpeed, long atMostUs)
    {
        const long Step = 100_000;
        var catchUp = new CatchUp(0, Near);
        long now = 0;
        while (waitingUs > Near && now < atMostUs)
        {
            now += Step;
            waitingUs += Step * (catchUp.SpeedMin - backupSpeed) / LagController.FullSpeed;
            catchUp.Update(now, waitingUs);
        }
        return (catchUp.SpeedMin, now);
    }

    [Theory]
    [InlineData(1_500_000, 1000)]
    [InlineData(6_000_000, 1000)]
    [InlineData(3_000_000, 950)]
    public void A_backup_that_comes_nearer_costs_a_tenth_however_long_it_takes(long waitingUs, int backupSpeed)
    {
        (int speedMin, long us) = Until(waitingUs, backupSpeed, long.MaxValue);
        Assert.Equal(CatchUp.Speed, speedMin);
        Assert.InRange(us, 0, CatchUp.NearAfterUs);
    }

    [Theory]
    [InlineData(2_000_000, 900)]
    [InlineData(2_000_000, 500)]
    [InlineData(20_000_000, 1000)]
    [InlineData(1_000_000, 100)]
    public void A_backup_that_is_too_slow_is_waited_for_in_the_end(long waitingUs, int backupSpeed)
    {
        (int speedMin, long us) = Until(waitingUs, backupSpeed, 300_000_000);
        Assert.InRange(speedMin, LagController.SpeedMin, backupSpeed - 1);
        Assert.InRange(us, CatchUp.PatienceUs, 3 * CatchUp.NearAfterUs);
    }

    [Fact]
    public void A_moment_in_which_the_backup_stands_still_slows_nobody_further()
    {
        var catchUp = new CatchUp(0, Near);
        long waiting = 4_000_000;
        for (long now = 0; now < 30_000_000; now += 1_000_000)
        {
            waiting += now is >= 10_000_000 and < 13_000_000 ? 900_000 : -200_000;
            Assert.Equal(CatchUp.Speed, catchUp.Update(now, waiting));
        }
    }
}
