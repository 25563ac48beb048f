// Control operations from the status port, carried out on the emulation thread at a slice boundary.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Status;

namespace Emu86.Ft.Run;

/// <summary>What the operations act on. Reset and power button are inputs of the guest, so they stand in the log.</summary>
/// <param name="Machine">The machine that runs live.</param>
/// <param name="Inputs">Its queue.</param>
/// <param name="Loop">Its loop.</param>
/// <param name="PowerOff">Ends the guest in good order; on the emulation thread.</param>
/// <param name="SnapshotDirectory">Where snapshots are written.</param>
public sealed record ControlPanel(Machine Machine, InputQueue Inputs, LiveLoop Loop, Action PowerOff, string SnapshotDirectory)
{
    private const int AnswerMs = 30_000, LastingMs = 5_000;
    private const string MoveTo = "move?to=";
    private const string MediumQuery = "medium?";

    /// <summary>Begins to move the guest to another host; on the emulation thread. Null: there is no protocol to move it by.</summary>
    public Func<Endpoint, ControlAnswer>? Move { get; init; }

    /// <summary>Whether the inputs that were put until now would outlive this host: true as soon as they would, false when the run ends before.
    /// Called on the emulation thread. Null: there is no other host.</summary>
    public Func<Task<bool>>? Lasting { get; init; }

    /// <summary>With which the guest waits for disks that fail; null when it does not.</summary>
    public DiskPatience? Patience { get; init; }

    /// <summary>Carries out an operation and waits for it. From any thread but the emulation thread.</summary>
    public ControlAnswer? Do(string operation) => operation switch
    {
        // The emulation thread is in the middle of a request.
        "pause" or "resume" or "snapshot" when Patience?.Problem is { } problem => ControlAnswer.Refused(problem),
        "pause" => At(() => { Loop.Paused = true; return ControlAnswer.Done("paused"); }),
        "resume" => At(() => { Loop.Paused = false; return ControlAnswer.Done("running"); }),
        "reset" => Put(InputEvent.Reset(), "reset"),
        "powerbutton" => Put(InputEvent.PowerButton(), "power button pressed"),
        "poweroff" => Off(),
        "snapshot" => At(Save),
        "medium" => new ControlAnswer(400, $"say which drive and which medium: POST /control/{MediumControl.Usage}"),
        _ when operation.StartsWith(MediumQuery, StringComparison.Ordinal) => MediumControl.Do(operation[MediumQuery.Length..], AtLasting, Machine, Inputs),
        "move" => new ControlAnswer(400, $"say where to: POST /control/{MoveTo}HOST:PORT, where a backup listens"),
        _ when operation.StartsWith(MoveTo, StringComparison.Ordinal) => BeginMove(Uri.UnescapeDataString(operation[MoveTo.Length..])),
        _ => null,
    };

    private ControlAnswer BeginMove(string to)
    {
        if (Move is not { } move) return ControlAnswer.Refused("this run has no role; only a --primary can be moved");
        try
        {
            Endpoint at = Values.Endpoint("move", to);
            return At(() => move(at));
        }
        catch (UsageException e)
        {
            return new ControlAnswer(400, e.Message);
        }
    }

    private ControlAnswer Off()
    {
        Patience?.End();
        return At(() => { PowerOff(); return ControlAnswer.Done("powered off"); });
    }

    private ControlAnswer Put(InputEvent input, string done) => AtLasting(() =>
    {
        Inputs.Put(input);
        return ControlAnswer.Done(done);
    });

    // An operation that was answered must not be lost by a failover: its input is in the log, and the backups have it.
    private ControlAnswer AtLasting(Func<ControlAnswer> action)
    {
        Task<bool>? lasts = null;
        ControlAnswer answer = At(() =>
        {
            ControlAnswer done = action();
            if (done.Status == 200) lasts = Lasting?.Invoke();
            return done;
        });
        if (lasts is null || (lasts.Wait(LastingMs) && lasts.Result)) return answer;
        return new ControlAnswer(504, $"{answer.Text}, but {Patience?.Problem ?? $"no backup has acknowledged it within {LastingMs / 1000} s"}: a failover now may lose it");
    }

    private ControlAnswer At(Func<ControlAnswer> action)
    {
        TaskCompletionSource<ControlAnswer> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Inputs.Post(() =>
        {
            try
            {
                answer.SetResult(action());
            }
            catch (HostException e)
            {
                answer.SetResult(new ControlAnswer(e.ExitCode == ExitCode.Usage ? 400 : 500, e.Message));
            }
        });
        return answer.Task.Wait(AnswerMs) ? answer.Task.Result : new ControlAnswer(504, "the emulation thread does not answer");
    }

    private ControlAnswer Save()
    {
        if (Machine.WaitsForDisk) return ControlAnswer.Refused("the guest waits until what it wrote to a shared disk is durable; ask again");
        string path = Path.Combine(SnapshotDirectory, $"snapshot-{Machine.Position.Count}");
        SnapshotFile.Write("snapshot", path, Machine);
        return ControlAnswer.Done(path);
    }
}
