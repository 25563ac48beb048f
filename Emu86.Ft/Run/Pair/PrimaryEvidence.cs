// The primary's part of the evidence of a divergence: it knows both sides' hashes by unit, and keeps no earlier states.
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Remembers its own hashes by unit until the backup has executed them.</summary>
/// <param name="directory">Where evidence is written.</param>
/// <param name="guest">The guest's name.</param>
internal sealed class PrimaryEvidence(string directory, string guest)
{
    private const int HashesMax = 64;

    private sealed record Point(Position At, ulong Lsn, UInt128 Hash, IReadOnlyList<(string Unit, UInt128 Hash)> Units);

    private readonly Queue<Point> _points = new();

    /// <summary>Another log begins.</summary>
    public void Clear() => _points.Clear();

    /// <summary>This side computed its hash for a log record.</summary>
    public void Hashed(Position at, ulong lsn, UInt128 hash, IReadOnlyList<(string Unit, UInt128 Hash)> units)
    {
        _points.Enqueue(new(at, lsn, hash, units));
        if (_points.Count > HashesMax) _points.Dequeue();
    }

    /// <summary>Writes what this side knows; returns the file's path, or why there is none.</summary>
    public string Write(DivergedMessage diverged, ulong epoch, MachineConfig machine)
    {
        Point? here = _points.LastOrDefault(p => p.Lsn == diverged.Lsn), before = _points.LastOrDefault(p => p.Lsn < diverged.Lsn);
        string what = here is null ? "the backup could not follow the log" : UnitHashes.Describe(UnitHashes.Differences(here.Units, diverged.UnitHashes.Span));
        var evidence = new RecordingEvidenceMessage("primary", epoch, before?.At ?? default, diverged.Position, what, here?.Hash ?? 0,
            "the primary keeps no earlier states; the backup has written evidence of its own");
        return EvidenceFile.Write(directory, guest, machine, [], evidence, [], null);
    }
}
