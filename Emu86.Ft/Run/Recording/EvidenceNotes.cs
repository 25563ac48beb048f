// What evidence of a divergence says besides the log, and what its replay shows.
using System.Buffers.Binary;
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Recording;

/// <summary>The head of an evidence file.</summary>
internal sealed class EvidenceNotes(RecordingEvidenceMessage message)
{
    private readonly List<ulong> _pages = [];

    public RecordingEvidenceMessage Message { get; } = message;

    /// <summary>What the side that wrote the file knew.</summary>
    public string Sentence => $"evidence of the {Message.Side}, epoch {Message.Epoch}: diverged at count {Message.Differs.Count}, {Message.What}"
        + (Message.LastEqual == default ? "" : $"; the last equal state was at count {Message.LastEqual.Count}");

    public void Add(RecordingPageHashesMessage pages)
    {
        if (pages.FirstPage != (ulong)_pages.Count || pages.Hashes.Length % 8 != 0) throw new ProtocolException("evidence has page hashes out of place");
        for (int at = 0; at < pages.Hashes.Length; at += 8) _pages.Add(BinaryPrimitives.ReadUInt64LittleEndian(pages.Hashes.Span[at..]));
    }

    /// <summary>Whose run this replay repeats.</summary>
    /// <param name="result">How it ended.</param>
    /// <param name="machine">Where it ended.</param>
    public string Verdict(ReplayResult result, Machine machine)
    {
        bool atEnd = result.End == ReplayEnd.Complete || (result.End == ReplayEnd.Diverged && machine.Position == Message.Differs);
        if (!atEnd) return "the replay did not come to the position where the states differed";
        bool asBackup = machine.StateHash() == Message.OwnHash;
        string pages = Pages(machine) is { Count: > 0 } differing ? $"; memory pages in which the {Message.Side} differed from this replay: {UnitHashes.Pages(differing)}" : "";
        return result.End == ReplayEnd.Complete
            ? $"this replay agrees with the primary: the {Message.Side}'s own run was damaged{pages}"
            : asBackup ? $"this replay repeats the {Message.Side}'s run: the primary's state, or what is in the log or on the disk, is another"
            : $"this replay agrees with neither side{pages}";
    }

    private List<uint> Pages(Machine machine)
    {
        ReadOnlySpan<ulong> now = machine.PageHashes;
        var differing = new List<uint>();
        for (int page = 0; now.Length == _pages.Count && page < now.Length; page++)
        {
            if (now[page] != _pages[page]) differing.Add((uint)page);
        }
        return differing;
    }
}
