using System.Diagnostics;
using System.Text;

namespace Emu86.Tests.Firmware;

/// <summary>The committed ROM images: they are what the source builds, and their tables are well formed.</summary>
public sealed class BiosImageTests
{
    private const int SystemSegment = 0x10000; // offset of F000:0 in the 128 KiB image

    private static readonly string BiosFolder = FindBiosFolder();
    private static readonly byte[] Bios = File.ReadAllBytes(Path.Combine(BiosFolder, "emu86-bios.bin"));
    private static readonly byte[] VgaBios = File.ReadAllBytes(Path.Combine(BiosFolder, "emu86-vgabios.bin"));

    [SkippableFact]
    public void Source_builds_the_committed_images_bit_for_bit()
    {
        Skip.IfNot(ToolExists("nasm") && ToolExists("sh"), "needs nasm and a POSIX shell: apt-get install nasm");
        string output = Directory.CreateTempSubdirectory("emu86-bios").FullName;
        try
        {
            var start = new ProcessStartInfo("sh", [Path.Combine(BiosFolder, "build.sh"), output]) { RedirectStandardError = true };
            using Process build = Process.Start(start)!;
            string errors = build.StandardError.ReadToEnd();
            Assert.True(build.WaitForExit(60_000), "build.sh still runs after a minute");
            Assert.True(build.ExitCode == 0, errors);
            Assert.Equal(Bios, File.ReadAllBytes(Path.Combine(output, "emu86-bios.bin")));
            Assert.Equal(VgaBios, File.ReadAllBytes(Path.Combine(output, "emu86-vgabios.bin")));
        }
        finally
        {
            Directory.Delete(output, recursive: true);
        }
    }

    [Fact]
    public void System_image_is_128_KiB_and_starts_with_a_far_jump_into_F000()
    {
        Assert.Equal(128 * 1024, Bios.Length);
        int reset = Bios.Length - 16;
        Assert.Equal(0xEA, Bios[reset]);
        Assert.Equal(0xF000, BitConverter.ToUInt16(Bios, reset + 3));
        Assert.Equal(0xFC, Bios[^2]); // model byte of an AT
    }

    [Fact]
    public void Vga_image_is_an_option_rom_of_32_KiB_and_sits_at_E0000()
    {
        Assert.Equal(32 * 1024, VgaBios.Length);
        Assert.Equal([0x55, 0xAA, 64], VgaBios[..3]);
        Assert.Equal(0, Sum(VgaBios, 0, VgaBios.Length));
        Assert.Equal(VgaBios, Bios[..VgaBios.Length]);
    }

    [Fact]
    public void Acpi_tables_add_up_and_lead_from_RSDP_to_DSDT()
    {
        int rsdp = FindParagraph("RSD PTR ");
        Assert.Equal(0, Sum(Bios, rsdp, 20));
        int rsdt = FollowTable(rsdp + 16, "RSDT");
        int fadt = FollowTable(rsdt + 36, "FACP");
        FollowTable(fadt + 40, "DSDT");
        Assert.Equal(0x9FE00u, BitConverter.ToUInt32(Bios, fadt + 36)); // FACS: in RAM, aligned on 64
        Assert.Equal(9, BitConverter.ToUInt16(Bios, fadt + 46));
        Assert.Equal(0x600u, BitConverter.ToUInt32(Bios, fadt + 56));
    }

    [Fact]
    public void Interrupt_routing_table_adds_up_and_covers_every_slot()
    {
        int table = FindParagraph("$PIR");
        int length = BitConverter.ToUInt16(Bios, table + 6);
        Assert.Equal(32 + (31 * 16), length);
        Assert.Equal(0, Sum(Bios, table, length));
        for (int slot = 1; slot <= 31; slot++)
        {
            int row = table + 32 + ((slot - 1) * 16);
            Assert.Equal(slot << 3, Bios[row + 1]);
            for (int pin = 0; pin < 4; pin++)
            {
                Assert.Equal(0x60 + ((slot - 1 + pin) & 3), Bios[row + 2 + (pin * 3)]);
            }
        }
    }

    [Fact]
    public void Smbios_entry_and_service_directory_add_up()
    {
        int smbios = FindParagraph("_SM_");
        Assert.Equal(0, Sum(Bios, smbios, Bios[smbios + 5]));
        Assert.Equal(0, Sum(Bios, smbios + 16, 15));
        int directory = FindParagraph("_32_");
        Assert.Equal(0, Sum(Bios, directory, Bios[directory + 9] * 16));
        Assert.InRange(BitConverter.ToUInt32(Bios, directory + 4), 0xF0000u, 0xFFFFFu);
    }

    private static int FollowTable(int pointer, string signature)
    {
        uint address = BitConverter.ToUInt32(Bios, pointer);
        Assert.InRange(address, 0xF0000u, 0xFFFFFu);
        int offset = (int)(address - 0xE0000u);
        Assert.Equal(signature, Encoding.ASCII.GetString(Bios, offset, 4));
        Assert.Equal(0, Sum(Bios, offset, BitConverter.ToInt32(Bios, offset + 4)));
        return offset;
    }

    private static int FindParagraph(string signature)
    {
        for (int offset = SystemSegment; offset < Bios.Length; offset += 16)
        {
            if (Encoding.ASCII.GetString(Bios, offset, signature.Length) == signature)
            {
                return offset;
            }
        }

        throw new InvalidDataException($"{signature} is not on a paragraph of segment F000");
    }

    private static int Sum(byte[] image, int offset, int length)
    {
        int sum = 0;
        foreach (byte value in image.AsSpan(offset, length))
        {
            sum += value;
        }

        return sum & 0xFF;
    }

    private static bool ToolExists(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, name)));

    private static string FindBiosFolder()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Emu86.sln")))
            {
                return Path.Combine(folder.FullName, "bios");
            }
        }

        throw new DirectoryNotFoundException("Emu86.sln is not above the test assembly");
    }
}
