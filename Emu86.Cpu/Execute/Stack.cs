// PUSH, POP, PUSHA, POPA, ENTER, LEAVE, and the stack accesses of every other group (SDM vol. 1, 6.2; vol. 2).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

/// <summary>The stack at the current privilege. Width of the data is a type parameter, width of the stack pointer is SS.B.</summary>
public static unsafe class Stack
{
    internal const uint Fast = BlockMode.Stack32 | BlockMode.Flat;

    public static void Rows(OpTable t)
    {
        t.Add(Code.Push_r16, &PushReg<ushort>);
        t.Add(Code.Push_r32, &PushReg<uint>);
        t.Add(Code.Push_imm16, &PushImm<ushort>);
        t.Add(Code.Pushd_imm32, &PushImm<uint>);
        t.Add(Code.Pushw_imm8, &PushImm<ushort>);
        t.Add(Code.Pushd_imm8, &PushImm<uint>);
        t.Add(Code.Push_rm16, &PushReg<ushort>, &PushMem<ushort, Flat>, &PushMem<ushort, Seg32>, &PushMem<ushort, Seg16>);
        t.Add(Code.Push_rm32, &PushReg<uint>, &PushMem<uint, Flat>, &PushMem<uint, Seg32>, &PushMem<uint, Seg16>);
        t.Add(Code.Pop_r16, &PopReg<ushort>);
        t.Add(Code.Pop_r32, &PopReg<uint>);
        t.Add(Code.Pop_rm16, &PopReg<ushort>, &PopMem<ushort, Flat>, &PopMem<ushort, Seg32>, &PopMem<ushort, Seg16>);
        t.Add(Code.Pop_rm32, &PopReg<uint>, &PopMem<uint, Flat>, &PopMem<uint, Seg32>, &PopMem<uint, Seg16>);
        t.Add(Code.Pushaw, &PushAll<ushort>);
        t.Add(Code.Pushad, &PushAll<uint>);
        t.Add(Code.Popaw, &PopAll<ushort>);
        t.Add(Code.Popad, &PopAll<uint>);
        t.Add(Code.Enterw_imm16_imm8, &Enter<ushort>);
        t.Add(Code.Enterd_imm16_imm8, &Enter<uint>);
        t.Add(Code.Leavew, &Leave<ushort>);
        t.Add(Code.Leaved, &Leave<uint>);
    }

    // What other groups use.

    /// <summary>Pushes a value; false: stop, nothing was changed. ESP moves only after the write succeeded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Push<T>(Ctx* c, Insn* i, uint value) where T : unmanaged
    {
        if ((c->Mode & Fast) != Fast) return PushSegmented<T>(c, i, value);
        uint esp = c->S.R[Gpr.Esp] - (uint)sizeof(T);
        if (!Linear.Write(c, i, esp, Operand.Narrow<T>(value))) return false;
        c->S.R[Gpr.Esp] = esp;
        return true;
    }

    /// <summary>The value on top of the stack, which stays there (<see cref="Drop"/> removes it); null: stop.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Top<T>(Ctx* c, Insn* i) where T : unmanaged =>
        (c->Mode & Fast) == Fast ? Linear.Read<T>(c, i, c->S.R[Gpr.Esp]) : At<T>(c, i, 0);

    /// <summary>Moves the stack pointer up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Drop(Ctx* c, uint bytes) => SetPointer(c, c->S.R[Gpr.Esp] + bytes);

    /// <summary>Offset in SS of the stack's top plus <paramref name="delta"/> bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Offset(Ctx* c, uint delta)
    {
        uint offset = c->S.R[Gpr.Esp] + delta;
        return (c->Mode & BlockMode.Stack32) != 0 ? offset : (ushort)offset;
    }

    /// <summary>Sets ESP, or SP where the stack is 16 bits wide.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetPointer(Ctx* c, uint value)
    {
        if ((c->Mode & BlockMode.Stack32) != 0) c->S.R[Gpr.Esp] = value;
        else Operand.Set<ushort>(c, 4 * Gpr.Esp, value);
    }

    /// <summary>The stack value at <paramref name="delta"/> bytes from the top, which is not moved; null: stop.</summary>
    public static T* At<T>(Ctx* c, Insn* i, uint delta) where T : unmanaged => Segmented.Read<T>(c, i, Seg.Ss, Offset(c, delta));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool PushSegmented<T>(Ctx* c, Insn* i, uint value) where T : unmanaged
    {
        uint offset = Offset(c, 0 - (uint)sizeof(T));
        if (!Segmented.Write(c, i, Seg.Ss, offset, Operand.Narrow<T>(value))) return false;
        SetPointer(c, offset);
        return true;
    }

    /// <summary>Checks that the <paramref name="count"/> values at <paramref name="delta"/> bytes from the top can be
    /// accessed, so that a sequence of accesses cannot stop half-way: pushes from the top down, pops upwards.</summary>
    private static bool Probe<T>(Ctx* c, Insn* i, uint delta, uint count, bool write) where T : unmanaged
    {
        for (uint n = 0; n < count; n++)
        {
            if (!ProbeOne<T>(c, i, delta + (write ? count - 1 - n : n) * (uint)sizeof(T), write)) return false;
        }
        return true;
    }

    private static bool ProbeOne<T>(Ctx* c, Insn* i, uint delta, bool write) where T : unmanaged
    {
        if (!Segmented.Locate(c, i, Seg.Ss, Offset(c, delta), (uint)sizeof(T), write)) return false;
        if (c->AlignmentChecked != 0 && (c->Located & ((uint)sizeof(T) - 1)) != 0) return Ctx.Fault(c, i, Vector.Ac, 0);
        return SlowAccess.Probe(c, i, c->Located, (uint)sizeof(T), write, supervisor: false);
    }

    private static void PushReg<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint esp = c->S.R[Gpr.Esp] - (uint)sizeof(T);
        TlbEntry* e = Operand.Entry(c, esp);
        if ((c->Mode & Fast) != Fast || !Operand.WriteHits<T>(e, esp))
        {
            PushRegGeneral<T>(c, i);
            return;
        }
        *Operand.Place<T>(e, esp) = Ctx.Reg<T>(c, i->Dst);
        c->S.R[Gpr.Esp] = esp;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void PushRegGeneral<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        if (!Push<T>(c, i, Operand.Get<T>(c, i->Dst))) return;
        i[1].Fn(c, i + 1);
    }

    private static void PushImm<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        if (!Push<T>(c, i, i->Imm)) return;
        i[1].Fn(c, i + 1);
    }

    private static void PushMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Read<T>(c, i);
        if (place == null || !Push<T>(c, i, Operand.Load(place))) return;
        i[1].Fn(c, i + 1);
    }

    private static void PopReg<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint esp = c->S.R[Gpr.Esp];
        TlbEntry* e = Operand.Entry(c, esp);
        if ((c->Mode & Fast) != Fast || !Operand.ReadHits<T>(e, esp))
        {
            PopRegGeneral<T>(c, i);
            return;
        }
        uint value = Operand.Load(Operand.Place<T>(e, esp));
        c->S.R[Gpr.Esp] = esp + (uint)sizeof(T);
        Operand.Set<T>(c, i->Dst, value);
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void PopRegGeneral<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        T* place = Top<T>(c, i);
        if (place == null) return;
        uint value = Operand.Load(place);
        Drop(c, (uint)sizeof(T));
        Operand.Set<T>(c, i->Dst, value); // after the increment: POP ESP loads the value
        i[1].Fn(c, i + 1);
    }

    /// <summary>The address is computed with the stack pointer already incremented (SDM vol. 2, POP).</summary>
    private static void PopMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = Top<T>(c, i);
        if (place == null) return;
        uint before = c->S.R[Gpr.Esp], value = Operand.Load(place);
        Drop(c, (uint)sizeof(T));
        if (!TMem.Write(c, i, Operand.Narrow<T>(value)))
        {
            c->S.R[Gpr.Esp] = before;
            return;
        }
        i[1].Fn(c, i + 1);
    }

    private static void PushAll<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint size = (uint)sizeof(T), bytes = 8 * size;
        if (!Probe<T>(c, i, 0 - bytes, 8, write: true)) return;
        for (int n = 0; n < 8; n++)
        {
            // EAX first, at the highest address; the pushed ESP is the one before the instruction.
            uint offset = Offset(c, 0 - (uint)(n + 1) * size);
            if (!Segmented.Write(c, i, Seg.Ss, offset, Operand.Narrow<T>(c->S.R[n]))) return;
        }
        Drop(c, 0 - bytes);
        i[1].Fn(c, i + 1);
    }

    private static void PopAll<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint size = (uint)sizeof(T);
        if (!Probe<T>(c, i, 0, 8, write: false)) return;
        for (int n = 7; n >= 0; n--)
        {
            T* place = At<T>(c, i, (uint)(7 - n) * size);
            if (place == null) return;
            if (n != Gpr.Esp) Operand.Set<T>(c, (byte)(4 * n), Operand.Load(place)); // the stored ESP is skipped
        }
        Drop(c, 8 * size);
        i[1].Fn(c, i + 1);
    }

    private static void Enter<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint size = (uint)sizeof(T), level = (uint)i->Imm2 & 31, allocated = (ushort)i->Imm;
        uint pushes = level == 0 ? 1 : level + 1, ebp = c->S.R[Gpr.Ebp];
        // All of it is looked at first, in the order of the accesses, so that nothing is written when one of them faults.
        if (!ProbeOne<T>(c, i, 0 - size, write: true)) return;
        for (uint n = 1; n < level; n++)
        {
            if (OuterFrame<T>(c, i, ebp, n) == null || !ProbeOne<T>(c, i, 0 - (n + 1) * size, write: true)) return;
        }
        if (!ProbeOne<T>(c, i, 0 - pushes * size, write: true)) return;
        // The stack pointer that results must be writable (SDM vol. 2, ENTER), though nothing is written there.
        if (!ProbeOne<T>(c, i, 0 - pushes * size - allocated, write: true)) return;
        uint frame = Offset(c, 0 - size);
        if ((c->Mode & BlockMode.Stack32) == 0) frame |= c->S.R[Gpr.Esp] & 0xffff_0000;
        if (!Segmented.Write(c, i, Seg.Ss, Offset(c, 0 - size), Operand.Narrow<T>(ebp))) return;
        for (uint n = 1; n < level; n++)
        {
            T* outer = OuterFrame<T>(c, i, ebp, n);
            if (outer == null || !Segmented.Write(c, i, Seg.Ss, Offset(c, 0 - (n + 1) * size), *outer)) return;
        }
        if (level > 0 && !Segmented.Write(c, i, Seg.Ss, Offset(c, 0 - pushes * size), Operand.Narrow<T>(frame))) return;
        Drop(c, 0 - pushes * size - allocated);
        Operand.Set<T>(c, 4 * Gpr.Ebp, frame);
        i[1].Fn(c, i + 1);
    }

    private static T* OuterFrame<T>(Ctx* c, Insn* i, uint ebp, uint n) where T : unmanaged =>
        Segmented.Read<T>(c, i, Seg.Ss, StackOffset(c, ebp - n * (uint)sizeof(T)));

    private static uint StackOffset(Ctx* c, uint offset) => (c->Mode & BlockMode.Stack32) != 0 ? offset : (ushort)offset;

    private static void Leave<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint ebp = c->S.R[Gpr.Ebp];
        T* place = (c->Mode & Fast) == Fast ? Linear.Read<T>(c, i, ebp) : Segmented.Read<T>(c, i, Seg.Ss, StackOffset(c, ebp));
        if (place == null) return;
        uint value = Operand.Load(place);
        SetPointer(c, ebp + (uint)sizeof(T));
        Operand.Set<T>(c, 4 * Gpr.Ebp, value);
        i[1].Fn(c, i + 1);
    }
}
