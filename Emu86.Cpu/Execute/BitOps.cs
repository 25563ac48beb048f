// BT, BTS, BTR, BTC, BSF, BSR, BSWAP, SETcc (SDM vol. 1, 5.1.6 and 5.1.3).
using System.Numerics;
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Emu86.Cpu.Execute.Conditions;

namespace Emu86.Cpu.Execute;

public static unsafe class BitOps
{
    public static void Rows(OpTable t)
    {
        ByRegister<Bt, ushort>(t, Code.Bt_rm16_r16);
        ByRegister<Bt, uint>(t, Code.Bt_rm32_r32);
        Forms.RmImm<Bt, ushort>(t, Code.Bt_rm16_imm8);
        Forms.RmImm<Bt, uint>(t, Code.Bt_rm32_imm8);
        ByRegister<Bts, ushort>(t, Code.Bts_rm16_r16);
        ByRegister<Bts, uint>(t, Code.Bts_rm32_r32);
        Forms.RmImm<Bts, ushort>(t, Code.Bts_rm16_imm8, OpFlags.Lockable);
        Forms.RmImm<Bts, uint>(t, Code.Bts_rm32_imm8, OpFlags.Lockable);
        ByRegister<Btr, ushort>(t, Code.Btr_rm16_r16);
        ByRegister<Btr, uint>(t, Code.Btr_rm32_r32);
        Forms.RmImm<Btr, ushort>(t, Code.Btr_rm16_imm8, OpFlags.Lockable);
        Forms.RmImm<Btr, uint>(t, Code.Btr_rm32_imm8, OpFlags.Lockable);
        ByRegister<Btc, ushort>(t, Code.Btc_rm16_r16);
        ByRegister<Btc, uint>(t, Code.Btc_rm32_r32);
        Forms.RmImm<Btc, ushort>(t, Code.Btc_rm16_imm8, OpFlags.Lockable);
        Forms.RmImm<Btc, uint>(t, Code.Btc_rm32_imm8, OpFlags.Lockable);

        // Without BMI1 and ABM the F3 prefix means nothing: these are BSF and BSR.
        Scan<Forward, ushort>(t, Code.Bsf_r16_rm16);
        Scan<Forward, uint>(t, Code.Bsf_r32_rm32);
        Scan<Forward, ushort>(t, Code.Tzcnt_r16_rm16);
        Scan<Forward, uint>(t, Code.Tzcnt_r32_rm32);
        Scan<Reverse, ushort>(t, Code.Bsr_r16_rm16);
        Scan<Reverse, uint>(t, Code.Bsr_r32_rm32);
        Scan<Reverse, ushort>(t, Code.Lzcnt_r16_rm16);
        Scan<Reverse, uint>(t, Code.Lzcnt_r32_rm32);

        t.Add(Code.Bswap_r16, &Bswap16);
        t.Add(Code.Bswap_r32, &Bswap32);

        Set<O>(t, Code.Seto_rm8);
        Set<No>(t, Code.Setno_rm8);
        Set<B>(t, Code.Setb_rm8);
        Set<Ae>(t, Code.Setae_rm8);
        Set<E>(t, Code.Sete_rm8);
        Set<Ne>(t, Code.Setne_rm8);
        Set<Be>(t, Code.Setbe_rm8);
        Set<A>(t, Code.Seta_rm8);
        Set<S>(t, Code.Sets_rm8);
        Set<Ns>(t, Code.Setns_rm8);
        Set<P>(t, Code.Setp_rm8);
        Set<Np>(t, Code.Setnp_rm8);
        Set<L>(t, Code.Setl_rm8);
        Set<Ge>(t, Code.Setge_rm8);
        Set<Le>(t, Code.Setle_rm8);
        Set<G>(t, Code.Setg_rm8);
    }

    private static void ByRegister<TOp, T>(OpTable t, Code code) where TOp : struct, IBinary where T : unmanaged =>
        t.Add(code, &Forms.RegReg<TOp, T>, &BitString<TOp, T, Flat>, &BitString<TOp, T, Seg32>, &BitString<TOp, T, Seg16>,
            TOp.Writes ? OpFlags.Lockable : OpFlags.None);

    private static void Scan<TOp, T>(OpTable t, Code code) where TOp : struct, IScan where T : unmanaged =>
        t.Add(code, &ScanReg<TOp, T>, &ScanMem<TOp, T, Flat>, &ScanMem<TOp, T, Seg32>, &ScanMem<TOp, T, Seg16>);

    private static void Set<TCondition>(OpTable t, Code code) where TCondition : struct, ICondition =>
        t.Add(code, &SetReg<TCondition>, &SetMem<TCondition, Flat>, &SetMem<TCondition, Seg32>, &SetMem<TCondition, Seg16>);

    /// <summary>A bit string in memory: the register is a signed bit offset from the operand's address, in units of the operand size.</summary>
    private static void BitString<TOp, T, TMem>(Ctx* c, Insn* i) where TOp : struct, IBinary where T : unmanaged where TMem : struct, IOperandMemory
    {
        uint bit = Operand.Get<T>(c, i->Src);
        int unit = (int)Flags.Extend<T>(bit) >> (sizeof(T) == 2 ? 4 : 5);
        if (!TMem.Locate(c, i, (uint)(unit * sizeof(T)), (uint)sizeof(T), TOp.Writes)) return;
        T* place = TOp.Writes ? Linear.Modify<T>(c, i, c->Located) : Linear.Read<T>(c, i, c->Located);
        if (place == null) return;
        uint result = TOp.Do<T>(c, Operand.Load(place), bit);
        if (TOp.Writes) Linear.Commit(c, i, place, Operand.Narrow<T>(result));
        i[1].Fn(c, i + 1);
    }

    private static void ScanReg<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IScan where T : unmanaged
    {
        uint source = Operand.Get<T>(c, i->Src);
        Operand.Set<T>(c, i->Dst, TOp.Do(c, source, Operand.Get<T>(c, i->Dst)));
        i[1].Fn(c, i + 1);
    }

    private static void ScanMem<TOp, T, TMem>(Ctx* c, Insn* i) where TOp : struct, IScan where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null) return;
        Operand.Set<T>(c, i->Dst, TOp.Do(c, Operand.Load(place), Operand.Get<T>(c, i->Dst)));
        i[1].Fn(c, i + 1);
    }

    private static void Bswap32(Ctx* c, Insn* i)
    {
        uint value = Operand.Get<uint>(c, i->Dst);
        Operand.Set<uint>(c, i->Dst, (value >> 24) | ((value >> 8) & 0xff00) | ((value << 8) & 0xff_0000) | (value << 24));
        i[1].Fn(c, i + 1);
    }

    /// <summary>Undefined in the manual; processors clear the register.</summary>
    private static void Bswap16(Ctx* c, Insn* i)
    {
        Operand.Set<ushort>(c, i->Dst, 0);
        i[1].Fn(c, i + 1);
    }

    private static void SetReg<TCondition>(Ctx* c, Insn* i) where TCondition : struct, ICondition
    {
        Operand.Set<byte>(c, i->Dst, TCondition.Holds(c) ? 1u : 0u);
        i[1].Fn(c, i + 1);
    }

    private static void SetMem<TCondition, TMem>(Ctx* c, Insn* i) where TCondition : struct, ICondition where TMem : struct, IOperandMemory
    {
        if (!TMem.Write(c, i, (byte)(TCondition.Holds(c) ? 1 : 0))) return;
        i[1].Fn(c, i + 1);
    }

    /// <summary>CF = the bit; returns its mask.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Test<T>(Ctx* c, uint a, uint number) where T : unmanaged
    {
        uint mask = 1u << ((int)number & (Operand.Bits<T>() - 1));
        Flags.SetCarry(c, (a & mask) != 0);
        return mask;
    }

    internal readonly struct Bt : IBinary
    {
        public static bool Writes => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            _ = Test<T>(c, a, b);
            return a;
        }
    }

    internal readonly struct Bts : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged => a | Test<T>(c, a, b);
    }

    internal readonly struct Btr : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged => a & ~Test<T>(c, a, b);
    }

    internal readonly struct Btc : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged => a ^ Test<T>(c, a, b);
    }

    internal interface IScan
    {
        /// <summary>The bit number, or <paramref name="before"/> where no bit is set.</summary>
        static abstract uint Do(Ctx* c, uint source, uint before);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint ScanResult(Ctx* c, uint source, uint number, uint before)
    {
        if (source == 0)
        {
            Flags.Logic<uint>(c, 0);
            return before;
        }
        Flags.SetNotZero<uint>(c, number, false);
        return number;
    }

    internal readonly struct Forward : IScan
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do(Ctx* c, uint source, uint before) => ScanResult(c, source, (uint)BitOperations.TrailingZeroCount(source), before);
    }

    internal readonly struct Reverse : IScan
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do(Ctx* c, uint source, uint before) => ScanResult(c, source, (uint)BitOperations.Log2(source), before);
    }
}
