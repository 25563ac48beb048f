// The transcendental instructions against exact values: correctly rounded but for ties that 128 bits cannot tell, which these
// tests bound by 0.501 units in the last place, and against fixed points of the definition.
using System.Numerics;
using Emu86.Cpu.Float;

namespace Emu86.Tests.Conformance;

public sealed class X87TranscendentalTests
{
    private const int Rounds = 400, MilliUlpMax = 501;

    private readonly Random _random = new(4);

    [Fact]
    public void Sine_and_cosine_are_rounded_once()
    {
        for (int i = 0; i < Rounds; i++)
        {
            Float80 x = Number(-40, 63), sine = default, cosine = default;
            Transcendental80.SineCosine(x, Fcw.Initial, ref sine, ref cosine);
            (BigInteger exactSine, BigInteger exactCosine) = ExactMath.SineCosine(ExactMath.FromFloat(x));
            Near($"sin {x}", sine, exactSine);
            Near($"cos {x}", cosine, exactCosine);
        }
    }

    [Fact]
    public void Tangent_is_rounded_once()
    {
        for (int i = 0; i < Rounds; i++)
        {
            Float80 x = Number(-40, 63), tangent = default;
            Transcendental80.Tangent(x, Fcw.Initial, ref tangent);
            (BigInteger sine, BigInteger cosine) = ExactMath.SineCosine(ExactMath.FromFloat(x));
            Near($"tan {x}", tangent, ExactMath.Divide(sine, cosine));
        }
    }

    [Fact]
    public void Sine_of_the_nearest_number_to_pi_is_the_rest_of_pi()
    {
        Float80 result = default;
        Transcendental80.Sine(new Float80(0xC90FDAA22168C235, 0x4000), Fcw.Initial, ref result);
        Assert.Equal("BFBE.ECE675D1FC8F8CBB", result.ToString());
    }

    [Fact]
    public void Arc_tangent_is_rounded_once_in_every_quadrant()
    {
        for (int i = 0; i < Rounds; i++)
        {
            Float80 y = Number(-30, 30), x = Number(-30, 30), angle = default;
            Transcendental80.ArcTangent(y, x, Fcw.Initial, ref angle);
            BigInteger exactX = ExactMath.FromFloat(x), exactY = ExactMath.FromFloat(y);
            BigInteger exact = ExactMath.ArcTangent(ExactMath.Divide(exactY, exactX));
            if (exactX.Sign < 0) exact += exactY.Sign < 0 ? -ExactMath.Pi : ExactMath.Pi;
            Near($"atan {y} / {x}", angle, exact);
        }
    }

    [Fact]
    public void Logarithm_is_rounded_once()
    {
        for (int i = 0; i < Rounds; i++)
        {
            Float80 x = i % 2 == 0 ? Positive(Number(-200, 200)) : Near1(), y = Number(-3, 3), result = default;
            Transcendental80.YLog2X(x, y, Fcw.Initial, ref result);
            BigInteger exact = ExactMath.Multiply(ExactMath.FromFloat(y), ExactMath.Divide(ExactMath.Log(ExactMath.FromFloat(x)), ExactMath.Ln2));
            Near($"{y} log2 {x}", result, exact);
        }
    }

    [Fact]
    public void Logarithm_of_x_plus_1_is_rounded_once()
    {
        for (int i = 0; i < Rounds; i++)
        {
            Float80 x = i % 4 == 0 ? Positive(Number(-2, 40)) : Number(-60, -2), y = Number(-3, 3), result = default;
            Transcendental80.YLog2XPlus1(x, y, Fcw.Initial, ref result);
            BigInteger log = ExactMath.Log(ExactMath.One + ExactMath.FromFloat(x));
            Near($"{y} log2 1 + {x}", result, ExactMath.Multiply(ExactMath.FromFloat(y), ExactMath.Divide(log, ExactMath.Ln2)));
        }
    }

    [Fact]
    public void Exponential_is_rounded_once()
    {
        for (int i = 0; i < Rounds; i++)
        {
            Float80 x = Number(-60, -1), result = default;
            Transcendental80.TwoToXMinus1(x, Fcw.Initial, ref result);
            Near($"2^{x} - 1", result, ExactMath.ExpMinus1(ExactMath.Multiply(ExactMath.FromFloat(x), ExactMath.Ln2)));
        }
    }

    [Fact]
    public void Results_are_exact_where_the_functions_are()
    {
        Float80 result = default;
        Assert.Equal(0u, Transcendental80.YLog2X(new Float80(1UL << 63, Float80.Bias + 10), new Float80(3UL << 62, Float80.Bias), Fcw.Initial, ref result));
        Assert.Equal("4002.F000000000000000", result.ToString()); // 1.5 · 10
        Assert.Equal(0u, Transcendental80.Cosine(Float80.Zero, Fcw.Initial, ref result));
        Assert.Equal(Float80.One.ToString(), result.ToString());
        Assert.Equal(0u, Transcendental80.TwoToXMinus1(Float80.One, Fcw.Initial, ref result));
        Assert.Equal(Float80.One.ToString(), result.ToString());
        Transcendental80.TwoToXMinus1(new Float80(1UL << 63, 0xBFFF), Fcw.Initial, ref result);
        Assert.Equal("BFFE.8000000000000000", result.ToString()); // −1/2
    }

    [Fact]
    public void Rounding_modes_bracket_the_value()
    {
        Float80 x = new(0xA000000000000000, Float80.Bias), down = default, up = default, zero = default;
        Transcendental80.Sine(x, Fcw.Initial | Fcw.RoundDown, ref down);
        Transcendental80.Sine(x, Fcw.Initial | Fcw.RoundUp, ref up);
        Transcendental80.Sine(x, Fcw.Initial | Fcw.RoundZero, ref zero);
        Assert.Equal(down.Significand + 1, up.Significand);
        Assert.Equal(down.Significand, zero.Significand);
    }

    [Fact]
    public void Operands_from_2_to_the_63_on_are_left_with_C2()
    {
        Float80 x = new(1UL << 63, Float80.Bias + 63), result = default;
        Assert.Equal(Fsw.C2, Transcendental80.Sine(x, Fcw.Initial, ref result));
        Assert.Equal(Float80.Zero.ToString(), result.ToString());
    }

    private static void Near(string what, Float80 result, BigInteger exact)
    {
        BigInteger error = ExactMath.ErrorMilliUlp(result, exact);
        Assert.True(error <= MilliUlpMax, $"{what} = {result}: {error} thousandths of a unit in the last place");
    }

    private Float80 Number(int exponentMin, int exponentMax)
    {
        ulong bits = (ulong)_random.NextInt64() << 1 | 1UL << 63;
        if (_random.Next(4) == 0) bits &= ~0UL << _random.Next(63);
        return new Float80(bits, (ushort)(_random.Next(2) << 15 | Float80.Bias + _random.Next(exponentMin, exponentMax)));
    }

    private Float80 Near1()
    {
        int shift = _random.Next(1, 60);
        ulong part = (ulong)_random.NextInt64() >> shift;
        return _random.Next(2) == 0 ? new Float80(1UL << 63 | part, Float80.Bias) : new Float80(ulong.MaxValue - part, Float80.Bias - 1);
    }

    private static Float80 Positive(Float80 a) => new(a.Significand, (ushort)(a.SignExponent & 0x7FFF));
}
