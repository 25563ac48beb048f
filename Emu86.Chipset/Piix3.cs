// The PCI-to-ISA bridge: Intel 82371SB (PIIX3) datasheet (order 290550), section 2.2, with its PIRQ router.
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Piix3State
{
    /// <summary>Levels of the INTx pins: bit device × 4 + pin − 1.</summary>
    public UInt128 Pins;
}

/// <summary>Function 0 of the bridge. Its interrupt inputs are numbered device × 4 + pin − 1, so that every INTx pin has
/// its own wire; the board's traces then rotate them over PIRQA# to PIRQD#.</summary>
public sealed class Piix3 : IIrqSink, IStateful
{
    private const int RouteA = 0x60;

    // IRQ 0, 1, 2, 8 and 13 cannot be routed to (PIRQRCx).
    private const int RoutableIrqs = 0xdef8;

    /// <summary>Which inputs end in PIRQA# to PIRQD#.</summary>
    private static readonly UInt128[] PirqInputs = ListPirqInputs();

    private readonly IIrqSink _pic;
    private Piix3State _state;

    /// <param name="pic">Inputs 16 to 31 are used: the second wires of its pins.</param>
    public Piix3(IIrqSink pic)
    {
        _pic = pic;
        Pci = new PciFunction("piix3", new PciIdentity(0x8086, 0x7000, 0x060100));
        Pci.SetDefault(PciFunction.CommandRegister, 2, 0x0007);
        Pci.SetWritable(PciFunction.CommandRegister, 2, 0x0008);
        Pci.SetDefault(PciFunction.StatusRegister, 2, 0x0200);
        Pci.SetWritable(0x0c, 2, 0);
        Pci.SetWritable(PciFunction.InterruptLineRegister, 1, 0);
        Pci.SetDefault(0x4c, 1, 0x4d);
        Pci.SetWritable(0x4c, 1, 0x7f);
        Pci.SetDefault(0x4e, 2, 0x0003);
        Pci.SetWritable(0x4e, 2, 0x01ff);
        for (int i = 0; i < 4; i++)
        {
            Pci.SetDefault(RouteA + i, 1, 0x80);
            Pci.SetWritable(RouteA + i, 1, 0x8f);
        }
        Pci.SetDefault(0x69, 1, 0x02);
        Pci.SetWritable(0x69, 1, 0xfe);
        Pci.SetWritable(0x6a, 2, 0x0004);
        Pci.SetDefault(0x70, 1, 0x80);
        Pci.SetWritable(0x70, 1, 0xef);
        Pci.SetDefault(0x71, 1, 0x80);
        Pci.SetWritable(0x71, 1, 0xef);
        Pci.SetDefault(0x76, 2, 0x0c0c);
        Pci.SetWritable(0x76, 2, 0x8f8f);
        Pci.SetDefault(0x78, 2, 0x0002);
        Pci.SetWritable(0x78, 2, 0xffff);
        Pci.SetWritable(0x80, 1, 0x7f);
        Pci.SetWritable(0x82, 1, 0x0f);
        Pci.SetDefault(0xa0, 1, 0x08);
        Pci.SetWritable(0xa0, 1, 0x1f);
        Pci.SetWritable(0xa2, 2, 0x00ff);
        Pci.SetWritable(0xa4, 4, 0xffffffff);
        Pci.SetDefault(0xa8, 1, 0x0f);
        Pci.SetWritable(0xa8, 1, 0xff);
        Pci.SetWritable(0xaa, 2, 0x00ff);
        Pci.SetWritable(0xac, 1, 0xff);
        Pci.SetWritable(0xae, 1, 0xff);
        Pci.ConfigWritten = (offset, size) =>
        {
            if (offset < RouteA + 4 && offset + size > RouteA) Route();
        };
    }

    public PciFunction Pci { get; }

    public string StateName => "piix3";

    public int StateVersion => 1;

    /// <summary>The wire of a device's INTx pin.</summary>
    /// <param name="device">0 to 31.</param>
    /// <param name="pin">1 to 4 for INTA# to INTD#.</param>
    public IrqLine PciInterrupt(int device, int pin)
    {
        Check.That(device is >= 0 and < 32 && pin is >= 1 and <= 4);
        return new IrqLine(this, device * 4 + pin - 1);
    }

    /// <summary>Which of PIRQA# to PIRQD# (0 to 3) a pin is soldered to: the rotation that firmware of this board expects.</summary>
    public static int PirqOf(int device, int pin) => (pin - 1 + device - 1) & 3;

    public void SetInput(int input, bool level)
    {
        Check.That(input is >= 0 and < 128);
        UInt128 bit = UInt128.One << input;
        if (level == ((_state.Pins & bit) != 0)) return;
        _state.Pins = level ? _state.Pins | bit : _state.Pins & ~bit;
        Route();
    }

    public void Reset()
    {
        Pci.Reset();
        Route();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    /// <summary>The 8259As have what was last routed in their own state.</summary>
    public void Load(ref StateReader reader) => _state = reader.Struct<Piix3State>();

    private void Route()
    {
        int irqs = 0;
        for (int i = 0; i < 4; i++)
        {
            int route = (int)Pci.ReadConfig(RouteA + i, 1);
            if ((route & 0x80) == 0 && (_state.Pins & PirqInputs[i]) != 0) irqs |= 1 << (route & 15);
        }
        for (int irq = 0; irq < 16; irq++)
        {
            if ((RoutableIrqs & (1 << irq)) != 0) _pic.SetInput(16 + irq, (irqs & (1 << irq)) != 0);
        }
    }

    private static UInt128[] ListPirqInputs()
    {
        var inputs = new UInt128[4];
        for (int input = 0; input < 128; input++) inputs[PirqOf(input / 4, input % 4 + 1)] |= UInt128.One << input;
        return inputs;
    }
}
