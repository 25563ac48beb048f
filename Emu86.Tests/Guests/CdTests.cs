// Linux from a CD, and a CD in Linux: ISOLINUX through our BIOS and through SeaBIOS, iso9660, a change of the medium.
using System.Security.Cryptography;
using Emu86.Devices;
using Emu86.Devices.Ide;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;

namespace Emu86.Tests.Guests;

public sealed class CdTests
{
    private const ulong Limit = 15_000_000_000;

    [SkippableTheory]
    [InlineData(EngineChoice.Auto)]
    [InlineData(EngineChoice.Interpreter)]
    public void ISOLINUX_boots_Linux_from_our_BIOS_and_Linux_reads_what_the_host_has(EngineChoice engine)
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        using GuestConsole guest = Start(new RunOptions { Cdrom = GuestFiles.BootCd, Boot = "d", Engine = engine });
        guest.WaitFor("ISOLINUX", Limit);
        guest.WaitFor("emu86:/# ", Limit);
        guest.Type("sha256sum /dev/sr0; mkdir -p /mnt; mount -t iso9660 -o ro /dev/sr0 /mnt && sha256sum /mnt/vmlinuz");
        guest.WaitFor($"{Sha256(GuestFiles.BootCd)}  /dev/sr0", Limit);
        guest.WaitFor($"{Sha256(GuestFiles.Kernel)}  /mnt/vmlinuz", Limit);
        guest.Type("poweroff -f");
        guest.WaitForPowerOff(Limit);
    }

    [SkippableFact]
    public void SeaBIOS_boots_the_CD_as_well()
    {
        Skip.IfNot(GuestFiles.HaveCds && GuestFiles.HaveSystems, GuestFiles.HowToGetCds);
        using GuestConsole guest = Start(new RunOptions { Cdrom = GuestFiles.BootCd, Boot = "d", Bios = GuestFiles.SeaBios });
        guest.WaitFor("ISOLINUX", Limit);
        guest.WaitFor("emu86-guest: ready none", Limit);
    }

    [SkippableFact]
    public void The_disk_is_booted_before_the_CD_and_the_CD_before_the_disk_with_boot_d()
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        DiskOption?[] disks = [new DiskOption(GuestFiles.EmbeddedDisk, ReadOnly: true), null, null, null];
        using GuestConsole fromDisk = Start(new RunOptions { Disks = disks, Cdrom = GuestFiles.BootCd });
        fromDisk.WaitFor("emu86-guest: ready none", Limit);
        Assert.DoesNotContain("ISOLINUX", fromDisk.Text);
        using GuestConsole fromCd = Start(new RunOptions { Disks = disks, Cdrom = GuestFiles.BootCd, Boot = "d" });
        fromCd.WaitFor("ISOLINUX", Limit);
    }

    [SkippableFact]
    public void A_CD_is_booted_when_no_disk_can_be()
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        using GuestConsole guest = Start(new RunOptions { Cdrom = GuestFiles.BootCd });
        guest.WaitFor("ISOLINUX", Limit);
    }

    [SkippableFact]
    public void Linux_notices_another_medium_and_both_engines_and_a_restored_snapshot_agree()
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        UInt128 first = Change(EngineChoice.Auto, restoreHalfWay: false, out ulong count);
        Assert.Equal((first, count), (Change(EngineChoice.Interpreter, restoreHalfWay: false, out ulong other), other));
        Assert.Equal((first, count), (Change(EngineChoice.Auto, restoreHalfWay: true, out other), other));
    }

    private static UInt128 Change(EngineChoice engine, bool restoreHalfWay, out ulong count)
    {
        var options = new RunOptions { Cdrom = GuestFiles.BootCd, Boot = "d", Engine = engine };
        GuestConsole guest = Start(options);
        try
        {
            guest.WaitFor("emu86:/# ", Limit);
            Medium two;
            using (CdImage image = CdImage.Open(GuestFiles.CdTwo)) two = image.Medium;
            guest.Machine.Inject(two.InsertInto(CdromConfig.Drive));
            if (restoreHalfWay)
            {
                byte[] saved = guest.Save();
                guest.Dispose();
                guest = Start(options);
                guest.Restore(saved);
                MediaLibrary.Require(guest.Machine, Timeout.InfiniteTimeSpan);
            }
            guest.Type("sha256sum /dev/sr0; mkdir -p /mnt; mount -t iso9660 -o ro /dev/sr0 /mnt; cat /mnt/name.txt");
            guest.WaitFor($"{Sha256(GuestFiles.CdTwo)}  /dev/sr0", Limit);
            guest.WaitFor("this is medium two", Limit);
            guest.RunTo(guest.Count / 100_000_000 * 100_000_000 + 200_000_000);
            count = guest.Count;
            return guest.Machine.StateHash();
        }
        finally
        {
            guest.Dispose();
        }
    }

    private static string Sha256(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    // A fixed time: runs are compared.
    private static GuestConsole Start(RunOptions options) => new(options with { Net = NetKind.None, RtcBase = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero) });
}
