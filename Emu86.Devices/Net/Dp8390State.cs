// What the network interface controller remembers (National Semiconductor DP8390D/NS32490D datasheet, section 10).
using System.Runtime.InteropServices;

namespace Emu86.Devices.Net;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct Dp8390State
{
    public byte Command;
    public byte PageStart;
    public byte PageStop;
    public byte Boundary;
    public byte Current;
    public byte TransmitPage;
    public ushort TransmitCount;
    public byte TransmitStatus;
    public byte ReceiveStatus;
    public byte InterruptStatus;
    public byte InterruptMask;
    public byte ReceiveConfig;
    public byte TransmitConfig;
    public byte DataConfig;

    /// <summary>Tallies: frame alignment errors, CRC errors, missed packets.</summary>
    public byte AlignmentErrors;
    public byte CrcErrors;
    public byte Missed;

    /// <summary>Remote DMA as programmed, and where it is.</summary>
    public ushort RemoteStart;
    public ushort RemoteCount;
    public ushort RemoteAddress;

    /// <summary>What the remote DMA still has to move; valid while <see cref="Remote"/> is not idle.</summary>
    public int RemoteLeft;
    public RemoteDma Remote;

    /// <summary>Where the boundary goes when a send packet command is done.</summary>
    public byte SendNext;

    /// <summary>Where the local DMA stopped last.</summary>
    public ushort LocalAddress;

    /// <summary>The station address, first byte lowest.</summary>
    public ulong Station;

    /// <summary>MAR0 is the lowest byte: filter bit n is bit n.</summary>
    public ulong MulticastFilter;

    /// <summary>The eight FIFO bytes that a loopback left, location 0 lowest, and the next one to be read.</summary>
    public ulong Fifo;
    public byte FifoNext;

    public byte CableUnplugged;

    /// <summary>Diagnostic registers of page 2 that hold what was written.</summary>
    public byte RemoteNextPage;
    public byte LocalNextPage;
    public ushort AddressCounter;
}

internal enum RemoteDma : byte
{
    Idle,
    Read,
    Write,
    SendPacket,
}

/// <summary>Register bits, with the datasheet's names in the comments.</summary>
internal static class Dp8390Bits
{
    public const byte Stop = 0x01;                  // CR.STP
    public const byte Start = 0x02;                 // CR.STA
    public const byte Transmit = 0x04;              // CR.TXP

    public const byte PacketReceived = 0x01;        // ISR.PRX, RSR.PRX
    public const byte PacketTransmitted = 0x02;     // ISR.PTX
    public const byte ReceiveError = 0x04;          // ISR.RXE
    public const byte Overwrite = 0x10;             // ISR.OVW
    public const byte CounterOverflow = 0x20;       // ISR.CNT
    public const byte RemoteComplete = 0x40;        // ISR.RDC
    public const byte ResetStatus = 0x80;           // ISR.RST

    public const byte CrcError = 0x02;              // RSR.CRC
    public const byte MissedPacket = 0x10;          // RSR.MPA
    public const byte Multicast = 0x20;             // RSR.PHY
    public const byte ReceiverDisabled = 0x40;      // RSR.DIS

    public const byte AcceptBroadcast = 0x04;       // RCR.AB
    public const byte AcceptMulticast = 0x08;       // RCR.AM
    public const byte Promiscuous = 0x10;           // RCR.PRO
    public const byte Monitor = 0x20;               // RCR.MON

    public const byte InhibitCrc = 0x01;            // TCR.CRC
    public const byte Loopback = 0x06;              // TCR.LB

    public const byte WordTransfer = 0x01;          // DCR.WTS
    public const byte AutoInitialize = 0x10;        // DCR.ARM

    public const byte CarrierLost = 0x10;           // TSR.CRS
}
