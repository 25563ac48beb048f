// What a case of the 32- and 16-bit conformance tests finds: the same linear memory and the same local descriptor table natively
// and in the emulator.
using Emu86.Cpu;

namespace Emu86.Tests.Conformance;

/// <summary>A piece of linear memory; what is between the pieces is not present.</summary>
internal sealed record CompatRegion(uint At, uint Length, bool Writable);

/// <summary>A descriptor as modify_ldt takes it. Contents: 0 data, 1 expand-down, 2 code, 3 conforming code.</summary>
internal sealed record CompatDescriptor(uint Base, uint Limit, bool Is32, int Contents, bool ReadOnly, bool Pages, bool Absent)
{
    /// <summary>The flags of Linux' struct user_desc.</summary>
    public uint UserFlags => (Is32 ? 1u : 0) | ((uint)Contents << 1) | (ReadOnly ? 8u : 0) | (Pages ? 0x10u : 0) | (Absent ? 0x20u : 0);

    /// <summary>As in <see cref="Segment.Attributes"/>; the kernel sets the accessed bit, and clears an entry that is absent and empty.</summary>
    public ushort Attributes => (ushort)(Limit == 0 && Absent ? 0 : 0x71 | (ReadOnly ? 0 : 2) | (Contents << 2) | (Absent ? 0 : 0x80) | (Is32 ? 0x4000 : 0) | (Pages ? 0x8000 : 0));
}

/// <summary>What an instruction starts from.</summary>
internal sealed class CompatTest
{
    public uint[] Gpr { get; } = new uint[8];

    public uint Eip { get; set; }

    public uint Eflags { get; set; }

    /// <summary>In encoding order.</summary>
    public ushort[] Selectors { get; } = new ushort[6];

    /// <summary>A 32-bit FRSTOR image, or null: the x87 unit is not compared.</summary>
    public byte[]? Fpu { get; set; }

    /// <summary>Bytes in memory that differ from what is there in every case.</summary>
    public List<(uint At, byte[] Bytes)> Patches { get; } = [];

    public void Patch(uint at, uint value, int size) => Patches.Add((at, BitConverter.GetBytes(value)[..size]));
}

/// <summary>What it left: always through an exception, at the latest that of a HLT, of which all code memory is full.</summary>
internal sealed class CompatResult
{
    public uint[] Gpr { get; } = new uint[8];

    public uint Eip { get; set; }

    public uint Eflags { get; set; }

    public ushort[] Selectors { get; } = new ushort[6];

    public uint Vector { get; set; }

    public uint Error { get; set; }

    /// <summary>Of a page fault; 0 otherwise.</summary>
    public uint Cr2 { get; set; }

    /// <summary>The beginning of an FXSAVE image.</summary>
    public byte[] Fpu { get; } = new byte[160];

    public int DifferenceCount { get; set; }

    /// <summary>Changed bytes in ascending order, at most <see cref="CompatLayout.DifferencesMax"/>.</summary>
    public List<(uint At, byte Value)> Differences { get; } = [];
}

internal static class CompatLayout
{
    public const int DifferencesMax = 1024;

    /// <summary>In place of a vector: the code jumps in a circle.</summary>
    public const uint Endless = 999;

    /// <summary>From here on the emulator has its tables, for supervisors only.</summary>
    public const uint Tables = 0xc000_0000;

    public const uint Code = 0x2_0000, CodeLength = 0x1_0000, Data = 0x4_0000, Stack = 0x6_0000;

    /// <summary>User segments of the kernel's GDT, which the emulator's has too, and its limit.</summary>
    public const ushort FlatCode = 0x23, FlatData = 0x2b, GdtLimit = 0x7f;

    /// <summary>Selectors of <see cref="Ldt"/>.</summary>
    public const ushort Code32 = 0x0f, Data32 = 0x17, Code16 = 0x1f, Stack16 = 0x27, Limited = 0x2f, Down32 = 0x37, Down16 = 0x3f, AbsentData = 0x47,
        AbsentCode = 0x4f, ReadOnly = 0x57, ExecuteOnly = 0x5f, Data64K = 0x67, Big = 0x6f, LimitedCode = 0x77, AbsentConforming = 0x7f, Limited16 = 0x87;

    public static readonly CompatRegion[] Regions =
    [
        new(Code, CodeLength, false),
        new(Data, 0x2000, true),
        new(Data + 0x2000, 0x1000, false),
        new(Data + 0xe000, 0x3000, true),
        new(Stack, 0x2000, true),
        new(Stack + 0xf000, 0x1000, true),
    ];

    public static readonly CompatDescriptor[] Ldt =
    [
        new(0, 0, false, 0, true, false, true),
        new(0, 0xf_ffff, true, 2, false, true, false),
        new(0, 0xf_ffff, true, 0, false, true, false),
        new(Code, 0xffff, false, 2, false, false, false),
        new(Stack, 0xffff, false, 0, false, false, false),
        new(Data, 0x1233, true, 0, false, false, false),
        new(Data, 0x0fff, true, 1, false, false, false),
        new(Data, 0x0fff, false, 1, false, false, false),
        new(Data, 0xffff, true, 0, false, false, true),
        new(Code, 0xffff, true, 2, false, false, true),
        new(Data, 0xffff, true, 0, true, false, false),
        new(Code, 0xffff, false, 2, true, false, false),
        new(Data, 0xffff, false, 0, false, false, false),
        new(Data + 0x40, 0x0_0001, true, 0, false, true, false),
        new(Code, 0x7fff, true, 2, false, false, false),
        new(Code, 0xffff, true, 3, false, false, true),
        new(Data, 0x07f5, false, 0, false, false, false),
    ];

    /// <summary>The memory that every case begins with: code of nothing but HLT, data of any bytes.</summary>
    public static byte[] Content(CompatRegion region)
    {
        var bytes = new byte[region.Length];
        if (region.At == Code) Array.Fill(bytes, (byte)0xf4);
        else new Random((int)region.At).NextBytes(bytes);
        return bytes;
    }

    public static CompatDescriptor? Descriptor(ushort selector) => selector switch
    {
        < 4 => null,
        FlatCode => Ldt[1],
        FlatData => Ldt[2],
        _ => Ldt[selector >> 3],
    };
}
