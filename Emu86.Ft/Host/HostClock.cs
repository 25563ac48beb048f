// The host's monotonic clock, in the protocol's unit.
using System.Diagnostics;

namespace Emu86.Ft.Host;

internal static class HostClock
{
    /// <summary>Microseconds since an arbitrary moment; never goes back.</summary>
    public static long NowUs => (long)((Int128)Stopwatch.GetTimestamp() * 1_000_000 / Stopwatch.Frequency);
}
