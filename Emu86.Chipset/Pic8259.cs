// The two cascaded 8259A interrupt controllers of a PC: Intel 8259A datasheet (order 231468), with the edge/level
// control registers of the 82371SB PIIX3 (2.5.3.7), which replace the LTIM bit of ICW1.
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Pic8259ChipState
{
    /// <summary>Interrupt request, mask and in-service registers. A request bit of an edge input is its latch.</summary>
    public byte Irr, Imr, Isr;

    /// <summary>Levels of the eight input pins.</summary>
    public byte Pins;

    /// <summary>ELCR: inputs that are level-triggered.</summary>
    public byte LevelMode;

    /// <summary>ICW2: bits 7 to 3 of the vector.</summary>
    public byte VectorBase;

    /// <summary>ICW3: the master's slave inputs, or the slave's identity.</summary>
    public byte Cascade;

    /// <summary>The input with the lowest priority; the one after it has the highest.</summary>
    public byte Lowest;

    /// <summary>Which ICW is expected at the odd port: 0 for none, else 2 to 4.</summary>
    public byte NextIcw;

    public bool Single, NeedsIcw4, AutoEoi, RotateInAutoEoi, SpecialFullyNested, SpecialMask, ReadIsr, Poll;
}

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Pic8259State
{
    public Pic8259ChipState Master, Slave;

    /// <summary>Levels of the 2 × 16 wires that end here.</summary>
    public uint Wires;

    /// <summary>The INTR pin.</summary>
    public bool Intr;
}

/// <summary>Inputs 0 to 15 are the ISA interrupt lines; inputs 16 to 31 are second wires to the same pins, for the PCI
/// interrupt router. Map <see cref="MasterPorts"/> at 20h (2), <see cref="SlavePorts"/> at A0h (2) and
/// <see cref="EdgeLevelPorts"/> at 4D0h (2).</summary>
public sealed class Pic8259 : IIrqSink, IStateful
{
    private const int CascadeInput = 2;

    // Timer, keyboard, cascade, RTC and FERR are edge-triggered for good (PIIX3, ELCR).
    private const byte MasterLevelMask = 0xf8, SlaveLevelMask = 0xde;

    private Pic8259State _state;

    public Pic8259()
    {
        MasterPorts = new BytePorts(offset => Read(ref _state.Master, offset), (offset, value) => Write(ref _state.Master, offset, value));
        SlavePorts = new BytePorts(offset => Read(ref _state.Slave, offset), (offset, value) => Write(ref _state.Slave, offset, value));
        EdgeLevelPorts = new BytePorts(
            offset => offset == 0 ? _state.Master.LevelMode : _state.Slave.LevelMode,
            WriteEdgeLevel);
        Reset();
    }

    public IPortDevice MasterPorts { get; }

    public IPortDevice SlavePorts { get; }

    public IPortDevice EdgeLevelPorts { get; }

    /// <summary>The INTR pin changed.</summary>
    public Action<bool>? IntrChanged { get; set; }

    /// <summary>The level of the INTR pin.</summary>
    public bool Intr => _state.Intr;

    public string StateName => "pic";

    public int StateVersion => 1;

    public void SetInput(int input, bool level)
    {
        Check.That(input is >= 0 and < 32 && (input & 15) != CascadeInput);
        uint wire = 1u << input;
        if (level == ((_state.Wires & wire) != 0)) return;
        _state.Wires = level ? _state.Wires | wire : _state.Wires & ~wire;
        int pin = input & 15;
        bool high = (_state.Wires & (0x10001u << pin)) != 0;
        if (pin < 8) SetPin(ref _state.Master, pin, high);
        else SetPin(ref _state.Slave, pin - 8, high);
        Update();
    }

    /// <summary>The two INTA cycles. With nothing requested any more the answer is the spurious IRQ 7 (or 15).</summary>
    public byte Acknowledge()
    {
        int level = Take(ref _state.Master);
        byte vector;
        if (level == CascadeInput && !_state.Master.Single && (_state.Master.Cascade & (1 << CascadeInput)) != 0)
        {
            // Only the slave that finds its identity on the cascade lines drives the bus.
            vector = (_state.Slave.Cascade & 7) == CascadeInput ? Vector(_state.Slave, Take(ref _state.Slave)) : (byte)0xff;
            // INT falls at INTA, so that a further request of the slave is a new edge for the master.
            SetPin(ref _state.Master, CascadeInput, false);
        }
        else
        {
            vector = Vector(_state.Master, level);
        }
        Update();
        return vector;
    }

    public void Reset()
    {
        uint wires = _state.Wires;
        _state = new() { Wires = wires };
        _state.Master.Lowest = _state.Slave.Lowest = 7;
        _state.Master.Cascade = 1 << CascadeInput;
        _state.Slave.Cascade = CascadeInput;
        uint pins = wires | (wires >> 16);
        _state.Master.Pins = (byte)pins;
        _state.Slave.Pins = (byte)(pins >> 8);
        IntrChanged?.Invoke(false);
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader)
    {
        _state = reader.Struct<Pic8259State>();
        IntrChanged?.Invoke(_state.Intr);
    }

    private static byte Vector(in Pic8259ChipState chip, int level) => (byte)((chip.VectorBase & 0xf8) | (level < 0 ? 7 : level));

    private static void SetPin(ref Pic8259ChipState chip, int pin, bool high)
    {
        byte bit = (byte)(1 << pin);
        bool was = (chip.Pins & bit) != 0;
        // A request that goes away before INTA is withdrawn, in both modes.
        if (!high) chip.Irr &= (byte)~bit;
        else if (!was || (chip.LevelMode & bit) != 0) chip.Irr |= bit;
        chip.Pins = high ? (byte)(chip.Pins | bit) : (byte)(chip.Pins & ~bit);
    }

    /// <summary>The input that would be acknowledged now, or -1.</summary>
    private int Requested(in Pic8259ChipState chip, bool isMaster)
    {
        int requests = chip.Irr & ~chip.Imr;
        int inService = chip.SpecialMask ? chip.Isr & ~chip.Imr : chip.Isr;
        for (int i = 1; i <= 8; i++)
        {
            int level = (chip.Lowest + i) & 7;
            bool requested = (requests & (1 << level)) != 0;
            if ((inService & (1 << level)) != 0)
            {
                // Special fully nested: a slave whose input is in service may come again with a higher priority of its own.
                bool again = requested && isMaster && chip.SpecialFullyNested && level == CascadeInput;
                if (again) return level;
                // In special mask mode only the level itself is blocked.
                if (!chip.SpecialMask) return -1;
                continue;
            }
            if (requested) return level;
        }
        return -1;
    }

    /// <summary>What INTA (or a poll) does inside one chip. Returns the level, or -1 when there is no request.</summary>
    private int Take(ref Pic8259ChipState chip)
    {
        int level = Requested(chip, IsMaster(ref chip));
        if (level < 0) return -1;
        byte bit = (byte)(1 << level);
        if ((chip.LevelMode & bit) == 0) chip.Irr &= (byte)~bit;
        if (!chip.AutoEoi) chip.Isr |= bit;
        else if (chip.RotateInAutoEoi) chip.Lowest = (byte)level;
        return level;
    }

    private bool IsMaster(ref Pic8259ChipState chip) => System.Runtime.CompilerServices.Unsafe.AreSame(ref chip, ref _state.Master);

    private void Update()
    {
        SetPin(ref _state.Master, CascadeInput, Requested(_state.Slave, false) >= 0);
        bool intr = Requested(_state.Master, true) >= 0;
        if (intr == _state.Intr) return;
        _state.Intr = intr;
        IntrChanged?.Invoke(intr);
    }

    private byte Read(ref Pic8259ChipState chip, int offset)
    {
        if (chip.Poll)
        {
            chip.Poll = false;
            int level = Take(ref chip);
            if (!IsMaster(ref chip)) SetPin(ref _state.Master, CascadeInput, false);
            Update();
            return level < 0 ? (byte)0 : (byte)(0x80 | level);
        }
        if (offset == 1) return chip.Imr;
        return chip.ReadIsr ? chip.Isr : chip.Irr;
    }

    private void Write(ref Pic8259ChipState chip, int offset, byte value)
    {
        if (offset == 0)
        {
            if ((value & 0x10) != 0) WriteIcw1(ref chip, value);
            else if ((value & 0x08) != 0) WriteOcw3(ref chip, value);
            else WriteOcw2(ref chip, value);
        }
        else
        {
            WriteOdd(ref chip, value);
        }
        Update();
    }

    private static void WriteIcw1(ref Pic8259ChipState chip, byte value)
    {
        // The edge sense circuit is reset: an input that is high must fall and rise again to request.
        chip.Irr = (byte)(chip.Pins & chip.LevelMode);
        chip.Imr = 0;
        chip.Isr = 0;
        chip.Lowest = 7;
        chip.SpecialMask = false;
        chip.ReadIsr = false;
        chip.Poll = false;
        chip.AutoEoi = chip.SpecialFullyNested = chip.RotateInAutoEoi = false;
        chip.Single = (value & 2) != 0;
        chip.NeedsIcw4 = (value & 1) != 0;
        chip.NextIcw = 2;
    }

    private static void WriteOdd(ref Pic8259ChipState chip, byte value)
    {
        switch (chip.NextIcw)
        {
            case 2:
                chip.VectorBase = (byte)(value & 0xf8);
                chip.NextIcw = (byte)(!chip.Single ? 3 : chip.NeedsIcw4 ? 4 : 0);
                break;
            case 3:
                chip.Cascade = value;
                chip.NextIcw = (byte)(chip.NeedsIcw4 ? 4 : 0);
                break;
            case 4:
                chip.AutoEoi = (value & 2) != 0;
                chip.SpecialFullyNested = (value & 0x10) != 0;
                chip.NextIcw = 0;
                break;
            default:
                chip.Imr = value;
                break;
        }
    }

    private static void WriteOcw2(ref Pic8259ChipState chip, byte value)
    {
        int level = value & 7;
        switch (value >> 5)
        {
            case 0: chip.RotateInAutoEoi = false; break;
            case 1: EndOfInterrupt(ref chip, HighestInService(chip), rotate: false); break;
            case 3: EndOfInterrupt(ref chip, level, rotate: false); break;
            case 4: chip.RotateInAutoEoi = true; break;
            case 5: EndOfInterrupt(ref chip, HighestInService(chip), rotate: true); break;
            case 6: chip.Lowest = (byte)level; break;
            case 7: EndOfInterrupt(ref chip, level, rotate: true); break;
        }
    }

    private static void EndOfInterrupt(ref Pic8259ChipState chip, int level, bool rotate)
    {
        if (level < 0) return;
        chip.Isr &= (byte)~(1 << level);
        if (rotate) chip.Lowest = (byte)level;
    }

    private static int HighestInService(in Pic8259ChipState chip)
    {
        // A masked level in service is not cleared by a non-specific EOI in special mask mode.
        int inService = chip.SpecialMask ? chip.Isr & ~chip.Imr : chip.Isr;
        for (int i = 1; i <= 8; i++)
        {
            int level = (chip.Lowest + i) & 7;
            if ((inService & (1 << level)) != 0) return level;
        }
        return -1;
    }

    private static void WriteOcw3(ref Pic8259ChipState chip, byte value)
    {
        if ((value & 0x40) != 0) chip.SpecialMask = (value & 0x20) != 0;
        if ((value & 0x04) != 0) chip.Poll = true;
        if ((value & 0x02) != 0) chip.ReadIsr = (value & 0x01) != 0;
    }

    private void WriteEdgeLevel(int offset, byte value)
    {
        ref Pic8259ChipState chip = ref offset == 0 ? ref _state.Master : ref _state.Slave;
        byte mode = (byte)(value & (offset == 0 ? MasterLevelMask : SlaveLevelMask));
        byte toLevel = (byte)(mode & ~chip.LevelMode);
        chip.LevelMode = mode;
        chip.Irr |= (byte)(toLevel & chip.Pins);
        Update();
    }
}
