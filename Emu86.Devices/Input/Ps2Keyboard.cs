// A PS/2 keyboard of 101/102 keys: IBM PS/2 Hardware Interface Technical Reference, "Keyboard". It does not repeat keys
// by itself: a held key arrives as often as its host says.
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Input;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct Ps2KeyboardState
{
    /// <summary>Answers to commands go before key codes.</summary>
    public Ps2Queue Replies, Codes;

    public bool Scanning;

    /// <summary>The scan code set in use, 1 to 3.</summary>
    public byte Set;

    /// <summary>Bits 0 scroll lock, 1 num lock, 2 caps lock.</summary>
    public byte Leds;

    /// <summary>Typematic rate and delay as programmed.</summary>
    public byte Rate;

    /// <summary>A command that waits for its parameter; 0 for none.</summary>
    public byte Command;

    public byte LastSent;

    /// <summary>Set 3: keys (by code) that send a break code.</summary>
    public fixed byte Breaks[32];
}

/// <summary>The device at the keyboard port of the controller.</summary>
public sealed unsafe class Ps2Keyboard : IStateful
{
    private const byte Acknowledge = 0xfa, ResendRequest = 0xfe, TestPassed = 0xaa;

    /// <summary>Short for a self test (real ones take 500 ms), long enough to be seen as one.</summary>
    private const ulong SelfTestNs = 10_000_000;

    private readonly Clock _clock;
    private readonly ScheduledEvent _selfTest;
    private Ps2KeyboardState _state;

    public Ps2Keyboard(Clock clock, EventQueue events)
    {
        _clock = clock;
        _selfTest = events.Register("keyboard-self-test", OnSelfTestDone);
        SetDefaults();
        _state.Scanning = true;
    }

    public string StateName => "keyboard";

    public int StateVersion => 1;

    /// <summary>The controller listens: bytes have become ready.</summary>
    public Action? BytesReady { get; set; }

    /// <summary>Bits 0 scroll lock, 1 num lock, 2 caps lock.</summary>
    public byte Leds => _state.Leds;

    public bool HasBytes => _state.Replies.Count + _state.Codes.Count > 0;

    /// <summary>Whether a further key event fits the keyboard's buffer.</summary>
    public bool CanReceive => _state.Codes.Free >= 9;

    /// <summary>Next byte for the controller; there is one.</summary>
    public byte Next()
    {
        _state.LastSent = _state.Replies.Count > 0 ? _state.Replies.Pop() : _state.Codes.Pop();
        return _state.LastSent;
    }

    /// <summary>Keys pressed and released (an input event), as set-1 codes with their prefixes.</summary>
    public void Inject(ReadOnlySpan<byte> set1)
    {
        for (int i = 0; i < set1.Length; i++)
        {
            byte code = set1[i];
            byte extended = 0;
            if (code == 0xe1)
            {
                // Pause: E1 1D 45, and E1 9D C5 for its release.
                if (i + 1 < set1.Length) InjectKey(ScanCodes.Pause, (set1[i + 1] & 0x80) == 0);
                i += 2;
                continue;
            }
            if (code == 0xe0)
            {
                if (++i == set1.Length) return;
                code = set1[i];
                extended = ScanCodes.Extended;
                // Shifts that keyboards put around grey keys are not keys.
                if ((code & 0x7f) is 0x2a or 0x36) continue;
            }
            InjectKey((byte)(code & 0x7f | extended), (code & 0x80) == 0);
        }
    }

    /// <summary>One key (see <see cref="ScanCodes"/>) goes down or up.</summary>
    public void InjectKey(byte key, bool down)
    {
        if (!_state.Scanning) return;
        if (!CanReceive)
        {
            // Buffer overrun: 00h, in set 1 FFh.
            _state.Codes.TryPush(_state.Set == 1 ? (byte)0xff : (byte)0);
        }
        else if (_state.Set == 3)
        {
            SendSet3(key, down);
        }
        else if (key == ScanCodes.Pause)
        {
            if (!down) return;
            Send(0xe1, 0x1d, true);
            Send(0, 0x45, true);
            Send(0xe1, 0x1d, false);
            Send(0, 0x45, false);
        }
        else if (key == ScanCodes.PrintScreen)
        {
            Send(0xe0, down ? (byte)0x2a : (byte)0x37, down);
            Send(0xe0, down ? (byte)0x37 : (byte)0x2a, down);
        }
        else
        {
            Send((key & ScanCodes.Extended) != 0 ? (byte)0xe0 : (byte)0, (byte)(key & 0x7f), down);
        }
        BytesReady?.Invoke();
    }

    /// <summary>A byte from the controller.</summary>
    public void Write(byte value)
    {
        byte command = _state.Command;
        _state.Command = 0;
        if (command != 0 && value < 0xed) WriteParameter(command, value);
        else WriteCommand(value);
        BytesReady?.Invoke();
    }

    /// <summary>Power-on.</summary>
    public void Reset()
    {
        _state = default;
        SetDefaults();
        _state.Scanning = true;
        _selfTest.Cancel();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<Ps2KeyboardState>();

    private void Send(byte prefix, byte set1, bool down)
    {
        if (prefix != 0) _state.Codes.TryPush(prefix);
        if (_state.Set == 1)
        {
            _state.Codes.TryPush((byte)(set1 | (down ? 0 : 0x80)));
            return;
        }
        if (!down) _state.Codes.TryPush(0xf0);
        _state.Codes.TryPush(ScanCodes.ToSet2(set1));
    }

    private void SendSet3(byte key, bool down)
    {
        byte code = ScanCodes.ToSet3(key);
        if (down)
        {
            _state.Codes.TryPush(code);
        }
        else if ((_state.Breaks[code / 8] & (1 << (code % 8))) != 0)
        {
            _state.Codes.TryPush(0xf0);
            _state.Codes.TryPush(code);
        }
    }

    private void SetDefaults()
    {
        _state.Set = 2;
        _state.Rate = 0x2b;
        for (int i = 0; i < 32; i++) _state.Breaks[i] = 0;
        // Set 3: shifts, control, alt and caps lock tell of their release; the rest does not.
        foreach (byte code in (ReadOnlySpan<byte>)[0x11, 0x12, 0x14, 0x19, 0x59]) SetBreak(code, true);
    }

    private void SetBreak(byte code, bool on)
    {
        int bit = 1 << (code % 8);
        _state.Breaks[code / 8] = (byte)(on ? _state.Breaks[code / 8] | bit : _state.Breaks[code / 8] & ~bit);
    }

    private void WriteParameter(byte command, byte value)
    {
        switch (command)
        {
            case 0xed:
                _state.Leds = (byte)(value & 7);
                break;
            case 0xf0 when value == 0:
                _state.Replies.TryPush(Acknowledge);
                _state.Replies.TryPush(_state.Set);
                return;
            case 0xf0 when value <= 3:
                _state.Set = value;
                _state.Codes.Clear();
                break;
            case 0xf0:
                _state.Replies.TryPush(ResendRequest);
                return;
            case 0xf3:
                _state.Rate = (byte)(value & 0x7f);
                break;
            // FBh to FDh: typematic, make/break, make only, for the keys that follow until the next command.
            default:
                SetBreak(value, command == 0xfc);
                _state.Command = command;
                break;
        }
        _state.Replies.TryPush(Acknowledge);
    }

    private void WriteCommand(byte value)
    {
        switch (value)
        {
            case 0xee:
                _state.Replies.TryPush(0xee);
                return;
            case 0xfe:
                _state.Replies.TryPush(_state.LastSent);
                return;
            case 0xed or 0xf0 or 0xf3 or 0xfb or 0xfc or 0xfd:
                _state.Command = value;
                break;
            case 0xf2:
                _state.Replies.TryPush(Acknowledge);
                _state.Replies.TryPush(0xab);
                _state.Replies.TryPush(0x83);
                return;
            case 0xf4:
                _state.Codes.Clear();
                _state.Scanning = true;
                break;
            case 0xf5 or 0xf6:
                _state.Codes.Clear();
                SetDefaults();
                _state.Scanning = value == 0xf6 && _state.Scanning;
                break;
            // All keys: typematic, make/break, make only, both.
            case 0xf7 or 0xf8 or 0xf9 or 0xfa:
                for (int i = 0; i < 32; i++) _state.Breaks[i] = value is 0xf8 or 0xfa ? (byte)0xff : (byte)0;
                break;
            case 0xff:
                _state.Replies.Clear();
                _state.Codes.Clear();
                _state.Leds = 0;
                _state.Scanning = false;
                SetDefaults();
                _selfTest.At(_clock.NowNs + SelfTestNs);
                break;
            default:
                _state.Replies.TryPush(ResendRequest);
                return;
        }
        _state.Replies.TryPush(Acknowledge);
    }

    private void OnSelfTestDone()
    {
        _state.Replies.TryPush(TestPassed);
        _state.Scanning = true;
        BytesReady?.Invoke();
    }
}
