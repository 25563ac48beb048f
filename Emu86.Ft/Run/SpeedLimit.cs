// A guest that may not run at full speed stands still between slices.
namespace Emu86.Ft.Run;

/// <summary>How long it still has to stand still. Times are in ticks of one clock.</summary>
/// <param name="waitMin">A wait takes at least about half of this: shorter rests are saved up, or a guest at 98 % would run at a third.</param>
public sealed class SpeedLimit(long waitMin)
{
    private long _owed;

    /// <summary>The rest that is due now, or 0.</summary>
    public long Due => _owed >= waitMin ? _owed : 0;

    /// <summary>A slice took so long; returns what it would have taken at the given speed.</summary>
    /// <param name="took">Of the host's time.</param>
    /// <param name="speed">Permille of full speed.</param>
    public long Ran(long took, int speed)
    {
        if (speed is <= 0 or >= 1000)
        {
            _owed = 0;
            return took;
        }
        long slowed = took * 1000 / speed;
        _owed += slowed - took;
        return slowed;
    }

    /// <summary>The guest stood still; what that took too long is taken off the next rests.</summary>
    public void Rested(long time) => _owed = long.Max(_owed - time, -waitMin);
}
