// What the screen shows: one moment of the demo as plain values.
namespace Emu86.Ft.Demo;

/// <summary>A line of the event log.</summary>
/// <param name="At">Time since the demo began.</param>
internal sealed record DemoEvent(TimeSpan At, string Who, string Text);

/// <summary>One side. <paramref name="State"/> is what the demo knows of its process.</summary>
internal sealed record SideView(string Name, int ProcessId, SideState State, SideReport? Report);

internal enum SideState
{
    NotStarted,
    Starting,
    Running,
    Killed,
}

/// <summary>One connection of the client.</summary>
/// <param name="Note">The last counter value, for the HTTP connection.</param>
/// <param name="WaitingMs">Age of the question that waits for its answer; 0 when none does.</param>
internal sealed record ConnectionView(string Name, string Note, long Sent, long Answered, double LastMs, double MedianMs, double WaitingMs, double[] Bars);

/// <param name="Elapsed">Since the demo began.</param>
/// <param name="Phase">What happens now.</param>
/// <param name="Until">What happens next, and when; "" when that is not known.</param>
/// <param name="KilledBarsAgo">How many bars before the last one the primary was killed.</param>
internal sealed record DemoView(TimeSpan Elapsed, string Phase, string Until, SideView Primary, SideView Backup,
    IReadOnlyList<ConnectionView> Connections, int? KilledBarsAgo, IReadOnlyList<DemoEvent> Events);

/// <summary>Where the demo is shown.</summary>
internal interface IDemoScreen
{
    /// <summary>Most bars of a latency line that fit.</summary>
    int BarsMax { get; }

    /// <summary>Runs <paramref name="play"/>, which calls its argument several times a second with the current view.</summary>
    void Run(Action<Action<DemoView>> play);

    /// <summary>The last lines, after <see cref="Run"/>.</summary>
    void Finish(Summary summary);
}
