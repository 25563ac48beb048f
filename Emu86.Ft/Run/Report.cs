// What the program tells people: one event a line on stderr (docs/command-line.md).
using System.Text.Json;

namespace Emu86.Ft.Run;

/// <summary>Event lines, as text or as JSON.</summary>
public sealed class Report(bool json)
{
    private readonly Lock _lock = new();

    /// <summary>Writes "emu86: …".</summary>
    public void Say(string text)
    {
        string line = json
            ? JsonSerializer.Serialize(new Dictionary<string, string> { ["time"] = DateTimeOffset.UtcNow.ToString("O"), ["program"] = "emu86", ["event"] = text })
            : $"emu86: {text}";
        lock (_lock) Console.Error.WriteLine(line);
    }
}
