// The x87 instructions with a number in memory: arithmetic, compare, load, store (Intel SDM vol. 2).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Float;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class X87Memory
{
    public static void Rows(OpTable t)
    {
        Arithmetic<AddOperation>(t, Code.Fadd_m32fp, Code.Fadd_m64fp, Code.Fiadd_m16int, Code.Fiadd_m32int);
        Arithmetic<MultiplyOperation>(t, Code.Fmul_m32fp, Code.Fmul_m64fp, Code.Fimul_m16int, Code.Fimul_m32int);
        Arithmetic<SubtractOperation>(t, Code.Fsub_m32fp, Code.Fsub_m64fp, Code.Fisub_m16int, Code.Fisub_m32int);
        Arithmetic<SubtractReverseOperation>(t, Code.Fsubr_m32fp, Code.Fsubr_m64fp, Code.Fisubr_m16int, Code.Fisubr_m32int);
        Arithmetic<DivideOperation>(t, Code.Fdiv_m32fp, Code.Fdiv_m64fp, Code.Fidiv_m16int, Code.Fidiv_m32int);
        Arithmetic<DivideReverseOperation>(t, Code.Fdivr_m32fp, Code.Fdivr_m64fp, Code.Fidivr_m16int, Code.Fidivr_m32int);
        Comparison<KeepStack>(t, Code.Fcom_m32fp, Code.Fcom_m64fp, Code.Ficom_m16int, Code.Ficom_m32int);
        Comparison<PopStack>(t, Code.Fcomp_m32fp, Code.Fcomp_m64fp, Code.Ficomp_m16int, Code.Ficomp_m32int);

        LoadRow<Single32, uint>(t, Code.Fld_m32fp);
        LoadRow<Double64, ulong>(t, Code.Fld_m64fp);
        LoadRow<Integer16, short>(t, Code.Fild_m16int);
        LoadRow<Integer32, int>(t, Code.Fild_m32int);
        LoadRow<Integer64, long>(t, Code.Fild_m64int);
        StoreRow<Single32, uint, KeepStack>(t, Code.Fst_m32fp);
        StoreRow<Single32, uint, PopStack>(t, Code.Fstp_m32fp);
        StoreRow<Double64, ulong, KeepStack>(t, Code.Fst_m64fp);
        StoreRow<Double64, ulong, PopStack>(t, Code.Fstp_m64fp);
        StoreRow<Integer16, short, KeepStack>(t, Code.Fist_m16int);
        StoreRow<Integer16, short, PopStack>(t, Code.Fistp_m16int);
        StoreRow<Integer32, int, KeepStack>(t, Code.Fist_m32int);
        StoreRow<Integer32, int, PopStack>(t, Code.Fistp_m32int);
        StoreRow<Integer64, long, PopStack>(t, Code.Fistp_m64int);

#pragma warning disable format // aligned by hand
        t.Add(Code.Fld_m80fp,    null, &Load80<Flat, Extended80>,  &Load80<Seg32, Extended80>,  &Load80<Seg16, Extended80>);
        t.Add(Code.Fbld_m80bcd,  null, &Load80<Flat, Bcd80>,       &Load80<Seg32, Bcd80>,       &Load80<Seg16, Bcd80>);
        t.Add(Code.Fstp_m80fp,   null, &Store80<Flat, Extended80>, &Store80<Seg32, Extended80>, &Store80<Seg16, Extended80>);
        t.Add(Code.Fbstp_m80bcd, null, &Store80<Flat, Bcd80>,      &Store80<Seg32, Bcd80>,      &Store80<Seg16, Bcd80>);
#pragma warning restore format
    }

    private static void Arithmetic<TOperation>(OpTable t, Code m32, Code m64, Code i16, Code i32) where TOperation : struct, IBinaryOperation
    {
        ArithmeticRow<TOperation, Single32, uint>(t, m32);
        ArithmeticRow<TOperation, Double64, ulong>(t, m64);
        ArithmeticRow<TOperation, Integer16, short>(t, i16);
        ArithmeticRow<TOperation, Integer32, int>(t, i32);
    }

    private static void ArithmeticRow<TOperation, TFormat, T>(OpTable t, Code code)
        where TOperation : struct, IBinaryOperation where TFormat : struct, ILoadFormat<T> where T : unmanaged
        => t.Add(code, null, &Binary<Flat, TOperation, TFormat, T>, &Binary<Seg32, TOperation, TFormat, T>, &Binary<Seg16, TOperation, TFormat, T>);

    private static void Comparison<TAfter>(OpTable t, Code m32, Code m64, Code i16, Code i32) where TAfter : struct, IAfter
    {
        CompareRow<TAfter, Single32, uint>(t, m32);
        CompareRow<TAfter, Double64, ulong>(t, m64);
        CompareRow<TAfter, Integer16, short>(t, i16);
        CompareRow<TAfter, Integer32, int>(t, i32);
    }

    private static void CompareRow<TAfter, TFormat, T>(OpTable t, Code code)
        where TAfter : struct, IAfter where TFormat : struct, ILoadFormat<T> where T : unmanaged
        => t.Add(code, null, &Compare<Flat, TAfter, TFormat, T>, &Compare<Seg32, TAfter, TFormat, T>, &Compare<Seg16, TAfter, TFormat, T>);

    private static void LoadRow<TFormat, T>(OpTable t, Code code) where TFormat : struct, ILoadFormat<T> where T : unmanaged
        => t.Add(code, null, &Load<Flat, TFormat, T>, &Load<Seg32, TFormat, T>, &Load<Seg16, TFormat, T>);

    private static void StoreRow<TFormat, T, TAfter>(OpTable t, Code code)
        where TFormat : struct, IStoreFormat<T> where T : unmanaged where TAfter : struct, IAfter
        => t.Add(code, null, &Store<Flat, TFormat, T, TAfter>, &Store<Seg32, TFormat, T, TAfter>, &Store<Seg16, TFormat, T, TAfter>);

    /// <summary>Keeps the pointers of an instruction with a memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Remember<TMemory>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
    {
        X87.Remember(c, i);
        c->S.Fpu.DataOffset = TMemory.Offset(c, i);
        c->S.Fpu.DataSelector = Ctx.SegmentOf(c, i->Segment)->Selector;
    }

    private static void Binary<TMemory, TOperation, TFormat, T>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
        where TOperation : struct, IBinaryOperation where TFormat : struct, ILoadFormat<T> where T : unmanaged
    {
        if (!X87.Ready(c, i)) return;
        T* bits = TMemory.Read<T>(c, i);
        if (bits == null) return;
        Remember<TMemory>(c, i);
        FpuOps.BinaryMemory<TOperation, TFormat, T>(ref c->S.Fpu, *bits);
        i[1].Fn(c, i + 1);
    }

    private static void Compare<TMemory, TAfter, TFormat, T>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
        where TAfter : struct, IAfter where TFormat : struct, ILoadFormat<T> where T : unmanaged
    {
        if (!X87.Ready(c, i)) return;
        T* bits = TMemory.Read<T>(c, i);
        if (bits == null) return;
        Remember<TMemory>(c, i);
        FpuOps.CompareMemory<TFormat, T>(ref c->S.Fpu, *bits, TAfter.Pops);
        i[1].Fn(c, i + 1);
    }

    private static void Load<TMemory, TFormat, T>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
        where TFormat : struct, ILoadFormat<T> where T : unmanaged
    {
        if (!X87.Ready(c, i)) return;
        T* bits = TMemory.Read<T>(c, i);
        if (bits == null) return;
        Remember<TMemory>(c, i);
        FpuOps.LoadMemory<TFormat, T>(ref c->S.Fpu, *bits);
        i[1].Fn(c, i + 1);
    }

    private static void Store<TMemory, TFormat, T, TAfter>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory
        where TFormat : struct, IStoreFormat<T> where T : unmanaged where TAfter : struct, IAfter
    {
        if (!X87.Ready(c, i)) return;
        if (!StoreBits<TMemory, TFormat, T>(c, i, TAfter.Pops != 0)) return;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool StoreBits<TMemory, TFormat, T>(Ctx* c, Insn* i, bool pop) where TMemory : struct, IOperandMemory
        where TFormat : struct, IStoreFormat<T> where T : unmanaged
    {
        uint flags = TFormat.Narrow(ref c->S.Fpu, out T bits);
        if (Convert80.MayStore(flags, c->S.Fpu.Control) && !TMemory.Write(c, i, bits)) return false;
        Remember<TMemory>(c, i);
        FpuOps.CommitStore(ref c->S.Fpu, flags, pop);
        return true;
    }

    private static void Load80<TMemory, TFormat>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory where TFormat : struct, IFormat80
    {
        if (!X87.Ready(c, i)) return;
        if (!LoadBits80<TMemory, TFormat>(c, i)) return;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool LoadBits80<TMemory, TFormat>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory where TFormat : struct, IFormat80
    {
        if (!TMemory.Locate(c, i, 0, 10, write: false)) return false;
        uint linear = c->Located;
        ulong* low = Linear.Read<ulong>(c, i, linear);
        if (low == null) return false;
        // The second read may use the same scratch place.
        ulong significand = *low;
        ushort* high = Linear.Read<ushort>(c, i, linear + 8);
        if (high == null) return false;
        Remember<TMemory>(c, i);
        Float80 value = default;
        TFormat.Widen(significand, *high, ref value);
        FpuOps.Load(ref c->S.Fpu, value);
        return true;
    }

    private static void Store80<TMemory, TFormat>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory where TFormat : struct, IFormat80
    {
        if (!X87.Ready(c, i)) return;
        if (!StoreBits80<TMemory, TFormat>(c, i)) return;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool StoreBits80<TMemory, TFormat>(Ctx* c, Insn* i) where TMemory : struct, IOperandMemory where TFormat : struct, IFormat80
    {
        uint flags = TFormat.Narrow(ref c->S.Fpu, out ulong low, out ushort high);
        if (Convert80.MayStore(flags, c->S.Fpu.Control))
        {
            if (!TMemory.Locate(c, i, 0, 10, write: true)) return false;
            uint linear = c->Located;
            // Within a page the second write cannot stop where the first did not.
            if ((linear & 0xFFF) > 4096 - 10 && !SlowAccess.Probe(c, i, linear, 10, write: true, supervisor: false)) return false;
            if (!Linear.Write(c, i, linear, low)) return false;
            Check.That(Linear.Write(c, i, linear + 8, high));
        }
        Remember<TMemory>(c, i);
        FpuOps.CommitStore(ref c->S.Fpu, flags, pop: true);
        return true;
    }

    private interface IAfter
    {
        static abstract int Pops { get; }
    }

    private readonly struct KeepStack : IAfter { public static int Pops => 0; }

    private readonly struct PopStack : IAfter { public static int Pops => 1; }

    private interface IFormat80
    {
        static abstract void Widen(ulong low, ushort high, ref Float80 result);

        static abstract uint Narrow(ref FpuState fpu, out ulong low, out ushort high);
    }

    private readonly struct Extended80 : IFormat80
    {
        public static void Widen(ulong low, ushort high, ref Float80 result) => result = new Float80(low, high);

        public static uint Narrow(ref FpuState fpu, out ulong low, out ushort high) => FpuOps.StoreExtended(ref fpu, out low, out high);
    }

    private readonly struct Bcd80 : IFormat80
    {
        public static void Widen(ulong low, ushort high, ref Float80 result) => Convert80.FromBcd(low, high, ref result);

        public static uint Narrow(ref FpuState fpu, out ulong low, out ushort high) => FpuOps.StoreBcd(ref fpu, out low, out high);
    }
}
