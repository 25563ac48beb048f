// An interrupt request wire from a device to whatever it is soldered to.
using Emu86.Cpu;

namespace Emu86.Chipset;

/// <summary>What interrupt wires end in: the 8259A pair, the PIIX3's PIRQ router.</summary>
public interface IIrqSink
{
    /// <summary>Follows the level of input <paramref name="input"/>. Level and edge memory are the sink's state.</summary>
    void SetInput(int input, bool level);
}

/// <summary>One wire. It has no state: the device knows its level, the sink knows what it last saw.</summary>
public sealed class IrqLine(IIrqSink sink, int input)
{
    public void Set(bool level) => sink.SetInput(input, level);

    /// <summary>A new rising edge, after which the wire stays high: an 8259A withdraws a request whose input falls before
    /// it is acknowledged. For sources on edge-triggered inputs only.</summary>
    public void Pulse()
    {
        Set(false);
        Set(true);
    }
}
