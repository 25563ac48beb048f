// The status flags, kept as (result, carries) and computed only when something looks at them (SDM vol. 1, 3.4.3).
//   FlagResult: the result, sign-extended to 32 bits.  ZF = (FlagResult == 0)
//   FlagAux:    bit 31 CF; bit 30 carry into the sign bit (OF = bit 31 ^ bit 30); bit 3 AF;
//               bit 4 inverts SF; bits 15:8 are xored to the low byte before PF (both only where flags are set explicitly).
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Emu86.Cpu;

public static unsafe class Flags
{
    public const uint Cf = 1, Fixed1 = 2, Pf = 4, Af = 0x10, Zf = 0x40, Sf = 0x80, Tf = 0x100, If = 0x200, Df = 0x400, Of = 0x800,
        Iopl = 0x3000, Nt = 0x4000, Rf = 0x1_0000, Vm = 0x2_0000, Ac = 0x4_0000, Vif = 0x8_0000, Vip = 0x10_0000, Id = 0x20_0000;

    public const uint Status = Cf | Pf | Af | Zf | Sf | Of;

    private const uint AuxCarry = 0x8000_0000, AuxInto = 0x4000_0000, AuxAf = 8, AuxSf = 0x10;

    /// <summary>The low bit is set where the byte has an odd number of ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint OddParity(uint value) => (uint)BitOperations.PopCount(value & 0xff) & 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool CfOf(Ctx* c) => (int)c->S.FlagAux < 0;

    /// <summary>CF as 0 or 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Carry(Ctx* c) => c->S.FlagAux >> 31;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool ZfOf(Ctx* c) => c->S.FlagResult == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool SfOf(Ctx* c) => (int)(c->S.FlagResult ^ (c->S.FlagAux << 27)) < 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfOf(Ctx* c) => (int)(c->S.FlagAux ^ (c->S.FlagAux << 1)) < 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AfOf(Ctx* c) => (c->S.FlagAux & AuxAf) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool PfOf(Ctx* c) => OddParity(c->S.FlagResult ^ (c->S.FlagAux >> 8)) == 0;

    /// <summary>All of EFLAGS. Without branches, as <see cref="SetStatus"/>: translated code comes and goes with any flags, which nothing
    /// could predict.</summary>
    public static uint Get(Ctx* c)
    {
        uint result = c->S.FlagResult, aux = c->S.FlagAux;
        uint even = OddParity(result ^ (aux >> 8)) ^ 1, zero = result == 0 ? 1u : 0;
        return c->S.SystemFlags | aux >> 31 | even << 2 | (aux & AuxAf) << 1 | zero << 6 | ((result ^ aux << 27) >> 24 & Sf) | ((aux ^ aux << 1) >> 20 & Of);
    }

    /// <summary>Sets the six status flags from an EFLAGS image, in canonical form; the others stay.</summary>
    public static void SetStatus(Ctx* c, uint eflags)
    {
        uint zero = eflags >> 6 & 1, carry = eflags & 1;
        c->S.FlagResult = zero ^ 1;
        // The low byte of a result of 0 has even parity, of 1 odd.
        c->S.FlagAux = carry << 31 | (carry ^ (eflags >> 11 & 1)) << 30 | (eflags & Af) >> 1 | (eflags & Sf) >> 3 | ((eflags >> 2 & 1) ^ zero) << 8;
    }

    /// <summary>Sets all of EFLAGS without any check (state load, task switch, tests).</summary>
    public static void SetAll(Ctx* c, uint eflags)
    {
        SetStatus(c, eflags);
        c->S.SystemFlags = (eflags & ~Status & 0x3f_7fd5) | Fixed1;
    }

    /// <summary>Brings the lazy form to the one form that stands for these flags, so that equal flags are equal bytes.</summary>
    public static void MakeCanonical(Ctx* c) => SetStatus(c, Get(c));

    /// <summary>Sets or clears CF alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCarry(Ctx* c, bool carry)
    {
        // OF is the difference of bits 31 and 30: both flip together.
        if (CfOf(c) != carry) c->S.FlagAux ^= AuxCarry | AuxInto;
    }

    /// <summary>Flags of <c>result = a + b (+ carry)</c> in the width of <typeparamref name="T"/> (8, 16 or 32 bits, zero-extended values).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add<T>(Ctx* c, uint a, uint b, uint result) where T : unmanaged => Set<T>(c, result, (a & b) | ((a | b) & ~result));

    /// <summary>Flags of <c>result = a - b (- carry)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sub<T>(Ctx* c, uint a, uint b, uint result) where T : unmanaged => Set<T>(c, result, (~a & b) | ((~a | b) & result));

    /// <summary>Flags of AND, OR, XOR and TEST: CF, OF and (by our definition) AF are 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Logic<T>(Ctx* c, uint result) where T : unmanaged
    {
        c->S.FlagResult = Extend<T>(result);
        c->S.FlagAux = 0;
    }

    /// <summary>INC: the carry out of a bit is that it went from 1 to 0; the sign overflows when it went from 0 to 1. CF stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Increment<T>(Ctx* c, uint a, uint result) where T : unmanaged => KeepCarry<T>(c, result, ~a & result, a & ~result);

    /// <summary>DEC: the other way round.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Decrement<T>(Ctx* c, uint a, uint result) where T : unmanaged => KeepCarry<T>(c, result, a & ~result, ~a & result);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KeepCarry<T>(Ctx* c, uint result, uint overflow, uint auxiliary) where T : unmanaged
    {
        uint carry = c->S.FlagAux & AuxCarry;
        c->S.FlagResult = Extend<T>(result);
        c->S.FlagAux = carry | ((((overflow << (32 - 8 * sizeof(T))) ^ carry) >> 1) & AuxInto) | (auxiliary & AuxAf);
    }

    /// <summary>Result with CF and OF given as the sign bits of two words; AF is 0 (shifts).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetResult<T>(Ctx* c, uint result, uint carrySign, uint overflowSign) where T : unmanaged
    {
        c->S.FlagResult = Extend<T>(result);
        c->S.FlagAux = CarryAndOverflow(carrySign, overflowSign);
    }

    /// <summary>CF and OF as the sign bits of two words; the other flags stay (rotates).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCarryOverflow(Ctx* c, uint carrySign, uint overflowSign) =>
        c->S.FlagAux = (c->S.FlagAux & ~(AuxCarry | AuxInto)) | CarryAndOverflow(carrySign, overflowSign);

    /// <summary>SF and PF of <paramref name="result"/>, ZF and AF 0, CF and OF both <paramref name="carry"/> (multiplications, bit scans).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetNotZero<T>(Ctx* c, uint result, bool carry) where T : unmanaged
    {
        c->S.FlagResult = Extend<T>(result) | 0x100; // a bit that neither SF nor PF looks at
        c->S.FlagAux = carry ? AuxCarry : 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint CarryAndOverflow(uint carrySign, uint overflowSign) =>
        (carrySign & AuxCarry) | (((carrySign ^ overflowSign) >> 1) & AuxInto);

    /// <summary>Sign-extends a value of the width of <typeparamref name="T"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Extend<T>(uint value) where T : unmanaged =>
        sizeof(T) == 1 ? (uint)(sbyte)value : sizeof(T) == 2 ? (uint)(short)value : value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Set<T>(Ctx* c, uint result, uint carries) where T : unmanaged
    {
        c->S.FlagResult = Extend<T>(result);
        c->S.FlagAux = ((carries << (32 - 8 * sizeof(T))) & (AuxCarry | AuxInto)) | (carries & AuxAf);
    }
}
