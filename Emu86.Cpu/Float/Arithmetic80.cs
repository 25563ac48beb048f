// Add, subtract, multiply, divide and square root of the x87, with the order of precedence of its exceptions:
// unsupported operand, NaN, other invalid, zero divide, denormal operand, then what rounding finds
// (Intel SDM vol. 1, 4.8.3.5, 4.9.2 and 8.5).
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Emu86.Cpu.Float;

/// <summary>Every operation returns the exceptions it raises with C1 (bits of <see cref="Fsw"/>), and writes its result
/// unless one of <see cref="Fsw.BeforeOperation"/> is raised and not masked in <c>control</c>. The result may be an operand.</summary>
public static class Arithmetic80
{
    public static uint Add(in Float80 a, in Float80 b, uint control, ref Float80 result)
        => AddSigned(a.Significand, a.SignExponent, b.Significand, b.SignExponent, 0, control, ref result);

    /// <summary>a − b.</summary>
    public static uint Subtract(in Float80 a, in Float80 b, uint control, ref Float80 result)
        => AddSigned(a.Significand, a.SignExponent, b.Significand, b.SignExponent, Float80.SignBit, control, ref result);

    public static uint Multiply(in Float80 a, in Float80 b, uint control, ref Float80 result)
    {
        ulong sa = a.Significand, sb = b.Significand;
        uint ea = a.SignExponent, eb = b.SignExponent;
        if (!(Float80.IsNormal(sa, ea) & Float80.IsNormal(sb, eb))) return MultiplySlow(sa, ea, sb, eb, control, ref result);
        return MultiplyFinite((ea ^ eb) & Float80.SignBit, sa, (int)ea & 0x7FFF, sb, (int)eb & 0x7FFF, control, ref result);
    }

    /// <summary>a ÷ b.</summary>
    public static uint Divide(in Float80 a, in Float80 b, uint control, ref Float80 result)
    {
        ulong sa = a.Significand, sb = b.Significand;
        uint ea = a.SignExponent, eb = b.SignExponent;
        if (!(Float80.IsNormal(sa, ea) & Float80.IsNormal(sb, eb))) return DivideSlow(sa, ea, sb, eb, control, ref result);
        return DivideFinite((ea ^ eb) & Float80.SignBit, sa, (int)ea & 0x7FFF, sb, (int)eb & 0x7FFF, control, ref result);
    }

    public static uint SquareRoot(in Float80 a, uint control, ref Float80 result)
    {
        ulong significand = a.Significand;
        uint signExponent = a.SignExponent;
        uint flags = 0;
        int exponent = (int)signExponent & 0x7FFF;
        FloatClass kind = Float80.Classify(significand, signExponent);
        if (kind != FloatClass.Normal || (signExponent & Float80.SignBit) != 0)
        {
            switch (kind)
            {
                case FloatClass.Zero: Round80.Store(ref result, signExponent, 0); return 0;
                case FloatClass.Infinity when signExponent == 0x7FFF: Round80.Store(ref result, signExponent, significand); return 0;
                case FloatClass.QuietNaN or FloatClass.SignalingNaN: return Nan80.Propagate(a, control, ref result);
            }
            if (kind != FloatClass.Denormal || (signExponent & Float80.SignBit) != 0) return Nan80.Invalid(control, ref result);
            flags = Fsw.Denormal;
            if ((control & Fsw.Denormal) == 0) return flags;
            Normalize(ref significand, ref exponent);
        }

        // significand · 2^k with k made even by choosing 63 or 64 more bits; the root then has bit 63 set.
        int k = exponent - 0x3FFF - 63;
        int extra = (k & 1) == 0 ? 64 : 63;
        ulong high = extra == 64 ? significand : significand >> 1;
        ulong low = extra == 64 ? 0 : significand << 63;
        ulong root = Root(high, low, out UInt128 remainder);
        ulong rest = remainder == 0 ? 0 : remainder > root ? 3UL << 62 : 1UL << 62;
        return flags | Round80.Pack(0, ((k - extra) >> 1) + 0x3FFF + 63, root, rest, control, ref result);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint AddSigned(ulong sa, uint ea, ulong sb, uint eb, uint flip, uint control, ref Float80 result)
    {
        if (!(Float80.IsNormal(sa, ea) & Float80.IsNormal(sb, eb))) return AddSlow(sa, ea, sb, eb, flip, control, ref result);
        eb ^= flip;
        return ((ea ^ eb) & Float80.SignBit) == 0
            ? AddMagnitudes(ea & Float80.SignBit, sa, (int)ea & 0x7FFF, sb, (int)eb & 0x7FFF, control, ref result)
            : SubtractMagnitudes(ea & Float80.SignBit, sa, (int)ea & 0x7FFF, sb, (int)eb & 0x7FFF, control, ref result);
    }

    private static uint AddMagnitudes(uint sign, ulong sa, int ea, ulong sb, int eb, uint control, ref Float80 result)
    {
        int distance = ea - eb;
        if (distance < 0)
        {
            (sa, sb) = (sb, sa);
            ea = eb;
            distance = -distance;
        }
        ulong low = Align(ref sb, distance);
        ulong sum = sa + sb;
        if (sum < sa)
        {
            low = sum << 63 | low >> 1 | low & 1;
            sum = sum >> 1 | Float80.IntegerBit;
            ea++;
        }
        return Round80.Pack(sign, ea, sum, low, control, ref result);
    }

    private static uint SubtractMagnitudes(uint sign, ulong sa, int ea, ulong sb, int eb, uint control, ref Float80 result)
    {
        int distance = ea - eb;
        if (distance < 0 || distance == 0 && sa < sb)
        {
            (sa, sb) = (sb, sa);
            ea = eb;
            distance = -distance;
            sign ^= Float80.SignBit;
        }
        ulong low = Align(ref sb, distance);
        ulong high = sa - sb - (low != 0 ? 1UL : 0);
        low = 0 - low;
        if ((long)high < 0) return Round80.Pack(sign, ea, high, low, control, ref result);
        if ((high | low) == 0)
        {
            Round80.Store(ref result, (control & Fcw.RoundMask) == Fcw.RoundDown ? Float80.SignBit : 0, 0);
            return 0;
        }
        return Round80.NormalizeAndPack(sign, ea, high, low, control, ref result);
    }

    /// <summary>Shifts <paramref name="significand"/> right; returns the 64 bits below with a sticky bit 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Align(ref ulong significand, int distance)
    {
        ulong all = significand;
        if (distance == 0) return 0;
        if (distance < 64)
        {
            significand = all >> distance;
            return all << 64 - distance;
        }
        significand = 0;
        if (distance == 64) return all;
        return distance < 128 ? all >> distance - 64 | (all << 128 - distance != 0 ? 1UL : 0) : 1;
    }

    private static uint MultiplyFinite(uint sign, ulong sa, int ea, ulong sb, int eb, uint control, ref Float80 result)
    {
        ulong high = Math.BigMul(sa, sb, out ulong low);
        // The product has 127 or 128 bits, unpredictably: no branch.
        int shift = (int)(~high >> 63);
        high = high << shift | low >> 63 & (ulong)shift;
        return Round80.Pack(sign, ea + eb - 0x3FFE - shift, high, low << shift, control, ref result);
    }

    private static uint DivideFinite(uint sign, ulong sa, int ea, ulong sb, int eb, uint control, ref Float80 result)
    {
        int exponent = ea - eb + 0x3FFE;
        ulong low = 0;
        if (sa >= sb)
        {
            low = sa << 63;
            sa >>= 1;
            exponent++;
        }
        ulong quotient = Divide128(sa, low, sb, out ulong remainder);
        // Where the remainder lies to half the divisor says all that rounding asks.
        ulong rest = remainder == 0 ? 0
            : remainder > sb - remainder ? 3UL << 62
            : remainder == sb - remainder ? 2UL << 62 : 1UL << 62;
        return Round80.Pack(sign, exponent, quotient, rest, control, ref result);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static uint AddSlow(ulong sa, uint ea, ulong sb, uint eb, uint flip, uint control, ref Float80 result)
    {
        FloatClass ca = Float80.Classify(sa, ea), cb = Float80.Classify(sb, eb);
        if (ca >= FloatClass.QuietNaN || cb >= FloatClass.QuietNaN) return Nan80.Propagate(sa, ea, sb, eb, control, ref result);
        eb ^= flip;
        bool differ = ((ea ^ eb) & Float80.SignBit) != 0;
        if (ca == FloatClass.Infinity && cb == FloatClass.Infinity && differ) return Nan80.Invalid(control, ref result);
        uint flags = ca == FloatClass.Denormal || cb == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        if (ca == FloatClass.Infinity || cb == FloatClass.Infinity)
        {
            Round80.Store(ref result, ca == FloatClass.Infinity ? ea : eb, Float80.IntegerBit);
            return flags;
        }
        int xa = (int)ea & 0x7FFF, xb = (int)eb & 0x7FFF;
        uint sign = ea & Float80.SignBit;
        if (ca == FloatClass.Zero && cb == FloatClass.Zero)
        {
            if (differ) sign = (control & Fcw.RoundMask) == Fcw.RoundDown ? Float80.SignBit : 0;
            Round80.Store(ref result, sign, 0);
            return 0;
        }
        if (ca == FloatClass.Denormal) Normalize(ref sa, ref xa);
        if (cb == FloatClass.Denormal) Normalize(ref sb, ref xb);
        // One zero: the other operand still is rounded to the precision in force.
        if (ca == FloatClass.Zero) return flags | Round80.Pack(eb & Float80.SignBit, xb, sb, 0, control, ref result);
        if (cb == FloatClass.Zero) return flags | Round80.Pack(sign, xa, sa, 0, control, ref result);
        return flags | (differ
            ? SubtractMagnitudes(sign, sa, xa, sb, xb, control, ref result)
            : AddMagnitudes(sign, sa, xa, sb, xb, control, ref result));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static uint MultiplySlow(ulong sa, uint ea, ulong sb, uint eb, uint control, ref Float80 result)
    {
        FloatClass ca = Float80.Classify(sa, ea), cb = Float80.Classify(sb, eb);
        if (ca >= FloatClass.QuietNaN || cb >= FloatClass.QuietNaN) return Nan80.Propagate(sa, ea, sb, eb, control, ref result);
        if (ca == FloatClass.Infinity && cb == FloatClass.Zero || ca == FloatClass.Zero && cb == FloatClass.Infinity)
            return Nan80.Invalid(control, ref result);
        uint flags = ca == FloatClass.Denormal || cb == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        uint sign = (ea ^ eb) & Float80.SignBit;
        if (ca == FloatClass.Infinity || cb == FloatClass.Infinity)
        {
            Round80.Store(ref result, sign | 0x7FFF, Float80.IntegerBit);
            return flags;
        }
        if (ca == FloatClass.Zero || cb == FloatClass.Zero)
        {
            Round80.Store(ref result, sign, 0);
            return flags;
        }
        int xa = (int)ea & 0x7FFF, xb = (int)eb & 0x7FFF;
        Normalize(ref sa, ref xa);
        Normalize(ref sb, ref xb);
        return flags | MultiplyFinite(sign, sa, xa, sb, xb, control, ref result);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static uint DivideSlow(ulong sa, uint ea, ulong sb, uint eb, uint control, ref Float80 result)
    {
        FloatClass ca = Float80.Classify(sa, ea), cb = Float80.Classify(sb, eb);
        if (ca >= FloatClass.QuietNaN || cb >= FloatClass.QuietNaN) return Nan80.Propagate(sa, ea, sb, eb, control, ref result);
        if (ca == cb && ca is FloatClass.Infinity or FloatClass.Zero && ca == cb) return Nan80.Invalid(control, ref result);
        uint sign = (ea ^ eb) & Float80.SignBit;
        if (cb == FloatClass.Zero && ca != FloatClass.Infinity)
        {
            if ((control & Fsw.ZeroDivide) != 0) Round80.Store(ref result, sign | 0x7FFF, Float80.IntegerBit);
            return Fsw.ZeroDivide;
        }
        uint flags = ca == FloatClass.Denormal || cb == FloatClass.Denormal ? Fsw.Denormal : 0;
        if ((flags & ~control) != 0) return flags;
        if (ca == FloatClass.Infinity)
        {
            Round80.Store(ref result, sign | 0x7FFF, Float80.IntegerBit);
            return flags;
        }
        if (ca == FloatClass.Zero || cb == FloatClass.Infinity)
        {
            Round80.Store(ref result, sign, 0);
            return flags;
        }
        int xa = (int)ea & 0x7FFF, xb = (int)eb & 0x7FFF;
        Normalize(ref sa, ref xa);
        Normalize(ref sb, ref xb);
        return flags | DivideFinite(sign, sa, xa, sb, xb, control, ref result);
    }

    /// <summary>Gives a non-zero finite number its integer bit; the exponent may become zero or negative.</summary>
    internal static void Normalize(ref ulong significand, ref int exponent)
    {
        if (exponent == 0) exponent = 1;
        int shift = BitOperations.LeadingZeroCount(significand);
        significand <<= shift;
        exponent -= shift;
    }

    /// <summary>(high:low) ÷ divisor by schoolbook with 32-bit digits.</summary>
    /// <param name="high">Less than <paramref name="divisor"/>.</param>
    /// <param name="divisor">Bit 63 set.</param>
    internal static ulong Divide128(ulong high, ulong low, ulong divisor, out ulong remainder)
    {
        ulong d1 = divisor >> 32, d0 = (uint)divisor;
        ulong q1 = high / d1;
        ulong r = high - q1 * d1;
        ulong product = q1 * d0;
        r = r << 32 | low >> 32;
        if (r < product)
        {
            q1--;
            r += divisor;
            if (r >= divisor && r < product)
            {
                q1--;
                r += divisor;
            }
        }
        r -= product;
        ulong q0 = r / d1;
        ulong r0 = r - q0 * d1;
        product = q0 * d0;
        r0 = r0 << 32 | (uint)low;
        if (r0 < product)
        {
            q0--;
            r0 += divisor;
            if (r0 >= divisor && r0 < product)
            {
                q0--;
                r0 += divisor;
            }
        }
        remainder = r0 - product;
        return (q1 << 32) + q0;
    }

    /// <summary>Integer square root of (high:low), high ≥ 2^62, by doubling the digits (Zimmermann).</summary>
    internal static ulong Root(ulong high, ulong low, out UInt128 remainder)
    {
        // 32 bits of the top 64 first.
        uint s0 = 0;
        uint top = (uint)(high >> 32);
        uint r0 = top;
        for (uint bit = 1u << 30; bit != 0; bit >>= 2)
        {
            uint trial = s0 + bit;
            s0 >>= 1;
            if (r0 >= trial)
            {
                r0 -= trial;
                s0 += bit;
            }
        }
        // Then to 32, then to 64 bits: one quotient digit, corrected by at most one.
        ulong numerator = (ulong)r0 << 16 | (uint)high >> 16;
        ulong q = numerator / (2 * s0);
        long r1 = (long)((numerator - q * (2 * s0) << 16 | high & 0xFFFF) - q * q);
        ulong s1 = ((ulong)s0 << 16) + q;
        if (r1 < 0)
        {
            s1--;
            r1 += (long)(2 * s1 + 1);
        }
        UInt128 numerator2 = (UInt128)(ulong)r1 << 32 | low >> 32;
        UInt128 q2 = numerator2 / (2 * s1);
        Int128 r2 = (Int128)((numerator2 - q2 * (2 * s1) << 32 | (uint)low) - q2 * q2);
        UInt128 s2 = ((UInt128)s1 << 32) + q2;
        if (r2 < 0)
        {
            s2--;
            r2 += (Int128)(2 * s2 + 1);
        }
        remainder = (UInt128)r2;
        return (ulong)s2;
    }
}
