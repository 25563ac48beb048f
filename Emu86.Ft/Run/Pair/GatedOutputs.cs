// Where a replicated machine's outputs go: into a list, for the core that decides when they may leave.
using Emu86.Devices;

namespace Emu86.Ft.Run.Pair;

/// <summary>Collects the outputs that the output rule is about. Bytes for people (POST codes, debug ports) and screen changes
/// are views of the machine, not outputs to the world: the live side shows them at once, a backup drops them.</summary>
public sealed class GatedOutputs : IOutputSink
{
    private readonly List<Output> _collected = [];

    /// <summary>Where outputs that do not wait go; null on a backup.</summary>
    public IOutputSink? Views { get; set; }

    public bool IsEmpty => _collected.Count == 0;

    public void Emit(Output output)
    {
        if (output.IsGated) _collected.Add(output);
        else Views?.Emit(output);
    }

    /// <summary>Hands over what was collected, in order.</summary>
    public void Drain(Action<Output> to)
    {
        foreach (Output output in _collected) to(output);
        _collected.Clear();
    }
}
