// What devices drive outside the machine. Implementations live with the host (Emu86.Ft) or in tests; calls come on the
// emulation thread and return at once or when the data is there: virtual time stands still meanwhile.
namespace Emu86.Devices;

/// <summary>How a host block operation ended. Anything but Ok reaches the guest only as a logged input.</summary>
public enum BlockResult
{
    Ok,
    ReadOnly,
    IoError,
}

/// <summary>A disk's content, in 512-byte sectors.</summary>
public interface IBlockStore
{
    long SectorCount { get; }

    bool IsReadOnly { get; }

    /// <param name="lba">First sector; the range is inside the store.</param>
    /// <param name="destination">A multiple of 512 bytes.</param>
    BlockResult Read(long lba, Span<byte> destination);

    /// <param name="lba">First sector; the range is inside the store.</param>
    /// <param name="source">A multiple of 512 bytes.</param>
    BlockResult Write(long lba, ReadOnlySpan<byte> source);

    /// <summary>Returns when all earlier writes are durable.</summary>
    BlockResult Flush();

    /// <summary>False: earlier writes are not allowed to be durable yet. A drive that is to flush then waits, and virtual time with it.</summary>
    bool MayFlush => true;
}

/// <summary>Where a network card's transmitted frames go (an output of the machine).</summary>
public interface IFramePort
{
    /// <param name="frame">Destination, source, type, payload; no FCS. Valid during the call only.</param>
    void Send(ReadOnlySpan<byte> frame);
}

/// <summary>Where bytes of a serial or debug port go (an output of the machine).</summary>
public interface IBytePort
{
    void Put(byte value);
}
