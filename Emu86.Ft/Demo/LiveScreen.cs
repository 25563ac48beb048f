// The demo in a terminal: one picture that is drawn again ten times a second. Fits 80 columns and 24 lines.
using System.Globalization;
using System.Text;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Emu86.Ft.Demo;

/// <summary>Spectre.Console draws; this says what.</summary>
internal sealed class LiveScreen(IAnsiConsole console) : IDemoScreen
{
    private const int WidthMax = 100, EventsShown = 6;

    /// <summary>Up to how many milliseconds a bar of each height stands for; longer ones are full.</summary>
    private static readonly double[] BarLimitsMs = [1, 2, 5, 10, 20, 50, 100];

    private int Width => int.Min(console.Profile.Width, WidthMax);

    public int BarsMax => int.Max(10, Width - 6);

    public void Run(Action<Action<DemoView>> play) =>
        console.Live(new Text("")).AutoClear(false).Overflow(VerticalOverflow.Crop).Start(context => play(view => context.UpdateTarget(Draw(view))));

    public void Finish(Summary summary)
    {
        var grid = new Grid().AddColumn(new GridColumn().NoWrap().PadRight(2)).AddColumn();
        foreach ((string name, string text) in summary.Lines())
        {
            string colour = name != "result" ? "default" : summary.Fault is null ? "green bold" : "red bold";
            grid.AddRow($"[grey]{Markup.Escape(name)}[/]", $"[{colour}]{Markup.Escape(text)}[/]");
        }
        console.WriteLine();
        console.Write(new Padder(grid).Padding(1, 0, 0, 0));
    }

    private Rows Draw(DemoView view)
    {
        var parts = new List<IRenderable> { Sides(view) };
        foreach (ConnectionView connection in view.Connections) parts.AddRange(Connection(connection));
        if (view.Connections.Count > 0) parts.Add(Legend(view));
        foreach (DemoEvent e in view.Events.TakeLast(EventsShown))
        {
            string who = e.Who switch { "primary" => "green", "backup" => "blue", "switch" => "grey", _ => "yellow" };
            string text = Cut(e.Text, Width - 18);
            parts.Add(new Markup($"[grey]{Text($"{e.At.TotalSeconds,6:F1}")}[/] [{who}]{e.Who,-8}[/] {Markup.Escape(text)}"));
        }
        parts.Add(new Markup($"[yellow bold]{Text($"{view.Elapsed.TotalSeconds,6:F1}")} {Markup.Escape(view.Phase + view.Until)}[/]"));
        return new Rows(parts);
    }

    private Table Sides(DemoView view)
    {
        SideView a = view.Primary, b = view.Backup;
        Table table = new Table().RoundedBorder().BorderColor(Color.Grey).Width(Width);
        // Two columns of a side and one of names, each with a border and a space on both sides.
        const int names = 12, frame = 10;
        int side = (Width - names - frame) / 2;
        table.AddColumn(new TableColumn("[grey]emu86[/]").NoWrap().Width(names));
        table.AddColumn(new TableColumn(Header(a, "green")).NoWrap().Width(side));
        table.AddColumn(new TableColumn(Header(b, "blue")).NoWrap().Width(side));
        table.AddRow(new Text("role"), a.State == SideState.Killed ? new Markup("[red bold]killed with SIGKILL[/]") : Cell(a, Role), Cell(b, Role));
        table.AddRow(new Text("instructions"), Cell(a, r => Text($"{r.InstructionCount:N0}")), Cell(b, r => Text($"{r.InstructionCount:N0}")));
        // The primary knows how far the backup is behind: it has the acknowledgements.
        table.AddRow(new Text("behind"), Cell(a, _ => "-"), Cell(b, _ => Text($"{a.Report?.LagMs ?? 0:F1} ms"), _ => "-"));
        table.AddRow(new Text("log"), Cell(a, Log), Cell(b, Log));
        table.AddRow(new Text("outputs held"), Cell(a, Held), Cell(b, Held));
        table.AddRow(new Text("state hashes"), Cell(a, Hashes), Cell(b, Hashes));
        return table;
    }

    private static string Header(SideView side, string colour) =>
        side.State == SideState.NotStarted ? $"[grey]{side.Name}[/]" : $"[{colour}]{side.Name}[/] [grey]process {side.ProcessId}[/]";

    /// <summary>A value of a side; dead sides keep their last value, in grey.</summary>
    private static Markup Cell(SideView side, Func<SideReport, string> value, Func<SideReport, string>? whenLive = null)
    {
        if (side.Report is not { } report) return new Markup("[grey]…[/]");
        string text = whenLive is not null && report.Role == "primary" ? whenLive(report) : value(report);
        if (side.State == SideState.Killed) return new Markup($"[grey]{Markup.Escape(text)}[/]");
        return new Markup(Markup.Escape(text));
    }

    private static string Role(SideReport r) => Text($"{r.Role}, epoch {r.Epoch}{(r.Role == "primary" ? r.Protected ? ", protected" : ", unprotected" : "")}");

    private static string Log(SideReport r) => r is { Role: "primary", Protected: true } ? Text($"{r.LogBytesPerSecond / 1000:F1} kB/s, {r.LogBacklogBytes} B to confirm") : "-";

    private static string Held(SideReport r) => r is { Role: "primary", Protected: true } ? Text($"{r.OutputsHeld}, for {r.DelayP50Us / 1000:F1} ms (p99 {r.DelayP99Us / 1000:F1} ms)") : "-";

    private static string Hashes(SideReport r) => Text($"{r.HashesChecked} compared, {(r.Diverged ? "DIFFERENT" : "equal")}");

    private IEnumerable<IRenderable> Connection(ConnectionView c)
    {
        string waiting = c.WaitingMs > 100 ? Text($"[red bold]waiting for {c.WaitingMs:F0} ms[/]") : Text($"{c.LastMs:F1} ms (median {c.MedianMs:F1})");
        yield return new Markup($" [bold]{Markup.Escape(c.Name)}[/] {Markup.Escape(c.Note)}{Text($"{c.Answered} of {c.Sent} answered, ")}{waiting}");
        yield return new Markup($"  {Bars(c.Bars, BarsMax)}");
    }

    /// <summary>What the bars mean; from the kill on, where it was.</summary>
    private Markup Legend(DemoView view)
    {
        int at = view.Connections[0].Bars.Length - 1 - (view.KilledBarsAgo ?? 0);
        const string words = "the primary was killed here";
        return view.KilledBarsAgo is null || at <= words.Length
            ? new Markup($"[grey]  one bar is {Latencies.Bar.TotalMilliseconds:F0} ms, its height the longest wait: ▁ under 1 ms … █ over 100 ms[/]")
            : new Markup($"  {new string(' ', at - words.Length - 1)}[grey]{words}[/] [red bold]↑[/]");
    }

    private static string Bars(double[] bars, int max)
    {
        var line = new StringBuilder();
        foreach (double ms in bars.TakeLast(max))
        {
            int height = double.IsNaN(ms) ? -1 : Array.FindIndex(BarLimitsMs, limit => ms < limit);
            if (height < 0 && !double.IsNaN(ms)) height = BarLimitsMs.Length;
            string colour = height switch { < 0 => "default", <= 3 => "green", <= 5 => "yellow", _ => "red bold" };
            line.Append($"[{colour}]{(height < 0 ? ' ' : "▁▂▃▄▅▆▇█"[height])}[/]");
        }
        return line.ToString();
    }

    private static string Cut(string text, int width) => text.Length <= width ? text : $"{text[..int.Max(1, width - 1)]}…";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
