// The keyboard controller: Intel 8042 with the firmware of an IBM PS/2, "Keyboard and auxiliary device controller"
// (PS/2 Hardware Interface Technical Reference).
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Input;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct I8042State
{
    /// <summary>The controller's RAM; byte 0 is the command byte.</summary>
    public fixed byte Ram[32];

    /// <summary>Answers that wait for the output buffer.</summary>
    public Ps2Queue Replies;

    /// <summary>A command that waits for its parameter; 0 for none.</summary>
    public byte Command;

    public byte Output;

    public bool OutputFull, OutputFromMouse;

    /// <summary>Status bit 3: the last write went to port 64h.</summary>
    public bool LastWasCommand;

    /// <summary>Translation has seen F0h.</summary>
    public bool BreakPrefix;
}

/// <summary>Map <see cref="DataPort"/> at 60h (1) and <see cref="CommandPort"/> at 64h (1).</summary>
public sealed unsafe class I8042 : IStateful
{
    private const byte KeyboardInterrupt = 1, MouseInterrupt = 2, SystemFlag = 4, KeyboardOff = 0x10, MouseOff = 0x20, Translation = 0x40;

    /// <summary>Eleven bits at 16.7 kHz.</summary>
    private const ulong SerialByteNs = 660_000;

    /// <summary>The controller's own program is faster than the wire.</summary>
    private const ulong ReplyNs = 20_000;

    private readonly Clock _clock;
    private readonly Ps2Keyboard _keyboard;
    private readonly Ps2Mouse _mouse;
    private readonly IrqLine _irq1;
    private readonly IrqLine _irq12;
    private readonly Func<bool> _readA20;
    private readonly Action<bool> _writeA20;
    private readonly ScheduledEvent _transfer;
    private I8042State _state;

    /// <param name="readA20">The A20 gate as it is, for the output port.</param>
    /// <param name="writeA20">Opens (true) or closes the A20 gate.</param>
    public I8042(
        Clock clock, EventQueue events, Ps2Keyboard keyboard, Ps2Mouse mouse, IrqLine irq1, IrqLine irq12,
        Func<bool> readA20, Action<bool> writeA20)
    {
        _clock = clock;
        _keyboard = keyboard;
        _mouse = mouse;
        _irq1 = irq1;
        _irq12 = irq12;
        _readA20 = readA20;
        _writeA20 = writeA20;
        _transfer = events.Register("i8042-transfer", OnTransfer);
        _keyboard.BytesReady = Kick;
        _mouse.BytesReady = Kick;
        DataPort = new BytePorts(_ => ReadData(), (_, value) => WriteData(value));
        CommandPort = new BytePorts(_ => Status, (_, value) => WriteCommand(value));
        _state.Ram[0] = Translation | KeyboardInterrupt;
    }

    public IPortDevice DataPort { get; }

    public IPortDevice CommandPort { get; }

    public string StateName => "i8042";

    public int StateVersion => 1;

    /// <summary>The reset line of the processor was pulsed.</summary>
    public Action? ResetRequested { get; set; }

    /// <summary>Power-on of the controller alone; keyboard and mouse are reset by themselves.</summary>
    public void Reset()
    {
        _state = default;
        _state.Ram[0] = Translation | KeyboardInterrupt;
        _transfer.Cancel();
        FollowInterrupts();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<I8042State>();

    /// <summary>Output buffer full, system flag, command, not inhibited, output buffer from the mouse.</summary>
    private byte Status
    {
        get
        {
            int status = 0x10 | (_state.OutputFull ? 1 : 0) | (_state.Ram[0] & SystemFlag) | (_state.LastWasCommand ? 8 : 0);
            return (byte)(status | (_state.OutputFull && _state.OutputFromMouse ? 0x20 : 0));
        }
    }

    private bool KeyboardReady => (_state.Ram[0] & KeyboardOff) == 0 && _keyboard.HasBytes;

    private bool MouseReady => (_state.Ram[0] & MouseOff) == 0 && _mouse.HasBytes;

    private byte ReadData()
    {
        if (!_state.OutputFull) return _state.Output;
        _state.OutputFull = false;
        FollowInterrupts();
        Kick();
        return _state.Output;
    }

    private void WriteData(byte value)
    {
        _state.LastWasCommand = false;
        byte command = _state.Command;
        _state.Command = 0;
        switch (command)
        {
            case 0:
                // Talking to a device starts its clock again.
                _state.Ram[0] &= unchecked((byte)~KeyboardOff);
                _keyboard.Write(value);
                break;
            case >= 0x60 and < 0x80:
                _state.Ram[command & 0x1f] = value;
                FollowInterrupts();
                break;
            case 0xd1:
                _writeA20((value & 2) != 0);
                if ((value & 1) == 0) ResetRequested?.Invoke();
                break;
            case 0xd2:
                Deliver(value, fromMouse: false);
                break;
            case 0xd3:
                Deliver(value, fromMouse: true);
                break;
            case 0xd4:
                _state.Ram[0] &= unchecked((byte)~MouseOff);
                _mouse.Write(value);
                break;
        }
        Kick();
    }

    private void WriteCommand(byte value)
    {
        _state.LastWasCommand = true;
        _state.Command = 0;
        switch (value)
        {
            case >= 0x20 and < 0x40: Reply(_state.Ram[value & 0x1f]); break;
            case >= 0x60 and < 0x80 or 0xd1 or 0xd2 or 0xd3 or 0xd4: _state.Command = value; break;
            case 0xa4: Reply(0xf1); break; // no password
            case 0xa7: _state.Ram[0] |= MouseOff; break;
            case 0xa8: _state.Ram[0] &= unchecked((byte)~MouseOff); break;
            case 0xa9: Reply(0x00); break; // the auxiliary port's wires are good
            case 0xaa:
                _state.Ram[0] |= SystemFlag;
                Reply(0x55);
                break;
            case 0xab: Reply(0x00); break; // the keyboard's wires are good
            case 0xad: _state.Ram[0] |= KeyboardOff; break;
            case 0xae: _state.Ram[0] &= unchecked((byte)~KeyboardOff); break;
            case 0xc0: Reply(0xa0); break; // input port: keyboard not locked, no manufacturing jumper
            case 0xd0: Reply(OutputPort); break;
            case 0xdd: _writeA20(false); break; // as later controllers have it
            case 0xdf: _writeA20(true); break;
            case 0xe0: Reply(0x00); break; // test inputs: both clocks low
            case >= 0xf0:
                if ((value & 1) == 0) ResetRequested?.Invoke();
                break;
        }
        Kick();
    }

    private byte OutputPort
    {
        get
        {
            int port = 0xc1 | (_readA20() ? 2 : 0);
            if (_state.OutputFull) port |= _state.OutputFromMouse ? 0x20 : 0x10;
            return (byte)port;
        }
    }

    private void Reply(byte value)
    {
        if (!_state.OutputFull && _state.Replies.Count == 0) Deliver(value, fromMouse: false);
        else _state.Replies.TryPush(value);
    }

    private void Deliver(byte value, bool fromMouse)
    {
        _state.Output = value;
        _state.OutputFull = true;
        _state.OutputFromMouse = fromMouse;
        FollowInterrupts();
    }

    private void FollowInterrupts()
    {
        byte enabled = _state.Ram[0];
        _irq1.Set(_state.OutputFull && !_state.OutputFromMouse && (enabled & KeyboardInterrupt) != 0);
        _irq12.Set(_state.OutputFull && _state.OutputFromMouse && (enabled & MouseInterrupt) != 0);
    }

    /// <summary>Starts the transfer of the next byte into the empty output buffer.</summary>
    private void Kick()
    {
        if (_state.OutputFull || _transfer.Pending) return;
        if (_state.Replies.Count > 0) _transfer.At(_clock.NowNs + ReplyNs);
        else if (KeyboardReady || MouseReady) _transfer.At(_clock.NowNs + SerialByteNs);
    }

    private void OnTransfer()
    {
        if (_state.OutputFull) return;
        if (_state.Replies.Count > 0)
        {
            Deliver(_state.Replies.Pop(), fromMouse: false);
            return;
        }
        if (KeyboardReady) TakeFromKeyboard();
        else if (MouseReady) Deliver(_mouse.Next(), fromMouse: true);
        Kick();
    }

    private void TakeFromKeyboard()
    {
        byte value = _keyboard.Next();
        if ((_state.Ram[0] & Translation) == 0)
        {
            Deliver(value, fromMouse: false);
            return;
        }
        // Set 2's break prefix becomes bit 7 of the code that follows.
        if (value == 0xf0)
        {
            _state.BreakPrefix = true;
            return;
        }
        byte translated = ScanCodes.Translate(value);
        Deliver((byte)(translated | (_state.BreakPrefix ? 0x80 : 0)), fromMouse: false);
        _state.BreakPrefix = false;
    }
}
