// Small guests from disks: the BIOS services program and the embedded guest.
using System.Diagnostics;
using Emu86.Ft.Cli;

namespace Emu86.Tests.Guests;

public sealed class SmallGuestTests
{
    [SkippableFact]
    public void Every_BIOS_service_holds_on_our_machine()
    {
        using var folder = new TemporaryFolder();
        string image = Assemble(folder, Path.Combine(GuestFiles.Repository, "bios", "test", "services.asm"));
        using GuestConsole guest = Boot(image);
        guest.WaitForPowerOff(2_000_000_000);
        string[] failed = [.. guest.Text.Split("\r\n").Where(l => l.StartsWith("FAIL", StringComparison.Ordinal))];
        Assert.Empty(failed);
        Assert.Contains("services: 0 failed", guest.Text);
    }

    [Fact]
    public void A_disk_without_a_boot_sector_is_told_on_COM1()
    {
        using var folder = new TemporaryFolder();
        using GuestConsole guest = Boot(folder.Write("blank.img", new byte[1 << 20]));
        guest.WaitFor("Disk 0 has no boot sector.\r\n", 1_000_000_000);
        guest.WaitFor("No bootable device.\r\n", 1_000_000_000);
    }

    [Fact]
    public void The_embedded_guest_starts_from_its_disk_and_keeps_its_counter_there()
    {
        using var folder = new TemporaryFolder();
        string image = folder.CopyOf(GuestFiles.EmbeddedDisk);
        using (GuestConsole guest = Boot(image))
        {
            guest.WaitFor("emu86-guest: disk holds the counter, counter 0", 1_000_000_000);
            guest.WaitFor("emu86-guest: ready none", 1_000_000_000);
            guest.Type("help");
            guest.Type("off");
            guest.WaitFor("emu86-guest: off", 1_000_000_000);
            guest.WaitForPowerOff(1_000_000_000);
        }
        using (GuestConsole guest = Boot(image)) guest.WaitFor("emu86-guest: ready none", 1_000_000_000);
    }

    private static GuestConsole Boot(string image) => new(new RunOptions
    {
        Disks = [new DiskOption(image, false), null, null, null],
        Net = NetKind.None,
        RtcBase = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
    });

    private static string Assemble(TemporaryFolder folder, string source)
    {
        string image = folder["disk.img"];
        try
        {
            using Process nasm = Process.Start("nasm", ["-f", "bin", "-o", image, source]);
            nasm.WaitForExit();
            Assert.Equal(0, nasm.ExitCode);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Skip.If(true, "needs nasm: apt-get install nasm");
        }
        return image;
    }
}
