// What an ATA disk remembers (ATA/ATAPI-6, T13/1410D).
using System.Runtime.InteropServices;

namespace Emu86.Devices.Ide;

/// <summary>Told of every sector range that was written, in order (the running hash of all disk writes), and of what failed.</summary>
public interface IDiskWriteObserver
{
    /// <param name="drive">0 to 3: channel × 2 + position.</param>
    /// <param name="lba">First sector.</param>
    /// <param name="data">A multiple of 512 bytes; valid during the call only.</param>
    void Written(int drive, long lba, ReadOnlySpan<byte> data);

    /// <summary>The host could not do a request, and the guest is told so.</summary>
    /// <param name="drive">0 to 3.</param>
    /// <param name="request">The request's number on that drive, from 1.</param>
    void Failed(int drive, ulong request);
}

/// <summary>What IDENTIFY DEVICE says about a disk: ASCII, at most 40, 20 and 8 characters.</summary>
public sealed record AtaIdentity(string Model, string Serial, string Firmware);

/// <summary>Bits of the status register.</summary>
internal static class AtaStatus
{
    public const byte Error = 0x01;
    public const byte DataRequest = 0x08;
    public const byte SeekComplete = 0x10;
    public const byte Ready = 0x40;
    public const byte Busy = 0x80;
    public const byte Idle = Ready | SeekComplete;
}

/// <summary>Bits of the error register.</summary>
internal static class AtaError
{
    public const byte None = 0x00;
    public const byte Aborted = 0x04;
    public const byte IdNotFound = 0x10;
    public const byte Uncorrectable = 0x40;

    /// <summary>After a reset or diagnostic the register holds a code instead: device passed.</summary>
    public const byte DiagnosticPassed = 0x01;
}

/// <summary>What a disk does when its event fires.</summary>
internal enum AtaStep : byte
{
    None,
    Complete,
    Identify,
    ReadBlock,
    WriteBlock,
    Verify,
    Flush,
    Dma,
    Reset,
}

/// <summary>A register of the command block: the newest byte and the one written before it (LBA48's high order byte).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct HobRegister
{
    public byte Current;
    public byte Previous;

    public void Push(byte value)
    {
        Previous = Current;
        Current = value;
    }

    public readonly byte Read(bool previous) => previous ? Previous : Current;
}

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct AtaDriveState
{
    public byte Features;
    public HobRegister Count;
    public HobRegister Low;
    public HobRegister Mid;
    public HobRegister High;
    public byte Device;
    public byte Status;
    public byte Error;
    public byte Command;

    /// <summary>INTRQ as the device drives it, before nIEN.</summary>
    public byte Interrupt;

    public AtaStep Step;

    /// <summary>What <see cref="AtaStep.Complete"/> puts into the error register.</summary>
    public byte PendingError;

    public byte Lba48;
    public byte Writing;

    /// <summary>A DMA command waits for the bus master to be started.</summary>
    public byte WaitsForBusMaster;

    /// <summary>Sectors per READ/WRITE MULTIPLE block; 0 while disabled.</summary>
    public byte MultipleCount;

    /// <summary>Largest number of sectors between two interrupts of the current command.</summary>
    public byte SectorsPerBlock;

    public byte WriteCache;
    public byte LookAhead;

    /// <summary>The SET FEATURES transfer mode in use: 20h-22h multiword DMA, 40h-42h ultra DMA.</summary>
    public byte TransferMode;

    /// <summary>1 after STANDBY or SLEEP until the next access to the medium.</summary>
    public byte Standby;

    public ushort Heads;
    public ushort SectorsPerTrack;

    /// <summary>Next sector of the current command.</summary>
    public long Lba;

    /// <summary>Sectors of the current command not yet moved.</summary>
    public int Remaining;

    /// <summary>Bytes of the current data block, and how many of them the host moved.</summary>
    public int BlockBytes;
    public int BlockPosition;

    /// <summary>Reads, writes and flushes asked of the store so far, through all resets.</summary>
    public ulong Requests;

    /// <summary>The request whose result is given by an input, and that <see cref="BlockResult"/>; 0: none.</summary>
    public ulong GivenRequest;
    public byte GivenResult;
}
