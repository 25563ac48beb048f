// An adapter for chips whose registers sit in several port ranges.
namespace Emu86.Chipset;

/// <summary>One range of byte-wide ports of a chip that has more than one (map it with width 1).</summary>
public sealed class BytePorts(Func<int, byte> read, Action<int, byte> write) : IPortDevice
{
    public uint ReadPort(int offset, int size) => read(offset);

    public void WritePort(int offset, int size, uint value) => write(offset, (byte)value);
}
