// 256 KiB of display memory in four planes, and the data path between them and the processor (IBM PS/2 Hardware
// Interface Technical Reference, Video Subsystem, "Graphics Controller"). An address of a plane is one double word here.
using System.Runtime.InteropServices;

namespace Emu86.Devices.Video;

/// <summary>The planes behind A0000h-BFFFFh. Which addresses answer and how bytes spread over planes is in the registers.</summary>
internal sealed class VgaMemory
{
    /// <summary>Addresses per plane.</summary>
    public const int PlaneBytes = 0x10000;

    /// <summary>A nibble of plane bits to a byte mask per plane.</summary>
    private static readonly uint[] Planes = BuildPlanes();

    private readonly byte[] _bytes = new byte[4 * PlaneBytes];

    public Span<byte> Bytes => _bytes;

    private Span<uint> Words => MemoryMarshal.Cast<byte, uint>(_bytes.AsSpan());

    public byte Plane(int plane, int address) => _bytes[(4 * (address & 0xffff)) + plane];

    /// <param name="offset">From A0000h.</param>
    /// <returns>Null where nothing is mapped.</returns>
    public byte? Read(int offset, ReadOnlySpan<byte> sequencer, ReadOnlySpan<byte> graphics, ref uint latch)
    {
        if (Locate(offset, graphics) is not { } address) return null;
        int plane = graphics[4] & 3;
        if ((sequencer[4] & 8) != 0)
        {
            plane = address & 3;
            address &= ~3;
        }
        else if ((graphics[5] & 0x10) != 0)
        {
            plane = (plane & 2) | (address & 1);
            address = OddEven(address);
        }
        latch = Words[address & 0xffff];
        if ((graphics[5] & 8) == 0) return (byte)(latch >> (8 * plane));
        // Read mode 1: a one where every plane that matters has the compared colour.
        uint differs = (latch ^ Planes[graphics[2]]) & Planes[graphics[7]];
        differs |= differs >> 16;
        return (byte)~(differs | (differs >> 8));
    }

    /// <param name="offset">From A0000h.</param>
    /// <returns>Whether memory changed.</returns>
    public bool Write(int offset, byte value, ReadOnlySpan<byte> sequencer, ReadOnlySpan<byte> graphics, uint latch)
    {
        if (Locate(offset, graphics) is not { } address) return false;
        int planes = sequencer[2];
        if ((sequencer[4] & 8) != 0)
        {
            planes &= 1 << (address & 3);
            address &= ~3;
        }
        else if ((sequencer[4] & 4) == 0)
        {
            planes &= (address & 1) != 0 ? 0b1010 : 0b0101;
            address = OddEven(address);
        }
        uint mask = Planes[planes];
        ref uint target = ref Words[address & 0xffff];
        uint changed = (target & ~mask) | (Combine(value, graphics, latch) & mask);
        if (changed == target) return false;
        target = changed;
        return true;
    }

    /// <summary>The four write modes.</summary>
    private static uint Combine(byte value, ReadOnlySpan<byte> graphics, uint latch)
    {
        int rotate = graphics[3] & 7;
        byte rotated = (byte)((value >> rotate) | (value << (8 - rotate)));
        uint bits = graphics[8] * 0x01010101u;
        uint data;
        switch (graphics[5] & 3)
        {
            case 0:
                uint enabled = Planes[graphics[1]];
                data = ((rotated * 0x01010101u) & ~enabled) | (Planes[graphics[0]] & enabled);
                break;
            case 1: return latch;
            case 2: data = Planes[value & 15]; break;
            default:
                bits &= rotated * 0x01010101u;
                data = Planes[graphics[0]];
                break;
        }
        data = ((graphics[3] >> 3) & 3) switch
        {
            0 => data,
            1 => data & latch,
            2 => data | latch,
            _ => data ^ latch,
        };
        return (data & bits) | (latch & ~bits);
    }

    /// <summary>Memory map select, graphics register 6 bits 3-2.</summary>
    private static int? Locate(int offset, ReadOnlySpan<byte> graphics) => (graphics[6] >> 2) switch
    {
        0 => offset,
        1 => offset < 0x10000 ? offset : null,
        2 => offset is >= 0x10000 and < 0x18000 ? offset - 0x10000 : null,
        _ => offset >= 0x18000 ? offset - 0x18000 : null,
    };

    /// <summary>Bit 0 has chosen the plane; with a 128 KiB map bit 16 takes its place.</summary>
    private static int OddEven(int address) => (address & 0xfffe) | (address >> 16);

    private static uint[] BuildPlanes()
    {
        var planes = new uint[16];
        for (int i = 0; i < 16; i++)
        {
            for (int plane = 0; plane < 4; plane++) planes[i] |= (i >> plane & 1) != 0 ? 0xffu << (8 * plane) : 0;
        }
        return planes;
    }
}
