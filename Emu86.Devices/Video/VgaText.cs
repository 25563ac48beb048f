// Text modes: how the CRTC walks the planes and the attribute controller colours what it finds.
namespace Emu86.Devices.Video;

internal static class VgaText
{
    public static TextScreen Capture(
        Vga vga, VgaMemory memory, in VgaState state, ReadOnlySpan<byte> sequencer, ReadOnlySpan<byte> crtc,
        ReadOnlySpan<byte> graphics, ReadOnlySpan<byte> attribute, ReadOnlySpan<byte> dac)
    {
        int columns = crtc[1] + 1;
        int height = (crtc[9] & 0x1f) + 1;
        int lines = VgaTiming.DisplayEnd(crtc) + 1;
        if ((crtc[9] & 0x80) != 0) lines /= 2;
        bool isText = (graphics[6] & 1) == 0 && (attribute[0x10] & 1) == 0;
        int rows = isText ? lines / height : 0;
        if (!isText) columns = 0;
        int start = (crtc[0x0c] << 8) | crtc[0x0d];
        int pitch = 2 * crtc[0x13];
        int cursorAt = (crtc[0x0e] << 8) | crtc[0x0f];
        int splitLine = crtc[0x18] | ((crtc[7] >> 4 & 1) << 8) | ((crtc[9] >> 6 & 1) << 9);
        int firstSplitRow = (splitLine + height) / height;
        var cells = new ushort[columns * rows];
        (int, int)? cursor = null;
        bool cursorOn = (crtc[0x0a] & 0x20) == 0 && (crtc[0x0a] & 0x1f) <= (crtc[0x0b] & 0x1f);
        for (int row = 0; row < rows; row++)
        {
            // Below the line compare the screen starts again at address 0.
            int rowAt = row >= firstSplitRow ? (row - firstSplitRow) * pitch : start + (row * pitch);
            for (int column = 0; column < columns; column++)
            {
                int counter = (rowAt + column) & 0xffff;
                int address = Address(counter, crtc);
                cells[(row * columns) + column] = (ushort)(memory.Plane(0, address) | (memory.Plane(1, address) << 8));
                if (cursorOn && counter == cursorAt) cursor = (column, row);
            }
        }
        return new()
        {
            IsText = isText,
            IsBlank = Vga.IsBlanked(state, sequencer),
            Version = vga.Version,
            Columns = columns,
            Rows = rows,
            Cells = cells,
            Cursor = cursor,
            CursorLines = (crtc[0x0a] & 0x1f, crtc[0x0b] & 0x1f),
            CharacterHeight = height,
            CharacterWidth = (sequencer[1] & 1) != 0 ? 8 : 9,
            Blinks = (attribute[0x10] & 8) != 0,
            Palette = Palette(state, attribute, dac),
            Fonts = Fonts(memory, sequencer[3]),
        };
    }

    /// <summary>The CRTC's counter on the memory bus: byte, word or double word mode.</summary>
    private static int Address(int counter, ReadOnlySpan<byte> crtc)
    {
        if ((crtc[0x14] & 0x40) != 0) return counter << 2;
        return (crtc[0x17] & 0x40) != 0 ? counter : counter << 1;
    }

    private static uint[] Palette(in VgaState state, ReadOnlySpan<byte> attribute, ReadOnlySpan<byte> dac)
    {
        var palette = new uint[16];
        for (int i = 0; i < 16; i++)
        {
            int index = attribute[i] | ((attribute[0x14] & 0x0c) << 4);
            if ((attribute[0x10] & 0x80) != 0) index = (index & ~0x30) | ((attribute[0x14] & 3) << 4);
            ReadOnlySpan<byte> colour = dac.Slice(3 * (index & state.PelMask), 3);
            palette[i] = (Widen(colour[0]) << 16) | (Widen(colour[1]) << 8) | Widen(colour[2]);
        }
        return palette;
    }

    /// <summary>Six bits to eight.</summary>
    private static uint Widen(byte component) => (uint)((component << 2) | (component >> 4));

    /// <summary>Character map select: the font for attribute bit 3 = 0 (map B), then the one for 1 (map A).</summary>
    private static byte[] Fonts(VgaMemory memory, byte select)
    {
        var fonts = new byte[2 * 256 * 32];
        int mapB = (select & 3) | ((select >> 4 & 1) << 2);
        int mapA = (select >> 2 & 3) | ((select >> 5 & 1) << 2);
        for (int i = 0; i < 256 * 32; i++)
        {
            fonts[i] = memory.Plane(2, FontBase(mapB) + i);
            fonts[(256 * 32) + i] = memory.Plane(2, FontBase(mapA) + i);
        }
        return fonts;
    }

    /// <summary>Maps 0-3 are at multiples of 16 KiB, 4-7 between them.</summary>
    private static int FontBase(int map) => ((map & 3) * 0x4000) + ((map >> 2) * 0x2000);
}
