// The transcendental instructions: special operands and exceptions here, values in Trigonometry80 and Logarithm80
// (Intel SDM vol. 2: F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FSINCOS, FPTAN, FPATAN). Results are those of the exact value,
// rounded once by the rounding mode to 64 bits; precision control does not apply.
namespace Emu86.Cpu.Float;

/// <summary>Results and exceptions as in <see cref="Arithmetic80"/>; C2 where the operand is out of range.</summary>
public static class Transcendental80
{
    public static uint Sine(in Float80 a, uint control, ref Float80 result) => Circular(a, control, ref result, 0);

    public static uint Cosine(in Float80 a, uint control, ref Float80 result) => Circular(a, control, ref result, 1);

    public static uint SineCosine(in Float80 a, uint control, ref Float80 sine, ref Float80 cosine)
    {
        var operand = new Float80(a.Significand, a.SignExponent);
        uint flags = Circular(operand, control, ref cosine, 1);
        uint sineFlags = Circular(operand, control, ref sine, 0);
        return flags & ~Fsw.C1 | sineFlags;
    }

    public static uint Tangent(in Float80 a, uint control, ref Float80 result)
    {
        if (!CircularOperand(a, control, ref result, out uint flags)) return flags;
        uint sign = a.SignExponent & Float80.SignBit;
        if (a.Significand == 0)
        {
            Round80.Store(ref result, sign, 0);
            return 0;
        }
        Trigonometry80.Reduce(a, out int quadrant, out bool negative, out Wide r);
        if (negative) sign ^= Float80.SignBit;
        if ((quadrant & 1) == 0) return flags | Trigonometry80.Tangent(r).Pack(sign, control, ref result);
        return flags | (Trigonometry80.Cosine(r) / Trigonometry80.Sine(r)).Pack(sign ^ Float80.SignBit, control, ref result);
    }

    /// <summary>The angle of the vector (x, y).</summary>
    public static uint ArcTangent(in Float80 y, in Float80 x, uint control, ref Float80 result)
    {
        FloatClass cy = y.Class, cx = x.Class;
        if (cy >= FloatClass.QuietNaN || cx >= FloatClass.QuietNaN)
            return Nan80.Propagate(y.Significand, y.SignExponent, x.Significand, x.SignExponent, control, ref result);
        uint flags = cy == FloatClass.Denormal || cx == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        uint sign = y.SignExponent & Float80.SignBit;
        bool second = x.IsNegative;
        if (cy == FloatClass.Zero || cx == FloatClass.Infinity && cy != FloatClass.Infinity)
        {
            if (!second)
            {
                Round80.Store(ref result, sign, 0);
                return flags;
            }
            return flags | Trigonometry80.Eighths(4).Pack(sign, control, ref result);
        }
        if (cy == FloatClass.Infinity)
            return flags | Trigonometry80.Eighths(cx != FloatClass.Infinity ? 2u : second ? 3u : 1u).Pack(sign, control, ref result);
        if (cx == FloatClass.Zero) return flags | Trigonometry80.Eighths(2).Pack(sign, control, ref result);
        Wide angle = Trigonometry80.Angle(Wide.From(y.Significand, y.SignExponent), Wide.From(x.Significand, x.SignExponent), second);
        return flags | angle.Pack(sign, control, ref result);
    }

    public static uint TwoToXMinus1(in Float80 a, uint control, ref Float80 result)
    {
        FloatClass kind = a.Class;
        if (kind >= FloatClass.QuietNaN) return Nan80.Propagate(a, control, ref result);
        uint sign = a.SignExponent & Float80.SignBit;
        if (kind == FloatClass.Zero)
        {
            Round80.Store(ref result, sign, 0);
            return 0;
        }
        if (kind == FloatClass.Infinity)
        {
            if (sign != 0) Round80.Store(ref result, sign | Float80.Bias, Float80.IntegerBit);
            else Round80.Store(ref result, 0x7FFF, Float80.IntegerBit);
            return 0;
        }
        uint flags = kind == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        if (a.Exponent >= Float80.Bias)
        {
            // 1 and −1 are the last defined operands; beyond, the operand comes back (docs/x87.md).
            if (a.Exponent == Float80.Bias && a.Significand == Float80.IntegerBit)
            {
                Round80.Store(ref result, sign | (sign != 0 ? Float80.Bias - 1u : (uint)Float80.Bias), Float80.IntegerBit);
                return flags;
            }
            Round80.Store(ref result, a.SignExponent, a.Significand);
            return flags | Fsw.Precision;
        }
        Wide value = Logarithm80.Exp2Minus1(Wide.From(a.Significand, a.SignExponent), sign != 0);
        return flags | value.Pack(sign, control, ref result);
    }

    /// <summary>y · log2 x.</summary>
    public static uint YLog2X(in Float80 x, in Float80 y, uint control, ref Float80 result)
    {
        FloatClass cx = x.Class, cy = y.Class;
        if (cx >= FloatClass.QuietNaN || cy >= FloatClass.QuietNaN)
            return Nan80.Propagate(y.Significand, y.SignExponent, x.Significand, x.SignExponent, control, ref result);
        if (x.IsNegative && cx != FloatClass.Zero) return Nan80.Invalid(control, ref result);
        uint sign = y.SignExponent & Float80.SignBit;
        if (cx == FloatClass.Zero)
        {
            if (cy == FloatClass.Zero) return Nan80.Invalid(control, ref result);
            uint raised = cy == FloatClass.Infinity ? 0 : Fsw.ZeroDivide;
            if ((raised & ~control) == 0) Round80.Store(ref result, (sign ^ Float80.SignBit) | 0x7FFF, Float80.IntegerBit);
            return raised;
        }
        bool isOne = cx == FloatClass.Normal && x.Exponent == Float80.Bias && x.Significand == Float80.IntegerBit;
        if (cy == FloatClass.Infinity && isOne || cy == FloatClass.Zero && cx == FloatClass.Infinity) return Nan80.Invalid(control, ref result);
        uint flags = cx == FloatClass.Denormal || cy == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        if (x.Exponent < Float80.Bias) sign ^= Float80.SignBit;
        if (cy == FloatClass.Infinity || cx == FloatClass.Infinity)
        {
            Round80.Store(ref result, sign | 0x7FFF, Float80.IntegerBit);
            return flags;
        }
        if (cy == FloatClass.Zero || isOne)
        {
            Round80.Store(ref result, sign, 0);
            return flags;
        }
        Wide logarithm = Logarithm80.Log2(Wide.From(x.Significand, x.SignExponent), out _, out bool exact);
        return flags | (logarithm * Wide.From(y.Significand, y.SignExponent)).Pack(sign, control, ref result, exact);
    }

    /// <summary>y · log2(x + 1).</summary>
    public static uint YLog2XPlus1(in Float80 x, in Float80 y, uint control, ref Float80 result)
    {
        FloatClass cx = x.Class, cy = y.Class;
        if (cx >= FloatClass.QuietNaN || cy >= FloatClass.QuietNaN)
            return Nan80.Propagate(y.Significand, y.SignExponent, x.Significand, x.SignExponent, control, ref result);
        bool below = x.IsNegative;
        uint sign = (uint)(y.SignExponent ^ x.SignExponent) & Float80.SignBit;
        if (cx == FloatClass.Infinity && (below || cy == FloatClass.Zero) || cx == FloatClass.Zero && cy == FloatClass.Infinity)
            return Nan80.Invalid(control, ref result);
        // Not above −1: outside the defined range, answered as FYL2X answers x + 1 (docs/x87.md).
        if (below && x.Exponent >= Float80.Bias)
        {
            bool minusOne = x.Exponent == Float80.Bias && x.Significand == Float80.IntegerBit;
            if (!minusOne || cy == FloatClass.Zero) return Nan80.Invalid(control, ref result);
            uint raised = cy == FloatClass.Infinity ? 0 : Fsw.ZeroDivide;
            if ((raised & ~control) == 0) Round80.Store(ref result, sign | 0x7FFF, Float80.IntegerBit);
            return raised;
        }
        uint flags = cx == FloatClass.Denormal || cy == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        if (cy == FloatClass.Infinity || cx == FloatClass.Infinity)
        {
            Round80.Store(ref result, sign | 0x7FFF, Float80.IntegerBit);
            return flags;
        }
        if (cy == FloatClass.Zero || cx == FloatClass.Zero)
        {
            Round80.Store(ref result, sign, 0);
            return flags;
        }
        Wide operand = Wide.From(x.Significand, x.SignExponent);
        bool exact = false;
        Wide logarithm;
        if (operand.Exponent < -2) logarithm = Logarithm80.Log2Near1(operand, below);
        else
        {
            Wide sum;
            if (below) sum = Wide.Normalize(0 - operand.ToFixed(128), -1);
            else if (operand.Exponent < 126) sum = Wide.Normalize((operand.Significand >> 1 + Math.Max(operand.Exponent, 0) - operand.Exponent) + ((UInt128)1 << 126 - Math.Max(operand.Exponent, 0)), 1 + Math.Max(operand.Exponent, 0));
            else sum = operand;
            logarithm = Logarithm80.Log2(sum, out _, out exact);
            exact &= operand.Exponent < 64;
        }
        return flags | (logarithm * Wide.From(y.Significand, y.SignExponent)).Pack(sign, control, ref result, exact);
    }

    private static uint Circular(in Float80 a, uint control, ref Float80 result, int quarterTurns)
    {
        if (!CircularOperand(a, control, ref result, out uint flags)) return flags;
        uint sign = a.SignExponent & Float80.SignBit;
        if (a.Significand == 0)
        {
            if (quarterTurns == 0) Round80.Store(ref result, sign, 0);
            else Round80.Store(ref result, Float80.Bias, Float80.IntegerBit);
            return 0;
        }
        Trigonometry80.Reduce(a, out int quadrant, out bool negative, out Wide r);
        // cos x = sin(|x| + π/2).
        if (quarterTurns != 0) sign = 0;
        quadrant += quarterTurns;
        if ((quadrant & 2) != 0) sign ^= Float80.SignBit;
        if ((quadrant & 1) != 0) return flags | Trigonometry80.Cosine(r).Pack(sign, control, ref result);
        if (negative) sign ^= Float80.SignBit;
        return flags | Trigonometry80.Sine(r).Pack(sign, control, ref result);
    }

    /// <summary>False when NaN, infinity, range or an unmasked denormal end the operation.</summary>
    private static bool CircularOperand(in Float80 a, uint control, ref Float80 result, out uint flags)
    {
        flags = 0;
        switch (a.Class)
        {
            case FloatClass.QuietNaN or FloatClass.SignalingNaN or FloatClass.Unsupported:
                flags = Nan80.Propagate(a, control, ref result);
                return false;
            case FloatClass.Infinity:
                flags = Nan80.Invalid(control, ref result);
                return false;
            case FloatClass.Denormal:
                flags = Fsw.Denormal;
                return (control & Fsw.Denormal) != 0;
        }
        if (a.Exponent < Float80.Bias + Trigonometry80.ExponentLimit) return true;
        flags = Fsw.C2;
        return false;
    }
}
