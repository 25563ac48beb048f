// Physical memory as a bus master sees it.
namespace Emu86.Chipset;

/// <summary>What a bus master reads and writes. The implementation tells the processor of written code and page tables;
/// addresses without memory read as all ones and swallow writes. Called on the emulation thread at the completion position.</summary>
public interface IDmaMemory
{
    /// <param name="physical">First byte address; the range may cross pages.</param>
    /// <param name="destination">Any number of bytes.</param>
    void Read(uint physical, Span<byte> destination);

    /// <param name="physical">First byte address; the range may cross pages.</param>
    /// <param name="source">Any number of bytes.</param>
    void Write(uint physical, ReadOnlySpan<byte> source);
}
