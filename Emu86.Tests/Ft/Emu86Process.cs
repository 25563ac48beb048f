// The program itself, as a process: how a test runs it and what it said.
using System.Diagnostics;
using System.Text;

namespace Emu86.Tests.Ft;

/// <summary>One finished run of the program.</summary>
internal sealed record Emu86Process(int ExitCode, string Output, string Errors)
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "emu86.dll");

    /// <summary>Runs to the end, with an empty standard input. A run that takes longer than asked is ended and fails the test.</summary>
    public static Emu86Process Run(TimeSpan atMost, params string[] arguments)
    {
        using Process process = Start(arguments, out StringBuilder output, out StringBuilder errors);
        if (!process.WaitForExit(atMost))
        {
            process.Kill();
            process.WaitForExit();
            Assert.Fail($"emu86 {string.Join(' ', arguments)} still ran after {atMost.TotalSeconds:F0} s; stderr: {errors}");
        }
        process.WaitForExit();
        return new Emu86Process(process.ExitCode, output.ToString(), errors.ToString());
    }

    /// <summary>The hash in the line "state-hash COUNT HASH"; fails the test if there is none.</summary>
    public (ulong Count, string Hash) StateHash()
    {
        string? line = Output.Split('\n').LastOrDefault(l => l.Contains("state-hash "));
        Assert.True(line is not null, $"the program should print a state-hash line; exit code {ExitCode}, stderr: {Errors}");
        string[] words = line[line.IndexOf("state-hash ", StringComparison.Ordinal)..].Split(' ');
        return (ulong.Parse(words[1]), words[2].Trim());
    }

    private static Process Start(string[] arguments, out StringBuilder output, out StringBuilder errors)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.ArgumentList.Add(Program);
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        Process process = System.Diagnostics.Process.Start(start)!;
        process.StandardInput.Close();
        StringBuilder to = output = new StringBuilder(), wrong = errors = new StringBuilder();
        process.OutputDataReceived += (_, e) => Append(to, e.Data);
        process.ErrorDataReceived += (_, e) => Append(wrong, e.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private static void Append(StringBuilder to, string? line)
    {
        if (line is null) return;
        lock (to) to.AppendLine(line);
    }
}
