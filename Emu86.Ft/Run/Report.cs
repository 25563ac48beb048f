// What the program tells people: one event a line on stderr (docs/command-line.md).
using System.Text.Json;

namespace Emu86.Ft.Run;

/// <summary>Event lines, as text or as JSON.</summary>
public sealed class Report(bool json)
{
    private readonly Lock _lock = new();
    private readonly HashSet<string> _said = [];

    /// <summary>Says what may be true many times, once.</summary>
    public void SayOnce(string text)
    {
        lock (_lock)
        {
            if (_said.Count > 1000 || !_said.Add(text)) return;
        }
        Say(text);
    }

    /// <summary>Writes "emu86: …".</summary>
    public void Say(string text)
    {
        string line = json
            ? JsonSerializer.Serialize(new Dictionary<string, string> { ["time"] = DateTimeOffset.UtcNow.ToString("O"), ["program"] = "emu86", ["event"] = text })
            : $"emu86: {text}";
        lock (_lock) Console.Error.WriteLine(line);
    }
}
