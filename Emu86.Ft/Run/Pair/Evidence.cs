// What is kept and written down for the case that the two sides' states differ (docs/ft-protocol.md, "Divergence").
using System.Buffers.Binary;
using System.Text.Json;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Remembers the last state hashes by unit and the log since the last equal one. Each side writes a file of its own;
/// the primary's, which knows the backup's hashes by unit too, names the units that differ.</summary>
internal sealed class Evidence(string directory, string guest, string side)
{
    private const int HashesMax = 16;
    private const int RecordsMax = 20_000;

    private sealed record Point(Position At, ulong Lsn, UInt128 Hash, IReadOnlyList<(string Unit, UInt128 Hash)> Units);

    private readonly Queue<Point> _points = new();
    private readonly Queue<(ulong Lsn, Position At, InputEvent Input)> _log = new();
    private bool _isCut;

    /// <summary>Another log begins.</summary>
    public void Clear()
    {
        _points.Clear();
        _log.Clear();
        _isCut = false;
    }

    /// <summary>This side computed its hash for a log record.</summary>
    /// <returns>The hashes of the units, 16 bytes each, little-endian.</returns>
    public byte[] Hashed(Position at, ulong lsn, UInt128 hash, Machine machine)
    {
        IReadOnlyList<(string Unit, UInt128 Hash)> units = machine.StateHashes();
        _points.Enqueue(new(at, lsn, hash, units));
        if (_points.Count > HashesMax) _points.Dequeue();
        while (_log.TryPeek(out var oldest) && oldest.Lsn < _points.Peek().Lsn) _log.Dequeue();
        byte[] bytes = new byte[16 * units.Count];
        for (int n = 0; n < units.Count; n++) BinaryPrimitives.WriteUInt128LittleEndian(bytes.AsSpan(16 * n), units[n].Hash);
        return bytes;
    }

    /// <summary>An input that this side has logged or received.</summary>
    public void Input(ulong lsn, Position at, InputEvent input)
    {
        if (_log.Count == RecordsMax)
        {
            _log.Dequeue();
            _isCut = true;
        }
        _log.Enqueue((lsn, at, input));
    }

    /// <summary>Writes the file; returns its path, or why it could not be written.</summary>
    /// <param name="at">Where the states were found to differ.</param>
    /// <param name="lsn">The hash record.</param>
    /// <param name="epoch">Under which the log was written.</param>
    /// <param name="otherUnits">The other side's hashes of the units as <see cref="Hashed"/> gave them; empty when not known.</param>
    public string Write(Position at, ulong lsn, ulong epoch, ReadOnlyMemory<byte> otherUnits)
    {
        string path = Path.Combine(directory, $"diverged-{Uri.EscapeDataString(guest)}-epoch{epoch}-count{at.Count}-{side}.json");
        Point? here = _points.LastOrDefault(p => p.Lsn == lsn), before = _points.LastOrDefault(p => p.Lsn < lsn);
        var content = new Dictionary<string, object?>
        {
            ["guest"] = guest,
            ["side"] = side,
            ["epoch"] = epoch,
            ["divergedAt"] = new { at.Count, at.VirtualTimeNs, record = lsn },
            ["lastEqual"] = before is null ? null : new { before.At.Count, before.At.VirtualTimeNs, record = before.Lsn, hash = before.Hash.ToString("x32") },
            ["ownHash"] = here?.Hash.ToString("x32"),
            ["units"] = here?.Units.ToDictionary(u => u.Unit, u => u.Hash.ToString("x32")),
            ["differs"] = here is null || otherUnits.Length != 16 * here.Units.Count ? null
                : here.Units.Where((u, n) => u.Hash != BinaryPrimitives.ReadUInt128LittleEndian(otherUnits.Span[(16 * n)..])).Select(u => u.Unit).ToArray(),
            ["inputsAreComplete"] = !_isCut,
            ["inputs"] = _log.Where(r => before is null || r.Lsn > before.Lsn)
                .Select(r => $"{r.Lsn} {r.At.Count} {r.At.VirtualTimeNs} {r.Input} {Convert.ToHexString(r.Input.Data.Span)}").ToArray(),
        };
        try
        {
            File.WriteAllText(path, JsonSerializer.Serialize(content, Indented));
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"nothing ({e.Message})";
        }
    }

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
}
