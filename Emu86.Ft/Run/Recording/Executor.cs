// Executes a recording in a given way, as often as a search asks for it, and says how far it is.
using System.Diagnostics;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;

namespace Emu86.Ft.Run.Recording;

/// <summary>Runs the machine of a file; nothing of the guest leaves it.</summary>
internal sealed class Executor(RecordingSource source, Report report)
{
    private static readonly TimeSpan ProgressEvery = TimeSpan.FromSeconds(5);

    private long _said = Stopwatch.GetTimestamp();
    private string _doing = "";
    private volatile Replay? _running;
    private volatile bool _asked;

    /// <summary>Ends what runs, with a <see cref="HostException"/> there. From any thread.</summary>
    public void Stop()
    {
        _asked = true;
        _running?.Stop();
    }

    /// <summary>The ordinal of the last snapshot in the file at or before a count.</summary>
    public int SnapshotBefore(ulong count) => source.SnapshotBefore(count);

    /// <summary>Where a way begins. Null: this host cannot run it.</summary>
    public RecordedRun? Begin(ExecutionWay way, int snapshot)
    {
        RecordedRun? run = null;
        run = source.Begin(EngineChoice.Interpreter, new NoOutputs(), snapshot, at =>
        {
            if (way.Stopped is { } stopped) stopped(run!.Machine);
            Progress(at);
        });
        if (way.Choose(run.Machine)) return run;
        run.Dispose();
        return null;
    }

    /// <summary>Runs on, to the end or to the first boundary with a count.</summary>
    public ReplayResult Run(RecordedRun run, ExecutionWay way, ulong? until = null)
    {
        _doing = way.Name;
        _running = run.Replay;
        if (_asked) run.Replay.Stop();
        ReplayResult result = run.Replay.Run(until);
        if (result.End == ReplayEnd.Asked) throw new HostException($"--bisect was ended while {way.Name} was at count {result.Position.Count}");
        return result;
    }

    /// <summary>Runs from a snapshot to a count, with stops before it or without.</summary>
    public RunAt At(ExecutionWay way, int snapshot, params ReadOnlySpan<ulong> counts)
    {
        using RecordedRun run = Begin(way, snapshot)!;
        foreach (ulong count in counts) Run(run, way, count);
        return new RunAt(run.Machine.Position, run.Machine.StateHash());
    }

    private void Progress(Position at)
    {
        if (Stopwatch.GetElapsedTime(_said) < ProgressEvery) return;
        _said = Stopwatch.GetTimestamp();
        report.Say($"{_doing} at count {at.Count}, {at.VirtualTimeNs / 1e9:F1} s of guest time");
    }

    private sealed class NoOutputs : IOutputSink
    {
        public void Emit(Output output)
        {
        }
    }
}
