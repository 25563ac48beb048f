// Power management: function 3 of the Intel 82371AB (PIIX4), datasheet order 290562, chapter 7, and ACPI 1.0, chapter 4.
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct AcpiPmState
{
    /// <summary>PM1 status without TMROF_STS, enable and control registers.</summary>
    public ushort Status, Enable, Control;

    /// <summary>Carries of the timer's bit 23 up to which TMROF_STS has been cleared.</summary>
    public ulong OverflowsSeen;

    public ushort GpStatus, GpEnable;

    public byte ApmCommand, ApmStatus;

    /// <summary>Registers 10h to 3Fh, most of which only keep what is written.</summary>
    public fixed byte Others[64];
}

/// <summary>PM1 registers, 24-bit timer, power button, soft-off. The board maps <see cref="ApmPorts"/> at B2h (2).</summary>
public sealed unsafe class AcpiPm : IPortDevice, IStateful
{
    public const ulong TimerHz = 3_579_545;

    private const ushort TimerOverflow = 1, GlobalLock = 1 << 5, PowerButton = 1 << 8, RtcAlarm = 1 << 10, Resume = 1 << 15;
    private const ushort StatusMask = TimerOverflow | 1 << 4 | GlobalLock | PowerButton | RtcAlarm | Resume;
    private const ushort EnableMask = TimerOverflow | GlobalLock | PowerButton | RtcAlarm;
    private const ushort SciEnable = 1, SuspendEnable = 1 << 13, ControlMask = 0x1c03;
    private const ushort GpMask = 0x0f01;
    private const ulong NsPerSecond = 1_000_000_000;

    private readonly Clock _clock;
    private readonly IrqLine _sci;
    private readonly ScheduledEvent _overflow;
    private AcpiPmState _state;

    /// <param name="sci">IRQ 9; a second wire when it is shared with PCI interrupts.</param>
    public AcpiPm(Clock clock, EventQueue events, IrqLine sci)
    {
        _clock = clock;
        _sci = sci;
        _overflow = events.Register("acpi-timer-overflow", FollowStatus);
        Pci = new PciFunction("acpi-pm", new PciIdentity(0x8086, 0x7113, 0x068000, Revision: 3), interruptPin: 1);
        Pci.SetDefault(PciFunction.StatusRegister, 2, 0x0280);
        Pci.SetWritable(PciFunction.CommandRegister, 2, 0x0001);
        Pci.SetDefault(0x40, 4, 1);
        Pci.SetWritable(0x40, 4, 0xffc0);
        Pci.SetWritable(0x44, 4, 0xffffffff);
        Pci.SetWritable(0x48, 4, 0xffffffff);
        Pci.SetWritable(0x4c, 4, 0xffffffff);
        Pci.SetWritable(0x50, 4, 0xffffffff);
        Pci.SetWritable(0x54, 4, 0xffffffff);
        // DEVACTB bit 25 (APMC_EN): firmware takes a set bit to mean that SMM has been prepared; there is no SMM here.
        Pci.SetDefault(0x58, 4, 0x02000000);
        Pci.SetWritable(0x58, 4, 0xffffffff);
        for (int i = 0x5c; i < 0x80; i += 4) Pci.SetWritable(i, 4, 0xffffffff);
        Pci.SetWritable(0x80, 1, 0x01);
        Pci.SetDefault(0x90, 4, 1);
        Pci.SetWritable(0x90, 4, 0xfff0);
        Pci.SetWritable(0xd2, 1, 0x0f);
        // PMBASE is enabled by PMIOSE in PMREGMISC, not by the command register.
        Pci.AddIoRange(0x40, 64, 0xffc0, this, 4, () => (Pci!.ReadConfig(0x80, 1) & 1) != 0);
        ApmPorts = new BytePorts(
            offset => offset == 0 ? _state.ApmCommand : _state.ApmStatus,
            WriteApm);
    }

    public PciFunction Pci { get; }

    public IPortDevice ApmPorts { get; }

    public string StateName => "acpi-pm";

    public int StateVersion => 1;

    /// <summary>The guest switched the machine off (SLP_TYP 0 with SLP_EN).</summary>
    public Action? SoftOff { get; set; }

    /// <summary>The 24-bit timer now.</summary>
    public uint Timer => (uint)Ticks & 0xffffff;

    private ulong Ticks => (ulong)((UInt128)_clock.NowNs * TimerHz / NsPerSecond);

    private ushort Status => (ushort)(_state.Status | (Ticks >> 23 != _state.OverflowsSeen ? TimerOverflow : 0));

    /// <summary>Someone pressed the power button (an input event).</summary>
    public void PressPowerButton()
    {
        _state.Status |= PowerButton;
        FollowStatus();
    }

    /// <summary>A general purpose event: 0 (THRM#), 8 (USB), 9 (RI), 10 (LID), 11 (GPI1).</summary>
    public void RaiseGeneralPurposeEvent(int bit)
    {
        Check.That((GpMask & (1 << bit)) != 0);
        _state.GpStatus |= (ushort)(1 << bit);
        FollowStatus();
    }

    public uint ReadPort(int offset, int size)
    {
        // The timer is read in one piece or byte by byte; it does not stand still between bytes.
        uint value = 0;
        uint timer = Timer;
        for (int i = 0; i < size; i++) value |= (uint)ReadByte(offset + i, timer) << (8 * i);
        return value;
    }

    public void WritePort(int offset, int size, uint value)
    {
        for (int i = 0; i < size; i++) WriteByte(offset + i, (byte)(value >> (8 * i)));
        FollowStatus();
        if (offset <= 5 && offset + size > 5 && (value >> (8 * (5 - offset)) & SuspendEnable >> 8) != 0) EnterSleep();
    }

    public void Reset()
    {
        ulong overflows = Ticks >> 23;
        _state = new() { OverflowsSeen = overflows };
        Pci.Reset();
        FollowStatus();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<AcpiPmState>();

    private byte ReadByte(int offset, uint timer) => offset switch
    {
        0 or 1 => ByteOf(Status, offset),
        2 or 3 => ByteOf(_state.Enable, offset - 2),
        4 or 5 => ByteOf(_state.Control, offset - 4),
        8 or 9 or 10 => (byte)(timer >> (8 * (offset - 8))),
        12 or 13 => ByteOf(_state.GpStatus, offset - 12),
        14 or 15 => ByteOf(_state.GpEnable, offset - 14),
        // LVL2 and LVL3: reading enters a clock-control state, which takes no time here.
        >= 16 and < 64 and not 20 and not 21 => _state.Others[offset],
        _ => 0,
    };

    private void WriteByte(int offset, byte value)
    {
        int at = 8 * (offset & 1);
        switch (offset)
        {
            case 0 or 1:
                ushort cleared = (ushort)(value << at & StatusMask);
                if ((cleared & TimerOverflow) != 0) _state.OverflowsSeen = Ticks >> 23;
                _state.Status &= (ushort)~cleared;
                break;
            case 2 or 3:
                _state.Enable = Merge(_state.Enable, at, value, EnableMask);
                break;
            case 4 or 5:
                _state.Control = Merge(_state.Control, at, value, ControlMask);
                break;
            case 12 or 13:
                _state.GpStatus &= (ushort)~(value << at & GpMask);
                break;
            case 14 or 15:
                _state.GpEnable = Merge(_state.GpEnable, at, value, GpMask);
                break;
            case 28 or 29 or 30 or 31 or (>= 16 and < 20) or (>= 32 and < 48) or (>= 52 and < 56):
                _state.Others[offset] = value;
                break;
        }
    }

    private static byte ByteOf(ushort word, int index) => (byte)(word >> (8 * index));

    private static ushort Merge(ushort word, int at, byte value, ushort mask) =>
        (ushort)((word & ~(0xff << at) | value << at) & mask);

    private void EnterSleep()
    {
        int type = _state.Control >> 10 & 7;
        if (type == 0)
        {
            SoftOff?.Invoke();
            return;
        }
        // No other state is offered to the guest's firmware tables; the machine resumes at once.
        _state.Status |= Resume;
        FollowStatus();
    }

    /// <summary>Drives the SCI and schedules the timer's next overflow, if it could raise it.</summary>
    private void FollowStatus()
    {
        bool on = (_state.Control & SciEnable) != 0;
        bool pm1 = (Status & _state.Enable & EnableMask) != 0;
        bool general = (_state.GpStatus & _state.GpEnable) != 0;
        _sci.Set(on && (pm1 || general));
        if (!on || (_state.Enable & TimerOverflow) == 0 || (Status & TimerOverflow) != 0)
        {
            _overflow.Cancel();
            return;
        }
        UInt128 tick = (UInt128)(_state.OverflowsSeen + 1) << 23;
        _overflow.At((ulong)((tick * NsPerSecond + TimerHz - 1) / TimerHz));
    }

    /// <summary>APM control (B2h) is where firmware's SMI handler would switch between legacy and ACPI mode; the two
    /// commands that the FADT names for it (F1h, F0h) are carried out here.</summary>
    private void WriteApm(int offset, byte value)
    {
        if (offset == 1)
        {
            _state.ApmStatus = value;
            return;
        }
        _state.ApmCommand = value;
        if (value == 0xf1) _state.Control |= SciEnable;
        else if (value == 0xf0) _state.Control &= unchecked((ushort)~SciEnable);
        FollowStatus();
    }
}
