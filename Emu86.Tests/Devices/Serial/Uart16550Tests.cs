// The PC16550D: byte times, FIFOs, interrupts, loopback, and the bounded input backlog.
using Emu86.Chipset;
using Emu86.Devices;
using Emu86.Devices.Serial;
using Emu86.Tests.Chipset;

namespace Emu86.Tests.Devices.Serial;

public sealed class Uart16550Tests
{
    // 115200 baud, 8N1: ten bits of 8680.55 ns.
    private const ulong CharacterNs = 86_805;

    private readonly TestTime _time = new();
    private readonly TestLines _lines = new();
    private readonly Sink _sink = new();
    private readonly Uart16550 _uart;

    public Uart16550Tests()
    {
        _uart = New(_time);
        Out(3, 0x83);
        Out(0, 1);
        Out(1, 0);
        Out(3, 0x03);
        Out(4, 0x0b);
    }

    [Fact]
    public void A_byte_leaves_after_its_character_time()
    {
        Out(0, 0x41);
        // The holding register is empty again at once, the transmitter is not.
        Assert.Equal(0x20, In(5));
        _time.Advance(CharacterNs - 1);
        Assert.Empty(_sink.Bytes);
        _time.Advance(1);
        Assert.Equal([0x41], _sink.Bytes);
        Assert.Equal(0x60, In(5));
    }

    [Fact]
    public void The_divisor_latch_reads_back_and_sets_the_pace()
    {
        Out(3, 0x83);
        Out(0, 12);
        Assert.Equal(12, In(0));
        Assert.Equal(0, In(1));
        Out(3, 0x03);
        Out(0, 0x41);
        _time.Advance(1_041_665);
        Assert.Empty(_sink.Bytes);
        _time.Advance(2);
        Assert.Single(_sink.Bytes);
    }

    [Fact]
    public void Sixteen_bytes_fit_the_transmit_fifo_besides_the_shift_register()
    {
        Out(2, 0x01);
        for (byte i = 0; i < 20; i++) Out(0, i);
        Assert.Equal(0, In(5) & 0x20);
        _time.Advance(17 * CharacterNs);
        Assert.Equal(17, _sink.Bytes.Count);
        Assert.Equal(0x60, In(5));
    }

    [Fact]
    public void The_empty_interrupt_comes_with_its_enable_and_goes_with_reading_iir()
    {
        Assert.Equal(1, In(2));
        Out(1, 2);
        Assert.True(_lines.Level[4]);
        Assert.Equal(2, In(2));
        Assert.False(_lines.Level[4]);
        Assert.Equal(1, In(2));
        Out(0, 1);
        // Straight into the shift register: empty again.
        Assert.True(_lines.Level[4]);
        Out(0, 2);
        Assert.False(_lines.Level[4]);
        _time.Advance(CharacterNs);
        Assert.True(_lines.Level[4]);
    }

    [Fact]
    public void Without_out2_no_interrupt_reaches_the_line()
    {
        Out(4, 0x03);
        Out(1, 2);
        Assert.False(_lines.Level[4]);
        Assert.Equal(2, In(2));
    }

    [Fact]
    public void Received_bytes_are_paced_and_interrupt()
    {
        Out(1, 1);
        _uart.Receive(0x61);
        _uart.Receive(0x62);
        Assert.Equal(0, In(5) & 1);
        _time.Advance(CharacterNs);
        Assert.Equal(4, In(2));
        Assert.Equal(0x61, In(0));
        Assert.False(_lines.Level[4]);
        _time.Advance(CharacterNs);
        Assert.Equal(0x62, In(0));
    }

    [Fact]
    public void Below_the_trigger_level_the_interrupt_waits_for_the_timeout()
    {
        Out(2, 0x81);
        Out(1, 1);
        for (byte i = 0; i < 3; i++) _uart.Receive(i);
        _time.Advance(3 * CharacterNs);
        Assert.Equal(0xc1, In(2));
        _time.Advance(4 * CharacterNs - 1);
        Assert.Equal(0xc1, In(2));
        _time.Advance(1);
        Assert.Equal(0xcc, In(2));
        In(0);
        Assert.Equal(0xc1, In(2));
    }

    [Fact]
    public void At_the_trigger_level_data_interrupts()
    {
        Out(2, 0x81);
        Out(1, 1);
        for (byte i = 0; i < 8; i++) _uart.Receive(i);
        _time.Advance(8 * CharacterNs);
        Assert.Equal(0xc4, In(2));
        In(0);
        Assert.Equal(0xc1, In(2));
    }

    [Fact]
    public void Pasted_input_waits_in_the_backlog_and_nothing_is_lost()
    {
        Out(2, 0x01);
        for (int i = 0; i < Uart16550.BacklogBytesMax; i++) Assert.True(_uart.Receive((byte)i));
        Assert.Equal(0, _uart.CanReceive);
        Assert.False(_uart.Receive(1));
        _time.Advance(100 * CharacterNs);
        Assert.Equal(16, _uart.CanReceive);
        int got = 0;
        for (int i = 0; i < 5000; i++)
        {
            while ((In(5) & 1) != 0) Assert.Equal((byte)got++, In(0));
            _time.Advance(CharacterNs);
        }
        Assert.Equal(Uart16550.BacklogBytesMax, got);
    }

    [Fact]
    public void Loopback_returns_bytes_and_modem_lines_and_can_overrun()
    {
        Out(4, 0x1f);
        Assert.Equal(0xf0, In(6) & 0xf0);
        Out(4, 0x12);
        In(6);
        Assert.Equal(0x10, In(6));
        Out(0, 0x55);
        _time.Advance(CharacterNs);
        Out(0, 0x66);
        _time.Advance(CharacterNs);
        Assert.Equal(0x63, In(5));
        Assert.Equal(0x61, In(5));
        Assert.Equal(0x66, In(0));
        Assert.Empty(_sink.Bytes);
    }

    [Fact]
    public void Modem_changes_are_deltas_until_the_status_is_read()
    {
        Assert.Equal(0xb0, In(6));
        Out(1, 8);
        _uart.SetModemLines(0x0e);
        Assert.Equal(0, In(2));
        Assert.Equal(0xe1, In(6));
        Assert.Equal(1, In(2));
        // The leading edge of RI says nothing, the trailing edge does.
        _uart.SetModemLines(0x0a);
        Assert.Equal(0xa4, In(6));
    }

    [Fact]
    public void Scratch_and_control_registers_keep_their_bits()
    {
        Out(7, 0x5a);
        Out(1, 0xff);
        Out(4, 0xff);
        Assert.Equal(0x5a, In(7));
        Assert.Equal(0x0f, In(1));
        Assert.Equal(0x1f, In(4));
        Assert.Equal(0x00, In(2) & 0xc0);
    }

    [Fact]
    public void State_survives_with_the_backlog()
    {
        Out(2, 0x81);
        for (byte i = 0; i < 100; i++) _uart.Receive(i);
        Out(0, 0x41);
        _time.Advance(5 * CharacterNs);
        Uart16550 copy = New(new TestTime());
        StateOf.AssertRoundTrip(_uart, copy);
        Assert.Equal(0u, copy.ReadPort(0, 1));
        Assert.Equal(1u, copy.ReadPort(0, 1));
    }

    private Uart16550 New(TestTime time) => new("com1", time.Clock, time.Events, _lines.Line(4), _sink);

    private byte In(int offset) => (byte)_uart.ReadPort(offset, 1);

    private void Out(int offset, byte value) => _uart.WritePort(offset, 1, value);

    private sealed class Sink : IBytePort
    {
        public List<byte> Bytes { get; } = [];

        public void Put(byte value) => Bytes.Add(value);
    }
}
