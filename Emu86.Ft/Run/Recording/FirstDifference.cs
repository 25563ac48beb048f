// Finds, by re-execution, the first count at which two ways to run the same recording differ.
using Emu86.Devices;

namespace Emu86.Ft.Run.Recording;

/// <summary>What a run looks like at a count: where it really is, and its state.</summary>
/// <param name="Position">The first boundary with the asked count, or where the run ended before it.</param>
/// <param name="Hash">The state hash there.</param>
public readonly record struct RunAt(Position Position, UInt128 Hash);

/// <summary>A binary search over counts; each step executes both runs again from their start.</summary>
public static class FirstDifference
{
    /// <summary>The first count at which the runs differ: at the one before they are equal.</summary>
    /// <param name="one">Executes the first run to a count.</param>
    /// <param name="other">Executes the second run to a count.</param>
    /// <param name="equal">A count at which they are equal.</param>
    /// <param name="differs">A later count at which they differ.</param>
    /// <param name="progress">Told what is left to search, before each step.</param>
    /// <remarks>A difference that vanishes again may hide an earlier one; what is found is a count with a difference behind an
    /// equal one in any case.</remarks>
    public static ulong Find(Func<ulong, RunAt> one, Func<ulong, RunAt> other, ulong equal, ulong differs, Action<ulong, ulong>? progress = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(equal, differs);
        while (differs - equal > 1)
        {
            progress?.Invoke(equal, differs);
            ulong middle = equal + (differs - equal) / 2;
            if (one(middle) == other(middle)) equal = middle;
            else differs = middle;
        }
        return differs;
    }
}
