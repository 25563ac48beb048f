// Memory operands of instructions. Three forms of effective address, chosen when the block is decoded, as type
// parameters of the handlers so that the compiler specialises each.
//
// Reads return a pointer to the value (in guest RAM, or assembled in Ctx.Scratch), null when the instruction must stop:
// the handler returns at once. No handler keeps a local whose address is taken: that would cost the tail call.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Memory;

/// <summary>A form of memory operand.</summary>
public unsafe interface IOperandMemory
{
    /// <summary>Reads the operand; null: stop.</summary>
    static abstract T* Read<T>(Ctx* c, Insn* i) where T : unmanaged;

    /// <summary>Writes the operand; false: stop, nothing was written.</summary>
    static abstract bool Write<T>(Ctx* c, Insn* i, T value) where T : unmanaged;

    /// <summary>Begins a read-modify-write: the value can be read through the result and must then be given to
    /// <see cref="Linear.Commit{T}"/> (after which nothing can fail); null: stop.</summary>
    static abstract T* Modify<T>(Ctx* c, Insn* i) where T : unmanaged;

    /// <summary>The offset part of the address.</summary>
    static abstract uint Offset(Ctx* c, Insn* i);

    /// <summary>Linear address of <paramref name="size"/> bytes at <paramref name="delta"/> bytes from the operand, checked
    /// against the segment; for instructions with unusual operands. False: stop. The address is left in <see cref="Ctx.Located"/>.</summary>
    static abstract bool Locate(Ctx* c, Insn* i, uint delta, uint size, bool write);
}

/// <summary>32-bit address in a flat segment: no check can fail.</summary>
public readonly unsafe struct Flat : IOperandMemory
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Offset(Ctx* c, Insn* i) => Ctx.Reg<uint>(c, i->Base) + (Ctx.Reg<uint>(c, i->Scaled) << i->Scale) + i->Disp;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Read<T>(Ctx* c, Insn* i) where T : unmanaged => Linear.Read<T>(c, i, Offset(c, i));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Write<T>(Ctx* c, Insn* i, T value) where T : unmanaged => Linear.Write(c, i, Offset(c, i), value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Modify<T>(Ctx* c, Insn* i) where T : unmanaged => Linear.Modify<T>(c, i, Offset(c, i));

    public static bool Locate(Ctx* c, Insn* i, uint delta, uint size, bool write)
    {
        c->Located = Offset(c, i) + delta;
        return true;
    }
}

/// <summary>32-bit address in any segment.</summary>
public readonly unsafe struct Seg32 : IOperandMemory
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Offset(Ctx* c, Insn* i) => Flat.Offset(c, i);

    public static T* Read<T>(Ctx* c, Insn* i) where T : unmanaged => Segmented.Read<T>(c, i, i->Segment, Offset(c, i));

    public static bool Write<T>(Ctx* c, Insn* i, T value) where T : unmanaged => Segmented.Write(c, i, i->Segment, Offset(c, i), value);

    public static T* Modify<T>(Ctx* c, Insn* i) where T : unmanaged => Segmented.Modify<T>(c, i, i->Segment, Offset(c, i));

    public static bool Locate(Ctx* c, Insn* i, uint delta, uint size, bool write) =>
        Segmented.Locate(c, i, i->Segment, Offset(c, i) + delta, size, write);
}

/// <summary>16-bit address in any segment.</summary>
public readonly unsafe struct Seg16 : IOperandMemory
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Offset(Ctx* c, Insn* i) => (ushort)(Ctx.Reg<uint>(c, i->Base) + Ctx.Reg<uint>(c, i->Scaled) + i->Disp);

    public static T* Read<T>(Ctx* c, Insn* i) where T : unmanaged => Segmented.Read<T>(c, i, i->Segment, Offset(c, i));

    public static bool Write<T>(Ctx* c, Insn* i, T value) where T : unmanaged => Segmented.Write(c, i, i->Segment, Offset(c, i), value);

    public static T* Modify<T>(Ctx* c, Insn* i) where T : unmanaged => Segmented.Modify<T>(c, i, i->Segment, Offset(c, i));

    public static bool Locate(Ctx* c, Insn* i, uint delta, uint size, bool write) =>
        Segmented.Locate(c, i, i->Segment, (ushort)(Offset(c, i) + delta), size, write);
}

/// <summary>Segment:offset accesses with the limit and type checks of protected mode (SDM vol. 3, 5.3). In real and
/// virtual-8086 mode the same checks run against 64 KiB limits.</summary>
public static unsafe class Segmented
{
    // A limit of FFFFFFFFh is none: an access across it goes on at offset 0, as on current processors and in flat segments.

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool MayRead(Segment* s, uint offset, uint size) =>
        (offset >= s->ReadFirst && (ulong)offset + (size - 1) <= s->ReadLast && s->ReadFirst <= s->ReadLast) || (s->ReadFirst == 0 && s->ReadLast == uint.MaxValue);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool MayWrite(Segment* s, uint offset, uint size) =>
        (offset >= s->WriteFirst && (ulong)offset + (size - 1) <= s->WriteLast && s->WriteFirst <= s->WriteLast) || (s->WriteFirst == 0 && s->WriteLast == uint.MaxValue);

    /// <summary>#SS for the stack segment, #GP for the others; error code 0.</summary>
    public static bool LimitFault(Ctx* c, Insn* i, int segment) => Ctx.Fault(c, i, segment == Seg.Ss ? Vector.Ss : Vector.Gp, 0);

    public static T* Read<T>(Ctx* c, Insn* i, int segment, uint offset) where T : unmanaged
    {
        Segment* s = Ctx.SegmentOf(c, segment);
        if (MayRead(s, offset, (uint)sizeof(T))) return Linear.Read<T>(c, i, s->Base + offset);
        LimitFault(c, i, segment);
        return null;
    }

    public static bool Write<T>(Ctx* c, Insn* i, int segment, uint offset, T value) where T : unmanaged
    {
        Segment* s = Ctx.SegmentOf(c, segment);
        return MayWrite(s, offset, (uint)sizeof(T)) ? Linear.Write(c, i, s->Base + offset, value) : LimitFault(c, i, segment);
    }

    public static T* Modify<T>(Ctx* c, Insn* i, int segment, uint offset) where T : unmanaged
    {
        Segment* s = Ctx.SegmentOf(c, segment);
        if (MayWrite(s, offset, (uint)sizeof(T)) && MayRead(s, offset, (uint)sizeof(T))) return Linear.Modify<T>(c, i, s->Base + offset);
        LimitFault(c, i, segment);
        return null;
    }

    public static bool Locate(Ctx* c, Insn* i, int segment, uint offset, uint size, bool write)
    {
        Segment* s = Ctx.SegmentOf(c, segment);
        if (!(write ? MayWrite(s, offset, size) : MayRead(s, offset, size))) return LimitFault(c, i, segment);
        c->Located = s->Base + offset;
        return true;
    }
}

/// <summary>Linear accesses at the current privilege: the inlined TLB hit, everything else in <see cref="SlowAccess"/>.</summary>
public static unsafe class Linear
{
    // The page of the LAST byte is compared, so that an access which crosses into the next page misses.

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Read<T>(Ctx* c, Insn* i, uint linear) where T : unmanaged
    {
        TlbEntry* e = c->Tlb + ((linear >> 12) & (TlbEntry.Entries - 1));
        return ((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagRead
            ? (T*)(e->Addend + (nint)linear)
            : (T*)SlowAccess.Read(c, i, linear, (uint)sizeof(T));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Write<T>(Ctx* c, Insn* i, uint linear, T value) where T : unmanaged
    {
        TlbEntry* e = c->Tlb + ((linear >> 12) & (TlbEntry.Entries - 1));
        if (((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagWrite)
        {
            *(T*)(e->Addend + (nint)linear) = value;
            return true;
        }
        return SlowAccess.Write(c, i, linear, (uint)sizeof(T), Widen(value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Modify<T>(Ctx* c, Insn* i, uint linear) where T : unmanaged
    {
        TlbEntry* e = c->Tlb + ((linear >> 12) & (TlbEntry.Entries - 1));
        return ((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagWrite
            ? (T*)(e->Addend + (nint)linear)
            : (T*)SlowAccess.Modify(c, i, linear, (uint)sizeof(T));
    }

    /// <summary>Ends a read-modify-write begun by Modify. Cannot fail.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Commit<T>(Ctx* c, Insn* i, T* place, T value) where T : unmanaged
    {
        if (place != (T*)&c->Scratch) *place = value;
        else SlowAccess.Commit(c, i, (uint)sizeof(T), Widen(value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Widen<T>(T value) where T : unmanaged =>
        sizeof(T) == 1 ? Unsafe.BitCast<T, byte>(value) : sizeof(T) == 2 ? Unsafe.BitCast<T, ushort>(value)
        : sizeof(T) == 4 ? Unsafe.BitCast<T, uint>(value) : Unsafe.BitCast<T, ulong>(value);
}
