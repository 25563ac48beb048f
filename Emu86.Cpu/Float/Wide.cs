// 128-bit working precision of the transcendental functions: numbers with a normalised 128-bit significand, and fixed-point
// series on 128 bits. Every step errs by a few units of 2^-127, far below the 64 bits that are kept.
using System.Numerics;

namespace Emu86.Cpu.Float;

/// <summary>The positive number Significand · 2^(Exponent − 127), bit 127 of the significand set.</summary>
internal readonly struct Wide(UInt128 significand, int exponent)
{
    public readonly UInt128 Significand = significand;
    public readonly int Exponent = exponent;

    private static readonly UInt128[] Odd = Reciprocals(static k => (UInt128)(2 * k + 1), 40);
    private static readonly UInt128[] SineTerms = Factorials(static k => (UInt128)(2 * k * (2 * k + 1)), 18);
    private static readonly UInt128[] CosineTerms = Factorials(static k => (UInt128)((2 * k - 1) * 2 * k), 18);
    private static readonly UInt128[] ExponentialTerms = Factorials(static k => (UInt128)(k + 1), 34);

    /// <summary>A finite operand; the exponent of the result is not biased.</summary>
    public static Wide From(ulong significand, uint signExponent)
    {
        int exponent = (int)signExponent & 0x7FFF;
        Arithmetic80.Normalize(ref significand, ref exponent);
        return new Wide(new UInt128(significand, 0), exponent - Float80.Bias);
    }

    /// <summary>Brings a non-zero significand to bit 127.</summary>
    public static Wide Normalize(UInt128 significand, int exponent)
    {
        int shift = (int)UInt128.LeadingZeroCount(significand);
        return new Wide(significand << shift, exponent - shift);
    }

    public static Wide operator *(Wide a, Wide b) => Normalize(MultiplyHigh(a.Significand, b.Significand), a.Exponent + b.Exponent + 1);

    public static Wide operator /(Wide a, Wide b)
    {
        UInt128 n = a.Significand, d = b.Significand;
        int exponent = a.Exponent - b.Exponent - 1;
        if (n >= d)
        {
            n >>= 1;
            exponent++;
        }
        ulong high = DivideDigit(ref n, d), low = DivideDigit(ref n, d);
        return Normalize(new UInt128(high, low), exponent);
    }

    /// <summary>The number in units of 2^-fraction, truncated; it must fit in 128 bits.</summary>
    public UInt128 ToFixed(int fraction)
    {
        int shift = 127 - Exponent - fraction;
        return shift >= 128 ? 0 : Significand >> shift;
    }

    /// <summary>Rounds to a register. What was computed with a series is never exact.</summary>
    public uint Pack(uint sign, uint control, ref Float80 result, bool exact = false)
    {
        ulong rest = (ulong)Significand | (exact ? 0UL : 1UL);
        return Round80.PackExtended(sign, Exponent + Float80.Bias, (ulong)(Significand >> 64), rest, control, ref result);
    }

    /// <summary>The upper 128 bits of the product.</summary>
    public static UInt128 MultiplyHigh(UInt128 a, UInt128 b)
    {
        ulong ah = (ulong)(a >> 64), al = (ulong)a, bh = (ulong)(b >> 64), bl = (ulong)b;
        ulong high = Math.BigMul(ah, bh, out ulong low);
        ulong cross1 = Math.BigMul(ah, bl, out ulong low1);
        ulong cross2 = Math.BigMul(al, bh, out ulong low2);
        ulong carry = Math.BigMul(al, bl, out _);
        UInt128 middle = (UInt128)low1 + low2 + carry;
        return new UInt128(high, low) + cross1 + cross2 + (ulong)(middle >> 64);
    }

    /// <summary>sin(r)/r for z = r² (both fractions of 2^128), r ≤ π/4.</summary>
    public static UInt128 SineSeries(UInt128 z) => ~MultiplyHigh(z, Alternating(z, SineTerms, 1));

    /// <summary>cos(r), as <see cref="SineSeries"/>.</summary>
    public static UInt128 CosineSeries(UInt128 z) => ~MultiplyHigh(z, Alternating(z, CosineTerms, 1));

    /// <summary>atan(u)/u for z = u².</summary>
    public static UInt128 ArcTangentSeries(UInt128 z) => ~MultiplyHigh(z, Alternating(z, Odd, 1));

    /// <summary>artanh(s)/s for z = s², with 127 bits of fraction.</summary>
    public static UInt128 AreaTangentSeries(UInt128 z)
    {
        UInt128 sum = 0;
        for (int k = Terms(z, Odd.Length); k >= 1; k--) sum = MultiplyHigh(z, sum) + (Odd[k] >> 1);
        return MultiplyHigh(z, sum) + ((UInt128)1 << 127);
    }

    /// <summary>(e^±t − 1)/±t for a fraction t, with 127 bits of fraction.</summary>
    public static UInt128 ExponentialSeries(UInt128 t, bool negative)
    {
        UInt128 sum = 0;
        for (int k = Terms(t, ExponentialTerms.Length); k >= 0; k--)
        {
            UInt128 term = MultiplyHigh(t, sum);
            sum = k == 0 ? (UInt128)1 << 127 : ExponentialTerms[k] >> 1;
            sum = negative ? sum - term : sum + term;
        }
        return sum;
    }

    private static UInt128 Alternating(UInt128 z, UInt128[] terms, int first)
    {
        UInt128 sum = 0;
        for (int k = Terms(z, terms.Length); k >= first; k--) sum = terms[k] - MultiplyHigh(z, sum);
        return sum;
    }

    /// <summary>How many powers of a fraction reach 128 bits.</summary>
    private static int Terms(UInt128 fraction, int limit)
    {
        int zeros = (int)UInt128.LeadingZeroCount(fraction);
        return Math.Min(limit - 1, zeros == 0 ? limit : 130 / zeros + 1);
    }

    /// <summary>1 / divisor(k) in units of 2^-128; entry 0, which is 1, is not used.</summary>
    private static UInt128[] Reciprocals(Func<int, UInt128> divisor, int count)
    {
        var terms = new UInt128[count];
        for (int k = 1; k < count; k++) terms[k] = UInt128.MaxValue / divisor(k);
        return terms;
    }

    /// <summary>The products of 1 / divisor(1 … k).</summary>
    private static UInt128[] Factorials(Func<int, UInt128> divisor, int count)
    {
        var terms = new UInt128[count];
        UInt128 term = UInt128.MaxValue;
        for (int k = 1; k < count; k++) terms[k] = term /= divisor(k);
        return terms;
    }

    /// <summary>The next 64 bits of numerator ÷ d by schoolbook with 64-bit digits; numerator becomes the remainder.</summary>
    private static ulong DivideDigit(ref UInt128 numerator, UInt128 d)
    {
        ulong n1 = (ulong)(numerator >> 64), n0 = (ulong)numerator, d1 = (ulong)(d >> 64), d0 = (ulong)d;
        ulong q = n1 >= d1 ? ulong.MaxValue : Arithmetic80.Divide128(n1, n0, d1, out _);
        // numerator · 2^64 − q · d in 192 bits, its top word telling the sign.
        ulong p2 = Math.BigMul(q, d1, out ulong p1);
        ulong c = Math.BigMul(q, d0, out ulong p0);
        p1 += c;
        if (p1 < c) p2++;
        UInt128 low = new UInt128(n0, 0) - new UInt128(p1, p0);
        ulong top = n1 - p2 - (n0 < p1 || n0 == p1 && p0 != 0 ? 1UL : 0);
        while (top != 0)
        {
            q--;
            low += d;
            if (low < d) top++;
        }
        numerator = low;
        return q;
    }
}
