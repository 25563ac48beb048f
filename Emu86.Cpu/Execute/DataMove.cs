// MOV, MOVZX, MOVSX, XCHG, LEA, CMOVcc, XLAT, CBW … CDQ, LAHF, SAHF, single-flag instructions, NOP (SDM vol. 1, 5.1.1, 5.1.13).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Emu86.Cpu.Execute.Conditions;

namespace Emu86.Cpu.Execute;

public static unsafe class DataMove
{
    public static void Rows(OpTable t)
    {
        Store<byte>(t, Code.Mov_rm8_r8);
        Load<byte>(t, Code.Mov_r8_rm8);
        t.Add(Code.Mov_r8_imm8, &MovRegImm<byte>);
        t.Add(Code.Mov_rm8_imm8, &MovRegImm<byte>, &MovMemImm<byte, Flat>, &MovMemImm<byte, Seg32>, &MovMemImm<byte, Seg16>);
        t.Add(Code.Xchg_rm8_r8, &XchgReg<byte>, &XchgMem<byte, Flat>, &XchgMem<byte, Seg32>, &XchgMem<byte, Seg16>, OpFlags.Lockable);
        Store<ushort>(t, Code.Mov_rm16_r16);
        Load<ushort>(t, Code.Mov_r16_rm16);
        t.Add(Code.Mov_r16_imm16, &MovRegImm<ushort>);
        t.Add(Code.Mov_rm16_imm16, &MovRegImm<ushort>, &MovMemImm<ushort, Flat>, &MovMemImm<ushort, Seg32>, &MovMemImm<ushort, Seg16>);
        t.Add(Code.Xchg_rm16_r16, &XchgReg<ushort>, &XchgMem<ushort, Flat>, &XchgMem<ushort, Seg32>, &XchgMem<ushort, Seg16>, OpFlags.Lockable);
        Store<uint>(t, Code.Mov_rm32_r32);
        Load<uint>(t, Code.Mov_r32_rm32);
        t.Add(Code.Mov_r32_imm32, &MovRegImm<uint>);
        t.Add(Code.Mov_rm32_imm32, &MovRegImm<uint>, &MovMemImm<uint, Flat>, &MovMemImm<uint, Seg32>, &MovMemImm<uint, Seg16>);
        t.Add(Code.Xchg_rm32_r32, &XchgReg<uint>, &XchgMem<uint, Flat>, &XchgMem<uint, Seg32>, &XchgMem<uint, Seg16>, OpFlags.Lockable);

        Load<byte>(t, Code.Mov_AL_moffs8);
        Load<ushort>(t, Code.Mov_AX_moffs16);
        Load<uint>(t, Code.Mov_EAX_moffs32);

        // op moffs, accumulator: the register is always AL, AX or EAX, whatever operand slot the decoder gives it.
        Store<byte>(t, Code.Mov_moffs8_AL);
        Store<ushort>(t, Code.Mov_moffs16_AX);
        Store<uint>(t, Code.Mov_moffs32_EAX);

        t.Add(Code.Xchg_r16_AX, &XchgReg<ushort>);
        t.Add(Code.Xchg_r32_EAX, &XchgReg<uint>);

        Extend<Zero, ushort, byte>(t, Code.Movzx_r16_rm8);
        Extend<Zero, ushort, ushort>(t, Code.Movzx_r16_rm16);
        Extend<Zero, uint, byte>(t, Code.Movzx_r32_rm8);
        Extend<Zero, uint, ushort>(t, Code.Movzx_r32_rm16);
        Extend<Sign, ushort, byte>(t, Code.Movsx_r16_rm8);
        Extend<Sign, ushort, ushort>(t, Code.Movsx_r16_rm16);
        Extend<Sign, uint, byte>(t, Code.Movsx_r32_rm8);
        Extend<Sign, uint, ushort>(t, Code.Movsx_r32_rm16);

        t.Add(Code.Lea_r16_m, null, &Lea<ushort, Flat>, &Lea<ushort, Seg32>, &Lea<ushort, Seg16>);
        t.Add(Code.Lea_r32_m, null, &Lea<uint, Flat>, &Lea<uint, Seg32>, &Lea<uint, Seg16>);

        Cmov<O, ushort>(t, Code.Cmovo_r16_rm16);
        Cmov<O, uint>(t, Code.Cmovo_r32_rm32);
        Cmov<No, ushort>(t, Code.Cmovno_r16_rm16);
        Cmov<No, uint>(t, Code.Cmovno_r32_rm32);
        Cmov<B, ushort>(t, Code.Cmovb_r16_rm16);
        Cmov<B, uint>(t, Code.Cmovb_r32_rm32);
        Cmov<Ae, ushort>(t, Code.Cmovae_r16_rm16);
        Cmov<Ae, uint>(t, Code.Cmovae_r32_rm32);
        Cmov<E, ushort>(t, Code.Cmove_r16_rm16);
        Cmov<E, uint>(t, Code.Cmove_r32_rm32);
        Cmov<Ne, ushort>(t, Code.Cmovne_r16_rm16);
        Cmov<Ne, uint>(t, Code.Cmovne_r32_rm32);
        Cmov<Be, ushort>(t, Code.Cmovbe_r16_rm16);
        Cmov<Be, uint>(t, Code.Cmovbe_r32_rm32);
        Cmov<A, ushort>(t, Code.Cmova_r16_rm16);
        Cmov<A, uint>(t, Code.Cmova_r32_rm32);
        Cmov<S, ushort>(t, Code.Cmovs_r16_rm16);
        Cmov<S, uint>(t, Code.Cmovs_r32_rm32);
        Cmov<Ns, ushort>(t, Code.Cmovns_r16_rm16);
        Cmov<Ns, uint>(t, Code.Cmovns_r32_rm32);
        Cmov<P, ushort>(t, Code.Cmovp_r16_rm16);
        Cmov<P, uint>(t, Code.Cmovp_r32_rm32);
        Cmov<Np, ushort>(t, Code.Cmovnp_r16_rm16);
        Cmov<Np, uint>(t, Code.Cmovnp_r32_rm32);
        Cmov<L, ushort>(t, Code.Cmovl_r16_rm16);
        Cmov<L, uint>(t, Code.Cmovl_r32_rm32);
        Cmov<Ge, ushort>(t, Code.Cmovge_r16_rm16);
        Cmov<Ge, uint>(t, Code.Cmovge_r32_rm32);
        Cmov<Le, ushort>(t, Code.Cmovle_r16_rm16);
        Cmov<Le, uint>(t, Code.Cmovle_r32_rm32);
        Cmov<G, ushort>(t, Code.Cmovg_r16_rm16);
        Cmov<G, uint>(t, Code.Cmovg_r32_rm32);

        t.Add(Code.Xlat_m8, null, &Xlat<Flat>, &Xlat<Seg32>, &Xlat<Seg16>);
        t.Add(Code.Cbw, &Cbw);
        t.Add(Code.Cwde, &Cwde);
        t.Add(Code.Cwd, &Cwd);
        t.Add(Code.Cdq, &Cdq);
        t.Add(Code.Lahf, &Lahf);
        t.Add(Code.Sahf, &Sahf);
        t.Add(Code.Salc, &Salc);
        t.Add(Code.Clc, &Clc);
        t.Add(Code.Stc, &Stc);
        t.Add(Code.Cmc, &Cmc);
        t.Add(Code.Cld, &Cld);
        t.Add(Code.Std, &Std);

        t.Add(Code.Nopw, &Nop);
        t.Add(Code.Nopd, &Nop);
        t.Add(Code.Pause, &Nop);
        foreach (Code hint in (ReadOnlySpan<Code>)[
            Code.Nop_rm16, Code.Nop_rm32, Code.Reservednop_rm16_r16_0F0D, Code.Reservednop_rm32_r32_0F0D,
            Code.Reservednop_rm16_r16_0F18, Code.Reservednop_rm32_r32_0F18, Code.Reservednop_rm16_r16_0F19,
            Code.Reservednop_rm32_r32_0F19, Code.Reservednop_rm16_r16_0F1A, Code.Reservednop_rm32_r32_0F1A,
            Code.Reservednop_rm16_r16_0F1B, Code.Reservednop_rm32_r32_0F1B, Code.Reservednop_rm16_r16_0F1C,
            Code.Reservednop_rm32_r32_0F1C, Code.Reservednop_rm16_r16_0F1D, Code.Reservednop_rm32_r32_0F1D,
            Code.Reservednop_rm16_r16_0F1E, Code.Reservednop_rm32_r32_0F1E, Code.Reservednop_rm16_r16_0F1F,
            Code.Reservednop_rm32_r32_0F1F, Code.Prefetch_m8, Code.Prefetchw_m8, Code.Prefetchwt1_m8, Code.Prefetchreserved3_m8,
            Code.Prefetchreserved4_m8, Code.Prefetchreserved5_m8, Code.Prefetchreserved6_m8, Code.Prefetchreserved7_m8,
            Code.Prefetchnta_m8, Code.Prefetcht0_m8, Code.Prefetcht1_m8, Code.Prefetcht2_m8, Code.Cldemote_m8, Code.Rdsspd_r32,
            Code.Endbr32, Code.Endbr64])
        {
            t.Add(hint, &Nop, &Nop, &Nop, &Nop); // 0F 0D and 0F 18 to 1F touch no memory
        }
    }

    private static void Store<T>(OpTable t, Code code) where T : unmanaged =>
        t.Add(code, &MovRegReg<T>, &MovMemRegFlat<T>, &MovMemReg<T, Seg32>, &MovMemReg<T, Seg16>);

    private static void Load<T>(OpTable t, Code code) where T : unmanaged =>
        t.Add(code, &MovRegReg<T>, &MovRegMemFlat<T>, &MovRegMem<T, Seg32>, &MovRegMem<T, Seg16>);

    private static void Extend<TOp, TTo, TFrom>(OpTable t, Code code) where TOp : struct, IExtension where TTo : unmanaged where TFrom : unmanaged =>
        t.Add(code, &ExtendReg<TOp, TTo, TFrom>, &ExtendMem<TOp, TTo, TFrom, Flat>, &ExtendMem<TOp, TTo, TFrom, Seg32>, &ExtendMem<TOp, TTo, TFrom, Seg16>);

    private static void Cmov<TCondition, T>(OpTable t, Code code) where TCondition : struct, ICondition where T : unmanaged =>
        t.Add(code, &CmovReg<TCondition, T>, &CmovMem<TCondition, T, Flat>, &CmovMem<TCondition, T, Seg32>, &CmovMem<TCondition, T, Seg16>);

    private static void MovRegReg<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        Operand.Set<T>(c, i->Dst, Operand.Get<T>(c, i->Src));
        i[1].Fn(c, i + 1);
    }

    private static void MovRegImm<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        Operand.Set<T>(c, i->Dst, i->Imm);
        i[1].Fn(c, i + 1);
    }

    private static void MovRegMemFlat<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint linear = Flat.Offset(c, i);
        TlbEntry* e = Operand.Entry(c, linear);
        if (!Operand.ReadHits<T>(e, linear))
        {
            MovRegMem<T, Flat>(c, i);
            return;
        }
        Operand.Set<T>(c, i->Dst, Operand.Load(Operand.Place<T>(e, linear)));
        i[1].Fn(c, i + 1);
    }

    private static void MovMemRegFlat<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint linear = Flat.Offset(c, i);
        TlbEntry* e = Operand.Entry(c, linear);
        if (!Operand.WriteHits<T>(e, linear))
        {
            MovMemReg<T, Flat>(c, i);
            return;
        }
        *Operand.Place<T>(e, linear) = Ctx.Reg<T>(c, i->Src);
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MovRegMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null) return;
        Operand.Set<T>(c, i->Dst, Operand.Load(place));
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MovMemReg<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        if (!TMem.Write(c, i, Ctx.Reg<T>(c, i->Src))) return;
        i[1].Fn(c, i + 1);
    }

    private static void MovMemImm<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        if (!TMem.Write(c, i, Operand.Narrow<T>(i->Imm))) return;
        i[1].Fn(c, i + 1);
    }

    private static void XchgReg<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint a = Operand.Get<T>(c, i->Dst);
        Operand.Set<T>(c, i->Dst, Operand.Get<T>(c, i->Src));
        Operand.Set<T>(c, i->Src, a);
        i[1].Fn(c, i + 1);
    }

    private static void XchgMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Modify<T>(c, i);
        if (place == null) return;
        uint a = Operand.Load(place);
        Linear.Commit(c, i, place, Ctx.Reg<T>(c, i->Src));
        Operand.Set<T>(c, i->Src, a);
        i[1].Fn(c, i + 1);
    }

    internal interface IExtension
    {
        static abstract uint Do<T>(uint value) where T : unmanaged;
    }

    internal readonly struct Zero : IExtension
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(uint value) where T : unmanaged => value;
    }

    internal readonly struct Sign : IExtension
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(uint value) where T : unmanaged => Flags.Extend<T>(value);
    }

    private static void ExtendReg<TOp, TTo, TFrom>(Ctx* c, Insn* i) where TOp : struct, IExtension where TTo : unmanaged where TFrom : unmanaged
    {
        Operand.Set<TTo>(c, i->Dst, TOp.Do<TFrom>(Operand.Get<TFrom>(c, i->Src)));
        i[1].Fn(c, i + 1);
    }

    private static void ExtendMem<TOp, TTo, TFrom, TMem>(Ctx* c, Insn* i)
        where TOp : struct, IExtension where TTo : unmanaged where TFrom : unmanaged where TMem : struct, IOperandMemory
    {
        TFrom* place = TMem.Read<TFrom>(c, i);
        if (place == null) return;
        Operand.Set<TTo>(c, i->Dst, TOp.Do<TFrom>(Operand.Load(place)));
        i[1].Fn(c, i + 1);
    }

    private static void Lea<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        Operand.Set<T>(c, i->Dst, TMem.Offset(c, i));
        i[1].Fn(c, i + 1);
    }

    private static void CmovReg<TCondition, T>(Ctx* c, Insn* i) where TCondition : struct, ICondition where T : unmanaged
    {
        if (TCondition.Holds(c)) Operand.Set<T>(c, i->Dst, Operand.Get<T>(c, i->Src));
        i[1].Fn(c, i + 1);
    }

    private static void CmovMem<TCondition, T, TMem>(Ctx* c, Insn* i)
        where TCondition : struct, ICondition where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i); // read, and may fault, whatever the condition
        if (place == null) return;
        if (TCondition.Holds(c)) Operand.Set<T>(c, i->Dst, Operand.Load(place));
        i[1].Fn(c, i + 1);
    }

    /// <summary>The decoder leaves the index AL to us.</summary>
    private static void Xlat<TMem>(Ctx* c, Insn* i) where TMem : struct, IOperandMemory
    {
        if (!TMem.Locate(c, i, Operand.Get<byte>(c, 0), 1, false)) return;
        byte* place = Linear.Read<byte>(c, i, c->Located);
        if (place == null) return;
        Operand.Set<byte>(c, 0, *place);
        i[1].Fn(c, i + 1);
    }

    private static void Cbw(Ctx* c, Insn* i)
    {
        Operand.Set<ushort>(c, 0, Flags.Extend<byte>(c->S.R[Gpr.Eax]));
        i[1].Fn(c, i + 1);
    }

    private static void Cwde(Ctx* c, Insn* i)
    {
        c->S.R[Gpr.Eax] = Flags.Extend<ushort>(c->S.R[Gpr.Eax]);
        i[1].Fn(c, i + 1);
    }

    private static void Cwd(Ctx* c, Insn* i)
    {
        Operand.Set<ushort>(c, 4 * Gpr.Edx, Flags.Extend<ushort>(c->S.R[Gpr.Eax]) >> 16);
        i[1].Fn(c, i + 1);
    }

    private static void Cdq(Ctx* c, Insn* i)
    {
        c->S.R[Gpr.Edx] = (uint)((int)c->S.R[Gpr.Eax] >> 31);
        i[1].Fn(c, i + 1);
    }

    private const uint LowStatus = Flags.Status & ~Flags.Of;

    private static void Lahf(Ctx* c, Insn* i)
    {
        Operand.Set<byte>(c, 1, (Flags.Get(c) & LowStatus) | Flags.Fixed1);
        i[1].Fn(c, i + 1);
    }

    private static void Sahf(Ctx* c, Insn* i)
    {
        Flags.SetStatus(c, (Operand.Get<byte>(c, 1) & LowStatus) | (Flags.Get(c) & Flags.Of));
        i[1].Fn(c, i + 1);
    }

    /// <summary>Not in the manual, in every processor: AL = CF ? FFh : 0.</summary>
    private static void Salc(Ctx* c, Insn* i)
    {
        Operand.Set<byte>(c, 0, 0 - Flags.Carry(c));
        i[1].Fn(c, i + 1);
    }

    private static void Clc(Ctx* c, Insn* i)
    {
        Flags.SetCarry(c, false);
        i[1].Fn(c, i + 1);
    }

    private static void Stc(Ctx* c, Insn* i)
    {
        Flags.SetCarry(c, true);
        i[1].Fn(c, i + 1);
    }

    private static void Cmc(Ctx* c, Insn* i)
    {
        Flags.SetCarry(c, !Flags.CfOf(c));
        i[1].Fn(c, i + 1);
    }

    private static void Cld(Ctx* c, Insn* i)
    {
        c->S.SystemFlags &= ~Flags.Df;
        i[1].Fn(c, i + 1);
    }

    private static void Std(Ctx* c, Insn* i)
    {
        c->S.SystemFlags |= Flags.Df;
        i[1].Fn(c, i + 1);
    }

    private static void Nop(Ctx* c, Insn* i) => i[1].Fn(c, i + 1);
}
