// How firmware asks what machine it runs on: QEMU's fw_cfg, port interface (QEMU documentation, "QEMU Firmware
// Configuration (fw_cfg) Device"). The DMA interface is optional there and absent here: the feature item says so.
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Debug;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct FwCfgState
{
    public ushort Selector;
    public uint Offset;
}

/// <summary>Two ports at 510h, up to 2 bytes wide: selector (a word at offset 0) and data (a byte at offset 1). What it
/// holds is configuration of the machine; only the read position is state.</summary>
public sealed class FwCfg : IPortDevice, IStateful
{
    /// <summary>Longest file name in bytes.</summary>
    public const int NameBytesMax = 55;

    private const ushort SignatureKey = 0x00;
    private const ushort FeaturesKey = 0x01;
    private const ushort RamSizeKey = 0x03;
    private const ushort CpusKey = 0x05;
    private const ushort CpusMaxKey = 0x0f;
    private const ushort DirectoryKey = 0x19;
    private const ushort FirstFileKey = 0x20;
    private const int EntryBytes = 64;

    private readonly SortedDictionary<ushort, byte[]> _items = [];
    private readonly List<string> _files = [];
    private FwCfgState _state;

    /// <param name="ramBytes">RAM of the machine.</param>
    /// <param name="cpus">Processors that are present.</param>
    public FwCfg(ulong ramBytes, ushort cpus)
    {
        _items[SignatureKey] = "QEMU"u8.ToArray();
        _items[FeaturesKey] = [1, 0, 0, 0];
        _items[RamSizeKey] = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(_items[RamSizeKey], ramBytes);
        _items[CpusKey] = [(byte)cpus, (byte)(cpus >> 8)];
        _items[CpusMaxKey] = [(byte)cpus, (byte)(cpus >> 8)];
        _items[DirectoryKey] = new byte[4];
    }

    public string StateName => "fwcfg";

    public int StateVersion => 1;

    /// <summary>Gives firmware a numbered item. While the machine is built.</summary>
    /// <param name="key">Generic below 8000h, special to PCs from there.</param>
    public void AddItem(ushort key, ReadOnlySpan<byte> content)
    {
        Check.That(key != DirectoryKey && (key < FirstFileKey || key >= 0x8000));
        _items[key] = content.ToArray();
    }

    /// <summary>Gives firmware a named file ("etc/e820", "bootorder", "genroms/…"). While the machine is built, in a fixed order.</summary>
    /// <param name="name">ASCII, at most <see cref="NameBytesMax"/> characters.</param>
    public void AddFile(string name, ReadOnlySpan<byte> content)
    {
        Check.That(name.Length is > 0 and <= NameBytesMax && Ascii.IsValid(name) && !_files.Contains(name));
        ushort key = (ushort)(FirstFileKey + _files.Count);
        _files.Add(name);
        _items[key] = content.ToArray();

        byte[] directory = _items[DirectoryKey];
        Array.Resize(ref directory, 4 + (EntryBytes * _files.Count));
        BinaryPrimitives.WriteUInt32BigEndian(directory, (uint)_files.Count);
        Span<byte> entry = directory.AsSpan(directory.Length - EntryBytes);
        BinaryPrimitives.WriteUInt32BigEndian(entry, (uint)content.Length);
        BinaryPrimitives.WriteUInt16BigEndian(entry[4..], key);
        Encoding.ASCII.GetBytes(name, entry[8..]);
        _items[DirectoryKey] = directory;
    }

    public void Reset() => _state = default;

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<FwCfgState>();

    public uint ReadPort(int offset, int size)
    {
        if (offset != 1) return size == 1 ? 0xffu : 0xffffu;
        // Past the end, and in items that do not exist, everything is zero.
        if (!_items.TryGetValue(_state.Selector, out byte[]? item) || _state.Offset >= item.Length) return 0;
        return item[_state.Offset++];
    }

    public void WritePort(int offset, int size, uint value)
    {
        if (offset != 0 || size != 2) return;
        // Bit 14 asks for writing, which the port interface no longer has.
        _state.Selector = (ushort)(value & 0xbfff);
        _state.Offset = 0;
    }
}
