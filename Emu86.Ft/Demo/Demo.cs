// The role --demo: on this machine a switch, a primary, a backup and a client; then the primary is killed.
using System.Diagnostics;
using System.Runtime.InteropServices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Run;
using Spectre.Console;

namespace Emu86.Ft.Demo;

/// <summary>Plays the demo once; see docs/demo.md.</summary>
public sealed class Demo
{
    private static readonly TimeSpan Frame = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ProtectedFor = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan AfterwardsFor = TimeSpan.FromSeconds(5);

    private readonly RunOptions _options;
    private readonly IDemoScreen _screen;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Lock _eventLock = new();
    private readonly List<DemoEvent> _events = [];
    private readonly CountExchange _count = new();
    private Client[] _clients = [];
    private string _phase = "", _until = "";
    private long _askedFrom, _killedAt;
    private bool _killed;
    private SideReport? _lastOfPrimary;
    private readonly List<double> _logRates = [];
    private long _hashesChecked;
    private bool _diverged;
    private volatile bool _interrupted;

    public Demo(RunOptions options)
    {
        if (!options.UsesEmbeddedGuest) throw new HostException("--demo runs the embedded guest; leave out --kernel, --bios, --restore and the disks", ExitCode.Usage);
        _options = options;
        bool terminal = !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;
        _screen = terminal ? new LiveScreen(AnsiConsole.Console) : new PlainScreen(Console.Out);
    }

    /// <summary>Returns the exit code.</summary>
    public int Run()
    {
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            _interrupted = true;
        });
        using var signals = new Signals(() => _interrupted = true);
        using var stage = new Stage(_options, (who, text) => Note(who, text.StartsWith("emu86: ", StringComparison.Ordinal) ? text["emu86: ".Length..] : text));
        Summary? summary = null;
        try
        {
            _screen.Run(show => summary = Play(stage, show));
        }
        catch (OperationCanceledException)
        {
            throw new HostException("the demo was interrupted; its processes have been ended");
        }
        finally
        {
            foreach (Client client in _clients) client.Dispose();
        }
        _screen.Finish(summary!);
        if (summary!.Fault is { } fault) new Report(_options.JsonLog).Say(fault);
        return summary.ExitCode;
    }

    private Summary Play(Stage stage, Action<DemoView> show)
    {
        void Until(Func<bool> reached, string what)
        {
            TimeSpan end = _clock.Elapsed + StartWithin;
            while (!reached())
            {
                if (_clock.Elapsed > end) throw new HostException($"{what} did not happen within {StartWithin.TotalSeconds:F0} s");
                Tick(stage, show);
            }
        }

        _phase = "starting an Ethernet switch with the user-mode network";
        stage.StartSwitch();
        Until(stage.SwitchIsUp, "the start of the switch");
        _phase = "starting a backup, which waits for a primary";
        stage.StartBackup();
        Until(() => stage.BackupWatch.Answers, "the start of the backup");
        _phase = "starting a primary, which clones its running guest to the backup";
        stage.StartPrimary();
        Until(() => stage.PrimaryWatch is { Answers: true, Last.Protected: true }, "protection of the primary by the backup");

        _phase = "connecting to the guest";
        _clients = [new Client(_count, stage.HttpPort), new Client(new EchoExchange(), stage.EchoPort)];
        Task[] opened = [.. _clients.Select(c => Task.Factory.StartNew(() => c.Open(StartWithin, () => _interrupted), TaskCreationOptions.LongRunning))];
        while (!Task.WhenAll(opened).IsCompleted) Tick(stage, show);
        foreach (Task task in opened) task.GetAwaiter().GetResult();
        foreach (Client client in _clients) Note("client", $"connected for {client.Name} from {client.Address}, and never again");

        TimeSpan from = _clock.Elapsed;
        _askedFrom = Stopwatch.GetTimestamp();
        foreach (Client client in _clients) client.Start();
        _phase = "the primary is protected";
        while (_clock.Elapsed - from < ProtectedFor)
        {
            _until = $"; it is killed in {Math.Ceiling((ProtectedFor - (_clock.Elapsed - from)).TotalSeconds):F0} s";
            if (stage.PrimaryWatch.Last is { } report) _logRates.Add(report.LogBytesPerSecond);
            Tick(stage, show);
        }

        TimeSpan protectedFor = _clock.Elapsed - from;
        _until = "";
        _phase = $"the primary is dead (SIGKILL to process {stage.Primary!.Id})";
        Note("demo", $"SIGKILL to the primary, process {stage.Primary.Id}");
        _killedAt = Stopwatch.GetTimestamp();
        stage.Primary.Kill();
        _killed = true;
        from = _clock.Elapsed;
        while (_clock.Elapsed - from < AfterwardsFor || (!AllAnsweredSince(_killedAt) && _clients.All(c => c.Failure is null)))
        {
            if (AllAnsweredSince(_killedAt)) _phase = "the backup is live; the same connections go on";
            Tick(stage, show);
        }
        foreach (Client client in _clients)
        {
            if (!client.Finish()) Note("client", $"{client.Name} is still waiting");
        }
        _phase = "done";
        Tick(stage, show);
        return new Summary
        {
            Connections = [.. _clients.Select(c => (c.Name, c.Sent, c.Answered, c.Failure))],
            Counter = (_count.First, _count.Last),
            OutageMs = _clients.Max(c => c.Latencies.SilenceAroundMs(_killedAt)),
            UsualMs = _clients.Max(c => c.Latencies.MedianMs),
            WentLive = Events().LastOrDefault(e => e.Who == "backup" && e.Text.StartsWith("went live", StringComparison.Ordinal))?.Text,
            Backup = stage.BackupWatch.Last,
            HashesChecked = _hashesChecked,
            Diverged = _diverged,
            LogBytesPerSecond = _logRates.Average(),
            Protected = protectedFor,
        };
    }

    private bool AllAnsweredSince(long moment) => _clients.All(c => c.Latencies.AnsweredSince(moment));

    /// <summary>Shows a view, checks that everybody is well, and waits for the next frame.</summary>
    private void Tick(Stage stage, Action<DemoView> show)
    {
        if (_interrupted) throw new OperationCanceledException();
        if (!_killed) _lastOfPrimary = stage.PrimaryWatch.Last;
        if (stage.BackupWatch.Last is { } backup)
        {
            if (backup.Role != "primary") _hashesChecked = Math.Max(_hashesChecked, backup.HashesChecked);
            _diverged |= backup.Diverged;
        }
        _diverged |= _lastOfPrimary?.Diverged ?? false;
        show(View(stage));
        foreach (ChildProcess? child in new[] { stage.Switch, stage.Backup, _killed ? null : stage.Primary })
        {
            if (child is { HasExited: true }) throw new HostException($"the {child.Name} ended by itself with {child.Epitaph()}");
        }
        Thread.Sleep(Frame);
    }

    private DemoView View(Stage stage)
    {
        SideView Side(string name, ChildProcess? child, SideWatch watch, bool killed) => new(name, child?.Id ?? 0,
            child is null ? SideState.NotStarted : killed ? SideState.Killed : watch.Last is null ? SideState.Starting : SideState.Running,
            killed ? _lastOfPrimary : watch.Last);

        long now = Stopwatch.GetTimestamp();
        ConnectionView Connection(Client c)
        {
            long open = c.Latencies.Open;
            string note = c.Name == _count.Name ? $"counted to {_count.Last}, " : "";
            return new ConnectionView(c.Name, note, c.Sent, c.Answered, c.Latencies.LastMs, c.Latencies.MedianMs,
                open == 0 ? 0 : (now - open) * 1000.0 / Stopwatch.Frequency, c.Latencies.Bars(_screen.BarsMax, _askedFrom, now));
        }

        ConnectionView[] connections = [.. _clients.Where(c => c.Sent > 0).Select(Connection)];
        return new DemoView(_clock.Elapsed, _phase, _until, Side("primary", stage.Primary, stage.PrimaryWatch, _killed), Side("backup", stage.Backup, stage.BackupWatch, false), connections,
            _killed ? Latencies.BarsAgo(_askedFrom, _killedAt, now) : null, Events());
    }

    private void Note(string who, string text)
    {
        lock (_eventLock) _events.Add(new DemoEvent(_clock.Elapsed, who, text));
    }

    private DemoEvent[] Events()
    {
        lock (_eventLock) return [.. _events];
    }
}
