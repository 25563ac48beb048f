// The 8254 programmable interval timer: Intel 8254 datasheet (order 231164). Counters are functions of virtual time:
// nothing ticks, a counting element is a start tick and a start value.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct PitChannelState
{
    /// <summary>0 to 5; control words 6 and 7 mean 2 and 3.</summary>
    public byte Mode;

    /// <summary>1: low byte, 2: high byte, 3: low then high.</summary>
    public byte Access;

    public bool Bcd, Gate, NullCount, WriteHigh, ReadHigh;

    /// <summary>A count was written since the control word.</summary>
    public bool HasCount;

    /// <summary>The counting element was loaded since the control word.</summary>
    public bool Loaded;

    /// <summary>Counting is suspended by the gate; <see cref="FrozenElapsed"/> ticks have passed.</summary>
    public bool Frozen;

    /// <summary>At <see cref="LoadTick"/> the counting element takes over the count register.</summary>
    public bool LoadPending;

    /// <summary>Mode 3: whether the half period that begins with the pending or the last load is the high one.</summary>
    public bool LoadHigh, StartHigh;

    public bool CountLatched, StatusLatched;
    public byte LatchedStatus, WrittenLow;
    public ushort LatchedCount;

    /// <summary>The count register, 1 to 65536 (1 to 16666 in BCD).</summary>
    public uint Reload;

    /// <summary>What the counting element counts from since <see cref="StartTick"/>.</summary>
    public uint Start;

    public ulong StartTick, LoadTick, FrozenElapsed;
}

[InlineArray(3)]
public struct PitChannelStates
{
    private PitChannelState _first;
}

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Pit8254State
{
    public PitChannelStates Channels;

    /// <summary>The tick of the scheduled output edge of channel 0.</summary>
    public ulong EdgeTick;
}

/// <summary>Four ports (40h). Channel 0 drives an interrupt line; the gate of channel 2 and its output are the
/// system control port's.</summary>
public sealed class Pit8254 : IPortDevice, IStateful
{
    /// <summary>Input clock of all channels.</summary>
    public const ulong FrequencyHz = 1_193_182;

    private const ulong NsPerSecond = 1_000_000_000;

    private readonly Clock _clock;
    private readonly IrqLine _irq0;
    private readonly ScheduledEvent _edge;
    private Pit8254State _state;

    public Pit8254(Clock clock, EventQueue events, IrqLine irq0)
    {
        _clock = clock;
        _irq0 = irq0;
        _edge = events.Register("pit-channel-0", OnEdge);
        Reset();
    }

    public string StateName => "pit";

    public int StateVersion => 1;

    /// <summary>Clock ticks since power-on.</summary>
    public ulong NowTick => (ulong)((UInt128)_clock.NowNs * FrequencyHz / NsPerSecond);

    /// <summary>The OUT pin of a channel now.</summary>
    public bool Output(int channel)
    {
        ulong now = NowTick;
        return OutputAt(Sync(channel, now), now);
    }

    /// <summary>The GATE pin of channel 2 (the others are tied high).</summary>
    public bool Gate2
    {
        get => _state.Channels[2].Gate;
        set => SetGate(2, value);
    }

    /// <summary>The GATE pin of any channel; on a PC only channel 2 has one that moves.</summary>
    public void SetGate(int channel, bool level)
    {
        ulong now = NowTick;
        ref PitChannelState c = ref Sync(channel, now);
        if (level == c.Gate) return;
        c.Gate = level;
        switch (c.Mode)
        {
            case 0 or 4:
                if (level) Thaw(ref c, now);
                else Freeze(ref c, now);
                break;
            case 1 or 5:
                if (level && c.HasCount) ScheduleLoad(ref c, now + 1, high: true);
                break;
            default:
                if (level && c.HasCount)
                {
                    ScheduleLoad(ref c, now + 1, high: true);
                }
                else if (!level)
                {
                    Freeze(ref c, now);
                    c.LoadPending = false;
                }
                break;
        }
        if (channel == 0) FollowOutput(now);
    }

    public uint ReadPort(int offset, int size)
    {
        // The control word register cannot be read; the bus floats.
        if (offset == 3) return 0xff;
        ulong now = NowTick;
        ref PitChannelState c = ref Sync(offset, now);
        if (c.StatusLatched)
        {
            c.StatusLatched = false;
            return c.LatchedStatus;
        }
        ushort count = c.CountLatched ? c.LatchedCount : CountAt(c, now);
        bool high = c.Access == 2 || (c.Access == 3 && c.ReadHigh);
        if (c.Access == 3) c.ReadHigh = !c.ReadHigh;
        if (c.Access != 3 || high) c.CountLatched = false;
        return (uint)(high ? count >> 8 : count & 0xff);
    }

    public void WritePort(int offset, int size, uint value)
    {
        ulong now = NowTick;
        if (offset == 3) WriteControl((byte)value, now);
        else WriteCount(ref Sync(offset, now), (byte)value, now);
        if (offset == 0 || (offset == 3 && value >> 6 == 0)) FollowOutput(now);
    }

    /// <summary>The power-on state: the datasheet leaves it undefined; all channels stand still with OUT high.</summary>
    public void Reset()
    {
        _state = default;
        for (int i = 0; i < 3; i++) _state.Channels[i] = new() { Mode = 3, Access = 3, Gate = i != 2, Reload = 0x10000, Start = 0x10000, NullCount = true };
        _edge.Cancel();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<Pit8254State>();

    private static ulong NsOfTick(ulong tick) => (ulong)(((UInt128)tick * NsPerSecond + FrequencyHz - 1) / FrequencyHz);

    private static uint Modulus(in PitChannelState c) => c.Bcd ? 10_000u : 0x10000u;

    private static ulong Elapsed(in PitChannelState c, ulong now) => c.Frozen ? c.FrozenElapsed : now - c.StartTick;

    /// <summary>Clocks of the high half of a square wave.</summary>
    private static ulong HighHalf(in PitChannelState c) => (c.Start + 1) / 2;

    /// <summary>Mode 3: position in a period that begins with the high half.</summary>
    private static ulong SquarePosition(in PitChannelState c, ulong elapsed) => (elapsed + (c.StartHigh ? 0 : HighHalf(c))) % c.Start;

    /// <summary>Brings a channel up to <paramref name="now"/>: a pending load may have happened meanwhile.</summary>
    private ref PitChannelState Sync(int channel, ulong now)
    {
        ref PitChannelState c = ref _state.Channels[channel];
        if (!c.LoadPending || c.LoadTick > now) return ref c;
        c.LoadPending = false;
        c.NullCount = false;
        c.Loaded = true;
        c.Start = c.Reload;
        c.StartTick = c.LoadTick;
        c.StartHigh = c.LoadHigh;
        c.FrozenElapsed = 0;
        c.Frozen = !c.Gate && c.Mode is not (1 or 5);
        return ref c;
    }

    private static void ScheduleLoad(ref PitChannelState c, ulong tick, bool high)
    {
        c.LoadPending = true;
        c.LoadTick = tick;
        c.LoadHigh = high;
    }

    private static void Freeze(ref PitChannelState c, ulong now)
    {
        if (!c.Loaded || c.Frozen) return;
        c.FrozenElapsed = now - c.StartTick;
        c.Frozen = true;
    }

    private static void Thaw(ref PitChannelState c, ulong now)
    {
        if (!c.Frozen) return;
        c.StartTick = now - c.FrozenElapsed;
        c.Frozen = false;
    }

    private static bool OutputAt(in PitChannelState c, ulong now)
    {
        if (!c.Loaded) return c.Mode != 0;
        ulong elapsed = Elapsed(c, now);
        return c.Mode switch
        {
            0 => elapsed >= c.Start,
            1 => elapsed >= c.Start,
            2 => !c.Gate || elapsed % c.Start != c.Start - 1,
            3 => !c.Gate || SquarePosition(c, elapsed) < HighHalf(c),
            _ => elapsed != c.Start,
        };
    }

    /// <summary>The counting element, as it reads (BCD if so programmed).</summary>
    private static ushort CountAt(in PitChannelState c, ulong now)
    {
        ulong elapsed = c.Loaded ? Elapsed(c, now) : c.FrozenElapsed;
        uint modulus = Modulus(c);
        uint value;
        switch (c.Mode)
        {
            case 2:
                value = c.Start - (uint)(elapsed % c.Start);
                break;
            case 3:
                ulong position = SquarePosition(c, elapsed);
                ulong inHalf = position < HighHalf(c) ? position : position - HighHalf(c);
                value = (c.Start & ~1u) - 2 * (uint)inHalf;
                break;
            default:
                value = (uint)((c.Start + (ulong)modulus - elapsed % modulus) % modulus);
                break;
        }
        value %= modulus;
        if (!c.Bcd) return (ushort)value;
        return (ushort)(value % 10 | (value / 10 % 10) << 4 | (value / 100 % 10) << 8 | (value / 1000) << 12);
    }

    private void WriteControl(byte value, ulong now)
    {
        int select = value >> 6;
        if (select == 3)
        {
            for (int i = 0; i < 3; i++)
            {
                if ((value & (2 << i)) == 0) continue;
                if ((value & 0x20) == 0) LatchCount(i, now);
                if ((value & 0x10) == 0) LatchStatus(i, now);
            }
            return;
        }
        int access = (value >> 4) & 3;
        if (access == 0)
        {
            LatchCount(select, now);
            return;
        }
        ref PitChannelState c = ref Sync(select, now);
        int mode = (value >> 1) & 7;
        // The counting element keeps its value until the count is written and loaded.
        ulong elapsed = c.Loaded ? Elapsed(c, now) : c.FrozenElapsed;
        c = new PitChannelState
        {
            Mode = (byte)(mode > 5 ? mode - 4 : mode),
            Access = (byte)access,
            Bcd = (value & 1) != 0,
            Gate = c.Gate,
            NullCount = true,
            Reload = c.Reload,
            Start = c.Start,
            StartHigh = true,
            FrozenElapsed = elapsed,
        };
    }

    private void LatchCount(int channel, ulong now)
    {
        ref PitChannelState c = ref Sync(channel, now);
        // A latched count is held until it is read, whatever is latched meanwhile.
        if (c.CountLatched) return;
        c.CountLatched = true;
        c.LatchedCount = CountAt(c, now);
    }

    private void LatchStatus(int channel, ulong now)
    {
        ref PitChannelState c = ref Sync(channel, now);
        if (c.StatusLatched) return;
        c.StatusLatched = true;
        int pins = (OutputAt(c, now) ? 0x80 : 0) | (c.NullCount ? 0x40 : 0);
        c.LatchedStatus = (byte)(pins | c.Access << 4 | c.Mode << 1 | (c.Bcd ? 1 : 0));
    }

    private static void WriteCount(ref PitChannelState c, byte value, ulong now)
    {
        if (c.Access == 3 && !c.WriteHigh)
        {
            c.WrittenLow = value;
            c.WriteHigh = true;
            if (c.Mode == 0)
            {
                // The first of two bytes stops counting; OUT goes low at once.
                c.FrozenElapsed = c.Loaded ? Elapsed(c, now) : c.FrozenElapsed;
                c.Loaded = c.Frozen = c.LoadPending = false;
            }
            return;
        }
        int written = c.Access switch { 1 => value, 2 => value << 8, _ => c.WrittenLow | value << 8 };
        c.WriteHigh = false;
        int count = c.Bcd ? (written & 15) + (written >> 4 & 15) * 10 + (written >> 8 & 15) * 100 + (written >> 12) * 1000 : written;
        c.Reload = count == 0 ? Modulus(c) : (uint)count;
        bool first = !c.HasCount;
        c.HasCount = true;
        c.NullCount = true;
        switch (c.Mode)
        {
            case 0 or 4:
                ScheduleLoad(ref c, now + 1, high: true);
                break;
            case 2 or 3 when first || !c.Loaded:
                // A low gate keeps the counter from starting; its rise loads it.
                if (c.Gate) ScheduleLoad(ref c, now + 1, high: true);
                break;
            case 2 or 3 when !c.Frozen && !c.LoadPending:
                // The new count waits for the end of the period (mode 3: half period) that is running.
                ulong remaining = NextEdgeOfPeriod(c, now) - now;
                ScheduleLoad(ref c, now + remaining, c.Mode == 2 || !OutputAt(c, now));
                break;
        }
    }

    /// <summary>Modes 2 and 3: the tick at which the counting element is reloaded next.</summary>
    private static ulong NextEdgeOfPeriod(in PitChannelState c, ulong now)
    {
        ulong elapsed = now - c.StartTick;
        if (c.Mode == 2) return now + c.Start - elapsed % c.Start;
        ulong position = SquarePosition(c, elapsed);
        return now + (position < HighHalf(c) ? HighHalf(c) : c.Start) - position;
    }

    /// <summary>The tick after <paramref name="now"/> at which OUT may change; null when it stays as it is.</summary>
    private static ulong? NextEdge(in PitChannelState c, ulong now)
    {
        ulong? next = c.LoadPending ? c.LoadTick : null;
        if (!c.Loaded || c.Frozen) return next;
        ulong elapsed = now - c.StartTick;
        ulong? natural = c.Mode switch
        {
            0 or 1 => elapsed < c.Start ? c.StartTick + c.Start : null,
            2 when c.Start < 2 => null,
            2 => now + (elapsed % c.Start < c.Start - 1 ? c.Start - 1 - elapsed % c.Start : 1),
            3 when c.Start < 2 => null,
            3 => NextEdgeOfPeriod(c, now),
            _ => elapsed < c.Start ? c.StartTick + c.Start : elapsed == c.Start ? now + 1 : null,
        };
        return next is { } load && (natural is null || load < natural) ? load : natural;
    }

    private void OnEdge() => FollowOutput(_state.EdgeTick);

    /// <summary>Puts channel 0's OUT on the wire and schedules its next edge.</summary>
    private void FollowOutput(ulong tick)
    {
        ref PitChannelState c = ref Sync(0, tick);
        _irq0.Set(OutputAt(c, tick));
        if (NextEdge(c, tick) is { } next)
        {
            _state.EdgeTick = next;
            _edge.At(NsOfTick(next));
        }
        else
        {
            _edge.Cancel();
        }
    }
}
