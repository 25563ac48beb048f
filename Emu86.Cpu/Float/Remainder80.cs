// Compare, examine, round to integer, scale, extract and partial remainder of the x87 (Intel SDM vol. 2, FCOM, FXAM,
// FRNDINT, FSCALE, FXTRACT, FPREM, FPREM1). Precision control touches none of them.
namespace Emu86.Cpu.Float;

/// <summary>Results and exceptions as in <see cref="Arithmetic80"/>; condition codes are part of the returned bits.</summary>
public static class Remainder80
{
    /// <summary>Set in the result of <see cref="PartialRemainder"/> when C0, C3 and C1 are of a quotient: after a NaN or an
    /// invalid operation the first two stay as they were.</summary>
    internal const uint HasQuotient = 0x10000;

    private const uint Unordered = Fsw.C3 | Fsw.C2 | Fsw.C0;

    /// <summary>C3 C2 C0 of a : b, with the exceptions. An unmasked exception leaves the caller's condition codes as they were.</summary>
    /// <param name="quiet">FUCOM: a quiet NaN is not invalid.</param>
    public static uint Compare(in Float80 a, in Float80 b, bool quiet)
    {
        ulong sa = a.Significand, sb = b.Significand;
        uint ea = a.SignExponent, eb = b.SignExponent, flags = 0;
        if (!(Float80.IsNormal(sa, ea) & Float80.IsNormal(sb, eb)))
        {
            FloatClass ca = a.Class, cb = b.Class;
            if (ca >= FloatClass.QuietNaN || cb >= FloatClass.QuietNaN)
                return quiet && ca <= FloatClass.QuietNaN && cb <= FloatClass.QuietNaN ? Unordered : Unordered | Fsw.Invalid;
            if (ca == FloatClass.Denormal || cb == FloatClass.Denormal) flags = Fsw.Denormal;
            if (ca == FloatClass.Zero && cb == FloatClass.Zero) return Fsw.C3;
            // The integer bit of a pseudo-denormal has the weight it has at exponent 1.
            if (ca == FloatClass.Denormal && (long)sa < 0) ea++;
            if (cb == FloatClass.Denormal && (long)sb < 0) eb++;
        }
        uint negative = ea & Float80.SignBit;
        if (negative != (eb & Float80.SignBit)) return flags | (negative != 0 ? Fsw.C0 : 0);
        if (ea == eb && sa == sb) return flags | Fsw.C3;
        bool smaller = ea != eb ? ea < eb : sa < sb;
        return flags | (smaller ^ negative != 0 ? Fsw.C0 : 0);
    }

    /// <summary>The class of a non-empty register in C3 C2 C0 and its sign in C1.</summary>
    public static uint Examine(in Float80 a) => (a.IsNegative ? Fsw.C1 : 0) | a.Class switch
    {
        FloatClass.Unsupported => 0,
        FloatClass.QuietNaN or FloatClass.SignalingNaN => Fsw.C0,
        FloatClass.Normal => Fsw.C2,
        FloatClass.Infinity => Fsw.C2 | Fsw.C0,
        FloatClass.Zero => Fsw.C3,
        _ => Fsw.C3 | Fsw.C2,
    };

    public static uint RoundToInteger(in Float80 a, uint control, ref Float80 result)
    {
        ulong significand = a.Significand;
        uint signExponent = a.SignExponent, flags = 0;
        FloatClass kind = a.Class;
        if (kind >= FloatClass.QuietNaN) return Nan80.Propagate(a, control, ref result);
        if (kind is FloatClass.Infinity or FloatClass.Zero)
        {
            Round80.Store(ref result, signExponent, significand);
            return 0;
        }
        if (kind == FloatClass.Denormal)
        {
            flags = Fsw.Denormal;
            if ((control & Fsw.Denormal) == 0) return flags;
        }
        uint sign = signExponent & Float80.SignBit;
        int shift = Float80.Bias + 63 - ((int)signExponent & 0x7FFF);
        if (shift <= 0)
        {
            Round80.Store(ref result, signExponent, significand);
            return flags;
        }
        ulong rest = 0;
        Round80.ShiftRightJam(ref significand, ref rest, shift);
        (ulong whole, bool carry, uint rounding) = Round80.Round(sign, significand, rest, 0, control);
        flags |= rounding;
        if (carry) Round80.Store(ref result, sign | Float80.Bias + 64, Float80.IntegerBit);
        else if (whole == 0) Round80.Store(ref result, sign, 0);
        else
        {
            int exponent = Float80.Bias + 63;
            Arithmetic80.Normalize(ref whole, ref exponent);
            Round80.Store(ref result, sign | (uint)exponent, whole);
        }
        return flags;
    }

    /// <summary>a · 2^trunc(b).</summary>
    public static uint Scale(in Float80 a, in Float80 b, uint control, ref Float80 result)
    {
        ulong sa = a.Significand, sb = b.Significand;
        uint ea = a.SignExponent, eb = b.SignExponent;
        FloatClass ca = a.Class, cb = b.Class;
        if (ca >= FloatClass.QuietNaN || cb >= FloatClass.QuietNaN) return Nan80.Propagate(sa, ea, sb, eb, control, ref result);
        bool down = (eb & Float80.SignBit) != 0;
        if (cb == FloatClass.Infinity && (down ? ca == FloatClass.Infinity : ca == FloatClass.Zero)) return Nan80.Invalid(control, ref result);
        uint flags = ca == FloatClass.Denormal || cb == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        uint sign = ea & Float80.SignBit;
        if (ca is FloatClass.Infinity or FloatClass.Zero)
        {
            Round80.Store(ref result, ea, sa);
            return flags;
        }
        if (cb == FloatClass.Infinity)
        {
            Round80.Store(ref result, down ? sign : sign | 0x7FFF, down ? 0 : Float80.IntegerBit);
            return flags;
        }
        // Scaling by exactly nothing raises no underflow, even unmasked.
        if (cb == FloatClass.Zero) control |= Fsw.Underflow;
        int power = ((int)eb & 0x7FFF) - Float80.Bias;
        // 2^17 is beyond every wrapped result already.
        int scale = power < 0 ? 0 : power > 16 ? 1 << 17 : (int)(sb >> 63 - power);
        int exponent = (int)ea & 0x7FFF;
        Arithmetic80.Normalize(ref sa, ref exponent);
        return flags | Round80.PackExtended(sign, exponent + (down ? -scale : scale), sa, 0, control, ref result);
    }

    /// <summary>Splits a into exponent (as a number) and significand (with the exponent of 1).</summary>
    public static uint Extract(in Float80 a, uint control, ref Float80 exponent, ref Float80 significand)
    {
        ulong s = a.Significand;
        uint e = a.SignExponent, sign = e & Float80.SignBit;
        FloatClass kind = a.Class;
        if (kind >= FloatClass.QuietNaN)
        {
            uint raised = Nan80.Propagate(a, control, ref significand);
            if ((raised & ~control) == 0) Round80.Store(ref exponent, significand.SignExponent, significand.Significand);
            return raised;
        }
        switch (kind)
        {
            case FloatClass.Zero:
                if ((control & Fsw.ZeroDivide) == 0) return Fsw.ZeroDivide;
                Round80.Store(ref exponent, 0xFFFF, Float80.IntegerBit);
                Round80.Store(ref significand, sign, 0);
                return Fsw.ZeroDivide;
            case FloatClass.Infinity:
                Round80.Store(ref exponent, 0x7FFF, Float80.IntegerBit);
                Round80.Store(ref significand, e, s);
                return 0;
            case FloatClass.Denormal when (control & Fsw.Denormal) == 0:
                return Fsw.Denormal;
        }
        int biased = (int)e & 0x7FFF;
        Arithmetic80.Normalize(ref s, ref biased);
        Convert80.FromInteger(biased - Float80.Bias, ref exponent);
        Round80.Store(ref significand, sign | Float80.Bias, s);
        return kind == FloatClass.Denormal ? Fsw.Denormal : 0;
    }

    /// <summary>The remainder of a ÷ b, or a partial one with C2 set; C0 C3 C1 are bits 2, 1, 0 of the quotient.</summary>
    /// <param name="nearest">FPREM1: the quotient is rounded to nearest; FPREM: truncated.</param>
    public static uint PartialRemainder(in Float80 a, in Float80 b, bool nearest, uint control, ref Float80 result)
    {
        ulong sa = a.Significand, sb = b.Significand;
        uint ea = a.SignExponent, eb = b.SignExponent;
        FloatClass ca = a.Class, cb = b.Class;
        if (ca >= FloatClass.QuietNaN || cb >= FloatClass.QuietNaN) return Nan80.Propagate(sa, ea, sb, eb, control, ref result);
        if (ca == FloatClass.Infinity || cb == FloatClass.Zero) return Nan80.Invalid(control, ref result);
        uint flags = ca == FloatClass.Denormal || cb == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        uint sign = ea & Float80.SignBit;
        if (ca == FloatClass.Zero)
        {
            Round80.Store(ref result, ea, 0);
            return flags | HasQuotient;
        }
        flags |= HasQuotient;
        int xa = (int)ea & 0x7FFF, xb = (int)eb & 0x7FFF;
        Arithmetic80.Normalize(ref sa, ref xa);
        // By infinity nothing is divided: no underflow, even unmasked.
        if (cb == FloatClass.Infinity) return flags | Round80.PackExtended(sign, xa, sa, 0, control | Fsw.Underflow, ref result);
        Arithmetic80.Normalize(ref sb, ref xb);

        int distance = xa - xb;
        if (distance >= 64)
        {
            int step = distance & 0x1F | 0x20;
            _ = Arithmetic80.Divide128(sa >> 64 - step, sa << step, sb, out ulong partial);
            flags |= Fsw.C2;
            return flags | PackRemainder(sign, xa - step, partial, control, ref result);
        }
        ulong quotient = 0, remainder = sa;
        if (distance >= 0)
        {
            quotient = distance == 0
                ? Arithmetic80.Divide128(0, sa, sb, out remainder)
                : Arithmetic80.Divide128(sa >> 64 - distance, sa << distance, sb, out remainder);
            if (nearest && (remainder > sb - remainder || remainder == sb - remainder && (quotient & 1) != 0))
            {
                quotient++;
                remainder = sb - remainder;
                sign ^= Float80.SignBit;
            }
            xa = xb;
        }
        else if (nearest && distance == -1 && sa > sb)
        {
            // Above half of b: a − b, in units of a's last place, b being twice its significand there. It is below 2^63.
            quotient = 1;
            remainder = sb + (sb - sa);
            sign ^= Float80.SignBit;
        }
        uint codes = ((quotient & 4) != 0 ? Fsw.C0 : 0) | ((quotient & 2) != 0 ? Fsw.C3 : 0) | ((quotient & 1) != 0 ? Fsw.C1 : 0);
        return flags | codes | PackRemainder(sign, xa, remainder, control, ref result);
    }

    /// <summary>The result is exact, so C1 stays free for the quotient.</summary>
    private static uint PackRemainder(uint sign, int exponent, ulong significand, uint control, ref Float80 result)
    {
        if (significand == 0)
        {
            Round80.Store(ref result, sign, 0);
            return 0;
        }
        int shift = System.Numerics.BitOperations.LeadingZeroCount(significand);
        return Round80.PackExtended(sign, exponent - shift, significand << shift, 0, control, ref result);
    }
}
