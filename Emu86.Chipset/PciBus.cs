// PCI bus 0 behind configuration mechanism 1 (PCI Local Bus Specification 2.1, 3.7.4.1) and the reset control
// register CF9h inside it (82371SB PIIX3 datasheet, 2.5.5).
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct PciBusState
{
    public uint Address;
    public byte ResetControl;
}

/// <summary>Configuration ports (map 8 ports at CF8h, width 4), the functions of bus 0, and where their BARs appear.</summary>
public sealed class PciBus(PortBus ports, IMemoryMap memory) : IPortDevice, IStateful
{
    private readonly PciFunction?[] _functions = new PciFunction?[32 * 8];
    private PciBusState _state;

    public string StateName => "pci";

    public int StateVersion => 1;

    /// <summary>A reset through CF9h: true for a hard reset (all devices), false for the processor alone (INIT).</summary>
    public Action<bool>? ResetRequested { get; set; }

    /// <summary>Solders a function to the bus.</summary>
    /// <param name="device">0 to 31.</param>
    /// <param name="function">0 to 7.</param>
    /// <param name="interrupt">Where its INTx pin goes (the interrupt router), or null.</param>
    public void Attach(int device, int function, PciFunction added, IrqLine? interrupt = null)
    {
        Check.That(_functions[device * 8 + function] is null);
        _functions[device * 8 + function] = added;
        added.Attach(this, interrupt);
        // Header type bit 7: other functions exist.
        if (_functions[device * 8] is not { } first) return;
        for (int i = 1; i < 8; i++)
        {
            if (_functions[device * 8 + i] is not null) first.SetDefault(0x0e, 1, first.ReadConfig(0x0e, 1) | 0x80);
        }
    }

    public uint ReadPort(int offset, int size)
    {
        if (offset == 0 && size == 4) return _state.Address;
        if (offset == 1 && size == 1) return _state.ResetControl;
        if (offset < 4 && offset + size > 4 || offset % size != 0)
        {
            uint value = 0;
            for (int i = 0; i < size; i++) value |= ReadPort(offset + i, 1) << (8 * i);
            return value;
        }
        if (offset >= 4 && Selected(offset, out int register) is { } function) return function.ReadConfig(register, size);
        return uint.MaxValue >> (32 - 8 * size);
    }

    public void WritePort(int offset, int size, uint value)
    {
        if (offset == 0 && size == 4)
        {
            _state.Address = value & 0x80fffffc;
            return;
        }
        if (offset == 1 && size == 1)
        {
            WriteResetControl((byte)value);
            return;
        }
        if (offset < 4 && offset + size > 4 || offset % size != 0)
        {
            for (int i = 0; i < size; i++) WritePort(offset + i, 1, (value >> (8 * i)) & 0xff);
            return;
        }
        if (offset >= 4) Selected(offset, out int register)?.WriteConfig(register, size, value);
    }

    /// <summary>The state after PCIRST#; functions are reset by their owners.</summary>
    public void Reset() => _state = default;

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<PciBusState>();

    /// <summary>Makes the mappings follow the base registers. What is mapped is a function of all configuration spaces
    /// and the fixed claims alone (lower device numbers win an overlap), so that it is the same after a load.</summary>
    internal void Remap()
    {
        var wanted = new List<(PciFunction Function, PciRange Range, uint At)>();
        foreach (PciFunction? function in _functions)
        {
            if (function is null) continue;
            foreach (PciRange range in function.Ranges)
            {
                uint? at = Wanted(function, range);
                if (at is { } address && !wanted.Exists(w => range.Overlaps(w.Range, address, w.At))) wanted.Add((function, range, address));
                else at = null;
                if (range.MappedAt is { } old && old != at) Unmap(range, old);
            }
        }
        foreach ((PciFunction function, PciRange range, uint at) in wanted)
        {
            if (range.MappedAt is null) Map(function, range, at);
        }
    }

    private static uint? Wanted(PciFunction function, PciRange range)
    {
        if (!function.IsEnabled(range)) return null;
        uint at = function.ReadConfig(range.Register, 4) & range.AddressMask;
        if (at == 0) return null;
        ulong end = range.Ports is null ? 1UL << 32 : 0x10000;
        return (ulong)at + range.Size <= end ? at : null;
    }

    private void Map(PciFunction function, PciRange range, uint at)
    {
        if (range.Ports is { } device)
        {
            if (!ports.IsFree((int)at, (int)range.Size)) return;
            ports.Map((int)at, (int)range.Size, device, function.Name, range.WidthMax);
        }
        else
        {
            if (!memory.IsFree(at, range.Size)) return;
            memory.Map(at, range.Size, range.Window!);
        }
        range.MappedAt = at;
    }

    private void Unmap(PciRange range, uint at)
    {
        if (range.Ports is { } device) ports.Unmap((int)at, (int)range.Size, device);
        else memory.Unmap(at, range.Size, range.Window!);
        range.MappedAt = null;
    }

    private PciFunction? Selected(int offset, out int register)
    {
        register = (int)(_state.Address & 0xfc) | (offset & 3);
        bool enabled = (_state.Address & 0x80000000) != 0;
        bool onBus0 = (_state.Address & 0x00ff0000) == 0;
        return enabled && onBus0 ? _functions[(_state.Address >> 8) & 0xff] : null;
    }

    private void WriteResetControl(byte value)
    {
        bool rises = (value & 4) != 0 && (_state.ResetControl & 4) == 0;
        // RCPU (bit 2) starts the reset, SRST (bit 1) chooses which; the rest is reserved.
        _state.ResetControl = (byte)(value & 6);
        if (rises) ResetRequested?.Invoke((value & 2) != 0);
    }
}
