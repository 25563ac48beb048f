// A Novell NE2000 on ISA: a DP8390 with 16 KiB of packet memory at 32 ports.
using Emu86.Chipset;

namespace Emu86.Devices.Net;

/// <summary>32 ports, usually from 300h, up to 2 bytes wide. State is the controller's.</summary>
public sealed class Ne2000 : IPortDevice
{
    private const int RamBytes = 0x4000;

    /// <param name="name">Unique in a machine, "net0" for example.</param>
    /// <param name="address">Six address bytes.</param>
    /// <param name="irq">The jumpered interrupt, IRQ 9 or 10 for example.</param>
    public Ne2000(string name, ReadOnlySpan<byte> address, Clock clock, EventQueue events, IrqLine irq, IFramePort port) =>
        Controller = new(name, address, RamBytes, clock, events, irq.Set, port);

    public Dp8390 Controller { get; }

    /// <summary>ISA RESET DRV.</summary>
    public void Reset() => Controller.PowerOn();

    public uint ReadPort(int offset, int size) => NePorts.Read(Controller, offset, size);

    public void WritePort(int offset, int size, uint value) => NePorts.Write(Controller, offset, size, value);
}

/// <summary>How an NE2000 decodes its 32 ports: controller, data port, reset port.</summary>
internal static class NePorts
{
    public static uint Read(Dp8390 controller, int offset, int size)
    {
        if (offset is >= 0x10 and < 0x18) return controller.ReadData(size);
        uint value = 0;
        for (int i = 0; i < size; i++) value |= (uint)ReadByte(controller, offset + i) << (8 * i);
        return value;
    }

    public static void Write(Dp8390 controller, int offset, int size, uint value)
    {
        if (offset is >= 0x10 and < 0x18)
        {
            controller.WriteData(size, value);
            return;
        }
        // Writing the reset port ends the pulse that reading began; the controller is out of it by then.
        for (int i = 0; i < size; i++)
        {
            if (offset + i < 0x10) controller.WriteRegister(offset + i, (byte)(value >> (8 * i)));
        }
    }

    private static byte ReadByte(Dp8390 controller, int offset)
    {
        if (offset < 0x10) return controller.ReadRegister(offset);
        controller.Reset();
        return 0xff;
    }
}
