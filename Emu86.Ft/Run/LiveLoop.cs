// The loop of a machine that is live: slices, inputs, pacing, stops. Standalone runs, recordings and primaries drive it with
// different logs; there is no other copy.
using System.Diagnostics;
using Emu86.Cpu;
using Emu86.Devices;

namespace Emu86.Ft.Run;

/// <summary>What is told of everything that has to be known to repeat the execution. Called on the emulation thread.</summary>
public interface IRunLog
{
    /// <summary>An input is about to take effect.</summary>
    void Input(Position at, InputEvent input);

    /// <summary>The host could not do a request of a disk in what was executed after <paramref name="at"/>; the guest has seen the drive's error.
    /// A log needs <see cref="DiskFailure.AsInput"/> as the last input of that position.</summary>
    void DiskFailed(Position at, DiskFailure failure);

    /// <summary>Whether a state hash is wanted now.</summary>
    bool WantsHash(Position at);

    void Hash(Position at, UInt128 hash);

    /// <summary>A slice ended: the log is complete up to here. May block to slow the guest.</summary>
    void Boundary(Position at, bool idle);
}

/// <summary>What besides inputs decides how a machine runs live: a primary's protocol. Called on the emulation thread.</summary>
public interface IRunGovernor
{
    /// <summary>Longest time between two calls of <see cref="Turn"/>; slices and waits are kept this short.</summary>
    TimeSpan TurnEvery { get; }

    /// <summary>Does what is due between two slices.</summary>
    void Turn();

    /// <summary>False: no slice is run for now.</summary>
    bool MayRun { get; }

    /// <summary>Permille of full speed.</summary>
    int Speed { get; }

    /// <summary>The asked count is reached and the guest stands there; called every turn until the run is stopped.</summary>
    void StopReached();
}

/// <summary>What to run for.</summary>
/// <param name="Slice">Longest run between host checks, in instructions.</param>
/// <param name="StopAt">Ends the run at this count; <see cref="ulong.MaxValue"/>: never.</param>
/// <param name="FixedClock">The rate never changes.</param>
/// <param name="Paced">Halted time passes as wall time does; otherwise it is skipped at once.</param>
public sealed record LiveSettings(ulong Slice, ulong StopAt, bool FixedClock, bool Paced)
{
    /// <summary>The host's date at virtual time 0, in nanoseconds since 1970: a guest that is less than ten seconds from it is
    /// brought back to it (the time between power-on and the first slice, a failover). Null: its time goes on from where it is.</summary>
    public Int128? PowerOnUnixNs { get; init; }
}

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
/// <param name="machine">Runs on the thread that calls <see cref="Run"/>.</param>
/// <param name="inputs">From where inputs come.</param>
/// <param name="settings">What to run for.</param>
/// <param name="log">Told of everything needed for a repetition; null: nobody.</param>
/// <param name="governor">Decides about speed and the end: with one, a guest that is off does not end the run, <see cref="Stop"/> does.</param>
public sealed class LiveLoop(Machine machine, InputQueue inputs, LiveSettings settings, IRunLog? log, IRunGovernor? governor = null)
{
    // About how long a slice takes: inputs, outputs and acknowledgements wait for its end.
    private const double SliceSeconds = 0.0005;
    private const ulong SliceMin = 500;

    /// <summary>Halted time that is skipped at once when nothing paces the guest; then signals are looked at.</summary>
    private const ulong SkipNs = 1_000_000_000;

    /// <summary>How long an input may wait for room in its device.</summary>
    private static readonly TimeSpan FullMax = TimeSpan.FromMilliseconds(100);

    private readonly Pacer _pacer = new();
    private readonly SpeedLimit _limit = new(Stopwatch.Frequency / 500);
    private volatile bool _asked;
    private ulong _slice = ulong.Min(settings.Slice, 10_000);
    private long _fullSince;

    /// <summary>Told of time that was given up.</summary>
    public Action<TimeSpan>? DebtDropped
    {
        set => _pacer.DebtDropped = value;
    }

    /// <summary>Counts at which something happens between slices (snapshots), ascending.</summary>
    public SortedList<ulong, Action> At { get; } = [];

    /// <summary>Called between slices, and while paused; should be quick.</summary>
    public Action? EachTurn { get; set; }

    /// <summary>Called where failures of disks are told: what shared disks have read stands in the log at the same places.</summary>
    public Action? DisksRead { private get; set; }

    /// <summary>How long the guest has waited for a disk that failed since this was asked last, in Stopwatch ticks: that time says nothing
    /// about its speed.</summary>
    public Func<long>? Waited { private get; set; }

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
        _pacer.Anchor(machine.Position.VirtualTimeNs, OwedNs());
        bool isOver = false;
        while (true)
        {
            inputs.RunActions();
            governor?.Turn();
            EachTurn?.Invoke();
            if (_asked) return LiveEnd.Asked;
            if (Paused)
            {
                inputs.Wait(Shorter(TimeSpan.FromMilliseconds(100)));
                _pacer.Anchor(machine.Position.VirtualTimeNs);
                continue;
            }
            bool mayRun = !isOver && governor is not { MayRun: false };
            if (!mayRun)
            {
                inputs.WaitForAction(Shorter(TimeSpan.FromMilliseconds(100)));
                continue;
            }
            if (_limit.Due is > 0 and var rest)
            {
                Rest(rest);
                continue;
            }
            Position now = machine.Position;
            if (machine.WaitsForDisk)
            {
                // What its writes wait for goes on: the log is told up to here, and asked again.
                log?.Boundary(now, machine.IsHalted);
                inputs.WaitForAction(Shorter(TimeSpan.FromMilliseconds(100)));
                continue;
            }
            while (At.Count > 0 && At.GetKeyAtIndex(0) <= now.Count)
            {
                Action due = At.GetValueAtIndex(0);
                At.RemoveAt(0);
                due();
            }
            if (now.Count >= settings.StopAt)
            {
                if (governor is null) return LiveEnd.StopReached;
                governor.StopReached();
                inputs.WaitForAction(Shorter(TimeSpan.FromMilliseconds(100)));
                continue;
            }
            now = TakeInputs(now);
            if (machine.WaitsForDisk) continue;
            if (!settings.FixedClock && _pacer.Adjust(now.VirtualTimeNs, machine.ClockRate) is { } rate) Inject(now, InputEvent.RateChange(rate));
            if (log is not null && log.WantsHash(now))
            {
                Settle(now);
                log.Hash(now, machine.StateHash());
            }

            StopReason reason = Slice(now);
            log?.Boundary(machine.Position, reason == StopReason.Idle);
            switch (reason)
            {
                case StopReason.PoweredOff when governor is null: return LiveEnd.PoweredOff;
                case StopReason.Ended when governor is null: return LiveEnd.Ended;
                case StopReason.PoweredOff or StopReason.Ended: isOver = true; break;
                case StopReason.Idle:
                    if (!settings.Paced)
                    {
                        if (inputs.IsEmpty && (machine.IsDeaf || machine.NextEventNs == ulong.MaxValue)) return LiveEnd.Dead;
                        break;
                    }
                    if (settings.Paced && machine.NextEventNs == ulong.MaxValue && settings.StopAt != ulong.MaxValue && machine.IsDeaf) return LiveEnd.Dead;
                    Idle();
                    break;
            }
        }
    }

    private void Rest(long ticks)
    {
        long start = Stopwatch.GetTimestamp();
        inputs.WaitForAction(Shorter(Stopwatch.GetElapsedTime(0, ticks)));
        _limit.Rested(Stopwatch.GetTimestamp() - start);
    }

    private double OwedNs()
    {
        if (settings.PowerOnUnixNs is not { } start) return 0;
        Int128 owed = (Int128)(DateTime.UtcNow - DateTime.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick - start - machine.Position.VirtualTimeNs;
        // Further away it is not wall time that the guest was started with, or time was given up before.
        return owed > Pacer.DebtMaxNs || owed < -Pacer.DebtMaxNs ? 0 : (double)owed;
    }

    // Halted: nothing is executed until an event is due or an input comes; only the governor goes on.
    private void Idle()
    {
        while (true)
        {
            TimeSpan wait = _pacer.Until(machine.NextEventNs);
            if (wait > TimeSpan.FromSeconds(1)) wait = TimeSpan.FromSeconds(1);
            inputs.Wait(Shorter(wait));
            if (governor is null || inputs.HasInput || _asked || Paused || wait <= governor.TurnEvery) return;
            inputs.RunActions();
            governor.Turn();
            if (!governor.MayRun) return;
        }
    }

    private TimeSpan Shorter(TimeSpan wait) => governor is null || wait < governor.TurnEvery ? wait : governor.TurnEvery;

    private StopReason Slice(Position now)
    {
        ulong limit = ulong.Min(now.Count + _slice, settings.StopAt);
        if (At.Count > 0) limit = ulong.Min(limit, At.GetKeyAtIndex(0));
        long start = Stopwatch.GetTimestamp();
        StopReason reason = machine.RunUntil(new Position(limit, 0), settings.Paced ? _pacer.IdleLimitNs(now.VirtualTimeNs) : now.VirtualTimeNs + SkipNs);
        long took = long.Max(0, Stopwatch.GetTimestamp() - start - (Waited?.Invoke() ?? 0));
        // An engine that cannot be stopped where it was asked to could not be repeated.
        Check.That(reason != StopReason.Unreachable);
        TellFailures(now);
        ulong instructions = machine.Position.Count - now.Count;
        Busy = (Busy.Ticks + took, Busy.Instructions + instructions);
        Adapt(instructions, took);
        // The time spent resting counts as if the instructions had taken it.
        if (governor is not null) took = _limit.Ran(took, governor.Speed);
        // A slice that halted early says little about speed, but nearly all of its time was execution.
        _pacer.Ran(instructions, took);
        return reason;
    }

    private void Adapt(ulong instructions, long ticks)
    {
        if (instructions < SliceMin / 2 || ticks <= 0) return;
        double fitting = instructions * (SliceSeconds * Stopwatch.Frequency / ticks);
        // Down at once, up slowly: one slow slice (a page of zeros copied, a thread scheduled away) is soon forgotten.
        double next = fitting < _slice ? (_slice + fitting) / 2 : _slice + (fitting - _slice) / 8;
        _slice = ulong.Clamp((ulong)next, ulong.Min(SliceMin, settings.Slice), settings.Slice);
    }

    private Position TakeInputs(Position now)
    {
        // Halted time passed while nobody looked: an input takes effect at the present, not where the guest halted.
        if (settings.Paced && inputs.HasInput && machine.IsHalted)
        {
            ulong target = _pacer.IdleLimitNs(now.VirtualTimeNs);
            if (target > now.VirtualTimeNs) machine.RunUntil(new Position(now.Count, target), target);
            TellFailures(now);
            log?.Boundary(machine.Position, false);
            now = machine.Position;
            if (machine.WaitsForDisk) return now;
        }
        while (inputs.TryPeek(out InputEvent input))
        {
            // A full device keeps the queue waiting, as flow control would; one that stays full loses the input.
            if (!machine.HasRoomFor(input) && (_fullSince == 0 || Stopwatch.GetElapsedTime(_fullSince) < FullMax))
            {
                if (_fullSince == 0) _fullSince = Stopwatch.GetTimestamp();
                inputs.Held = true;
                return now;
            }
            _fullSince = 0;
            inputs.Take();
            Inject(now, input);
        }
        inputs.Held = false;
        return now;
    }

    private void Inject(Position at, InputEvent input)
    {
        Settle(at);
        log?.Input(at, input);
        machine.Inject(input);
    }

    // Before something is logged at a position: a failure in the events that are due there stands before it.
    private void Settle(Position at)
    {
        machine.Settle();
        TellFailures(at);
    }

    private void TellFailures(Position at)
    {
        DisksRead?.Invoke();
        foreach (DiskFailure failure in machine.TakeDiskFailures()) log?.DiskFailed(at, failure);
    }
}
