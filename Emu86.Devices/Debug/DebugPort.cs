// A port for messages to people: E9h (Bochs), 402h (SeaBIOS). Writing prints a byte, reading says that somebody listens.
using Emu86.Chipset;

namespace Emu86.Devices.Debug;

/// <summary>One port, one byte wide. It has no state.</summary>
public sealed class DebugPort(IBytePort output) : IPortDevice
{
    /// <summary>What guests look for before they write.</summary>
    private const byte Present = 0xe9;

    public uint ReadPort(int offset, int size) => Present;

    public void WritePort(int offset, int size, uint value) => output.Put((byte)value);
}
