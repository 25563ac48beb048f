// From host threads to the emulation thread: inputs, and things to do between slices.
using System.Collections.Concurrent;
using Emu86.Devices;

namespace Emu86.Ft.Run;

/// <summary>A bounded queue. Frames that come when it is full are dropped, as on a real cable; nothing else is ever dropped.</summary>
public sealed class InputQueue
{
    private const int FramesMax = 1024;

    private readonly ConcurrentQueue<InputEvent> _inputs = new();
    private readonly ConcurrentQueue<Action> _actions = new();
    private readonly AutoResetEvent _wake = new(false);
    private int _count;

    public void Frame(byte[] frame)
    {
        if (Volatile.Read(ref _count) >= FramesMax) return;
        Put(InputEvent.NetFrame(0, frame));
    }

    public void Put(InputEvent input)
    {
        Interlocked.Increment(ref _count);
        _inputs.Enqueue(input);
        _wake.Set();
    }

    /// <summary>Has the emulation thread do something at its next slice boundary.</summary>
    public void Post(Action action)
    {
        _actions.Enqueue(action);
        _wake.Set();
    }

    /// <summary>The next input stays in the queue because its device is full: it wakes nobody.</summary>
    public bool Held { get; set; }

    public bool TryPeek(out InputEvent input) => _inputs.TryPeek(out input!);

    /// <summary>Removes the input that <see cref="TryPeek"/> showed.</summary>
    public void Take()
    {
        if (_inputs.TryDequeue(out _)) Interlocked.Decrement(ref _count);
    }

    public void RunActions()
    {
        while (_actions.TryDequeue(out Action? action)) action();
    }

    /// <summary>An input waits to be taken.</summary>
    public bool HasInput => !Held && !_inputs.IsEmpty;

    public bool IsEmpty => !HasInput && _actions.IsEmpty;

    /// <summary>Ends a wait.</summary>
    public void Wake() => _wake.Set();

    /// <summary>Waits until something was put, at most so long.</summary>
    public void Wait(TimeSpan atMost)
    {
        if (IsEmpty && atMost > TimeSpan.Zero) _wake.WaitOne(Milliseconds(atMost));
    }

    /// <summary>Waits until something was posted, at most so long; inputs that wait do not matter.</summary>
    public void WaitForAction(TimeSpan atMost)
    {
        if (_actions.IsEmpty && atMost > TimeSpan.Zero) _wake.WaitOne(Milliseconds(atMost));
    }

    // Rounded up: a wait of less than a millisecond would be none at all, and the loop would spin until the time has come.
    private static int Milliseconds(TimeSpan wait) => (int)Math.Ceiling(wait.TotalMilliseconds);
}
