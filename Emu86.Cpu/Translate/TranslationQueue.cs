// Traces on their way to the translator and code on its way back, between the emulation thread and whichever thread translates.
// When a translation becomes usable cannot be seen by the guest.
using System.Collections.Concurrent;

namespace Emu86.Cpu.Translate;

/// <summary>What became of a trace: code for its first block.</summary>
/// <param name="Block">The block.</param>
/// <param name="Entry">Address of the code; 0: too little of it could be translated.</param>
/// <param name="Generation">As of the trace.</param>
/// <param name="IsFull">There was no room.</param>
internal readonly record struct FinishedCode(nint Block, nint Entry, ulong Generation, bool IsFull);

/// <summary>The translator behind a lock, with a queue on either side.</summary>
internal sealed class TranslationQueue(Translator translator)
{
    private readonly object _gate = new();
    private readonly ConcurrentQueue<Trace> _asked = new();
    private readonly ConcurrentQueue<FinishedCode> _finished = new();
    private bool _isFree;
    private volatile bool _anyFinished;

    /// <summary>How often all code was forgotten. The emulation thread changes it.</summary>
    public ulong Generation { get; private set; }

    public void Ask(Trace trace) => _asked.Enqueue(trace);

    /// <summary>Translates one trace, on any thread; false when none waits.</summary>
    public bool TranslateNext()
    {
        if (!_asked.TryDequeue(out Trace? trace)) return false;
        lock (_gate)
        {
            if (_isFree) return false;
            if (trace.Generation != Generation) return true;
            bool isFull = !translator.HasRoom;
            _finished.Enqueue(new FinishedCode(trace.Steps[0].Block, isFull ? 0 : translator.Translate(trace), trace.Generation, isFull));
        }
        _anyFinished = true;
        return true;
    }

    /// <summary>Code that is ready and still wanted. On the emulation thread.</summary>
    public bool TakeFinished(out FinishedCode code)
    {
        code = default;
        if (!_anyFinished) return false;
        _anyFinished = false;
        while (_finished.TryDequeue(out code))
        {
            if (code.Generation != Generation) continue;
            _anyFinished = true;
            return true;
        }
        return false;
    }

    /// <summary>Forgets all code and what waits for it. On the emulation thread, while no code runs.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            _asked.Clear();
            translator.Reset();
            Generation++;
        }
    }

    public void ClearCells()
    {
        lock (_gate) translator.ClearCells();
    }

    public void Free()
    {
        lock (_gate)
        {
            _isFree = true;
            _asked.Clear();
            translator.Free();
        }
    }
}
