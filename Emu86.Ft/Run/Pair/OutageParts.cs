// Where the time between the last sign of a primary and its backup's first turn as one goes.
namespace Emu86.Ft.Run.Pair;

/// <summary>Notes when a backup passes each station on its way to being live. Times are those of <see cref="Host.HostClock"/>.</summary>
internal sealed class OutageParts
{
    private long _heardUs, _noticedUs, _wonUs, _executedUs;

    /// <summary>The primary gave a sign of life.</summary>
    public void Heard(long nowUs) => (_heardUs, _noticedUs, _wonUs) = (nowUs, 0, 0);

    /// <summary>The arbiter is asked, perhaps again.</summary>
    public void Noticed(long nowUs)
    {
        if (_noticedUs == 0) _noticedUs = nowUs;
    }

    /// <summary>The epoch is won.</summary>
    public void Won(long nowUs)
    {
        if (_wonUs == 0) _wonUs = nowUs;
    }

    /// <summary>All of the log is executed.</summary>
    public void Executed(long nowUs) => _executedUs = nowUs;

    /// <summary>All of it, in milliseconds, when this side is live.</summary>
    public long TotalMs(long nowUs) => (nowUs - _heardUs) / 1000;

    /// <summary>The parts as a sentence.</summary>
    public string Sentence(long nowUs) =>
        $"of the outage, {Ms(_heardUs, _noticedUs)} ms until it was noticed, {Ms(_noticedUs, _wonUs)} until the epoch was won, {Ms(_wonUs, _executedUs)} until the log was executed, {Ms(_executedUs, nowUs)} until the world was taken over";

    private static long Ms(long fromUs, long toUs) => (toUs - fromUs) / 1000;
}
