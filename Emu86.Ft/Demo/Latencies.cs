// How long each exchange took, as numbers and as a line of bars.
using System.Diagnostics;

namespace Emu86.Ft.Demo;

/// <summary>Written by one client thread, read by the screen. Times are Stopwatch ticks.</summary>
internal sealed class Latencies
{
    /// <summary>Wall time of one bar.</summary>
    public static readonly TimeSpan Bar = TimeSpan.FromMilliseconds(250);

    private static readonly long BarTicks = (long)(Bar.TotalSeconds * Stopwatch.Frequency);

    private readonly Lock _lock = new();
    private readonly List<(long Start, long End)> _done = [];
    private long _open;

    public void Asked(long at)
    {
        lock (_lock) _open = at;
    }

    public void Answered(long at)
    {
        lock (_lock)
        {
            _done.Add((_open, at));
            _open = 0;
        }
    }

    /// <summary>When the question was asked that waits for its answer; 0 when none does.</summary>
    public long Open
    {
        get
        {
            lock (_lock) return _open;
        }
    }

    /// <summary>The last exchange, in milliseconds.</summary>
    public double LastMs
    {
        get
        {
            lock (_lock) return _done.Count == 0 ? 0 : Milliseconds(_done[^1]);
        }
    }

    /// <summary>The median of all exchanges, in milliseconds.</summary>
    public double MedianMs
    {
        get
        {
            lock (_lock)
            {
                if (_done.Count == 0) return 0;
                double[] sorted = [.. _done.Select(Milliseconds)];
                Array.Sort(sorted);
                return sorted[sorted.Length / 2];
            }
        }
    }

    /// <summary>The longest time without an answer around <paramref name="moment"/>, in milliseconds: it ended later, and had
    /// begun at most a second later. Answers that were under way at that moment are thereby no end of it.</summary>
    public double SilenceAroundMs(long moment)
    {
        lock (_lock)
        {
            long longest = 0;
            for (int n = 1; n < _done.Count; n++)
            {
                if (_done[n].End > moment && _done[n - 1].End < moment + Stopwatch.Frequency) longest = long.Max(longest, _done[n].End - _done[n - 1].End);
            }
            return Milliseconds((0, longest));
        }
    }

    /// <summary>Whether something that was asked after <paramref name="moment"/> has been answered.</summary>
    public bool AnsweredSince(long moment)
    {
        lock (_lock) return _done.Count > 0 && _done[^1].Start > moment;
    }

    /// <summary>How many bars before the bar of <paramref name="now"/> that of <paramref name="moment"/> stands.</summary>
    public static int BarsAgo(long start, long moment, long now) => (int)((now - start) / BarTicks - (moment - start) / BarTicks);

    /// <summary>The worst waiting time in each of the last bars, in milliseconds; NaN where nobody waited.</summary>
    /// <param name="count">Most bars.</param>
    /// <param name="start">When the first bar began.</param>
    /// <param name="now">In the last bar.</param>
    public double[] Bars(int count, long start, long now)
    {
        long width = BarTicks;
        // Bars stand still: their borders are multiples of the width since the start.
        long last = (now - start) / width;
        var bars = new double[(int)long.Min(count, last + 1)];
        Array.Fill(bars, double.NaN);
        long firstBar = last - bars.Length + 1;
        lock (_lock)
        {
            for (int n = _done.Count - 1; n >= 0 && (_done[n].End - start) / width >= firstBar; n--) Mark(_done[n].Start, _done[n].End);
            if (_open != 0) Mark(_open, now);
        }
        return bars;

        void Mark(long from, long to)
        {
            for (long bar = long.Max((from - start) / width, firstBar); bar <= long.Min((to - start) / width, last); bar++)
            {
                long waited = long.Min(to, start + ((bar + 1) * width)) - from;
                double ms = Milliseconds((0, waited)), before = bars[bar - firstBar];
                bars[bar - firstBar] = double.IsNaN(before) ? ms : double.Max(before, ms);
            }
        }
    }

    private static double Milliseconds((long Start, long End) span) => (span.End - span.Start) * 1000.0 / Stopwatch.Frequency;
}
