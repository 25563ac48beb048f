// The end of the logger: lines on stderr, written before the call returns. (The console logger of the package writes on a
// thread of its own, and would lose the sentence that says why the process ends.)
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Emu86.Ft.Run;

/// <summary>Provider and logger in one: there is one format and one place.</summary>
/// <param name="json">One JSON object a line instead of text.</param>
internal sealed class StderrLogger(bool json) : ILoggerProvider, ILogger
{
    private static readonly Lock Line = new();

    public ILogger CreateLogger(string categoryName) => this;

    public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        string text = formatter(state, exception);
        string line = json
            ? JsonSerializer.Serialize(new Dictionary<string, string> { ["time"] = DateTimeOffset.UtcNow.ToString("O"), ["program"] = "emu86", ["event"] = text })
            : $"emu86: {text}";
        lock (Line) Console.Error.WriteLine(line);
    }

    public void Dispose()
    {
    }
}
