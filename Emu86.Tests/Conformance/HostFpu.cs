// Moves an FpuState to and from the host's x87 through the FNSAVE image, and makes operands worth testing.
using System.Buffers.Binary;
using Emu86.Cpu.Float;

namespace Emu86.Tests.Conformance;

internal static class HostFpu
{
    /// <summary>Writes the 32-bit FRSTOR image of <paramref name="fpu"/>, without the pointers.</summary>
    public static void Store(ref FpuState fpu, Span<byte> image)
    {
        image.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(image, fpu.ControlWord);
        BinaryPrimitives.WriteUInt16LittleEndian(image[4..], fpu.StatusWord);
        BinaryPrimitives.WriteUInt16LittleEndian(image[8..], fpu.TagWord);
        for (uint i = 0; i < 8; i++)
        {
            ref Float80 st = ref FpuState.St(ref fpu, i);
            BinaryPrimitives.WriteUInt64LittleEndian(image[(28 + 10 * (int)i)..], st.Significand);
            BinaryPrimitives.WriteUInt16LittleEndian(image[(36 + 10 * (int)i)..], st.SignExponent);
        }
    }

    /// <summary>What differs between the host's FNSAVE image and ours, or null. Pointers are left out: they differ between processors.</summary>
    public static string? Difference(ReadOnlySpan<byte> host, ref FpuState fpu)
    {
        Span<byte> ours = stackalloc byte[HostCpu.FpuLength];
        Store(ref fpu, ours);
        ushort W(ReadOnlySpan<byte> s, int at) => BinaryPrimitives.ReadUInt16LittleEndian(s[at..]);
        if (W(host, 4) != W(ours, 4)) return $"status {W(host, 4):X4}, ours {W(ours, 4):X4}";
        if (W(host, 8) != W(ours, 8)) return $"tags {W(host, 8):X4}, ours {W(ours, 8):X4}";
        if (W(host, 0) != W(ours, 0)) return $"control {W(host, 0):X4}, ours {W(ours, 0):X4}";
        for (int i = 0; i < 8; i++)
        {
            int at = 28 + 10 * i;
            if (!host.Slice(at, 10).SequenceEqual(ours.Slice(at, 10)))
                return $"ST({i}) {Text(host[at..])}, ours {Text(ours[at..])}";
        }
        return null;
    }

    /// <summary>Takes over from the host what a transcendental may differ in: the last place of registers, and C1 which tells
    /// how they were rounded.</summary>
    public static void TolerateLastPlace(Span<byte> host, ref FpuState fpu)
    {
        ushort status = BinaryPrimitives.ReadUInt16LittleEndian(host[4..]);
        if ((status & Fsw.StackFault) == 0) BinaryPrimitives.WriteUInt16LittleEndian(host[4..], (ushort)(status & ~Fsw.C1 | fpu.Status & Fsw.C1));
        for (uint i = 0; i < 8; i++)
        {
            int at = 28 + 10 * (int)i;
            ref Float80 st = ref FpuState.St(ref fpu, i);
            ulong significand = BinaryPrimitives.ReadUInt64LittleEndian(host[at..]);
            ushort signExponent = BinaryPrimitives.ReadUInt16LittleEndian(host[(at + 8)..]);
            if (((signExponent ^ st.SignExponent) & Float80.SignBit) != 0 || st.Exponent == 0x7FFF) continue;
            // Neighbours may lie in different binades.
            if (Place(significand, signExponent) - Place(st.Significand, st.SignExponent) + 1 <= 2) st = new Float80(significand, signExponent);
        }
    }

    private static UInt128 Place(ulong significand, ushort signExponent)
        => ((UInt128)(signExponent & 0x7FFFu) << 63) + (significand & ~Float80.IntegerBit);

    /// <summary>Operands that meet: special values, neighbours of the limits of all formats, near and far exponents.</summary>
    public static Float80 Operand(Random random)
    {
        ulong significand = Pattern(random);
        ushort sign = (ushort)(random.Next(2) << 15);
        switch (random.Next(16))
        {
            case 0: return new(0, sign);
            case 1: return new(1UL << 63, (ushort)(sign | 0x7FFF));
            case 2: return new(significand | 3UL << 62, (ushort)(sign | 0x7FFF));
            case 3: return new((significand | 1UL << 63) & ~(1UL << 62) | 1, (ushort)(sign | 0x7FFF));
            case 4: return new(significand, sign);
            case 5: return new(significand, (ushort)(sign | random.Next(0x8000)));
            case 6: return new(significand | 1UL << 63, (ushort)(sign | 1 + random.Next(70)));
            case 7: return new(significand | 1UL << 63, (ushort)(sign | 0x7FFE - random.Next(70)));
            case 8: return new(significand | 1UL << 63, (ushort)(sign | (random.Next(2) == 0 ? 0x3F81 : 0x3C01) + random.Next(-60, 5)));
            case 9: return new(significand | 1UL << 63, (ushort)(sign | (random.Next(2) == 0 ? 0x407E : 0x43FE) + random.Next(-3, 3)));
            case 10: return new(significand | 1UL << 63, (ushort)(sign | 1 + random.Next(0x7FFE)));
            case 11 or 12: return new(significand | 1UL << 63, (ushort)(sign | 0x3FFF + random.Next(-70, 70)));
            default: return new(significand | 1UL << 63, (ushort)(sign | 0x3FFF + random.Next(-3, 66)));
        }
    }

    /// <summary>A state with <paramref name="control"/> and mostly full registers, so that stack faults happen but seldom.</summary>
    public static FpuState State(Random random)
    {
        var fpu = default(FpuState);
        fpu.Initialize();
        fpu.Top = (byte)random.Next(8);
        for (uint i = 0; i < 8; i++) FpuState.St(ref fpu, i) = Operand(random);
        // ST(6) and ST(7) are usually free, so that pushes succeed.
        fpu.Empty = 0;
        if (random.Next(8) != 0) FpuOps.Free(ref fpu, 7);
        if (random.Next(8) != 0) FpuOps.Free(ref fpu, 6);
        if (random.Next(16) == 0) fpu.Empty |= (byte)random.Next(256);
        int masks = random.Next(3) switch { 0 => random.Next(64), _ => 0x3F };
        int[] precisions = [0x000, 0x200, 0x300, 0x300];
        fpu.ControlWord = (ushort)(masks | precisions[random.Next(4)] | random.Next(4) << 10);
        fpu.Status = (ushort)(random.Next(256) == 0 ? 0x4700 & random.Next(65536) : random.Next(2) == 0 ? 0x4700 : 0);
        return fpu;
    }

    private static ulong Pattern(Random random)
    {
        ulong bits = (ulong)random.NextInt64() << 1 ^ (ulong)random.NextInt64();
        return random.Next(8) switch
        {
            0 => bits & ~0UL << random.Next(64),
            1 => bits | ~0UL >> random.Next(64),
            2 => 1UL << random.Next(64) | 1UL << random.Next(64),
            3 => ~0UL << random.Next(64),
            4 => (bits & ~0UL << 40) + (ulong)random.Next(-2, 3) + (ulong)random.Next(3) * (1UL << 39),
            5 => (bits & ~0UL << 11) + (ulong)random.Next(-2, 3) + (ulong)random.Next(3) * (1UL << 10),
            _ => bits,
        };
    }

    private static string Text(ReadOnlySpan<byte> register)
        => $"{BinaryPrimitives.ReadUInt16LittleEndian(register[8..]):X4}.{BinaryPrimitives.ReadUInt64LittleEndian(register):X16}";
}
