// Loading segment registers: MOV Sreg, PUSH/POP Sreg, LDS/LES/LFS/LGS/LSS (SDM vol. 3, 5.6; vol. 2).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class SegmentLoad
{
    private const ushort RealAttributes = Segment.AccessPresent | Segment.AccessNotSystem | Segment.AccessWritable | Segment.AccessAccessed;
    private const ushort V86Attributes = RealAttributes | (3 << 5);

    public static void Rows(OpTable t)
    {
        const OpFlags ends = OpFlags.Ends;
        t.Add(Code.Mov_rm16_Sreg, &StoreRegister<ushort>, &StoreMemory<Flat>, &StoreMemory<Seg32>, &StoreMemory<Seg16>);
        t.Add(Code.Mov_r32m16_Sreg, &StoreRegister<uint>, &StoreMemory<Flat>, &StoreMemory<Seg32>, &StoreMemory<Seg16>);
        t.Add(Code.Mov_Sreg_rm16, &LoadRegister, &LoadMemory<Flat>, &LoadMemory<Seg32>, &LoadMemory<Seg16>, ends);
        t.Add(Code.Mov_Sreg_r32m16, &LoadRegister, &LoadMemory<Flat>, &LoadMemory<Seg32>, &LoadMemory<Seg16>, ends);

        foreach (Code code in (ReadOnlySpan<Code>)[Code.Pushw_ES, Code.Pushw_CS, Code.Pushw_SS, Code.Pushw_DS, Code.Pushw_FS, Code.Pushw_GS]) t.Add(code, &Push16);
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Pushd_ES, Code.Pushd_CS, Code.Pushd_SS, Code.Pushd_DS, Code.Pushd_FS, Code.Pushd_GS]) t.Add(code, &Push32);
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Popw_ES, Code.Popw_SS, Code.Popw_DS, Code.Popw_FS, Code.Popw_GS]) t.Add(code, &Pop16, ends);
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Popd_ES, Code.Popd_SS, Code.Popd_DS, Code.Popd_FS, Code.Popd_GS]) t.Add(code, &Pop32, ends);

        FarPointer<Es>(t, Code.Les_r16_m1616, Code.Les_r32_m1632);
        FarPointer<Ss>(t, Code.Lss_r16_m1616, Code.Lss_r32_m1632);
        FarPointer<Ds>(t, Code.Lds_r16_m1616, Code.Lds_r32_m1632);
        FarPointer<Fs>(t, Code.Lfs_r16_m1616, Code.Lfs_r32_m1632);
        FarPointer<Gs>(t, Code.Lgs_r16_m1616, Code.Lgs_r32_m1632);
    }

    private interface INumber
    {
        static abstract int Segment { get; }
    }

    private readonly struct Es : INumber { public static int Segment => Seg.Es; }

    private readonly struct Ss : INumber { public static int Segment => Seg.Ss; }

    private readonly struct Ds : INumber { public static int Segment => Seg.Ds; }

    private readonly struct Fs : INumber { public static int Segment => Seg.Fs; }

    private readonly struct Gs : INumber { public static int Segment => Seg.Gs; }

    private static void FarPointer<TSegment>(OpTable t, Code code16, Code code32) where TSegment : struct, INumber
    {
        t.Add(code16, null, &LoadPointer<TSegment, ushort, Flat>, &LoadPointer<TSegment, ushort, Seg32>, &LoadPointer<TSegment, ushort, Seg16>, OpFlags.Ends);
        t.Add(code32, null, &LoadPointer<TSegment, uint, Flat>, &LoadPointer<TSegment, uint, Seg32>, &LoadPointer<TSegment, uint, Seg16>, OpFlags.Ends);
    }

    /// <summary>Loads ES, SS, DS, FS or GS with all checks of the current mode. False: a fault was raised, nothing changed.</summary>
    public static bool LoadSegment(Ctx* c, Insn* i, int seg, uint selector)
    {
        if (!Modes.IsProtected(c))
        {
            LoadUnprotected(c, seg, selector);
            return true;
        }
        if (!Check(c, i, seg, selector, out Segment loaded)) return false;
        *Ctx.SegmentOf(c, seg) = loaded;
        DataChanged(c, seg);
        return true;
    }

    /// <summary>A load in real or virtual-8086 mode. Also CS.</summary>
    public static void LoadUnprotected(Ctx* c, int seg, uint selector)
    {
        Segment* s = Ctx.SegmentOf(c, seg);
        s->Selector = (ushort)selector;
        s->Base = (uint)(ushort)selector << 4;
        if (Modes.IsV86(c)) Set(s, V86Attributes, 0xffff);
        // Real mode keeps the limit and the D/B and G bits that protected mode left behind ("unreal mode").
        else if (s->Attributes == 0) Set(s, RealAttributes, 0xffff);
        else if ((s->Attributes & 0xff) != RealAttributes) Set(s, (ushort)((s->Attributes & 0xff00) | RealAttributes), s->Limit);
        DataChanged(c, seg);
    }

    /// <summary>What a segment register holds in virtual-8086 mode.</summary>
    public static Segment V86Segment(uint selector)
    {
        var s = new Segment { Selector = (ushort)selector, Base = (uint)(ushort)selector << 4, Limit = 0xffff, Attributes = V86Attributes };
        s.Derive();
        return s;
    }

    /// <summary>A register that holds a null selector.</summary>
    public static Segment Null(uint selector)
    {
        var s = new Segment { Selector = (ushort)selector };
        s.Derive();
        return s;
    }

    /// <summary>After a return to an outer level: data segments that the new level may not use become null (SDM vol. 3, 5.8.6).</summary>
    public static void DropInaccessible(Ctx* c)
    {
        for (int n = 0; n < Seg.Count; n++)
        {
            if (n is Seg.Cs or Seg.Ss) continue;
            Segment* s = Ctx.SegmentOf(c, n);
            if (s->Attributes != 0 && s->Dpl < c->S.Cpl && (!s->IsCode || (s->Attributes & Segment.AccessConforming) == 0)) *s = Null(0);
        }
    }

    /// <summary>The checks of a load in protected mode; the register is not yet changed. <paramref name="loaded"/> is what it is to hold,
    /// and nothing when false is returned.</summary>
    private static bool Check(Ctx* c, Insn* i, int seg, uint selector, out Segment loaded)
    {
        Unsafe.SkipInit(out loaded);
        Descriptor d;
        if (seg == Seg.Ss)
        {
            if (!Descriptors.FetchStack(c, i, selector, c->S.Cpl, Vector.Gp, 0, out d)) return false;
        }
        else
        {
            if ((selector & 0xfffc) == 0)
            {
                loaded = Null(selector);
                return true;
            }
            uint error = selector & 0xfffc;
            if (!Descriptors.Fetch(c, i, selector, Vector.Gp, 0, out d)) return false;
            if (!MayHold(d, selector, c->S.Cpl)) return Ctx.Fault(c, i, Vector.Gp, error);
            if (!d.IsPresent) return Ctx.Fault(c, i, Vector.Np, error);
        }
        if (!Descriptors.MarkAccessed(c, i, d)) return false;
        loaded = d.ToSegment(selector);
        return true;
    }

    /// <summary>Whether DS, ES, FS or GS may hold the segment at a privilege level.</summary>
    public static bool MayHold(in Descriptor d, uint selector, int cpl)
    {
        if (!d.IsReadable) return false;
        return (d.IsCode && d.IsConforming) || d.Dpl >= int.Max(cpl, (int)(selector & 3));
    }

    /// <summary>Recomputes what depends on a data segment, as rarely as possible: loads are frequent.</summary>
    private static void DataChanged(Ctx* c, int seg)
    {
        if (seg is Seg.Fs or Seg.Gs) return;
        uint mode = c->Mode & ~(BlockMode.Stack32 | BlockMode.Flat);
        if (c->S.Ss.Is32) mode |= BlockMode.Stack32;
        if (c->S.Ds.IsFlatData && c->S.Es.IsFlatData && c->S.Ss.IsFlatData) mode |= BlockMode.Flat;
        if (mode != c->Mode) Modes.Changed(c);
    }

    private static void Set(Segment* s, ushort attributes, uint limit)
    {
        s->Attributes = attributes;
        s->Limit = limit;
        s->Derive();
    }

    private static void StoreRegister<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint selector = Ctx.SegmentOf(c, i->Src)->Selector;
        if (sizeof(T) == 2) Ctx.Reg<ushort>(c, i->Dst) = (ushort)selector;
        else Ctx.Reg<uint>(c, i->Dst) = selector;
        i[1].Fn(c, i + 1);
    }

    private static void StoreMemory<TMem>(Ctx* c, Insn* i) where TMem : struct, IOperandMemory
    {
        if (!TMem.Write(c, i, Ctx.SegmentOf(c, i->Src)->Selector)) return;
        i[1].Fn(c, i + 1);
    }

    private static void LoadRegister(Ctx* c, Insn* i) => MoveTo(c, i, Ctx.Reg<ushort>(c, i->Src));

    private static void LoadMemory<TMem>(Ctx* c, Insn* i) where TMem : struct, IOperandMemory
    {
        ushort* p = TMem.Read<ushort>(c, i);
        if (p != null) MoveTo(c, i, *p);
    }

    private static void MoveTo(Ctx* c, Insn* i, uint selector)
    {
        if (i->Dst == Seg.Cs)
        {
            Ctx.Fault(c, i, Vector.Ud);
            return;
        }
        if (!LoadSegment(c, i, i->Dst, selector)) return;
        if (i->Dst == Seg.Ss) ShadowNext(c, i);
        else Ending.Next(c, i);
    }

    /// <summary>MOV SS and POP SS hold back interrupts and debug traps until the next instruction is done.</summary>
    private static void ShadowNext(Ctx* c, Insn* i)
    {
        c->S.InterruptShadow = 1;
        c->S.DebugShadow = 1;
        Ending.NextAttentive(c, i);
    }

    private static void Push16(Ctx* c, Insn* i)
    {
        uint esp = c->S.R[Gpr.Esp] - 2;
        if (!Segmented.Write(c, i, Seg.Ss, c->S.Ss.Is32 ? esp : (ushort)esp, Ctx.SegmentOf(c, i->Dst)->Selector)) return;
        CurrentStack.Set(c, esp);
        i[1].Fn(c, i + 1);
    }

    /// <summary>Writes only 16 of the 32 bits that the stack pointer moves, as current processors do.</summary>
    private static void Push32(Ctx* c, Insn* i)
    {
        uint esp = c->S.R[Gpr.Esp] - 4;
        if (!Segmented.Write(c, i, Seg.Ss, c->S.Ss.Is32 ? esp : (ushort)esp, Ctx.SegmentOf(c, i->Dst)->Selector)) return;
        CurrentStack.Set(c, esp);
        i[1].Fn(c, i + 1);
    }

    private static void Pop16(Ctx* c, Insn* i) => Pop(c, i, 2);

    private static void Pop32(Ctx* c, Insn* i) => Pop(c, i, 4);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Pop(Ctx* c, Insn* i, int size)
    {
        uint esp = c->S.R[Gpr.Esp] + (uint)size;
        bool wide = c->S.Ss.Is32;
        // Only the selector is read, of 32 bits too, as current processors do (and as PUSH writes only that).
        if (!CurrentStack.Read(c, i, 0, 2, out uint selector) || !LoadSegment(c, i, i->Dst, selector)) return;
        // The old stack's width counts, also for POP SS.
        c->S.R[Gpr.Esp] = wide ? esp : (c->S.R[Gpr.Esp] & 0xffff_0000) | (ushort)esp;
        if (i->Dst == Seg.Ss) ShadowNext(c, i);
        else Ending.Next(c, i);
    }

    private static void LoadPointer<TSegment, T, TMem>(Ctx* c, Insn* i)
        where TSegment : struct, INumber where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* p = TMem.Read<T>(c, i);
        if (p == null) return;
        T offset = *p;
        if (!TMem.Locate(c, i, (uint)sizeof(T), 2, false)) return;
        ushort* selector = Linear.Read<ushort>(c, i, c->Located);
        if (selector == null || !LoadSegment(c, i, TSegment.Segment, *selector)) return;
        Ctx.Reg<T>(c, i->Dst) = offset;
        // LSS switches both halves of the stack pointer: no shadow is needed, and there is none.
        Ending.Next(c, i);
    }
}
