// Image files: one writer, and a length that stays.
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

public sealed class RawDiskTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void A_second_writer_is_refused_while_the_first_has_the_image()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "needs Linux, which has locks of open files");
        string image = _folder.Write("disk.img", new byte[4096]);
        using (RawDisk.Open(image, readOnly: false))
        {
            Assert.Contains("is being written by another program", Assert.Throws<HostException>(() => RawDisk.Open(image, readOnly: false)).Message);
            using RawDisk reader = RawDisk.Open(image, readOnly: true);
            Assert.Equal(BlockResult.Ok, reader.Read(0, new byte[512]));
        }
        RawDisk.Open(image, readOnly: false).Dispose();
    }

    [Fact]
    public void An_image_that_was_cut_fails_and_does_not_grow_again_with_zeros()
    {
        string image = _folder.Write("disk.img", new byte[4096]);
        using RawDisk disk = RawDisk.Open(image, readOnly: false);
        Cut(image, 1024);
        Assert.Equal(BlockResult.IoError, disk.Write(4, new byte[512]));
        Assert.Contains("the file became shorter", disk.LastError);
        Assert.Equal(1024, new FileInfo(image).Length);
        Assert.Equal(BlockResult.IoError, disk.Read(4, new byte[512]));
        Cut(image, 4096);
        Assert.Equal(BlockResult.Ok, disk.Write(4, new byte[512]));
    }

    private static void Cut(string image, long bytes)
    {
        using FileStream file = new(image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(bytes);
    }
}
