// Where in a guest's life something happens (docs/determinism.md, "Position in time").
namespace Emu86.Devices;

/// <summary>A point in the guest's life. Totally ordered: by count, then by time; while the processor is halted only the
/// second moves.</summary>
/// <param name="Count">Instructions retired since power-on; a reset does not reset it.</param>
/// <param name="VirtualTimeNs">Virtual nanoseconds since power-on.</param>
public readonly record struct Position(ulong Count, ulong VirtualTimeNs) : IComparable<Position>
{
    public static Position PowerOn => default;

    public int CompareTo(Position other)
    {
        int byCount = Count.CompareTo(other.Count);
        return byCount != 0 ? byCount : VirtualTimeNs.CompareTo(other.VirtualTimeNs);
    }

    public static bool operator <(Position left, Position right) => left.CompareTo(right) < 0;

    public static bool operator >(Position left, Position right) => left.CompareTo(right) > 0;

    public static bool operator <=(Position left, Position right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Position left, Position right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"{Count}@{VirtualTimeNs}ns";
}
