// The demo as plain lines, where stdout is not a terminal: a log file, a test, a pipe.
using System.Globalization;

namespace Emu86.Ft.Demo;

/// <summary>Events as they come, and a line of numbers every second.</summary>
internal sealed class PlainScreen(TextWriter to) : IDemoScreen
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    private int _eventsShown;
    private string _phase = "";
    private TimeSpan _next;

    public int BarsMax => 1;

    public void Run(Action<Action<DemoView>> play) => play(Show);

    public void Finish(Summary summary)
    {
        Write($"demo: summary");
        foreach ((string name, string text) in summary.Lines()) Write($"  {name,-11} {text}");
        to.Flush();
    }

    private void Show(DemoView view)
    {
        if (view.Phase != _phase)
        {
            _phase = view.Phase;
            Write($"{view.Elapsed.TotalSeconds,5:F1} s  {_phase}");
        }
        for (; _eventsShown < view.Events.Count; _eventsShown++)
        {
            DemoEvent e = view.Events[_eventsShown];
            Write($"{e.At.TotalSeconds,5:F1} s  [{e.Who}] {e.Text}");
        }
        if (view.Connections.Count > 0 && view.Elapsed >= _next)
        {
            _next = view.Elapsed + Every;
            Write($"{view.Elapsed.TotalSeconds,5:F1} s  {Side(view.Primary)}; {Side(view.Backup)}; {string.Join("; ", view.Connections.Select(Connection))}");
        }
        to.Flush();
    }

    private static string Side(SideView side) => side.State == SideState.Killed || side.Report is not { } r
        ? $"{side.Name} {side.State.ToString().ToLowerInvariant()}"
        : r.Role == "primary"
        ? Text($"{side.Name} at {r.InstructionCount:N0}, log {r.LogBytesPerSecond / 1000:F1} kB/s, held {r.OutputsHeld}, backup {r.LagMs:F1} ms behind")
        : Text($"{side.Name} at {r.InstructionCount:N0}, {r.HashesChecked} hashes equal");

    private static string Connection(ConnectionView c) =>
        Text($"{c.Name} {c.Note}{c.Answered} of {c.Sent}, {(c.WaitingMs > c.LastMs ? c.WaitingMs : c.LastMs):F1} ms");

    private void Write(FormattableString text) => to.WriteLine(Text(text));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
