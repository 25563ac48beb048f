// From options to a machine: reads the files, checks the values, opens the disks.
using System.Reflection;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;

namespace Emu86.Ft.Run;

/// <summary>Builds configurations and opens disks. All mistakes are <see cref="HostException"/>s.</summary>
public static class MachineBuilder
{
    private const long FileBytesMax = 0x7fff_ffc7;
    private const uint VgaBiosAddress = 0xc_0000, OptionRomAddress = 0xd_0000;

    /// <summary>The configuration that the options ask for.</summary>
    public static MachineConfig Configure(RunOptions options, IReadOnlyList<IBlockStore?> disks, MediaLibrary? media = null)
    {
        if (options.MemoryBytes % (1 << 20) != 0 || options.MemoryBytes is < 1 << 20 or > 3L << 30)
        {
            throw new HostException("--memory takes 1M to 3G in whole mebibytes", ExitCode.Usage);
        }
        byte[] bios = options.Bios is { } path ? ReadFile("--bios", path) : Resource("emu86-bios.bin");
        if (bios.Length is not (0x1_0000 or 0x2_0000 or 0x4_0000)) throw new HostException($"--bios {options.Bios} has {bios.Length} bytes; a system BIOS has 64, 128 or 256 KiB");
        var roms = new List<OptionRom>();
        // Our own system BIOS holds a VGA BIOS; another one looks for a ROM at C0000h.
        if (options.VgaBios is { } vga) roms.Add(Rom("--vgabios", VgaBiosAddress, ReadFile("--vgabios", vga), 0xc000));
        else if (options.Bios is not null) roms.Add(Rom("--vgabios", VgaBiosAddress, Resource("emu86-vgabios.bin"), 0xc000));
        if (options.OptionRom is { } rom) roms.Add(Rom("--option-rom", OptionRomAddress, ReadFile("--option-rom", rom), 0x1_0000));
        DirectBoot? boot = null;
        if (options.Kernel is { } kernel)
        {
            boot = new DirectBoot(ReadFile("--kernel", kernel), options.Initrd is { } initrd ? ReadFile("--initrd", initrd) : [], options.Append);
        }
        else if (options.UsesEmbeddedGuest)
        {
            boot = new DirectBoot(Resource("emu86-guest.elf"), [], options.Append);
        }
        DateTimeOffset powerOn = options.RtcBase ?? DateTimeOffset.UtcNow;
        return new MachineConfig
        {
            MemoryBytes = options.MemoryBytes,
            Cpu = options.Cpu,
            DriveSectors = [.. disks.Select(d => d?.SectorCount ?? 0)],
            Nic = options.Net == NetKind.None ? NicModel.None : options.Nic,
            Mac = options.Mac,
            RtcBase = powerOn.ToUnixTimeSeconds(),
            RtcBaseNs = (uint)(powerOn.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick),
            ClockRate = options.ClockRate,
            Bios = bios,
            OptionRoms = [.. roms],
            DirectBoot = boot,
            BootOrder = BootOrder(options),
            Cdrom = options.Cdrom is null ? null : CdromConfig.With(media?.Initial),
            ExitPort = options.ExitPort,
            NoReboot = options.NoReboot,
        };
    }

    /// <summary>Opens the disks that the options name.</summary>
    public static IBlockStore?[] OpenDisks(RunOptions options) =>
        [.. options.Disks.Select(d => d is null ? null : DiskImage.Open(d, d.ReadOnly))];

    /// <summary>Builds the machine; a kernel that cannot be started is a sentence.</summary>
    /// <param name="engine">Each side's own choice: no bit of the guest depends on it.</param>
    /// <param name="media">Needed for a machine with a CD-ROM drive.</param>
    public static Machine Build(MachineConfig config, IReadOnlyList<IBlockStore?> disks, IOutputSink outputs, EngineChoice engine = EngineChoice.Auto, MediaLibrary? media = null)
    {
        try
        {
            var machine = new Machine(config, disks, outputs, media);
            TranslationThread.Serve(machine.Board.Processor);
            if (machine.Board.Processor.UseTranslator(engine != EngineChoice.Interpreter) || engine == EngineChoice.Auto) return machine;
            machine.Dispose();
            throw new HostException("--engine translator needs Linux on an x86-64 processor; use --engine interpreter", ExitCode.Usage);
        }
        catch (BootImageException e)
        {
            throw new HostException(e.Message);
        }
        catch (BoardException e)
        {
            throw new HostException(e.Message, ExitCode.Usage);
        }
        catch (OutOfMemoryException)
        {
            throw new HostException($"the host has no {config.MemoryBytes >> 20} MiB for the guest's memory; ask for less with --memory");
        }
    }

    /// <summary>Reads a whole file.</summary>
    public static byte[] ReadFile(string option, string path)
    {
        try
        {
            if (Directory.Exists(path)) throw new HostException($"{option} {path} is a directory; give the path of a file");
            if (new FileInfo(path) is { Exists: true, Length: > FileBytesMax } file) throw new HostException($"{option} {path} has {file.Length} bytes; at most {FileBytesMax} can be read");
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new HostException($"{option} {path} does not exist; check the path");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"{option} {path} cannot be read: {e.Message}");
        }
    }

    // First device in the lowest nibble: 2 disk, 3 CD, 4 network.
    private static int BootOrder(RunOptions options) => options.Boot switch
    {
        "n" => 0x4,
        "d" => 0x23,
        _ => options.Cdrom is null ? 0x2 : 0x32,
    };

    private static OptionRom Rom(string option, uint address, byte[] image, int bytesMax)
    {
        if (image.Length < 512 || image.Length > bytesMax || image[0] != 0x55 || image[1] != 0xaa)
        {
            throw new HostException($"{option} is not an option ROM (55h AAh, at most {bytesMax / 1024} KiB)");
        }
        return new OptionRom(address, image);
    }

    private static byte[] Resource(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
