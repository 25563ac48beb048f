// The answer to IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.16).
namespace Emu86.Devices.Ide;

internal static class AtapiIdentify
{
    public static void Fill(Span<byte> block, in AtapiDriveState state, int number, int position)
    {
        block.Clear();
        int multiwordMode = state.TransferMode is >= 0x20 and <= 0x22 ? 0x100 << (state.TransferMode - 0x20) : 0;
        int ultraMode = state.TransferMode is >= 0x40 and <= 0x42 ? 0x100 << (state.TransferMode - 0x40) : 0;
        AtaIdentify.Word(block, 0, 0x85c0);                           // ATAPI, CD-ROM, removable, DRQ within 50 µs, 12-byte packets
        AtaIdentify.Text(block, 10, 10, $"EMU86-CD{number}");
        AtaIdentify.Text(block, 23, 4, "1.0");
        AtaIdentify.Text(block, 27, 20, "EMU86 CD-ROM");
        AtaIdentify.Word(block, 49, 0x0f00);                          // IORDY, LBA, DMA
        AtaIdentify.Word(block, 51, 0x0200);
        AtaIdentify.Word(block, 53, 0x0006);                          // words 64-70 and 88 are valid
        AtaIdentify.Word(block, 63, 0x0007 | multiwordMode);          // multiword DMA 0-2
        AtaIdentify.Word(block, 64, 0x0003);                          // PIO 3 and 4
        for (int word = 65; word <= 68; word++) AtaIdentify.Word(block, word, 120);      // cycle times in ns
        AtaIdentify.Word(block, 80, 0x0070);                          // ATA/ATAPI-4 to -6
        AtaIdentify.Word(block, 82, 0x0218);                          // DEVICE RESET, PACKET, power management
        AtaIdentify.Word(block, 83, 0x4000);
        AtaIdentify.Word(block, 84, 0x4000);
        AtaIdentify.Word(block, 85, 0x0218);
        AtaIdentify.Word(block, 87, 0x4000);
        AtaIdentify.Word(block, 88, 0x0007 | ultraMode);              // ultra DMA 0-2
        AtaIdentify.Word(block, 93, position == 0 ? 0x600b : 0x6b00);
        AtaIdentify.Seal(block);
    }
}
