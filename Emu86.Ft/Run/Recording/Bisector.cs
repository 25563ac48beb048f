// The role --bisect: executes a recording, or evidence of a divergence, by both engines, and finds the first instruction behind
// which they differ (docs/ft-protocol.md, "Divergence").
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;

namespace Emu86.Ft.Run.Recording;

/// <summary>Compares ways to execute a file. The first of them is what the others are compared with.</summary>
public sealed class Bisector(RunOptions options, IReadOnlyList<ExecutionWay> ways, Report report)
{
    /// <summary>An execution to the end of the file, or to where it went another way.</summary>
    private sealed record Trial(ExecutionWay Way, ReplayResult Result, UInt128 Hash)
    {
        public bool IsSameAs(Trial other) => (Result.End, Result.Position, Hash) == (other.Result.End, other.Result.Position, other.Hash);

        public bool HasDiverged => Result.End == ReplayEnd.Diverged;
    }

    /// <returns>0: all ways agree with each other and with the file; 4: a difference was found.</returns>
    public int Run()
    {
        using var source = new RecordingSource(options, "--bisect", options.BisectFile!, report);
        if (source.Evidence is not null) report.Say(source.Evidence.Sentence);
        var executor = new Executor(source, report);
        using var signals = new Signals(executor.Stop);
        using RecordedRun sound = executor.Begin(ways[0], snapshot: 0)!;
        Trial reference = ToTheEnd(executor, ways[0], sound);
        source.RequireDisks(sound);
        int compared = 0;
        foreach (ExecutionWay way in ways.Skip(1))
        {
            using RecordedRun? run = executor.Begin(way, snapshot: 0);
            if (run is null)
            {
                report.Say($"this host cannot run {way.Name}");
                continue;
            }
            compared++;
            Trial trial = ToTheEnd(executor, way, run);
            if (trial.IsSameAs(reference)) continue;
            if (source.Evidence is { } evidence) SayWhose(evidence, reference, trial);
            new InstructionSearch(executor, report, ways[0], way).Run(ulong.Min(reference.Result.LastMatch, trial.Result.LastMatch), reference.Result.Position, trial.Result.Position);
            return ExitCode.Diverged;
        }
        ReplayResult result = reference.Result;
        if (compared > 0) report.Say($"both engines agree at every state hash up to count {result.LastMatch} ({result.HashesMatched}){(reference.HasDiverged ? $", and in another state at count {result.Position.Count}" : "")}");
        else if (source.Evidence is null) throw new HostException("--bisect compares the interpreter with the translator, which needs Linux on an x86-64 processor");
        if (reference.HasDiverged) report.Say($"{(compared > 0 ? "but this is" : "this is")} not the recorded state: diverged at count {result.Position.Count}, {result.Detail}");
        if (source.Evidence is not null) report.Say(source.Evidence.Verdict(result, sound.Machine));
        return reference.HasDiverged ? ExitCode.Diverged : ExitCode.Ok;
    }

    private Trial ToTheEnd(Executor executor, ExecutionWay way, RecordedRun run)
    {
        ReplayResult result = executor.Run(run, way);
        if (result.End == ReplayEnd.Broken) throw new HostException($"--bisect {options.BisectFile}: {result.Detail}; what is whole ends at count {result.Position.Count}");
        return new Trial(way, result, run.Machine.StateHash());
    }

    private void SayWhose(EvidenceNotes evidence, Trial one, Trial other)
    {
        foreach (Trial trial in new[] { one, other })
        {
            string? whose = !trial.HasDiverged ? "the primary's run" : trial.Hash == evidence.Message.OwnHash ? $"the {evidence.Message.Side}'s run" : null;
            if (whose is not null) report.Say($"{trial.Way.Name} repeats {whose}");
        }
    }
}
