// What an NBD server says of an export: size, what it can do, how long requests may be.
namespace Emu86.Ft.Host.Nbd;

/// <param name="Bytes">Whole sectors of 512 bytes, at least one.</param>
/// <param name="IsReadOnly">The server takes no writes.</param>
/// <param name="HasFlush">A flush makes what was written durable.</param>
/// <param name="HasFua">A single write can be asked to be durable when it is answered.</param>
/// <param name="RequestBytesMax">Longest read or write; whole sectors.</param>
public sealed record NbdExport(long Bytes, bool IsReadOnly, bool HasFlush, bool HasFua, int RequestBytesMax)
{
    /// <summary>More sectors than 48 bits can number are no disk.</summary>
    public const ulong BytesMax = 1UL << 57;

    private const int SectorBytes = 512;

    /// <summary>Longest request of this program: short enough that an answer comes soon also over a slow line.</summary>
    private const uint OwnRequestBytesMax = 1 << 20;

    // Transmission flags (NBD protocol, "Transmission flags").
    private const ushort HasFlagsBit = 1 << 0, ReadOnlyBit = 1 << 1, FlushBit = 1 << 2, FuaBit = 1 << 3;

    /// <summary>Checks what a server said.</summary>
    /// <param name="bytes">Size of the export.</param>
    /// <param name="flags">Transmission flags.</param>
    /// <param name="blockMin">Shortest request, in bytes; 1 where the server did not say.</param>
    /// <param name="requestMax">Longest request, in bytes; <see cref="uint.MaxValue"/> where the server did not say.</param>
    /// <exception cref="NbdException">It cannot be a disk of this program.</exception>
    public static NbdExport From(ulong bytes, ushort flags, uint blockMin = 1, uint requestMax = uint.MaxValue)
    {
        if (bytes == 0 || bytes % SectorBytes != 0) throw new NbdException($"the export has {bytes} bytes, which is not a whole number of 512-byte sectors");
        if (bytes > BytesMax) throw new NbdException($"the server says that the export has {bytes} bytes, which no disk has");
        if (blockMin is 0 or > SectorBytes || SectorBytes % blockMin != 0) throw new NbdException($"the server wants requests of {blockMin} bytes at least; this machine's disks have sectors of 512");
        if (requestMax < SectorBytes) throw new NbdException($"the server takes requests of {requestMax} bytes at most; this machine's disks have sectors of 512");
        if ((flags & HasFlagsBit) == 0) flags = 0;
        return new NbdExport((long)bytes, (flags & ReadOnlyBit) != 0, (flags & FlushBit) != 0, (flags & FuaBit) != 0, (int)(uint.Min(requestMax, OwnRequestBytesMax) / SectorBytes * SectorBytes));
    }
}
