// The checker: everything the world saw must be explained by one uninterrupted execution (docs/ft-protocol.md, "Output rule").
using Emu86.Devices;

namespace Emu86.Tests.Replication;

/// <summary>Sees what leaves the hosts. The first thing that cannot be explained is kept as a sentence.</summary>
internal sealed class SimulatorWorld
{
    private readonly List<ulong> _seen = [];
    private readonly SortedDictionary<ulong, long> _writesUnderWay = [];

    public string? Violation { get; private set; }

    /// <summary>Outputs seen, repetitions not counted.</summary>
    public int Count => _seen.Count;

    public int Repetitions { get; private set; }

    /// <summary>The guest was seen to switch itself off, or was ended in good order.</summary>
    public bool IsOff { get; private set; }

    public long OffUs { get; private set; }

    public void Clear()
    {
        _seen.Clear();
        _writesUnderWay.Clear();
        Violation = null;
        Repetitions = 0;
        IsOff = false;
    }

    /// <param name="nowUs">Simulated time.</param>
    /// <param name="node">Who let it out.</param>
    /// <param name="epoch">Under which it believes to be live.</param>
    /// <param name="epochNow">What the arbiter holds.</param>
    /// <param name="ordinal">Number of the output in the guest's life.</param>
    /// <param name="output">What left; its value is the guest's whole history.</param>
    public void See(long nowUs, int node, ulong epoch, ulong epochNow, ulong ordinal, Output output)
    {
        if (Violation is not null) return;
        if (epoch != epochNow)
        {
            Fail($"{nowUs}: node {node} let out output {ordinal} under epoch {epoch} while epoch {epochNow} is won");
        }
        else if (ordinal <= (ulong)_seen.Count)
        {
            Repetitions++;
            if (_seen[(int)ordinal - 1] != output.Value) Fail($"{nowUs}: node {node} let out another output {ordinal} than the world had seen");
        }
        else if (ordinal > (ulong)_seen.Count + 1)
        {
            Fail($"{nowUs}: node {node} let out output {ordinal} although the world had seen only {_seen.Count}");
        }
        else if (IsOff) Fail($"{nowUs}: node {node} let out output {ordinal} although the guest was switched off");
        else
        {
            _seen.Add(output.Value);
            if (output.Kind == OutputKind.DiskWrite) _writesUnderWay.Add(ordinal, nowUs);
            if (output.Kind == OutputKind.PowerOff) Off(nowUs);
        }
    }

    /// <summary>A disk write that was seen has reached the medium.</summary>
    public void Durable(ulong ordinal) => _writesUnderWay.Remove(ordinal);

    /// <summary>The first disk write that was seen before and never reached the medium; 0 when there is none.</summary>
    public ulong LostWrite(long beforeUs)
    {
        foreach ((ulong ordinal, long seenUs) in _writesUnderWay)
        {
            if (seenUs < beforeUs) return ordinal;
        }
        return 0;
    }

    public void Off(long nowUs)
    {
        if (!IsOff) (IsOff, OffUs) = (true, nowUs);
    }

    public void Fail(string sentence) => Violation ??= sentence;
}
