// The paper's feedback loop: the primary runs so fast that the backup can follow.
namespace Emu86.Ft.Replication;

/// <summary>Speed in permille of full speed, from the backup's execution lag. Integers only.</summary>
public sealed class LagController(long maxLagUs)
{
    public const int FullSpeed = 1000;

    /// <summary>Never slower than this: a guest that stands still cannot be told from a dead one.</summary>
    public const int SpeedMin = 20;

    /// <summary>Not slower than this while a new backup catches up, for so many microseconds; then by a thousandth less every ten
    /// milliseconds.</summary>
    public const int CatchUpSpeed = 900;

    public const long CatchUpUs = 5_000_000;

    /// <summary>How often the speed may change, in microseconds: the lag must have had time to react.</summary>
    private readonly long _periodUs = Math.Max(maxLagUs / 10, 1000);

    private long _nextUs;
    private long _lastLagUs;

    public int Speed { get; private set; } = FullSpeed;

    /// <summary>Takes a measurement. True when the speed changed.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="lagUs">The backup's lag.</param>
    /// <param name="speedMin">Not slower than this.</param>
    public bool Update(long nowUs, long lagUs, int speedMin = SpeedMin)
    {
        if (nowUs < _nextUs) return false;
        _nextUs = nowUs + _periodUs;
        int before = Speed;
        // Half of the limit is where it rests: above, down in proportion to the excess; below, up in proportion to the room.
        long rest = maxLagUs / 2;
        long growth = lagUs - _lastLagUs;
        _lastLagUs = lagUs;
        if (lagUs > rest)
        {
            // What is already on its way back is left alone, or the speed would swing.
            if (growth < 0) return false;
            long excess = Math.Min(lagUs - rest, 2 * rest);
            Speed = Math.Max(speedMin, (int)(Speed - Speed * excess / (4 * rest) - 1));
        }
        else
        {
            // Looks one period ahead instead of waiting for the lag to shrink: a small one only comes and goes.
            long room = rest - lagUs - Math.Max(0, growth);
            if (room <= 0) return false;
            Speed = (int)Math.Min(FullSpeed, Speed + Math.Max(5, Speed * room / (4 * rest)));
        }
        return Speed != before;
    }

    public void Reset() => (Speed, _lastLagUs) = (FullSpeed, 0);
}
