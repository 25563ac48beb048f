// Formats of memory operands of the x87, as type parameters of the operations that use them.
namespace Emu86.Cpu.Float;

/// <summary>How bits in memory become a register, exactly.</summary>
public interface ILoadFormat<T> where T : unmanaged
{
    /// <summary>Returns <see cref="Fsw.Denormal"/> when the operand is a denormal of its own format.</summary>
    static abstract uint Widen(T bits, ref Float80 result);
}

/// <summary>How ST(0) becomes bits in memory.</summary>
public interface IStoreFormat<T> where T : unmanaged
{
    static abstract uint Narrow(ref FpuState fpu, out T bits);
}

public readonly struct Single32 : ILoadFormat<uint>, IStoreFormat<uint>
{
    public static uint Widen(uint bits, ref Float80 result) => Convert80.FromSingle(bits, ref result);

    public static uint Narrow(ref FpuState fpu, out uint bits) => FpuOps.StoreSingle(ref fpu, out bits);
}

public readonly struct Double64 : ILoadFormat<ulong>, IStoreFormat<ulong>
{
    public static uint Widen(ulong bits, ref Float80 result) => Convert80.FromDouble(bits, ref result);

    public static uint Narrow(ref FpuState fpu, out ulong bits) => FpuOps.StoreDouble(ref fpu, out bits);
}

public readonly struct Integer16 : ILoadFormat<short>, IStoreFormat<short>
{
    public static uint Widen(short bits, ref Float80 result)
    {
        Convert80.FromInteger(bits, ref result);
        return 0;
    }

    public static uint Narrow(ref FpuState fpu, out short bits)
    {
        uint flags = FpuOps.StoreInteger(ref fpu, 16, out long value);
        bits = (short)value;
        return flags;
    }
}

public readonly struct Integer32 : ILoadFormat<int>, IStoreFormat<int>
{
    public static uint Widen(int bits, ref Float80 result)
    {
        Convert80.FromInteger(bits, ref result);
        return 0;
    }

    public static uint Narrow(ref FpuState fpu, out int bits)
    {
        uint flags = FpuOps.StoreInteger(ref fpu, 32, out long value);
        bits = (int)value;
        return flags;
    }
}

public readonly struct Integer64 : ILoadFormat<long>, IStoreFormat<long>
{
    public static uint Widen(long bits, ref Float80 result)
    {
        Convert80.FromInteger(bits, ref result);
        return 0;
    }

    public static uint Narrow(ref FpuState fpu, out long bits) => FpuOps.StoreInteger(ref fpu, 64, out bits);
}
