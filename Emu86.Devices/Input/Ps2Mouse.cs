// A PS/2 mouse with wheel: IBM PS/2 Hardware Interface Technical Reference, "Mouse", and Microsoft's IntelliMouse
// extension (identity 3: wheel; 4: wheel and five buttons).
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Input;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Ps2MouseState
{
    public Ps2Queue Bytes;

    /// <summary>Movement not yet reported, in counts; up and to the right are positive, the wheel towards the user.</summary>
    public int Dx, Dy, Wheel;

    /// <summary>Bits 0 left, 1 right, 2 middle, 3 and 4 the others.</summary>
    public byte Buttons;

    public byte ButtonsReported;

    public bool Reporting, Remote, Wrap, Scaling2To1;

    /// <summary>0 to 3: 1 to 8 counts per millimetre.</summary>
    public byte Resolution;

    /// <summary>Samples per second.</summary>
    public byte SampleRate;

    /// <summary>The two rates set before, for the wheel's knock.</summary>
    public byte Rate1, Rate2;

    /// <summary>0, 3 or 4.</summary>
    public byte Identity;

    /// <summary>A command that waits for its parameter; 0 for none.</summary>
    public byte Command;

    public byte LastSent;
}

/// <summary>The device at the auxiliary port of the controller.</summary>
public sealed class Ps2Mouse : IStateful
{
    private const byte Acknowledge = 0xfa, ResendRequest = 0xfe, TestPassed = 0xaa;
    private const ulong SelfTestNs = 10_000_000, NsPerSecond = 1_000_000_000;

    private readonly Clock _clock;
    private readonly ScheduledEvent _selfTest;
    private readonly ScheduledEvent _sample;
    private Ps2MouseState _state;

    public Ps2Mouse(Clock clock, EventQueue events)
    {
        _clock = clock;
        _selfTest = events.Register("mouse-self-test", OnSelfTestDone);
        _sample = events.Register("mouse-sample", Report);
        SetDefaults();
    }

    public string StateName => "mouse";

    public int StateVersion => 1;

    /// <summary>The controller listens: bytes have become ready.</summary>
    public Action? BytesReady { get; set; }

    public bool HasBytes => _state.Bytes.Count > 0;

    /// <summary>Next byte for the controller; there is one.</summary>
    public byte Next()
    {
        _state.LastSent = _state.Bytes.Pop();
        return _state.LastSent;
    }

    /// <summary>A movement (an input event).</summary>
    /// <param name="dx">Counts to the right.</param>
    /// <param name="dy">Counts up.</param>
    /// <param name="wheel">Detents towards the user.</param>
    /// <param name="buttons">Bit 0 left, 1 right, 2 middle, 3 and 4 the others.</param>
    public void Inject(int dx, int dy, int wheel, byte buttons)
    {
        // What nobody asks for does not pile up without bound.
        _state.Dx = Math.Clamp(_state.Dx + Math.Clamp(dx, -10_000, 10_000), -10_000, 10_000);
        _state.Dy = Math.Clamp(_state.Dy + Math.Clamp(dy, -10_000, 10_000), -10_000, 10_000);
        _state.Wheel = Math.Clamp(_state.Wheel + Math.Clamp(wheel, -100, 100), -100, 100);
        _state.Buttons = (byte)(buttons & 0x1f);
        if (!_sample.Pending) Report();
    }

    /// <summary>A byte from the controller. It ends whatever the mouse was sending.</summary>
    public void Write(byte value)
    {
        _state.Bytes.Clear();
        byte command = _state.Command;
        _state.Command = 0;
        if (_state.Wrap && value is not (0xec or 0xff)) _state.Bytes.TryPush(value);
        else if (command != 0) WriteParameter(command, value);
        else WriteCommand(value);
        BytesReady?.Invoke();
    }

    /// <summary>Power-on.</summary>
    public void Reset()
    {
        _state = default;
        SetDefaults();
        _selfTest.Cancel();
        _sample.Cancel();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<Ps2MouseState>();

    private bool HasNews => _state.Dx != 0 || _state.Dy != 0 || _state.Wheel != 0 || _state.Buttons != _state.ButtonsReported;

    private void SetDefaults()
    {
        _state.SampleRate = 100;
        _state.Resolution = 2;
        _state.Scaling2To1 = _state.Reporting = _state.Remote = _state.Wrap = false;
        _state.Dx = _state.Dy = _state.Wheel = 0;
    }

    private void WriteParameter(byte command, byte value)
    {
        if (command == 0xe8)
        {
            if (value > 3)
            {
                _state.Bytes.TryPush(ResendRequest);
                return;
            }
            _state.Resolution = value;
        }
        else
        {
            if (value is not (10 or 20 or 40 or 60 or 80 or 100 or 200))
            {
                _state.Bytes.TryPush(ResendRequest);
                return;
            }
            // 200, 100, 80 asks for the wheel; 200, 200, 80 then for five buttons.
            if (_state.Rate1 == 200 && _state.Rate2 == 100 && value == 80) _state.Identity = 3;
            else if (_state.Rate1 == 200 && _state.Rate2 == 200 && value == 80 && _state.Identity == 3) _state.Identity = 4;
            _state.Rate1 = _state.Rate2;
            _state.Rate2 = _state.SampleRate = value;
        }
        _state.Bytes.TryPush(Acknowledge);
    }

    private void WriteCommand(byte value)
    {
        if (value == 0xfe)
        {
            _state.Bytes.TryPush(_state.LastSent);
            return;
        }
        if (value is < 0xe6 or 0xed or 0xef or 0xf1 or (>= 0xf7 and < 0xff))
        {
            _state.Bytes.TryPush(ResendRequest);
            return;
        }
        _state.Bytes.TryPush(Acknowledge);
        switch (value)
        {
            case 0xe6: _state.Scaling2To1 = false; break;
            case 0xe7: _state.Scaling2To1 = true; break;
            case 0xe8 or 0xf3: _state.Command = value; break;
            case 0xe9: SendStatus(); break;
            case 0xea: _state.Remote = false; break;
            case 0xeb: SendPacket(scale: false); break;
            case 0xec: _state.Wrap = false; break;
            case 0xee: _state.Wrap = true; break;
            case 0xf0: _state.Remote = true; break;
            case 0xf2: _state.Bytes.TryPush(_state.Identity); break;
            case 0xf4: _state.Reporting = true; break;
            case 0xf5: _state.Reporting = false; break;
            case 0xf6: SetDefaults(); break;
            case 0xff:
                SetDefaults();
                _state.Identity = _state.Rate1 = _state.Rate2 = 0;
                _sample.Cancel();
                _selfTest.At(_clock.NowNs + SelfTestNs);
                break;
        }
    }

    private void SendStatus()
    {
        int flags = (_state.Remote ? 0x40 : 0) | (_state.Reporting ? 0x20 : 0) | (_state.Scaling2To1 ? 0x10 : 0);
        // The buttons are in another order here: left, middle, right from bit 2.
        int buttons = (_state.Buttons & 1) << 2 | (_state.Buttons >> 2 & 1) << 1 | (_state.Buttons >> 1 & 1);
        _state.Bytes.TryPush((byte)(flags | buttons));
        _state.Bytes.TryPush(_state.Resolution);
        _state.Bytes.TryPush(_state.SampleRate);
    }

    private void OnSelfTestDone()
    {
        _state.Bytes.TryPush(TestPassed);
        _state.Bytes.TryPush(0);
        BytesReady?.Invoke();
    }

    /// <summary>Stream mode: one packet per sample period, and only when there is news.</summary>
    private void Report()
    {
        if (!_state.Reporting || _state.Remote || _state.Wrap || _selfTest.Pending || !HasNews) return;
        _sample.At(_clock.NowNs + NsPerSecond / _state.SampleRate);
        // A packet the controller has not fetched yet: movement goes on adding up.
        if (_state.Bytes.Count > 0) return;
        SendPacket(_state.Scaling2To1);
        BytesReady?.Invoke();
    }

    private void SendPacket(bool scale)
    {
        int dx = Math.Clamp(_state.Dx, -255, 255), dy = Math.Clamp(_state.Dy, -255, 255);
        int wheel = Math.Clamp(_state.Wheel, _state.Identity == 4 ? -8 : -128, _state.Identity == 4 ? 7 : 127);
        _state.Dx -= dx;
        _state.Dy -= dy;
        _state.Wheel = _state.Identity == 0 ? 0 : _state.Wheel - wheel;
        _state.ButtonsReported = _state.Buttons;
        if (scale)
        {
            dx = Scale(dx);
            dy = Scale(dy);
        }
        _state.Bytes.TryPush((byte)(8 | _state.Buttons & 7 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)));
        _state.Bytes.TryPush((byte)dx);
        _state.Bytes.TryPush((byte)dy);
        if (_state.Identity == 3) _state.Bytes.TryPush((byte)wheel);
        else if (_state.Identity == 4) _state.Bytes.TryPush((byte)(wheel & 15 | (_state.Buttons & 0x18) << 1));
    }

    /// <summary>2:1 scaling: 0 1 1 3 6 9, then twice the count.</summary>
    private static int Scale(int count)
    {
        int scaled = Math.Abs(count) switch { <= 1 => Math.Abs(count), 2 => 1, 3 => 3, 4 => 6, 5 => 9, int n => 2 * n };
        return Math.Sign(count) * Math.Min(scaled, 255);
    }
}
