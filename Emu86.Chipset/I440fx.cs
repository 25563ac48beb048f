// The host bridge: Intel 82441FX (440FX) datasheet (order 290549), section 3.2, PCI configuration registers.
using Emu86.Cpu;

namespace Emu86.Chipset;

/// <summary>What the host bridge decides about a region of C0000h to FFFFFh.</summary>
/// <param name="Physical">First byte address.</param>
/// <param name="Size">16 KiB, or 64 KiB for F0000h.</param>
/// <param name="ReadRam">Reads go to RAM, else to PCI/ISA (the ROM).</param>
/// <param name="WriteRam">Writes go to RAM, else to PCI/ISA (nowhere, for a ROM).</param>
public readonly record struct ShadowRegion(uint Physical, uint Size, bool ReadRam, bool WriteRam);

/// <summary>Function 0 of device 0. All state is in its configuration space.</summary>
public sealed class I440fx
{
    private const int Pam0 = 0x59, RowBoundary0 = 0x60, Smram = 0x72;
    private const byte SmramLocked = 0x10, SmramOpen = 0x40;
    private const ulong RowUnit = 8 << 20;

    private readonly byte[] _shown = new byte[8];

    /// <param name="ramBytes">All RAM, for the DRAM row boundaries.</param>
    public I440fx(ulong ramBytes)
    {
        Pci = new PciFunction("i440fx", new PciIdentity(0x8086, 0x1237, 0x060000, Revision: 2));
        // Memory space and bus mastering of the host bridge are always on (PCICMD); status: medium DEVSEL.
        Pci.SetDefault(PciFunction.CommandRegister, 2, 0x0006);
        Pci.SetWritable(PciFunction.CommandRegister, 2, 0x0140);
        Pci.SetDefault(PciFunction.StatusRegister, 2, 0x0280);
        Pci.SetWritable(PciFunction.InterruptLineRegister, 1, 0);
        Pci.SetWritable(0x0d, 1, 0xf8);
        Pci.SetWritable(0x50, 2, 0xffff);
        Pci.SetWritable(0x52, 1, 0x07);
        Pci.SetDefault(0x57, 1, 0x01);
        Pci.SetWritable(0x57, 1, 0x27);
        Pci.SetDefault(0x58, 1, 0x10);
        Pci.SetWritable(0x58, 1, 0x7f);
        Pci.SetWritable(Pam0, 1, 0x30);
        for (int i = 1; i < 7; i++) Pci.SetWritable(Pam0 + i, 1, 0x33);
        SetRowBoundaries(ramBytes);
        Pci.SetWritable(0x68, 1, 0xc0);
        Pci.SetWritable(0x70, 1, 0xff);
        Pci.SetDefault(Smram, 1, 0x02);
        Pci.SetWritable(Smram, 1, 0x78);
        Pci.SetWritable(0x90, 1, 0xff);
        Pci.SetWriteOneToClear(0x91, 1, 0x13);
        Pci.SetWritable(0x93, 1, 0x40);
        Pci.ConfigWritten = OnConfigWritten;
    }

    /// <summary>Attach it at device 0, function 0.</summary>
    public PciFunction Pci { get; }

    /// <summary>A shadow region changed. Also called for all 13 regions by <see cref="Announce"/>.</summary>
    public Action<ShadowRegion>? ShadowChanged { get; set; }

    /// <summary>The SMRAM register changed: true when A0000h to BFFFFh is RAM instead of the display (DOPEN).</summary>
    public Action<bool>? SmramOpenChanged { get; set; }

    public bool IsSmramOpen => (Pci.ReadConfig(Smram, 1) & SmramOpen) != 0;

    public void Reset()
    {
        Pci.Reset();
        Pci.SetWritable(Smram, 1, 0x78);
        Announce();
    }

    /// <summary>Tells all regions, after a reset or a loaded snapshot (the configuration space is loaded by then).</summary>
    public void Announce()
    {
        if ((Pci.ReadConfig(Smram, 1) & SmramLocked) != 0) Pci.SetWritable(Smram, 1, 0);
        for (int i = 0; i < 7; i++) Announce(i);
        SmramOpenChanged?.Invoke(IsSmramOpen);
    }

    private void OnConfigWritten(int offset, int size)
    {
        for (int i = 0; i < 7; i++)
        {
            int register = Pam0 + i;
            if (register >= offset && register < offset + size && Pci.ReadConfig(register, 1) != _shown[i]) Announce(i);
        }
        if (Smram < offset || Smram >= offset + size) return;
        if ((Pci.ReadConfig(Smram, 1) & SmramLocked) != 0)
        {
            // D_LCK closes the region and makes the register read-only until reset.
            Pci.Poke(Smram, 1, Pci.ReadConfig(Smram, 1) & ~(uint)SmramOpen);
            Pci.SetWritable(Smram, 1, 0);
        }
        SmramOpenChanged?.Invoke(IsSmramOpen);
    }

    private void Announce(int index)
    {
        byte value = (byte)Pci.ReadConfig(Pam0 + index, 1);
        _shown[index] = value;
        if (index == 0)
        {
            Announce(0xf0000, 0x10000, value >> 4);
            return;
        }
        uint at = 0xc0000 + (uint)(index - 1) * 0x8000;
        Announce(at, 0x4000, value);
        Announce(at + 0x4000, 0x4000, value >> 4);
    }

    private void Announce(uint physical, uint size, int attributes) =>
        ShadowChanged?.Invoke(new(physical, size, (attributes & 1) != 0, (attributes & 2) != 0));

    /// <summary>Eight rows of at most 1 GiB in units of 8 MiB, each register the end of its row.</summary>
    private void SetRowBoundaries(ulong ramBytes)
    {
        ulong end = Math.Min((ramBytes + RowUnit - 1) / RowUnit, 0xff);
        for (int i = 0; i < 8; i++)
        {
            // Rows of 16 units fill up one after the other; the last takes the rest.
            ulong boundary = i == 7 ? end : Math.Min(end, (ulong)(i + 1) * 16);
            Pci.SetDefault(RowBoundary0 + i, 1, (uint)boundary);
            Pci.SetWritable(RowBoundary0 + i, 1, 0xff);
        }
    }
}
