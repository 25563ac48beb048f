// Exact values of transcendental functions, for tests: fixed-point numbers of 400 bits on BigInteger, by methods other than
// the emulator's (halved arguments, plain Taylor series, Machin's π).
using System.Numerics;
using Emu86.Cpu.Float;

namespace Emu86.Tests.Conformance;

internal static class ExactMath
{
    public const int Bits = 400;

    public static readonly BigInteger One = BigInteger.One << Bits;
    public static readonly BigInteger Pi = 4 * (4 * ArcTangentOfInverse(5) - ArcTangentOfInverse(239));
    public static readonly BigInteger Ln2 = Log(2 * One);

    /// <summary>In units of 2^-Bits; exact for |exponent| that fit.</summary>
    public static BigInteger FromFloat(Float80 a)
    {
        BigInteger magnitude = Shift(a.Significand, Math.Max(a.Exponent, 1) - Float80.Bias - 63 + Bits);
        return a.IsNegative ? -magnitude : magnitude;
    }

    public static BigInteger Multiply(BigInteger a, BigInteger b) => (a * b) >> Bits;

    public static BigInteger Divide(BigInteger a, BigInteger b) => (a << Bits) / b;

    public static (BigInteger Sine, BigInteger Cosine) SineCosine(BigInteger x)
    {
        // Reduced by 2π with all its bits (arguments stay below 2^64), then halved ten times.
        BigInteger reduced = x % (2 * Pi) >> 10;
        BigInteger sine = 0, cosine = 0, term = One;
        for (int k = 0; term != 0; k++)
        {
            if ((k & 1) == 0) cosine += (k & 2) == 0 ? term : -term;
            else sine += (k & 2) == 0 ? term : -term;
            term = Multiply(term, reduced) / (k + 1);
            if (term == -1) break;
        }
        for (int i = 0; i < 10; i++) (sine, cosine) = (2 * Multiply(sine, cosine), Multiply(cosine, cosine) - Multiply(sine, sine));
        return (sine, cosine);
    }

    public static BigInteger ArcTangent(BigInteger t)
    {
        // atan t = 2 atan (t / (1 + √(1 + t²))), eight times.
        for (int i = 0; i < 8; i++) t = Divide(t, One + SquareRoot(One + Multiply(t, t)));
        BigInteger square = Multiply(t, t), power = t, sum = t;
        for (int k = 3; ; k += 2)
        {
            power = -Multiply(power, square);
            BigInteger term = power / k;
            if (term.IsZero) break;
            sum += term;
        }
        return sum << 8;
    }

    public static BigInteger Log(BigInteger x)
    {
        // ln x = 2^k ln of the root, near 1.
        int roots = 0;
        while (BigInteger.Abs(x - One) > One >> 8)
        {
            x = SquareRoot(x);
            roots++;
        }
        BigInteger s = Divide(x - One, x + One), square = Multiply(s, s), power = s, sum = s;
        for (int k = 3; ; k += 2)
        {
            power = Multiply(power, square);
            BigInteger term = power / k;
            if (term.IsZero) break;
            sum += term;
        }
        return sum << roots + 1;
    }

    public static BigInteger ExpMinus1(BigInteger x)
    {
        BigInteger term = x, sum = 0;
        for (int k = 2; !term.IsZero && term != -1; k++)
        {
            sum += term;
            term = Multiply(term, x) / k;
        }
        return sum;
    }

    /// <summary>|a − exact| in units of the last place of <paramref name="a"/>, in thousandths.</summary>
    public static BigInteger ErrorMilliUlp(Float80 a, BigInteger exact)
    {
        BigInteger ulp = Shift(BigInteger.One, Math.Max(a.Exponent, 1) - Float80.Bias - 63 + Bits);
        return ulp.IsZero ? 0 : BigInteger.Abs(FromFloat(a) - exact) * 1000 / ulp;
    }

    private static BigInteger SquareRoot(BigInteger x)
    {
        BigInteger scaled = x << Bits, guess = BigInteger.One << (int)((scaled.GetBitLength() + 1) / 2);
        while (true)
        {
            BigInteger next = (guess + scaled / guess) >> 1;
            if (next >= guess) return guess;
            guess = next;
        }
    }

    private static BigInteger ArcTangentOfInverse(int n)
    {
        BigInteger power = One / n, sum = power;
        for (int k = 3; !power.IsZero; k += 2)
        {
            power = -power / (n * n);
            sum += power / k;
        }
        return sum;
    }

    private static BigInteger Shift(BigInteger value, int by) => by >= 0 ? value << by : value >> -by;
}
