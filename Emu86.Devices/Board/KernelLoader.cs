// Direct boot: places a kernel in memory before the BIOS runs; a small option ROM then takes INT 19h and starts it.
// Linux: the x86 boot protocol 2.02+ (Documentation/arch/x86/boot.rst), entered in real mode, so that the kernel asks our BIOS.
// Multiboot: the specification 0.6.96, ELF or a.out-kludge images.
using System.Buffers.Binary;
using System.Text;
using Emu86.Cpu.Memory;

namespace Emu86.Devices;

/// <summary>An image that cannot be started, with a sentence that says why.</summary>
public sealed class BootImageException(string message) : Exception(message);

/// <summary>How the started kernel is entered.</summary>
/// <param name="Multiboot">Protected mode with the multiboot registers, else real mode with Linux's.</param>
/// <param name="Entry">Multiboot: entry address. Linux: the real-mode segment of the setup code.</param>
/// <param name="Info">Multiboot: address of the information structure.</param>
internal readonly record struct KernelEntry(bool Multiboot, uint Entry, uint Info);

internal static class KernelLoader
{
    private const uint SetupAddress = 0x1_0000, CommandLineAddress = 0x2_0000, InfoAddress = 0x3_0000;
    private const uint MultibootMagic = 0x1bad_b002;
    private const int HeaderEnd = 0x268;
    private const int CommandLineBytesMax = 4096;

    /// <summary>Checks and loads. Called at power-on and at every reset.</summary>
    public static KernelEntry Load(DirectBoot boot, PhysicalMemory memory)
    {
        if (boot.CommandLine.Length >= CommandLineBytesMax) throw new BootImageException($"the kernel command line is longer than {CommandLineBytesMax - 1} characters");
        ReadOnlySpan<byte> kernel = boot.Kernel;
        if (kernel.Length > 0x206 && BinaryPrimitives.ReadUInt32LittleEndian(kernel[0x202..]) == 0x5372_6448) return LoadLinux(boot, memory);
        int header = FindMultiboot(kernel);
        if (header >= 0) return LoadMultiboot(boot, header, memory);
        throw new BootImageException("the kernel is neither a Linux bzImage nor a multiboot image");
    }

    private static KernelEntry LoadLinux(DirectBoot boot, PhysicalMemory memory)
    {
        byte[] kernel = boot.Kernel;
        if (kernel.Length < HeaderEnd) throw new BootImageException("the Linux kernel image is truncated");
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(kernel.AsSpan(0x206));
        bool high = (kernel[0x211] & 1) != 0;
        if (version < 0x202 || !high) throw new BootImageException("the Linux kernel is older than boot protocol 2.02 or not a bzImage");
        int setupBytes = ((kernel[0x1f1] == 0 ? 4 : kernel[0x1f1]) + 1) * 512;
        if (setupBytes >= kernel.Length) throw new BootImageException("the Linux kernel image is truncated");
        uint systemBytes = BinaryPrimitives.ReadUInt32LittleEndian(kernel.AsSpan(0x1f4)) * 16;
        if (kernel.Length < setupBytes + systemBytes - 16) throw new BootImageException("the Linux kernel image is truncated");
        uint systemLength = (uint)(kernel.Length - setupBytes);
        Require(0x10_0000 + systemLength <= memory.RamBytes);

        byte[] setup = kernel[..setupBytes];
        setup[0x210] = 0xff;                 // boot loader without a registered number
        setup[0x211] |= 0x80;                // CAN_USE_HEAP
        BinaryPrimitives.WriteUInt16LittleEndian(setup.AsSpan(0x224), 0xe000 - 0x200);
        BinaryPrimitives.WriteUInt32LittleEndian(setup.AsSpan(0x228), CommandLineAddress);
        if (boot.Initrd.Length > 0)
        {
            uint limit = version >= 0x203 ? BinaryPrimitives.ReadUInt32LittleEndian(setup.AsSpan(0x22c)) : 0x37ff_ffff;
            // The last 64 KiB below the top of memory may hold firmware tables.
            uint top = uint.Min(limit, memory.RamBytes - 0x1_0000);
            uint at = (top - (uint)boot.Initrd.Length) & 0xffff_f000;
            Require(boot.Initrd.Length < top && at > 0x10_0000 + systemLength);
            memory.Write(at, boot.Initrd);
            BinaryPrimitives.WriteUInt32LittleEndian(setup.AsSpan(0x218), at);
            BinaryPrimitives.WriteUInt32LittleEndian(setup.AsSpan(0x21c), (uint)boot.Initrd.Length);
        }
        memory.Write(SetupAddress, setup);
        memory.Write(0x10_0000, kernel.AsSpan(setupBytes));
        WriteText(memory, CommandLineAddress, boot.CommandLine);
        return new KernelEntry(false, SetupAddress >> 4, 0);
    }

    private static int FindMultiboot(ReadOnlySpan<byte> image)
    {
        for (int at = 0; at + 12 <= int.Min(image.Length, 8192); at += 4)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(image[at..]) != MultibootMagic) continue;
            uint flags = BinaryPrimitives.ReadUInt32LittleEndian(image[(at + 4)..]);
            if (MultibootMagic + flags + BinaryPrimitives.ReadUInt32LittleEndian(image[(at + 8)..]) == 0) return at;
        }
        return -1;
    }

    private static KernelEntry LoadMultiboot(DirectBoot boot, int header, PhysicalMemory memory)
    {
        uint entry = (BinaryPrimitives.ReadUInt32LittleEndian(boot.Kernel.AsSpan(header + 4)) & 0x1_0000) != 0
            ? LoadKludge(boot.Kernel, header, memory, out uint end)
            : LoadElf(boot.Kernel, memory, out end);
        byte[] info = new byte[128];
        void Put(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(offset), value);
        uint map = InfoAddress + 128, modules = map + 64;
        Put(0, 1 | 4 | 0x40 | (boot.Initrd.Length > 0 ? 8u : 0));
        Put(4, 639);
        Put(8, (memory.RamBytes >> 10) - 1024);
        Put(16, CommandLineAddress);
        if (boot.Initrd.Length > 0)
        {
            uint at = (end + 0xfff) & 0xffff_f000;
            Require(at + (ulong)boot.Initrd.Length <= memory.RamBytes);
            memory.Write(at, boot.Initrd);
            Put(20, 1);
            Put(24, modules);
            byte[] module = new byte[16];
            BinaryPrimitives.WriteUInt32LittleEndian(module, at);
            BinaryPrimitives.WriteUInt32LittleEndian(module.AsSpan(4), at + (uint)boot.Initrd.Length);
            memory.Write(modules, module);
        }
        Put(44, 48);
        Put(48, map);
        memory.Write(InfoAddress, info);
        byte[] ranges = new byte[48];
        PutRange(ranges, 0, 0, 0x9_fc00);
        PutRange(ranges, 24, 0x10_0000, memory.RamBytes - 0x10_0000);
        memory.Write(map, ranges);
        WriteText(memory, CommandLineAddress, boot.CommandLine);
        return new KernelEntry(true, entry, InfoAddress);
    }

    private static void PutRange(byte[] ranges, int at, uint start, uint length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(ranges.AsSpan(at), 20);
        BinaryPrimitives.WriteUInt64LittleEndian(ranges.AsSpan(at + 4), start);
        BinaryPrimitives.WriteUInt64LittleEndian(ranges.AsSpan(at + 12), length);
        BinaryPrimitives.WriteUInt32LittleEndian(ranges.AsSpan(at + 20), 1);
    }

    private static uint LoadKludge(byte[] image, int header, PhysicalMemory memory, out uint end)
    {
        if (header + 32 > image.Length) throw new BootImageException("the multiboot image is truncated");
        uint Field(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(header + offset));
        uint headerAddress = Field(12), load = Field(16), loadEnd = Field(20), bssEnd = Field(24);
        long offset = header - ((long)headerAddress - load);
        long length = loadEnd != 0 ? (long)loadEnd - load : image.Length - offset;
        if (offset < 0 || length < 0 || offset + length > image.Length) throw new BootImageException("the multiboot image is truncated");
        Require(load >= 0x10_0000 && load + length <= memory.RamBytes);
        memory.Write(load, image.AsSpan((int)offset, (int)length));
        end = bssEnd != 0 ? bssEnd : load + (uint)length;
        Clear(memory, load + (uint)length, end);
        return Field(28);
    }

    private static uint LoadElf(byte[] image, PhysicalMemory memory, out uint end)
    {
        if (image.Length < 52 || BinaryPrimitives.ReadUInt32BigEndian(image) != 0x7f45_4c46 || image[4] != 1 || image[5] != 1)
        {
            throw new BootImageException("the multiboot image is not a 32-bit little-endian ELF file");
        }
        uint headers = BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(28));
        int size = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(42)), count = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(44));
        end = 0x10_0000;
        for (int n = 0; n < count; n++)
        {
            long at = headers + (long)n * size;
            if (size < 32 || at + 32 > image.Length) throw new BootImageException("the ELF program headers are truncated");
            ReadOnlySpan<byte> header = image.AsSpan((int)at, 32);
            if (BinaryPrimitives.ReadUInt32LittleEndian(header) != 1) continue;
            uint offset = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]), address = BinaryPrimitives.ReadUInt32LittleEndian(header[12..]);
            uint fileBytes = BinaryPrimitives.ReadUInt32LittleEndian(header[16..]), memoryBytes = BinaryPrimitives.ReadUInt32LittleEndian(header[20..]);
            if ((ulong)offset + fileBytes > (ulong)image.Length || fileBytes > memoryBytes) throw new BootImageException("an ELF segment is truncated");
            Require(address >= 0x10_0000 && (ulong)address + memoryBytes <= memory.RamBytes);
            memory.Write(address, image.AsSpan((int)offset, (int)fileBytes));
            Clear(memory, address + fileBytes, address + memoryBytes);
            end = uint.Max(end, address + memoryBytes);
        }
        return BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(24));
    }

    private static void Clear(PhysicalMemory memory, uint from, uint to)
    {
        byte[] zeros = new byte[4096];
        for (uint at = from; at < to; at += 4096) memory.Write(at, zeros.AsSpan(0, (int)uint.Min(4096, to - at)));
    }

    private static void WriteText(PhysicalMemory memory, uint at, string text) => memory.Write(at, Encoding.ASCII.GetBytes(text + "\0"));

    private static void Require(bool fits)
    {
        if (!fits) throw new BootImageException("the kernel and its initial RAM disk do not fit into the guest's memory; give it more with --memory");
    }
}
