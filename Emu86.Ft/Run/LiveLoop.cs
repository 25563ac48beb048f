// The loop of a machine that is live: slices, inputs, pacing, stops. Standalone runs, recordings and primaries drive it with
// different logs; there is no other copy.
using System.Diagnostics;
using Emu86.Devices;

namespace Emu86.Ft.Run;

/// <summary>What is told of everything that has to be known to repeat the execution. Called on the emulation thread.</summary>
public interface IRunLog
{
    /// <summary>An input took effect.</summary>
    void Input(Position at, InputEvent input);

    /// <summary>Whether a state hash is wanted now.</summary>
    bool WantsHash(Position at);

    void Hash(Position at, UInt128 hash);

    /// <summary>A slice ended: the log is complete up to here. May block to slow the guest.</summary>
    void Boundary(Position at, bool idle);
}

/// <summary>What to run for.</summary>
/// <param name="Slice">Longest run between host checks, in instructions.</param>
/// <param name="StopAt">Ends the run at this count; <see cref="ulong.MaxValue"/>: never.</param>
/// <param name="FixedClock">The rate never changes.</param>
/// <param name="Paced">Halted time passes as wall time does; otherwise it is skipped at once.</param>
public sealed record LiveSettings(ulong Slice, ulong StopAt, bool FixedClock, bool Paced);

/// <summary>How a live run ended.</summary>
public enum LiveEnd
{
    StopReached,
    PoweredOff,
    Ended,
    Asked,

    /// <summary>Halted for ever: interrupts are off, or nothing is scheduled and no input can come.</summary>
    Dead,
}

/// <summary>Runs a machine live.</summary>
public sealed class LiveLoop(Machine machine, InputQueue inputs, LiveSettings settings, IRunLog? log)
{
    private readonly Pacer _pacer = new();
    private volatile bool _asked;

    /// <summary>Told of time that was given up.</summary>
    public Action<TimeSpan>? DebtDropped
    {
        set => _pacer.DebtDropped = value;
    }

    /// <summary>Counts at which something happens between slices (snapshots), ascending.</summary>
    public SortedList<ulong, Action> At { get; } = [];

    /// <summary>Host time spent executing, in Stopwatch ticks, and instructions executed in it.</summary>
    public (long Ticks, ulong Instructions) Busy { get; private set; }

    /// <summary>Whether the guest is kept from running (control operation "pause").</summary>
    public bool Paused { get; set; }

    /// <summary>Ends the run at the next slice boundary. From any thread.</summary>
    public void Stop()
    {
        _asked = true;
        inputs.Wake();
    }

    public LiveEnd Run()
    {
        _pacer.Anchor(machine.Position.VirtualTimeNs);
        while (true)
        {
            inputs.RunActions();
            if (_asked) return LiveEnd.Asked;
            if (Paused)
            {
                inputs.Wait(TimeSpan.FromMilliseconds(100));
                _pacer.Anchor(machine.Position.VirtualTimeNs);
                continue;
            }
            Position now = machine.Position;
            while (At.Count > 0 && At.GetKeyAtIndex(0) <= now.Count)
            {
                Action due = At.GetValueAtIndex(0);
                At.RemoveAt(0);
                due();
            }
            if (now.Count >= settings.StopAt) return LiveEnd.StopReached;
            TakeInputs(now);
            if (!settings.FixedClock && _pacer.Adjust(now.VirtualTimeNs, machine.ClockRate) is { } rate) Inject(now, InputEvent.RateChange(rate));
            if (log is not null && log.WantsHash(now)) log.Hash(now, machine.StateHash());

            StopReason reason = Slice(now);
            Position after = machine.Position;
            log?.Boundary(after, reason == StopReason.Idle);
            switch (reason)
            {
                case StopReason.PoweredOff: return LiveEnd.PoweredOff;
                case StopReason.Ended: return LiveEnd.Ended;
                case StopReason.Idle:
                    if (!settings.Paced && inputs.IsEmpty) return LiveEnd.Dead;
                    if (settings.Paced && machine.NextEventNs == ulong.MaxValue && settings.StopAt != ulong.MaxValue && machine.IsDeaf) return LiveEnd.Dead;
                    TimeSpan wait = _pacer.Until(machine.NextEventNs);
                    inputs.Wait(wait < TimeSpan.FromSeconds(1) ? wait : TimeSpan.FromSeconds(1));
                    break;
            }
        }
    }

    private StopReason Slice(Position now)
    {
        ulong limit = ulong.Min(now.Count + settings.Slice, settings.StopAt);
        if (At.Count > 0) limit = ulong.Min(limit, At.GetKeyAtIndex(0));
        long start = Stopwatch.GetTimestamp();
        StopReason reason = machine.RunUntil(new Position(limit, 0), settings.Paced ? _pacer.TargetNs : ulong.MaxValue);
        long took = Stopwatch.GetTimestamp() - start;
        ulong instructions = machine.Position.Count - now.Count;
        // A slice that halted early says little about speed, but nearly all of its time was execution.
        _pacer.Ran(instructions, took);
        Busy = (Busy.Ticks + took, Busy.Instructions + instructions);
        return reason;
    }

    private void TakeInputs(Position now)
    {
        while (inputs.TryTake(out InputEvent input)) Inject(now, input);
    }

    private void Inject(Position at, InputEvent input)
    {
        machine.Inject(input);
        log?.Input(at, input);
    }
}
