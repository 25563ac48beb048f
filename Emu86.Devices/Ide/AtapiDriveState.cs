// What an ATAPI CD-ROM drive remembers (ATA/ATAPI-6 for the task file, MMC-3 and SPC-2 for the rest).
using System.Runtime.InteropServices;

namespace Emu86.Devices.Ide;

/// <summary>What a drive does when its event fires.</summary>
internal enum AtapiStep : byte
{
    None,
    Complete,
    Identify,

    /// <summary>Asks for the command packet.</summary>
    Packet,

    /// <summary>The packet's command begins its data phase, or ends.</summary>
    Data,
    Dma,
    Reset,
}

/// <summary>Sense keys (SPC-2, 7.20).</summary>
internal static class SenseKey
{
    public const byte None = 0x0;
    public const byte NotReady = 0x2;
    public const byte MediumError = 0x3;
    public const byte IllegalRequest = 0x5;
    public const byte UnitAttention = 0x6;
}

/// <summary>Interrupt reason, in the sector count register while a PACKET command runs (ATA/ATAPI-6, 8.23).</summary>
internal static class InterruptReason
{
    public const byte Packet = 0x01;
    public const byte ToHost = 0x02;
    public const byte Status = 0x03;
}

/// <summary>Media events (MMC-3, GET EVENT STATUS NOTIFICATION).</summary>
internal static class MediaEvent
{
    public const byte None = 0;
    public const byte NewMedia = 2;
    public const byte Removal = 3;
}

/// <summary>Key, additional code and its qualifier.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct Sense(byte key, byte code, byte qualifier = 0)
{
    public byte Key = key;
    public byte Code = code;
    public byte Qualifier = qualifier;
}

/// <summary>The part behind the packets: tray, medium, what is to be told.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct CdState
{
    /// <summary>0: no medium.</summary>
    public long MediumBytes;
    public UInt128 MediumHash;

    /// <summary>Bytes used of the path.</summary>
    public int PathBytes;

    public byte TrayOpen;

    /// <summary>The guest prevents removal.</summary>
    public byte Locked;

    /// <summary>Of the last command that failed, until it was asked for.</summary>
    public Sense Sense;

    /// <summary>A unit attention that no command has reported yet: 28h or 29h; 0: none.</summary>
    public byte Attention;

    /// <summary>A <see cref="Ide.MediaEvent"/> that was not asked for yet.</summary>
    public byte MediaEvent;

    public readonly bool HasMedium => MediumBytes != 0 && TrayOpen == 0;

    public readonly long Sectors => MediumBytes / Medium.SectorBytes;
}

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct AtapiDriveState
{
    public CdState Cd;
    public byte Features;

    /// <summary>Sector count; interrupt reason while a packet command runs.</summary>
    public byte Count;
    public byte Low;

    /// <summary>Byte count limit, then the byte count of each block.</summary>
    public byte Mid;
    public byte High;
    public byte Device;
    public byte Status;
    public byte Error;
    public byte Interrupt;
    public AtapiStep Step;

    /// <summary>What <see cref="AtapiStep.Complete"/> puts into the error register.</summary>
    public byte PendingError;

    /// <summary>The host is to write a packet.</summary>
    public byte TakesPacket;

    /// <summary>The data phase is that of IDENTIFY PACKET DEVICE.</summary>
    public byte Identifying;

    /// <summary>Data goes by bus master.</summary>
    public byte Dma;

    /// <summary>A DMA command waits for the bus master to be started.</summary>
    public byte WaitsForBusMaster;

    /// <summary>The SET FEATURES transfer mode in use: 20h-22h multiword DMA, 40h-42h ultra DMA.</summary>
    public byte TransferMode;

    public byte Standby;

    /// <summary>Largest PIO block in bytes.</summary>
    public int ByteLimit;

    /// <summary>Bytes in the buffer; how many of them were offered; how many of these the host moved.</summary>
    public int BufferBytes;
    public int Offered;
    public int Moved;

    /// <summary>What of a READ is not in the buffer yet.</summary>
    public long Sector;
    public long SectorsLeft;

    /// <summary>Reads and changes asked of the store so far, through all resets.</summary>
    public ulong Requests;

    /// <summary>The request whose result is given by an input, and that <see cref="BlockResult"/>; 0: none.</summary>
    public ulong GivenRequest;
    public byte GivenResult;
}
