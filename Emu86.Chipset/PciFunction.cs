// One PCI function's configuration space: PCI Local Bus Specification 2.1, chapter 6. A device owns one of these.
using System.Buffers.Binary;
using System.Numerics;
using Emu86.Cpu;

namespace Emu86.Chipset;

/// <summary>Where PCI memory BARs appear in physical memory.</summary>
public interface IMemoryMap
{
    /// <summary>Whether nothing answers there: no RAM, no ROM, no other window.</summary>
    bool IsFree(uint physical, uint size);

    /// <summary>Makes a window appear; the range is free.</summary>
    void Map(uint physical, uint size, IMemoryWindow window);

    /// <summary>Takes away what <see cref="Map"/> made appear with the same arguments.</summary>
    void Unmap(uint physical, uint size, IMemoryWindow window);
}

/// <summary>The registers that say what a function is.</summary>
/// <param name="ClassCode">24 bits: base class, sub class, programming interface.</param>
public readonly record struct PciIdentity(
    ushort VendorId, ushort DeviceId, uint ClassCode, byte Revision = 0, ushort SubsystemVendorId = 0, ushort SubsystemId = 0);

/// <summary>Configuration space with write masks, base address registers and one INTx pin. Everything the guest can
/// change is in the 256 bytes; the mappings follow from them.</summary>
public sealed class PciFunction : IStateful
{
    public const int Size = 256;
    public const int CommandRegister = 0x04, StatusRegister = 0x06, InterruptLineRegister = 0x3c;
    private const int ExpansionRomRegister = 0x30;

    private readonly byte[] _defaults = new byte[Size];
    private readonly byte[] _config = new byte[Size];
    private readonly byte[] _writable = new byte[Size];
    private readonly byte[] _oneClears = new byte[Size];
    private readonly List<PciRange> _ranges = [];
    private readonly string _name;
    private PciBus? _bus;
    private IrqLine? _interrupt;

    /// <param name="name">Unique in a machine: it names the state section ("pci-" + name) and the owner of ports.</param>
    /// <param name="interruptPin">0 for none, 1 to 4 for INTA# to INTD#.</param>
    public PciFunction(string name, PciIdentity identity, byte interruptPin = 0)
    {
        _name = name;
        SetDefault(0x00, 2, identity.VendorId);
        SetDefault(0x02, 2, identity.DeviceId);
        SetDefault(0x08, 4, (identity.ClassCode << 8) | identity.Revision);
        SetDefault(0x2c, 2, identity.SubsystemVendorId);
        SetDefault(0x2e, 2, identity.SubsystemId);
        SetDefault(0x3d, 1, interruptPin);
        SetWritable(CommandRegister, 2, 0x0147);
        SetWritable(0x0c, 2, 0xffff);
        SetWritable(InterruptLineRegister, 1, 0xff);
        SetWriteOneToClear(StatusRegister, 2, 0xf900);
    }

    public string StateName => "pci-" + _name;

    public int StateVersion => 1;

    /// <summary>Called after a configuration write changed registers: first register offset, size in bytes.</summary>
    public Action<int, int>? ConfigWritten { get; set; }

    /// <summary>1 to 4 for INTA# to INTD#, 0 for none.</summary>
    public int InterruptPin => _config[0x3d];

    public bool BusMasterEnabled => (_config[CommandRegister] & 4) != 0;

    internal bool IoEnabled => (_config[CommandRegister] & 1) != 0;

    internal bool MemoryEnabled => (_config[CommandRegister] & 2) != 0;

    internal string Name => _name;

    internal IReadOnlyList<PciRange> Ranges => _ranges;

    /// <summary>Drives the INTx pin (level, active high here). Interrupts of an unattached function go nowhere.</summary>
    public void SetInterrupt(bool asserted) => _interrupt?.Set(asserted);

    /// <summary>The value of a register after reset (and now). While the device is built.</summary>
    public void SetDefault(int offset, int size, uint value)
    {
        Store(_defaults, offset, size, value);
        Store(_config, offset, size, value);
    }

    /// <summary>Which bits of a register the guest can write. While the device is built.</summary>
    public void SetWritable(int offset, int size, uint mask) => Store(_writable, offset, size, mask);

    /// <summary>Which bits of a register a written one clears. While the device is built.</summary>
    public void SetWriteOneToClear(int offset, int size, uint mask) => Store(_oneClears, offset, size, mask);

    /// <summary>Declares an I/O BAR. While the device is built.</summary>
    /// <param name="index">0 to 5.</param>
    /// <param name="size">Ports; a power of two, 4 to 256.</param>
    /// <param name="widthMax">The widest access the device takes in one piece: 1, 2 or 4.</param>
    public void AddIoBar(int index, int size, IPortDevice device, int widthMax)
    {
        Check.That(index is >= 0 and <= 5 && BitOperations.IsPow2(size) && size is >= 4 and <= 256);
        int register = 0x10 + 4 * index;
        SetDefault(register, 4, 1);
        SetWritable(register, 4, ~(uint)(size - 1));
        _ranges.Add(new(register, (uint)size, ~(uint)(size - 1), device, widthMax, null, null));
    }

    /// <summary>Declares a memory BAR (32 bits). While the device is built.</summary>
    /// <param name="index">0 to 5.</param>
    /// <param name="size">Bytes; a power of two, at least 4096.</param>
    /// <param name="prefetchable">Reads have no side effects (frame buffers).</param>
    public void AddMemoryBar(int index, uint size, IMemoryWindow window, bool prefetchable = false)
    {
        Check.That(index is >= 0 and <= 5 && BitOperations.IsPow2(size) && size >= 4096);
        int register = 0x10 + 4 * index;
        SetDefault(register, 4, prefetchable ? 8u : 0u);
        SetWritable(register, 4, ~(size - 1));
        _ranges.Add(new(register, size, ~(size - 1), null, 0, window, null));
    }

    /// <summary>Declares the expansion ROM BAR. While the device is built.</summary>
    /// <param name="size">Bytes; a power of two, at least 4096.</param>
    public void AddExpansionRom(uint size, IMemoryWindow window)
    {
        Check.That(BitOperations.IsPow2(size) && size >= 4096);
        SetWritable(ExpansionRomRegister, 4, ~(size - 1) | 1);
        _ranges.Add(new(ExpansionRomRegister, size, ~(size - 1), null, 0, window, () => (_config[ExpansionRomRegister] & 1) != 0 && MemoryEnabled));
    }

    /// <summary>Declares a device-specific I/O base register (PMBASE and the like), which the command register does not
    /// enable. The register's write mask and default are the caller's business. While the device is built.</summary>
    /// <param name="register">Offset of the 32-bit register.</param>
    /// <param name="addressMask">The bits of the register that are the port number.</param>
    /// <param name="enabled">Read whenever configuration space was written.</param>
    public void AddIoRange(int register, int size, uint addressMask, IPortDevice device, int widthMax, Func<bool> enabled) =>
        _ranges.Add(new(register, (uint)size, addressMask, device, widthMax, null, enabled));

    /// <param name="size">1, 2 or 4; the register does not cross the end of the space.</param>
    public uint ReadConfig(int offset, int size) => size switch
    {
        1 => _config[offset],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(_config.AsSpan(offset)),
        _ => BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(offset)),
    };

    /// <summary>A write by the guest: masks apply, mappings and the device follow.</summary>
    public void WriteConfig(int offset, int size, uint value)
    {
        for (int i = 0; i < size; i++, value >>= 8)
        {
            byte written = (byte)value;
            int at = offset + i;
            byte kept = (byte)(_config[at] & ~(_oneClears[at] & written));
            _config[at] = (byte)((kept & ~_writable[at]) | (written & _writable[at]));
        }
        _bus?.Remap();
        ConfigWritten?.Invoke(offset, size);
    }

    /// <summary>The device itself changes a register (status bits); no callback, no masks.</summary>
    public void Poke(int offset, int size, uint value) => Store(_config, offset, size, value);

    /// <summary>The state after RST#. The owner calls it from its own reset.</summary>
    public void Reset()
    {
        _defaults.CopyTo(_config, 0);
        _bus?.Remap();
    }

    public void Save(ref StateWriter writer) => writer.Bytes(_config);

    public void Load(ref StateReader reader)
    {
        reader.Bytes(_config);
        _bus?.Remap();
    }

    internal void Attach(PciBus bus, IrqLine? interrupt)
    {
        Check.That(_bus is null);
        _bus = bus;
        _interrupt = interrupt;
    }

    internal bool IsEnabled(PciRange range) => range.Enabled?.Invoke() ?? (range.Ports is not null ? IoEnabled : MemoryEnabled);

    private static void Store(byte[] array, int offset, int size, uint value)
    {
        for (int i = 0; i < size; i++) array[offset + i] = (byte)(value >> (8 * i));
    }
}

/// <summary>A base register and what answers there. Where it is mapped now is derived from configuration space.</summary>
internal sealed class PciRange(int register, uint size, uint addressMask, IPortDevice? ports, int widthMax, IMemoryWindow? window, Func<bool>? enabled)
{
    public int Register => register;

    public uint Size => size;

    public uint AddressMask => addressMask;

    public IPortDevice? Ports => ports;

    public int WidthMax => widthMax;

    public IMemoryWindow? Window => window;

    public Func<bool>? Enabled => enabled;

    /// <summary>Null while nothing is mapped.</summary>
    public uint? MappedAt { get; set; }

    public bool Overlaps(PciRange other, uint at, uint otherAt) =>
        (ports is null) == (other.Ports is null) && (ulong)at < (ulong)otherAt + other.Size && (ulong)otherAt < (ulong)at + size;
}
