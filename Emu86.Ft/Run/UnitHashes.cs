// The hashes of a machine's units as bytes, and what two sides' hashes say about where they differ.
using System.Buffers.Binary;

namespace Emu86.Ft.Run;

/// <summary>Whole hashes have 16 bytes each; in the log 4 bytes do.</summary>
public static class UnitHashes
{
    private const int Whole = 16, Part = 4;

    public static byte[] Bytes(IReadOnlyList<(string Unit, UInt128 Hash)> units)
    {
        byte[] bytes = new byte[Whole * units.Count];
        for (int n = 0; n < units.Count; n++) BinaryPrimitives.WriteUInt128LittleEndian(bytes.AsSpan(Whole * n), units[n].Hash);
        return bytes;
    }

    /// <summary>What goes into the log: the low 4 bytes of each.</summary>
    public static byte[] Parts(IReadOnlyList<(string Unit, UInt128 Hash)> units)
    {
        byte[] bytes = new byte[Part * units.Count];
        for (int n = 0; n < units.Count; n++) BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(Part * n), (uint)units[n].Hash);
        return bytes;
    }

    /// <summary>The names of the units that differ; null when the other side's hashes are of another machine or not there.</summary>
    public static IReadOnlyList<string>? Differences(IReadOnlyList<(string Unit, UInt128 Hash)> own, ReadOnlySpan<byte> other)
    {
        if (own.Count == 0 || (other.Length != Whole * own.Count && other.Length != Part * own.Count)) return null;
        ReadOnlySpan<byte> bytes = other.Length == Whole * own.Count ? Bytes(own) : Parts(own);
        int each = other.Length / own.Count;
        var names = new List<string>();
        for (int n = 0; n < own.Count; n++)
        {
            if (!bytes.Slice(each * n, each).SequenceEqual(other.Slice(each * n, each))) names.Add(own[n].Unit);
        }
        return names;
    }

    /// <summary>A part of a sentence: "first differing unit X (all: X, Y)".</summary>
    public static string Describe(IReadOnlyList<string>? names) => names switch
    {
        null => "which units differ is not known",
        [] => "no unit differs, only the state hash",
        [var one] => $"first differing unit {one}",
        _ => $"first differing unit {names[0]} (all: {string.Join(", ", names)})",
    };

    /// <summary>A part of a sentence: the physical addresses of pages, the first few of them.</summary>
    public static string Pages(IReadOnlyList<uint> pages) =>
        string.Join(", ", pages.Take(8).Select(p => $"{(ulong)p << 12:x}h")) + (pages.Count > 8 ? $" and {pages.Count - 8} more" : "");
}
