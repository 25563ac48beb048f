// What chip tests share: a counter for the clock (1 ns per instruction), and interrupt lines.
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Tests.Chipset;

/// <summary>Virtual time that a test moves by hand: the instruction count is the nanosecond.</summary>
internal sealed class TestTime : IInstructionCounter
{
    public TestTime()
    {
        Clock = new Clock(this) { Rate = 1UL << 32 };
        Events = new EventQueue();
    }

    public ulong InstructionCount { get; private set; }

    public Clock Clock { get; }

    public EventQueue Events { get; }

    public ulong NowNs => Clock.NowNs;

    /// <summary>Moves on, stopping at every event on the way.</summary>
    public void AdvanceTo(ulong ns)
    {
        while (Events.NextDueNs <= ns)
        {
            if (Events.NextDueNs > InstructionCount) InstructionCount = Events.NextDueNs;
            Events.FireDue(InstructionCount);
        }
        InstructionCount = ns;
    }

    public void Advance(ulong ns) => AdvanceTo(InstructionCount + ns);
}

/// <summary>Remembers levels and counts rising edges.</summary>
internal sealed class TestLines : IIrqSink
{
    public bool[] Level { get; } = new bool[256];

    public int[] Rises { get; } = new int[256];

    public void SetInput(int input, bool level)
    {
        if (level && !Level[input]) Rises[input]++;
        Level[input] = level;
    }

    public IrqLine Line(int input) => new(this, input);
}
