// The option ROM of the direct boot (bios/kernelboot.asm) with its parameters filled in.
using System.Buffers.Binary;

namespace Emu86.Devices;

internal static class KernelBootRom
{
    private const int MultibootAt = 8, EntryAt = 12, InfoAt = 16;

    public static byte[] Build(in KernelEntry entry)
    {
        byte[] rom = Resource();
        BinaryPrimitives.WriteUInt32LittleEndian(rom.AsSpan(MultibootAt), entry.Multiboot ? 1u : 0u);
        BinaryPrimitives.WriteUInt32LittleEndian(rom.AsSpan(EntryAt), entry.Entry);
        BinaryPrimitives.WriteUInt32LittleEndian(rom.AsSpan(InfoAt), entry.Info);
        // Option ROMs sum to 0 modulo 256.
        byte sum = 0;
        foreach (byte b in rom.AsSpan(0, rom.Length - 1)) sum += b;
        rom[^1] = (byte)-sum;
        return rom;
    }

    private static byte[] Resource()
    {
        using Stream stream = typeof(KernelBootRom).Assembly.GetManifestResourceStream("kernelboot.bin")!;
        byte[] rom = new byte[stream.Length];
        stream.ReadExactly(rom);
        return rom;
    }
}
