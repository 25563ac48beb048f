// The VGA's registers and memory window (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem). Registers of
// graphics modes are kept and the planes work; pictures are made of text modes.
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Video;

/// <summary>Ports 3B0h-3DFh (48, one byte wide) and the window A0000h-BFFFFh.</summary>
public sealed class Vga : IPortDevice, IMemoryWindow, IStateful
{
    /// <summary>Bytes of the window at A0000h.</summary>
    public const uint WindowBytes = 0x20000;

    private const int ScreenOff = 0x20;
    private const int PaletteOn = 0x20;

    private static ReadOnlySpan<byte> SequencerMasks => [0x03, 0x3d, 0x0f, 0x3f, 0x0e];

    private static ReadOnlySpan<byte> GraphicsMasks => [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];

    private readonly Clock _clock;
    private readonly VgaMemory _memory = new();
    private readonly byte[] _sequencer = new byte[5];
    private readonly byte[] _crtc = new byte[25];
    private readonly byte[] _graphics = new byte[9];
    private readonly byte[] _attribute = new byte[21];
    private readonly byte[] _dac = new byte[768];
    private VgaState _state;

    public Vga(Clock clock)
    {
        _clock = clock;
        Reset();
    }

    public string StateName => "vga";

    public int StateVersion => 1;

    /// <summary>Counts changes of what could be on the screen. Not state: it only tells a viewer when to look again.</summary>
    public ulong Version { get; private set; }

    /// <summary>Power-on: memory empty, screen off; firmware sets a mode.</summary>
    public void Reset()
    {
        _state = new() { PelMask = 0xff };
        foreach (byte[] file in Files) Array.Clear(file);
        _memory.Bytes.Clear();
        Version++;
    }

    /// <summary>What firmware leaves for a kernel that is loaded without one: mode 3, 80 × 25 characters, screen cleared.
    /// Fonts are not loaded.</summary>
    public void SetTextMode()
    {
        _state.Misc = 0x67;
        _state.AttributeIndex = PaletteOn;
        new byte[] { 0x03, 0x00, 0x03, 0x00, 0x02 }.CopyTo(_sequencer, 0);
        new byte[]
        {
            0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00,
            0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
        }.CopyTo(_crtc, 0);
        new byte[] { 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff }.CopyTo(_graphics, 0);
        new byte[]
        {
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
            0x0c, 0x00, 0x0f, 0x08, 0x00,
        }.CopyTo(_attribute, 0);
        for (int i = 0; i < 64; i++)
        {
            // The EGA's 64 colours: two bits per component.
            for (int c = 0; c < 3; c++) _dac[(3 * i) + c] = (byte)(((i >> (2 - c) & 1) * 0x2a) + ((i >> (5 - c) & 1) * 0x15));
        }
        for (uint offset = 0x18000; offset < WindowBytes; offset += 2) Write(offset, 2, 0x0720);
        Version++;
    }

    public void Save(ref StateWriter writer)
    {
        writer.Struct(_state);
        foreach (byte[] file in Files) writer.Bytes(file);
        writer.Bytes(_memory.Bytes);
    }

    public void Load(ref StateReader reader)
    {
        _state = reader.Struct<VgaState>();
        foreach (byte[] file in Files) reader.Bytes(file);
        reader.Bytes(_memory.Bytes);
        Version++;
    }

    /// <param name="offset">From A0000h.</param>
    public uint Read(uint offset, int size)
    {
        uint value = 0;
        for (int i = 0; i < size; i++)
        {
            byte? read = (_state.Misc & 2) != 0 ? _memory.Read((int)offset + i, _sequencer, _graphics, ref _state.Latch) : null;
            value |= (uint)(read ?? 0xff) << (8 * i);
        }
        return value;
    }

    /// <param name="offset">From A0000h.</param>
    public void Write(uint offset, int size, uint value)
    {
        if ((_state.Misc & 2) == 0) return;
        bool changed = false;
        for (int i = 0; i < size; i++) changed |= _memory.Write((int)offset + i, (byte)(value >> (8 * i)), _sequencer, _graphics, _state.Latch);
        if (changed) Version++;
    }

    /// <param name="offset">From 3B0h.</param>
    public uint ReadPort(int offset, int size)
    {
        switch (0x3b0 + offset)
        {
            case 0x3c0: return _state.AttributeIndex;
            case 0x3c1: return (_state.AttributeIndex & 0x1f) < _attribute.Length ? _attribute[_state.AttributeIndex & 0x1f] : 0u;
            case 0x3c2: return 0x10;                                    // a monitor is sensed
            case 0x3c3: return _state.Enable;
            case 0x3c4: return _state.SequencerIndex;
            case 0x3c5: return _state.SequencerIndex < _sequencer.Length ? _sequencer[_state.SequencerIndex] : 0xffu;
            case 0x3c6: return _state.PelMask;
            case 0x3c7: return _state.DacReading != 0 ? 3u : 0u;
            case 0x3c8: return _state.DacWriteIndex;
            case 0x3c9: return ReadDac();
            case 0x3ca: return _state.Feature;
            case 0x3cc: return _state.Misc;
            case 0x3ce: return _state.GraphicsIndex;
            case 0x3cf: return _state.GraphicsIndex < _graphics.Length ? _graphics[_state.GraphicsIndex] : 0xffu;
            case int port when IsCrtcPort(port, 4): return _state.CrtcIndex;
            case int port when IsCrtcPort(port, 5): return _state.CrtcIndex < _crtc.Length ? _crtc[_state.CrtcIndex] : 0xffu;
            case int port when IsCrtcPort(port, 0xa):
                _state.AttributeIsData = 0;
                return VgaTiming.Status(_clock.NowNs, _state.Misc, _sequencer, _crtc);
            default: return 0xff;
        }
    }

    /// <param name="offset">From 3B0h.</param>
    public void WritePort(int offset, int size, uint value)
    {
        byte data = (byte)value;
        switch (0x3b0 + offset)
        {
            case 0x3c0: WriteAttribute(data); break;
            case 0x3c2:
                _state.Misc = data;
                Version++;
                break;
            case 0x3c3: _state.Enable = (byte)(data & 1); break;
            case 0x3c4: _state.SequencerIndex = (byte)(data & 7); break;
            case 0x3c5: Put(_sequencer, _state.SequencerIndex, data, SequencerMasks); break;
            case 0x3c6:
                _state.PelMask = data;
                Version++;
                break;
            case 0x3c7:
                _state.DacReadIndex = data;
                _state.DacComponent = 0;
                _state.DacReading = 1;
                break;
            case 0x3c8:
                _state.DacWriteIndex = data;
                _state.DacComponent = 0;
                _state.DacReading = 0;
                break;
            case 0x3c9: WriteDac((byte)(data & 0x3f)); break;
            case 0x3ce: _state.GraphicsIndex = (byte)(data & 15); break;
            case 0x3cf: Put(_graphics, _state.GraphicsIndex, data, GraphicsMasks); break;
            case int port when IsCrtcPort(port, 4): _state.CrtcIndex = (byte)(data & 0x3f); break;
            case int port when IsCrtcPort(port, 5): WriteCrtc(data); break;
            case int port when IsCrtcPort(port, 0xa): _state.Feature = data; break;
        }
    }

    /// <summary>A copy of what the screen shows.</summary>
    public TextScreen Capture() => VgaText.Capture(this, _memory, _state, _sequencer, _crtc, _graphics, _attribute, _dac);

    /// <summary>The register files, in the order in which they are saved.</summary>
    private byte[][] Files => [_sequencer, _crtc, _graphics, _attribute, _dac];

    internal static bool IsBlanked(in VgaState state, ReadOnlySpan<byte> sequencer) =>
        (sequencer[1] & ScreenOff) != 0 || (state.AttributeIndex & PaletteOn) == 0;

    /// <summary>The CRTC answers at 3Bxh or 3Dxh, as misc bit 0 says.</summary>
    private bool IsCrtcPort(int port, int low) => port == ((_state.Misc & 1) != 0 ? 0x3d0 : 0x3b0) + low;

    private void Put(byte[] file, int index, byte value, ReadOnlySpan<byte> masks)
    {
        if (index >= file.Length) return;
        value &= masks[index];
        if (file[index] == value) return;
        file[index] = value;
        Version++;
    }

    private void WriteCrtc(byte value)
    {
        int index = _state.CrtcIndex;
        if (index >= _crtc.Length) return;
        // Vertical retrace end bit 7 protects 0-7, all but the line compare bit.
        if (index <= 7 && (_crtc[0x11] & 0x80) != 0)
        {
            if (index != 7) return;
            value = (byte)((_crtc[7] & ~0x10) | (value & 0x10));
        }
        if (_crtc[index] == value) return;
        _crtc[index] = value;
        Version++;
    }

    private void WriteAttribute(byte value)
    {
        bool isData = _state.AttributeIsData != 0;
        _state.AttributeIsData ^= 1;
        if (!isData)
        {
            if (((_state.AttributeIndex ^ value) & PaletteOn) != 0) Version++;
            _state.AttributeIndex = (byte)(value & 0x3f);
            return;
        }
        int index = _state.AttributeIndex & 0x1f;
        if (index >= _attribute.Length) return;
        _attribute[index] = index < 16 ? (byte)(value & 0x3f) : value;
        Version++;
    }

    private byte ReadDac()
    {
        byte value = _dac[(3 * _state.DacReadIndex) + _state.DacComponent];
        if (++_state.DacComponent == 3)
        {
            _state.DacComponent = 0;
            _state.DacReadIndex++;
        }
        return value;
    }

    /// <summary>A colour changes when its third component is written.</summary>
    private void WriteDac(byte value)
    {
        switch (_state.DacComponent++)
        {
            case 0: _state.DacRed = value; break;
            case 1: _state.DacGreen = value; break;
            default:
                int at = 3 * _state.DacWriteIndex++;
                _dac[at] = _state.DacRed;
                _dac[at + 1] = _state.DacGreen;
                _dac[at + 2] = value;
                _state.DacComponent = 0;
                Version++;
                break;
        }
    }
}
