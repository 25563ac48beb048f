// JMP, CALL, RET near, Jcc, LOOPcc, JCXZ, BOUND (SDM vol. 1, 5.1.7; vol. 2). Far transfers are in FarTransfer.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Emu86.Cpu.Execute.Conditions;

namespace Emu86.Cpu.Execute;

/// <summary>Near transfers. The width type parameter is the operand size: with 16 bits EIP is masked.</summary>
public static unsafe class ControlFlow
{
    public static void Rows(OpTable t)
    {
        Jcc<O>(t, Code.Jo_rel8_16, Code.Jo_rel16, Code.Jo_rel8_32, Code.Jo_rel32_32);
        Jcc<No>(t, Code.Jno_rel8_16, Code.Jno_rel16, Code.Jno_rel8_32, Code.Jno_rel32_32);
        Jcc<B>(t, Code.Jb_rel8_16, Code.Jb_rel16, Code.Jb_rel8_32, Code.Jb_rel32_32);
        Jcc<Ae>(t, Code.Jae_rel8_16, Code.Jae_rel16, Code.Jae_rel8_32, Code.Jae_rel32_32);
        Jcc<E>(t, Code.Je_rel8_16, Code.Je_rel16, Code.Je_rel8_32, Code.Je_rel32_32);
        Jcc<Ne>(t, Code.Jne_rel8_16, Code.Jne_rel16, Code.Jne_rel8_32, Code.Jne_rel32_32);
        Jcc<Be>(t, Code.Jbe_rel8_16, Code.Jbe_rel16, Code.Jbe_rel8_32, Code.Jbe_rel32_32);
        Jcc<A>(t, Code.Ja_rel8_16, Code.Ja_rel16, Code.Ja_rel8_32, Code.Ja_rel32_32);
        Jcc<S>(t, Code.Js_rel8_16, Code.Js_rel16, Code.Js_rel8_32, Code.Js_rel32_32);
        Jcc<Ns>(t, Code.Jns_rel8_16, Code.Jns_rel16, Code.Jns_rel8_32, Code.Jns_rel32_32);
        Jcc<P>(t, Code.Jp_rel8_16, Code.Jp_rel16, Code.Jp_rel8_32, Code.Jp_rel32_32);
        Jcc<Np>(t, Code.Jnp_rel8_16, Code.Jnp_rel16, Code.Jnp_rel8_32, Code.Jnp_rel32_32);
        Jcc<L>(t, Code.Jl_rel8_16, Code.Jl_rel16, Code.Jl_rel8_32, Code.Jl_rel32_32);
        Jcc<Ge>(t, Code.Jge_rel8_16, Code.Jge_rel16, Code.Jge_rel8_32, Code.Jge_rel32_32);
        Jcc<Le>(t, Code.Jle_rel8_16, Code.Jle_rel16, Code.Jle_rel8_32, Code.Jle_rel32_32);
        Jcc<G>(t, Code.Jg_rel8_16, Code.Jg_rel16, Code.Jg_rel8_32, Code.Jg_rel32_32);

        t.Add(Code.Jmp_rel8_16, &Jump<ushort>, OpFlags.Ends);
        t.Add(Code.Jmp_rel16, &Jump<ushort>, OpFlags.Ends);
        t.Add(Code.Jmp_rel8_32, &Jump<uint>, OpFlags.Ends);
        t.Add(Code.Jmp_rel32_32, &Jump<uint>, OpFlags.Ends);
        t.Add(Code.Call_rel16, &Call<ushort>, OpFlags.Ends);
        t.Add(Code.Call_rel32_32, &Call<uint>, OpFlags.Ends);

        t.Add(Code.Jmp_rm16, &JumpReg<ushort>, &JumpMem<ushort, Flat>, &JumpMem<ushort, Seg32>, &JumpMem<ushort, Seg16>, OpFlags.Ends);
        t.Add(Code.Jmp_rm32, &JumpReg<uint>, &JumpMem<uint, Flat>, &JumpMem<uint, Seg32>, &JumpMem<uint, Seg16>, OpFlags.Ends);
        t.Add(Code.Call_rm16, &CallReg<ushort>, &CallMem<ushort, Flat>, &CallMem<ushort, Seg32>, &CallMem<ushort, Seg16>, OpFlags.Ends);
        t.Add(Code.Call_rm32, &CallReg<uint>, &CallMem<uint, Flat>, &CallMem<uint, Seg32>, &CallMem<uint, Seg16>, OpFlags.Ends);

        t.Add(Code.Retnw, &Return<ushort>, OpFlags.Ends);
        t.Add(Code.Retnd, &Return<uint>, OpFlags.Ends);
        t.Add(Code.Retnw_imm16, &Return<ushort>, OpFlags.Ends);
        t.Add(Code.Retnd_imm16, &Return<uint>, OpFlags.Ends);

        t.Add(Code.Loop_rel8_16_CX, &Loop<Always, ushort, ushort>, OpFlags.Ends);
        t.Add(Code.Loop_rel8_32_CX, &Loop<Always, uint, ushort>, OpFlags.Ends);
        t.Add(Code.Loop_rel8_16_ECX, &Loop<Always, ushort, uint>, OpFlags.Ends);
        t.Add(Code.Loop_rel8_32_ECX, &Loop<Always, uint, uint>, OpFlags.Ends);
        t.Add(Code.Loope_rel8_16_CX, &Loop<E, ushort, ushort>, OpFlags.Ends);
        t.Add(Code.Loope_rel8_32_CX, &Loop<E, uint, ushort>, OpFlags.Ends);
        t.Add(Code.Loope_rel8_16_ECX, &Loop<E, ushort, uint>, OpFlags.Ends);
        t.Add(Code.Loope_rel8_32_ECX, &Loop<E, uint, uint>, OpFlags.Ends);
        t.Add(Code.Loopne_rel8_16_CX, &Loop<Ne, ushort, ushort>, OpFlags.Ends);
        t.Add(Code.Loopne_rel8_32_CX, &Loop<Ne, uint, ushort>, OpFlags.Ends);
        t.Add(Code.Loopne_rel8_16_ECX, &Loop<Ne, ushort, uint>, OpFlags.Ends);
        t.Add(Code.Loopne_rel8_32_ECX, &Loop<Ne, uint, uint>, OpFlags.Ends);
        t.Add(Code.Jcxz_rel8_16, &JumpIfCountZero<ushort, ushort>, OpFlags.Ends);
        t.Add(Code.Jcxz_rel8_32, &JumpIfCountZero<uint, ushort>, OpFlags.Ends);
        t.Add(Code.Jecxz_rel8_16, &JumpIfCountZero<ushort, uint>, OpFlags.Ends);
        t.Add(Code.Jecxz_rel8_32, &JumpIfCountZero<uint, uint>, OpFlags.Ends);

        t.Add(Code.Bound_r16_m1616, null, &Bound<ushort, Flat>, &Bound<ushort, Seg32>, &Bound<ushort, Seg16>);
        t.Add(Code.Bound_r32_m3232, null, &Bound<uint, Flat>, &Bound<uint, Seg32>, &Bound<uint, Seg16>);
    }

    private static void Jcc<TCondition>(OpTable t, Code short16, Code near16, Code short32, Code near32) where TCondition : struct, ICondition
    {
        t.Add(short16, &Branch<TCondition, ushort>, OpFlags.Ends);
        t.Add(near16, &Branch<TCondition, ushort>, OpFlags.Ends);
        t.Add(short32, &Branch<TCondition, uint>, OpFlags.Ends);
        t.Add(near32, &Branch<TCondition, uint>, OpFlags.Ends);
    }

    /// <summary>#GP(0) of a near transfer to beyond the code segment.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void TargetFault(Ctx* c, Insn* i) => Ctx.Fault(c, i, Vector.Gp, 0);

    /// <summary>Where a direct branch goes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Target<T>(Ctx* c, Insn* i) where T : unmanaged => Operand.Mask<T>(c->S.Eip + i->Next + i->Imm);

    /// <summary>The last step of a direct branch that is taken.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Take<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        Block* block = c->Block;
        if (Chain.IsOpen(c, block->Taken.Epoch))
        {
            ulong count = c->S.Count + block->Count;
            if (count < c->ChainLimit)
            {
                Chain.Enter(c, block->Taken.Target, count);
                return;
            }
        }
        TakeUnlinked<T>(c, i);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TakeUnlinked<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint target = Target<T>(c, i);
        if (target > c->S.Cs.Limit)
        {
            TargetFault(c, i);
            return;
        }
        c->S.Eip = target;
        c->Link = &c->Block->Taken;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void FallThrough(Ctx* c, Insn* i)
    {
        Block* block = c->Block;
        if (Chain.IsOpen(c, block->Fall.Epoch))
        {
            ulong count = c->S.Count + block->Count;
            if (count < c->ChainLimit)
            {
                Chain.Enter(c, block->Fall.Target, count);
                return;
            }
        }
        c->S.Eip = c->S.Eip + i->Next;
        c->Link = &c->Block->Fall;
    }

    private static void Branch<TCondition, T>(Ctx* c, Insn* i) where TCondition : struct, ICondition where T : unmanaged
    {
        if (TCondition.Holds(c)) Take<T>(c, i);
        else FallThrough(c, i);
    }

    private static void Jump<T>(Ctx* c, Insn* i) where T : unmanaged => Take<T>(c, i);

    private static void Call<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint esp = c->S.R[Gpr.Esp] - (uint)sizeof(T);
        TlbEntry* e = Operand.Entry(c, esp);
        Block* block = c->Block;
        if ((c->Mode & Stack.Fast) == Stack.Fast && Operand.WriteHits<T>(e, esp) && Chain.IsOpen(c, block->Taken.Epoch))
        {
            ulong count = c->S.Count + block->Count;
            if (count < c->ChainLimit)
            {
                *Operand.Place<T>(e, esp) = Operand.Narrow<T>(c->S.Eip + i->Next);
                c->S.R[Gpr.Esp] = esp;
                Chain.Enter(c, block->Taken.Target, count);
                return;
            }
        }
        CallUnlinked<T>(c, i);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CallUnlinked<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint target = Target<T>(c, i);
        if (target > c->S.Cs.Limit)
        {
            TargetFault(c, i);
            return;
        }
        if (!Stack.Push<T>(c, i, c->S.Eip + i->Next)) return;
        c->S.Eip = target;
        c->Link = &c->Block->Taken;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Go(Ctx* c, Insn* i, uint target)
    {
        if (target > c->S.Cs.Limit)
        {
            TargetFault(c, i);
            return;
        }
        Chain.Computed(c, target);
    }

    private static void JumpReg<T>(Ctx* c, Insn* i) where T : unmanaged => Go(c, i, Operand.Get<T>(c, i->Dst));

    private static void JumpMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null) return;
        Go(c, i, Operand.Load(place));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CallTo<T>(Ctx* c, Insn* i, uint target) where T : unmanaged
    {
        if (target > c->S.Cs.Limit)
        {
            TargetFault(c, i);
            return;
        }
        if (!Stack.Push<T>(c, i, c->S.Eip + i->Next)) return;
        Chain.Computed(c, target);
    }

    private static void CallReg<T>(Ctx* c, Insn* i) where T : unmanaged => CallTo<T>(c, i, Operand.Get<T>(c, i->Dst));

    private static void CallMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null) return;
        CallTo<T>(c, i, Operand.Load(place));
    }

    /// <summary>RET and RET imm16 (the immediate of the plain form is 0).</summary>
    private static void Return<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint esp = c->S.R[Gpr.Esp];
        TlbEntry* e = Operand.Entry(c, esp);
        if ((c->Mode & Stack.Fast) == Stack.Fast && Operand.ReadHits<T>(e, esp))
        {
            uint target = Operand.Load(Operand.Place<T>(e, esp)), linear = c->S.Cs.Base + target;
            Jump* jump = Chain.JumpOf(c, linear);
            if (jump->Linear == linear && jump->Mode == c->Mode && Chain.IsOpen(c, jump->Epoch))
            {
                ulong count = c->S.Count + c->Block->Count;
                if (count < c->ChainLimit)
                {
                    c->S.R[Gpr.Esp] = esp + (uint)sizeof(T) + (ushort)i->Imm;
                    Chain.Enter(c, jump->Target, count);
                    return;
                }
            }
        }
        ReturnGeneral<T>(c, i);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ReturnGeneral<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        T* place = Stack.Top<T>(c, i);
        if (place == null) return;
        uint target = Operand.Load(place);
        if (target > c->S.Cs.Limit)
        {
            TargetFault(c, i);
            return;
        }
        Stack.Drop(c, (uint)sizeof(T) + (ushort)i->Imm);
        c->S.Eip = target;
        c->Link = null;
    }

    private readonly struct Always : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => true;
    }

    private static void Loop<TCondition, T, TCount>(Ctx* c, Insn* i) where TCondition : struct, ICondition where T : unmanaged where TCount : unmanaged
    {
        uint count = Operand.Mask<TCount>(Operand.Get<TCount>(c, 4 * Gpr.Ecx) - 1);
        bool taken = count != 0 && TCondition.Holds(c);
        if (taken && Target<T>(c, i) > c->S.Cs.Limit)
        {
            TargetFault(c, i);
            return;
        }
        Operand.Set<TCount>(c, 4 * Gpr.Ecx, count);
        if (taken) Take<T>(c, i);
        else FallThrough(c, i);
    }

    private static void JumpIfCountZero<T, TCount>(Ctx* c, Insn* i) where T : unmanaged where TCount : unmanaged
    {
        if (Operand.Get<TCount>(c, 4 * Gpr.Ecx) == 0) Take<T>(c, i);
        else FallThrough(c, i);
    }

    private static void Bound<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        int index = (int)Flags.Extend<T>(Operand.Get<T>(c, i->Dst));
        T* bound = TMem.Read<T>(c, i);
        if (bound == null) return;
        bool outside = index < (int)Flags.Extend<T>(Operand.Load(bound));
        if (!outside)
        {
            if (!TMem.Locate(c, i, (uint)sizeof(T), (uint)sizeof(T), false)) return;
            bound = Linear.Read<T>(c, i, c->Located);
            if (bound == null) return;
            outside = index > (int)Flags.Extend<T>(Operand.Load(bound));
        }
        if (outside)
        {
            Ctx.Fault(c, i, Vector.Br);
            return;
        }
        i[1].Fn(c, i + 1);
    }
}
