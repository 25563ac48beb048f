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
/// <param name="Owner">Address of the side that was live before; empty when it is not known.</param>
internal sealed record FenceRequest(string Guest, ulong Epoch, string Owner);

/// <summary>One taking over of all shared disks.</summary>
/// <param name="command">--fence-command; null: none was given, which only files can do without.</param>
/// <param name="request">What the command is told.</param>
/// <param name="turn">Called while waiting; false: the run is to end.</param>
/// <param name="say">Told what is waited for.</param>
internal sealed class Fence(string? command, FenceRequest request, Func<bool> turn, Action<string> say)
{
    private const int PollMs = 10, CommandMs = 30_000, RetryMs = 1_000;

    private bool _isConfirmed;
    private long _commandAt;
    private string? _said;

    /// <summary>Opens an image for writing once that is safe: nobody else holds the writer's lock of the file, or, where there is no such
    /// lock, the command has confirmed that the old side is cut off. An image that cannot be opened is tried again: the guest has no other.</summary>
    /// <param name="disk">What was given.</param>
    /// <param name="needsCommand">No lock tells whether another host may still write it.</param>
    /// <exception cref="HostException">The run is to end.</exception>
    public IBlockStore Take(DiskOption disk, bool needsCommand)
    {
        if (needsCommand) Confirm(disk.Path);
        while (true)
        {
            (IBlockStore? image, string? problem) = Open(disk);
            if (image is not null) return image;
            SayOnce(problem is null
                ? $"waiting until the side that was live lets go of {disk.Path}{(command is null ? "; end that process, or give --fence-command" : "")}"
                : $"{problem}; the guest has no other disk, so it is tried again until it works");
            if (problem is null && command is not null && !_isConfirmed) Try();
            for (long began = Environment.TickCount64; Environment.TickCount64 - began < (problem is null ? PollMs : RetryMs);) Wait(PollMs);
        }
    }

    /// <summary>Returns when the command has confirmed that no other host writes a disk any more, not even what was on its way.</summary>
    /// <param name="path">The disk, for people.</param>
    /// <exception cref="HostException">The run is to end.</exception>
    public void Confirm(string path)
    {
        if (!_isConfirmed) SayOnce($"making sure by --fence-command that the side that was live writes {path} no more");
        while (!_isConfirmed)
        {
            Try();
            if (!_isConfirmed) Wait(PollMs);
        }
    }

    // On a thread of its own: a server that does not answer must not keep this side from showing that it lives. Neither an image nor a
    // problem: another program holds the writer's lock, which is let go of only when its process is gone, with every write that it had begun.
    private (IBlockStore? Image, string? Problem) Open(DiskOption disk)
    {
        Task<(IBlockStore? Image, string? Problem)> opening = Task.Run(() =>
        {
            try
            {
                return (disk.ReadOnly || disk.Nbd is not null ? DiskImage.Open(disk, disk.ReadOnly) : RawDisk.OpenUnlessLocked(disk.Path), null);
            }
            catch (HostException e)
            {
                return ((IBlockStore?)null, (string?)e.Message);
            }
        });
        try
        {
            while (!opening.Wait(PollMs)) Wait(0);
            return opening.Result;
        }
        catch (HostException)
        {
            opening.ContinueWith(o => (o.Result.Image as IDisposable)?.Dispose(), TaskScheduler.Default);
            throw;
        }
    }

    private void Try()
    {
        if (Environment.TickCount64 < _commandAt) return;
        _isConfirmed = Run(out string problem);
        if (!_isConfirmed) say($"--fence-command does not confirm that the side that was live is cut off: {problem}; trying again");
        _commandAt = Environment.TickCount64 + RetryMs;
    }

    private bool Run(out string problem)
    {
        var info = new ProcessStartInfo("/bin/sh", ["-c", command!]) { RedirectStandardInput = true };
        info.Environment["EMU86_GUEST"] = request.Guest;
        info.Environment["EMU86_EPOCH"] = request.Epoch.ToString(CultureInfo.InvariantCulture);
        info.Environment["EMU86_OWNER"] = request.Owner;
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
                Wait(0);
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

    private void SayOnce(string what)
    {
        if (what != _said) say(what);
        _said = what;
    }

    private void Wait(int ms)
    {
        if (!turn()) throw new HostException("stopped while it waited for its shared disk");
        Thread.Sleep(ms);
    }
}
