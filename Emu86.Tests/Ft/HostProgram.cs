// A program of the host that does its work and ends.
using System.Diagnostics;

namespace Emu86.Tests.Ft;

internal static class HostProgram
{
    /// <summary>Runs it to its end; its exit code, -1 where there is no such program.</summary>
    public static int Run(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return -1;
        }
    }
}
