// The system board's control ports: 61h (NMI status and control, speaker), 92h (fast A20 and reset), 80h (diagnostics),
// F0h (coprocessor error). 82371SB PIIX3 datasheet, 2.5.4 and 2.5.6; IBM PC/AT Technical Reference.
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct SystemControlState
{
    /// <summary>Writable bits 0 to 3 of port 61h.</summary>
    public byte Control;

    public byte PostCode;

    /// <summary>The A20 gate, one latch behind port 92h and the keyboard controller.</summary>
    public bool A20;

    /// <summary>Bit 0 of port 92h.</summary>
    public bool FastReset;

    /// <summary>IRQ 13 is latched until port F0h is written.</summary>
    public bool CoprocessorError;

    /// <summary>IOCHK# and SERR# as latched for bits 6 and 7 of port 61h.</summary>
    public bool IoCheck, SystemError;
}

/// <summary>Map <see cref="Port61"/> at 61h (1), <see cref="Port80"/> at 80h (1), <see cref="Port92"/> at 92h (1) and
/// <see cref="PortF0"/> at F0h (1).</summary>
public sealed class SystemControl : IStateful
{
    private const byte Gate2 = 1, Speaker = 2, SystemErrorOff = 4, IoCheckOff = 8;

    private readonly Pit8254 _pit;
    private readonly IrqLine _irq13;
    private SystemControlState _state = new() { A20 = true };

    public SystemControl(Pit8254 pit, IrqLine irq13)
    {
        _pit = pit;
        _irq13 = irq13;
        Port61 = new BytePorts(_ => Read61(), (_, value) => Write61(value));
        Port80 = new BytePorts(_ => _state.PostCode, (_, value) => WritePost(value));
        Port92 = new BytePorts(_ => Read92(), (_, value) => Write92(value));
        PortF0 = new BytePorts(_ => 0xff, (_, _) =>
        {
            SetCoprocessorError(false);
            CoprocessorErrorCleared?.Invoke();
        });
    }

    public IPortDevice Port61 { get; }

    public IPortDevice Port80 { get; }

    public IPortDevice Port92 { get; }

    public IPortDevice PortF0 { get; }

    public string StateName => "system-control";

    public int StateVersion => 1;

    /// <summary>The A20 gate changed: true when address line 20 works.</summary>
    public Action<bool>? A20Changed { get; set; }

    /// <summary>Port 92h asked for a reset of the processor (INIT).</summary>
    public Action? ResetRequested { get; set; }

    /// <summary>A diagnostic code was written to port 80h.</summary>
    public Action<byte>? PostCodeWritten { get; set; }

    /// <summary>A write to F0h: IGNNE# until the coprocessor's error is cleared.</summary>
    public Action? CoprocessorErrorCleared { get; set; }

    /// <summary>NMI for the processor (the RTC's mask is the board's to apply).</summary>
    public Action? NmiRequested { get; set; }

    /// <summary>The A20 gate; the keyboard controller's output port drives the same latch.</summary>
    public bool A20
    {
        get => _state.A20;
        set
        {
            if (value == _state.A20) return;
            _state.A20 = value;
            A20Changed?.Invoke(value);
        }
    }

    /// <summary>Whether the speaker gets timer 2's output.</summary>
    public bool SpeakerOn => (_state.Control & (Gate2 | Speaker)) == (Gate2 | Speaker);

    /// <summary>The processor's FERR# pin: its falling edge sets the latch behind IRQ 13.</summary>
    public void SetFerr(bool asserted)
    {
        if (asserted) SetCoprocessorError(true);
    }

    /// <summary>An ISA card reports an error (IOCHK#).</summary>
    public void RaiseIoCheck()
    {
        if ((_state.Control & IoCheckOff) != 0) return;
        _state.IoCheck = true;
        NmiRequested?.Invoke();
    }

    /// <summary>A PCI device reports an error (SERR#).</summary>
    public void RaiseSystemError()
    {
        if ((_state.Control & SystemErrorOff) != 0) return;
        _state.SystemError = true;
        NmiRequested?.Invoke();
    }

    /// <summary>The state after power-on or a hard reset. The A20 gate opens, so that the reset vector is reached.</summary>
    public void Reset()
    {
        A20 = true;
        _state = new() { A20 = true };
        _pit.Gate2 = false;
        _irq13.Set(false);
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader)
    {
        _state = reader.Struct<SystemControlState>();
        A20Changed?.Invoke(_state.A20);
    }

    private byte Read61()
    {
        // Refresh requests toggle bit 4 every 18 timer ticks (15.085 µs).
        bool refresh = (_pit.NowTick / 18 & 1) != 0;
        int status = (refresh ? 0x10 : 0) | (_pit.Output(2) ? 0x20 : 0) | (_state.IoCheck ? 0x40 : 0) | (_state.SystemError ? 0x80 : 0);
        return (byte)(_state.Control | status);
    }

    private void Write61(byte value)
    {
        _state.Control = (byte)(value & 15);
        _pit.Gate2 = (value & Gate2) != 0;
        if ((value & SystemErrorOff) != 0) _state.SystemError = false;
        if ((value & IoCheckOff) != 0) _state.IoCheck = false;
    }

    private byte Read92() => (byte)((_state.A20 ? 2 : 0) | (_state.FastReset ? 1 : 0));

    private void Write92(byte value)
    {
        A20 = (value & 2) != 0;
        bool rises = (value & 1) != 0 && !_state.FastReset;
        _state.FastReset = (value & 1) != 0;
        if (rises) ResetRequested?.Invoke();
    }

    private void WritePost(byte value)
    {
        _state.PostCode = value;
        PostCodeWritten?.Invoke(value);
    }

    private void SetCoprocessorError(bool latched)
    {
        _state.CoprocessorError = latched;
        _irq13.Set(latched);
    }
}
