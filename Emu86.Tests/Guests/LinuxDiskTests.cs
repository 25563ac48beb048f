// Debian's kernel from an IDE disk: our BIOS, SYSLINUX, ext4 on /dev/sda2. What is written stays.
using Emu86.Ft.Cli;

namespace Emu86.Tests.Guests;

public sealed class LinuxDiskTests
{
    private const ulong Limit = 15_000_000_000;

    [SkippableFact]
    public void Files_written_to_the_root_on_the_disk_survive_power_off()
    {
        Skip.IfNot(GuestFiles.HaveLinux, GuestFiles.HowToGetLinux);
        using var folder = new TemporaryFolder();
        string image = folder.CopyOf(GuestFiles.Disk);

        using (GuestConsole guest = BootToShell(image))
        {
            guest.Type("mount | grep sda2; sha256sum /bin/busybox | tee /data/proof; sync; poweroff -f");
            guest.WaitFor("/dev/sda2 on / type ext4 (rw", Limit);
            guest.WaitFor("  /bin/busybox", Limit);
            guest.WaitForPowerOff(Limit);
        }
        using (GuestConsole guest = BootToShell(image))
        {
            guest.Type("sha256sum -c /data/proof && dmesg | grep -c EXT4-fs.error; poweroff -f");
            guest.WaitFor("/bin/busybox: OK", Limit);
            guest.WaitFor("\n0\r", Limit);
            guest.WaitForPowerOff(Limit);
        }
    }

    private static GuestConsole BootToShell(string image)
    {
        var guest = new GuestConsole(new RunOptions
        {
            Disks = [new DiskOption(image, false), null, null, null],
            Net = NetKind.None,
            RtcBase = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
            Slice = 1_000_000,
        });
        guest.WaitFor("SYSLINUX", Limit);
        guest.WaitFor("emu86-guest: ready none", Limit);
        guest.WaitFor("emu86:/# ", Limit);
        return guest;
    }
}
