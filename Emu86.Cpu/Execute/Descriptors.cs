// Segment and gate descriptors, and how they are fetched (SDM vol. 3, 3.4.5 and 5.8).
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Execute;

/// <summary>Eight bytes of a descriptor table and where they were found.</summary>
internal struct Descriptor
{
    public uint Low, High;

    /// <summary>Linear address of the descriptor.</summary>
    public uint At;

    public const uint TypeTss16 = 1, TypeLdt = 2, TypeTss16Busy = 3, TypeCallGate16 = 4, TypeTaskGate = 5, TypeInterruptGate16 = 6,
        TypeTrapGate16 = 7, TypeTss32 = 9, TypeTss32Busy = 11, TypeCallGate32 = 12, TypeInterruptGate32 = 14, TypeTrapGate32 = 15;

    private const uint AccessedBit = 0x100, ConformingBit = 0x400, CodeBit = 0x800, NotSystemBit = 0x1000,
        PresentBit = 0x8000, GranularityBit = 0x80_0000;

    public readonly bool IsSystem => (High & NotSystemBit) == 0;

    public readonly bool IsCode => (High & (NotSystemBit | CodeBit)) == (NotSystemBit | CodeBit);

    public readonly bool IsData => (High & (NotSystemBit | CodeBit)) == NotSystemBit;

    public readonly bool IsConforming => (High & ConformingBit) != 0;

    public readonly bool IsWritableData => IsData && (High & 0x200) != 0;

    /// <summary>Data, or code with the read bit.</summary>
    public readonly bool IsReadable => !IsSystem && (!IsCode || (High & 0x200) != 0);

    public readonly bool IsPresent => (High & PresentBit) != 0;

    public readonly bool IsAccessed => (High & AccessedBit) != 0;

    public readonly int Dpl => (int)(High >> 13) & 3;

    /// <summary>Type of a system descriptor.</summary>
    public readonly uint Type => (High >> 8) & 15;

    public readonly uint Base => (Low >> 16) | ((High & 0xff) << 16) | (High & 0xff00_0000);

    /// <summary>In bytes.</summary>
    public readonly uint Limit
    {
        get
        {
            uint limit = (Low & 0xffff) | (High & 0xf_0000);
            return (High & GranularityBit) != 0 ? (limit << 12) | 0xfff : limit;
        }
    }

    public readonly uint GateSelector => Low >> 16;

    /// <summary>Entry point of a 32-bit gate; 16-bit gates have the low half only.</summary>
    public readonly uint GateOffset => (Low & 0xffff) | ((Type & 8) != 0 ? High & 0xffff_0000 : 0);

    public readonly int GateParameters => (int)(High & 31);

    /// <summary>The hidden part of a segment register; data and code segments are marked accessed.</summary>
    public readonly Segment ToSegment(uint selector)
    {
        var s = new Segment { Selector = (ushort)selector, Attributes = (ushort)((High >> 8) & 0xf0ff), Base = Base, Limit = Limit };
        if (!IsSystem) s.Attributes |= Segment.AccessAccessed;
        s.Derive();
        return s;
    }
}

/// <summary>Descriptor tables. All helpers return false when the instruction must stop.</summary>
internal static unsafe class Descriptors
{
    /// <summary>GDT or LDT entry of a selector that is not null; beyond the table: <paramref name="vector"/> with the selector.</summary>
    /// <param name="external">EXT bit of error codes: 1 during the delivery of an event that no instruction asked for.</param>
    public static bool Fetch(Ctx* c, Insn* i, uint selector, int vector, uint external, out Descriptor d)
    {
        d = default;
        return Address(c, selector, out d.At) ? Read(c, i, ref d) : Ctx.Fault(c, i, vector, (selector & 0xfffc) | external);
    }

    /// <summary>As <see cref="Fetch"/> for instructions that answer in ZF; a selector without descriptor gives <paramref name="found"/> = false.</summary>
    public static bool Look(Ctx* c, Insn* i, uint selector, out Descriptor d, out bool found)
    {
        d = default;
        found = (selector & 0xfffc) != 0 && Address(c, selector, out d.At);
        return !found || Read(c, i, ref d);
    }

    private static bool Address(Ctx* c, uint selector, out uint at)
    {
        uint offset = selector & 0xfff8;
        bool local = (selector & 4) != 0;
        at = (local ? c->S.Ldtr.Base : c->S.Gdtr.Base) + offset;
        // An LDTR that holds a null selector has no attributes.
        return local ? c->S.Ldtr.Attributes != 0 && offset + 7 <= c->S.Ldtr.Limit : offset + 7 <= c->S.Gdtr.Limit;
    }

    private static bool Read(Ctx* c, Insn* i, ref Descriptor d) => SystemWords.Read64(c, i, d.At, out d.Low, out d.High);

    /// <summary>Sets the accessed bit in memory when it is not set yet (a locked write).</summary>
    public static bool MarkAccessed(Ctx* c, Insn* i, in Descriptor d) =>
        d.IsAccessed || SystemLinear.Write(c, i, d.At + 5, (byte)((d.High >> 8) | 1));

    /// <summary>The SS of another privilege level (SDM vol. 3, 5.8.5): stack switches, outer returns, task switches.</summary>
    public static bool FetchStack(Ctx* c, Insn* i, uint selector, int level, int vector, uint external, out Descriptor d)
    {
        d = default;
        if ((selector & 0xfffc) == 0) return Ctx.Fault(c, i, vector, external);
        if (!Fetch(c, i, selector, vector, external, out d)) return false;
        if ((selector & 3) != level || !d.IsWritableData || d.Dpl != level) return Ctx.Fault(c, i, vector, (selector & 0xfffc) | external);
        return d.IsPresent || Ctx.Fault(c, i, Vector.Ss, (selector & 0xfffc) | external);
    }
}

/// <summary>Supervisor reads by value.</summary>
internal static unsafe class SystemWords
{
    public static bool Read16(Ctx* c, Insn* i, uint linear, out uint value)
    {
        ushort* p = SystemLinear.Read<ushort>(c, i, linear);
        value = p != null ? *p : 0u;
        return p != null;
    }

    public static bool Read32(Ctx* c, Insn* i, uint linear, out uint value)
    {
        uint* p = SystemLinear.Read<uint>(c, i, linear);
        value = p != null ? *p : 0u;
        return p != null;
    }

    public static bool Read64(Ctx* c, Insn* i, uint linear, out uint low, out uint high)
    {
        ulong* p = SystemLinear.Read<ulong>(c, i, linear);
        ulong value = p != null ? *p : 0;
        (low, high) = ((uint)value, (uint)(value >> 32));
        return p != null;
    }
}
