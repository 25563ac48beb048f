// One process of a soak run: its event lines with the host's time of each, and the signals it gets.
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Emu86.Bench.Soak;

/// <summary>A process that this program started; nothing else is ever signalled.</summary>
internal sealed partial class Side : IDisposable
{
    public const int SigKill = 9, SigTerm = 15, SigCont = 18, SigStop = 19;

    private readonly Process _process;
    private readonly List<string> _lines = [];

    private Side(string name, Process process)
    {
        Name = name;
        _process = process;
    }

    public string Name { get; }

    /// <summary>Processor time of all its threads so far.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    public bool HasExited => _process.HasExited;

    /// <param name="core">The only processor core that it may use; null: any.</param>
    public static Side Start(string name, SoakOptions options, IEnumerable<string> arguments, int? core = null)
    {
        // taskset becomes the program that it starts: signals reach it.
        string[] command = [.. core is { } number ? ["taskset", "-c", $"{number}"] : Array.Empty<string>(), .. options.Program.EndsWith(".dll", StringComparison.Ordinal) ? ["dotnet"] : Array.Empty<string>(), options.Program];
        var info = new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in arguments) info.ArgumentList.Add(argument);
        var process = new Process { StartInfo = info };
        var side = new Side(name, process);
        process.ErrorDataReceived += (_, e) => side.Said(e.Data, options.Verbose);
        process.OutputDataReceived += (_, _) => { };
        process.Start();
        process.StandardInput.Close();
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return side;
    }

    /// <summary>Waits for a line with this text; returns it.</summary>
    public string WaitFor(string text, TimeSpan atMost)
    {
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            if (Find(text) is { } line) return line;
            if (_process.HasExited)
            {
                _process.WaitForExit();
                return Find(text) ?? throw new SoakException($"the {Name} should say \"{text}\", but ended with exit code {_process.ExitCode}; {Last()}");
            }
            if (Stopwatch.GetElapsedTime(began) > atMost) throw new SoakException($"the {Name} should say \"{text}\" within {atMost.TotalSeconds:F0} s; {Last()}");
            Thread.Sleep(5);
        }
    }

    /// <summary>The first line with this text so far.</summary>
    public string? Find(string text)
    {
        lock (_lines) return _lines.Find(l => l.Contains(text, StringComparison.Ordinal));
    }

    public void Signal(int signal)
    {
        if (!_process.HasExited) _ = Kill(_process.Id, signal);
    }

    /// <summary>The exit code; a process that does not end fails the run.</summary>
    public int WaitForExit(TimeSpan atMost)
    {
        if (!_process.WaitForExit(atMost)) throw new SoakException($"the {Name} still runs after {atMost.TotalSeconds:F0} s; {Last()}");
        _process.WaitForExit();
        return _process.ExitCode;
    }

    /// <summary>The last lines, for a sentence about a failure.</summary>
    public string Last()
    {
        lock (_lines) return _lines.Count == 0 ? $"the {Name} said nothing" : $"the {Name} said: {string.Join(" | ", _lines.TakeLast(4))}";
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private void Said(string? line, bool show)
    {
        if (string.IsNullOrWhiteSpace(line)) return;
        lock (_lines) _lines.Add(line);
        if (show) Console.Error.WriteLine($"[{Name}] {line}");
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
