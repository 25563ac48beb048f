// Operands of any width as zero-extended 32-bit values: what the generic handlers compute with.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Execute;

/// <summary>Width is <c>byte</c>, <c>ushort</c> or <c>uint</c>; each method compiles to one move.</summary>
internal static unsafe class Operand
{
    /// <summary>A general register by byte offset in the register file, zero-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Get<T>(Ctx* c, byte offset) where T : unmanaged => Load((T*)((byte*)c + offset));

    /// <summary>Writes a register; the rest of it stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set<T>(Ctx* c, byte offset, uint value) where T : unmanaged
    {
        byte* place = (byte*)c + offset;
        if (sizeof(T) == 1) *place = (byte)value;
        else if (sizeof(T) == 2) *(ushort*)place = (ushort)value;
        else *(uint*)place = value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Load<T>(T* place) where T : unmanaged =>
        sizeof(T) == 1 ? *(byte*)place : sizeof(T) == 2 ? *(ushort*)place : *(uint*)place;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Narrow<T>(uint value) where T : unmanaged =>
        sizeof(T) == 1 ? Unsafe.BitCast<byte, T>((byte)value) : sizeof(T) == 2 ? Unsafe.BitCast<ushort, T>((ushort)value) : Unsafe.BitCast<uint, T>(value);

    /// <summary>Zero-extends from the width of <typeparamref name="T"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Mask<T>(uint value) where T : unmanaged => sizeof(T) == 1 ? (byte)value : sizeof(T) == 2 ? (ushort)value : value;

    /// <summary>Bits in the width of <typeparamref name="T"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Bits<T>() where T : unmanaged => 8 * sizeof(T);

    // The hottest handlers look into the TLB themselves and leave a miss to their general form by a tail call: a handler
    // without any other call needs no stack frame.

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* Entry(Ctx* c, uint linear) => c->Tlb + ((linear >> 12) & (TlbEntry.Entries - 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool ReadHits<T>(TlbEntry* e, uint linear) where T : unmanaged => ((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagRead;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool WriteHits<T>(TlbEntry* e, uint linear) where T : unmanaged => ((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagWrite;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Place<T>(TlbEntry* e, uint linear) where T : unmanaged => (T*)(e->Addend + (nint)linear);
}
