// A mistake or failure outside the machine, told to the user as a sentence.
namespace Emu86.Ft.Host;

/// <summary>Exit codes of the program (docs/command-line.md).</summary>
public static class ExitCode
{
    public const int Ok = 0, Failure = 1, Usage = 2, HaltedByOther = 3, Diverged = 4;
}

/// <summary>Ends the program with a sentence that says what is wrong and what to do; never with a stack trace.</summary>
public sealed class HostException(string message, int exitCode = ExitCode.Failure) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
