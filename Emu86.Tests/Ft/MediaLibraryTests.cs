// Which images a side takes for the guest's medium, and when it notices that one is another.
using Emu86.Devices;
using Emu86.Devices.Ide;
using Emu86.Ft.Host;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

public sealed class MediaLibraryTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly byte[] _content = new byte[4 * 2048];
    private readonly MediaLibrary _library = new(null);

    public MediaLibraryTests() => Random.Shared.NextBytes(_content);

    public void Dispose()
    {
        _library.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void The_same_content_at_the_path_is_taken_and_read()
    {
        Medium medium = Written();
        Assert.Equal(BlockResult.Ok, _library.Open(medium));
        Assert.Null(_library.Compare(Timeout.InfiniteTimeSpan));
        byte[] sector = new byte[2048];
        Assert.Equal(BlockResult.Ok, _library.Read(medium, 2, sector));
        Assert.Equal(_content[4096..6144], sector);
    }

    [Fact]
    public void Another_content_of_the_same_size_is_found_out_and_looked_at_again_the_next_time()
    {
        Medium medium = Written();
        _content[5000]++;
        Written();
        Assert.Equal(BlockResult.Ok, _library.Open(medium));
        Assert.Contains("has another content here", _library.Compare(Timeout.InfiniteTimeSpan));
        Assert.Null(_library.Compare(Timeout.InfiniteTimeSpan));
        _content[5000]--;
        Written();
        Assert.Equal(BlockResult.Ok, _library.Open(medium));
        Assert.Null(_library.Compare(Timeout.InfiniteTimeSpan));
    }

    [Fact]
    public void Another_size_or_no_file_is_refused_at_once()
    {
        Medium medium = Written();
        Assert.Equal(BlockResult.IoError, _library.Open(medium with { Bytes = 2048 }));
        Assert.Contains("has another content here", _library.LastError);
        File.Delete(medium.Path);
        Assert.Equal(BlockResult.IoError, _library.Open(medium));
        Assert.Contains("does not exist", _library.LastError);
        Assert.Equal(BlockResult.IoError, _library.Open(medium with { Path = "" }));
        Assert.Contains("give it with --cdrom PATH", _library.LastError);
    }

    [Fact]
    public void An_image_that_was_changed_is_not_read_until_it_is_put_in_again()
    {
        Medium medium = Written();
        Assert.Equal(BlockResult.Ok, _library.Open(medium));
        File.SetLastWriteTimeUtc(medium.Path, new DateTime(2030, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        byte[] sector = new byte[2048];
        Assert.Equal(BlockResult.IoError, _library.Read(medium, 0, sector));
        Assert.Contains("was changed while the guest uses it", _library.LastError);
        Assert.Equal(BlockResult.Ok, _library.Open(medium));
        Assert.Equal(BlockResult.Ok, _library.Read(medium, 0, sector));
    }

    private Medium Written()
    {
        string path = _folder.Write("a.iso", _content);
        using CdImage image = CdImage.Open(path);
        return image.Medium;
    }
}
