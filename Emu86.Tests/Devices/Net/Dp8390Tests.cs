// The network interface controller, as facts from the DP8390D datasheet, through an NE2000's ports.
using Emu86.Devices.Net;

namespace Emu86.Tests.Devices.Net;

public sealed class Dp8390Tests
{
    private static readonly byte[] Address = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

    private readonly DeviceRig _rig = new();
    private readonly IrqProbe _irq = new();
    private readonly FrameLog _wire = new();
    private readonly Ne2000 _card;

    public Dp8390Tests() => _card = Build(_rig);

    private Ne2000 Build(DeviceRig rig) => new("net0", Address, rig.Clock, rig.Events, _irq.Line, _wire);

    private byte In(int port) => (byte)_card.ReadPort(port, 1);

    private void Out(int port, int value) => _card.WritePort(port, 1, (uint)value);

    /// <summary>What a driver does: word mode, transmit buffer at 40h, ring from 46h to 60h, all interrupts.</summary>
    private void Start(int receiveConfig = 0x04, int stopPage = 0x60)
    {
        Out(0x00, 0x21);
        Out(0x0e, 0x49);
        Out(0x0c, receiveConfig);
        Out(0x0d, 0x00);
        Out(0x01, 0x46);
        Out(0x02, stopPage);
        Out(0x03, 0x46);
        Out(0x07, 0xff);
        Out(0x0f, 0x7f);
        Out(0x00, 0x61);
        for (int i = 0; i < 6; i++) Out(1 + i, Address[i]);
        Out(0x07, 0x47);
        Out(0x00, 0x22);
    }

    private void Remote(int command, int address, int count)
    {
        Out(0x08, address & 0xff);
        Out(0x09, address >> 8);
        Out(0x0a, count & 0xff);
        Out(0x0b, count >> 8);
        Out(0x00, command);
    }

    private byte[] ReadMemory(int address, int count)
    {
        Remote(0x0a, address, count);
        byte[] data = new byte[count];
        for (int i = 0; i < count; i += 2)
        {
            uint word = _card.ReadPort(0x10, 2);
            data[i] = (byte)word;
            if (i + 1 < count) data[i + 1] = (byte)(word >> 8);
        }
        return data;
    }

    private void WriteMemory(int address, byte[] data)
    {
        Remote(0x12, address, data.Length);
        for (int i = 0; i < data.Length; i += 2) _card.WritePort(0x10, 2, (uint)(data[i] | (i + 1 < data.Length ? data[i + 1] << 8 : 0)));
    }

    private byte Current()
    {
        Out(0x00, 0x62);
        byte current = In(0x07);
        Out(0x00, 0x22);
        return current;
    }

    private static byte[] Frame(byte[] destination, int length)
    {
        byte[] frame = [.. Enumerable.Range(0, length).Select(i => (byte)(i * 3))];
        destination.CopyTo(frame, 0);
        return frame;
    }

    [Fact]
    public void Reset_port_stops_the_controller()
    {
        Start();
        In(0x18);
        Assert.Equal(0x21, In(0x00));
        Assert.Equal(0x80, In(0x07));
        Out(0x07, 0xff);
        Assert.Equal(0x80, In(0x07));
        Out(0x00, 0x22);
        Assert.Equal(0x00, In(0x07));
    }

    [Fact]
    public void The_prom_is_doubled_and_marked_as_16_bit()
    {
        Start();
        byte[] prom = ReadMemory(0, 32);
        Assert.Equal(Address, Enumerable.Range(0, 6).Select(i => prom[2 * i]));
        Assert.Equal(Address, Enumerable.Range(0, 6).Select(i => prom[(2 * i) + 1]));
        Assert.Equal([0x57, 0x57, 0x57, 0x57], prom[28..]);
        Remote(0x0a, 0, 32);
        Assert.Equal(Address, Enumerable.Range(0, 6).Select(_ => In(0x10)));      // word mode: a byte access moves a word
    }

    [Fact]
    public void Remote_dma_moves_words_and_says_when_it_is_done()
    {
        Start();
        byte[] data = [.. Enumerable.Range(1, 300).Select(i => (byte)i)];
        WriteMemory(0x4000, data);
        Assert.Equal(0x40, In(0x07));
        Assert.True(_irq.Level);
        Out(0x07, 0x40);
        Assert.False(_irq.Level);
        Assert.Equal(data, ReadMemory(0x4000, 300));
        Assert.Equal(0x40, In(0x07));
        Assert.Equal(0x4000 + 300, In(0x08) | (In(0x09) << 8));
        Assert.Equal(0xffffu, _card.ReadPort(0x10, 2));
    }

    [Fact]
    public void Remote_dma_moves_bytes_in_byte_mode()
    {
        Start();
        Out(0x0e, 0x48);
        Remote(0x12, 0x4100, 3);
        foreach (byte b in new byte[] { 1, 2, 3 }) Out(0x10, b);
        Remote(0x0a, 0x4100, 3);
        Assert.Equal([1, 2, 3], Enumerable.Range(0, 3).Select(_ => (int)In(0x10)));
        Assert.Equal(0x40, In(0x07));
    }

    [Fact]
    public void A_frame_to_this_station_enters_the_ring_with_its_header()
    {
        Start();
        byte[] frame = Frame(Address, 100);
        Assert.True(_card.Controller.Receive(frame));
        Assert.True(_irq.Level);
        Assert.Equal(0x01, In(0x07));
        Assert.Equal(0x48, Current());
        byte[] stored = ReadMemory(0x4700, 108);
        Assert.Equal([0x01, 0x48, 104, 0], stored[..4]);
        Assert.Equal(frame, stored[4..104]);
    }

    [Fact]
    public void Short_frames_are_padded_to_60_bytes_both_ways()
    {
        Start();
        Assert.True(_card.Controller.Receive(Frame(Address, 42)));
        byte[] stored = ReadMemory(0x4700, 64);
        Assert.Equal(64, stored[2]);
        Assert.All(stored[46..64], b => Assert.Equal(0, b));
        Out(0x04, 0x40);
        Out(0x05, 20);
        Out(0x06, 0);
        Out(0x00, 0x26);
        _rig.Advance(1_000_000);
        Assert.Equal(60, _wire.Frames[0].Length);
    }

    [Fact]
    public void The_ring_wraps_at_page_stop_for_both_dma_channels()
    {
        Start(stopPage: 0x4a);                          // 46h-49h: four pages
        Assert.False(_card.Controller.Receive(Frame(Address, 700)));      // three pages from 47h leave none
        Out(0x07, 0xff);
        Out(0x03, 0x48);                                // room: 49h, 46h, 47h
        Out(0x00, 0x62);
        Out(0x07, 0x49);
        Out(0x00, 0x22);
        byte[] frame = Frame(Address, 300);
        Assert.True(_card.Controller.Receive(frame));
        Assert.Equal(0x47, Current());
        byte[] stored = ReadMemory(0x4900, 304);
        Assert.Equal([0x01, 0x47, 304 & 0xff, 1], stored[..4]);
        Assert.Equal(frame, stored[4..]);
    }

    [Fact]
    public void A_full_ring_sets_overwrite_and_tallies_the_frame()
    {
        Start(stopPage: 0x4a);
        Assert.True(_card.Controller.Receive(Frame(Address, 400)));     // 47h, 48h; next 49h
        Assert.False(_card.Controller.Receive(Frame(Address, 100)));    // would make the ring look empty
        Assert.Equal(0x15, In(0x07));
        Assert.Equal(0x10, In(0x0c));
        Assert.Equal(1, In(0x0f));
        Assert.Equal(0, In(0x0f));
        Out(0x03, 0x48);
        Assert.True(_card.Controller.Receive(Frame(Address, 100)));
    }

    [Fact]
    public void The_missed_tally_interrupts_at_128_and_stops_at_192()
    {
        Start(0x24);                                    // monitor mode
        for (int i = 0; i < 127; i++) Assert.False(_card.Controller.Receive(Frame(Address, 60)));
        Assert.Equal(0x04, In(0x07));
        _card.Controller.Receive(Frame(Address, 60));
        Assert.Equal(0x24, In(0x07));
        for (int i = 0; i < 100; i++) _card.Controller.Receive(Frame(Address, 60));
        Assert.Equal(192, In(0x0f));
    }

    [Fact]
    public void The_filter_knows_station_broadcast_multicast_and_promiscuous()
    {
        byte[] broadcast = [255, 255, 255, 255, 255, 255];
        byte[] multicast = [0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb];
        byte[] other = [0x52, 0x54, 0x00, 0x12, 0x34, 0x57];
        Start(0x00, 0x80);
        Assert.True(_card.Controller.Receive(Frame(Address, 60)));
        Assert.False(_card.Controller.Receive(Frame(broadcast, 60)));
        Assert.False(_card.Controller.Receive(Frame(multicast, 60)));
        Assert.False(_card.Controller.Receive(Frame(other, 60)));
        Assert.Equal(0, In(0x0f));
        Out(0x0c, 0x1c);
        Assert.True(_card.Controller.Receive(Frame(broadcast, 60)));
        Assert.Equal(0x21, In(0x0c));
        Assert.True(_card.Controller.Receive(Frame(other, 60)));
        Assert.False(_card.Controller.Receive(Frame(multicast, 60)));
        int hash = Hash(multicast);
        Out(0x00, 0x62);
        Out(0x08 + (hash >> 3), 1 << (hash & 7));
        Out(0x00, 0x22);
        Assert.True(_card.Controller.Receive(Frame(multicast, 60)));
    }

    /// <summary>The datasheet's way: a shift register, most significant bit first, generator 04C11DB7h.</summary>
    private static int Hash(byte[] address)
    {
        uint register = 0xffffffff;
        foreach (byte b in address)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                bool feedback = ((register >> 31) ^ ((uint)b >> bit & 1)) != 0;
                register <<= 1;
                if (feedback) register ^= 0x04c11db7;
            }
        }
        return (int)(register >> 26);
    }

    [Fact]
    public void Transmission_takes_its_bytes_at_ten_megabits()
    {
        Start();
        byte[] frame = Frame([1, 2, 3, 4, 5, 6], 1000);
        WriteMemory(0x4000, frame);
        Out(0x07, 0x40);
        Out(0x04, 0x40);
        Out(0x05, 1000 & 0xff);
        Out(0x06, 1000 >> 8);
        Out(0x00, 0x26);
        _rig.Advance((1000 + 24) * 800 - 10);
        Assert.Equal(0x26, In(0x00));
        Assert.Empty(_wire.Frames);
        _rig.Advance(10);
        Assert.Equal(0x22, In(0x00));
        Assert.Equal(0x02, In(0x07));
        Assert.Equal(0x01, In(0x04));
        Assert.Equal([frame], _wire.Frames);
        Assert.True(_irq.Level);
    }

    [Fact]
    public void A_stop_lets_the_packet_in_progress_out_first()
    {
        Start();
        Out(0x05, 60);
        Out(0x00, 0x26);
        Out(0x00, 0x21);
        Assert.Equal(0x00, In(0x07));
        _rig.Advance(1_000_000);
        Assert.Equal(0x82, In(0x07));
        Assert.Single(_wire.Frames);
    }

    [Fact]
    public void Loopback_ends_in_the_fifo_and_not_on_the_wire()
    {
        Start();
        Out(0x0d, 0x02);
        WriteMemory(0x4000, Frame(Address, 60));
        Out(0x07, 0xff);
        Out(0x04, 0x40);
        Out(0x05, 60);
        Out(0x06, 0);
        Out(0x00, 0x26);
        _rig.Advance(1_000_000);
        Assert.Empty(_wire.Frames);
        Assert.Equal(0x02, In(0x07));
        Assert.Equal(0x53, In(0x04));
        Assert.Equal(0x02, In(0x0c));
        byte[] fifo = [.. Enumerable.Range(0, 8).Select(_ => In(0x06))];
        Assert.Equal([64, 0, 0, 59 * 3], fifo[..4]);
        Assert.False(_card.Controller.Receive(Frame(Address, 60)));
    }

    [Fact]
    public void Send_packet_takes_length_and_next_page_from_the_header()
    {
        Start();
        Out(0x0e, 0x59);                                // send packet enabled
        Out(0x03, 0x47);
        byte[] frame = Frame(Address, 60);
        _card.Controller.Receive(frame);
        Out(0x07, 0xff);
        Out(0x00, 0x1a);
        byte[] data = new byte[64];
        for (int i = 0; i < 64; i += 2) BitConverter.TryWriteBytes(data.AsSpan(i), (ushort)_card.ReadPort(0x10, 2));
        Assert.Equal(frame, data[4..]);
        Assert.Equal(0x40, In(0x07));
        Assert.Equal(0x48, In(0x03));
    }

    [Fact]
    public void A_command_with_neither_STA_nor_STP_leaves_a_started_controller_on_line()
    {
        Start();
        Out(0x00, 0x60);
        Out(0x00, 0x20);
        Assert.True(_card.Controller.Receive(Frame(Address, 100)));
        Out(0x00, 0x21);
        Out(0x00, 0x20);
        Assert.False(_card.Controller.Receive(Frame(Address, 100)));
    }

    [Fact]
    public void A_stopped_controller_and_a_pulled_cable_receive_nothing()
    {
        Start();
        Out(0x00, 0x21);
        Assert.False(_card.Controller.Receive(Frame(Address, 60)));
        Out(0x00, 0x22);
        _card.Controller.SetLink(false);
        Assert.False(_card.Controller.Receive(Frame(Address, 60)));
        Out(0x05, 60);
        Out(0x00, 0x26);
        _rig.Advance(1_000_000);
        Assert.Empty(_wire.Frames);
        Assert.Equal(0x11, In(0x04));
        _card.Controller.SetLink(true);
        Assert.True(_card.Controller.Receive(Frame(Address, 60)));
    }

    [Fact]
    public void Page_2_shows_what_page_0_was_given()
    {
        Start(0x1c);
        Out(0x00, 0xa2);
        Assert.Equal([0x46, 0x60], [In(0x01), In(0x02)]);
        Assert.Equal([0xdc, 0xe0, 0xc9, 0xff], [In(0x0c), In(0x0d), In(0x0e), In(0x0f)]);
    }

    [Fact]
    public void State_saves_and_loads()
    {
        Start();
        _card.Controller.Receive(Frame(Address, 500));
        Remote(0x0a, 0x4700, 40);
        DeviceRig.AssertRoundTrip(_card.Controller, Build(new()).Controller);
    }
}
