// The NE2000's controller: DP8390D/NS32490D network interface controller (National Semiconductor datasheet) with the
// address PROM and packet memory that the NE2000 puts on its local bus. Used on ISA and, as a macro cell, in the RTL8029.
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Net;

/// <summary>Registers, buffer ring, remote DMA, filter and transmitter. The card decodes ports.</summary>
public sealed class Dp8390 : IStateful
{
    /// <summary>Shortest frame without FCS in bytes; shorter ones are padded with zeros on the wire in both directions.</summary>
    public const int FrameBytesMin = 60;

    /// <summary>Without FCS.</summary>
    private const int FrameBytesMax = 1514;

    private const int RamBase = 0x4000;

    /// <summary>10 Mbit/s.</summary>
    private const ulong NsPerByte = 800;

    /// <summary>Preamble and start delimiter, FCS, and the interframe gap, in byte times.</summary>
    private const int FrameOverheadBytes = 8 + 4 + 12;

    private readonly string _name;
    private readonly byte[] _prom = new byte[32];
    private readonly byte[] _ram;
    private readonly byte[] _frame = new byte[0x10000];
    private readonly Clock _clock;
    private readonly Action<bool> _interrupt;
    private readonly IFramePort _port;
    private readonly ScheduledEvent _transmitted;
    private Dp8390State _state;

    /// <param name="name">Unique in a machine: names the state section and the event.</param>
    /// <param name="address">The card's six address bytes.</param>
    /// <param name="ramBytes">Packet memory from 4000h of the local bus: a multiple of 256, at most 48 KiB.</param>
    /// <param name="interrupt">Follows the INT pin.</param>
    public Dp8390(string name, ReadOnlySpan<byte> address, int ramBytes, Clock clock, EventQueue events, Action<bool> interrupt, IFramePort port)
    {
        Check.That(address.Length == 6 && (address[0] & 1) == 0);
        Check.That(ramBytes is > 0 and <= 0xc000 && ramBytes % 256 == 0);
        _name = name;
        _ram = new byte[ramBytes];
        _clock = clock;
        _interrupt = interrupt;
        _port = port;
        // The PROM is eight bits wide on a 16-bit bus: every byte appears twice. 57h ('W') marks a 16-bit card.
        for (int i = 0; i < 32; i++) _prom[i] = i / 2 < 6 ? address[i / 2] : i / 2 >= 14 ? (byte)0x57 : (byte)0;
        _transmitted = events.Register($"{name}.transmitted", TransmitDone);
        PowerOn();
    }

    public string StateName => _name;

    public int StateVersion => 1;

    /// <summary>0 to 3: which registers the ports show (CR.PS).</summary>
    internal int Page => _state.Command >> 6;

    /// <summary>The INT pin.</summary>
    internal bool Interrupt => (_state.InterruptStatus & _state.InterruptMask & 0x7f) != 0;

    /// <summary>Power-on: RESET, and registers that RESET leaves alone are zero.</summary>
    public void PowerOn()
    {
        _state = default;
        Array.Clear(_ram);
        Reset();
    }

    /// <summary>The RESET pin (datasheet, 10.0 "Reset"): stopped, remote DMA aborted, interrupts masked.</summary>
    public void Reset()
    {
        _transmitted.Cancel();
        _state.Command = 0x21;
        _state.InterruptStatus = Dp8390Bits.ResetStatus;
        _state.InterruptMask = 0;
        _state.TransmitConfig &= unchecked((byte)~Dp8390Bits.Loopback);
        _state.DataConfig &= 0xfb;
        _state.Remote = RemoteDma.Idle;
        UpdateInterrupt();
    }

    public void Save(ref StateWriter writer)
    {
        writer.Struct(_state);
        writer.Bytes(_ram);
    }

    public void Load(ref StateReader reader)
    {
        _state = reader.Struct<Dp8390State>();
        reader.Bytes(_ram);
    }

    /// <summary>A pulled cable receives nothing and loses carrier when it transmits.</summary>
    public void SetLink(bool up) => _state.CableUnplugged = up ? (byte)0 : (byte)1;

    /// <summary>Whether a frame of the greatest length would find its place now, or be refused for another reason than a
    /// full ring: a live host keeps frames back meanwhile, as a switch would by flow control.</summary>
    public bool HasRoom => !IsOnline || PagesFor(FrameBytesMax) < FreePages;

    /// <summary>A start lasts until a stop: drivers (iPXE's is one) write commands with both bits zero to a running controller.</summary>
    private bool IsOnline => (_state.InterruptStatus & Dp8390Bits.ResetStatus) == 0 && (_state.Command & Dp8390Bits.Stop) == 0
        && (_state.TransmitConfig & Dp8390Bits.Loopback) == 0 && _state.CableUnplugged == 0;

    /// <summary>256-byte pages between the write pointer and the boundary.</summary>
    private int FreePages
    {
        get
        {
            int ring = _state.PageStop - _state.PageStart;
            return ring <= 0 ? 0 : ((((_state.Boundary - _state.Current) % ring) + ring) % ring) is var gap and > 0 ? gap : ring;
        }
    }

    /// <summary>A frame arrives.</summary>
    /// <param name="frame">At least a destination address, at most 1,518 bytes are usual; no FCS.</param>
    /// <returns>Whether it is in the ring now; otherwise the filter refused it, or it was missed and tallied.</returns>
    public bool Receive(ReadOnlySpan<byte> frame)
    {
        if (!IsOnline || frame.Length < 6 || !Accepts(frame)) return false;
        byte status = (frame[0] & 1) != 0 ? Dp8390Bits.Multicast : (byte)0;
        if ((_state.ReceiveConfig & Dp8390Bits.Monitor) != 0)
        {
            Miss((byte)(status | Dp8390Bits.ReceiverDisabled));
            UpdateInterrupt();
            return false;
        }
        int length = Math.Max(frame.Length, FrameBytesMin);
        int pages = PagesFor(length);
        if (pages >= FreePages)
        {
            // The next buffer would be the one at the boundary (datasheet, "Buffer Ring Overflow").
            _state.InterruptStatus |= Dp8390Bits.Overwrite;
            Miss(status);
            UpdateInterrupt();
            return false;
        }
        status |= Dp8390Bits.PacketReceived;
        Store(frame, length, pages, status);
        _state.ReceiveStatus = status;
        _state.InterruptStatus |= Dp8390Bits.PacketReceived;
        UpdateInterrupt();
        return true;
    }

    /// <summary>Ring pages that a frame takes: header, data, FCS.</summary>
    private static int PagesFor(int length) => (4 + length + 4 + 255) / 256;

    /// <param name="register">0 to 15, in the current page.</param>
    internal byte ReadRegister(int register)
    {
        if (register == 0) return _state.Command;
        switch (Page)
        {
            case 0: return ReadPage0(register);
            case 1:
                if (register <= 6) return (byte)(_state.Station >> (8 * (register - 1)));
                return register == 7 ? _state.Current : (byte)(_state.MulticastFilter >> (8 * (register - 8)));
            case 2: return ReadPage2(register);
            default: return 0xff;
        }
    }

    /// <param name="register">0 to 15, in the current page.</param>
    internal void WriteRegister(int register, byte value)
    {
        if (register == 0)
        {
            WriteCommand(value);
            return;
        }
        switch (Page)
        {
            case 0: WritePage0(register, value); break;
            case 1:
                if (register <= 6) _state.Station = Insert(_state.Station, register - 1, value);
                else if (register == 7) _state.Current = value;
                else _state.MulticastFilter = Insert(_state.MulticastFilter, register - 8, value);
                break;
            case 2: WritePage2(register, value); break;
        }
    }

    /// <summary>The data port: one transfer of the remote DMA. In word mode a byte access moves a word, in byte mode
    /// a word access moves a byte; a double word moves four bytes.</summary>
    internal uint ReadData(int size)
    {
        if (_state.Remote is not (RemoteDma.Read or RemoteDma.SendPacket)) return uint.MaxValue >> (32 - (8 * size));
        int bytes = TransferBytes(size);
        uint value = 0;
        for (int i = 0; i < bytes; i++) value |= (uint)ReadLocal((ushort)(_state.RemoteAddress + i)) << (8 * i);
        AdvanceRemote(bytes);
        return value & (uint.MaxValue >> (32 - (8 * size)));
    }

    internal void WriteData(int size, uint value)
    {
        if (_state.Remote != RemoteDma.Write) return;
        int bytes = TransferBytes(size);
        for (int i = 0; i < bytes; i++) WriteLocal((ushort)(_state.RemoteAddress + i), (byte)(value >> (8 * i)));
        AdvanceRemote(bytes);
    }

    private static ulong Insert(ulong target, int index, byte value) => (target & ~(0xffUL << (8 * index))) | ((ulong)value << (8 * index));

    private byte ReadPage0(int register)
    {
        switch (register)
        {
            case 0x1: return (byte)_state.LocalAddress;
            case 0x2: return (byte)(_state.LocalAddress >> 8);
            case 0x3: return _state.Boundary;
            case 0x4: return _state.TransmitStatus;
            case 0x5: return 0;                                       // NCR: this wire has no collisions
            case 0x6: return (byte)(_state.Fifo >> (8 * (_state.FifoNext++ & 7)));
            case 0x7: return _state.InterruptStatus;
            case 0x8: return (byte)_state.RemoteAddress;
            case 0x9: return (byte)(_state.RemoteAddress >> 8);
            case 0xc: return _state.ReceiveStatus;
            case 0xd: return TakeTally(ref _state.AlignmentErrors);
            case 0xe: return TakeTally(ref _state.CrcErrors);
            case 0xf: return TakeTally(ref _state.Missed);
            default: return 0xff;
        }
    }

    private byte ReadPage2(int register) => register switch
    {
        0x1 => _state.PageStart,
        0x2 => _state.PageStop,
        0x3 => _state.RemoteNextPage,
        0x4 => _state.TransmitPage,
        0x5 => _state.LocalNextPage,
        0x6 => (byte)(_state.AddressCounter >> 8),
        0x7 => (byte)_state.AddressCounter,
        0xc => (byte)(_state.ReceiveConfig | 0xc0),
        0xd => (byte)(_state.TransmitConfig | 0xe0),
        0xe => (byte)(_state.DataConfig | 0x80),
        0xf => (byte)(_state.InterruptMask | 0x80),
        _ => 0xff,
    };

    private void WritePage0(int register, byte value)
    {
        switch (register)
        {
            case 0x1: _state.PageStart = value; break;
            case 0x2: _state.PageStop = value; break;
            case 0x3: _state.Boundary = value; break;
            case 0x4: _state.TransmitPage = value; break;
            case 0x5: _state.TransmitCount = (ushort)((_state.TransmitCount & 0xff00) | value); break;
            case 0x6: _state.TransmitCount = (ushort)((_state.TransmitCount & 0x00ff) | (value << 8)); break;
            case 0x7:
                // RST tells a state and is not cleared by writing.
                _state.InterruptStatus &= (byte)(~value | Dp8390Bits.ResetStatus);
                UpdateInterrupt();
                break;
            case 0x8: _state.RemoteStart = _state.RemoteAddress = (ushort)((_state.RemoteStart & 0xff00) | value); break;
            case 0x9: _state.RemoteStart = _state.RemoteAddress = (ushort)((_state.RemoteStart & 0x00ff) | (value << 8)); break;
            case 0xa: _state.RemoteCount = (ushort)((_state.RemoteCount & 0xff00) | value); break;
            case 0xb: _state.RemoteCount = (ushort)((_state.RemoteCount & 0x00ff) | (value << 8)); break;
            case 0xc: _state.ReceiveConfig = (byte)(value & 0x3f); break;
            case 0xd: _state.TransmitConfig = (byte)(value & 0x1f); break;
            case 0xe: _state.DataConfig = (byte)(value & 0x7f); break;
            case 0xf:
                _state.InterruptMask = (byte)(value & 0x7f);
                UpdateInterrupt();
                break;
        }
    }

    private void WritePage2(int register, byte value)
    {
        switch (register)
        {
            case 0x1: _state.LocalAddress = (ushort)((_state.LocalAddress & 0xff00) | value); break;
            case 0x2: _state.LocalAddress = (ushort)((_state.LocalAddress & 0x00ff) | (value << 8)); break;
            case 0x3: _state.RemoteNextPage = value; break;
            case 0x5: _state.LocalNextPage = value; break;
            case 0x6: _state.AddressCounter = (ushort)((_state.AddressCounter & 0x00ff) | (value << 8)); break;
            case 0x7: _state.AddressCounter = (ushort)((_state.AddressCounter & 0xff00) | value); break;
        }
    }

    private void WriteCommand(byte value)
    {
        bool transmitting = (_state.Command & Dp8390Bits.Transmit) != 0;
        // TXP stays set until the packet is out; writing a zero has no effect.
        _state.Command = (byte)(value | (transmitting ? Dp8390Bits.Transmit : 0));
        if ((value & Dp8390Bits.Stop) != 0)
        {
            if (!transmitting)
            {
                // What goes out ends before the reset state is entered; a start in the same write is too late.
                _state.Command &= unchecked((byte)~Dp8390Bits.Transmit);
                _state.InterruptStatus |= Dp8390Bits.ResetStatus;
            }
        }
        else if ((value & Dp8390Bits.Start) != 0)
        {
            _state.InterruptStatus &= unchecked((byte)~Dp8390Bits.ResetStatus);
        }
        CommandRemote((value >> 3) & 7);
        bool running = (_state.InterruptStatus & Dp8390Bits.ResetStatus) == 0;
        if ((_state.Command & Dp8390Bits.Transmit) != 0 && !transmitting)
        {
            if (running) _transmitted.At(_clock.NowNs + ((ulong)(_state.TransmitCount + FrameOverheadBytes) * NsPerByte));
            else _state.Command &= unchecked((byte)~Dp8390Bits.Transmit);
        }
        UpdateInterrupt();
    }

    private void CommandRemote(int operation)
    {
        switch (operation)
        {
            case 0: break;                                            // not allowed; nothing changes
            case 1 or 2:
                _state.Remote = operation == 1 ? RemoteDma.Read : RemoteDma.Write;
                _state.RemoteAddress = _state.RemoteStart;
                _state.RemoteLeft = _state.RemoteCount;
                if (_state.RemoteLeft == 0) EndRemote();
                break;
            case 3:
                if ((_state.DataConfig & Dp8390Bits.AutoInitialize) == 0) break;
                ushort header = (ushort)(_state.Boundary << 8);
                _state.Remote = RemoteDma.SendPacket;
                _state.RemoteAddress = header;
                _state.SendNext = ReadLocal((ushort)(header + 1));
                _state.RemoteLeft = ReadLocal((ushort)(header + 2)) | (ReadLocal((ushort)(header + 3)) << 8);
                if (_state.RemoteLeft == 0) EndRemote();
                break;
            default:
                _state.Remote = RemoteDma.Idle;
                break;
        }
    }

    private int TransferBytes(int size) => size == 4 ? 4 : (_state.DataConfig & Dp8390Bits.WordTransfer) != 0 ? 2 : 1;

    private void AdvanceRemote(int bytes)
    {
        _state.RemoteAddress = (ushort)(_state.RemoteAddress + bytes);
        // The remote DMA follows the ring like the local one.
        if (_state.PageStop > _state.PageStart && _state.RemoteAddress >> 8 == _state.PageStop && (_state.RemoteAddress & 0xff) < bytes)
        {
            _state.RemoteAddress = (ushort)((_state.PageStart << 8) | (_state.RemoteAddress & 0xff));
        }
        _state.RemoteLeft -= bytes;
        if (_state.RemoteLeft <= 0) EndRemote();
    }

    private void EndRemote()
    {
        if (_state.Remote == RemoteDma.SendPacket) _state.Boundary = _state.SendNext;
        _state.Remote = RemoteDma.Idle;
        _state.InterruptStatus |= Dp8390Bits.RemoteComplete;
        UpdateInterrupt();
    }

    private bool Accepts(ReadOnlySpan<byte> frame)
    {
        if ((frame[0] & 1) == 0)
        {
            if ((_state.ReceiveConfig & Dp8390Bits.Promiscuous) != 0) return true;
            for (int i = 0; i < 6; i++)
            {
                if (frame[i] != (byte)(_state.Station >> (8 * i))) return false;
            }
            return true;
        }
        if (frame[..6].IndexOfAnyExcept((byte)0xff) < 0) return (_state.ReceiveConfig & Dp8390Bits.AcceptBroadcast) != 0;
        return (_state.ReceiveConfig & Dp8390Bits.AcceptMulticast) != 0
            && ((_state.MulticastFilter >> EthernetCrc.MulticastHash(frame[..6])) & 1) != 0;
    }

    private void Store(ReadOnlySpan<byte> frame, int length, int pages, byte status)
    {
        Span<byte> packet = _frame.AsSpan(0, 4 + length + 4);
        packet.Clear();
        frame.CopyTo(packet[4..]);
        uint fcs = EthernetCrc.Fcs(packet.Slice(4, length));
        int next = _state.Current + pages;
        if (next >= _state.PageStop) next -= _state.PageStop - _state.PageStart;
        packet[0] = status;
        packet[1] = (byte)next;
        packet[2] = (byte)(length + 4);
        packet[3] = (byte)((length + 4) >> 8);
        for (int i = 0; i < 4; i++) packet[4 + length + i] = (byte)(fcs >> (8 * i));
        int page = _state.Current;
        for (int at = 0; at < packet.Length; at += 256)
        {
            int bytes = Math.Min(256, packet.Length - at);
            for (int i = 0; i < bytes; i++) WriteLocal((ushort)((page << 8) + i), packet[at + i]);
            _state.LocalAddress = (ushort)((page << 8) + bytes);
            if (++page == _state.PageStop) page = _state.PageStart;
        }
        _state.Current = (byte)next;
    }

    private void Miss(byte status)
    {
        _state.ReceiveStatus = (byte)(status | Dp8390Bits.MissedPacket);
        _state.InterruptStatus |= Dp8390Bits.ReceiveError;
        // A tally interrupts when its high bit comes up and stops at 192.
        if (_state.Missed < 0xc0) _state.Missed++;
        if (_state.Missed >= 0x80) _state.InterruptStatus |= Dp8390Bits.CounterOverflow;
    }

    private static byte TakeTally(ref byte tally)
    {
        byte value = tally;
        tally = 0;
        return value;
    }

    private void TransmitDone()
    {
        Span<byte> frame = _frame.AsSpan(0, _state.TransmitCount);
        ushort start = (ushort)(_state.TransmitPage << 8);
        for (int i = 0; i < frame.Length; i++) frame[i] = ReadLocal((ushort)(start + i));
        _state.LocalAddress = (ushort)(start + frame.Length);
        _state.Command &= unchecked((byte)~Dp8390Bits.Transmit);
        _state.InterruptStatus |= Dp8390Bits.PacketTransmitted;
        if ((_state.TransmitConfig & Dp8390Bits.Loopback) is var loopback and not 0) LoopBack(frame, loopback);
        else Send(frame);
        if ((_state.Command & Dp8390Bits.Stop) != 0) _state.InterruptStatus |= Dp8390Bits.ResetStatus;
        UpdateInterrupt();
    }

    private void Send(Span<byte> frame)
    {
        _state.TransmitStatus = 0x01;
        if (_state.CableUnplugged != 0)
        {
            _state.TransmitStatus |= Dp8390Bits.CarrierLost;
            return;
        }
        // With the generator off the last four bytes are the FCS, which host ports do not carry.
        int length = frame.Length - ((_state.TransmitConfig & Dp8390Bits.InhibitCrc) != 0 ? 4 : 0);
        if (length <= 0) return;
        int padded = Math.Max(length, FrameBytesMin);
        _frame.AsSpan(length, padded - length).Clear();
        _port.Send(_frame.AsSpan(0, padded));
    }

    /// <summary>A looped packet stays in the FIFO: bytes in the order of arrival, then the byte count (datasheet,
    /// "Loopback Diagnostics"). Nothing is written to memory, so PRX stays clear.</summary>
    private void LoopBack(ReadOnlySpan<byte> frame, int mode)
    {
        int at = 0;
        ulong fifo = _state.Fifo;
        void Put(byte value) => fifo = Insert(fifo, at++ & 7, value);
        foreach (byte b in frame) Put(b);
        int length = frame.Length;
        if ((_state.TransmitConfig & Dp8390Bits.InhibitCrc) == 0)
        {
            uint fcs = EthernetCrc.Fcs(frame);
            for (int i = 0; i < 4; i++) Put((byte)(fcs >> (8 * i)));
            length += 4;
        }
        Put((byte)length);
        Put((byte)(length >> 8));
        Put((byte)(length >> 8));
        _state.Fifo = fifo;
        _state.FifoNext = 0;
        _state.ReceiveStatus = Dp8390Bits.CrcError;
        _state.TransmitStatus = mode switch { 0x02 => 0x53, 0x04 => 0x43, _ => 0x03 };
    }

    /// <summary>The local bus: PROM from 0, packet memory from 4000h, nothing else.</summary>
    private byte ReadLocal(ushort address)
    {
        if (address < _prom.Length) return _prom[address];
        int offset = address - RamBase;
        return (uint)offset < (uint)_ram.Length ? _ram[offset] : (byte)0xff;
    }

    private void WriteLocal(ushort address, byte value)
    {
        int offset = address - RamBase;
        if ((uint)offset < (uint)_ram.Length) _ram[offset] = value;
    }

    private void UpdateInterrupt() => _interrupt(Interrupt);
}
