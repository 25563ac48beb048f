// What a VGA remembers apart from its register files and memory (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem).
using System.Runtime.InteropServices;

namespace Emu86.Devices.Video;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct VgaState
{
    /// <summary>Miscellaneous output: bit 0 ports at 3Dxh, 1 memory enabled, 3-2 dot clock.</summary>
    public byte Misc;
    public byte Feature;
    public byte Enable;

    public byte SequencerIndex;
    public byte CrtcIndex;
    public byte GraphicsIndex;

    /// <summary>Bits 4-0 index, bit 5 the palette drives the screen.</summary>
    public byte AttributeIndex;

    /// <summary>1: the next write to 3C0h is data.</summary>
    public byte AttributeIsData;

    public byte PelMask;
    public byte DacReadIndex;
    public byte DacWriteIndex;

    /// <summary>0 red, 1 green, 2 blue comes next.</summary>
    public byte DacComponent;

    /// <summary>1 after an index was written to 3C7h.</summary>
    public byte DacReading;

    /// <summary>First two components of a colour that is being written.</summary>
    public byte DacRed;
    public byte DacGreen;

    /// <summary>What the last read of memory fetched: plane 0 in the low byte.</summary>
    public uint Latch;
}
