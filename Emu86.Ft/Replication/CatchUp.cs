// How much a guest may be slowed while a new backup executes what was logged since its state was taken.
namespace Emu86.Ft.Replication;

/// <summary>The bound of one catching up. Nine tenths, as long as the backup gains enough to be near in time; seconds in which it does not
/// are borne for a while, and then each takes a tenth more: a backup that is too slow would never be armed.</summary>
/// <param name="nowUs">When it begins.</param>
/// <param name="nearUs">How much may be left for it to be near, in microseconds at full speed.</param>
public sealed class CatchUp(long nowUs, long nearUs)
{
    public const int Speed = 900;

    /// <summary>It should be near after this time.</summary>
    public const long NearAfterUs = 60_000_000;

    /// <summary>So many microseconds without enough gain are borne.</summary>
    public const long PatienceUs = 5_000_000;

    private const long LookEveryUs = 1_000_000;

    private readonly long _endUs = nowUs + NearAfterUs;
    private long _lookedUs = nowUs;
    private long? _waitedUs;
    private long _patienceUs = PatienceUs;

    /// <summary>Permille of full speed: not slower than this.</summary>
    public int SpeedMin { get; private set; } = Speed;

    /// <summary>Takes a measurement; returns <see cref="SpeedMin"/>.</summary>
    /// <param name="atUs">Host time.</param>
    /// <param name="waitingUs">What the backup has still to execute, in microseconds at full speed.</param>
    public int Update(long atUs, long waitingUs)
    {
        long since = atUs - _lookedUs;
        if (since < LookEveryUs) return SpeedMin;
        long left = Math.Max(waitingUs - nearUs, 0);
        bool gains = left == 0 || _waitedUs is not { } before || (before - waitingUs) / 1000 >= left / 1000 * since / Math.Max(_endUs - atUs, since);
        (_lookedUs, _waitedUs) = (atUs, waitingUs);
        if (gains) return SpeedMin;
        _patienceUs -= since;
        if (_patienceUs < 0) SpeedMin = (int)Math.Max(SpeedMin - LagController.FullSpeed / 10 * since / LookEveryUs, LagController.SpeedMin);
        return SpeedMin;
    }
}
