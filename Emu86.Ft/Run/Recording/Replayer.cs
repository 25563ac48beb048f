// The role --replay: runs a recording and says whether it was the same run.
using System.Diagnostics;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;

namespace Emu86.Ft.Run.Recording;

/// <summary>Opens a recording, builds its machine, replays it.</summary>
public sealed class Replayer(RunOptions options)
{
    private static readonly TimeSpan ProgressEvery = TimeSpan.FromSeconds(5);

    private readonly Report _report = new(options.JsonLog);
    private readonly string _path = options.ReplayFile!;

    /// <returns>The exit code.</returns>
    public int Run()
    {
        using var source = new RecordingSource(options, "--replay", _path, _report);
        EvidenceNotes? evidence = source.Evidence;
        if (evidence is not null) _report.Say(evidence.Sentence);
        int snapshot = evidence is null && options.From is { } from ? source.SnapshotBefore(from) : 0;
        using ISerialTarget serial = SerialTargets.Open(options.Serial, _report.Say);
        long said = Stopwatch.GetTimestamp();
        using RecordedRun run = source.Begin(options.Engine, new WorldOutputs(options, serial, network: null), snapshot, at =>
        {
            serial.Flush();
            if (Stopwatch.GetElapsedTime(said) < ProgressEvery) return;
            said = Stopwatch.GetTimestamp();
            _report.Say($"replay at count {at.Count}, {at.VirtualTimeNs / 1e9:F1} s of guest time");
        });
        Machine machine = run.Machine;
        using var signals = new Signals(run.Replay.Stop);
        if (options.From is not null) _report.Say($"replay begins at count {machine.Position.Count}");
        ulong? until = options.Until ?? options.StopAt;
        if (until < machine.Position.Count) throw new HostException($"the replay begins at count {machine.Position.Count}, after --until {until}");
        ReplayResult result = run.Replay.Run(until);
        serial.Flush();
        source.RequireDisks(run);
        if (options.PrintHash) Console.Out.WriteLine($"state-hash {machine.Position.Count} {machine.StateHash():x32}");
        int code = ExitCodeOf(result);
        if (evidence is not null) _report.Say(evidence.Verdict(result, machine));
        return code;
    }

    private int ExitCodeOf(ReplayResult result)
    {
        ulong count = result.Position.Count;
        switch (result.End)
        {
            case ReplayEnd.Complete or ReplayEnd.UntilReached:
                _report.Say($"replayed to count {count}, {result.HashesMatched} state hashes matched");
                return ExitCode.Ok;
            case ReplayEnd.Diverged:
                _report.Say($"diverged at count {count}, {result.Detail}");
                return ExitCode.Diverged;
            case ReplayEnd.EndedBeforeUntil:
                throw new HostException($"the recording ends at count {count}, before the asked count; {result.HashesMatched} state hashes matched");
            case ReplayEnd.Broken:
                throw new HostException($"--replay {_path}: {result.Detail}; replayed what is whole, to count {count}, {result.HashesMatched} state hashes matched");
            default:
                throw new HostException($"the replay was ended at count {count}, before its end; {result.HashesMatched} state hashes matched");
        }
    }
}
