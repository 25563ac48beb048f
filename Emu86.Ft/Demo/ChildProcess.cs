// Another process of this same program, started, listened to and ended by the demo.
using System.Diagnostics;
using Emu86.Ft.Host;

namespace Emu86.Ft.Demo;

/// <summary>One role in a process of its own. Ending it never touches any other process.</summary>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process _process;

    private ChildProcess(string name, Process process)
    {
        Name = name;
        _process = process;
    }

    public string Name { get; }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>The last line on its stderr.</summary>
    public string LastWords { get; private set; } = "";

    /// <summary>Starts this program with other arguments. It ends with this process, whose end of its standard input stays open.</summary>
    /// <param name="said">Told of each line on the child's stderr, on any thread.</param>
    public static ChildProcess Start(string name, IEnumerable<string> arguments, Action<string, string> said)
    {
        string self = Environment.ProcessPath ?? throw new HostException("the path of this program is not known, so --demo cannot start its processes");
        // Run as `dotnet emu86.dll`, the program is dotnet's first argument.
        string[] prefix = Path.GetFileNameWithoutExtension(self) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
        var info = new ProcessStartInfo(self, [.. prefix, "--end-with-input", .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        var process = new Process { StartInfo = info };
        var child = new ChildProcess(name, process);
        process.ErrorDataReceived += (_, e) =>
        {
            if (string.IsNullOrWhiteSpace(e.Data)) return;
            child.LastWords = e.Data;
            said(name, e.Data);
        };
        process.Start();
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return child;
    }

    /// <summary>How it ended, for a sentence about it. Only after <see cref="HasExited"/>.</summary>
    public string Epitaph()
    {
        // Its last lines may still be on their way.
        _process.WaitForExit();
        return $"exit code {_process.ExitCode}{(LastWords.Length == 0 ? "" : $", after \"{LastWords}\"")}";
    }

    /// <summary>SIGKILL: the process gets no chance to say goodbye.</summary>
    public void Kill()
    {
        try
        {
            if (!_process.HasExited) _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It ended by itself in between.
        }
    }

    public void Dispose()
    {
        Kill();
        _process.WaitForExit(TimeSpan.FromSeconds(5));
        _process.Dispose();
    }
}
