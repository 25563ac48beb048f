// Base-2 logarithm and exponential for FYL2X, FYL2XP1 and F2XM1 (Intel SDM vol. 1, 8.3.9).
namespace Emu86.Cpu.Float;

internal static class Logarithm80
{
    private static readonly Wide Ln2 = new(new UInt128(0xB17217F7D1CF79AB, 0xC9E3B39803F2F6AF), -1);
    private static readonly Wide TwoOverLn2 = new(new UInt128(0xB8AA3B295C17F0BB, 0xBE87FED0691D3E88), 1);
    private static readonly UInt128 SquareRootOf2 = new(0xB504F333F9DE6484, 0x597D89B3754ABE9F);
    private static readonly UInt128 Top = (UInt128)1 << 127;

    /// <summary>|log2 x| for a positive x that is not 1.</summary>
    /// <param name="negative">x is below 1.</param>
    /// <param name="exact">x is a power of two.</param>
    internal static Wide Log2(Wide x, out bool negative, out bool exact)
    {
        UInt128 m = x.Significand;
        int whole = x.Exponent;
        exact = m == Top;
        if (exact)
        {
            negative = whole < 0;
            return Wide.Normalize((UInt128)(uint)Math.Abs(whole), 127);
        }
        // x = 2^whole · m with m near 1; log m = 2 artanh ((m − 1)/(m + 1)).
        Wide s;
        bool below = m > SquareRootOf2;
        if (below)
        {
            whole++;
            // Fractions of 2^-128: 1 − m is the two's complement.
            s = Wide.Normalize(0 - m, -1) / Wide.Normalize((m >> 1) + Top, 0);
        }
        else s = Wide.Normalize(m - Top, 0) / Wide.Normalize((m >> 1) + (Top >> 1), 1);
        Wide part = TwoArTanh(s);
        if (whole == 0)
        {
            negative = below;
            return part;
        }
        // whole ± part with 112 bits of fraction; |part| ≤ 1/2, so nothing cancels.
        negative = whole < 0;
        UInt128 sum = (UInt128)(uint)Math.Abs(whole) << 112;
        UInt128 fraction = part.ToFixed(112);
        return Wide.Normalize(below == negative ? sum + fraction : sum - fraction, 15);
    }

    /// <summary>|log2(1 ± x)| for 0 &lt; x &lt; 0.3, precise for the smallest x.</summary>
    internal static Wide Log2Near1(Wide x, bool negative)
    {
        // x / (2 ± x), the denominator with 126 bits of fraction.
        UInt128 part = x.ToFixed(126);
        return TwoArTanh(x / Wide.Normalize(negative ? Top - part : Top + part, 1));
    }

    /// <summary>|2^±x − 1| for 0 &lt; x &lt; 1.</summary>
    internal static Wide Exp2Minus1(Wide x, bool negative)
    {
        Wide t = x * Ln2;
        return t * Wide.Normalize(Wide.ExponentialSeries(t.ToFixed(128), negative), 0);
    }

    private static Wide TwoArTanh(Wide s)
    {
        UInt128 fraction = s.ToFixed(128);
        Wide series = new(Wide.AreaTangentSeries(Wide.MultiplyHigh(fraction, fraction)), 0);
        return s * series * TwoOverLn2;
    }
}
