// A process of the program under test, with its output by lines.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Emu86.Tests.Ft;

/// <summary>Runs the emulator as users do. Killed when disposed.</summary>
internal sealed partial class PairProcess : IDisposable
{
    public const int SigKill = 9, SigTerm = 15, SigCont = 18, SigStop = 19;

    private static readonly HttpClient Http = new();

    private readonly Process _process;
    private readonly List<string> _lines = [];

    public PairProcess(params string[] arguments)
        : this(null, arguments)
    {
    }

    /// <param name="flip">EMU86_TEST_FLIP of the process; null: none.</param>
    /// <param name="arguments">Of emu86.</param>
    public PairProcess(string? flip, string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "emu86.dll"));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        if (flip is not null) start.Environment["EMU86_TEST_FLIP"] = flip;
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, e) => Add(e.Data);
        _process.ErrorDataReceived += (_, e) => Add(e.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Everything printed so far, stdout and stderr, for messages of failed tests.</summary>
    public string Text
    {
        get
        {
            lock (_lines) return string.Join('\n', _lines);
        }
    }

    public static int FreePort()
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    public void Type(string line)
    {
        _process.StandardInput.Write(line + "\n");
        _process.StandardInput.Flush();
    }

    public void Signal(int signal) => Signal(_process.Id, signal);

    public static void Signal(int process, int signal) => Assert.Equal(0, Kill(process, signal));

    /// <summary>Waits for the nth line with a text; returns the line.</summary>
    public string WaitFor(string text, int seconds = 60, int nth = 1)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
        {
            lock (_lines)
            {
                if (_lines.Where(l => l.Contains(text, StringComparison.Ordinal)).Skip(nth - 1).FirstOrDefault() is { } line) return line;
            }
            Thread.Sleep(10);
        }
        throw new TimeoutException($"\"{text}\" did not come within {seconds} s; printed was:\n{Text}");
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public int WaitForExit(int seconds = 60)
    {
        if (!_process.WaitForExit(TimeSpan.FromSeconds(seconds))) throw new TimeoutException($"it did not end within {seconds} s; printed was:\n{Text}");
        _process.WaitForExit();
        return _process.ExitCode;
    }

    /// <summary>The JSON of /status.</summary>
    public static JsonElement Status(int port) => JsonDocument.Parse(Http.GetStringAsync($"http://127.0.0.1:{port}/status").Result).RootElement;

    public static (HttpStatusCode Code, string Text) Post(int port, string path)
    {
        using HttpResponseMessage answer = Http.PostAsync($"http://127.0.0.1:{port}{path}", null).Result;
        return (answer.StatusCode, answer.Content.ReadAsStringAsync().Result);
    }

    public static string Get(int port, string path) => Http.GetStringAsync($"http://127.0.0.1:{port}{path}").Result;

    /// <summary>Waits until something of /status holds.</summary>
    public void WaitForStatus(int port, Func<JsonElement, bool> holds, int seconds = 60)
    {
        long start = Stopwatch.GetTimestamp();
        JsonElement last = default;
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
        {
            last = Status(port);
            if (holds(last)) return;
            Thread.Sleep(50);
        }
        throw new TimeoutException($"the status did not come within {seconds} s; it is {last}; printed was:\n{Text}");
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private void Add(string? line)
    {
        if (line is null) return;
        lock (_lines) _lines.Add(line);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
