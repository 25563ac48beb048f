// ROMs and the shadow RAM over them: C0000h to FFFFFh as the 440FX's PAM registers decide, and the BIOS below 4 GiB.
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;
using Emu86.Cpu.Memory;

namespace Emu86.Devices;

internal sealed unsafe class Roms : IDisposable
{
    private const uint AreaFirst = 0xc_0000, AreaSize = 0x4_0000, KernelBootAddress = 0xc_c000;

    private readonly PhysicalMemory _memory;
    private readonly byte* _area;
    private readonly byte* _bios;

    public Roms(MachineConfig config, PhysicalMemory memory)
    {
        _memory = memory;
        // What is not ROM reads as FFh.
        _area = (byte*)NativeMemory.AlignedAlloc(AreaSize, 4096);
        new Span<byte>(_area, (int)AreaSize).Fill(0xff);
        int biosBytes = config.Bios.Length;
        Check.That(biosBytes is 0x1_0000 or 0x2_0000 or 0x4_0000);
        _bios = (byte*)NativeMemory.AlignedAlloc((nuint)biosBytes, 4096);
        config.Bios.CopyTo(new Span<byte>(_bios, biosBytes));
        // The last 128 KiB at most are seen below 1 MiB: C0000h to DFFFFh belong to option ROMs.
        int low = int.Min(biosBytes, 0x2_0000);
        config.Bios.AsSpan(biosBytes - low).CopyTo(new Span<byte>(_area + AreaSize - low, low));
        foreach (OptionRom rom in config.OptionRoms)
        {
            Check.That(rom.Address >= AreaFirst && rom.Address + (uint)rom.Image.Length <= 0xe_0000);
            rom.Image.CopyTo(new Span<byte>(_area + (rom.Address - AreaFirst), rom.Image.Length));
        }
        for (int page = 0; page < biosBytes >> 12; page++)
        {
            memory.MapRom((uint)((0x1_0000_0000L - biosBytes) >> 12) + (uint)page, (nint)(_bios + (page << 12)), writeToRam: false);
        }
    }

    /// <summary>The option ROM that starts a kernel which the board loaded.</summary>
    public void SetKernelBoot(in KernelEntry entry)
    {
        byte[] rom = KernelBootRom.Build(entry);
        rom.CopyTo(new Span<byte>(_area + (KernelBootAddress - AreaFirst), rom.Length));
    }

    /// <summary>Follows the host bridge's decision about a region.</summary>
    public void Shadow(ShadowRegion region)
    {
        for (uint page = region.Physical >> 12; page < (region.Physical + region.Size) >> 12; page++)
        {
            if (region.ReadRam) _memory.MapRam(page, true, region.WriteRam);
            else _memory.MapRom(page, (nint)(_area + ((page << 12) - AreaFirst)), region.WriteRam);
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_area);
        NativeMemory.AlignedFree(_bios);
    }
}
