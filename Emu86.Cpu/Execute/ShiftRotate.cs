// ROL, ROR, RCL, RCR, SHL (SAL), SHR, SAR, SHLD, SHRD (SDM vol. 1, 5.1.5). Where the manual leaves flags undefined these are
// the results of current Intel processors: docs/engine.md, "Undefined results".
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

public static unsafe class ShiftRotate
{
    public static void Rows(OpTable t)
    {
        All<Rol>(t, [Code.Rol_rm8_1, Code.Rol_rm16_1, Code.Rol_rm32_1, Code.Rol_rm8_CL, Code.Rol_rm16_CL, Code.Rol_rm32_CL, Code.Rol_rm8_imm8, Code.Rol_rm16_imm8, Code.Rol_rm32_imm8]);
        All<Ror>(t, [Code.Ror_rm8_1, Code.Ror_rm16_1, Code.Ror_rm32_1, Code.Ror_rm8_CL, Code.Ror_rm16_CL, Code.Ror_rm32_CL, Code.Ror_rm8_imm8, Code.Ror_rm16_imm8, Code.Ror_rm32_imm8]);
        All<Rcl>(t, [Code.Rcl_rm8_1, Code.Rcl_rm16_1, Code.Rcl_rm32_1, Code.Rcl_rm8_CL, Code.Rcl_rm16_CL, Code.Rcl_rm32_CL, Code.Rcl_rm8_imm8, Code.Rcl_rm16_imm8, Code.Rcl_rm32_imm8]);
        All<Rcr>(t, [Code.Rcr_rm8_1, Code.Rcr_rm16_1, Code.Rcr_rm32_1, Code.Rcr_rm8_CL, Code.Rcr_rm16_CL, Code.Rcr_rm32_CL, Code.Rcr_rm8_imm8, Code.Rcr_rm16_imm8, Code.Rcr_rm32_imm8]);
        All<Shl>(t, [Code.Shl_rm8_1, Code.Shl_rm16_1, Code.Shl_rm32_1, Code.Shl_rm8_CL, Code.Shl_rm16_CL, Code.Shl_rm32_CL, Code.Shl_rm8_imm8, Code.Shl_rm16_imm8, Code.Shl_rm32_imm8]);
        All<Shr>(t, [Code.Shr_rm8_1, Code.Shr_rm16_1, Code.Shr_rm32_1, Code.Shr_rm8_CL, Code.Shr_rm16_CL, Code.Shr_rm32_CL, Code.Shr_rm8_imm8, Code.Shr_rm16_imm8, Code.Shr_rm32_imm8]);
        All<Shl>(t, [Code.Sal_rm8_1, Code.Sal_rm16_1, Code.Sal_rm32_1, Code.Sal_rm8_CL, Code.Sal_rm16_CL, Code.Sal_rm32_CL, Code.Sal_rm8_imm8, Code.Sal_rm16_imm8, Code.Sal_rm32_imm8]);
        All<Sar>(t, [Code.Sar_rm8_1, Code.Sar_rm16_1, Code.Sar_rm32_1, Code.Sar_rm8_CL, Code.Sar_rm16_CL, Code.Sar_rm32_CL, Code.Sar_rm8_imm8, Code.Sar_rm16_imm8, Code.Sar_rm32_imm8]);

        Double<Shld, ushort, Immediate>(t, Code.Shld_rm16_r16_imm8);
        Double<Shld, ushort, Cl>(t, Code.Shld_rm16_r16_CL);
        Double<Shld, uint, Immediate>(t, Code.Shld_rm32_r32_imm8);
        Double<Shld, uint, Cl>(t, Code.Shld_rm32_r32_CL);
        Double<Shrd, ushort, Immediate>(t, Code.Shrd_rm16_r16_imm8);
        Double<Shrd, ushort, Cl>(t, Code.Shrd_rm16_r16_CL);
        Double<Shrd, uint, Immediate>(t, Code.Shrd_rm32_r32_imm8);
        Double<Shrd, uint, Cl>(t, Code.Shrd_rm32_r32_CL);
    }

    private static void All<TOp>(OpTable t, ReadOnlySpan<Code> codes) where TOp : struct, IShift
    {
        Row<TOp, byte, One>(t, codes[0]);
        Row<TOp, ushort, One>(t, codes[1]);
        Row<TOp, uint, One>(t, codes[2]);
        Row<TOp, byte, Cl>(t, codes[3]);
        Row<TOp, ushort, Cl>(t, codes[4]);
        Row<TOp, uint, Cl>(t, codes[5]);
        Row<TOp, byte, Immediate>(t, codes[6]);
        Row<TOp, ushort, Immediate>(t, codes[7]);
        Row<TOp, uint, Immediate>(t, codes[8]);
    }

    private static void Row<TOp, T, TCount>(OpTable t, Code code) where TOp : struct, IShift where T : unmanaged where TCount : struct, ICount =>
        t.Add(code, &Register<TOp, T, TCount>, &Memory<TOp, T, TCount, Flat>, &Memory<TOp, T, TCount, Seg32>, &Memory<TOp, T, TCount, Seg16>);

    private static void Double<TOp, T, TCount>(OpTable t, Code code) where TOp : struct, IDoubleShift where T : unmanaged where TCount : struct, ICount =>
        t.Add(code, &DoubleRegister<TOp, T, TCount>, &DoubleMemory<TOp, T, TCount, Flat>, &DoubleMemory<TOp, T, TCount, Seg32>,
            &DoubleMemory<TOp, T, TCount, Seg16>);

    private static void Register<TOp, T, TCount>(Ctx* c, Insn* i) where TOp : struct, IShift where T : unmanaged where TCount : struct, ICount
    {
        int count = TCount.Get(c, i);
        if (count != 0) Operand.Set<T>(c, i->Dst, Apply<TOp, T, TCount>(c, Operand.Get<T>(c, i->Dst), count));
        i[1].Fn(c, i + 1);
    }

    private static void Memory<TOp, T, TCount, TMem>(Ctx* c, Insn* i)
        where TOp : struct, IShift where T : unmanaged where TCount : struct, ICount where TMem : struct, IOperandMemory
    {
        T* place = TMem.Modify<T>(c, i);
        if (place == null) return;
        int count = TCount.Get(c, i);
        uint value = Operand.Load(place);
        if (count != 0) value = TOp.Do<T>(c, value, count);
        Linear.Commit(c, i, place, Operand.Narrow<T>(value)); // written even when the count is 0
        i[1].Fn(c, i + 1);
    }

    /// <summary>ROL and ROR of a register by an immediate other than 1 keep OF; all other forms change it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Apply<TOp, T, TCount>(Ctx* c, uint a, int count) where TOp : struct, IShift where T : unmanaged where TCount : struct, ICount
    {
        uint before = c->S.FlagAux, result = TOp.Do<T>(c, a, count);
        if (TOp.IsPlainRotate && TCount.IsImmediate && count != 1) Flags.SetCarryOverflow(c, c->S.FlagAux, before ^ (before << 1));
        return result;
    }

    private static void DoubleRegister<TOp, T, TCount>(Ctx* c, Insn* i) where TOp : struct, IDoubleShift where T : unmanaged where TCount : struct, ICount
    {
        int count = TCount.Get(c, i);
        if (count != 0) Operand.Set<T>(c, i->Dst, TOp.Do<T>(c, Operand.Get<T>(c, i->Dst), Operand.Get<T>(c, i->Src), count));
        i[1].Fn(c, i + 1);
    }

    private static void DoubleMemory<TOp, T, TCount, TMem>(Ctx* c, Insn* i)
        where TOp : struct, IDoubleShift where T : unmanaged where TCount : struct, ICount where TMem : struct, IOperandMemory
    {
        T* place = TMem.Modify<T>(c, i);
        if (place == null) return;
        int count = TCount.Get(c, i);
        uint value = Operand.Load(place);
        if (count != 0) value = TOp.Do<T>(c, value, Operand.Get<T>(c, i->Src), count);
        Linear.Commit(c, i, place, Operand.Narrow<T>(value));
        i[1].Fn(c, i + 1);
    }

    /// <summary>Where the count comes from. All counts are taken modulo 32.</summary>
    internal interface ICount
    {
        static abstract int Get(Ctx* c, Insn* i);

        static abstract bool IsImmediate { get; }
    }

    internal readonly struct One : ICount
    {
        public static bool IsImmediate => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Get(Ctx* c, Insn* i) => 1;
    }

    internal readonly struct Immediate : ICount
    {
        public static bool IsImmediate => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Get(Ctx* c, Insn* i) => (int)i->Imm & 31;
    }

    internal readonly struct Cl : ICount
    {
        public static bool IsImmediate => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Get(Ctx* c, Insn* i) => (int)c->S.R[Gpr.Ecx] & 31;
    }

    /// <summary>A shift or rotate of <c>a</c> (zero-extended) by 1 to 31; sets the flags.</summary>
    internal interface IShift
    {
        /// <summary>ROL and ROR.</summary>
        static abstract bool IsPlainRotate { get; }

        static abstract uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged;
    }

    /// <summary>SHLD, SHRD: <c>b</c> supplies the bits that come in. Widths 16 and 32, counts 1 to 31.</summary>
    internal interface IDoubleShift
    {
        static abstract uint Do<T>(Ctx* c, uint a, uint b, int count) where T : unmanaged;
    }

    /// <summary>The operand with its sign bit in bit 31.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Top<T>(uint a) where T : unmanaged => a << (32 - Operand.Bits<T>());

    // OF is defined for a count of 1 only. For every count it is what it would be after a shift by 1.

    internal readonly struct Shl : IShift
    {
        public static bool IsPlainRotate => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged
        {
            uint result = a << count, top = Top<T>(a);
            Flags.SetResult<T>(c, result, top << (count - 1), top ^ (top << 1));
            return result;
        }
    }

    internal readonly struct Shr : IShift
    {
        public static bool IsPlainRotate => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged
        {
            uint result = a >> count;
            Flags.SetResult<T>(c, result, a << (32 - count), Top<T>(a));
            return result;
        }
    }

    internal readonly struct Sar : IShift
    {
        public static bool IsPlainRotate => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged
        {
            int value = (int)Flags.Extend<T>(a);
            uint result = (uint)(value >> count);
            Flags.SetResult<T>(c, result, (uint)value << (32 - count), 0);
            return result;
        }
    }

    internal readonly struct Rol : IShift
    {
        public static bool IsPlainRotate => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged
        {
            int turn = count & (Operand.Bits<T>() - 1);
            uint top = Top<T>(a);
            // For the narrow widths a turn of 0 shifts right by the whole width: nothing comes in, which is right.
            uint result = sizeof(T) == 4 ? (a << turn) | (a >> (-turn & 31)) : (a << turn) | (a >> (Operand.Bits<T>() - turn));
            Flags.SetCarryOverflow(c, result << 31, top ^ (top << 1));
            return result;
        }
    }

    internal readonly struct Ror : IShift
    {
        public static bool IsPlainRotate => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged
        {
            int turn = count & (Operand.Bits<T>() - 1);
            uint result = sizeof(T) == 4 ? (a >> turn) | (a << (-turn & 31)) : (a >> turn) | (a << (Operand.Bits<T>() - turn));
            Flags.SetCarryOverflow(c, Top<T>(result), Top<T>(a) ^ (a << 31));
            return result;
        }
    }

    // Rotates through CF turn width + 1 bits; a turn of all of them changes nothing, not even flags.

    internal readonly struct Rcl : IShift
    {
        public static bool IsPlainRotate => false;

        public static uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged
        {
            int width = Operand.Bits<T>(), turn = count % (width + 1);
            if (turn == 0) return a;
            ulong value = a | ((ulong)Flags.Carry(c) << width);
            ulong result = (value << turn) | (value >> (width + 1 - turn));
            uint top = Top<T>(a);
            Flags.SetCarryOverflow(c, (uint)(result >> width) << 31, top ^ (top << 1));
            return (uint)result;
        }
    }

    internal readonly struct Rcr : IShift
    {
        public static bool IsPlainRotate => false;

        public static uint Do<T>(Ctx* c, uint a, int count) where T : unmanaged
        {
            int width = Operand.Bits<T>(), turn = count % (width + 1);
            if (turn == 0) return a;
            uint carry = Flags.Carry(c);
            ulong value = a | ((ulong)carry << width);
            ulong result = (value >> turn) | (value << (width + 1 - turn));
            Flags.SetCarryOverflow(c, (uint)(result >> width) << 31, Top<T>(a) ^ (carry << 31));
            return (uint)result;
        }
    }

    // 16-bit double shifts by more than 16 go on with the bits of the destination: the operand is a:b:a.

    internal readonly struct Shld : IDoubleShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b, int count) where T : unmanaged
        {
            uint top = Top<T>(a);
            ulong bits = sizeof(T) == 4 ? ((ulong)a << 32) | b : ((ulong)a << 48) | ((ulong)b << 32) | ((ulong)a << 16);
            uint result = (uint)((bits << count) >> (64 - Operand.Bits<T>()));
            Flags.SetResult<T>(c, result, (uint)((bits << (count - 1)) >> 32), top ^ (top << 1));
            return result;
        }
    }

    internal readonly struct Shrd : IDoubleShift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b, int count) where T : unmanaged
        {
            ulong bits = sizeof(T) == 4 ? ((ulong)b << 32) | a : ((ulong)a << 32) | ((ulong)b << 16) | a;
            uint result = (uint)(bits >> count);
            Flags.SetResult<T>(c, result, (uint)(bits >> (count - 1)) << 31, Top<T>(a) ^ (b << 31));
            return result;
        }
    }
}
