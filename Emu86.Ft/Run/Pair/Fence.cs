// Before a side that went live writes a shared disk, the side that was live must not be able to any more: it may have been frozen in
// the middle of a write, and wake up later (docs/ft-protocol.md, "Shared disks").
using System.Diagnostics;
using System.Globalization;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;

namespace Emu86.Ft.Run.Pair;

/// <param name="Guest">Its name.</param>
/// <param name="Epoch">That was won.</param>
internal sealed record FenceRequest(string Guest, ulong Epoch);

internal static class Fence
{
    private const int PollMs = 10, CommandMs = 30_000, CommandRetryMs = 1_000;

    /// <summary>Opens an image for writing once that is safe: nobody else holds the writer's lock of the file, or, where there is no such
    /// lock, the command has confirmed that the old side is cut off.</summary>
    /// <exception cref="HostException">The run is to end, or the image is not there any more.</exception>
    public static IBlockStore Take(DiskOption disk, string? command, FenceRequest request, Func<bool> turn, Action<string> say)
    {
        // A file's lock is let go of only when the process that had it is gone, with every write that it had begun.
        bool needsCommand = disk.Nbd is not null, isConfirmed = false, isSaid = false;
        long commandAt = 0;
        while (true)
        {
            if (!needsCommand || isConfirmed)
            {
                if (disk.ReadOnly || disk.Nbd is not null) return DiskImage.Open(disk, disk.ReadOnly);
                if (RawDisk.OpenUnlessLocked(disk.Path) is { } image) return image;
            }
            if (!isSaid)
            {
                isSaid = true;
                say(needsCommand ? $"making sure by --fence-command that the side that was live writes {disk.Path} no more" : $"waiting until the side that was live lets go of {disk.Path}{(command is null ? "; end that process, or give --fence-command" : "")}");
            }
            if (command is not null && !isConfirmed && Environment.TickCount64 >= commandAt)
            {
                isConfirmed = Run(command, request, turn, out string problem);
                if (!isConfirmed) say($"--fence-command does not confirm that the side that was live is cut off: {problem}; trying again");
                commandAt = Environment.TickCount64 + CommandRetryMs;
                continue;
            }
            Wait(turn, PollMs);
        }
    }

    private static bool Run(string command, FenceRequest request, Func<bool> turn, out string problem)
    {
        var info = new ProcessStartInfo("/bin/sh", ["-c", command]) { RedirectStandardInput = true };
        info.Environment["EMU86_GUEST"] = request.Guest;
        info.Environment["EMU86_EPOCH"] = request.Epoch.ToString(CultureInfo.InvariantCulture);
        try
        {
            using Process process = Process.Start(info)!;
            process.StandardInput.Close();
            for (long began = Environment.TickCount64; !process.WaitForExit(PollMs);)
            {
                if (Environment.TickCount64 - began > CommandMs)
                {
                    process.Kill(entireProcessTree: true);
                    problem = $"it did not end within {CommandMs / 1000} s";
                    return false;
                }
                Wait(turn, 0);
            }
            problem = $"it ended with {process.ExitCode}";
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            problem = e.Message;
            return false;
        }
    }

    private static void Wait(Func<bool> turn, int ms)
    {
        if (!turn()) throw new HostException("stopped while it waited for the side that was live to let go of the shared disk");
        Thread.Sleep(ms);
    }
}
