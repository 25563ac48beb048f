// Assertions that stay on in release: a programming mistake stops the machine instead of making two replicas differ.
using System.Runtime.CompilerServices;

namespace Emu86.Cpu;

/// <summary>A broken invariant of the emulator itself (never a guest's or a host's mistake).</summary>
public sealed class CheckFailedException(string message) : Exception(message);

public static class Check
{
    /// <summary>Stops the machine when <paramref name="condition"/> does not hold.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void That(bool condition, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        if (!condition) Fail(what);
    }

    public static void Fail(string? what) => throw new CheckFailedException($"internal check failed: {what}");
}
