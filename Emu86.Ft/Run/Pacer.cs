// Keeps guest time close to wall time by changing the clock's rate, which is an input like any other (docs/determinism.md).
using System.Diagnostics;

namespace Emu86.Ft.Run;

/// <summary>Wall time as virtual nanoseconds, and the rate at which the guest should count.</summary>
/// <param name="timestamp">The host's monotonic clock in Stopwatch ticks; null: the Stopwatch.</param>
public sealed class Pacer(Func<long>? timestamp = null)
{
    /// <summary>What is missing to wall time beyond this is given up (a suspended host), in nanoseconds.</summary>
    public const long DebtMaxNs = 10_000_000_000;

    private const double CorrectionNs = 200e6;
    private const double RateMaxNs = 200, RateMinNs = 0.02;
    private const double SampleNs = 10e6, LateNs = 20e6, StepMaxNs = 200e6;
    private const long AdjustEveryNs = 10_000_000;

    /// <summary>While the guest's time is near wall time a small change of its speed can wait: each change is a record of the log.</summary>
    private const long SmallChangeEveryNs = 100_000_000;

    private const double SmallChange = 1.5;

    private long _wallBase;
    private ulong _virtualBase;
    private double _owedNs;
    private double _busyNs, _busyInstructions;
    private double _measuredNs;
    private long _lastAdjust;
    private long _lastChange;
    private long _lastLook;

    /// <summary>Told when time was given up: the host slept, and the guest will not catch up.</summary>
    public Action<TimeSpan>? DebtDropped { get; set; }

    /// <summary>From here on both times go on together.</summary>
    /// <param name="virtualNs">The guest's time now.</param>
    /// <param name="owedNs">By how much it should be further (negative: is too far), and will be after a while.</param>
    public void Anchor(ulong virtualNs, double owedNs = 0)
    {
        _wallBase = Now;
        _virtualBase = virtualNs;
        _owedNs = owedNs;
        _lastAdjust = _lastLook = _wallBase;
        _busyNs = _busyInstructions = 0;
    }

    /// <summary>Up to where halted time may pass now. What is owed is made up at twice the speed of wall time, or at half of it
    /// where the guest is too far: its timers neither come in a burst nor stop.</summary>
    public ulong IdleLimitNs(ulong virtualNs)
    {
        double debt = DebtNs(virtualNs);
        if (debt > DebtMaxNs)
        {
            DebtDropped?.Invoke(TimeSpan.FromMilliseconds(debt / 1e6));
            Anchor(virtualNs);
            return virtualNs;
        }
        double sinceLast = ElapsedNs(_lastLook);
        _lastLook = Now;
        ulong limit = Slewed;
        if (limit <= virtualNs + LateNs) return limit;
        // The guest was too slow for wall time, or the host did not let it run. It goes on from where it is; where the host wakes
        // it late each time, what it may do at once is as much as twice the time since then.
        ulong step = (ulong)double.Min(double.Clamp(2 * sinceLast, LateNs, StepMaxNs), limit - virtualNs);
        (_wallBase, _virtualBase, _owedNs) = (_lastLook, virtualNs + step, debt - step);
        return _virtualBase;
    }

    /// <summary>Wall time until halted time may have passed up to <paramref name="virtualNs"/>; may be too short, never too long.</summary>
    public TimeSpan Until(ulong virtualNs)
    {
        ulong limit = Slewed;
        if (virtualNs <= limit) return TimeSpan.Zero;
        double speed = _owedNs > ElapsedNs(_wallBase) ? 2 : 1;
        return TimeSpan.FromMicroseconds((virtualNs - limit) / speed / 1000.0 + 1);
    }

    /// <summary>Notes how long a slice of instructions took.</summary>
    public void Ran(ulong instructions, long wallTicks)
    {
        _busyInstructions += instructions;
        _busyNs += wallTicks * (1e9 / Stopwatch.Frequency);
    }

    /// <summary>The rate to change to (32.32 fixed point), or null when the current one will do.</summary>
    public ulong? Adjust(ulong virtualNs, ulong rate)
    {
        if (ElapsedNs(_lastAdjust) < AdjustEveryNs) return null;
        double debt = DebtNs(virtualNs);
        // A guest that mostly halts follows wall time by itself; short samples would only be noise in the log.
        if (_busyInstructions < 1000 || (_busyNs < SampleNs && debt <= LateNs)) return null;
        _lastAdjust = Now;
        double sample = _busyNs / _busyInstructions;
        _busyNs = _busyInstructions = 0;
        _measuredNs = _measuredNs == 0 ? sample : 0.7 * _measuredNs + 0.3 * sample;
        double wanted = _measuredNs * double.Clamp(1 + debt / CorrectionNs, 0.5, 2);
        wanted = double.Clamp(wanted, RateMinNs, RateMaxNs);
        ulong next = (ulong)(wanted * 4294967296.0);
        double change = (double)next / rate;
        bool isSmall = double.Abs(debt) <= LateNs && change is > 1 / SmallChange and < SmallChange;
        if (change is > 0.97 and < 1.03 || (isSmall && ElapsedNs(_lastChange) < SmallChangeEveryNs)) return null;
        _lastChange = _lastAdjust;
        return next;
    }

    private long Now => timestamp is null ? Stopwatch.GetTimestamp() : timestamp();

    // Where virtual time should be now when everything that is owed counts at once.
    private double DebtNs(ulong virtualNs) => (double)_virtualBase - virtualNs + ElapsedNs(_wallBase) + _owedNs;

    private ulong Slewed
    {
        get
        {
            double elapsed = ElapsedNs(_wallBase);
            return _virtualBase + (ulong)(elapsed + double.Clamp(_owedNs, -elapsed / 2, elapsed));
        }
    }

    private long ElapsedNs(long since) => (long)((Now - since) * (1e9 / Stopwatch.Frequency));
}
