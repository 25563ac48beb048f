// What is kept and written down for the case that the two sides' states differ (docs/ft-protocol.md, "Divergence").
using System.Text.Json;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Remembers the last state hashes by unit and the log since the last equal one. Each side writes a file of its own;
/// the first unit whose hash differs between the two files at the same position is where to look.</summary>
internal sealed class Evidence(string directory, string guest, string side)
{
    private const int HashesMax = 16;
    private const int RecordsMax = 100_000;

    private sealed record Point(Position At, ulong Lsn, UInt128 Hash, IReadOnlyList<(string Unit, UInt128 Hash)> Units);

    private readonly Queue<Point> _points = new();
    private Queue<string> _log = new(), _earlier = new();
    private bool _isCut;

    /// <summary>This side computed its hash for a log record.</summary>
    public void Hashed(Position at, ulong lsn, UInt128 hash, Machine machine)
    {
        _points.Enqueue(new(at, lsn, hash, machine.StateHashes()));
        if (_points.Count > HashesMax) _points.Dequeue();
    }

    /// <summary>A record that this side has logged or received.</summary>
    public void Record(LogRecord record)
    {
        if (record is StateHashRecord) NextInterval();
        if (record is InputRecord input) Input(input.Position, input.Input, input.Lsn);
    }

    /// <summary>A hash stands here in the log. It is received before it is executed: the inputs before it are still needed.</summary>
    public void NextInterval()
    {
        (_log, _earlier) = (_earlier, _log);
        _log.Clear();
        _isCut = _earlier.Count == RecordsMax;
    }

    /// <summary>An input that this side has logged or received.</summary>
    public void Input(Position at, InputEvent input, ulong lsn)
    {
        if (_log.Count == RecordsMax)
        {
            _log.Dequeue();
            _isCut = true;
        }
        _log.Enqueue($"{lsn} {at.Count} {at.VirtualTimeNs} {input} {Convert.ToHexString(input.Data.Span)}");
    }

    /// <summary>Writes the file; returns its path, or why it could not be written.</summary>
    public string Write(Position at, ulong lsn, ulong epoch)
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
            ["inputsAreComplete"] = !_isCut,
            ["inputs"] = _earlier.Concat(_log).ToArray(),
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
