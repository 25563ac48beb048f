// The x87 instructions on registers, and what all of them begin with: #NM, #MF or FERR#, pointers of the last instruction
// (Intel SDM vol. 1, 8.1.8 and 8.7; vol. 2). What they compute is in Float/FpuOps.cs.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Float;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class X87
{
    public static void Rows(OpTable t)
    {
        Arithmetic<AddOperation>(t, Code.Fadd_st0_sti, Code.Fadd_sti_st0, Code.Faddp_sti_st0);
        Arithmetic<MultiplyOperation>(t, Code.Fmul_st0_sti, Code.Fmul_sti_st0, Code.Fmulp_sti_st0);
        Arithmetic<SubtractOperation>(t, Code.Fsub_st0_sti, Code.Fsub_sti_st0, Code.Fsubp_sti_st0);
        Arithmetic<SubtractReverseOperation>(t, Code.Fsubr_st0_sti, Code.Fsubr_sti_st0, Code.Fsubrp_sti_st0);
        Arithmetic<DivideOperation>(t, Code.Fdiv_st0_sti, Code.Fdiv_sti_st0, Code.Fdivp_sti_st0);
        Arithmetic<DivideReverseOperation>(t, Code.Fdivr_st0_sti, Code.Fdivr_sti_st0, Code.Fdivrp_sti_st0);

#pragma warning disable format // aligned by hand
        t.Add(Code.Fcom_st0_sti,       &Simple<Fcom>);
        t.Add(Code.Fcom_st0_sti_DCD0,  &Simple<Fcom>);
        t.Add(Code.Fcomp_st0_sti,      &Simple<Fcomp>);
        t.Add(Code.Fcomp_st0_sti_DCD8, &Simple<Fcomp>);
        t.Add(Code.Fcomp_st0_sti_DED0, &Simple<Fcomp>);
        t.Add(Code.Fcompp,             &Simple<Fcompp>);
        t.Add(Code.Fucom_st0_sti,      &Simple<Fucom>);
        t.Add(Code.Fucomp_st0_sti,     &Simple<Fucomp>);
        t.Add(Code.Fucompp,            &Simple<Fucompp>);
        t.Add(Code.Fcomi_st0_sti,      &Fcomi);
        t.Add(Code.Fcomip_st0_sti,     &Fcomip);
        t.Add(Code.Fucomi_st0_sti,     &Fucomi);
        t.Add(Code.Fucomip_st0_sti,    &Fucomip);
        t.Add(Code.Ftst,               &Simple<Ftst>);
        t.Add(Code.Fxam,               &Simple<Fxam>);

        t.Add(Code.Fld_sti,            &Simple<FldSti>);
        t.Add(Code.Fst_sti,            &Simple<FstSti>);
        t.Add(Code.Fstp_sti,           &Simple<FstpSti>);
        t.Add(Code.Fstp_sti_DFD0,      &Simple<FstpSti>);
        t.Add(Code.Fstp_sti_DFD8,      &Simple<FstpSti>);
        t.Add(Code.Fstpnce_sti,        &Simple<Fstpnce>);
        t.Add(Code.Fxch_st0_sti,       &Simple<Fxch>);
        t.Add(Code.Fxch_st0_sti_DDC8,  &Simple<Fxch>);
        t.Add(Code.Fxch_st0_sti_DFC8,  &Simple<Fxch>);
        t.Add(Code.Fcmovb_st0_sti,     &Fcmov<Below>);
        t.Add(Code.Fcmove_st0_sti,     &Fcmov<Equal>);
        t.Add(Code.Fcmovbe_st0_sti,    &Fcmov<BelowEqual>);
        t.Add(Code.Fcmovu_st0_sti,     &Fcmov<Parity>);
        t.Add(Code.Fcmovnb_st0_sti,    &Fcmov<NotBelow>);
        t.Add(Code.Fcmovne_st0_sti,    &Fcmov<NotEqual>);
        t.Add(Code.Fcmovnbe_st0_sti,   &Fcmov<Above>);
        t.Add(Code.Fcmovnu_st0_sti,    &Fcmov<NotParity>);

        t.Add(Code.Fld1,               &Simple<Fld1>);
        t.Add(Code.Fldl2t,             &Simple<Fldl2t>);
        t.Add(Code.Fldl2e,             &Simple<Fldl2e>);
        t.Add(Code.Fldpi,              &Simple<Fldpi>);
        t.Add(Code.Fldlg2,             &Simple<Fldlg2>);
        t.Add(Code.Fldln2,             &Simple<Fldln2>);
        t.Add(Code.Fldz,               &Simple<Fldz>);

        t.Add(Code.Fchs,               &Simple<Fchs>);
        t.Add(Code.Fabs,               &Simple<Fabs>);
        t.Add(Code.Fsqrt,              &Simple<Fsqrt>);
        t.Add(Code.Frndint,            &Simple<Frndint>);
        t.Add(Code.Fscale,             &Simple<Fscale>);
        t.Add(Code.Fxtract,            &Simple<Fxtract>);
        t.Add(Code.Fprem,              &Simple<Fprem>);
        t.Add(Code.Fprem1,             &Simple<Fprem1>);
        t.Add(Code.F2xm1,              &Simple<F2xm1>);
        t.Add(Code.Fyl2x,              &Simple<Fyl2x>);
        t.Add(Code.Fyl2xp1,            &Simple<Fyl2xp1>);
        t.Add(Code.Fptan,              &Simple<Fptan>);
        t.Add(Code.Fpatan,             &Simple<Fpatan>);
        t.Add(Code.Fsin,               &Simple<Fsin>);
        t.Add(Code.Fcos,               &Simple<Fcos>);
        t.Add(Code.Fsincos,            &Simple<Fsincos>);

        t.Add(Code.Ffree_sti,          &Simple<Ffree>);
        t.Add(Code.Ffreep_sti,         &Simple<Ffreep>);
        t.Add(Code.Fincstp,            &Simple<Fincstp>);
        t.Add(Code.Fdecstp,            &Simple<Fdecstp>);
        t.Add(Code.Fnop,               &Simple<Fnop>);
#pragma warning restore format
    }

    private static void Arithmetic<TOperation>(OpTable t, Code toTop, Code fromTop, Code pop) where TOperation : struct, IBinaryOperation
    {
        t.Add(toTop, &Binary<TOperation>);
        t.Add(fromTop, &Binary<TOperation>);
        t.Add(pop, &BinaryPop<TOperation>);
    }

    // ---- what every instruction begins with ----

    /// <summary>False: the instruction must stop (#NM, #MF, frozen until an interrupt).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Ready(Ctx* c, Insn* i)
        => ((c->S.Cr0 & (Modes.Cr0Em | Modes.Cr0Ts)) | (c->S.Fpu.Status & Fsw.Summary)) == 0 || Refused(c, i);

    /// <summary>For the instructions that do not look at pending exceptions (FN…).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Available(Ctx* c, Insn* i)
        => (c->S.Cr0 & (Modes.Cr0Em | Modes.Cr0Ts)) == 0 || Ctx.Fault(c, i, Vector.Nm);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Refused(Ctx* c, Insn* i)
        => (c->S.Cr0 & (Modes.Cr0Em | Modes.Cr0Ts)) != 0 ? Ctx.Fault(c, i, Vector.Nm) : !FpuErrors.IsStopped(c, i);

    /// <summary>Keeps the pointers of a non-control instruction.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Remember(Ctx* c, Insn* i)
    {
        c->S.Fpu.InstructionOffset = c->S.Eip + i->Offset;
        c->S.Fpu.InstructionSelector = c->S.Cs.Selector;
        c->S.Fpu.LastOpcode = i->Imm2;
    }

    // ---- handlers ----

    private static void Binary<TOperation>(Ctx* c, Insn* i) where TOperation : struct, IBinaryOperation
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        FpuOps.Binary<TOperation>(ref c->S.Fpu, i->Dst, i->Src, pop: false);
        i[1].Fn(c, i + 1);
    }

    private static void BinaryPop<TOperation>(Ctx* c, Insn* i) where TOperation : struct, IBinaryOperation
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        FpuOps.Binary<TOperation>(ref c->S.Fpu, i->Dst, i->Src, pop: true);
        i[1].Fn(c, i + 1);
    }

    private static void Simple<TAction>(Ctx* c, Insn* i) where TAction : struct, IAction
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        TAction.Do(ref c->S.Fpu, i);
        i[1].Fn(c, i + 1);
    }

    private static void Fcmov<TCondition>(Ctx* c, Insn* i) where TCondition : struct, ICondition
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        FpuOps.ConditionalMove(ref c->S.Fpu, i->Src, TCondition.Holds(c));
        i[1].Fn(c, i + 1);
    }

    private static void Fcomi(Ctx* c, Insn* i)
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        Flags.SetStatus(c, FpuOps.CompareToFlags(ref c->S.Fpu, i->Src, quiet: false, pop: false));
        i[1].Fn(c, i + 1);
    }

    private static void Fcomip(Ctx* c, Insn* i)
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        Flags.SetStatus(c, FpuOps.CompareToFlags(ref c->S.Fpu, i->Src, quiet: false, pop: true));
        i[1].Fn(c, i + 1);
    }

    private static void Fucomi(Ctx* c, Insn* i)
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        Flags.SetStatus(c, FpuOps.CompareToFlags(ref c->S.Fpu, i->Src, quiet: true, pop: false));
        i[1].Fn(c, i + 1);
    }

    private static void Fucomip(Ctx* c, Insn* i)
    {
        if (!Ready(c, i)) return;
        Remember(c, i);
        Flags.SetStatus(c, FpuOps.CompareToFlags(ref c->S.Fpu, i->Src, quiet: true, pop: true));
        i[1].Fn(c, i + 1);
    }

    // ---- what distinguishes them ----

    private interface IAction
    {
        static abstract void Do(ref FpuState fpu, Insn* i);
    }

#pragma warning disable format // aligned by hand
    private readonly struct Fcom : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Compare(ref fpu, i->Src, quiet: false, pops: 0); }
    private readonly struct Fcomp : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Compare(ref fpu, i->Src, quiet: false, pops: 1); }
    private readonly struct Fcompp : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Compare(ref fpu, 1, quiet: false, pops: 2); }
    private readonly struct Fucom : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Compare(ref fpu, i->Src, quiet: true, pops: 0); }
    private readonly struct Fucomp : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Compare(ref fpu, i->Src, quiet: true, pops: 1); }
    private readonly struct Fucompp : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Compare(ref fpu, 1, quiet: true, pops: 2); }
    private readonly struct Ftst : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.TestZero(ref fpu); }
    private readonly struct Fxam : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Examine(ref fpu); }

    private readonly struct FldSti : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.LoadRegister(ref fpu, i->Dst); }
    private readonly struct FstSti : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.StoreRegister(ref fpu, i->Dst, pop: false); }
    private readonly struct FstpSti : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.StoreRegister(ref fpu, i->Dst, pop: true); }
    private readonly struct Fstpnce : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.StoreRegisterNoFault(ref fpu, i->Dst); }
    private readonly struct Fxch : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Exchange(ref fpu, i->Src); }

    private readonly struct Fld1 : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuConstants.One(ref fpu); }
    private readonly struct Fldl2t : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuConstants.Log2Of10(ref fpu); }
    private readonly struct Fldl2e : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuConstants.Log2OfE(ref fpu); }
    private readonly struct Fldpi : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuConstants.Pi(ref fpu); }
    private readonly struct Fldlg2 : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuConstants.Log10Of2(ref fpu); }
    private readonly struct Fldln2 : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuConstants.LnOf2(ref fpu); }
    private readonly struct Fldz : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuConstants.Zero(ref fpu); }

    private readonly struct Fchs : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.ChangeSign(ref fpu); }
    private readonly struct Fabs : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.AbsoluteValue(ref fpu); }
    private readonly struct Fsqrt : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.SquareRoot(ref fpu); }
    private readonly struct Frndint : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.RoundToInteger(ref fpu); }
    private readonly struct Fscale : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Scale(ref fpu); }
    private readonly struct Fxtract : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Extract(ref fpu); }
    private readonly struct Fprem : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.PartialRemainder(ref fpu, nearest: false); }
    private readonly struct Fprem1 : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.PartialRemainder(ref fpu, nearest: true); }
    private readonly struct F2xm1 : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.TwoToXMinus1(ref fpu); }
    private readonly struct Fyl2x : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.YLog2X(ref fpu); }
    private readonly struct Fyl2xp1 : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.YLog2XPlus1(ref fpu); }
    private readonly struct Fptan : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Tangent(ref fpu); }
    private readonly struct Fpatan : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.ArcTangent(ref fpu); }
    private readonly struct Fsin : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Sine(ref fpu); }
    private readonly struct Fcos : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Cosine(ref fpu); }
    private readonly struct Fsincos : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.SineCosine(ref fpu); }

    private readonly struct Ffree : IAction   { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.Free(ref fpu, i->Dst); }
    private readonly struct Ffreep : IAction  { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.FreePop(ref fpu, i->Dst); }
    private readonly struct Fincstp : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.MoveTop(ref fpu, 1); }
    private readonly struct Fdecstp : IAction { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.MoveTop(ref fpu, -1); }
    private readonly struct Fnop : IAction    { public static void Do(ref FpuState fpu, Insn* i) => FpuOps.NoOperation(ref fpu); }
#pragma warning restore format

    private interface ICondition
    {
        static abstract bool Holds(Ctx* c);
    }

#pragma warning disable format // aligned by hand
    private readonly struct Below : ICondition      { public static bool Holds(Ctx* c) => Flags.CfOf(c); }
    private readonly struct Equal : ICondition      { public static bool Holds(Ctx* c) => Flags.ZfOf(c); }
    private readonly struct BelowEqual : ICondition { public static bool Holds(Ctx* c) => Flags.CfOf(c) | Flags.ZfOf(c); }
    private readonly struct Parity : ICondition     { public static bool Holds(Ctx* c) => Flags.PfOf(c); }
    private readonly struct NotBelow : ICondition   { public static bool Holds(Ctx* c) => !Flags.CfOf(c); }
    private readonly struct NotEqual : ICondition   { public static bool Holds(Ctx* c) => !Flags.ZfOf(c); }
    private readonly struct Above : ICondition      { public static bool Holds(Ctx* c) => !(Flags.CfOf(c) | Flags.ZfOf(c)); }
    private readonly struct NotParity : ICondition  { public static bool Holds(Ctx* c) => !Flags.PfOf(c); }
#pragma warning restore format
}
