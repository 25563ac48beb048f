// Conversions between the extended format and integers, packed BCD, single and double precision
// (Intel SDM vol. 1, 4.2, 4.7 and 8.1.5; vol. 2, FLD, FST, FILD, FIST, FBLD, FBSTP).
using System.Numerics;

namespace Emu86.Cpu.Float;

/// <summary>Loads are exact. Stores return the exceptions with C1; where one of them is unmasked and forbids the store
/// (<see cref="MayStore"/>), the value must not be written.</summary>
public static class Convert80
{
    private const ulong BcdMax = 999_999_999_999_999_999;

    /// <summary>Whether a store that raised <paramref name="flags"/> is carried out; only an unmasked precision exception lets it.</summary>
    public static bool MayStore(uint flags, uint control)
        => (flags & ~control & (Fsw.Exceptions & ~Fsw.Precision)) == 0;

    public static void FromInteger(long value, ref Float80 result)
    {
        if (value == 0)
        {
            Round80.Store(ref result, 0, 0);
            return;
        }
        ulong magnitude = value < 0 ? (ulong)-value : (ulong)value;
        int shift = BitOperations.LeadingZeroCount(magnitude);
        Round80.Store(ref result, (value < 0 ? Float80.SignBit : 0) | (uint)(Float80.Bias + 63 - shift), magnitude << shift);
    }

    /// <summary>Widens single precision as it is: a signaling NaN stays one. Returns <see cref="Fsw.Denormal"/> for a denormal.</summary>
    public static uint FromSingle(uint bits, ref Float80 result)
    {
        uint sign = bits >> 16 & Float80.SignBit, exponent = bits >> 23 & 0xFF;
        ulong fraction = (ulong)(bits & 0x7FFFFF) << 40;
        return Widen(sign, exponent, 0xFF, 0x7F, fraction, ref result);
    }

    /// <summary>As <see cref="FromSingle"/>, for double precision.</summary>
    public static uint FromDouble(ulong bits, ref Float80 result)
    {
        uint sign = (uint)(bits >> 48) & Float80.SignBit, exponent = (uint)(bits >> 52) & 0x7FF;
        ulong fraction = bits << 12 >> 1;
        return Widen(sign, exponent, 0x7FF, 0x3FF, fraction, ref result);
    }

    private static uint Widen(uint sign, uint exponent, uint exponentMax, uint bias, ulong fraction, ref Float80 result)
    {
        if (exponent - 1 < exponentMax - 1)
        {
            Round80.Store(ref result, sign | exponent + (Float80.Bias - bias), fraction | Float80.IntegerBit);
            return 0;
        }
        if (exponent != 0)
        {
            Round80.Store(ref result, sign | 0x7FFF, fraction | Float80.IntegerBit);
            return 0;
        }
        if (fraction == 0)
        {
            Round80.Store(ref result, sign, 0);
            return 0;
        }
        int shift = BitOperations.LeadingZeroCount(fraction);
        Round80.Store(ref result, sign | (uint)(Float80.Bias - (int)bias + 1 - shift), fraction << shift);
        return Fsw.Denormal;
    }

    public static uint ToSingle(in Float80 a, uint control, out uint bits)
    {
        uint flags = Narrow(a, control, 24, 0x7F, 0xFF, out ulong wide);
        bits = (uint)wide;
        return flags;
    }

    public static uint ToDouble(in Float80 a, uint control, out ulong bits) => Narrow(a, control, 53, 0x3FF, 0x7FF, out bits);

    private static uint Narrow(in Float80 a, uint control, int precision, int bias, int exponentMax, out ulong bits)
    {
        ulong significand = a.Significand;
        uint sign = a.SignExponent & Float80.SignBit;
        int drop = 64 - precision, fractionBits = precision - 1;
        ulong fractionMask = (1UL << fractionBits) - 1;
        ulong signBits = sign != 0 ? (ulong)(exponentMax + 1) << fractionBits : 0;
        ulong infinity = signBits | (ulong)exponentMax << fractionBits;
        FloatClass kind = Float80.Classify(significand, a.SignExponent);
        switch (kind)
        {
            case FloatClass.Zero:
                bits = signBits;
                return 0;
            case FloatClass.Infinity:
                bits = infinity;
                return 0;
            case FloatClass.QuietNaN or FloatClass.SignalingNaN:
                bits = infinity | (significand | Float80.QuietBit) >> drop & fractionMask;
                return kind == FloatClass.SignalingNaN ? Fsw.Invalid : 0;
            case FloatClass.Unsupported:
                bits = (ulong)exponentMax << fractionBits | (ulong)(exponentMax + 1) << fractionBits | 1UL << fractionBits - 1;
                return Fsw.Invalid;
        }
        int exponent = a.SignExponent & 0x7FFF;
        if (kind == FloatClass.Denormal) Arithmetic80.Normalize(ref significand, ref exponent);
        exponent += bias - Float80.Bias;
        (ulong rounded, bool carry, uint flags) = Round80.Round(sign, significand, 0, drop, control);
        int roundedExponent = carry ? exponent + 1 : exponent;
        if (roundedExponent < 1)
        {
            // Tiny after rounding. Unmasked, nothing is stored, and so nothing rounded.
            if ((control & Fsw.Underflow) == 0)
            {
                bits = 0;
                return Fsw.Underflow;
            }
            ulong rest = 0;
            Round80.ShiftRightJam(ref significand, ref rest, 1 - exponent);
            (rounded, _, flags) = Round80.Round(sign, significand, rest, drop, control);
            // A carry to the integer bit makes the smallest normal number: its exponent field is this bit.
            bits = signBits | rounded >> drop;
            return flags == 0 ? 0 : flags | Fsw.Underflow;
        }
        if (roundedExponent >= exponentMax)
        {
            if ((control & Fsw.Overflow) == 0)
            {
                bits = 0;
                return Fsw.Overflow;
            }
            bool toInfinity = Round80.OverflowsToInfinity(sign, control);
            bits = toInfinity ? infinity : infinity - 1;
            return Fsw.Overflow | Fsw.Precision | (toInfinity ? Fsw.C1 : 0);
        }
        bits = signBits | (ulong)roundedExponent << fractionBits | rounded >> drop & fractionMask;
        return flags;
    }

    /// <summary>Rounds to a signed integer; the integer indefinite (only the top bit) where it does not fit.</summary>
    /// <param name="width">16, 32 or 64 bits.</param>
    public static uint ToInteger(in Float80 a, uint control, int width, out long value)
    {
        value = long.MinValue >> 64 - width;
        if (!ToMagnitude(a, control, out ulong magnitude, out uint flags)) return Fsw.Invalid;
        ulong limit = 1UL << width - 1;
        if (a.IsNegative ? magnitude > limit : magnitude >= limit) return Fsw.Invalid;
        value = a.IsNegative ? -(long)magnitude : (long)magnitude;
        return flags;
    }

    /// <summary>Rounds to 18 packed decimal digits and a sign byte.</summary>
    public static uint ToBcd(in Float80 a, uint control, out ulong digits, out ushort signDigits)
    {
        if (!ToMagnitude(a, control, out ulong magnitude, out uint flags) || magnitude > BcdMax)
        {
            digits = 0xC000000000000000;
            signDigits = 0xFFFF;
            return Fsw.Invalid;
        }
        digits = 0;
        for (int i = 0; i < 64; i += 4)
        {
            digits |= magnitude % 10 << i;
            magnitude /= 10;
        }
        signDigits = (ushort)(magnitude % 10 | magnitude / 10 << 4 | (a.IsNegative ? 0x8000u : 0));
        return flags;
    }

    /// <summary>Loads 18 packed decimal digits. A digit above 9 counts with its value, as in the processors seen (docs/x87.md).</summary>
    public static void FromBcd(ulong digits, ushort signDigits, ref Float80 result)
    {
        ulong magnitude = (ulong)((signDigits >> 4 & 15) * 10 + (signDigits & 15));
        for (int i = 60; i >= 0; i -= 4) magnitude = magnitude * 10 + (digits >> i & 15);
        FromInteger((long)magnitude, ref result);
        Round80.Store(ref result, result.SignExponent | signDigits & Float80.SignBit, result.Significand);
    }

    private static bool ToMagnitude(in Float80 a, uint control, out ulong magnitude, out uint flags)
    {
        magnitude = a.Significand;
        flags = 0;
        FloatClass kind = a.Class;
        if (kind == FloatClass.Zero) return true;
        int shift = Float80.Bias + 63 - a.Exponent;
        if (kind is not (FloatClass.Normal or FloatClass.Denormal) || shift < 0) return false;
        ulong rest = 0;
        Round80.ShiftRightJam(ref magnitude, ref rest, shift);
        (magnitude, bool carry, flags) = Round80.Round(a.SignExponent & Float80.SignBit, magnitude, rest, 0, control);
        return !carry;
    }
}
