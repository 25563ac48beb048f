// What can lie in the CD-ROM drive of this side (docs/ft-protocol.md, "Removable media").
using Emu86.Devices;
using Emu86.Devices.Ide;

namespace Emu86.Ft.Host;

/// <summary>The images that one side has. On the emulation thread.</summary>
public sealed class MediaLibrary : IMediumStore, IDisposable
{
    /// <summary>On the command line: a drive without a medium.</summary>
    public const string Empty = "none";

    private readonly Dictionary<(long Bytes, UInt128 Hash), CdImage> _images = [];

    /// <param name="path">What --cdrom names; null: there is no drive.</param>
    /// <exception cref="HostException">It cannot be opened.</exception>
    public MediaLibrary(string? path)
    {
        if (path is null or Empty) return;
        CdImage image = CdImage.Open(path);
        Keep(image);
        Initial = image.Medium with { Path = "" };
    }

    /// <summary>What --cdrom names. Without its path, which is each side's own.</summary>
    public Medium? Initial { get; }

    /// <summary>The last problem, for the report; null when there was none.</summary>
    public string? LastError { get; private set; }

    /// <summary>From now on this content can be read.</summary>
    public void Keep(CdImage image)
    {
        // What is kept already may have been changed behind it.
        if (_images.Remove((image.Medium.Bytes, image.Medium.Hash), out CdImage? earlier)) earlier.Dispose();
        _images.Add((image.Medium.Bytes, image.Medium.Hash), image);
    }

    public BlockResult Open(Medium medium)
    {
        try
        {
            if (_images.TryGetValue((medium.Bytes, medium.Hash), out CdImage? kept) && !kept.WasChanged) return BlockResult.Ok;
            if (medium.Path.Length == 0) throw new HostException("this side has no such image; give it with --cdrom PATH");
            Keep(CdImage.Expect(medium));
            return BlockResult.Ok;
        }
        catch (Exception e) when (e is HostException or IOException)
        {
            LastError = Sentence(medium, e.Message);
            return BlockResult.IoError;
        }
    }

    public BlockResult Read(Medium medium, long sector, Span<byte> destination)
    {
        if (!_images.TryGetValue((medium.Bytes, medium.Hash), out CdImage? image))
        {
            if (Open(medium) != BlockResult.Ok) return BlockResult.IoError;
            image = _images[(medium.Bytes, medium.Hash)];
        }
        if (image.Read(sector, destination) is not { } problem) return BlockResult.Ok;
        LastError = problem;
        return BlockResult.IoError;
    }

    /// <summary>Whether all that was opened has the content it is known by.</summary>
    /// <param name="atMost">How long to wait for what is still being compared; what is not known then is not a problem yet.</param>
    /// <returns>A sentence, or null.</returns>
    public string? Compare(TimeSpan atMost)
    {
        foreach (CdImage image in _images.Values)
        {
            if (image.Problem(atMost) is not { } problem) continue;
            // Another attempt looks at the file again.
            _images.Remove((image.Medium.Bytes, image.Medium.Hash));
            image.Dispose();
            return LastError = Sentence(image.Medium, problem);
        }
        return null;
    }

    /// <summary>A state was restored: what lies in its drive must be here. Throws <see cref="HostException"/>.</summary>
    /// <param name="machine">With a library of media.</param>
    /// <param name="atMost">How long to wait until the content is known to be the same.</param>
    public static void Require(Machine machine, TimeSpan atMost)
    {
        if (machine.Board.Cdrom?.Medium is not { } medium || machine.Media is not MediaLibrary library) return;
        if (library.Open(medium) != BlockResult.Ok || library.Compare(atMost) is not null) throw new HostException(library.LastError!);
    }

    /// <summary>A drive that is given goes with a machine that has one. Throws <see cref="HostException"/>.</summary>
    public static void RefuseSurplus(string? path, MachineConfig config)
    {
        if (path is not null && config.Cdrom is null) throw new HostException($"--cdrom {path} is given here, but the machine has no CD-ROM drive; leave it out");
    }

    public void Dispose()
    {
        foreach (CdImage image in _images.Values) image.Dispose();
    }

    private static string Sentence(Medium medium, string problem) => $"the guest's CD-ROM drive holds an image of {medium.Bytes} bytes with the content hash {medium.Hash:x32}: {problem}";
}
