// What differs between two states of the same machine, in lines for people: registers, units and memory with both values.
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Run.Recording;

/// <summary>A page of RAM that may differ.</summary>
/// <param name="Number">Physical address divided by 4096.</param>
/// <param name="One">What it holds in the first state.</param>
/// <param name="Other">What it holds in the second.</param>
internal readonly record struct PagePair(uint Number, ReadOnlyMemory<byte> One, ReadOnlyMemory<byte> Other);

/// <summary>Compares two states.</summary>
/// <param name="one">Whose the first is, for the lines.</param>
/// <param name="other">Whose the second is.</param>
internal sealed class StateDifference(string one, string other)
{
    private const int LinesMax = 16, BytesMax = 8;

    private readonly List<string> _lines = [];
    private readonly List<string> _registers = [];

    /// <summary>What differs; a long list is cut short, and says so.</summary>
    public IReadOnlyList<string> Lines => _lines;

    /// <summary>The registers of the processor that differ.</summary>
    public IReadOnlyList<string> Registers => _registers;

    /// <summary>Some page differs.</summary>
    public bool HasMemory { get; private set; }

    /// <summary>Compares two machines.</summary>
    public static StateDifference Between(string one, Machine first, string other, Machine second)
    {
        var difference = new StateDifference(one, other);
        // Brings the page hashes up to date.
        _ = (first.StateHash(), second.StateHash());
        difference.Units(first.SaveUnits(), second.SaveUnits());
        var pages = new List<PagePair>();
        for (int page = 0; page < first.PageHashes.Length; page++)
        {
            if (first.PageHashes[page] != second.PageHashes[page]) pages.Add(new((uint)page, PageOf(first, (uint)page), PageOf(second, (uint)page)));
        }
        difference.Pages(pages);
        return difference;
    }

    /// <summary>A copy of what a page holds.</summary>
    public static byte[] PageOf(Machine machine, uint page) => machine.Board.Memory.RamPage(page).ToArray();

    /// <summary>Compares units, in the order of the machine.</summary>
    public void Units(IReadOnlyList<(string Unit, byte[] State)> first, IReadOnlyList<(string Unit, byte[] State)> second)
    {
        for (int n = 0; n < first.Count; n++)
        {
            (string unit, byte[] state) = first[n];
            ReadOnlySpan<byte> theirs = second[n].State;
            if (theirs.SequenceEqual(state)) continue;
            if (unit == "cpu" && theirs.Length == state.Length) Processor(state, theirs);
            else _lines.Add($"unit {unit}: {Bytes(state, theirs, 0, "byte ")}");
        }
    }

    /// <summary>Compares pages.</summary>
    public void Pages(IEnumerable<PagePair> pages)
    {
        var lines = new List<string>();
        foreach (PagePair page in pages)
        {
            if (page.One.Span.SequenceEqual(page.Other.Span)) continue;
            HasMemory = true;
            lines.Add($"memory page {(ulong)page.Number << 12:x}h: {Bytes(page.One.Span, page.Other.Span, (ulong)page.Number << 12, "")}");
        }
        AddSome(lines, "pages");
    }

    private void Processor(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        var lines = new List<string>();
        foreach ((string name, string ours, string theirs) in NamedRegisters.Differences(first, second))
        {
            _registers.Add(name);
            lines.Add($"cpu: {name} is {ours} with {one}, {theirs} with {other}");
        }
        AddSome(lines, "registers");
    }

    private void AddSome(List<string> lines, string what)
    {
        _lines.AddRange(lines.Take(LinesMax));
        if (lines.Count > LinesMax) _lines.Add($"and {lines.Count - LinesMax} more {what}");
    }

    private string Bytes(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ulong address, string place)
    {
        if (first.Length != second.Length) return $"{first.Length} bytes of state with {one}, {second.Length} with {other}";
        int at = first.CommonPrefixLength(second), differing = 0, bits = 0;
        for (int n = at; n < first.Length; n++)
        {
            differing += first[n] == second[n] ? 0 : 1;
            bits += int.PopCount(first[n] ^ second[n]);
        }
        int last = at + 1;
        while (last < int.Min(first.Length, at + BytesMax) && first[last] != second[last]) last++;
        string what = bits == 1 ? $" (bit {int.TrailingZeroCount(first[at] ^ second[at])}, nothing else)" : differing == last - at ? "" : $" ({differing} bytes differ)";
        return $"at {place}{address + (ulong)at:x}h {Convert.ToHexStringLower(first[at..last])} with {one}, {Convert.ToHexStringLower(second[at..last])} with {other}{what}";
    }
}
