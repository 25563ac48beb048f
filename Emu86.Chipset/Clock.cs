// Virtual time: a linear function of the instruction count plus the time skipped while halted (docs/determinism.md).
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

/// <summary>Where the clock takes the instruction count from.</summary>
public interface IInstructionCounter
{
    /// <summary>Instructions retired since power-on, exact also inside an instruction (the boundary before it).</summary>
    ulong InstructionCount { get; }
}

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct ClockState
{
    /// <summary>Nanoseconds per instruction, 32.32 fixed point.</summary>
    public ulong Rate;

    /// <summary>The boundary from which time is extrapolated.</summary>
    public ulong AnchorCount;

    public ulong AnchorNs;

    /// <summary>What of a nanosecond had passed at the anchor, in units of 2^-32 ns.</summary>
    public uint AnchorFraction;
}

/// <summary>Turns instruction counts into virtual nanoseconds and back. Integers only.</summary>
public sealed class Clock(IInstructionCounter counter) : IStateful
{
    /// <summary>1 GHz / 100 MIPS: what a run starts with and what a fixed clock keeps.</summary>
    public const ulong DefaultRate = 10UL << 32;

    private ClockState _state = new() { Rate = DefaultRate };

    public string StateName => "clock";

    public int StateVersion => 1;

    /// <summary>Virtual nanoseconds since power-on at the current instruction.</summary>
    public ulong NowNs => At(counter.InstructionCount);

    /// <summary>Nanoseconds per instruction, 32.32 fixed point. Setting it keeps virtual time continuous.</summary>
    public ulong Rate
    {
        get => _state.Rate;
        set
        {
            Check.That(value > 0);
            UInt128 now = Exact(counter.InstructionCount);
            _state = new() { Rate = value, AnchorCount = counter.InstructionCount, AnchorNs = (ulong)(now >> 32), AnchorFraction = (uint)now };
        }
    }

    /// <summary>Virtual nanoseconds at a boundary (not before the anchor).</summary>
    public ulong At(ulong count) => (ulong)(Exact(count) >> 32);

    /// <summary>The first instruction count at which virtual time is at least <paramref name="ns"/>.</summary>
    public ulong CountAt(ulong ns)
    {
        UInt128 wanted = (UInt128)ns << 32;
        UInt128 anchor = ((UInt128)_state.AnchorNs << 32) | _state.AnchorFraction;
        if (wanted <= anchor) return _state.AnchorCount;
        UInt128 steps = (wanted - anchor + _state.Rate - 1) / _state.Rate;
        UInt128 count = steps + _state.AnchorCount;
        return count > ulong.MaxValue ? ulong.MaxValue : (ulong)count;
    }

    /// <summary>While the processor is halted: moves virtual time to <paramref name="ns"/>, which is not in the past.</summary>
    public void SkipTo(ulong ns)
    {
        Check.That(ns >= NowNs);
        _state.AnchorCount = counter.InstructionCount;
        _state.AnchorNs = ns;
        _state.AnchorFraction = 0;
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<ClockState>();

    private UInt128 Exact(ulong count)
    {
        Check.That(count >= _state.AnchorCount);
        return (((UInt128)_state.AnchorNs << 32) | _state.AnchorFraction) + (UInt128)(count - _state.AnchorCount) * _state.Rate;
    }
}
