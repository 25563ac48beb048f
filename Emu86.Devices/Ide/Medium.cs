// What lies in a drive with removable media: known by its content, so that every side of a guest has the same.
using System.Buffers.Binary;
using System.Text;

namespace Emu86.Devices.Ide;

/// <summary>A medium's identity.</summary>
/// <param name="Bytes">Its length: whole sectors of 2048.</param>
/// <param name="Hash">XXH3 (128 bits) of its content.</param>
/// <param name="Path">Where it was found when it was put in while the machine ran, so that another side looks there; else empty.</param>
public sealed record Medium(long Bytes, UInt128 Hash, string Path)
{
    public const int SectorBytes = 2048;

    /// <summary>Longest path, in bytes of UTF-8.</summary>
    public const int PathBytesMax = 1024;

    private const int HashBytes = 16;

    /// <summary>The input that puts it into a drive.</summary>
    public InputEvent InsertInto(int drive)
    {
        byte[] identity = new byte[HashBytes + Encoding.UTF8.GetByteCount(Path)];
        BinaryPrimitives.WriteUInt128LittleEndian(identity, Hash);
        Encoding.UTF8.GetBytes(Path, identity.AsSpan(HashBytes));
        return InputEvent.MediumChange(drive, (ulong)Bytes, identity);
    }

    /// <summary>The input that takes out what lies in a drive.</summary>
    public static InputEvent RemoveFrom(int drive) => InputEvent.MediumChange(drive, 0, default);

    /// <summary>What a medium change puts in; null when it takes out.</summary>
    public static Medium? Of(InputEvent input) => input.Value0 == 0 ? null
        : new Medium((long)input.Value0, BinaryPrimitives.ReadUInt128LittleEndian(input.Data.Span), Encoding.UTF8.GetString(input.Data.Span[HashBytes..]));

    /// <summary>Why an input changes no medium, as the end of a sentence; null when it does.</summary>
    internal static string? ProblemOf(InputEvent input) =>
        input.Value0 == 0 ? input.Data.Length == 0 ? null : "a medium of no bytes has no identity"
        : input.Value0 > long.MaxValue || input.Value0 % SectorBytes != 0 ? $"a medium of {input.Value0} bytes is not one of whole sectors"
        : input.Data.Length is < HashBytes or > HashBytes + PathBytesMax ? $"a medium's identity has {HashBytes} bytes and a path of at most {PathBytesMax}"
        : null;
}

/// <summary>The contents of removable media, by identity. Implementations live with the host or in tests.</summary>
public interface IMediumStore
{
    /// <summary>Makes a medium readable. Anything but Ok: this side has no such content.</summary>
    BlockResult Open(Medium medium);

    /// <param name="medium">Opened before, or part of a state that was restored.</param>
    /// <param name="sector">First sector of 2048 bytes; the range is on the medium.</param>
    /// <param name="destination">A multiple of 2048 bytes.</param>
    BlockResult Read(Medium medium, long sector, Span<byte> destination);
}
