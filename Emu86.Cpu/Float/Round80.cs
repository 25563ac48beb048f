// Rounding of an exact (or sticky) result into a register, with overflow, underflow and C1
// (Intel SDM vol. 1, 4.8.4, 8.1.5 and 8.5.4–8.5.6).
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Emu86.Cpu.Float;

internal static class Round80
{
    /// <summary>The exponent bias adjustment of an unmasked overflow or underflow.</summary>
    internal const int Wrap = 0x6000;

    private const ulong Half = 1UL << 63;

    /// <summary>Field by field: a struct assignment goes through a temporary and a 16-byte copy, which waits for the stores
    /// before it. The upper 6 bytes stay zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store(ref Float80 result, uint signExponent, ulong significand)
    {
        Unsafe.As<Float80, ulong>(ref result) = significand;
        Unsafe.Add(ref Unsafe.As<Float80, ushort>(ref result), 4) = (ushort)signExponent;
    }

    /// <summary>Rounds to the precision of the control word and stores.</summary>
    /// <param name="sign">0 or <see cref="Float80.SignBit"/>.</param>
    /// <param name="exponent">Biased, unbounded.</param>
    /// <param name="significand">Normalised: bit 63 set.</param>
    /// <param name="rest">The bits below, any lost ones or-ed into bit 0.</param>
    /// <returns>The exceptions raised, and C1 when rounded away from zero.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Pack(uint sign, int exponent, ulong significand, ulong rest, uint control, ref Float80 result)
    {
        if ((control & (Fcw.PrecisionMask | Fcw.RoundMask)) != (Fcw.Extended | Fcw.RoundNearest) || (uint)(exponent - 1) >= 0x7FFD)
            return PackSlow(sign, exponent, significand, rest, control, ref result);
        // To nearest, ties to even, without a branch that no processor can predict: the carry out of rest + half − 1 (+ 1 if odd).
        ulong up = rest + (Half - 1) + (significand & 1) < rest ? 1UL : 0;
        uint flags = (rest != 0 ? Fsw.Precision : 0) | (uint)up << 9;
        significand += up;
        if (significand == 0)
        {
            significand = Half;
            exponent++;
        }
        Store(ref result, sign | (uint)exponent, significand);
        return flags;
    }

    /// <summary>As <see cref="Pack"/>, for the operations that precision control does not touch.</summary>
    internal static uint PackExtended(uint sign, int exponent, ulong significand, ulong rest, uint control, ref Float80 result)
        => PackSlow(sign, exponent, significand, rest, control | Fcw.Extended, ref result);

    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static uint PackSlow(uint sign, int exponent, ulong significand, ulong rest, uint control, ref Float80 result)
    {
        int drop = DroppedBits(control);
        (ulong rounded, bool carry, uint flags) = Round(sign, significand, rest, drop, control);
        int roundedExponent = carry ? exponent + 1 : exponent;
        if (carry) rounded = Half;

        if (roundedExponent < 1) return PackTiny(sign, exponent, significand, rest, control, ref result, rounded, roundedExponent, flags);
        if (exponent < 1)
        {
            // The smallest normal number, reached by rounding: not tiny (tininess is detected after rounding).
            Store(ref result, sign | 1, Half);
            return flags;
        }
        if (roundedExponent >= Float80.ExponentMax)
        {
            if ((control & Fsw.Overflow) == 0)
            {
                flags |= Fsw.Overflow;
                roundedExponent -= Wrap;
                if (roundedExponent >= Float80.ExponentMax)
                {
                    // FSCALE alone gets beyond the adjusted range (SDM vol. 1, 8.5.4).
                    Store(ref result, sign | Float80.ExponentMax, Half);
                    return Fsw.Overflow | Fsw.Precision | Fsw.C1;
                }
                Store(ref result, sign | (uint)roundedExponent, rounded);
                return flags;
            }
            if (OverflowsToInfinity(sign, control))
            {
                Store(ref result, sign | Float80.ExponentMax, Half);
                return Fsw.Overflow | Fsw.Precision | Fsw.C1;
            }
            Store(ref result, sign | 0x7FFE, ulong.MaxValue << drop);
            return Fsw.Overflow | Fsw.Precision;
        }
        Store(ref result, sign | (uint)roundedExponent, rounded);
        return flags;
    }

    private static uint PackTiny(uint sign, int exponent, ulong significand, ulong rest, uint control, ref Float80 result,
        ulong rounded, int roundedExponent, uint flags)
    {
        if ((control & Fsw.Underflow) == 0)
        {
            roundedExponent += Wrap;
            if (roundedExponent < 1)
            {
                Store(ref result, sign, 0);
                return Fsw.Underflow | Fsw.Precision;
            }
            Store(ref result, sign | (uint)roundedExponent, rounded);
            return flags | Fsw.Underflow;
        }
        ShiftRightJam(ref significand, ref rest, 1 - exponent);
        (rounded, _, flags) = Round(sign, significand, rest, DroppedBits(control), control);
        // Rounding up to 2^63 gives the smallest normal number; it was tiny before, by the caller.
        Store(ref result, sign | (uint)(rounded >> 63), rounded);
        return flags == 0 ? 0 : flags | Fsw.Underflow;
    }

    /// <summary>Rounds away <paramref name="drop"/> bits and the rest; a carry out of bit 63 is told apart.</summary>
    internal static (ulong Significand, bool Carry, uint Flags) Round(uint sign, ulong significand, ulong rest, int drop, uint control)
    {
        if (drop != 0)
        {
            rest = significand << 64 - drop | (rest != 0 ? 1UL : 0);
            significand = significand >> drop << drop;
        }
        if (rest == 0) return (significand, false, 0);
        bool up = (control & Fcw.RoundMask) switch
        {
            Fcw.RoundNearest => rest > Half || rest == Half && (significand >> drop & 1) != 0,
            Fcw.RoundDown => sign != 0,
            Fcw.RoundUp => sign == 0,
            _ => false,
        };
        if (!up) return (significand, false, Fsw.Precision);
        ulong more = significand + (1UL << drop);
        return (more, more < significand, Fsw.Precision | Fsw.C1);
    }

    /// <summary>Shifts a 128-bit number right, keeping in bit 0 whether anything was lost.</summary>
    internal static void ShiftRightJam(ref ulong high, ref ulong low, int count)
    {
        if (count <= 0) return;
        if (count < 64)
        {
            low = high << 64 - count | low >> count | (low << 64 - count != 0 ? 1UL : 0);
            high >>= count;
        }
        else if (count == 64)
        {
            low = high | (low != 0 ? 1UL : 0);
            high = 0;
        }
        else if (count < 128)
        {
            low = high >> count - 64 | ((high << 128 - count | low) != 0 ? 1UL : 0);
            high = 0;
        }
        else
        {
            low = (high | low) != 0 ? 1UL : 0;
            high = 0;
        }
    }

    /// <summary>Normalises a non-zero 128-bit number and packs it.</summary>
    internal static uint NormalizeAndPack(uint sign, int exponent, ulong high, ulong low, uint control, ref Float80 result)
    {
        if (high == 0)
        {
            high = low;
            low = 0;
            exponent -= 64;
        }
        int shift = BitOperations.LeadingZeroCount(high);
        if (shift != 0)
        {
            high = high << shift | low >> 64 - shift;
            low <<= shift;
            exponent -= shift;
        }
        return Pack(sign, exponent, high, low, control, ref result);
    }

    internal static bool OverflowsToInfinity(uint sign, uint control) => (control & Fcw.RoundMask) switch
    {
        Fcw.RoundNearest => true,
        Fcw.RoundDown => sign != 0,
        Fcw.RoundUp => sign == 0,
        _ => false,
    };

    /// <summary>Bits of the significand below the rounding precision; the reserved precision 01 works as extended.</summary>
    private static int DroppedBits(uint control) => (control & Fcw.PrecisionMask) switch
    {
        Fcw.Single => 40,
        Fcw.Double => 11,
        _ => 0,
    };
}
