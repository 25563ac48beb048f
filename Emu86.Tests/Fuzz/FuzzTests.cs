// A fuzzer over every parser that faces a network or a file: a little of it each time, as much as wanted by
// docs/scripts/fuzz.sh. A failure names the input; put it into FuzzFindingsTests when it is mended.
using System.Diagnostics;
using System.Globalization;
using Emu86.Tests.Replication;
using FsCheck.Xunit;

namespace Emu86.Tests.Fuzz;

public sealed class FuzzTests
{
    private static readonly FuzzTarget[] Targets =
    [
        FuzzStreams.Frames, FuzzStreams.CheckedFrames, FuzzStreams.Payloads, FuzzStreams.Heartbeats, FuzzStreams.Recordings, FuzzStreams.CheckedRecordings,
        FuzzStreams.Backup, FuzzStreams.Primary, FuzzNetwork.UserNetwork, FuzzNetwork.Switch, FuzzSockets.Status, FuzzSockets.Stream,
        FuzzFiles.Configurations, FuzzFiles.Snapshots, FuzzFiles.Replays,
    ];

    public static TheoryData<string> Names => [.. Targets.Select(t => t.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_parser_accepts_what_is_valid(string name) => Array.Find(Targets, t => t.Name == name)!.TrySeeds();

    [Property(MaxTest = 400)]
    public void Damaged_frames_are_taken_or_refused(int salt, int[] edits) => FuzzStreams.Frames.Try(salt, edits);

    [Property(MaxTest = 400)]
    public void Forged_frames_are_taken_or_refused(int salt, int[] edits) => FuzzStreams.CheckedFrames.Try(salt, edits);

    [Property(MaxTest = 1000)]
    public void Forged_payloads_are_taken_or_refused(int salt, int[] edits) => FuzzStreams.Payloads.Try(salt, edits);

    [Property(MaxTest = 400)]
    public void Forged_heartbeats_are_ignored(int salt, int[] edits) => FuzzStreams.Heartbeats.Try(salt, edits);

    [Property(MaxTest = 300)]
    public void Damaged_recordings_are_read_or_refused(int salt, int[] edits)
    {
        FuzzStreams.Recordings.Try(salt, edits);
        FuzzStreams.CheckedRecordings.Try(salt, edits);
    }

    [Property(MaxTest = 400)]
    public void A_backup_takes_or_refuses_whatever_a_primary_says(int salt, int[] edits) => FuzzStreams.Backup.Try(salt, edits);

    [Property(MaxTest = 400)]
    public void A_primary_takes_or_refuses_whatever_a_backup_says(int salt, int[] edits) => FuzzStreams.Primary.Try(salt, edits);

    [Property(MaxTest = 400)]
    public void Forged_packets_of_a_guest_do_no_harm(int salt, int[] edits) => FuzzNetwork.UserNetwork.Try(salt, edits);

    [Property(MaxTest = 200)]
    public void Forged_frames_do_the_switch_no_harm(int salt, int[] edits) => FuzzNetwork.Switch.Try(salt, edits);

    [Property(MaxTest = 60)]
    public void Any_request_to_the_status_port_is_answered_or_dropped(int salt, int[] edits) => FuzzSockets.Status.Try(salt, edits);

    [Property(MaxTest = 60)]
    public void Any_stream_of_frames_is_taken_or_ended(int salt, int[] edits) => FuzzSockets.Stream.Try(salt, edits);

    [Property(MaxTest = 150)]
    public void Forged_configurations_are_built_or_refused(int salt, int[] edits) => FuzzFiles.Configurations.Try(salt, edits);

    [Property(MaxTest = 60)]
    public void Forged_snapshots_are_loaded_or_refused(int salt, int[] edits) => FuzzFiles.Snapshots.Try(salt, edits);

    [Property(MaxTest = 60)]
    public void Forged_inputs_are_replayed_or_refused(int salt, int[] edits) => FuzzFiles.Replays.Try(salt, edits);

    /// <summary>EMU86_FUZZ_MINUTES and EMU86_FUZZ_SEED: docs/scripts/fuzz.sh.</summary>
    [SkippableFact]
    public void As_long_as_asked()
    {
        string? minutes = Environment.GetEnvironmentVariable("EMU86_FUZZ_MINUTES");
        Skip.If(string.IsNullOrEmpty(minutes), "runs by docs/scripts/fuzz.sh MINUTES [SEED]");
        ulong chance = ulong.Parse(Environment.GetEnvironmentVariable("EMU86_FUZZ_SEED") ?? "1", CultureInfo.InvariantCulture);
        TimeSpan length = TimeSpan.FromMinutes(double.Parse(minutes, CultureInfo.InvariantCulture));
        long start = Stopwatch.GetTimestamp();
        int[] inputs = new int[Targets.Length];
        var found = new Dictionary<(string, string), string>();
        while (Stopwatch.GetElapsedTime(start) < length)
        {
            for (int n = 0; n < Targets.Length; n++)
            {
                // The slow ones get their share of the time, not of the inputs.
                long began = Stopwatch.GetTimestamp();
                while (Stopwatch.GetElapsedTime(began).TotalMilliseconds < 200)
                {
                    chance = SimulatorGuest.Mix(chance);
                    int salt = (int)chance;
                    int[] edits = [.. Enumerable.Range(0, 1 + (int)((chance >> 32) % 12)).Select(i => (int)SimulatorGuest.Mix(chance + (ulong)i))];
                    inputs[n]++;
                    if (Failure(Targets[n], salt, edits) is { } failure) found.TryAdd((Targets[n].Name, Kind(failure)), Reduced(Targets[n], salt, edits, failure));
                }
            }
        }
        if (Environment.GetEnvironmentVariable("EMU86_FUZZ_RESULT") is { Length: > 0 } result)
        {
            File.WriteAllLines(result, Targets.Select((t, n) => string.Create(CultureInfo.InvariantCulture, $"{t.Name}: {inputs[n]} inputs")));
        }
        Assert.True(found.Count == 0, string.Join("\n\n", found.Values));
    }

    // The same mistake again is no other finding.
    private static string Kind(Exception failure) => $"{(failure.InnerException ?? failure).GetType().Name} {(failure.InnerException ?? failure).StackTrace?.Split('\n')[0]}";

    // The fewest changes that still fail are the ones to look at.
    private static string Reduced(FuzzTarget target, int salt, int[] edits, Exception failure)
    {
        for (int n = edits.Length - 1; n >= 0; n--)
        {
            int[] fewer = [.. edits[..n], .. edits[(n + 1)..]];
            if (Failure(target, salt, fewer) is not { } same) continue;
            (edits, failure) = (fewer, same);
        }
        return $"salt {salt}, edits [{string.Join(", ", edits)}]: {failure.Message}\n{failure.InnerException?.StackTrace}";
    }

    private static Exception? Failure(FuzzTarget target, int salt, int[] edits)
    {
        try
        {
            target.Try(salt, edits);
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or Xunit.Sdk.XunitException)
        {
            return e;
        }
    }
}
