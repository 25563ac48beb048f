// The paper's feedback loop: the primary runs so fast that the backup can follow.
namespace Emu86.Ft.Replication;

/// <summary>Speed in permille of full speed, from the backup's execution lag. Integers only.</summary>
/// <remarks>
/// The lag is an age: how it grows depends on how fast the primary was when it logged what the backup executes now, so a loop on the
/// lag alone answers late and swings. But the primary's own speeds are known: from them and the lag follow how much work waits, and how
/// fast the backup works it off. The primary takes the backup's speed, and a little more or less than that until what waits is half of
/// the limit's worth.
/// </remarks>
public sealed class LagController(long maxLagUs)
{
    public const int FullSpeed = 1000;

    /// <summary>Never slower than this: a guest that stands still cannot be told from a dead one.</summary>
    public const int SpeedMin = 20;

    /// <summary>The backup's speed is that of the last so many periods: long enough that a host which gives it its processor in portions
    /// does not look like one that changes its speed.</summary>
    private const int Window = 5;

    private const int SamplesMax = 64;

    /// <summary>A backup that catches up is faster than it could stay.</summary>
    private const long BackupSpeedMax = 4 * FullSpeed;

    /// <summary>How often the speed may change, in microseconds: the lag must have had time to react.</summary>
    private readonly long _periodUs = Math.Max(maxLagUs / 10, 1000);

    private readonly Sample[] _samples = new Sample[SamplesMax];
    private int _count;
    private long _nextUs;
    private long _waiting;

    /// <summary>Work is time at a speed, in microseconds times permille.</summary>
    private readonly record struct Sample(long AtUs, long Logged, long Executed);

    public int Speed { get; private set; } = FullSpeed;

    /// <summary>How much the backup has still to execute, at the last <see cref="Update"/>: microseconds at full speed.</summary>
    public long WaitingUs => _waiting / FullSpeed;

    /// <summary>Takes a measurement. True when the speed changed.</summary>
    /// <param name="nowUs">Host time.</param>
    /// <param name="lagUs">The backup's lag.</param>
    /// <param name="speedMin">Not slower than this.</param>
    public bool Update(long nowUs, long lagUs, int speedMin = SpeedMin)
    {
        if (nowUs < _nextUs) return false;
        _nextUs = nowUs + _periodUs;
        long logged = _count == 0 ? 0 : Before(1).Logged + (nowUs - Before(1).AtUs) * Speed;
        var now = new Sample(nowUs, logged, LoggedAt(nowUs - lagUs, nowUs, logged));
        long backupSpeed = FullSpeed;
        if (_count > 0)
        {
            Sample then = Before(Math.Min(Window, Held));
            backupSpeed = Math.Clamp((now.Executed - then.Executed) / Math.Max(nowUs - then.AtUs, 1), 0, BackupSpeedMax);
        }
        _samples[_count++ % SamplesMax] = now;
        // Half of the limit is where the lag rests; half of that is the time in which it comes there.
        long restUs = maxLagUs / 2;
        long waiting = now.Logged - now.Executed;
        long wanted = Math.Max(backupSpeed * 3 / 4, backupSpeed + (backupSpeed * restUs - waiting) / Math.Max(restUs / 2, 1));
        int before = Speed;
        // What is already on its way back is left alone: the time that records and acknowledgements take comes and goes, too.
        if (wanted > Speed || waiting >= _waiting) Speed = (int)Math.Clamp(wanted, speedMin, FullSpeed);
        _waiting = waiting;
        return Speed != before;
    }

    public void Reset() => (Speed, _count, _waiting) = (FullSpeed, 0, 0);

    private int Held => Math.Min(_count, SamplesMax);

    /// <summary>The sample taken so many before this one, from 1.</summary>
    private Sample Before(int steps) => _samples[(_count - steps) % SamplesMax];

    /// <summary>The work that was logged up to a time; between two samples the speed is one, and before the first it was full.</summary>
    private long LoggedAt(long atUs, long nowUs, long logged)
    {
        var later = new Sample(nowUs, logged, 0);
        for (int steps = 1; steps <= Held; steps++)
        {
            Sample earlier = Before(steps);
            if (earlier.AtUs <= atUs) return earlier.Logged + (atUs - earlier.AtUs) * (later.Logged - earlier.Logged) / Math.Max(later.AtUs - earlier.AtUs, 1);
            later = earlier;
        }
        return later.Logged - (later.AtUs - atUs) * FullSpeed;
    }
}
