// The 8237A pair, and ports 61h, 80h, 92h, F0h.
using Emu86.Chipset;

namespace Emu86.Tests.Chipset;

public sealed class DmaAndSystemControlTests
{
    private readonly TestTime _time = new();
    private readonly TestLines _lines = new();
    private readonly TestMemory _memory = new();
    private readonly Dma8237 _dma;
    private readonly Pit8254 _pit;
    private readonly SystemControl _control;

    public DmaAndSystemControlTests()
    {
        _dma = new Dma8237(_memory);
        // Channel 4 cascades the byte controller.
        _dma.WordController.WritePort(0x16, 1, 0xc0);
        _dma.WordController.WritePort(0x14, 1, 0);
        _pit = new Pit8254(_time.Clock, _time.Events, _lines.Line(0));
        _control = new SystemControl(_pit, _lines.Line(13));
    }

    [Fact]
    public void A_write_transfer_fills_memory_until_terminal_count()
    {
        ProgramFloppy(mode: 0x46, address: 0x1000, count: 3);
        Assert.Equal(4, _dma.Channel(2).ToMemory([1, 2, 3, 4, 5], out bool terminalCount));
        Assert.True(terminalCount);
        Assert.Equal([1, 2, 3, 4, 0], _memory.Bytes[0x51000..0x51005]);
        // Terminal count masks the channel and shows in the status once.
        Assert.False(_dma.Channel(2).IsReady);
        Assert.Equal(0x04u, _dma.ByteController.ReadPort(8, 1));
        Assert.Equal(0x00u, _dma.ByteController.ReadPort(8, 1));
        Assert.Equal(0xffffu, Current(5));
    }

    [Fact]
    public void A_read_transfer_takes_from_memory_and_continues_where_it_stopped()
    {
        for (int i = 0; i < 8; i++) _memory.Bytes[0x51000 + i] = (byte)(i + 1);
        ProgramFloppy(mode: 0x4a, address: 0x1000, count: 7);
        byte[] data = new byte[4];
        Assert.Equal(4, _dma.Channel(2).FromMemory(data, out bool terminalCount));
        Assert.False(terminalCount);
        Assert.Equal(0x1004u, Current(4));
        Assert.Equal(3u, Current(5));
        Assert.Equal(4, _dma.Channel(2).FromMemory(data, out terminalCount));
        Assert.True(terminalCount);
        Assert.Equal([5, 6, 7, 8], data);
    }

    [Fact]
    public void Verify_moves_counts_but_no_data()
    {
        ProgramFloppy(mode: 0x42, address: 0x1000, count: 1);
        Assert.Equal(2, _dma.Channel(2).ToMemory([1, 2], out bool terminalCount));
        Assert.True(terminalCount);
        Assert.Equal([0, 0], _memory.Bytes[0x51000..0x51002]);
    }

    [Fact]
    public void The_wrong_direction_moves_nothing()
    {
        ProgramFloppy(mode: 0x4a, address: 0x1000, count: 1);
        Assert.Equal(0, _dma.Channel(2).ToMemory([1, 2], out bool terminalCount));
        Assert.False(terminalCount);
    }

    [Fact]
    public void Auto_initialize_reloads_and_leaves_the_channel_open()
    {
        ProgramFloppy(mode: 0x56, address: 0x1000, count: 1);
        Assert.Equal(2, _dma.Channel(2).ToMemory([1, 2, 3], out bool terminalCount));
        Assert.True(terminalCount);
        Assert.Equal(0x1000u, Current(4));
        Assert.True(_dma.Channel(2).IsReady);
    }

    [Fact]
    public void Decrement_goes_down_and_the_page_does_not_change()
    {
        ProgramFloppy(mode: 0x66, address: 0x0001, count: 2);
        Assert.Equal(3, _dma.Channel(2).ToMemory([1, 2, 3], out _));
        Assert.Equal([2, 1], _memory.Bytes[0x50000..0x50002]);
        Assert.Equal(3, _memory.Bytes[0x5ffff]);
    }

    [Fact]
    public void An_address_wraps_inside_its_page()
    {
        ProgramFloppy(mode: 0x46, address: 0xffff, count: 1);
        Assert.Equal(2, _dma.Channel(2).ToMemory([7, 8], out _));
        Assert.Equal(7, _memory.Bytes[0x5ffff]);
        Assert.Equal(8, _memory.Bytes[0x50000]);
    }

    [Fact]
    public void Word_channels_count_words_at_even_addresses_of_128_k_pages()
    {
        _dma.WordController.WritePort(0x16, 1, 0x45);
        _dma.WordController.WritePort(0x18, 1, 0);
        _dma.WordController.WritePort(0x04, 1, 0x00);
        _dma.WordController.WritePort(0x04, 1, 0x08);
        _dma.WordController.WritePort(0x06, 1, 1);
        _dma.WordController.WritePort(0x06, 1, 0);
        _dma.PageRegisters.WritePort(0x0a, 1, 0x03);
        _dma.WordController.WritePort(0x14, 1, 1);
        Assert.Equal(4, _dma.Channel(5).ToMemory([1, 2, 3, 4, 5, 6], out bool terminalCount));
        Assert.True(terminalCount);
        Assert.Equal([1, 2, 3, 4, 0], _memory.Bytes[0x21000..0x21005]);
        Assert.Equal(0x03u, _dma.PageRegisters.ReadPort(0x0a, 1));
    }

    [Fact]
    public void Masks_requests_and_master_clear_show_in_the_registers()
    {
        _dma.ByteController.WritePort(15, 1, 0x05);
        Assert.Equal(0x05u, _dma.ByteController.ReadPort(15, 1));
        _dma.Channel(1).SetRequest(true);
        Assert.Equal(0x20u, _dma.ByteController.ReadPort(8, 1));
        _dma.ByteController.WritePort(14, 1, 0);
        Assert.Equal(0u, _dma.ByteController.ReadPort(15, 1));
        _dma.ByteController.WritePort(13, 1, 0);
        Assert.Equal(15u, _dma.ByteController.ReadPort(15, 1));
    }

    [Fact]
    public void Dma_state_survives()
    {
        ProgramFloppy(mode: 0x46, address: 0x1234, count: 77);
        StateOf.AssertRoundTrip(_dma, new Dma8237(_memory));
    }

    [Fact]
    public void Port_61_gates_timer_2_and_shows_its_output()
    {
        _control.Port61.WritePort(0, 1, 1);
        _pit.WritePort(3, 1, 0xb0);
        _pit.WritePort(2, 1, 10);
        _pit.WritePort(2, 1, 0);
        Assert.Equal(0x01u, _control.Port61.ReadPort(0, 1) & 0x2f);
        _time.Advance(10_000);
        Assert.Equal(0x21u, _control.Port61.ReadPort(0, 1) & 0x2f);
    }

    [Fact]
    public void The_refresh_bit_toggles_every_15_microseconds()
    {
        int toggles = 0;
        uint last = 0;
        for (int i = 0; i < 1000; i++)
        {
            _time.Advance(1000);
            uint bit = _control.Port61.ReadPort(0, 1) & 0x10;
            if (bit != last) toggles++;
            last = bit;
        }
        Assert.Equal(66, toggles);
    }

    [Fact]
    public void Port_92_switches_a20_and_resets_on_a_rising_bit()
    {
        var levels = new List<bool>();
        int resets = 0;
        _control.A20Changed = levels.Add;
        _control.ResetRequested = () => resets++;
        Assert.Equal(2u, _control.Port92.ReadPort(0, 1));
        _control.Port92.WritePort(0, 1, 0);
        _control.A20 = true;
        _control.Port92.WritePort(0, 1, 3);
        _control.Port92.WritePort(0, 1, 3);
        Assert.Equal([false, true], levels);
        Assert.Equal(1, resets);
    }

    [Fact]
    public void A_coprocessor_error_holds_irq_13_until_port_f0_is_written()
    {
        _control.SetFerr(true);
        _control.SetFerr(false);
        Assert.True(_lines.Level[13]);
        _control.PortF0.WritePort(0, 1, 0);
        Assert.False(_lines.Level[13]);
    }

    [Fact]
    public void Post_codes_are_reported_and_read_back()
    {
        var codes = new List<byte>();
        _control.PostCodeWritten = codes.Add;
        _control.Port80.WritePort(0, 1, 0x42);
        Assert.Equal([0x42], codes);
        Assert.Equal(0x42u, _control.Port80.ReadPort(0, 1));
        StateOf.AssertRoundTrip(_control, new SystemControl(_pit, _lines.Line(14)));
    }

    private void ProgramFloppy(byte mode, int address, int count)
    {
        _dma.ByteController.WritePort(12, 1, 0);
        _dma.ByteController.WritePort(11, 1, mode);
        _dma.ByteController.WritePort(4, 1, (byte)address);
        _dma.ByteController.WritePort(4, 1, (byte)(address >> 8));
        _dma.ByteController.WritePort(5, 1, (byte)count);
        _dma.ByteController.WritePort(5, 1, (byte)(count >> 8));
        _dma.PageRegisters.WritePort(0, 1, 0x05);
        _dma.ByteController.WritePort(10, 1, 2);
    }

    private uint Current(int register)
    {
        _dma.ByteController.WritePort(12, 1, 0);
        return _dma.ByteController.ReadPort(register, 1) | _dma.ByteController.ReadPort(register, 1) << 8;
    }

    private sealed class TestMemory : IDmaMemory
    {
        public byte[] Bytes { get; } = new byte[0x100000];

        public void Read(uint physical, Span<byte> destination) => Bytes.AsSpan((int)physical, destination.Length).CopyTo(destination);

        public void Write(uint physical, ReadOnlySpan<byte> source) => source.CopyTo(Bytes.AsSpan((int)physical));
    }
}
