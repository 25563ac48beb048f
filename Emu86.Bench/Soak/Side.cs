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
    private readonly List<long> _heard = [];

    private Side(string name, Process process)
    {
        Name = name;
        _process = process;
    }

    public string Name { get; }

    public int Id => _process.Id;

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

    /// <param name="name">As it appears in what is printed.</param>
    /// <param name="options">Where the program is.</param>
    /// <param name="arguments">Of emu86.</param>
    /// <param name="core">The only processor core that it may use; null: any.</param>
    public static Side Start(string name, SoakOptions options, IEnumerable<string> arguments, int? core = null) =>
        // taskset becomes the program that it starts: signals reach it.
        StartCommand(name, [.. core is { } number ? ["taskset", "-c", $"{number}"] : Array.Empty<string>(), .. options.Command, .. arguments], options.Verbose);

    /// <summary>Starts any program that ends by itself or with <see cref="Dispose"/>.</summary>
    public static Side StartCommand(string name, IReadOnlyList<string> command, bool verbose)
    {
        var info = new ProcessStartInfo(command[0], command.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        var process = new Process { StartInfo = info };
        var side = new Side(name, process);
        process.ErrorDataReceived += (_, e) => side.Hear(e.Data, verbose);
        process.OutputDataReceived += (_, _) => { };
        process.Start();
        process.StandardInput.Close();
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return side;
    }

    /// <summary>How many lines it has said: what is said later can be looked for alone.</summary>
    public int Said
    {
        get
        {
            lock (_lines) return _lines.Count;
        }
    }

    /// <summary>Waits for a line with this text, from the given one on; returns it.</summary>
    public string WaitFor(string text, TimeSpan atMost, int from = 0)
    {
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            if (Find(text, from) is { } line) return line;
            if (_process.HasExited)
            {
                _process.WaitForExit();
                return Find(text, from) ?? throw new SoakException($"the {Name} should say \"{text}\", but ended with exit code {_process.ExitCode}; {Last()}");
            }
            if (Stopwatch.GetElapsedTime(began) > atMost) throw new SoakException($"the {Name} should say \"{text}\" within {atMost.TotalSeconds:F0} s; {Last()}");
            Thread.Sleep(5);
        }
    }

    /// <summary>The first line with this text so far, from the given one on.</summary>
    public string? Find(string text, int from = 0)
    {
        lock (_lines) return _lines.Skip(from).FirstOrDefault(l => l.Contains(text, StringComparison.Ordinal));
    }

    /// <summary>All lines so far.</summary>
    public string[] Lines()
    {
        lock (_lines) return [.. _lines];
    }

    /// <summary>All lines so far with this text, each with the Stopwatch time at which it was read.</summary>
    public (long Heard, string Line)[] Heard(string text)
    {
        lock (_lines) return [.. _heard.Zip(_lines).Where(l => l.Second.Contains(text, StringComparison.Ordinal))];
    }

    /// <summary>How many lines have this text.</summary>
    public int Count(string text)
    {
        lock (_lines) return _lines.Count(l => l.Contains(text, StringComparison.Ordinal));
    }

    /// <summary>For a process that one of these has started.</summary>
    public static void Signal(int process, int signal) => _ = Kill(process, signal);

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
        lock (_lines)
        {
            int crash = _lines.FindIndex(l => l.StartsWith("Unhandled exception", StringComparison.Ordinal));
            return _lines.Count == 0 ? $"the {Name} said nothing" : $"the {Name} said: {string.Join(" | ", crash < 0 ? _lines.TakeLast(4) : _lines.Skip(crash))}";
        }
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private void Hear(string? line, bool show)
    {
        if (string.IsNullOrWhiteSpace(line)) return;
        lock (_lines)
        {
            _lines.Add(line);
            _heard.Add(Stopwatch.GetTimestamp());
        }
        if (show) Console.Error.WriteLine($"[{Name}] {line}");
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
