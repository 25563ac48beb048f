// What the processor's pins connect to, apart from physical memory.
namespace Emu86.Cpu;

/// <summary>The one contract between the processor and the board. Called on the emulation thread only, inside an
/// instruction; <see cref="Processor.InstructionCount"/> is then the count of the boundary before that instruction.</summary>
public interface IProcessorBus
{
    /// <param name="size">1, 2 or 4 bytes.</param>
    /// <returns>The value, zero-extended; unclaimed ports read as all ones.</returns>
    uint ReadPort(ushort port, int size);

    /// <param name="size">1, 2 or 4 bytes.</param>
    void WritePort(ushort port, int size, uint value);

    /// <summary>The interrupt acknowledge cycle: the vector of the highest-priority request (8259A, INTA).</summary>
    byte AcknowledgeInterrupt();

    /// <summary>Guest time in nanoseconds since power-on at the current instruction; the TSC is derived from it.</summary>
    ulong VirtualTimeNs { get; }

    /// <summary>The FERR# pin: an unmasked x87 exception with CR0.NE = 0 (IRQ 13 on a PC).</summary>
    void SetFerr(bool asserted);
}

/// <summary>A window of physical memory that is not RAM or ROM (VGA memory, PCI BARs, the APIC).</summary>
public interface IMemoryWindow
{
    /// <param name="offset">Bytes from the start of the window.</param>
    /// <param name="size">1, 2 or 4 bytes, never crossing a 4 KiB page.</param>
    uint Read(uint offset, int size);

    /// <param name="offset">Bytes from the start of the window.</param>
    /// <param name="size">1, 2 or 4 bytes, never crossing a 4 KiB page.</param>
    void Write(uint offset, int size, uint value);
}
