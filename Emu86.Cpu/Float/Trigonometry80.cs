// FSIN, FCOS, FSINCOS, FPTAN, FPATAN (Intel SDM vol. 1, 8.3.8 and 8.3.10, vol. 2 for the special operands). The argument is
// reduced with 256 bits of 2/π, so the value is that of the true π for every operand; docs/x87.md says where processors differ.
using System.Numerics;

namespace Emu86.Cpu.Float;

internal static class Trigonometry80
{
    private static readonly UInt128 HalfPi = new(0xC90FDAA22168C234, 0xC4C6628B80DC1CD1);

    // 2/π, 256 bits of fraction.
    private const ulong P3 = 0xA2F9836E4E441529, P2 = 0xFC2757D1F534DDC0, P1 = 0xDB6295993C439041, P0 = 0xFE5163ABDEBBC561;

    /// <summary>atan(i/32) with 127 bits of fraction, i = 0 … 32.</summary>
    private static readonly UInt128[] ArcTangents = MakeArcTangents();

    /// <summary>From here on the processor gives up and sets C2.</summary>
    internal const int ExponentLimit = 63;

    /// <summary>x = quadrant · π/2 ± r.</summary>
    /// <param name="x">Finite, not zero, below 2^63; its sign is left out.</param>
    /// <param name="r">At most π/4.</param>
    internal static void Reduce(in Float80 x, out int quadrant, out bool negative, out Wide r)
    {
        quadrant = 0;
        negative = false;
        r = Wide.From(x.Significand, x.SignExponent);
        int exponent = r.Exponent;
        if (exponent < -1) return;
        ulong significand = x.Significand;
        // significand · 2/π, as words w5 … w0 with the point before w4 after the shift.
        UInt128 product = (UInt128)significand * P0;
        ulong w1 = (ulong)product;
        product = (UInt128)significand * P1 + (ulong)(product >> 64);
        ulong w2 = (ulong)product;
        product = (UInt128)significand * P2 + (ulong)(product >> 64);
        ulong w3 = (ulong)product;
        product = (UInt128)significand * P3 + (ulong)(product >> 64);
        ulong w4 = (ulong)product, w5 = (ulong)(product >> 64);
        // The product has its point 256 + 63 bits up for exponent 0; that is one below the top of five words.
        int shift = exponent + 1;
        ulong whole = 0;
        UInt128 high = new(w5, w4), low = new(w3, w2);
        if (shift > 0)
        {
            whole = (ulong)(high >> 128 - shift);
            high = high << shift | low >> 128 - shift;
            low = low << shift | w1 >> 64 - shift;
        }
        quadrant = (int)whole & 3;
        if ((Int128)high < 0)
        {
            quadrant = quadrant + 1 & 3;
            negative = true;
            high = ~high;
            low = 0 - low;
            if (low == 0) high++;
        }
        int zeros = (int)UInt128.LeadingZeroCount(high);
        Check.That(zeros < 128);
        UInt128 fraction = zeros == 0 ? high : high << zeros | low >> 128 - zeros;
        r = new Wide(fraction, -1 - zeros) * new Wide(HalfPi, 0);
    }

    /// <summary>That many eighths of the full circle of 2π.</summary>
    internal static Wide Eighths(uint count) => Wide.Normalize((HalfPi >> 2) * count, 1);

    internal static Wide Sine(Wide r)
    {
        UInt128 fraction = r.ToFixed(128);
        UInt128 series = Wide.SineSeries(Wide.MultiplyHigh(fraction, fraction));
        return r * new Wide(series, -1);
    }

    internal static Wide Cosine(Wide r)
    {
        UInt128 fraction = r.ToFixed(128);
        return Wide.Normalize(Wide.CosineSeries(Wide.MultiplyHigh(fraction, fraction)), -1);
    }

    internal static Wide Tangent(Wide r)
    {
        if (r.Exponent >= -30) return Sine(r) / Cosine(r);
        // Where the quotient's error would hide what tan r exceeds r by: r (1 + r²/3 + 2r⁴/15 + …).
        UInt128 fraction = r.ToFixed(128), z = Wide.MultiplyHigh(fraction, fraction);
        UInt128 more = Wide.MultiplyHigh(r.Significand, z / 3 + Wide.MultiplyHigh(z, z) / 15 * 2), sum = r.Significand + more;
        return sum >= more ? new Wide(sum, r.Exponent) : new Wide(sum >> 1 | (UInt128)1 << 127, r.Exponent + 1);
    }

    /// <summary>The angle of (x, y) in the first quadrant, both positive and finite, mirrored to the second if asked.</summary>
    internal static Wide Angle(Wide y, Wide x, bool second)
    {
        bool swap = y.Exponent > x.Exponent || y.Exponent == x.Exponent && y.Significand > x.Significand;
        Wide small = ArcTangent(swap ? x / y : y / x);
        if (!swap && !second) return small;
        // π/2 ∓ or π − the small angle, with 126 bits of fraction.
        UInt128 part = small.ToFixed(126);
        UInt128 sum = !swap ? HalfPi - part : second ? (HalfPi >> 1) + part : (HalfPi >> 1) - part;
        return Wide.Normalize(sum, 1);
    }

    /// <summary>atan of at most 1.</summary>
    private static Wide ArcTangent(Wide t)
    {
        if (t.Exponent < -6) return Small(t);
        // t = c ± …, c = i/32: atan t = atan c ± atan (|t − c| / (1 + t c)).
        UInt128 value = t.ToFixed(127);
        int i = (int)((value >> 121) + 1 >> 1);
        UInt128 c = (UInt128)(uint)i << 122;
        if (value == c) return Wide.Normalize(ArcTangents[i], 0);
        UInt128 one = (UInt128)1 << 127;
        UInt128 productLow = (value >> 5) * (UInt128)(uint)i;
        bool below = value < c;
        Wide u = Wide.Normalize(below ? c - value : value - c, 0) / Wide.Normalize(one + productLow, 0);
        UInt128 part = Small(u).ToFixed(127);
        return Wide.Normalize(below ? ArcTangents[i] - part : ArcTangents[i] + part, 0);
    }

    private static Wide Small(Wide u)
    {
        UInt128 fraction = u.ToFixed(128);
        return u * new Wide(Wide.ArcTangentSeries(Wide.MultiplyHigh(fraction, fraction)), -1);
    }

    private static UInt128[] MakeArcTangents()
    {
        var table = new UInt128[33];
        for (uint i = 0; i < 32; i++)
        {
            // The step from i/32 to (i + 1)/32 is atan of (1/32) / (1 + i(i + 1)/1024).
            Wide step = Wide.Normalize(32, 127) / Wide.Normalize(1024 + i * (i + 1), 127);
            table[i + 1] = table[i] + Small(step).ToFixed(127);
        }
        return table;
    }
}
