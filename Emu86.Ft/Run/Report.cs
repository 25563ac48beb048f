// What the program tells people: one event a line on stderr (docs/command-line.md).
using Microsoft.Extensions.Logging;

namespace Emu86.Ft.Run;

/// <summary>Event lines, through a logger of Microsoft.Extensions.Logging.</summary>
public sealed class Report(ILogger log)
{
    private readonly Lock _lock = new();
    private readonly HashSet<string> _said = [];

    /// <summary>On stderr, as text or as JSON.</summary>
    public Report(bool json) : this(new LoggerFactory([new StderrLogger(json)]).CreateLogger("emu86"))
    {
    }

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
    public void Say(string text) => log.Log(LogLevel.Information, default, text, null, (said, _) => said);
}
