// The two 8237A DMA controllers of a PC with their page registers: Intel 8237A datasheet (order 231466), as the
// 82371SB PIIX3 has them (no memory-to-memory transfers).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct DmaChannelState
{
    public ushort BaseAddress, BaseCount, Address, Count;

    /// <summary>Bits 7-6 mode, 5 decrement, 4 auto-initialize, 3-2 transfer type.</summary>
    public byte Mode;

    /// <summary>Address bits 23 to 16.</summary>
    public byte Page;

    public bool Masked, Request, SoftwareRequest, TerminalCount;
}

[InlineArray(8)]
public struct DmaChannelStates
{
    private DmaChannelState _first;
}

[InlineArray(16)]
public struct DmaPageRegisters
{
    private byte _first;
}

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Dma8237State
{
    public DmaChannelStates Channels;

    /// <summary>80h to 8Fh as written, also those that belong to no channel.</summary>
    public DmaPageRegisters Pages;

    public byte Command0, Command1;

    /// <summary>The byte pointer flip-flops: the next access is the high byte.</summary>
    public bool High0, High1;
}

/// <summary>Channels 0 to 3 move bytes, 5 to 7 words; 4 is the cascade. Map <see cref="ByteController"/> at 00h (16),
/// <see cref="WordController"/> at C0h (32) and <see cref="PageRegisters"/> at 81h (15).</summary>
public sealed class Dma8237 : IStateful
{
    private readonly IDmaMemory _memory;
    private Dma8237State _state;

    public Dma8237(IDmaMemory memory)
    {
        _memory = memory;
        ByteController = new BytePorts(offset => Read(0, offset), (offset, value) => Write(0, offset, value));
        // The word controller's registers are two ports apart; the odd ports are not decoded.
        WordController = new BytePorts(
            offset => (offset & 1) == 0 ? Read(1, offset >> 1) : (byte)0xff,
            (offset, value) =>
            {
                if ((offset & 1) == 0) Write(1, offset >> 1, value);
            });
        PageRegisters = new BytePorts(offset => _state.Pages[offset + 1], (offset, value) => WritePage(offset + 1, value));
        Reset();
    }

    public IPortDevice ByteController { get; }

    public IPortDevice WordController { get; }

    public IPortDevice PageRegisters { get; }

    public string StateName => "dma";

    public int StateVersion => 1;

    /// <summary>A device's end of a channel.</summary>
    /// <param name="number">0 to 3 or 5 to 7.</param>
    public DmaChannel Channel(int number)
    {
        Check.That(number is >= 0 and <= 7 and not 4);
        return new DmaChannel(this, number);
    }

    public void Reset()
    {
        _state = default;
        for (int i = 0; i < 8; i++) _state.Channels[i].Masked = true;
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<Dma8237State>();

    internal void SetRequest(int number, bool level) => _state.Channels[number].Request = level;

    internal bool IsReady(int number)
    {
        ref DmaChannelState c = ref _state.Channels[number];
        bool disabled = ((number < 4 ? _state.Command0 : _state.Command1) & 4) != 0;
        // The byte controller reaches the processor through channel 4 of the word controller.
        if (number < 4) disabled |= (_state.Command1 & 4) != 0 || _state.Channels[4].Masked;
        return !disabled && !c.Masked && c.Mode >> 6 != 3;
    }

    /// <summary>Moves up to <paramref name="length"/> bytes. Exactly one of the buffers is used, by direction.</summary>
    internal int Transfer(int number, ReadOnlySpan<byte> toMemory, Span<byte> fromMemory, int length, bool writesMemory, out bool terminalCount)
    {
        terminalCount = false;
        if (!IsReady(number)) return 0;
        ref DmaChannelState c = ref _state.Channels[number];
        int type = (c.Mode >> 2) & 3;
        // Type 0 verifies: addresses and counts move, memory does not.
        bool verify = type == 0;
        if (!verify && type != (writesMemory ? 1 : 2)) return 0;
        int unit = number < 4 ? 1 : 2;
        int step = (c.Mode & 0x20) != 0 ? -1 : 1;
        int done = 0;
        while (done + unit <= length && !terminalCount)
        {
            // As many units as lie in one piece: up to the terminal count and the end of the 64 K page.
            int unitsMax = Math.Min((length - done) / unit, c.Count + 1);
            int units = step > 0 ? Math.Min(unitsMax, 0x10000 - c.Address) : 1;
            uint physical = unit == 1 ? (uint)c.Page << 16 | c.Address : (uint)(c.Page & 0xfe) << 16 | (uint)c.Address << 1;
            if (!verify && writesMemory) _memory.Write(physical, toMemory.Slice(done, units * unit));
            else if (!verify) _memory.Read(physical, fromMemory.Slice(done, units * unit));
            else if (!writesMemory) fromMemory.Slice(done, units * unit).Fill(0xff);
            done += units * unit;
            c.Address = (ushort)(c.Address + step * units);
            terminalCount = units == c.Count + 1;
            c.Count = (ushort)(c.Count - units);
        }
        if (terminalCount) ReachTerminalCount(ref c);
        return done;
    }

    private static void ReachTerminalCount(ref DmaChannelState c)
    {
        c.TerminalCount = true;
        c.SoftwareRequest = false;
        if ((c.Mode & 0x10) != 0)
        {
            c.Address = c.BaseAddress;
            c.Count = c.BaseCount;
        }
        else
        {
            c.Masked = true;
        }
    }

    private byte Read(int controller, int offset)
    {
        int first = 4 * controller;
        switch (offset)
        {
            case < 8:
                ref DmaChannelState c = ref _state.Channels[first + offset / 2];
                ushort value = (offset & 1) == 0 ? c.Address : c.Count;
                return NextIsHigh(controller) ? (byte)(value >> 8) : (byte)value;
            case 8:
                int status = 0;
                for (int i = 0; i < 4; i++)
                {
                    ref DmaChannelState each = ref _state.Channels[first + i];
                    if (each.TerminalCount) status |= 1 << i;
                    if (each.Request || each.SoftwareRequest) status |= 0x10 << i;
                    each.TerminalCount = false;
                }
                return (byte)status;
            // The temporary register holds a byte of memory-to-memory transfers only.
            case 13:
                return 0;
            case 15:
                int masks = 0;
                for (int i = 0; i < 4; i++) masks |= _state.Channels[first + i].Masked ? 1 << i : 0;
                return (byte)masks;
            default:
                return 0xff;
        }
    }

    private void Write(int controller, int offset, byte value)
    {
        int first = 4 * controller;
        ref DmaChannelState selected = ref _state.Channels[first + (offset < 8 ? offset / 2 : value & 3)];
        switch (offset)
        {
            case < 8:
                bool high = NextIsHigh(controller);
                if ((offset & 1) == 0) selected.Address = selected.BaseAddress = WithByte(selected.BaseAddress, value, high);
                else selected.Count = selected.BaseCount = WithByte(selected.BaseCount, value, high);
                break;
            case 8:
                if (controller == 0) _state.Command0 = value;
                else _state.Command1 = value;
                break;
            case 9:
                selected.SoftwareRequest = (value & 4) != 0;
                break;
            case 10:
                selected.Masked = (value & 4) != 0;
                break;
            case 11:
                selected.Mode = (byte)(value & 0xfc);
                break;
            case 12:
                SetHigh(controller, false);
                break;
            case 13:
                MasterClear(controller);
                break;
            default:
                for (int i = 0; i < 4; i++) _state.Channels[first + i].Masked = offset == 15 && (value & (1 << i)) != 0;
                break;
        }
    }

    private void MasterClear(int controller)
    {
        if (controller == 0) _state.Command0 = 0;
        else _state.Command1 = 0;
        SetHigh(controller, false);
        for (int i = 0; i < 4; i++)
        {
            ref DmaChannelState c = ref _state.Channels[4 * controller + i];
            c.Masked = true;
            c.SoftwareRequest = c.TerminalCount = false;
        }
    }

    private void WritePage(int register, byte value)
    {
        _state.Pages[register] = value;
        // PIIX3 table "DMA page registers": 87h 83h 81h 82h, 8Fh 8Bh 89h 8Ah for channels 0 to 7.
        int channel = register switch { 7 => 0, 3 => 1, 1 => 2, 2 => 3, 15 => 4, 11 => 5, 9 => 6, 10 => 7, _ => -1 };
        if (channel >= 0) _state.Channels[channel].Page = value;
    }

    private bool NextIsHigh(int controller)
    {
        bool high = controller == 0 ? _state.High0 : _state.High1;
        SetHigh(controller, !high);
        return high;
    }

    private void SetHigh(int controller, bool high)
    {
        if (controller == 0) _state.High0 = high;
        else _state.High1 = high;
    }

    private static ushort WithByte(ushort word, byte value, bool high) =>
        (ushort)(high ? word & 0x00ff | value << 8 : word & 0xff00 | value);
}

/// <summary>The wires between a device and one DMA channel. Transfers happen in one step, at a position the device chooses.</summary>
public sealed class DmaChannel(Dma8237 controller, int number)
{
    /// <summary>Whether the channel would answer: enabled, not masked, not a cascade.</summary>
    public bool IsReady => controller.IsReady(number);

    /// <summary>DREQ, for the status register.</summary>
    public void SetRequest(bool level) => controller.SetRequest(number, level);

    /// <summary>The device gives bytes (a disk read). Stops at the terminal count.</summary>
    /// <returns>Bytes taken, also in verify mode; 0 when the channel is not programmed for this direction.</returns>
    public int ToMemory(ReadOnlySpan<byte> data, out bool terminalCount) =>
        controller.Transfer(number, data, default, data.Length, true, out terminalCount);

    /// <summary>The device asks for bytes (a disk write). Stops at the terminal count.</summary>
    /// <returns>Bytes given; 0 when the channel is not programmed for this direction.</returns>
    public int FromMemory(Span<byte> data, out bool terminalCount) =>
        controller.Transfer(number, default, data, data.Length, false, out terminalCount);
}
