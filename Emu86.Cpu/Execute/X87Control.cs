// Control of the x87: words, environment and state images, WAIT, FXSAVE (Intel SDM vol. 1, 8.1.10 and 10.5; vol. 2).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Float;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class X87Control
{
    public static void Rows(OpTable t)
    {
#pragma warning disable format // aligned by hand
        t.Add(Code.Wait,             &Wait);
        t.Add(Code.Fninit,           &Fninit);
        t.Add(Code.Fnclex,           &Fnclex);
        // The 8087's and 80287's own: since the 387 they do nothing.
        t.Add(Code.Fneni,            &Nothing);
        t.Add(Code.Fndisi,           &Nothing);
        t.Add(Code.Fnsetpm,          &Nothing);
        t.Add(Code.Fnstsw_AX,        &FnstswAx);
        t.Add(Code.Fnstsw_m2byte,    null, &StoreWord<Flat, StatusWord>,           &StoreWord<Seg32, StatusWord>,           &StoreWord<Seg16, StatusWord>);
        t.Add(Code.Fnstcw_m2byte,    null, &StoreWord<Flat, ControlWord>,          &StoreWord<Seg32, ControlWord>,          &StoreWord<Seg16, ControlWord>);
        t.Add(Code.Fldcw_m2byte,     null, &Fldcw<Flat>,                           &Fldcw<Seg32>,                           &Fldcw<Seg16>);
        t.Add(Code.Fnstenv_m14byte,  null, &Image<Flat, StoreEnvironment, Narrow>, &Image<Seg32, StoreEnvironment, Narrow>, &Image<Seg16, StoreEnvironment, Narrow>);
        t.Add(Code.Fnstenv_m28byte,  null, &Image<Flat, StoreEnvironment, Wide>,   &Image<Seg32, StoreEnvironment, Wide>,   &Image<Seg16, StoreEnvironment, Wide>);
        t.Add(Code.Fldenv_m14byte,   null, &Image<Flat, LoadEnvironment, Narrow>,  &Image<Seg32, LoadEnvironment, Narrow>,  &Image<Seg16, LoadEnvironment, Narrow>);
        t.Add(Code.Fldenv_m28byte,   null, &Image<Flat, LoadEnvironment, Wide>,    &Image<Seg32, LoadEnvironment, Wide>,    &Image<Seg16, LoadEnvironment, Wide>);
        t.Add(Code.Fnsave_m94byte,   null, &Image<Flat, StoreState, Narrow>,       &Image<Seg32, StoreState, Narrow>,       &Image<Seg16, StoreState, Narrow>);
        t.Add(Code.Fnsave_m108byte,  null, &Image<Flat, StoreState, Wide>,         &Image<Seg32, StoreState, Wide>,         &Image<Seg16, StoreState, Wide>);
        t.Add(Code.Frstor_m94byte,   null, &Image<Flat, LoadState, Narrow>,        &Image<Seg32, LoadState, Narrow>,        &Image<Seg16, LoadState, Narrow>);
        t.Add(Code.Frstor_m108byte,  null, &Image<Flat, LoadState, Wide>,          &Image<Seg32, LoadState, Wide>,          &Image<Seg16, LoadState, Wide>);
        t.Add(Code.Fxsave_m512byte,  null, &Fxsave<Flat>,                          &Fxsave<Seg32>,                          &Fxsave<Seg16>);
        t.Add(Code.Fxrstor_m512byte, null, &Fxrstor<Flat>,                         &Fxrstor<Seg32>,                         &Fxrstor<Seg16>);
#pragma warning restore format
    }

    /// <summary>#NM needs MP and TS here, and EM does not matter.</summary>
    private static void Wait(Ctx* c, Insn* i)
    {
        const uint Both = Modes.Cr0Mp | Modes.Cr0Ts;
        if ((c->S.Cr0 & Both) == Both)
        {
            Ctx.Fault(c, i, Vector.Nm);
            return;
        }
        if (c->S.Fpu.IsExceptionPending && FpuErrors.IsStopped(c, i)) return;
        i[1].Fn(c, i + 1);
    }

    private static void Nothing(Ctx* c, Insn* i)
    {
        if (!X87.Available(c, i)) return;
        i[1].Fn(c, i + 1);
    }

    private static void Fninit(Ctx* c, Insn* i)
    {
        if (!X87.Available(c, i) || !FpuErrors.MayChange(c, i)) return;
        c->S.Fpu.Initialize();
        FpuErrors.Update(c);
        i[1].Fn(c, i + 1);
    }

    private static void Fnclex(Ctx* c, Insn* i)
    {
        if (!X87.Available(c, i) || !FpuErrors.MayChange(c, i)) return;
        FpuOps.ClearExceptions(ref c->S.Fpu);
        FpuErrors.Update(c);
        i[1].Fn(c, i + 1);
    }

    private static void FnstswAx(Ctx* c, Insn* i)
    {
        if (!X87.Available(c, i)) return;
        Ctx.Reg<ushort>(c, 4 * Gpr.Eax) = c->S.Fpu.StatusWord;
        i[1].Fn(c, i + 1);
    }

    private static void StoreWord<TMemory, TWord>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory where TWord : struct, IWord
    {
        if (!X87.Available(c, i)) return;
        if (!TMemory.Write(c, i, TWord.Of(ref c->S.Fpu))) return;
        i[1].Fn(c, i + 1);
    }

    private static void Fldcw<TMemory>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
    {
        if (!X87.Ready(c, i) || !FpuErrors.MayChange(c, i)) return;
        ushort* word = TMemory.Read<ushort>(c, i);
        if (word == null) return;
        c->S.Fpu.ControlWord = *word;
        FpuErrors.Update(c);
        i[1].Fn(c, i + 1);
    }

    private static void Image<TMemory, TImage, TWidth>(Ctx* c, Insn* i)
        where TMemory : struct, IOperandMemory where TImage : struct, IImage where TWidth : struct, IWidth
    {
        if (TImage.Writes ? !X87.Available(c, i) : !X87.Ready(c, i)) return;
        if (!FpuErrors.MayChange(c, i)) return;
        uint length = (TWidth.Wide ? 28u : 14u) + (TImage.WithRegisters ? 80u : 0);
        if (!TMemory.Locate(c, i, 0, length, TImage.Writes)) return;
        if (c->AlignmentChecked != 0 && (c->Located & (TWidth.Wide ? 3u : 1u)) != 0)
        {
            Ctx.Fault(c, i, Vector.Ac, 0);
            return;
        }
        // Processors look at the first and at the last byte: seen in the address of a page fault.
        if (!SlowAccess.Probe(c, i, c->Located, 1, TImage.Writes, supervisor: false)
            || !SlowAccess.Probe(c, i, c->Located + length - 1, 1, TImage.Writes, supervisor: false)) return;
        Check.That(SlowAccess.Probe(c, i, c->Located, length, TImage.Writes, supervisor: false));
        if (!MoveImage<TImage>(c, i, c->Located, TWidth.Wide)) return;
        FpuErrors.Update(c);
        i[1].Fn(c, i + 1);
    }

    /// <summary>The whole image was probed: what follows cannot stop, alignment checks apart, which come first.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool MoveImage<TImage>(Ctx* c, Insn* i, uint linear, bool wide) where TImage : struct, IImage
    {
        uint size = wide ? 28u : 14u, length = size + (TImage.WithRegisters ? 80u : 0);
        byte* image = stackalloc byte[108];
        if (TImage.Writes)
        {
            FpuImage.StoreEnvironment(ref c->S.Fpu, image, wide, Modes.IsProtected(c));
            if (TImage.WithRegisters) FpuImage.StoreRegisters(ref c->S.Fpu, image + size);
            for (uint at = 0; at < length; at += 2)
            {
                if (Linear.Write(c, i, linear + at, *(ushort*)(image + at))) continue;
                Check.That(at == 0);
                return false;
            }
            if (TImage.WithRegisters) c->S.Fpu.Initialize();
            else c->S.Fpu.ControlWord |= (ushort)Fsw.Exceptions;
            return true;
        }
        for (uint at = 0; at < length; at += 2)
        {
            ushort* word = Linear.Read<ushort>(c, i, linear + at);
            if (word == null) return false;
            *(ushort*)(image + at) = *word;
        }
        FpuImage.LoadEnvironment(ref c->S.Fpu, image, wide, Modes.IsProtected(c));
        if (TImage.WithRegisters) FpuImage.LoadRegisters(ref c->S.Fpu, image + size);
        return true;
    }

    private static void Fxsave<TMemory>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
    {
        if (!X87.Available(c, i) || !LocateFx<TMemory>(c, i, write: true)) return;
        StoreFx(c, i, c->Located);
        i[1].Fn(c, i + 1);
    }

    private static void Fxrstor<TMemory>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
    {
        if (!X87.Available(c, i) || !FpuErrors.MayChange(c, i) || !LocateFx<TMemory>(c, i, write: false)) return;
        LoadFx(c, i, c->Located);
        FpuErrors.Update(c);
        i[1].Fn(c, i + 1);
    }

    /// <summary>512 bytes on a 16-byte boundary, all of which can be accessed.</summary>
    private static bool LocateFx<TMemory>(Ctx* c, Insn* i, bool write) where TMemory : struct, IOperandMemory
    {
        if (!TMemory.Locate(c, i, 0, 512, write)) return false;
        if ((c->Located & 15) != 0) return Ctx.Fault(c, i, Vector.Gp, 0);
        return SlowAccess.Probe(c, i, c->Located, 512, write, supervisor: false);
    }

    /// <summary>The x87 part. Without SSE the place of MXCSR and all above the registers are reserved and stay as they are.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StoreFx(Ctx* c, Insn* i, uint linear)
    {
        byte* image = stackalloc byte[FpuImage.FxLength];
        FpuImage.StoreFx(ref c->S.Fpu, image);
        for (uint at = 0; at < FpuImage.FxLength; at += 8)
            if (at != 24) Check.That(Linear.Write(c, i, linear + at, *(ulong*)(image + at)));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LoadFx(Ctx* c, Insn* i, uint linear)
    {
        byte* image = stackalloc byte[FpuImage.FxLength];
        for (uint at = 0; at < FpuImage.FxLength; at += 8)
        {
            ulong* words = Linear.Read<ulong>(c, i, linear + at);
            Check.That(words != null);
            *(ulong*)(image + at) = *words;
        }
        FpuImage.LoadFx(ref c->S.Fpu, image);
    }

    private interface IWord
    {
        static abstract ushort Of(ref FpuState fpu);
    }

    private readonly struct StatusWord : IWord { public static ushort Of(ref FpuState fpu) => fpu.StatusWord; }

    private readonly struct ControlWord : IWord { public static ushort Of(ref FpuState fpu) => fpu.ControlWord; }

    private interface IWidth
    {
        static abstract bool Wide { get; }
    }

    private readonly struct Narrow : IWidth { public static bool Wide => false; }

    private readonly struct Wide : IWidth { static bool IWidth.Wide => true; }

    private interface IImage
    {
        static abstract bool Writes { get; }

        static abstract bool WithRegisters { get; }
    }

#pragma warning disable format // aligned by hand
    private readonly struct StoreEnvironment : IImage { public static bool Writes => true;  public static bool WithRegisters => false; }
    private readonly struct LoadEnvironment : IImage  { public static bool Writes => false; public static bool WithRegisters => false; }
    private readonly struct StoreState : IImage       { public static bool Writes => true;  public static bool WithRegisters => true; }
    private readonly struct LoadState : IImage        { public static bool Writes => false; public static bool WithRegisters => true; }
#pragma warning restore format
}
