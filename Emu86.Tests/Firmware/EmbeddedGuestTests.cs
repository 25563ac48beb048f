// The embedded guest in guests/embedded: the images in the tree are what its source builds.
using System.Diagnostics;

namespace Emu86.Tests.Firmware;

public sealed class EmbeddedGuestTests
{
    const uint MultibootMagic = 0x1BADB002;
    static readonly string Folder = Path.Combine(RepositoryRoot(), "guests", "embedded");
    static string ImagePath => Path.Combine(Folder, "emu86-guest.elf");

    [SkippableFact]
    public void Images_in_the_tree_are_what_the_source_builds()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "building the embedded guest needs Linux with gcc");
        var recorded = File.ReadAllLines(Path.Combine(Folder, "emu86-guest.tools"));
        var installed = new[] { "gcc", "as", "ld" }.Select(VersionOf).ToArray();
        Skip.IfNot(recorded.SequenceEqual(installed), $"needs exactly {string.Join("; ", recorded)} (Debian 12: apt-get install gcc)");

        var built = Directory.CreateTempSubdirectory("emu86-guest").FullName;
        try
        {
            var (exitCode, output) = Run("bash", Path.Combine(Folder, "build.sh"), built);
            Assert.True(exitCode == 0, output);
            foreach (var name in new[] { "emu86-guest.elf", "emu86-guest.img" })
            {
                var same = File.ReadAllBytes(Path.Combine(built, name)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(Folder, name)));
                Assert.True(same, $"{name} is not what the source builds: run guests/embedded/build.sh and commit the images");
            }
        }
        finally
        {
            Directory.Delete(built, recursive: true);
        }
    }

    [Fact]
    public void Image_has_a_valid_multiboot_header_in_its_first_8_KiB()
    {
        var image = File.ReadAllBytes(ImagePath);
        var headers = Enumerable.Range(0, 8192 / 4).Where(i => BitConverter.ToUInt32(image, i * 4) == MultibootMagic).ToArray();
        var at = Assert.Single(headers) * 4;
        Assert.Equal(0u, MultibootMagic + BitConverter.ToUInt32(image, at + 4) + BitConverter.ToUInt32(image, at + 8));
    }

    static string? VersionOf(string tool)
    {
        try
        {
            return Run(tool, "--version").Output.Split('\n')[0];
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    static (int ExitCode, string Output) Run(string command, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["LC_ALL"] = "C" },
        })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Emu86.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests must run inside the repository");
        return folder;
    }
}
