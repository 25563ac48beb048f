// A port with which test guests end the program; the convention is QEMU's isa-debug-exit.
using Emu86.Chipset;

namespace Emu86.Devices.Debug;

/// <summary>Usually 4 ports at F4h or 2 at 501h, up to 4 bytes wide. What the value means (by convention an exit code of
/// value × 2 + 1) is the caller's business. It has no state.</summary>
public sealed class IsaDebugExit(Action<uint> exit) : IPortDevice
{
    public uint ReadPort(int offset, int size) => 0;

    public void WritePort(int offset, int size, uint value) => exit(value);
}
