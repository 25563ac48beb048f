// The answer to IDENTIFY DEVICE (ATA/ATAPI-6, 8.15).
using System.Buffers.Binary;

namespace Emu86.Devices.Ide;

internal static class AtaIdentify
{
    public const int MultipleMax = 16;
    public const ushort DefaultHeads = 16;
    public const ushort DefaultSectorsPerTrack = 63;

    /// <summary>Cylinders in a translation of the given geometry; 16,383 at most, as BIOS interfaces expect of large disks.</summary>
    public static int Cylinders(long sectors, int heads, int sectorsPerTrack) =>
        (int)Math.Clamp(sectors / (heads * sectorsPerTrack), 1, 16383);

    public static void Fill(Span<byte> block, in AtaDriveState state, AtaIdentity identity, long sectors, int position)
    {
        block.Clear();
        int cylinders = Cylinders(sectors, DefaultHeads, DefaultSectorsPerTrack);
        int currentCylinders = Cylinders(sectors, state.Heads, state.SectorsPerTrack);
        uint chsCapacity = (uint)(currentCylinders * state.Heads * state.SectorsPerTrack);
        uint lba28 = (uint)Math.Min(sectors, 0x0fffffff);
        int multiwordMode = state.TransferMode is >= 0x20 and <= 0x22 ? 0x100 << (state.TransferMode - 0x20) : 0;
        int ultraMode = state.TransferMode is >= 0x40 and <= 0x42 ? 0x100 << (state.TransferMode - 0x40) : 0;

        Word(block, 0, 0x0040);                                       // fixed, not removable
        Word(block, 1, cylinders);
        Word(block, 3, DefaultHeads);
        Word(block, 6, DefaultSectorsPerTrack);
        Text(block, 10, 10, identity.Serial);
        Word(block, 20, 3);                                           // dual ported buffer with read caching (old drivers)
        Word(block, 21, MultipleMax);                                 // buffer, in sectors
        Text(block, 23, 4, identity.Firmware);
        Text(block, 27, 20, identity.Model);
        Word(block, 47, 0x8000 | MultipleMax);
        Word(block, 48, 0x0001);                                      // double word I/O (ATA-1)
        Word(block, 49, 0x2f00);                                      // standby timer, IORDY, LBA, DMA
        Word(block, 50, 0x4000);
        Word(block, 51, 0x0200);                                      // PIO mode 2 without IORDY
        Word(block, 52, 0x0200);
        Word(block, 53, 0x0007);                                      // words 54-58, 64-70 and 88 are valid
        Word(block, 54, currentCylinders);
        Word(block, 55, state.Heads);
        Word(block, 56, state.SectorsPerTrack);
        Double(block, 57, chsCapacity);
        Word(block, 59, state.MultipleCount == 0 ? 0 : 0x0100 | state.MultipleCount);
        Double(block, 60, lba28);
        Word(block, 63, 0x0007 | multiwordMode);                      // multiword DMA 0-2
        Word(block, 64, 0x0003);                                      // PIO 3 and 4
        Word(block, 65, 120);                                         // cycle times in ns
        Word(block, 66, 120);
        Word(block, 67, 120);
        Word(block, 68, 120);
        Word(block, 80, 0x0070);                                      // ATA/ATAPI-4 to -6
        Word(block, 82, 0x4068);                                      // NOP, look-ahead, write cache, power management
        Word(block, 83, 0x7400);                                      // FLUSH CACHE (EXT), 48-bit addresses
        Word(block, 84, 0x4000);
        Word(block, 85, 0x4008 | (state.LookAhead << 6) | (state.WriteCache << 5));
        Word(block, 86, 0x3400);
        Word(block, 87, 0x4000);
        Word(block, 88, 0x0007 | ultraMode);                          // ultra DMA 0-2
        Word(block, 93, position == 0 ? 0x600b : 0x6b00);             // passed reset; jumper decides the position
        BinaryPrimitives.WriteInt64LittleEndian(block[200..], sectors);
        Seal(block);
    }

    /// <summary>The integrity word: all 512 bytes add up to zero.</summary>
    internal static void Seal(Span<byte> block)
    {
        block[510] = 0xa5;
        byte sum = 0;
        foreach (byte b in block[..511]) sum += b;
        block[511] = (byte)-sum;
    }

    internal static void Word(Span<byte> block, int word, int value) =>
        BinaryPrimitives.WriteUInt16LittleEndian(block[(2 * word)..], (ushort)value);

    private static void Double(Span<byte> block, int word, uint value) =>
        BinaryPrimitives.WriteUInt32LittleEndian(block[(2 * word)..], value);

    /// <summary>Strings have the first character in the high byte of the first word and are padded with spaces.</summary>
    internal static void Text(Span<byte> block, int word, int words, string text)
    {
        for (int i = 0; i < 2 * words; i++) block[(2 * word) + (i ^ 1)] = i < text.Length ? (byte)text[i] : (byte)' ';
    }
}
