// Control operations from the status port, carried out on the emulation thread at a slice boundary.
using Emu86.Devices;
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
    private const int AnswerMs = 30_000;

    /// <summary>Carries out an operation and waits for it. From any thread but the emulation thread.</summary>
    public ControlAnswer? Do(string operation) => operation switch
    {
        "pause" => At(() => { Loop.Paused = true; return "paused"; }),
        "resume" => At(() => { Loop.Paused = false; return "running"; }),
        "reset" => Put(InputEvent.Reset(), "reset"),
        "powerbutton" => Put(InputEvent.PowerButton(), "power button pressed"),
        "poweroff" => At(() => { PowerOff(); return "powered off"; }),
        "snapshot" => At(Save),
        "medium" or "move" => new ControlAnswer(501, $"{operation} is not supported by this version of emu86"),
        _ => null,
    };

    private ControlAnswer Put(InputEvent input, string done)
    {
        Inputs.Put(input);
        return ControlAnswer.Done(done);
    }

    private ControlAnswer At(Func<string> action)
    {
        TaskCompletionSource<ControlAnswer> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Inputs.Post(() =>
        {
            try
            {
                answer.SetResult(ControlAnswer.Done(action()));
            }
            catch (HostException e)
            {
                answer.SetResult(new ControlAnswer(500, e.Message));
            }
        });
        return answer.Task.Wait(AnswerMs) ? answer.Task.Result : new ControlAnswer(504, "the emulation thread does not answer");
    }

    private string Save()
    {
        string path = Path.Combine(SnapshotDirectory, $"snapshot-{Machine.Position.Count}");
        SnapshotFile.Write("snapshot", path, Machine);
        return path;
    }
}
