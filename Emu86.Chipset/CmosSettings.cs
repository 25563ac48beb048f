// What a PC's firmware expects in CMOS RAM: the IBM PC/AT layout (Technical Reference, "CMOS RAM"), and the later
// bytes that firmware of the i440FX age reads.
namespace Emu86.Chipset;

/// <summary>A hard disk's geometry as CMOS gives it (types 47).</summary>
public readonly record struct CmosDisk(ushort Cylinders, byte Heads, byte SectorsPerTrack);

/// <summary>The board's settings for the firmware.</summary>
/// <param name="RamBytes">All RAM; what lies above 4 GiB is not counted here.</param>
/// <param name="FloppyTypeA">0 none, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M.</param>
/// <param name="FloppyTypeB">As <paramref name="FloppyTypeA"/>.</param>
/// <param name="Disk0">The first hard disk, or null.</param>
/// <param name="Disk1">The second hard disk, or null.</param>
/// <param name="BootOrder">Up to three devices, first at the lowest nibble: 1 floppy, 2 hard disk, 3 CD-ROM, 4 network.</param>
public readonly record struct CmosSettings(
    ulong RamBytes, byte FloppyTypeA = 0, byte FloppyTypeB = 0, CmosDisk? Disk0 = null, CmosDisk? Disk1 = null, ushort BootOrder = 0x0002)
{
    private const ulong KiB = 1024, MiB = 1024 * KiB;

    /// <summary>Writes the settings and their checksum.</summary>
    public void Fill(RtcMc146818 rtc)
    {
        // Diagnostic status, shutdown reason: all well.
        rtc.SetCmos(0x0e, 0);
        rtc.SetCmos(0x0f, 0);
        rtc.SetCmos(0x10, (byte)(FloppyTypeA << 4 | FloppyTypeB));
        rtc.SetCmos(0x12, (byte)((Disk0 is null ? 0 : 0xf0) | (Disk1 is null ? 0 : 0x0f)));
        rtc.SetCmos(0x19, (byte)(Disk0 is null ? 0 : 47));
        rtc.SetCmos(0x1a, (byte)(Disk1 is null ? 0 : 47));
        FillDisk(rtc, 0x1b, Disk0);
        FillDisk(rtc, 0x24, Disk1);
        rtc.SetCmos(0x14, Equipment);
        Word(rtc, 0x15, (uint)(Math.Min(RamBytes, 640 * KiB) / KiB));
        uint extendedKiB = (uint)Math.Min(RamBytes > MiB ? (RamBytes - MiB) / KiB : 0, 0xfc00);
        Word(rtc, 0x17, extendedKiB);
        Word(rtc, 0x30, extendedKiB);
        Word(rtc, 0x34, (uint)Math.Min(RamBytes > 16 * MiB ? (RamBytes - 16 * MiB) / (64 * KiB) : 0, 0xffff));
        // Boot order: third device and "no floppy signature check", then second and first.
        rtc.SetCmos(0x38, (byte)((BootOrder >> 8 & 15) << 4 | 1));
        rtc.SetCmos(0x3d, (byte)BootOrder);
        // Translation of both disks: leave it to the firmware's own rule (LBA).
        rtc.SetCmos(0x39, 0x05);
        UpdateChecksum(rtc);
    }

    /// <summary>Bytes 2Eh/2Fh: the sum of 10h to 2Dh, high byte first.</summary>
    public static void UpdateChecksum(RtcMc146818 rtc)
    {
        int sum = 0;
        for (int i = 0x10; i <= 0x2d; i++) sum += rtc.PeekCmos(i);
        rtc.SetCmos(0x2e, (byte)(sum >> 8));
        rtc.SetCmos(0x2f, (byte)sum);
    }

    /// <summary>Floppy drives, 80-column colour display, coprocessor, PS/2 mouse.</summary>
    private byte Equipment
    {
        get
        {
            int drives = (FloppyTypeA != 0 ? 1 : 0) + (FloppyTypeB != 0 ? 1 : 0);
            return (byte)((drives > 0 ? (drives - 1) << 6 | 1 : 0) | 0x06);
        }
    }

    private static void FillDisk(RtcMc146818 rtc, int at, CmosDisk? disk)
    {
        if (disk is not { } d) return;
        Word(rtc, at, d.Cylinders);
        rtc.SetCmos(at + 2, d.Heads);
        // No write precompensation; control byte bit 3: more than eight heads.
        Word(rtc, at + 3, 0xffff);
        rtc.SetCmos(at + 5, (byte)(0xc0 | (d.Heads > 8 ? 8 : 0)));
        Word(rtc, at + 6, d.Cylinders);
        rtc.SetCmos(at + 8, d.SectorsPerTrack);
    }

    private static void Word(RtcMc146818 rtc, int at, uint value)
    {
        rtc.SetCmos(at, (byte)value);
        rtc.SetCmos(at + 1, (byte)(value >> 8));
    }
}
