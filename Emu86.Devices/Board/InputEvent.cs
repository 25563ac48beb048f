// Everything that enters the guest from outside, as typed records (docs/determinism.md, "Inputs"). The position at which
// an input takes effect is not part of it: it stands in the log record that carries it.
using Emu86.Devices.Ide;

namespace Emu86.Devices;

/// <summary>What an input is. The values stand in logs and recordings and are never reused.</summary>
public enum InputKind : byte
{
    /// <summary>A frame received by a network card: Unit is the card, Data the frame without FCS.</summary>
    NetFrame = 1,

    /// <summary>Bytes received by a serial port, in order: Unit is the port, 0 is COM1.</summary>
    SerialBytes = 2,

    /// <summary>Keyboard scan codes (set 1, as many bytes as one key press or release has) in Data.</summary>
    Key = 3,

    /// <summary>A mouse movement: Value0 packs dx and dy (32 bits each, two's complement), Value1 wheel (high) and buttons (low).</summary>
    Mouse = 4,

    /// <summary>How a disk request ended where the content is not replicated, or failed: Unit is the drive, Value0 the
    /// request's number on that drive, Value1 a <see cref="BlockResult"/>. Where a disk is shared, Data is what was read and Value0 the first
    /// sector: whoever runs the machine gives it to the drive's store, not to the machine.</summary>
    DiskResult = 5,

    /// <summary>The clock's new rate in Value0: nanoseconds per instruction, 32.32 fixed point.</summary>
    RateChange = 6,

    /// <summary>The reset button.</summary>
    Reset = 7,

    /// <summary>The power button (an ACPI event; the guest decides what to do).</summary>
    PowerButton = 8,

    /// <summary>A medium was changed: Unit is the drive, Value0 the new medium's size in bytes (0 = removed), Data the
    /// hash of its content, so that another medium under the same name is noticed, and where it was found (<see cref="Medium"/>).</summary>
    MediumChange = 9,

    /// <summary>Wall time at power-on in Value0: seconds since 1970-01-01 UTC, two's complement.</summary>
    WallTime = 10,

    /// <summary>The network cable was plugged (Value0 = 1) or pulled (0): Unit is the card.</summary>
    LinkChange = 11,

    /// <summary>A serial port's modem lines changed: Unit is the port, Value0 bit 0 CTS, 1 DSR, 2 RI, 3 DCD.</summary>
    SerialLines = 12,
}

/// <summary>One input. Immutable; equal when all fields and the bytes are.</summary>
public sealed class InputEvent(InputKind kind, int unit, ulong value0, ulong value1, ReadOnlyMemory<byte> data) : IEquatable<InputEvent>
{
    /// <summary>Longest Data in bytes: one disk request (256 sectors of 512 bytes) is the largest that exists.</summary>
    public const int DataBytesMax = 256 * 512;

    public InputKind Kind { get; } = kind;

    /// <summary>Which of several devices of a kind: network card, serial port, drive.</summary>
    public int Unit { get; } = unit;

    public ulong Value0 { get; } = value0;

    public ulong Value1 { get; } = value1;

    public ReadOnlyMemory<byte> Data { get; } = data;

    public static InputEvent NetFrame(int card, ReadOnlyMemory<byte> frame) => new(InputKind.NetFrame, card, 0, 0, frame);

    public static InputEvent SerialBytes(int port, ReadOnlyMemory<byte> bytes) => new(InputKind.SerialBytes, port, 0, 0, bytes);

    public static InputEvent Key(ReadOnlyMemory<byte> scanCodes) => new(InputKind.Key, 0, 0, 0, scanCodes);

    /// <param name="dx">Counts to the right.</param>
    /// <param name="dy">Counts up.</param>
    /// <param name="wheel">Detents towards the user.</param>
    /// <param name="buttons">Bit 0 left, 1 right, 2 middle.</param>
    public static InputEvent Mouse(int dx, int dy, int wheel, byte buttons) =>
        new(InputKind.Mouse, 0, ((ulong)(uint)dx << 32) | (uint)dy, ((ulong)(uint)wheel << 32) | buttons, default);

    public static InputEvent DiskResult(int drive, ulong request, BlockResult result, ReadOnlyMemory<byte> read) =>
        new(InputKind.DiskResult, drive, request, (ulong)result, read);

    public static InputEvent RateChange(ulong rate) => new(InputKind.RateChange, 0, rate, 0, default);

    public static InputEvent Reset() => new(InputKind.Reset, 0, 0, 0, default);

    public static InputEvent PowerButton() => new(InputKind.PowerButton, 0, 0, 0, default);

    public static InputEvent MediumChange(int drive, ulong bytes, ReadOnlyMemory<byte> identity) =>
        new(InputKind.MediumChange, drive, bytes, 0, identity);

    public static InputEvent WallTime(long unixSeconds) => new(InputKind.WallTime, 0, (ulong)unixSeconds, 0, default);

    public static InputEvent LinkChange(int card, bool up) => new(InputKind.LinkChange, card, up ? 1u : 0u, 0, default);

    public static InputEvent SerialLines(int port, byte lines) => new(InputKind.SerialLines, port, lines, 0, default);

    /// <summary>Why no machine of this version takes this input, as the end of a sentence; null when it does. It may come from a file, or
    /// from another host.</summary>
    public string? Problem => Kind switch
    {
        InputKind.WallTime or InputKind.SerialLines => $"this version has no inputs of the kind {Kind}",
        InputKind.MediumChange when Medium.ProblemOf(this) is { } problem => problem,
        InputKind.RateChange when Value0 == 0 => "the clock would stand still",
        _ when Data.Length > DataBytesMax => $"it has {Data.Length} bytes; at most {DataBytesMax} are possible",
        _ => null,
    };

    public bool Equals(InputEvent? other) => other is not null && Kind == other.Kind && Unit == other.Unit
        && Value0 == other.Value0 && Value1 == other.Value1 && Data.Span.SequenceEqual(other.Data.Span);

    public override bool Equals(object? obj) => Equals(obj as InputEvent);

    public override int GetHashCode() => (int)Kind ^ (Unit << 8) ^ (Data.Length << 16) ^ (int)Value0;

    public override string ToString() => $"{Kind} unit {Unit} values {Value0},{Value1} data {Data.Length} bytes";
}
