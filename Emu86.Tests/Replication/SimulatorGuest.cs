// A guest for the simulator: its whole history is in one number, and every output shows that number.
using Emu86.Devices;

namespace Emu86.Tests.Replication;

/// <summary>What a simulated guest does besides computing.</summary>
[Flags]
internal enum SimulatorHabits
{
    None = 0,

    /// <summary>Halts for long until an input or its timer wakes it.</summary>
    Idles = 1,

    /// <summary>Sends twenty outputs at once, now and then.</summary>
    Bursts = 2,

    /// <summary>Writes to a shared disk.</summary>
    WritesDisk = 4,

    /// <summary>Switches itself off in the middle of the run.</summary>
    PowersOff = 8,
}

/// <summary>Deterministic in (start, inputs and their positions). Two executions that differ anywhere differ in every later output.</summary>
internal sealed class SimulatorGuest(SimulatorHabits habits = SimulatorHabits.None, ulong powersOffAt = ulong.MaxValue)
{
    /// <summary>Instructions between two points at which something can happen.</summary>
    public const ulong StepCount = 8;

    public const ulong NsPerInstruction = 10;

    private const int BurstOutputs = 20;
    private const ulong HaltNs = 1_000;

    private bool _echo;
    private ulong _idleNs;
    private ulong _haltedUntilNs;

    public ulong Count { get; private set; }

    public ulong History { get; private set; } = 1;

    public bool IsOver { get; private set; }

    public bool IsHalted => _haltedUntilNs > TimeNs;

    public Position Position => new(Count, TimeNs);

    public UInt128 StateHash => new(Count ^ (_idleNs << 32), History ^ Mix(_haltedUntilNs) ^ (_echo ? 1ul << 63 : 0) ^ (IsOver ? 1ul << 62 : 0));

    private ulong TimeNs => Count * NsPerInstruction + _idleNs;

    /// <summary>Runs for a while of virtual time, which also passes while halted; outputs are appended.</summary>
    public void RunFor(ulong ns, List<Output> outputs)
    {
        ulong end = TimeNs + ns;
        while (TimeNs < end && !IsOver)
        {
            if (IsHalted) _idleNs += Math.Min(_haltedUntilNs, end) - TimeNs;
            else Execute(Count + (end - TimeNs + NsPerInstruction - 1) / NsPerInstruction, outputs);
        }
    }

    /// <summary>Runs to a position of an earlier execution; outputs are appended. False when this one does not come by there.</summary>
    public bool RunTo(Position target, List<Output> outputs)
    {
        while (Position < target && !IsOver)
        {
            if (IsHalted) _idleNs += (Count < target.Count ? _haltedUntilNs : Math.Min(_haltedUntilNs, target.VirtualTimeNs)) - TimeNs;
            else if (Count < target.Count) Execute(target.Count, outputs);
            else break;
        }
        return Position == target;
    }

    public void Inject(InputEvent input)
    {
        History = Mix(History ^ input.Value0 ^ ((ulong)input.Kind << 40) ^ ((ulong)input.Data.Length << 48) ^ TimeNs);
        _haltedUntilNs = 0;
        _echo = true;
    }

    /// <summary>A bit of memory flips.</summary>
    public void Damage() => History ^= 1ul << 40;

    public SimulatorGuest Clone() => (SimulatorGuest)MemberwiseClone();

    public static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }

    // To the next point at which something can happen, or to the limit before it.
    private void Execute(ulong limit, List<Output> outputs)
    {
        Count = Math.Min(limit, (Count / StepCount + 1) * StepCount);
        if (Count % StepCount != 0) return;
        if (_echo || History % 8 == 0) Put(OutputKind.Frame, History, outputs);
        _echo = false;
        if ((habits & SimulatorHabits.WritesDisk) != 0 && History % 16 == 7) Put(OutputKind.DiskWrite, History, outputs);
        if ((habits & SimulatorHabits.Bursts) != 0 && History % 64 == 9)
        {
            for (ulong i = 0; i < BurstOutputs; i++) Put(OutputKind.SerialByte, Mix(History + i), outputs);
        }
        if ((habits & SimulatorHabits.Idles) != 0 && History % 8 == 3) _haltedUntilNs = TimeNs + HaltNs * (1 + History / 8 % 10);
        History = Mix(History + Count);
        if (Count < powersOffAt) return;
        IsOver = true;
        Put(OutputKind.PowerOff, History, outputs);
    }

    private void Put(OutputKind kind, ulong value, List<Output> outputs) => outputs.Add(new(kind, Position, 0, value, default));
}

/// <summary>The simulator's only source of chance.</summary>
internal struct SimulatorChance(ulong seed)
{
    private ulong _state = SimulatorGuest.Mix(seed);

    public ulong Next() => SimulatorGuest.Mix(_state++);

    /// <summary>Even in [from, to).</summary>
    public long Between(long from, long to) => from + (long)(((UInt128)Next() * (ulong)(to - from)) >> 64);

    public bool OneIn(int n) => Between(0, n) == 0;
}
