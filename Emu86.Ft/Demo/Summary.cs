// What the demo found, in lines, and whether anything was lost.
using System.Globalization;
using Emu86.Ft.Host;

namespace Emu86.Ft.Demo;

/// <summary>The end of the demo.</summary>
internal sealed record Summary
{
    public required IReadOnlyList<(string Name, long Sent, long Answered, string? Failure)> Connections { get; init; }

    /// <summary>First and last number that the guest's counter gave.</summary>
    public required (long First, long Last) Counter { get; init; }

    /// <summary>The longest time without an answer around the kill and the usual round trip, in milliseconds.</summary>
    public required double OutageMs { get; init; }

    public required double UsualMs { get; init; }

    /// <summary>The backup's own words about its going live; null when it said nothing.</summary>
    public required string? WentLive { get; init; }

    /// <summary>The backup's last report.</summary>
    public required SideReport? Backup { get; init; }

    /// <summary>The backup's highest number of compared state hashes, and whether any differed on either side.</summary>
    public required long HashesChecked { get; init; }

    public required bool Diverged { get; init; }

    /// <summary>Bytes per second of log while protected, averaged.</summary>
    public required double LogBytesPerSecond { get; init; }

    public required TimeSpan Protected { get; init; }

    /// <summary>What went wrong, as a sentence; null when nothing was lost.</summary>
    public string? Fault
    {
        get
        {
            foreach ((string name, long sent, long answered, string? failure) in Connections)
            {
                if (failure is not null) return $"{failure}.";
                if (sent != answered) return $"{name}: {sent - answered} of {sent} requests were not answered.";
                if (answered == 0) return $"{name}: not one request was answered.";
            }
            if (Diverged) return "The state hashes of the two sides differed.";
            if (Backup is not { Role: "primary" }) return "The backup did not go live.";
            return null;
        }
    }

    public int ExitCode => Fault is null ? Host.ExitCode.Ok : Host.ExitCode.Failure;

    /// <summary>Name and text of each line, the verdict last.</summary>
    public IEnumerable<(string Name, string Text)> Lines()
    {
        foreach ((string name, long sent, long answered, _) in Connections)
        {
            yield return (name, Text($"{sent} requests sent, {answered} answered, {sent - answered} lost, on one connection"));
        }
        long numbers = Counter.First == 0 ? 0 : Counter.Last - Counter.First + 1;
        bool broken = Connections[0].Failure is not null;
        yield return ("counter", broken ? Text($"{Counter.First} to {Counter.Last}, then: {Connections[0].Failure}") : Text($"{Counter.First} to {Counter.Last}: {numbers} numbers, none missing, none twice"));
        yield return ("outage", Text($"{OutageMs:F0} ms without an answer (usual round trip {UsualMs:F1} ms)"));
        yield return ("backup", WentLive ?? "did not go live");
        yield return ("state", Diverged ? "the two sides differed" : Text($"{HashesChecked} hashes compared while both ran, all equal"));
        yield return ("log", Text($"{LogBytesPerSecond / 1000:F1} kB/s from primary to backup, over {Protected.TotalSeconds:F0} s"));
        yield return ("result", Fault is { } fault ? $"FAILED: {fault}" : "nothing was lost");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
