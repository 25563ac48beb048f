// Between a count at which two ways to execute a recording are equal and one at which they differ: the first instruction, or the
// piece of translated code, that makes the difference.
using System.Diagnostics;
using Emu86.Cpu.Decode;
using Emu86.Devices;

namespace Emu86.Ft.Run.Recording;

/// <summary>Searches by executing again, from the nearest snapshot in the file.</summary>
internal sealed class InstructionSearch(Executor executor, Report report, ExecutionWay one, ExecutionWay other)
{
    /// <summary>So long can a piece be that is executed without a look at the count: a trace, or some rounds of a loop in one.</summary>
    private static readonly ulong[] PieceLengths = [128, 4096];

    private const int ListedMax = 128;
    private static readonly TimeSpan ProgressEvery = TimeSpan.FromSeconds(5);

    /// <summary>Says what it finds.</summary>
    /// <param name="equal">A count at which both are equal.</param>
    /// <param name="first">Where the first way differs from what was recorded, or the end.</param>
    /// <param name="second">The same of the second.</param>
    public void Run(ulong equal, Position first, Position second)
    {
        Position differs = first < second ? first : second;
        int snapshot = executor.SnapshotBefore(equal);
        report.Say($"{one.Name} and {other.Name} are equal at count {equal} and differ at count {differs.Count}");
        if (differs.Count <= equal || executor.At(one, snapshot, differs.Count) == executor.At(other, snapshot, differs.Count))
        {
            report.Say($"they are still equal where count {differs.Count} is reached: what differs comes with no instruction, but while the processor is halted there, up to {differs}");
            return;
        }
        long said = Stopwatch.GetTimestamp();
        ulong found = FirstDifference.Find(count => executor.At(one, snapshot, count), count => executor.At(other, snapshot, count), equal, differs.Count, (low, high) =>
        {
            if (Stopwatch.GetElapsedTime(said) < ProgressEvery) return;
            said = Stopwatch.GetTimestamp();
            report.Say($"equal at count {low}, different at count {high}");
        });
        ulong from = BeginningOf(found, equal, snapshot);
        report.Say(from == found - 1
            ? $"the first instruction that differs is the one executed from count {from} to {found}"
            : $"the first difference is at count {found}, and only when the {found - from} instructions from count {from} on are executed without a stop");
        using RecordedRun sound = executor.Begin(one, snapshot)!, differing = executor.Begin(other, snapshot)!;
        executor.Run(sound, one, from);
        List<(ulong Count, DisassembledInstruction? Instruction)> listing = List(sound, from, found);
        executor.Run(differing, other, found);
        StateDifference difference = StateDifference.Between(one.Name, sound.Machine, other.Name, differing.Machine);
        if (listing.Count > ListedMax) report.Say($"the last {ListedMax} of them:");
        foreach ((ulong count, DisassembledInstruction? instruction) in listing.TakeLast(ListedMax)) report.Say(Line(count, instruction, difference, listing.Count > 1));
        foreach (string line in difference.Lines) report.Say(line);
    }

    /// <summary>The last count at which the second way may be stopped and still comes to another state at the count that was found.</summary>
    private ulong BeginningOf(ulong found, ulong equal, int snapshot)
    {
        RunAt sound = executor.At(one, snapshot, found);
        bool Differs(ulong stop) => executor.At(other, snapshot, stop, found) != sound;
        ulong last = found - 1;
        if (last <= equal || Differs(last)) return last;
        foreach (ulong length in PieceLengths)
        {
            ulong stop = found > equal + length ? found - length : equal;
            if (stop > equal && !Differs(stop)) continue;
            ulong low = stop, high = last;
            while (high - low > 1)
            {
                ulong middle = low + (high - low) / 2;
                if (Differs(middle)) low = middle;
                else high = middle;
            }
            return low;
        }
        return equal;
    }

    /// <summary>The instructions from one count to another; null where an interrupt or a fault's handler comes before one.</summary>
    private List<(ulong Count, DisassembledInstruction? Instruction)> List(RecordedRun run, ulong from, ulong to)
    {
        var listing = new List<(ulong, DisassembledInstruction?)>();
        for (ulong count = from; count < to; count++)
        {
            Machine machine = run.Machine;
            if (machine.IsOver) break;
            machine.Settle();
            bool interrupted = machine.Board.Processor.HasEventDue;
            listing.Add((count, interrupted || machine.IsHalted ? null : Disassembler.At(machine.Board.Processor)));
            executor.Run(run, one, count + 1);
        }
        return listing;
    }

    private static string Line(ulong count, DisassembledInstruction? instruction, StateDifference difference, bool marks)
    {
        if (instruction is null) return $"{count}: an interrupt comes here; the first instruction of its handler follows";
        bool writes = (difference.HasMemory && instruction.WritesMemory) || instruction.Writes.Intersect(difference.Registers).Any();
        return $"{count}: {instruction}{(marks && writes ? "  ; writes what differs" : "")}";
    }
}
