// The checker: everything the world saw must be explained by one uninterrupted execution (docs/ft-protocol.md, "Output rule").
namespace Emu86.Tests.Replication;

/// <summary>Sees what leaves the hosts. The first thing that cannot be explained is kept as a sentence.</summary>
internal sealed class SimulatorWorld
{
    private readonly List<ulong> _seen = [];

    public string? Violation { get; private set; }

    /// <summary>Outputs seen, repetitions not counted.</summary>
    public int Count => _seen.Count;

    public int Repetitions { get; private set; }

    public long LastNewUs { get; private set; }

    public void Clear()
    {
        _seen.Clear();
        Violation = null;
        Repetitions = 0;
        LastNewUs = 0;
    }

    /// <param name="nowUs">Simulated time.</param>
    /// <param name="node">Who let it out.</param>
    /// <param name="epoch">Under which it believes to be live.</param>
    /// <param name="epochNow">What the arbiter holds.</param>
    /// <param name="ordinal">Number of the output in the guest's life.</param>
    /// <param name="value">The guest's whole history at that output.</param>
    public void See(long nowUs, int node, ulong epoch, ulong epochNow, ulong ordinal, ulong value)
    {
        if (Violation is not null) return;
        if (epoch != epochNow)
        {
            Violation = $"{nowUs}: node {node} let out output {ordinal} under epoch {epoch} while epoch {epochNow} is won";
        }
        else if (ordinal <= (ulong)_seen.Count)
        {
            Repetitions++;
            if (_seen[(int)ordinal - 1] != value) Violation = $"{nowUs}: node {node} let out another output {ordinal} than the world had seen";
        }
        else if (ordinal == (ulong)_seen.Count + 1)
        {
            _seen.Add(value);
            LastNewUs = nowUs;
        }
        else
        {
            Violation = $"{nowUs}: node {node} let out output {ordinal} although the world had seen only {_seen.Count}";
        }
    }

    public void Fail(string sentence) => Violation ??= sentence;
}
