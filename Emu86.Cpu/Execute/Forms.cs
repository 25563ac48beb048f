// The operand forms that most instructions share: one generic handler per form, specialised by operation, width and
// kind of memory operand; and the helpers that put all of them into the opcode table.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

/// <summary>An operation on two operands of one width that sets the status flags.</summary>
internal unsafe interface IBinary
{
    /// <summary>False: only the flags are wanted (CMP, TEST); the destination is then only read.</summary>
    static abstract bool Writes { get; }

    /// <summary>The result (bits above the width are ignored). Operands are zero-extended.</summary>
    static abstract uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged;
}

/// <summary>An operation on one operand that it replaces.</summary>
internal unsafe interface IUnary
{
    static abstract uint Do<T>(Ctx* c, uint a) where T : unmanaged;
}

internal static unsafe class Forms
{
    // Binary operations.

    public static void RegReg<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IBinary where T : unmanaged
    {
        uint result = TOp.Do<T>(c, Operand.Get<T>(c, i->Dst), Operand.Get<T>(c, i->Src));
        if (TOp.Writes) Operand.Set<T>(c, i->Dst, result);
        i[1].Fn(c, i + 1);
    }

    public static void RegImm<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IBinary where T : unmanaged
    {
        uint result = TOp.Do<T>(c, Operand.Get<T>(c, i->Dst), Operand.Mask<T>(i->Imm));
        if (TOp.Writes) Operand.Set<T>(c, i->Dst, result);
        i[1].Fn(c, i + 1);
    }

    public static void RegMemFlat<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IBinary where T : unmanaged
    {
        uint linear = Flat.Offset(c, i);
        TlbEntry* e = Operand.Entry(c, linear);
        if (!Operand.ReadHits<T>(e, linear))
        {
            RegMem<TOp, T, Flat>(c, i);
            return;
        }
        uint result = TOp.Do<T>(c, Operand.Get<T>(c, i->Dst), Operand.Load(Operand.Place<T>(e, linear)));
        if (TOp.Writes) Operand.Set<T>(c, i->Dst, result);
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void RegMem<TOp, T, TMem>(Ctx* c, Insn* i) where TOp : struct, IBinary where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null) return;
        uint result = TOp.Do<T>(c, Operand.Get<T>(c, i->Dst), Operand.Load(place));
        if (TOp.Writes) Operand.Set<T>(c, i->Dst, result);
        i[1].Fn(c, i + 1);
    }

    public static void MemReg<TOp, T, TMem>(Ctx* c, Insn* i) where TOp : struct, IBinary where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TOp.Writes ? TMem.Modify<T>(c, i) : TMem.Read<T>(c, i);
        if (place == null) return;
        uint result = TOp.Do<T>(c, Operand.Load(place), Operand.Get<T>(c, i->Src));
        if (TOp.Writes) Linear.Commit(c, i, place, Operand.Narrow<T>(result));
        i[1].Fn(c, i + 1);
    }

    public static void MemImm<TOp, T, TMem>(Ctx* c, Insn* i) where TOp : struct, IBinary where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TOp.Writes ? TMem.Modify<T>(c, i) : TMem.Read<T>(c, i);
        if (place == null) return;
        uint result = TOp.Do<T>(c, Operand.Load(place), Operand.Mask<T>(i->Imm));
        if (TOp.Writes) Linear.Commit(c, i, place, Operand.Narrow<T>(result));
        i[1].Fn(c, i + 1);
    }

    // Unary operations.

    public static void Reg<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IUnary where T : unmanaged
    {
        Operand.Set<T>(c, i->Dst, TOp.Do<T>(c, Operand.Get<T>(c, i->Dst)));
        i[1].Fn(c, i + 1);
    }

    public static void Mem<TOp, T, TMem>(Ctx* c, Insn* i) where TOp : struct, IUnary where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Modify<T>(c, i);
        if (place == null) return;
        Linear.Commit(c, i, place, Operand.Narrow<T>(TOp.Do<T>(c, Operand.Load(place))));
        i[1].Fn(c, i + 1);
    }

    // Rows of the opcode table.

    /// <summary><c>op r/m, r</c></summary>
    public static void RmReg<TOp, T>(OpTable t, Code code, OpFlags flags = OpFlags.None) where TOp : struct, IBinary where T : unmanaged =>
        t.Add(code, &RegReg<TOp, T>, &MemReg<TOp, T, Flat>, &MemReg<TOp, T, Seg32>, &MemReg<TOp, T, Seg16>, flags);

    /// <summary><c>op r, r/m</c></summary>
    public static void RegRm<TOp, T>(OpTable t, Code code) where TOp : struct, IBinary where T : unmanaged =>
        t.Add(code, &RegReg<TOp, T>, &RegMemFlat<TOp, T>, &RegMem<TOp, T, Seg32>, &RegMem<TOp, T, Seg16>);

    /// <summary><c>op r/m, imm</c></summary>
    public static void RmImm<TOp, T>(OpTable t, Code code, OpFlags flags = OpFlags.None) where TOp : struct, IBinary where T : unmanaged =>
        t.Add(code, &RegImm<TOp, T>, &MemImm<TOp, T, Flat>, &MemImm<TOp, T, Seg32>, &MemImm<TOp, T, Seg16>, flags);

    /// <summary><c>op r/m</c></summary>
    public static void Rm<TOp, T>(OpTable t, Code code, OpFlags flags = OpFlags.None) where TOp : struct, IUnary where T : unmanaged =>
        t.Add(code, &Reg<TOp, T>, &Mem<TOp, T, Flat>, &Mem<TOp, T, Seg32>, &Mem<TOp, T, Seg16>, flags);

    /// <summary>The fifteen encodings of ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, in opcode order; LOCK is allowed on
    /// those that write memory.</summary>
    public static void AllBinary<TOp>(OpTable t, ReadOnlySpan<Code> codes) where TOp : struct, IBinary
    {
        OpFlags lockable = TOp.Writes ? OpFlags.Lockable : OpFlags.None;
        RmReg<TOp, byte>(t, codes[0], lockable);
        RmReg<TOp, ushort>(t, codes[1], lockable);
        RmReg<TOp, uint>(t, codes[2], lockable);
        RegRm<TOp, byte>(t, codes[3]);
        RegRm<TOp, ushort>(t, codes[4]);
        RegRm<TOp, uint>(t, codes[5]);
        t.Add(codes[6], &RegImm<TOp, byte>);
        t.Add(codes[7], &RegImm<TOp, ushort>);
        t.Add(codes[8], &RegImm<TOp, uint>);
        RmImm<TOp, byte>(t, codes[9], lockable);
        RmImm<TOp, byte>(t, codes[10], lockable);
        RmImm<TOp, ushort>(t, codes[11], lockable);
        RmImm<TOp, uint>(t, codes[12], lockable);
        RmImm<TOp, ushort>(t, codes[13], lockable);
        RmImm<TOp, uint>(t, codes[14], lockable);
    }
}
