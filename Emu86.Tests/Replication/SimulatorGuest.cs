// A guest for the simulator: its whole history is in one number, and every output shows that number.
using Emu86.Devices;

namespace Emu86.Tests.Replication;

/// <summary>Deterministic in (start, inputs and their positions). Two executions that differ anywhere differ in every later output.</summary>
internal sealed class SimulatorGuest
{
    /// <summary>Instructions between two points at which something can happen.</summary>
    public const ulong StepCount = 8;

    private bool _echo;

    public ulong Count { get; private set; }

    public ulong History { get; private set; } = 1;

    public Position Position => new(Count, Count * 10);

    public UInt128 StateHash => new(Count, History ^ (_echo ? 1ul << 63 : 0));

    /// <summary>Runs to a count; outputs are appended.</summary>
    public void RunTo(ulong count, List<Output> outputs)
    {
        while (Count < count)
        {
            ulong next = Math.Min(count, (Count / StepCount + 1) * StepCount);
            Count = next;
            if (next % StepCount != 0) continue;
            if (_echo || History % 8 == 0) outputs.Add(new(OutputKind.Frame, Position, 0, History, default));
            _echo = false;
            History = Mix(History + next);
        }
    }

    public void Inject(InputEvent input)
    {
        History = Mix(History ^ input.Value0 ^ Count);
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
