// What is known about a disk image, in a file beside it: <image>.emu86 (docs/ft-protocol.md, "Disks").
using System.IO.Hashing;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Emu86.Ft.Host;

/// <summary>Values stand in files and are never reused.</summary>
public enum DiskCopyState : byte
{
    /// <summary>Holds everything the guest has written.</summary>
    Current = 1,

    /// <summary>Another copy holds more.</summary>
    Behind = 2,

    /// <summary>Is being brought up; until then its content is a mixture.</summary>
    Syncing = 3,
}

/// <param name="DiskId">Of the disk, the same for all its copies.</param>
/// <param name="CopyName">Of this copy, as it stands in the arbiter's set: host and path.</param>
/// <param name="Epoch">The epoch under which the state was written.</param>
/// <param name="State">What the copy is worth.</param>
public sealed record DiskSideFile(Guid DiskId, string CopyName, ulong Epoch,
    [property: JsonConverter(typeof(JsonStringEnumConverter<DiskCopyState>))] DiskCopyState State)
{
    private const int BytesMax = 16 << 10;

    /// <summary>Name of the guest that the disk belongs to; null in files of programs that did not write it.</summary>
    public string? Guest { get; init; }

    /// <summary>Where its epochs are won (Arbiter.Identity); null as above.</summary>
    public string? Arbiter { get; init; }

    public static string PathOf(string image) => image + ".emu86";

    /// <summary>Reads the side file of an image; null when there is none.</summary>
    /// <exception cref="InvalidDataException">It is damaged; the sentence names it.</exception>
    public static DiskSideFile? Read(string image)
    {
        string path = PathOf(image);
        if (!File.Exists(path)) return null;
        if (new FileInfo(path).Length > BytesMax) throw new InvalidDataException($"{path} is longer than {BytesMax} bytes: it is damaged");
        string text = File.ReadAllText(path, Encoding.UTF8);
        int end = text.LastIndexOf("\nxxh3 ", StringComparison.Ordinal);
        if (end < 0 || text[(end + 6)..].TrimEnd() != Checksum(text[..end])) throw new InvalidDataException($"{path} is damaged: its checksum does not match");
        try
        {
            DiskSideFile? side = JsonSerializer.Deserialize<DiskSideFile>(text[..end]);
            return side is not null && Enum.IsDefined(side.State) ? side : throw new InvalidDataException($"{path} does not say what the copy is worth");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path} cannot be read: {e.Message}");
        }
    }

    /// <summary>Replaces the side file: after a crash the old or the new one is there, never a piece.</summary>
    public void Write(string image)
    {
        string path = PathOf(image);
        string fresh = path + ".new";
        string json = JsonSerializer.Serialize(this);
        using (FileStream file = new(fresh, FileMode.Create, FileAccess.Write))
        {
            file.Write(Encoding.UTF8.GetBytes($"{json}\nxxh3 {Checksum(json)}\n"));
            file.Flush(flushToDisk: true);
        }
        File.Move(fresh, path, overwrite: true);
    }

    /// <summary>Whether a guest may start on this copy: null, or the sentence with which it is refused.</summary>
    /// <param name="image">The image's path, for the sentence.</param>
    /// <param name="side">Its side file; null when the image never took part in replication.</param>
    /// <param name="currentCopies">The copies that the arbiter holds to be current; empty when it knows none.</param>
    /// <param name="force">The user has decided (<c>--force-stale-disk</c>).</param>
    public static string? RefuseStart(string image, DiskSideFile? side, IReadOnlyList<string> currentCopies, bool force)
    {
        if (force || side is null) return null;
        string elsewhere = currentCopies.Count == 0 ? "another copy" : string.Join(" or ", currentCopies);
        if (side.State == DiskCopyState.Syncing) return $"{image} was being brought up when it was left and holds a mixture; {elsewhere} is current (--force-stale-disk starts on it anyway)";
        if (side.State == DiskCopyState.Behind || (currentCopies.Count > 0 && !currentCopies.Contains(side.CopyName)))
        {
            return $"{image} is behind since epoch {side.Epoch}; {elsewhere} is current (--force-stale-disk starts on it anyway)";
        }
        return null;
    }

    /// <summary>Whether a backup may use this image for the disk: null, or the sentence with which it is refused.</summary>
    /// <param name="image">The image's path, for the sentence.</param>
    /// <param name="exists">The image is there and not empty.</param>
    /// <param name="side">Its side file, or null.</param>
    /// <param name="diskId">The primary's disk.</param>
    /// <param name="overwrite">The user has decided (<c>--overwrite-disk</c>).</param>
    public static string? RefuseSync(string image, bool exists, DiskSideFile? side, Guid diskId, bool overwrite) =>
        !exists || overwrite || side?.DiskId == diskId ? null
        : side is null ? $"{image} has content that no machine of this kind has written; --overwrite-disk replaces it"
        : $"{image} holds the disk {side.DiskId:N}, the primary has {diskId:N}; --overwrite-disk replaces it";

    private static string Checksum(string text) => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(text)).ToString("x16");
}
