// Which processor core a process of a soak run gets, by taskset.
using System.Diagnostics;

namespace Emu86.Bench.Soak;

internal static class Cores
{
    public const int Live = 0, Other = 1;

    /// <summary>Keeps this process off the live side's core, with the threads that it starts from now on. False: cores cannot be
    /// given here.</summary>
    public static bool PinThisProcess()
    {
        if (Environment.ProcessorCount < 2) return false;
        try
        {
            using Process? taskset = Process.Start(new ProcessStartInfo("taskset", ["-apc", $"{Other}", $"{Environment.ProcessId}"]) { RedirectStandardOutput = true });
            taskset!.StandardOutput.ReadToEnd();
            taskset.WaitForExit();
            return taskset.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
