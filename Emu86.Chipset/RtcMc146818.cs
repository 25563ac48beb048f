// The real-time clock and CMOS RAM: Motorola MC146818A datasheet, with the 128 bytes and the century byte of a PC.
using System.Runtime.InteropServices;
using Emu86.Cpu;

namespace Emu86.Chipset;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct RtcState
{
    /// <summary>Registers 0 to 0Dh and the battery-backed RAM.</summary>
    public fixed byte Cells[128];

    /// <summary>Port 70h: the selected byte, and bit 7, which masks NMI.</summary>
    public byte Index;

    /// <summary>Register C without IRQF: PF, AF, UF.</summary>
    public byte Flags;

    /// <summary>Virtual time of the next update; meaningful while the divider runs.</summary>
    public ulong NextUpdateNs;

    /// <summary>Virtual time at which the divider chain was zero.</summary>
    public ulong DividerOriginNs;

    /// <summary>The periodic interval up to which PF has been accounted for.</summary>
    public ulong PeriodsSeen;
}

/// <summary>Two ports (70h). Time runs with virtual time from the given start.</summary>
public sealed unsafe class RtcMc146818 : IPortDevice, IStateful
{
    private const int Seconds = 0, Minutes = 2, Hours = 4, DayOfWeek = 6, Day = 7, Month = 8, Year = 9;
    private const int RegisterA = 10, RegisterB = 11, RegisterC = 12, RegisterD = 13, Century = 0x32;
    private const byte Set = 0x80, PeriodicEnable = 0x40, AlarmEnable = 0x20, UpdateEnable = 0x10, Binary = 4, Hours24 = 2;
    private const byte PeriodicFlag = 0x40, AlarmFlag = 0x20, UpdateFlag = 0x10;
    private const ulong NsPerSecond = 1_000_000_000;

    /// <summary>UIP rises 244 µs before the update cycle of 1984 µs (32,768 Hz time base).</summary>
    private const ulong UipNs = 244_000 + 1_984_000;

    private readonly Clock _clock;
    private readonly IrqLine _irq8;
    private readonly ScheduledEvent _update;
    private readonly ScheduledEvent _periodic;
    private RtcState _state;

    /// <param name="irq8">Active high here.</param>
    /// <param name="startUnixSeconds">Date and time at power-on: seconds since 1970-01-01 00:00.</param>
    /// <param name="startNs">What of the next second had passed then, in nanoseconds: below 10^9. The battery-backed chip has
    /// counted since long before power-on, so its divider stands in the middle of a second.</param>
    public RtcMc146818(Clock clock, EventQueue events, IrqLine irq8, long startUnixSeconds, uint startNs = 0)
    {
        Check.That(startNs < NsPerSecond);
        _clock = clock;
        _irq8 = irq8;
        _update = events.Register("rtc-update", OnUpdate);
        _periodic = events.Register("rtc-periodic", OnPeriodic);
        _state.Cells[RegisterA] = 0x26;
        _state.Cells[RegisterB] = Hours24;
        _state.Cells[RegisterD] = 0x80;
        SetTime(startUnixSeconds);
        // Before power-on: the differences that are taken of it wrap around to what they should be.
        _state.DividerOriginNs = unchecked(0UL - startNs);
        _state.PeriodsSeen = Periods;
        _state.NextUpdateNs = NsPerSecond - startNs;
        _update.At(_state.NextUpdateNs);
    }

    public string StateName => "rtc";

    public int StateVersion => 1;

    /// <summary>Bit 7 of port 70h.</summary>
    public bool NmiMasked => (_state.Index & 0x80) != 0;

    /// <summary>Port 70h changed whether NMI is masked.</summary>
    public Action<bool>? NmiMaskChanged { get; set; }

    private bool DividerRuns => (_state.Cells[RegisterA] & 0x70) == 0x20;

    /// <summary>Sets date and time, in the format that register B asks for.</summary>
    public void SetTime(long unixSeconds)
    {
        Check.That(unixSeconds >= 0);
        RtcCalendar time = RtcCalendar.FromUnixSeconds(unixSeconds);
        Put(Seconds, time.Second);
        Put(Minutes, time.Minute);
        PutHour(time.Hour);
        Put(DayOfWeek, time.DayOfWeek);
        Put(Day, time.Day);
        Put(Month, time.Month);
        Put(Year, time.Year % 100);
        // The century is firmware's byte, always BCD.
        _state.Cells[Century] = ToBcd(time.Year / 100);
    }

    /// <summary>The board fills in CMOS RAM (0Eh to 7Fh) before power-on; firmware finds its settings there.</summary>
    public void SetCmos(int index, byte value)
    {
        Check.That(index is > RegisterD and < 128);
        _state.Cells[index] = value;
    }

    /// <summary>A byte as the guest would find it, without the side effects of reading.</summary>
    public byte PeekCmos(int index) => _state.Cells[index];

    public uint ReadPort(int offset, int size)
    {
        // The index register cannot be read back.
        if (offset == 0) return 0xff;
        int index = _state.Index & 0x7f;
        switch (index)
        {
            case RegisterA:
                return (uint)(_state.Cells[RegisterA] & 0x7f) | (UpdateInProgress ? 0x80u : 0);
            case RegisterC:
                AccountPeriods();
                byte flags = _state.Flags;
                bool irq = (flags & _state.Cells[RegisterB] & 0x70) != 0;
                _state.Flags = 0;
                FollowFlags();
                return flags | (irq ? 0x80u : 0);
            default:
                return _state.Cells[index];
        }
    }

    public void WritePort(int offset, int size, uint value)
    {
        if (offset == 0)
        {
            bool masked = NmiMasked;
            _state.Index = (byte)value;
            if (masked != NmiMasked) NmiMaskChanged?.Invoke(NmiMasked);
            return;
        }
        switch (_state.Index & 0x7f)
        {
            case RegisterA: WriteA((byte)value); break;
            case RegisterB: WriteB((byte)value); break;
            case RegisterC or RegisterD: break;
            // Bit 7 of the seconds cannot be written.
            case Seconds: _state.Cells[Seconds] = (byte)(value & 0x7f); break;
            case int index: _state.Cells[index] = (byte)value; break;
        }
    }

    /// <summary>The RESET pin: interrupts off, time and RAM untouched.</summary>
    public void Reset()
    {
        _state.Cells[RegisterB] &= unchecked((byte)~(PeriodicEnable | AlarmEnable | UpdateEnable | 8));
        _state.Flags = 0;
        _state.Index = 0;
        FollowFlags();
    }

    public void Save(ref StateWriter writer) => writer.Struct(_state);

    public void Load(ref StateReader reader) => _state = reader.Struct<RtcState>();

    private bool UpdateInProgress =>
        DividerRuns && (_state.Cells[RegisterB] & Set) == 0 && _clock.NowNs + UipNs >= _state.NextUpdateNs;

    private void WriteA(byte value)
    {
        AccountPeriods();
        bool ran = DividerRuns;
        _state.Cells[RegisterA] = (byte)(value & 0x7f);
        if (!ran && DividerRuns)
        {
            // The first update comes half a second after the divider is released from reset.
            _state.DividerOriginNs = _clock.NowNs;
            _state.NextUpdateNs = _clock.NowNs + NsPerSecond / 2;
            _update.At(_state.NextUpdateNs);
        }
        else if (!DividerRuns)
        {
            _update.Cancel();
        }
        _state.PeriodsSeen = Periods;
        FollowFlags();
    }

    private void WriteB(byte value)
    {
        AccountPeriods();
        // SET also clears the update-ended interrupt enable.
        if ((value & Set) != 0) value = (byte)(value & ~UpdateEnable);
        _state.Cells[RegisterB] = value;
        FollowFlags();
    }

    /// <summary>Length of a periodic interval in ticks of 32,768 Hz; 0 for none.</summary>
    private ulong PeriodTicks
    {
        get
        {
            int rate = _state.Cells[RegisterA] & 15;
            if (rate == 0 || !DividerRuns) return 0;
            // Rates 1 and 2 are the same as 8 and 9 with this time base.
            return 1UL << (rate <= 2 ? rate + 6 : rate - 1);
        }
    }

    /// <summary>Periodic intervals since the divider started.</summary>
    private ulong Periods
    {
        get
        {
            ulong period = PeriodTicks;
            if (period == 0) return 0;
            return (ulong)((UInt128)(_clock.NowNs - _state.DividerOriginNs) * 32768 / NsPerSecond) / period;
        }
    }

    private void AccountPeriods()
    {
        ulong periods = Periods;
        if (periods != _state.PeriodsSeen) _state.Flags |= PeriodicFlag;
        _state.PeriodsSeen = periods;
    }

    /// <summary>Drives the interrupt and schedules the next periodic one, if it could raise it.</summary>
    private void FollowFlags()
    {
        byte enables = _state.Cells[RegisterB];
        _irq8.Set((_state.Flags & enables & 0x70) != 0);
        ulong period = PeriodTicks;
        if (period == 0 || (enables & PeriodicEnable) == 0 || (_state.Flags & PeriodicFlag) != 0)
        {
            _periodic.Cancel();
            return;
        }
        UInt128 tick = (UInt128)(_state.PeriodsSeen + 1) * period;
        _periodic.At(_state.DividerOriginNs + (ulong)((tick * NsPerSecond + 32767) / 32768));
    }

    private void OnPeriodic()
    {
        AccountPeriods();
        FollowFlags();
    }

    private void OnUpdate()
    {
        _state.NextUpdateNs += NsPerSecond;
        _update.At(_state.NextUpdateNs);
        if ((_state.Cells[RegisterB] & Set) != 0) return;
        CountSecond();
        AccountPeriods();
        _state.Flags |= UpdateFlag;
        if (AlarmMatches(Seconds) && AlarmMatches(Minutes) && AlarmMatches(Hours)) _state.Flags |= AlarmFlag;
        FollowFlags();
    }

    /// <summary>An alarm byte follows its time byte; C0h to FFh match anything.</summary>
    private bool AlarmMatches(int register) => _state.Cells[register + 1] >= 0xc0 || _state.Cells[register + 1] == _state.Cells[register];

    private void CountSecond()
    {
        if (Carries(Seconds, 59, 0) || Carries(Minutes, 59, 0)) return;
        int hour = GetHour() + 1;
        PutHour(hour > 23 ? 0 : hour);
        if (hour <= 23) return;
        Carries(DayOfWeek, 7, 1);
        // The chip knows leap years by the two digits of the year alone.
        int days = RtcCalendar.DaysInMonth(Get(Month), leap: Get(Year) % 4 == 0);
        if (Carries(Day, days, 1) || Carries(Month, 12, 1) || Carries(Year, 99, 0)) return;
        int century = _state.Cells[Century];
        _state.Cells[Century] = ToBcd(((century >> 4) * 10 + (century & 15) + 1) % 100);
    }

    /// <summary>Counts one register; true when it did not overflow, so that the next one keeps its value.</summary>
    private bool Carries(int register, int last, int first)
    {
        int value = Get(register);
        Put(register, value >= last ? first : value + 1);
        return value < last;
    }

    private int Get(int register) => Decode(_state.Cells[register]);

    private void Put(int register, int value) => _state.Cells[register] = Encode(value);

    private int Decode(byte cell) => (_state.Cells[RegisterB] & Binary) != 0 ? cell : (cell >> 4) * 10 + (cell & 15);

    private byte Encode(int value) => (_state.Cells[RegisterB] & Binary) != 0 ? (byte)value : ToBcd(value);

    private int GetHour()
    {
        byte cell = _state.Cells[Hours];
        if ((_state.Cells[RegisterB] & Hours24) != 0) return Decode(cell);
        return Decode((byte)(cell & 0x7f)) % 12 + ((cell & 0x80) != 0 ? 12 : 0);
    }

    private void PutHour(int hour)
    {
        if ((_state.Cells[RegisterB] & Hours24) != 0)
        {
            Put(Hours, hour);
            return;
        }
        byte twelve = Encode(hour % 12 == 0 ? 12 : hour % 12);
        _state.Cells[Hours] = (byte)(twelve | (hour >= 12 ? 0x80 : 0));
    }

    private static byte ToBcd(int value) => (byte)(value / 10 << 4 | value % 10);
}

/// <summary>A date of the proleptic Gregorian calendar, in integers.</summary>
internal readonly record struct RtcCalendar(int Year, int Month, int Day, int DayOfWeek, int Hour, int Minute, int Second)
{
    /// <summary>An invalid month is as long as the longest.</summary>
    public static int DaysInMonth(int month, bool leap) => month switch { 2 => leap ? 29 : 28, 4 or 6 or 9 or 11 => 30, _ => 31 };

    public static RtcCalendar FromUnixSeconds(long seconds)
    {
        long days = seconds / 86_400;
        int inDay = (int)(seconds % 86_400);
        int year = 1970;
        long rest = days;
        while (rest >= DaysInYear(year)) rest -= DaysInYear(year++);
        int month = 1;
        while (rest >= DaysInMonth(month, IsLeap(year))) rest -= DaysInMonth(month++, IsLeap(year));
        // 1970-01-01 was a Thursday; the chip counts from Sunday = 1.
        int dayOfWeek = (int)((days + 4) % 7) + 1;
        return new(year, month, (int)rest + 1, dayOfWeek, inDay / 3600, inDay / 60 % 60, inDay % 60);
    }

    private static bool IsLeap(int year) => year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    private static int DaysInYear(int year) => IsLeap(year) ? 366 : 365;
}
