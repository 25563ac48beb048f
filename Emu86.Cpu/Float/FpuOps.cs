// The x87 instructions on the register stack: stack faults, masked and unmasked responses, condition codes, push and pop
// (Intel SDM vol. 1, 8.1.2 and 8.5.1.1). Memory operands come in and go out as values; the handlers fetch and store them.
using System.Runtime.CompilerServices;

namespace Emu86.Cpu.Float;

/// <summary>An operation of two operands that gives one: a struct without state, so that each is compiled into its callers.</summary>
public interface IBinaryOperation
{
    static abstract uint Apply(in Float80 destination, in Float80 source, uint control, ref Float80 result);
}

public readonly struct AddOperation : IBinaryOperation
{
    public static uint Apply(in Float80 destination, in Float80 source, uint control, ref Float80 result)
        => Arithmetic80.Add(destination, source, control, ref result);
}

public readonly struct SubtractOperation : IBinaryOperation
{
    public static uint Apply(in Float80 destination, in Float80 source, uint control, ref Float80 result)
        => Arithmetic80.Subtract(destination, source, control, ref result);
}

public readonly struct SubtractReverseOperation : IBinaryOperation
{
    public static uint Apply(in Float80 destination, in Float80 source, uint control, ref Float80 result)
        => Arithmetic80.Subtract(source, destination, control, ref result);
}

public readonly struct MultiplyOperation : IBinaryOperation
{
    public static uint Apply(in Float80 destination, in Float80 source, uint control, ref Float80 result)
        => Arithmetic80.Multiply(destination, source, control, ref result);
}

public readonly struct DivideOperation : IBinaryOperation
{
    public static uint Apply(in Float80 destination, in Float80 source, uint control, ref Float80 result)
        => Arithmetic80.Divide(destination, source, control, ref result);
}

public readonly struct DivideReverseOperation : IBinaryOperation
{
    public static uint Apply(in Float80 destination, in Float80 source, uint control, ref Float80 result)
        => Arithmetic80.Divide(source, destination, control, ref result);
}

public static class FpuOps
{
    private const uint Unordered = Fsw.C3 | Fsw.C2 | Fsw.C0;

    // ---- arithmetic ----

    /// <summary>ST(destination) ← ST(destination) op ST(source), then a pop if asked.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Binary<TOperation>(ref FpuState fpu, uint destination, uint source, bool pop) where TOperation : struct, IBinaryOperation
    {
        if (fpu.IsEmpty(destination) | fpu.IsEmpty(source))
        {
            Underflow(ref fpu, destination, pop);
            return;
        }
        ref Float80 result = ref FpuState.St(ref fpu, destination);
        uint flags = TOperation.Apply(result, FpuState.St(ref fpu, source), fpu.Control, ref result);
        if (Raise(ref fpu, flags) && pop) Pop(ref fpu);
    }

    /// <summary>ST(0) ← ST(0) op the operand in memory.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void BinaryMemory<TOperation, TFormat, T>(ref FpuState fpu, T bits)
        where TOperation : struct, IBinaryOperation where TFormat : struct, ILoadFormat<T> where T : unmanaged
    {
        if (fpu.IsEmpty(0))
        {
            Underflow(ref fpu, 0, pop: false);
            return;
        }
        Float80 value = default;
        ref Float80 result = ref FpuState.St(ref fpu, 0);
        if (TFormat.Widen(bits, ref value) != 0) BinaryDenormal<TOperation>(ref fpu, value, ref result);
        else Raise(ref fpu, TOperation.Apply(result, value, fpu.Control, ref result));
    }

    /// <summary>The widened operand is normal now, but the denormal exception is still due where nothing of higher rank is.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void BinaryDenormal<TOperation>(ref FpuState fpu, in Float80 value, ref Float80 result) where TOperation : struct, IBinaryOperation
    {
        Float80 temporary = default;
        uint flags = TOperation.Apply(result, value, fpu.Control | Fsw.BeforeOperation, ref temporary);
        if (result.Class < FloatClass.QuietNaN && (flags & (Fsw.Invalid | Fsw.ZeroDivide)) == 0)
        {
            flags |= Fsw.Denormal;
            if ((fpu.Control & Fsw.Denormal) == 0) flags = Fsw.Denormal;
        }
        if (Raise(ref fpu, flags)) result = temporary;
    }

    public static void SquareRoot(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Raise(ref fpu, Arithmetic80.SquareRoot(top, fpu.Control, ref top));
    }

    public static void RoundToInteger(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Raise(ref fpu, Remainder80.RoundToInteger(top, fpu.Control, ref top));
    }

    public static void Scale(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0) || fpu.IsEmpty(1)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Raise(ref fpu, Remainder80.Scale(top, FpuState.St(ref fpu, 1), fpu.Control, ref top));
    }

    public static void PartialRemainder(ref FpuState fpu, bool nearest)
    {
        SetConditions(ref fpu, 0, Fsw.C2);
        if (fpu.IsEmpty(0) || fpu.IsEmpty(1)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        uint flags = Remainder80.PartialRemainder(top, FpuState.St(ref fpu, 1), nearest, fpu.Control, ref top);
        SetConditions(ref fpu, flags, (flags & Remainder80.HasQuotient) != 0 ? Fsw.C0 | Fsw.C2 | Fsw.C3 : 0);
        Raise(ref fpu, flags);
    }

    public static void Extract(ref FpuState fpu)
    {
        if (!CanReplaceAndPush(ref fpu)) return;
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Float80 exponent = default, significand = default;
        if (!Raise(ref fpu, Remainder80.Extract(top, fpu.Control, ref exponent, ref significand))) return;
        top = exponent;
        PushUnchecked(ref fpu) = significand;
    }

    public static void ChangeSign(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Round80.Store(ref top, top.SignExponent ^ Float80.SignBit, top.Significand);
        fpu.Status &= unchecked((ushort)~Fsw.C1);
    }

    public static void AbsoluteValue(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Round80.Store(ref top, top.SignExponent & ~Float80.SignBit, top.Significand);
        fpu.Status &= unchecked((ushort)~Fsw.C1);
    }

    // ---- transcendental ----

    public static void TwoToXMinus1(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Raise(ref fpu, Transcendental80.TwoToXMinus1(top, fpu.Control, ref top));
    }

    /// <summary>FYL2X: ST(1) ← ST(1) · log2 ST(0), pop.</summary>
    public static void YLog2X(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0) || fpu.IsEmpty(1)) { Underflow(ref fpu, 1, pop: true); return; }
        ref Float80 y = ref FpuState.St(ref fpu, 1);
        if (Raise(ref fpu, Transcendental80.YLog2X(FpuState.St(ref fpu, 0), y, fpu.Control, ref y))) Pop(ref fpu);
    }

    public static void YLog2XPlus1(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0) || fpu.IsEmpty(1)) { Underflow(ref fpu, 1, pop: true); return; }
        ref Float80 y = ref FpuState.St(ref fpu, 1);
        if (Raise(ref fpu, Transcendental80.YLog2XPlus1(FpuState.St(ref fpu, 0), y, fpu.Control, ref y))) Pop(ref fpu);
    }

    /// <summary>FPATAN: ST(1) ← the angle of (ST(0), ST(1)), pop.</summary>
    public static void ArcTangent(ref FpuState fpu)
    {
        if (fpu.IsEmpty(0) || fpu.IsEmpty(1)) { Underflow(ref fpu, 1, pop: true); return; }
        ref Float80 y = ref FpuState.St(ref fpu, 1);
        if (Raise(ref fpu, Transcendental80.ArcTangent(y, FpuState.St(ref fpu, 0), fpu.Control, ref y))) Pop(ref fpu);
    }

    public static void Sine(ref FpuState fpu)
    {
        SetConditions(ref fpu, 0, Fsw.C2);
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        uint flags = Transcendental80.Sine(top, fpu.Control, ref top);
        SetConditions(ref fpu, flags, Fsw.C2);
        Raise(ref fpu, flags);
    }

    public static void Cosine(ref FpuState fpu)
    {
        SetConditions(ref fpu, 0, Fsw.C2);
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, 0, pop: false); return; }
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        uint flags = Transcendental80.Cosine(top, fpu.Control, ref top);
        SetConditions(ref fpu, flags, Fsw.C2);
        Raise(ref fpu, flags);
    }

    /// <summary>FSINCOS: ST(0) ← sine, push cosine.</summary>
    public static void SineCosine(ref FpuState fpu)
    {
        SetConditions(ref fpu, 0, Fsw.C2);
        if (!CanReplaceAndPush(ref fpu)) return;
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        Float80 sine = default, cosine = default;
        uint flags = Transcendental80.SineCosine(top, fpu.Control, ref sine, ref cosine);
        SetConditions(ref fpu, flags, Fsw.C2);
        if (!Raise(ref fpu, flags) || (flags & Fsw.C2) != 0) return;
        top = sine;
        PushUnchecked(ref fpu) = cosine;
    }

    /// <summary>FPTAN: ST(0) ← tangent, push 1.0 (a NaN operand is pushed too).</summary>
    public static void Tangent(ref FpuState fpu)
    {
        SetConditions(ref fpu, 0, Fsw.C2);
        if (!CanReplaceAndPush(ref fpu)) return;
        ref Float80 top = ref FpuState.St(ref fpu, 0);
        uint flags = Transcendental80.Tangent(top, fpu.Control, ref top);
        SetConditions(ref fpu, flags, Fsw.C2);
        if (!Raise(ref fpu, flags) || (flags & Fsw.C2) != 0) return;
        Float80 second = top.Class >= FloatClass.QuietNaN ? top : Float80.One;
        PushUnchecked(ref fpu) = second;
    }

    // ---- compare and examine ----

    public static void Compare(ref FpuState fpu, uint source, bool quiet, int pops)
    {
        if (fpu.IsEmpty(0) || fpu.IsEmpty(source))
        {
            CompareUnderflow(ref fpu, pops);
            return;
        }
        CompareDone(ref fpu, Remainder80.Compare(FpuState.St(ref fpu, 0), FpuState.St(ref fpu, source), quiet), pops);
    }

    /// <summary>FCOM, FICOM with an operand in memory.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void CompareMemory<TFormat, T>(ref FpuState fpu, T bits, int pops) where TFormat : struct, ILoadFormat<T> where T : unmanaged
    {
        Float80 value = default;
        uint widening = TFormat.Widen(bits, ref value);
        CompareWith(ref fpu, value, widening, pops);
    }

    /// <summary>FTST.</summary>
    public static void TestZero(ref FpuState fpu) => CompareWith(ref fpu, Float80.Zero, 0, 0);

    private static void CompareWith(ref FpuState fpu, in Float80 value, uint widening, int pops)
    {
        if (fpu.IsEmpty(0))
        {
            CompareUnderflow(ref fpu, pops);
            return;
        }
        uint flags = Remainder80.Compare(FpuState.St(ref fpu, 0), value, quiet: false);
        if ((flags & Unordered) != Unordered) flags |= widening;
        CompareDone(ref fpu, flags, pops);
    }

    /// <summary>FCOMI and its relatives.</summary>
    /// <returns>The status flags of EFLAGS, written even where an unmasked exception forbids the pop: ZF, PF, CF as C3, C2, C0,
    /// the others clear.</returns>
    public static uint CompareToFlags(ref FpuState fpu, uint source, bool quiet, bool pop)
    {
        uint flags = fpu.IsEmpty(0) || fpu.IsEmpty(source)
            ? Unordered | Fsw.Invalid | Fsw.StackFault
            : Remainder80.Compare(FpuState.St(ref fpu, 0), FpuState.St(ref fpu, source), quiet);
        uint codes = flags & Unordered;
        // C1 is cleared by a stack fault only.
        if ((flags & Fsw.StackFault) == 0) flags |= fpu.Status & Fsw.C1;
        if (Raise(ref fpu, flags & ~Unordered) && pop) Pop(ref fpu);
        return ((codes & Fsw.C3) != 0 ? Flags.Zf : 0) | ((codes & Fsw.C2) != 0 ? Flags.Pf : 0) | ((codes & Fsw.C0) != 0 ? Flags.Cf : 0);
    }

    public static void Examine(ref FpuState fpu)
    {
        uint codes = Remainder80.Examine(FpuState.St(ref fpu, 0));
        if (fpu.IsEmpty(0)) codes = codes & Fsw.C1 | Fsw.C3 | Fsw.C0;
        SetConditions(ref fpu, codes, Fsw.Conditions);
    }

    private static void CompareUnderflow(ref FpuState fpu, int pops)
        => CompareDone(ref fpu, Unordered | Fsw.Invalid | Fsw.StackFault, pops);

    private static void CompareDone(ref FpuState fpu, uint flags, int pops)
    {
        // The codes are set even where an unmasked exception forbids the pop, as processors do (docs/x87.md).
        SetConditions(ref fpu, flags, Unordered);
        if (!Raise(ref fpu, flags & ~Unordered)) return;
        for (; pops > 0; pops--) Pop(ref fpu);
    }

    // ---- loads, stores, moves ----

    /// <summary>FLD m80 and the constants: nothing but the stack can be wrong.</summary>
    public static void Load(ref FpuState fpu, in Float80 value)
    {
        if (!fpu.IsEmpty(7)) { Overflow(ref fpu); return; }
        Round80.Store(ref PushUnchecked(ref fpu), value.SignExponent, value.Significand);
        fpu.Status &= unchecked((ushort)~Fsw.C1);
    }

    /// <summary>FLDL2T, FLDPI and the other irrational constants, rounded by the rounding mode.</summary>
    /// <param name="significand">Truncated.</param>
    /// <param name="nearestIsUp">The next number up is nearer.</param>
    public static void LoadConstant(ref FpuState fpu, ulong significand, ushort signExponent, bool nearestIsUp)
    {
        uint mode = fpu.Control & Fcw.RoundMask;
        bool up = mode == Fcw.RoundUp || mode == Fcw.RoundNearest && nearestIsUp;
        Load(ref fpu, new Float80(up ? significand + 1 : significand, signExponent));
    }

    /// <summary>FLD m32, m64, FILD.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void LoadMemory<TFormat, T>(ref FpuState fpu, T bits) where TFormat : struct, ILoadFormat<T> where T : unmanaged
    {
        if (!fpu.IsEmpty(7)) { Overflow(ref fpu); return; }
        Float80 value = default;
        uint flags = TFormat.Widen(bits, ref value);
        ulong significand = value.Significand;
        if ((value.SignExponent & 0x7FFF) == 0x7FFF && value.Class == FloatClass.SignalingNaN)
        {
            flags = Fsw.Invalid;
            significand |= Float80.QuietBit;
        }
        // An unmasked denormal exception does not keep the value from being loaded.
        if (Raise(ref fpu, flags) || flags == Fsw.Denormal) Round80.Store(ref PushUnchecked(ref fpu), value.SignExponent, significand);
    }

    /// <summary>FLD ST(source).</summary>
    public static void LoadRegister(ref FpuState fpu, uint source)
    {
        if (fpu.IsEmpty(source))
        {
            if (Raise(ref fpu, Fsw.Invalid | Fsw.StackFault)) PushUnchecked(ref fpu) = Float80.Indefinite;
            return;
        }
        if (!fpu.IsEmpty(7)) { Overflow(ref fpu); return; }
        ref Float80 from = ref FpuState.St(ref fpu, source);
        ref Float80 to = ref PushUnchecked(ref fpu);
        Round80.Store(ref to, from.SignExponent, from.Significand);
        fpu.Status &= unchecked((ushort)~Fsw.C1);
    }

    /// <summary>FST ST(destination), FSTP ST(destination).</summary>
    public static void StoreRegister(ref FpuState fpu, uint destination, bool pop)
    {
        if (fpu.IsEmpty(0)) { Underflow(ref fpu, destination, pop); return; }
        ref Float80 from = ref FpuState.St(ref fpu, 0);
        Round80.Store(ref FpuState.St(ref fpu, destination), from.SignExponent, from.Significand);
        MarkValid(ref fpu, destination);
        fpu.Status &= unchecked((ushort)~Fsw.C1);
        if (pop) Pop(ref fpu);
    }

    /// <summary>FSTPNCE (D9 D8+i, undocumented): as FSTP, but an empty ST(0) is no fault: nothing is stored.</summary>
    public static void StoreRegisterNoFault(ref FpuState fpu, uint destination)
    {
        if (!fpu.IsEmpty(0))
        {
            StoreRegister(ref fpu, destination, pop: true);
            return;
        }
        fpu.Status &= unchecked((ushort)~Fsw.C1);
        Pop(ref fpu);
    }

    public static void Exchange(ref FpuState fpu, uint other)
    {
        ref Float80 a = ref FpuState.St(ref fpu, 0);
        ref Float80 b = ref FpuState.St(ref fpu, other);
        if (fpu.IsEmpty(0) || fpu.IsEmpty(other))
        {
            bool emptyA = fpu.IsEmpty(0), emptyB = fpu.IsEmpty(other);
            if (!Raise(ref fpu, Fsw.Invalid | Fsw.StackFault)) return;
            if (emptyA) a = Float80.Indefinite;
            if (emptyB) b = Float80.Indefinite;
            MarkValid(ref fpu, 0);
            MarkValid(ref fpu, other);
        }
        else fpu.Status &= unchecked((ushort)~Fsw.C1);
        (ulong significand, ushort signExponent) = (a.Significand, a.SignExponent);
        Round80.Store(ref a, b.SignExponent, b.Significand);
        Round80.Store(ref b, signExponent, significand);
    }

    /// <summary>FCMOVcc.</summary>
    public static void ConditionalMove(ref FpuState fpu, uint source, bool condition)
    {
        if (fpu.IsEmpty(0) || fpu.IsEmpty(source)) { Underflow(ref fpu, 0, pop: false); return; }
        if (!condition) return;
        ref Float80 from = ref FpuState.St(ref fpu, source);
        Round80.Store(ref FpuState.St(ref fpu, 0), from.SignExponent, from.Significand);
    }

    /// <summary>The value that FST m32 would store and the exceptions to <see cref="CommitStore"/> once memory took it.</summary>
    public static uint StoreSingle(ref FpuState fpu, out uint bits)
    {
        if (!fpu.IsEmpty(0)) return Convert80.ToSingle(FpuState.St(ref fpu, 0), fpu.Control, out bits);
        bits = 0xFFC00000;
        return Fsw.Invalid | Fsw.StackFault;
    }

    public static uint StoreDouble(ref FpuState fpu, out ulong bits)
    {
        if (!fpu.IsEmpty(0)) return Convert80.ToDouble(FpuState.St(ref fpu, 0), fpu.Control, out bits);
        bits = 0xFFF8000000000000;
        return Fsw.Invalid | Fsw.StackFault;
    }

    public static uint StoreExtended(ref FpuState fpu, out ulong significand, out ushort signExponent)
    {
        Float80 value = fpu.IsEmpty(0) ? Float80.Indefinite : FpuState.St(ref fpu, 0);
        (significand, signExponent) = (value.Significand, value.SignExponent);
        return fpu.IsEmpty(0) ? Fsw.Invalid | Fsw.StackFault : 0;
    }

    public static uint StoreInteger(ref FpuState fpu, int width, out long value)
    {
        if (!fpu.IsEmpty(0)) return Convert80.ToInteger(FpuState.St(ref fpu, 0), fpu.Control, width, out value);
        value = long.MinValue >> 64 - width;
        return Fsw.Invalid | Fsw.StackFault;
    }

    public static uint StoreBcd(ref FpuState fpu, out ulong digits, out ushort signDigits)
    {
        if (!fpu.IsEmpty(0)) return Convert80.ToBcd(FpuState.St(ref fpu, 0), fpu.Control, out digits, out signDigits);
        digits = 0xC000000000000000;
        signDigits = 0xFFFF;
        return Fsw.Invalid | Fsw.StackFault;
    }

    /// <summary>Ends a store: raises its exceptions and pops, if it was allowed (<see cref="Convert80.MayStore"/>).</summary>
    public static void CommitStore(ref FpuState fpu, uint flags, bool pop)
    {
        bool stored = Convert80.MayStore(flags, fpu.Control);
        Raise(ref fpu, flags);
        if (stored && pop) Pop(ref fpu);
    }

    // ---- stack and state ----

    public static void Free(ref FpuState fpu, uint index)
    {
        fpu.Empty |= (byte)(1u << (int)(fpu.Top + index & 7));
        fpu.Status &= unchecked((ushort)~Fsw.C1);
    }

    /// <summary>FFREEP.</summary>
    public static void FreePop(ref FpuState fpu, uint index)
    {
        Free(ref fpu, index);
        Pop(ref fpu);
    }

    /// <summary>FNOP: nothing, not even C1.</summary>
    public static void NoOperation(ref FpuState fpu) => _ = fpu;

    public static void Pop(ref FpuState fpu)
    {
        fpu.Empty |= (byte)(1u << fpu.Top);
        fpu.Top = (byte)(fpu.Top + 1 & 7);
    }

    public static void MoveTop(ref FpuState fpu, int by)
    {
        fpu.Top = (byte)(fpu.Top + by & 7);
        fpu.Status &= unchecked((ushort)~Fsw.C1);
    }

    public static void ClearExceptions(ref FpuState fpu)
        => fpu.Status &= unchecked((ushort)~(Fsw.Exceptions | Fsw.StackFault | Fsw.Summary | Fsw.Busy));

    /// <summary>Takes over exceptions and C1; true when none of those found before the operation is unmasked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Raise(ref FpuState fpu, uint flags)
    {
        uint status = fpu.Status & ~Fsw.C1 | flags & (Fsw.Exceptions | Fsw.StackFault | Fsw.C1);
        uint unmasked = flags & ~(uint)fpu.Control & Fsw.Exceptions;
        if (unmasked != 0) status |= Fsw.Summary | Fsw.Busy;
        fpu.Status = (ushort)status;
        return (unmasked & Fsw.BeforeOperation) == 0;
    }

    private static void SetConditions(ref FpuState fpu, uint codes, uint which)
        => fpu.Status = (ushort)(fpu.Status & ~which | codes & which);

    /// <summary>An empty register was read: the indefinite goes to the destination when masked.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Underflow(ref FpuState fpu, uint destination, bool pop)
    {
        if (!Raise(ref fpu, Fsw.Invalid | Fsw.StackFault)) return;
        FpuState.St(ref fpu, destination) = Float80.Indefinite;
        MarkValid(ref fpu, destination);
        if (pop) Pop(ref fpu);
    }

    /// <summary>A push onto a full register: the indefinite is pushed when masked.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Overflow(ref FpuState fpu)
    {
        if (Raise(ref fpu, Fsw.Invalid | Fsw.StackFault | Fsw.C1)) PushUnchecked(ref fpu) = Float80.Indefinite;
    }

    /// <summary>FXTRACT, FSINCOS, FPTAN: an operand in ST(0) and room for one more.</summary>
    private static bool CanReplaceAndPush(ref FpuState fpu)
    {
        bool empty = fpu.IsEmpty(0), full = !fpu.IsEmpty(7);
        if (!empty && !full) return true;
        if (Raise(ref fpu, Fsw.Invalid | Fsw.StackFault | (empty ? 0 : Fsw.C1)))
        {
            FpuState.St(ref fpu, 0) = Float80.Indefinite;
            MarkValid(ref fpu, 0);
            PushUnchecked(ref fpu) = Float80.Indefinite;
        }
        return false;
    }

    private static ref Float80 PushUnchecked(ref FpuState fpu)
    {
        fpu.Top = (byte)(fpu.Top - 1 & 7);
        MarkValid(ref fpu, 0);
        return ref FpuState.St(ref fpu, 0);
    }

    private static void MarkValid(ref FpuState fpu, uint index) => fpu.Empty &= (byte)~(1u << (int)(fpu.Top + index & 7));
}
