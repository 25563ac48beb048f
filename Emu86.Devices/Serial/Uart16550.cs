// A serial port: National Semiconductor PC16550D datasheet. Bytes take the time that divisor and format say.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Serial;

[InlineArray(16)]
public struct UartFifo
{
    private byte _first;
}

[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Uart16550State
{
    public byte InterruptEnable, FifoControl, LineControl, ModemControl, Scratch;

    /// <summary>Error bits of the LSR (OE), cleared by reading it.</summary>
    public byte LineErrors;

    /// <summary>Bits 3 to 0: deltas; the levels come from <see cref="ModemLines"/> or the loopback.</summary>
    public byte ModemDeltas;

    /// <summary>CTS, DSR, RI, DCD as the far end drives them, in bits 0 to 3.</summary>
    public byte ModemLines;

    public ushort Divisor;

    public UartFifo Receive, Transmit;

    /// <summary>Bytes in the FIFOs (or, without FIFOs, 0 or 1 in the holding registers).</summary>
    public byte ReceiveCount, TransmitCount;

    /// <summary>The transmitter shift register.</summary>
    public byte Shift;

    public bool Shifting;

    /// <summary>The THRE interrupt has not been seen yet.</summary>
    public bool EmptyPending;

    /// <summary>Received bytes were left alone for four character times.</summary>
    public bool TimedOut;

    /// <summary>First byte and length of the input that waits on the wire.</summary>
    public int BacklogFirst, BacklogCount;
}

/// <summary>Eight ports (3F8h and the like), one interrupt line (through OUT2, as on a PC).</summary>
public sealed class Uart16550 : IPortDevice, IStateful
{
    /// <summary>Input that may wait to be received.</summary>
    public const int BacklogBytesMax = 4096;

    private const ulong ClockHz = 1_843_200, NsPerSecond = 1_000_000_000;
    private const byte DivisorLatch = 0x80, Loopback = 0x10, Out2 = 8;
    private const byte EnableReceive = 1, EnableEmpty = 2, EnableLine = 4, EnableModem = 8;
    private const byte DataReady = 1, Overrun = 2, HoldingEmpty = 0x20, TransmitterEmpty = 0x40;
    private const int FifoBytes = 16;

    private readonly string _name;
    private readonly Clock _clock;
    private readonly IrqLine _irq;
    private readonly IBytePort _output;
    private readonly ScheduledEvent _sent;
    private readonly ScheduledEvent _received;
    private readonly ScheduledEvent _timeout;
    private readonly byte[] _backlog = new byte[BacklogBytesMax];
    private Uart16550State _state;

    /// <param name="name">Unique in a machine: com1 and so on.</param>
    public Uart16550(string name, Clock clock, EventQueue events, IrqLine irq, IBytePort output)
    {
        _name = name;
        _clock = clock;
        _irq = irq;
        _output = output;
        _sent = events.Register(name + "-sent", OnSent);
        _received = events.Register(name + "-received", OnReceived);
        _timeout = events.Register(name + "-timeout", OnTimeout);
        // A terminal is there: CTS, DSR, DCD.
        _state = new() { Divisor = 12, ModemLines = 0x0b };
    }

    public string StateName => _name;

    public int StateVersion => 1;

    /// <summary>How many bytes <see cref="Receive"/> takes now.</summary>
    public int CanReceive => BacklogBytesMax - _state.BacklogCount;

    private bool FifosOn => (_state.FifoControl & 1) != 0;

    private bool InLoopback => (_state.ModemControl & Loopback) != 0;

    private int Capacity => FifosOn ? FifoBytes : 1;

    private int Trigger => FifosOn ? (_state.FifoControl >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 } : 1;

    /// <summary>A byte from outside (an input event). It waits its turn and its time on the wire; the far end is taken to
    /// honour flow control, so that nothing is sent into a full FIFO.</summary>
    /// <returns>False when the backlog is full: the byte is lost.</returns>
    public bool Receive(byte value)
    {
        if (_state.BacklogCount == BacklogBytesMax) return false;
        _backlog[(_state.BacklogFirst + _state.BacklogCount++) % BacklogBytesMax] = value;
        ScheduleReceive();
        return true;
    }

    /// <summary>The far end's modem lines (an input event): bit 0 CTS, 1 DSR, 2 RI, 3 DCD.</summary>
    public void SetModemLines(byte lines)
    {
        byte before = ModemLevels;
        _state.ModemLines = (byte)(lines & 15);
        NoteModemChange(before);
        FollowInterrupt();
    }

    public uint ReadPort(int offset, int size)
    {
        bool latch = (_state.LineControl & DivisorLatch) != 0;
        byte value = offset switch
        {
            0 => latch ? (byte)_state.Divisor : ReadData(),
            1 => latch ? (byte)(_state.Divisor >> 8) : _state.InterruptEnable,
            2 => ReadIdentification(),
            3 => _state.LineControl,
            4 => _state.ModemControl,
            5 => ReadLineStatus(),
            6 => ReadModemStatus(),
            _ => _state.Scratch,
        };
        FollowInterrupt();
        return value;
    }

    public void WritePort(int offset, int size, uint value)
    {
        bool latch = (_state.LineControl & DivisorLatch) != 0;
        byte written = (byte)value;
        switch (offset)
        {
            case 0 when latch: _state.Divisor = (ushort)(_state.Divisor & 0xff00 | written); break;
            case 0: WriteData(written); break;
            case 1 when latch: _state.Divisor = (ushort)(_state.Divisor & 0x00ff | written << 8); break;
            case 1: WriteInterruptEnable(written); break;
            case 2: WriteFifoControl(written); break;
            case 3: _state.LineControl = written; break;
            case 4: WriteModemControl(written); break;
            // The LSR and MSR are for reading only (factory test aside).
            case 5 or 6: break;
            default: _state.Scratch = written; break;
        }
        FollowInterrupt();
    }

    /// <summary>The MR pin. What waits on the wire stays there.</summary>
    public void Reset()
    {
        _state = new()
        {
            Divisor = 12,
            ModemLines = _state.ModemLines,
            BacklogFirst = _state.BacklogFirst,
            BacklogCount = _state.BacklogCount,
        };
        _sent.Cancel();
        _received.Cancel();
        _timeout.Cancel();
        ScheduleReceive();
        FollowInterrupt();
    }

    public void Save(ref StateWriter writer)
    {
        writer.Struct(_state);
        writer.Bytes(_backlog);
    }

    public void Load(ref StateReader reader)
    {
        _state = reader.Struct<Uart16550State>();
        reader.Bytes(_backlog);
    }

    /// <summary>Nanoseconds of one character on the wire: start bit, data, parity, stop bits.</summary>
    private ulong CharacterNs
    {
        get
        {
            int data = 5 + (_state.LineControl & 3);
            bool longStop = (_state.LineControl & 4) != 0;
            int halfBits = 2 * (1 + data) + ((_state.LineControl & 8) != 0 ? 2 : 0) + (longStop ? data == 5 ? 3 : 4 : 2);
            // The datasheet leaves a divisor of zero open; it counts as one.
            ulong divisor = Math.Max(_state.Divisor, (ushort)1);
            return (ulong)halfBits * divisor * 16 * NsPerSecond / (2 * ClockHz);
        }
    }

    private byte ModemLevels
    {
        get
        {
            if (!InLoopback) return _state.ModemLines;
            // RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD.
            int control = _state.ModemControl;
            return (byte)((control >> 1 & 1) | (control & 1) << 1 | (control & 4) | (control & 8));
        }
    }

    private byte WordMask => (byte)(0xff >> (3 - (_state.LineControl & 3)));

    private byte ReadData()
    {
        if (_state.ReceiveCount == 0) return 0;
        byte value = _state.Receive[0];
        _state.ReceiveCount--;
        for (int i = 0; i < _state.ReceiveCount; i++) _state.Receive[i] = _state.Receive[i + 1];
        RestartTimeout();
        ScheduleReceive();
        return value;
    }

    private byte ReadIdentification()
    {
        byte source = Source;
        if (source == 2) _state.EmptyPending = false;
        return (byte)(source | (FifosOn ? 0xc0 : 0));
    }

    private byte ReadLineStatus()
    {
        int status = _state.LineErrors | (_state.ReceiveCount > 0 ? DataReady : 0);
        if (_state.TransmitCount == 0) status |= HoldingEmpty | (_state.Shifting ? 0 : TransmitterEmpty);
        _state.LineErrors = 0;
        return (byte)status;
    }

    private byte ReadModemStatus()
    {
        byte status = (byte)(ModemLevels << 4 | _state.ModemDeltas);
        _state.ModemDeltas = 0;
        return status;
    }

    private void WriteData(byte value)
    {
        _state.EmptyPending = false;
        // A byte written into a full FIFO is lost; a full holding register is overwritten.
        if (_state.TransmitCount < Capacity) _state.Transmit[_state.TransmitCount++] = value;
        else if (!FifosOn) _state.Transmit[0] = value;
        if (!_state.Shifting) StartShifting();
    }

    private void StartShifting()
    {
        _state.Shift = (byte)(_state.Transmit[0] & WordMask);
        _state.Shifting = true;
        _state.TransmitCount--;
        for (int i = 0; i < _state.TransmitCount; i++) _state.Transmit[i] = _state.Transmit[i + 1];
        if (_state.TransmitCount == 0) _state.EmptyPending = true;
        _sent.At(_clock.NowNs + CharacterNs);
    }

    private void OnSent()
    {
        _state.Shifting = false;
        byte value = _state.Shift;
        if (InLoopback) Accept(value);
        else _output.Put(value);
        if (_state.TransmitCount > 0) StartShifting();
        FollowInterrupt();
    }

    private void WriteInterruptEnable(byte value)
    {
        bool empties = (value & EnableEmpty) != 0 && (_state.InterruptEnable & EnableEmpty) == 0;
        _state.InterruptEnable = (byte)(value & 15);
        // Enabling the interrupt while the holding register is empty raises it.
        if (empties && _state.TransmitCount == 0) _state.EmptyPending = true;
    }

    private void WriteFifoControl(byte value)
    {
        bool toggled = ((value ^ _state.FifoControl) & 1) != 0;
        if (toggled || (value & 3) == 3)
        {
            _state.ReceiveCount = 0;
            _state.TimedOut = false;
            _timeout.Cancel();
        }
        if (toggled || (value & 5) == 5)
        {
            if (_state.TransmitCount > 0) _state.EmptyPending = true;
            _state.TransmitCount = 0;
        }
        // The other bits can be programmed only together with the enable bit.
        _state.FifoControl = (byte)((value & 1) != 0 ? value & 0xc9 : 0);
        ScheduleReceive();
    }

    private void WriteModemControl(byte value)
    {
        byte before = ModemLevels;
        _state.ModemControl = (byte)(value & 0x1f);
        NoteModemChange(before);
        ScheduleReceive();
    }

    private void NoteModemChange(byte before)
    {
        int changed = before ^ ModemLevels;
        // CTS, DSR and DCD tell of any change, RI of its trailing edge.
        _state.ModemDeltas |= (byte)(changed & 0x0b | changed & before & 0x04);
    }

    private void ScheduleReceive()
    {
        if (_received.Pending || _state.BacklogCount == 0 || _state.ReceiveCount >= Capacity || InLoopback) return;
        _received.At(_clock.NowNs + CharacterNs);
    }

    private void OnReceived()
    {
        // The guest may have shrunk the FIFO or closed the loop meanwhile.
        if (_state.ReceiveCount >= Capacity || InLoopback) return;
        byte value = _backlog[_state.BacklogFirst];
        // Consumed bytes are cleared, so that equal states save equal bytes.
        _backlog[_state.BacklogFirst] = 0;
        _state.BacklogFirst = (_state.BacklogFirst + 1) % BacklogBytesMax;
        _state.BacklogCount--;
        Accept((byte)(value & WordMask));
        ScheduleReceive();
        FollowInterrupt();
    }

    private void Accept(byte value)
    {
        if (_state.ReceiveCount >= Capacity)
        {
            // A full FIFO keeps its bytes; a full buffer register is overwritten.
            _state.LineErrors |= Overrun;
            if (!FifosOn) _state.Receive[0] = value;
            return;
        }
        _state.Receive[_state.ReceiveCount++] = value;
        RestartTimeout();
    }

    private void RestartTimeout()
    {
        _state.TimedOut = false;
        if (FifosOn && _state.ReceiveCount > 0) _timeout.At(_clock.NowNs + 4 * CharacterNs);
        else _timeout.Cancel();
    }

    private void OnTimeout()
    {
        _state.TimedOut = true;
        FollowInterrupt();
    }

    /// <summary>The interrupt source with the highest priority, as the IIR names it; 1 for none.</summary>
    private byte Source
    {
        get
        {
            int enable = _state.InterruptEnable;
            if ((enable & EnableLine) != 0 && _state.LineErrors != 0) return 6;
            if ((enable & EnableReceive) != 0 && _state.ReceiveCount >= Trigger) return 4;
            if ((enable & EnableReceive) != 0 && _state.TimedOut) return 0xc;
            if ((enable & EnableEmpty) != 0 && _state.EmptyPending) return 2;
            if ((enable & EnableModem) != 0 && _state.ModemDeltas != 0) return 0;
            return 1;
        }
    }

    private void FollowInterrupt() => _irq.Set(Source != 1 && (_state.ModemControl & Out2) != 0);
}
