// Operands of any width as zero-extended 32-bit values: what the generic handlers compute with.
using System.Runtime.CompilerServices;

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
}
