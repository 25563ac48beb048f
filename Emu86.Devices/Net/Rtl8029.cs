// Realtek RTL8029(AS): an NE2000 in one PCI chip (RTL8029AS datasheet; page 3 holds its own registers).
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Net;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct Rtl8029State
{
    /// <summary>9346CR bits 7-6 are the mode: 11 lets CONFIG2 and CONFIG3 be written.</summary>
    public byte EepromCommand;
    public byte Config2;
    public byte Config3;
    public byte HaltClock;
}

/// <summary>PCI 10EC:8029 with 32 ports in BAR 0 and INTA. State: <see cref="Function"/>, <see cref="Controller"/>, and this.</summary>
public sealed class Rtl8029 : IPortDevice, IStateful
{
    private const int RamBytes = 0x8000;
    private readonly string _name;
    private Rtl8029State _state;

    /// <param name="name">Unique in a machine, "net0" for example.</param>
    /// <param name="address">Six address bytes.</param>
    public Rtl8029(string name, ReadOnlySpan<byte> address, Clock clock, EventQueue events, IFramePort port)
    {
        _name = name;
        Function = new(name, new(0x10ec, 0x8029, 0x020000, 0, 0x10ec, 0x8029), interruptPin: 1);
        Function.SetDefault(PciFunction.StatusRegister, 2, 0x0200);
        Function.AddIoBar(0, 32, this, 4);
        Controller = new(name, address, RamBytes, clock, events, Function.SetInterrupt, port);
    }

    public PciFunction Function { get; }

    public Dp8390 Controller { get; }

    public string StateName => _name + ".page3";

    public int StateVersion => 1;

    /// <summary>PCIRST#.</summary>
    public void Reset()
    {
        Function.Reset();
        Controller.PowerOn();
        _state = default;
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<Rtl8029State>();

    public uint ReadPort(int offset, int size)
    {
        if (offset >= 0x10) return NePorts.Read(Controller, offset, size);
        uint value = 0;
        for (int i = 0; i < size; i++) value |= (uint)ReadRegister(offset + i) << (8 * i);
        return value;
    }

    public void WritePort(int offset, int size, uint value)
    {
        if (offset >= 0x10)
        {
            NePorts.Write(Controller, offset, size, value);
            return;
        }
        for (int i = 0; i < size; i++) WriteRegister(offset + i, (byte)(value >> (8 * i)));
    }

    private byte ReadRegister(int register)
    {
        if (register == 0 || Controller.Page is 1 or 2) return Controller.ReadRegister(register);
        if (Controller.Page == 0)
        {
            return register switch
            {
                0xa => (byte)'P',                       // 8029ID0 and 8029ID1
                0xb => (byte)'C',
                _ => Controller.ReadRegister(register),
            };
        }
        return register switch
        {
            0x1 => _state.EepromCommand,
            0x3 => 0x00,                                // CONFIG0: no boot ROM, 10BaseT
            0x5 => _state.Config2,
            0x6 => _state.Config3,
            0x9 => _state.HaltClock,
            0xe => 0x29,                                // 8029ASID0 and 8029ASID1
            0xf => 0x80,
            _ => 0xff,
        };
    }

    private void WriteRegister(int register, byte value)
    {
        if (register == 0 || Controller.Page != 3)
        {
            Controller.WriteRegister(register, value);
            return;
        }
        bool unlocked = (_state.EepromCommand & 0xc0) == 0xc0;
        switch (register)
        {
            case 0x1: _state.EepromCommand = (byte)(value & 0xce); break;
            case 0x5 when unlocked: _state.Config2 = value; break;
            case 0x6 when unlocked: _state.Config3 = (byte)(value & 0x46); break;
            case 0x9: _state.HaltClock = value; break;
        }
    }
}
