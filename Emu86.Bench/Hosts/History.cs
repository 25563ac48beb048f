// What clients did and were told, and whether one uninterrupted guest can have told it them (linearisability, for counters whose
// every step has a number of its own).
namespace Emu86.Bench.Hosts;

/// <summary>One operation that takes the next number.</summary>
/// <param name="Invoked">When it was asked for.</param>
/// <param name="Answered">When the answer came; <see cref="long.MaxValue"/>: never.</param>
/// <param name="Number">The number it was told; 0 without an answer: it may have been done or not, and may be done yet.</param>
/// <param name="Text">What it is to have written under that number; empty for a mere count.</param>
internal readonly record struct Step(long Invoked, long Answered, long Number, string Text);

internal static class History
{
    /// <summary>Why no sequence of the operations explains the answers; null when one does.</summary>
    /// <param name="steps">All operations, in any order.</param>
    /// <param name="last">The number at the end: how many were done.</param>
    public static string? Problem(IReadOnlyCollection<Step> steps, long last)
    {
        Step[] answered = [.. steps.Where(s => s.Number != 0).OrderBy(s => s.Number)];
        int unanswered = steps.Count - answered.Length;
        long latest = long.MinValue;
        long before = 0;
        foreach (Step step in answered)
        {
            if (step.Number == before) return $"number {step.Number} was given twice";
            if (step.Number > last) return $"number {step.Number} was given, but at the end there are only {last}: it was lost";
            // Whoever has a smaller number must not have begun after this one's answer.
            if (step.Answered < latest) return $"number {step.Number} was answered before one with a smaller number was asked for";
            latest = long.Max(latest, step.Invoked);
            before = step.Number;
        }
        long others = last - answered.Length;
        return others > unanswered ? $"{last} were done, of which {answered.Length} were answered and only {unanswered} more were asked for" : null;
    }

    /// <summary>The same for operations that write a line under their number.</summary>
    /// <param name="steps">All operations.</param>
    /// <param name="lines">What is there at the end.</param>
    public static string? Problem(IReadOnlyCollection<Step> steps, IReadOnlyList<string> lines)
    {
        if (Problem(steps, lines.Count) is { } problem) return problem;
        foreach (Step step in steps)
        {
            if (step.Number != 0 && lines[(int)step.Number - 1] != step.Text) return $"line {step.Number} is \"{lines[(int)step.Number - 1]}\", but \"{step.Text}\" was acknowledged there";
        }
        var asked = steps.Select(s => s.Text).ToHashSet();
        var seen = new HashSet<string>();
        foreach (string line in lines)
        {
            if (!asked.Contains(line)) return $"the line \"{line}\" was never written";
            if (!seen.Add(line)) return $"the line \"{line}\" is there twice";
        }
        return null;
    }
}
