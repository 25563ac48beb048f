// Where the guests' images are, and how to get those that are not in the tree.
namespace Emu86.Tests.Guests;

internal static class GuestFiles
{
    public const string HowToGetLinux = "needs the Linux guest: guests/linux/build.sh (Debian 12, fetches two packages)";

    public const string HowToGetSystems = "needs other people's systems: guests/systems/build.sh (Debian 12, fetches five packages)";

    /// <summary>The repository's folder.</summary>
    public static readonly string Repository = FindRepository();

    public static readonly string Kernel = Linux("vmlinuz"), Initrd = Linux("initrd.gz"), Disk = Linux("disk.img");

    public static readonly string EmbeddedDisk = Path.Combine(Repository, "guests", "embedded", "emu86-guest.img");

    public static readonly string Memtest = System("memtest86.bin"), Ipxe = System("ipxe.lkrn"), SeaBios = System("seabios.bin"), GrubDisk = System("grub.img");

    public static readonly string EmbeddedKernel = Path.Combine(Repository, "guests", "embedded", "emu86-guest.elf");

    public const string HowToGetCds = "needs CD images: guests/linux/build.sh, then guests/systems/build-cd.sh (Debian 12, installs isolinux and xorriso)";

    public static readonly string BootCd = System("cd.iso"), CdOne = System("one.iso"), CdTwo = System("two.iso");

    public static bool HaveCds => File.Exists(BootCd) && File.Exists(CdOne) && File.Exists(CdTwo);

    public static bool HaveSystems => File.Exists(Memtest) && File.Exists(Ipxe) && File.Exists(SeaBios) && File.Exists(GrubDisk);

    public static bool HaveLinux => File.Exists(Kernel) && File.Exists(Initrd) && File.Exists(Disk);

    private static string Linux(string name) => Path.Combine(Repository, "guests", "linux", "out", name);

    private static string System(string name) => Path.Combine(Repository, "guests", "systems", "out", name);

    private static string FindRepository()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Emu86.sln"))) folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests must run inside the repository");
        return folder;
    }
}

/// <summary>A folder for one test's files, gone afterwards.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("emu86-test").FullName;

    /// <summary>The path of a file in it.</summary>
    public string this[string name] => Path.Combine(_path, name);

    /// <summary>A writable copy of a file, in it.</summary>
    public string CopyOf(string file)
    {
        string copy = this[Path.GetFileName(file)];
        File.Copy(file, copy);
        File.SetAttributes(copy, FileAttributes.Normal);
        return copy;
    }

    public string Write(string name, byte[] content)
    {
        File.WriteAllBytes(this[name], content);
        return this[name];
    }

    public void Dispose() => Directory.Delete(_path, recursive: true);
}
