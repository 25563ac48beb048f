// MUL, IMUL, DIV, IDIV (SDM vol. 1, 5.1.2). SF, ZF, AF, PF after a multiplication and all flags after a division are
// undefined in the manual: docs/engine.md, "Undefined results".
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

public static unsafe class MulDiv
{
    public static void Rows(OpTable t)
    {
        Accumulator<Mul, byte>(t, Code.Mul_rm8);
        Accumulator<Mul, ushort>(t, Code.Mul_rm16);
        Accumulator<Mul, uint>(t, Code.Mul_rm32);
        Accumulator<Imul, byte>(t, Code.Imul_rm8);
        Accumulator<Imul, ushort>(t, Code.Imul_rm16);
        Accumulator<Imul, uint>(t, Code.Imul_rm32);
        Accumulator<Div, byte>(t, Code.Div_rm8);
        Accumulator<Div, ushort>(t, Code.Div_rm16);
        Accumulator<Div, uint>(t, Code.Div_rm32);
        Accumulator<Idiv, byte>(t, Code.Idiv_rm8);
        Accumulator<Idiv, ushort>(t, Code.Idiv_rm16);
        Accumulator<Idiv, uint>(t, Code.Idiv_rm32);

        Forms.RegRm<ImulTwo, ushort>(t, Code.Imul_r16_rm16);
        Forms.RegRm<ImulTwo, uint>(t, Code.Imul_r32_rm32);
#pragma warning disable format // aligned by hand
        t.Add(Code.Imul_r16_rm16_imm16, &ImulReg<ushort>, &ImulMem<ushort, Flat>, &ImulMem<ushort, Seg32>, &ImulMem<ushort, Seg16>);
        t.Add(Code.Imul_r16_rm16_imm8,  &ImulReg<ushort>, &ImulMem<ushort, Flat>, &ImulMem<ushort, Seg32>, &ImulMem<ushort, Seg16>);
        t.Add(Code.Imul_r32_rm32_imm32, &ImulReg<uint>,   &ImulMem<uint, Flat>,   &ImulMem<uint, Seg32>,   &ImulMem<uint, Seg16>);
        t.Add(Code.Imul_r32_rm32_imm8,  &ImulReg<uint>,   &ImulMem<uint, Flat>,   &ImulMem<uint, Seg32>,   &ImulMem<uint, Seg16>);
#pragma warning restore format
    }

    private static void Accumulator<TOp, T>(OpTable t, Code code) where TOp : struct, IAccumulator where T : unmanaged =>
        t.Add(code, &Reg<TOp, T>, &Mem<TOp, T, Flat>, &Mem<TOp, T, Seg32>, &Mem<TOp, T, Seg16>);

    /// <summary>An operation on the accumulator (AX, DX:AX or EDX:EAX) and one operand.</summary>
    internal interface IAccumulator
    {
        /// <summary>False: #DE, nothing was changed.</summary>
        static abstract bool Do<T>(Ctx* c, uint operand) where T : unmanaged;
    }

    private static void Reg<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IAccumulator where T : unmanaged
    {
        if (!TOp.Do<T>(c, Operand.Get<T>(c, i->Dst)))
        {
            Ctx.Fault(c, i, Vector.De);
            return;
        }
        i[1].Fn(c, i + 1);
    }

    private static void Mem<TOp, T, TMem>(Ctx* c, Insn* i) where TOp : struct, IAccumulator where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null) return;
        if (!TOp.Do<T>(c, Operand.Load(place)))
        {
            Ctx.Fault(c, i, Vector.De);
            return;
        }
        i[1].Fn(c, i + 1);
    }

    private static void ImulReg<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        Operand.Set<T>(c, i->Dst, ImulTwo.Do<T>(c, Operand.Get<T>(c, i->Src), i->Imm));
        i[1].Fn(c, i + 1);
    }

    private static void ImulMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null) return;
        Operand.Set<T>(c, i->Dst, ImulTwo.Do<T>(c, Operand.Load(place), i->Imm));
        i[1].Fn(c, i + 1);
    }

    /// <summary>The double-width accumulator: AX, DX:AX, EDX:EAX.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Wide<T>(Ctx* c) where T : unmanaged => sizeof(T) switch
    {
        1 => (ushort)c->S.R[Gpr.Eax],
        2 => (c->S.R[Gpr.Edx] << 16) | (ushort)c->S.R[Gpr.Eax],
        _ => ((ulong)c->S.R[Gpr.Edx] << 32) | c->S.R[Gpr.Eax],
    };

    /// <summary>Low and high half of the accumulator: AL and AH, AX and DX, EAX and EDX.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetHalves<T>(Ctx* c, uint low, uint high) where T : unmanaged
    {
        Operand.Set<T>(c, 0, low);
        Operand.Set<T>(c, sizeof(T) == 1 ? (byte)1 : (byte)(4 * Gpr.Edx), high);
    }

    internal readonly struct Mul : IAccumulator
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Do<T>(Ctx* c, uint operand) where T : unmanaged
        {
            ulong product = (ulong)Operand.Get<T>(c, 0) * operand;
            uint high = (uint)(product >> Operand.Bits<T>());
            SetHalves<T>(c, (uint)product, high);
            Flags.SetNotZero<T>(c, (uint)product, high != 0);
            return true;
        }
    }

    internal readonly struct Imul : IAccumulator
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Do<T>(Ctx* c, uint operand) where T : unmanaged
        {
            long product = (long)(int)Flags.Extend<T>(Operand.Get<T>(c, 0)) * (int)Flags.Extend<T>(operand);
            SetHalves<T>(c, (uint)product, (uint)(product >> Operand.Bits<T>()));
            Flags.SetNotZero<T>(c, (uint)product, (int)Flags.Extend<T>((uint)product) != product);
            return true;
        }
    }

    internal readonly struct ImulTwo : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            long product = (long)(int)Flags.Extend<T>(a) * (int)Flags.Extend<T>(b);
            Flags.SetNotZero<T>(c, (uint)product, (int)Flags.Extend<T>((uint)product) != product);
            return (uint)product;
        }
    }

    internal readonly struct Div : IAccumulator
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Do<T>(Ctx* c, uint operand) where T : unmanaged
        {
            ulong dividend = Wide<T>(c);
            // The quotient fits exactly when the high half is below the divisor; this also catches 0.
            if (dividend >> Operand.Bits<T>() >= operand) return false;
            ulong quotient = dividend / operand;
            SetHalves<T>(c, (uint)quotient, (uint)(dividend - quotient * operand));
            return true;
        }
    }

    internal readonly struct Idiv : IAccumulator
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Do<T>(Ctx* c, uint operand) where T : unmanaged
        {
            ulong wide = Wide<T>(c);
            long dividend = sizeof(T) == 1 ? (short)wide : sizeof(T) == 2 ? (int)wide : (long)wide;
            long divisor = (int)Flags.Extend<T>(operand);
            // -2^63 / -1 would trap on the host; no dividend of that size has a quotient that fits.
            if (divisor == 0 || dividend == long.MinValue) return false;
            long quotient = dividend / divisor;
            if ((int)Flags.Extend<T>((uint)quotient) != quotient) return false;
            SetHalves<T>(c, (uint)quotient, (uint)(dividend - quotient * divisor));
            return true;
        }
    }
}
