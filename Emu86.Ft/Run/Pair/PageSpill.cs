// Pages of the guest's RAM that a clone has not sent yet and the guest overwrites, beyond what is kept in memory: in a file.
using Emu86.Devices;
using Emu86.Ft.Host;

namespace Emu86.Ft.Run.Pair;

/// <summary>Keeps pages at their own places in a file without a name.</summary>
/// <param name="directory">Where the file is made, at the first page.</param>
internal sealed class PageSpill(string directory) : IPageSpill, IDisposable
{
    private readonly SpillFile _file = new(directory);

    /// <summary>Why a page could not be kept or read; null as long as all could.</summary>
    public string? Problem { get; private set; }

    public bool Write(uint page, ReadOnlySpan<byte> content)
    {
        try
        {
            _file.Write((long)page * content.Length, content);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Problem = $"memory that the guest overwrites meanwhile cannot be kept in {directory}: {e.Message}";
            return false;
        }
    }

    public bool Read(uint page, Span<byte> content)
    {
        try
        {
            _file.Read((long)page * content.Length, content);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Problem = $"memory that was kept in {directory} cannot be read: {e.Message}";
            return false;
        }
    }

    public void Dispose() => _file.Dispose();
}
