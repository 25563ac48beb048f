// A frame of the guest as the bridge between the hosts saw it.
namespace Emu86.Bench.Hosts;

/// <summary>One frame of the guest.</summary>
/// <param name="At">Stopwatch time at which it was seen.</param>
/// <param name="Port">Interface number of the bridge's port that it came in by.</param>
/// <param name="Type">The frame's type field.</param>
internal readonly record struct SeenFrame(long At, int Port, ushort Type);
