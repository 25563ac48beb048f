// Everything that leaves the guest, as records stamped with their position (docs/determinism.md, "Outputs"). What may
// leave the host when is the replication layer's business (docs/ft-protocol.md, "Output rule").
namespace Emu86.Devices;

/// <summary>What an output is. The values stand in files and are never reused.</summary>
public enum OutputKind : byte
{
    /// <summary>A frame sent by a network card: Unit is the card, Data the frame without FCS.</summary>
    Frame = 1,

    /// <summary>A byte sent by a serial port: Unit is the port, Value the byte.</summary>
    SerialByte = 2,

    /// <summary>A disk write: Unit is the drive, Value the first sector, Data what is written.</summary>
    DiskWrite = 3,

    /// <summary>The guest switched itself off.</summary>
    PowerOff = 4,

    /// <summary>The screen's content changed; what it shows is read from the machine.</summary>
    ScreenChanged = 5,

    /// <summary>A byte for people (ports E9h, 402h, 80h): Unit is the port number, Value the byte.</summary>
    DebugByte = 6,

    /// <summary>The guest ended the program through isa-debug-exit: Value is what it wrote.</summary>
    GuestExit = 7,
}

/// <summary>One output. Immutable.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Position">The boundary before the instruction or device event that produced it.</param>
/// <param name="Unit">Which of several devices of a kind.</param>
/// <param name="Value">A byte, a sector number or an exit value, by kind.</param>
/// <param name="Data">A frame or what is written; not changed after the record was made.</param>
public sealed record Output(OutputKind Kind, Position Position, int Unit, ulong Value, ReadOnlyMemory<byte> Data)
{
    /// <summary>Whether the output rule holds it: somebody outside could act on it. A screen and debug bytes are shown as
    /// they come; they carry no promise.</summary>
    public bool IsGated => Kind is OutputKind.Frame or OutputKind.SerialByte or OutputKind.DiskWrite or OutputKind.PowerOff or OutputKind.GuestExit;
}
