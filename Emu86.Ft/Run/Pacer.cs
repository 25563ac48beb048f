// Keeps guest time close to wall time by changing the clock's rate, which is an input like any other (docs/determinism.md).
using System.Diagnostics;

namespace Emu86.Ft.Run;

/// <summary>Wall time as virtual nanoseconds, and the rate at which the guest should count.</summary>
public sealed class Pacer
{
    private const double CorrectionNs = 200e6;
    private const double RateMaxNs = 200, RateMinNs = 0.25;
    private const double SampleNs = 10e6, LateNs = 20e6;
    private const long AdjustEveryNs = 10_000_000;
    private const long DebtMaxNs = 10_000_000_000;

    private long _wallBase;
    private ulong _virtualBase;
    private double _busyNs, _busyInstructions;
    private double _measuredNs;
    private long _lastAdjust;

    /// <summary>Told when time was given up: the host slept, and the guest will not catch up.</summary>
    public Action<TimeSpan>? DebtDropped { get; set; }

    /// <summary>Wall and virtual time are taken as equal now.</summary>
    public void Anchor(ulong virtualNs)
    {
        _wallBase = Stopwatch.GetTimestamp();
        _virtualBase = virtualNs;
        _lastAdjust = _wallBase;
        _busyNs = _busyInstructions = 0;
    }

    /// <summary>Where virtual time should be now.</summary>
    public ulong TargetNs => _virtualBase + (ulong)ElapsedNs(_wallBase);

    /// <summary>Wall time until virtual time should be <paramref name="virtualNs"/>.</summary>
    public TimeSpan Until(ulong virtualNs)
    {
        ulong target = TargetNs;
        return virtualNs <= target ? TimeSpan.Zero : TimeSpan.FromMicroseconds((virtualNs - target) / 1000.0 + 1);
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
        // A guest that mostly halts follows wall time by itself; short samples would only be noise in the log.
        bool late = (double)TargetNs - virtualNs > LateNs;
        if (_busyInstructions < 1000 || (_busyNs < SampleNs && !late)) return null;
        _lastAdjust = Stopwatch.GetTimestamp();
        double sample = _busyNs / _busyInstructions;
        _busyNs = _busyInstructions = 0;
        _measuredNs = _measuredNs == 0 ? sample : 0.7 * _measuredNs + 0.3 * sample;
        double debt = (double)TargetNs - virtualNs;
        if (debt > DebtMaxNs)
        {
            DebtDropped?.Invoke(TimeSpan.FromMilliseconds(debt / 1e6));
            Anchor(virtualNs);
            debt = 0;
        }
        double wanted = _measuredNs * double.Clamp(1 + debt / CorrectionNs, 0.5, 2);
        wanted = double.Clamp(wanted, RateMinNs, RateMaxNs);
        ulong next = (ulong)(wanted * 4294967296.0);
        double change = (double)next / rate;
        return change is > 0.97 and < 1.03 ? null : next;
    }

    private static long ElapsedNs(long since) => (long)((Stopwatch.GetTimestamp() - since) * (1e9 / Stopwatch.Frequency));
}
