// One IDE cable: which of two devices the host talks to, and when INTRQ reaches the controller (ATA/ATAPI-6, 7 and 9).
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Ide;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct IdeChannelState
{
    /// <summary>Bit 4 of the device register as the host wrote it last.</summary>
    public byte Selected;

    /// <summary>Device control: bit 7 HOB, bit 2 SRST, bit 1 nIEN.</summary>
    public byte Control;

    public byte IrqLevel;
}

/// <summary>The command block (1F0h or 170h, 8 ports, up to 4 bytes wide). <see cref="ControlPort"/> is the port at 3F6h or 376h.</summary>
public sealed class IdeChannel : IPortDevice, IStateful
{
    private const byte HighOrder = 0x80;
    private const byte SoftReset = 0x04;
    private const byte InterruptsOff = 0x02;

    private readonly int _number;
    private readonly IIdeDrive?[] _drives;
    private readonly IrqLine _irq;
    private readonly BusMasterChannel? _busMaster;
    private IdeChannelState _state;

    /// <param name="number">0 primary, 1 secondary.</param>
    /// <param name="drive0">Drive number × 2, or null.</param>
    /// <param name="drive1">Drive number × 2 + 1, or null.</param>
    /// <param name="irq">IRQ 14 or 15.</param>
    /// <param name="busMaster">Null for a channel without DMA.</param>
    public IdeChannel(int number, IIdeDrive? drive0, IIdeDrive? drive1, IrqLine irq, BusMasterChannel? busMaster)
    {
        Check.That(drive0 is null || drive0.Position == 0);
        Check.That(drive1 is null || drive1.Position == 1);
        _number = number;
        _drives = [drive0, drive1];
        _irq = irq;
        _busMaster = busMaster;
        ControlPort = new ControlBlock(this);
        foreach (IIdeDrive? drive in _drives)
        {
            if (drive is null) continue;
            drive.InterruptChanged = UpdateInterrupt;
            drive.BusMaster = busMaster;
        }
        if (busMaster is null) return;
        busMaster.OnStart = () => Selected?.BusMasterStarted();
        busMaster.OnStop = () => Selected?.BusMasterStopped();
    }

    /// <summary>Alternate status (read) and device control (write): one port.</summary>
    public IPortDevice ControlPort { get; }

    /// <summary>Whether the controller decodes the channel's ports; null: always. What is not decoded floats.</summary>
    internal Func<bool>? Decoded { get; init; }

    public string StateName => $"ide.channel{_number}";

    public int StateVersion => 1;

    private bool IsDeaf => Decoded is { } decoded && !decoded();

    private IIdeDrive? Selected => _drives[_state.Selected];

    /// <summary>Hardware reset of the cable and its devices.</summary>
    public void Reset()
    {
        _state.Selected = 0;
        _state.Control = 0;
        foreach (IIdeDrive? drive in _drives) drive?.Reset();
        UpdateInterrupt();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<IdeChannelState>();

    public uint ReadPort(int offset, int size)
    {
        if (IsDeaf) return Absent(size);
        if (offset == 0) return Selected?.ReadData(size) ?? Absent(size);
        uint value = 0;
        for (int i = 0; i < size; i++) value |= (uint)ReadRegister(offset + i) << (8 * i);
        return value;
    }

    public void WritePort(int offset, int size, uint value)
    {
        if (IsDeaf) return;
        if (offset == 0)
        {
            Selected?.WriteData(size, value);
            return;
        }
        for (int i = 0; i < size; i++) WriteRegister(offset + i, (byte)(value >> (8 * i)));
    }

    private byte ReadRegister(int register)
    {
        if (Selected is not { } drive) return AbsentStatus;
        return drive.ReadRegister(register, (_state.Control & HighOrder) != 0);
    }

    private void WriteRegister(int register, byte value)
    {
        // Any write to the command block ends the look at the high order bytes (ATA-6, 7.8.3).
        _state.Control &= unchecked((byte)~HighOrder);
        if (register == 7)
        {
            if (value == 0x90) Diagnose();
            else Selected?.Execute(value);
            return;
        }
        foreach (IIdeDrive? drive in _drives) drive?.WriteRegister(register, value);
        if (register != 6) return;
        _state.Selected = (byte)((value >> 4) & 1);
        UpdateInterrupt();
    }

    /// <summary>An empty cable's DD7 is pulled down, the rest floats high. With one device the other one reads as zero:
    /// never ready, never busy.</summary>
    private byte AbsentStatus => _drives[0] is null && _drives[1] is null ? (byte)0x7f : (byte)0;

    private static uint Absent(int size) => size == 1 ? 0xff : size == 2 ? 0xffff : 0xffffffff;

    private void Diagnose()
    {
        _state.Selected = 0;
        foreach (IIdeDrive? drive in _drives) drive?.Diagnose();
        UpdateInterrupt();
    }

    private void WriteControl(byte value)
    {
        byte changed = (byte)(_state.Control ^ value);
        _state.Control = value;
        if ((changed & SoftReset) != 0)
        {
            foreach (IIdeDrive? drive in _drives)
            {
                if ((value & SoftReset) != 0) drive?.BeginSoftReset();
                else drive?.EndSoftReset();
            }
            _state.Selected = 0;
        }
        UpdateInterrupt();
    }

    private void UpdateInterrupt()
    {
        bool level = Selected is { Interrupt: true } && (_state.Control & InterruptsOff) == 0;
        if (level == (_state.IrqLevel != 0)) return;
        _state.IrqLevel = level ? (byte)1 : (byte)0;
        if (level) _busMaster?.LatchInterrupt();
        _irq.Set(level);
    }

    private sealed class ControlBlock(IdeChannel channel) : IPortDevice
    {
        public uint ReadPort(int offset, int size) => channel.IsDeaf ? Absent(size) : channel.Selected?.Status ?? channel.AbsentStatus;

        public void WritePort(int offset, int size, uint value)
        {
            if (!channel.IsDeaf) channel.WriteControl((byte)value);
        }
    }
}
