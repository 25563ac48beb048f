// A snapshot of the guest that a backup writes: the primary does not stand still for it (docs/command-line.md, "The status port").
using System.Globalization;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Status;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <param name="directory">Where snapshots are written.</param>
internal sealed class BackupSnapshot(string directory)
{
    private const int AnswerMs = 30_000;

    private TaskCompletionSource<ControlAnswer>? _asked;

    /// <summary>One is to be taken at the next boundary that has no records of its own.</summary>
    public bool IsAsked => Volatile.Read(ref _asked) is not null;

    /// <summary>Asks for one and waits for it. From any thread but the emulation thread.</summary>
    public ControlAnswer Ask()
    {
        TaskCompletionSource<ControlAnswer> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        if (Interlocked.CompareExchange(ref _asked, answer, null) is not null) return ControlAnswer.Refused("a snapshot is being taken already");
        if (answer.Task.Wait(AnswerMs)) return answer.Task.Result;
        _ = Interlocked.CompareExchange(ref _asked, null, answer);
        return new ControlAnswer(504, "the emulation thread does not answer");
    }

    /// <summary>There is nothing to take one of.</summary>
    public void Refuse(string why) => Interlocked.Exchange(ref _asked, null)?.SetResult(ControlAnswer.Refused(why));

    /// <summary>A position on the way to the one that the log goes on at; that one itself when there is none. What is logged at a position is
    /// part of what happens there, and some of it comes before the events that a snapshot would have fired.</summary>
    public static Position Before(Position from, Position target)
    {
        if (target.Count - from.Count > 1) return new Position(from.Count + ((target.Count - from.Count) / 2), 0);
        return target.Count == from.Count ? new Position(from.Count, from.VirtualTimeNs + ((target.VirtualTimeNs - from.VirtualTimeNs) / 2)) : target;
    }

    /// <summary>Takes it, and has it written by another thread: the primary's outputs wait for this one.</summary>
    public void Take(Machine machine)
    {
        if (Interlocked.Exchange(ref _asked, null) is not { } answer) return;
        ChunkedBuffer state = SnapshotFile.Capture(machine);
        string path = Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"snapshot-{machine.Position.Count}"));
        new Thread(() =>
        {
            try
            {
                SnapshotFile.Write("snapshot", path, state);
                answer.SetResult(ControlAnswer.Done(path));
            }
            catch (HostException e)
            {
                answer.SetResult(new ControlAnswer(500, e.Message));
            }
        })
        { IsBackground = true, Name = "snapshot" }.Start();
    }
}
