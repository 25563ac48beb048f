// Where the beam is: a function of virtual time and the CRTC's registers.
namespace Emu86.Devices.Video;

internal static class VgaTiming
{
    /// <summary>Input status 1: bit 0 not displaying, bit 3 vertical retrace.</summary>
    public static uint Status(ulong nowNs, byte misc, ReadOnlySpan<byte> sequencer, ReadOnlySpan<byte> crtc)
    {
        // The dot clocks of 3C2h bits 3-2; the external ones are not connected and read as the first.
        ulong hertz = ((misc >> 2) & 3) == 1 ? 28_322_000u : 25_175_000u;
        if ((sequencer[1] & 8) != 0) hertz /= 2;
        ulong dots = (nowNs / 1_000_000_000 * hertz) + (nowNs % 1_000_000_000 * hertz / 1_000_000_000);
        ulong width = (sequencer[1] & 1) != 0 ? 8u : 9u;
        ulong lineDots = (crtc[0] + 5u) * width;
        ulong lines = (ulong)Vertical(crtc[6], crtc[7], 0, 5) + 2;
        ulong line = dots / lineDots % lines;
        ulong column = dots % lineDots;
        bool shows = column < (crtc[1] + 1u) * width && line <= (ulong)DisplayEnd(crtc);
        ulong sinceRetrace = (line + lines - (ulong)(Vertical(crtc[0x10], crtc[7], 2, 7) % (int)lines)) % lines;
        // The end register holds the low four bits of the line at which retrace ends.
        ulong length = (ulong)((crtc[0x11] - crtc[0x10]) & 15);
        return (shows ? 0u : 1u) | (sinceRetrace < length ? 8u : 0u);
    }

    /// <summary>The last scan line that is shown.</summary>
    public static int DisplayEnd(ReadOnlySpan<byte> crtc) => Vertical(crtc[0x12], crtc[7], 1, 6);

    /// <summary>A ten-bit vertical value whose bits 8 and 9 are in the overflow register.</summary>
    private static int Vertical(byte low, byte overflow, int bit8, int bit9) =>
        low | ((overflow >> bit8 & 1) << 8) | ((overflow >> bit9 & 1) << 9);
}
