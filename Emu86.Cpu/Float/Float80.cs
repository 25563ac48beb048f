// The double extended-precision format: sign, 15-bit exponent, 64-bit significand with an explicit integer bit
// (Intel SDM vol. 1, 4.2.2 and 8.2).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Emu86.Cpu.Float;

/// <summary>What the bits of a <see cref="Float80"/> mean.</summary>
public enum FloatClass
{
    Zero, Normal,
    /// <summary>Denormals, and pseudo-denormals (biased exponent 0 with the integer bit set), which compute as normals of the smallest exponent.</summary>
    Denormal,
    Infinity, QuietNaN, SignalingNaN,
    /// <summary>Encodings since the 387 invalid: unnormals, pseudo-NaNs, pseudo-infinities.</summary>
    Unsupported,
}

/// <summary>One register of the x87 stack, in the 16-byte slot it has in the register file and in an FXSAVE image.
/// Operations take it by reference and move its fields: a 16-byte copy just after two narrow stores would stall.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 16)]
public readonly struct Float80(ulong significand, ushort signExponent)
{
    public const int Bias = 0x3FFF, ExponentMax = 0x7FFF;
    public const uint SignBit = 0x8000;
    public const ulong IntegerBit = 1UL << 63, QuietBit = 1UL << 62;

    public readonly ulong Significand = significand;

    /// <summary>Bit 15 the sign, bits 14–0 the biased exponent.</summary>
    public readonly ushort SignExponent = signExponent;

    public static Float80 Zero => default;
    public static Float80 One => new(IntegerBit, Bias);
    public static Float80 PositiveInfinity => new(IntegerBit, ExponentMax);

    /// <summary>The real indefinite: the masked answer to an invalid operation.</summary>
    public static Float80 Indefinite => new(IntegerBit | QuietBit, 0xFFFF);

    public bool IsNegative => (SignExponent & SignBit) != 0;
    public int Exponent => SignExponent & ExponentMax;

    public FloatClass Class => Classify(Significand, SignExponent);

    public static FloatClass Classify(ulong significand, uint signExponent)
    {
        uint exponent = signExponent & ExponentMax;
        if (exponent == 0) return significand == 0 ? FloatClass.Zero : FloatClass.Denormal;
        if ((long)significand >= 0) return FloatClass.Unsupported;
        if (exponent != ExponentMax) return FloatClass.Normal;
        if (significand == IntegerBit) return FloatClass.Infinity;
        return (significand & QuietBit) != 0 ? FloatClass.QuietNaN : FloatClass.SignalingNaN;
    }

    /// <summary>Neither zero, denormal, infinity, NaN nor unsupported.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsNormal(ulong significand, uint signExponent)
        => (long)significand < 0 && ((signExponent & ExponentMax) + 1 & 0x7FFE) != 0;

    public override string ToString() => $"{SignExponent:X4}.{Significand:X16}";
}
