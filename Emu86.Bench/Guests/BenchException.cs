// What stops a benchmark before it begins.
namespace Emu86.Bench.Guests;

/// <summary>What went wrong, as a sentence.</summary>
internal sealed class BenchException(string message) : Exception(message);
