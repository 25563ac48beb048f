// Descriptor table registers and selectors: LGDT LIDT SGDT SIDT LLDT SLDT LTR STR LAR LSL VERR VERW ARPL (SDM vol. 3, ch. 2 and 5.10).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class DescriptorTables
{
    public static void Rows(OpTable t)
    {
        const OpFlags privileged = OpFlags.Privileged, protectedOnly = OpFlags.ProtectedOnly, both = OpFlags.Privileged | OpFlags.ProtectedOnly;
        Table<Gdt>(t, Code.Lgdt_m1632_16, Code.Lgdt_m1632, Code.Sgdt_m1632_16, Code.Sgdt_m1632, privileged);
        Table<Idt>(t, Code.Lidt_m1632_16, Code.Lidt_m1632, Code.Sidt_m1632_16, Code.Sidt_m1632, privileged);
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Lldt_rm16, Code.Lldt_r32m16])
        {
            t.Add(code, &WithRegister<Lldt>, &WithMemory<Lldt, Flat>, &WithMemory<Lldt, Seg32>, &WithMemory<Lldt, Seg16>, both);
        }
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Ltr_rm16, Code.Ltr_r32m16])
        {
            t.Add(code, &WithRegister<Ltr>, &WithMemory<Ltr, Flat>, &WithMemory<Ltr, Seg32>, &WithMemory<Ltr, Seg16>, both);
        }
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Verr_rm16, Code.Verr_r32m16])
        {
            t.Add(code, &WithRegister<Verr>, &WithMemory<Verr, Flat>, &WithMemory<Verr, Seg32>, &WithMemory<Verr, Seg16>, protectedOnly);
        }
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Verw_rm16, Code.Verw_r32m16])
        {
            t.Add(code, &WithRegister<Verw>, &WithMemory<Verw, Flat>, &WithMemory<Verw, Seg32>, &WithMemory<Verw, Seg16>, protectedOnly);
        }
        t.Add(Code.Sldt_rm16, &StoreRegister<LdtSelector, ushort>, &Store<LdtSelector, Flat>, &Store<LdtSelector, Seg32>, &Store<LdtSelector, Seg16>, protectedOnly);
        t.Add(Code.Sldt_r32m16, &StoreRegister<LdtSelector, uint>, &Store<LdtSelector, Flat>, &Store<LdtSelector, Seg32>, &Store<LdtSelector, Seg16>, protectedOnly);
        t.Add(Code.Str_rm16, &StoreRegister<TaskSelector, ushort>, &Store<TaskSelector, Flat>, &Store<TaskSelector, Seg32>, &Store<TaskSelector, Seg16>, protectedOnly);
        t.Add(Code.Str_r32m16, &StoreRegister<TaskSelector, uint>, &Store<TaskSelector, Flat>, &Store<TaskSelector, Seg32>, &Store<TaskSelector, Seg16>, protectedOnly);
        Query<Lar>(t, Code.Lar_r16_rm16, Code.Lar_r32_r32m16, protectedOnly);
        Query<Lsl>(t, Code.Lsl_r16_rm16, Code.Lsl_r32_r32m16, protectedOnly);
        foreach (Code code in (ReadOnlySpan<Code>)[Code.Arpl_rm16_r16, Code.Arpl_r32m16_r32])
        {
            t.Add(code, &ArplRegister, &ArplMemory<Flat>, &ArplMemory<Seg32>, &ArplMemory<Seg16>, protectedOnly);
        }
    }

    private static void Table<TTable>(OpTable t, Code load16, Code load32, Code store16, Code store32, OpFlags privileged) where TTable : struct, ITable
    {
        t.Add(load16, null, &LoadTable<TTable, ushort, Flat>, &LoadTable<TTable, ushort, Seg32>, &LoadTable<TTable, ushort, Seg16>, privileged);
        t.Add(load32, null, &LoadTable<TTable, uint, Flat>, &LoadTable<TTable, uint, Seg32>, &LoadTable<TTable, uint, Seg16>, privileged);
        t.Add(store16, null, &StoreTable<TTable, Flat>, &StoreTable<TTable, Seg32>, &StoreTable<TTable, Seg16>);
        t.Add(store32, null, &StoreTable<TTable, Flat>, &StoreTable<TTable, Seg32>, &StoreTable<TTable, Seg16>);
    }

    private static void Query<TQuery>(OpTable t, Code code16, Code code32, OpFlags flags) where TQuery : struct, IQuery
    {
        t.Add(code16, &QueryRegister<TQuery, ushort>, &QueryMemory<TQuery, ushort, Flat>, &QueryMemory<TQuery, ushort, Seg32>, &QueryMemory<TQuery, ushort, Seg16>, flags);
        t.Add(code32, &QueryRegister<TQuery, uint>, &QueryMemory<TQuery, uint, Flat>, &QueryMemory<TQuery, uint, Seg32>, &QueryMemory<TQuery, uint, Seg16>, flags);
    }

    private interface ITable
    {
        static abstract TableRegister* Of(Ctx* c);
    }

    private readonly struct Gdt : ITable { public static TableRegister* Of(Ctx* c) => &c->S.Gdtr; }

    private readonly struct Idt : ITable { public static TableRegister* Of(Ctx* c) => &c->S.Idtr; }

    private interface ISelector
    {
        static abstract ushort Of(Ctx* c);
    }

    private readonly struct LdtSelector : ISelector { public static ushort Of(Ctx* c) => c->S.Ldtr.Selector; }

    private readonly struct TaskSelector : ISelector { public static ushort Of(Ctx* c) => c->S.Tr.Selector; }

    /// <summary>An instruction that takes one selector. False: stop.</summary>
    private interface ISelectorAction
    {
        static abstract bool Do(Ctx* c, Insn* i, uint selector);
    }

    private readonly struct Lldt : ISelectorAction { public static bool Do(Ctx* c, Insn* i, uint selector) => LoadLdt(c, i, selector); }

    private readonly struct Ltr : ISelectorAction { public static bool Do(Ctx* c, Insn* i, uint selector) => LoadTask(c, i, selector); }

    private readonly struct Verr : ISelectorAction { public static bool Do(Ctx* c, Insn* i, uint selector) => Verify(c, i, selector, false); }

    private readonly struct Verw : ISelectorAction { public static bool Do(Ctx* c, Insn* i, uint selector) => Verify(c, i, selector, true); }

    private interface IQuery
    {
        /// <summary>Whether the instruction answers for this type of system descriptor.</summary>
        static abstract bool Knows(uint systemType);

        static abstract uint Result(in Descriptor d);
    }

    private readonly struct Lar : IQuery
    {
        public static bool Knows(uint systemType) => systemType is 1 or 2 or 3 or 4 or 5 or 9 or 11 or 12;

        /// <summary>Bits 19:16 are undefined; processors leave those of the limit there.</summary>
        public static uint Result(in Descriptor d) => d.High & 0x00ff_ff00;
    }

    private readonly struct Lsl : IQuery
    {
        public static bool Knows(uint systemType) => systemType is 1 or 2 or 3 or 9 or 11;

        public static uint Result(in Descriptor d) => d.Limit;
    }

    private static void LoadTable<TTable, T, TMem>(Ctx* c, Insn* i) where TTable : struct, ITable where T : unmanaged where TMem : struct, IOperandMemory
    {
        if (!TMem.Locate(c, i, 0, 2, false)) return;
        ushort* limitAt = Linear.Read<ushort>(c, i, c->Located);
        if (limitAt == null) return;
        ushort limit = *limitAt;
        if (!TMem.Locate(c, i, 2, 4, false)) return;
        uint* baseAt = Linear.Read<uint>(c, i, c->Located);
        if (baseAt == null) return;
        TTable.Of(c)->Base = sizeof(T) == 2 ? *baseAt & 0xff_ffff : *baseAt;
        TTable.Of(c)->Limit = limit;
        i[1].Fn(c, i + 1);
    }

    private static void StoreTable<TTable, TMem>(Ctx* c, Insn* i) where TTable : struct, ITable where TMem : struct, IOperandMemory
    {
        if (!TMem.Locate(c, i, 2, 4, true)) return;
        uint baseAt = c->Located;
        if (!TMem.Locate(c, i, 0, 2, true)) return;
        if (!SlowAccess.Probe(c, i, baseAt, 4, true, false)) return;
        if (!Linear.Write(c, i, c->Located, TTable.Of(c)->Limit)) return;
        if (!Linear.Write(c, i, baseAt, TTable.Of(c)->Base)) return;
        i[1].Fn(c, i + 1);
    }

    private static void WithRegister<TAction>(Ctx* c, Insn* i) where TAction : struct, ISelectorAction
    {
        if (!TAction.Do(c, i, Ctx.Reg<ushort>(c, i->Dst))) return;
        i[1].Fn(c, i + 1);
    }

    private static void WithMemory<TAction, TMem>(Ctx* c, Insn* i) where TAction : struct, ISelectorAction where TMem : struct, IOperandMemory
    {
        ushort* p = TMem.Read<ushort>(c, i);
        if (p == null || !TAction.Do(c, i, *p)) return;
        i[1].Fn(c, i + 1);
    }

    private static void StoreRegister<TSelector, T>(Ctx* c, Insn* i) where TSelector : struct, ISelector where T : unmanaged
    {
        if (sizeof(T) == 2) Ctx.Reg<ushort>(c, i->Dst) = TSelector.Of(c);
        else Ctx.Reg<uint>(c, i->Dst) = TSelector.Of(c);
        i[1].Fn(c, i + 1);
    }

    private static void Store<TSelector, TMem>(Ctx* c, Insn* i) where TSelector : struct, ISelector where TMem : struct, IOperandMemory
    {
        if (!TMem.Write(c, i, TSelector.Of(c))) return;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool LoadLdt(Ctx* c, Insn* i, uint selector)
    {
        uint error = selector & 0xfffc;
        if (error == 0)
        {
            c->S.Ldtr = SegmentLoad.Null(selector);
            return true;
        }
        if ((selector & 4) != 0) return Ctx.Fault(c, i, Vector.Gp, error);
        if (!Descriptors.Fetch(c, i, selector, Vector.Gp, 0, out Descriptor d)) return false;
        if (!d.IsSystem || d.Type != Descriptor.TypeLdt) return Ctx.Fault(c, i, Vector.Gp, error);
        if (!d.IsPresent) return Ctx.Fault(c, i, Vector.Np, error);
        c->S.Ldtr = d.ToSegment(selector);
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool LoadTask(Ctx* c, Insn* i, uint selector)
    {
        uint error = selector & 0xfffc;
        if (error == 0 || (selector & 4) != 0) return Ctx.Fault(c, i, Vector.Gp, error);
        if (!Descriptors.Fetch(c, i, selector, Vector.Gp, 0, out Descriptor d)) return false;
        if (!d.IsSystem || d.Type is not (Descriptor.TypeTss16 or Descriptor.TypeTss32)) return Ctx.Fault(c, i, Vector.Gp, error);
        if (!d.IsPresent) return Ctx.Fault(c, i, Vector.Np, error);
        d.High |= 0x200;
        if (!SystemLinear.Write(c, i, d.At + 4, d.High)) return false;
        c->S.Tr = d.ToSegment(selector);
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Verify(Ctx* c, Insn* i, uint selector, bool write)
    {
        if (!Descriptors.Look(c, i, selector, out Descriptor d, out bool found)) return false;
        bool allowed = found && (write ? d.IsWritableData : d.IsReadable)
            && ((d.IsCode && d.IsConforming) || d.Dpl >= int.Max(c->S.Cpl, (int)(selector & 3)));
        Ending.SetZero(c, allowed);
        return true;
    }

    private static void QueryRegister<TQuery, T>(Ctx* c, Insn* i) where TQuery : struct, IQuery where T : unmanaged
    {
        if (!Query<TQuery>(c, i, Ctx.Reg<ushort>(c, i->Src), (uint)sizeof(T))) return;
        i[1].Fn(c, i + 1);
    }

    private static void QueryMemory<TQuery, T, TMem>(Ctx* c, Insn* i) where TQuery : struct, IQuery where T : unmanaged where TMem : struct, IOperandMemory
    {
        ushort* p = TMem.Read<ushort>(c, i);
        if (p == null || !Query<TQuery>(c, i, *p, (uint)sizeof(T))) return;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Query<TQuery>(Ctx* c, Insn* i, uint selector, uint size) where TQuery : struct, IQuery
    {
        if (!Descriptors.Look(c, i, selector, out Descriptor d, out bool found)) return false;
        bool known = found && (!d.IsSystem || TQuery.Knows(d.Type))
            && ((d.IsCode && d.IsConforming) || d.Dpl >= int.Max(c->S.Cpl, (int)(selector & 3)));
        Ending.SetZero(c, known);
        if (!known) return true;
        if (size == 2) Ctx.Reg<ushort>(c, i->Dst) = (ushort)TQuery.Result(d);
        else Ctx.Reg<uint>(c, i->Dst) = TQuery.Result(d);
        return true;
    }

    private static void ArplRegister(Ctx* c, Insn* i)
    {
        uint destination = Ctx.Reg<ushort>(c, i->Dst), source = Ctx.Reg<ushort>(c, i->Src);
        bool raised = (destination & 3) < (source & 3);
        if (raised) Ctx.Reg<ushort>(c, i->Dst) = (ushort)((destination & 0xfffc) | (source & 3));
        Ending.SetZero(c, raised);
        i[1].Fn(c, i + 1);
    }

    private static void ArplMemory<TMem>(Ctx* c, Insn* i) where TMem : struct, IOperandMemory
    {
        ushort* p = TMem.Read<ushort>(c, i);
        if (p == null) return;
        uint destination = *p, source = Ctx.Reg<ushort>(c, i->Src);
        bool raised = (destination & 3) < (source & 3);
        if (raised && !TMem.Write(c, i, (ushort)((destination & 0xfffc) | (source & 3)))) return;
        Ending.SetZero(c, raised);
        i[1].Fn(c, i + 1);
    }
}
