// Keyboard controller, keyboard and mouse as a driver sees them through ports 60h and 64h.
using Emu86.Chipset;
using Emu86.Devices.Input;
using Emu86.Tests.Chipset;

namespace Emu86.Tests.Devices.Input;

public sealed class I8042Tests
{
    private readonly TestTime _time = new();
    private readonly TestLines _lines = new();
    private readonly Ps2Keyboard _keyboard;
    private readonly Ps2Mouse _mouse;
    private readonly I8042 _controller;
    private bool _a20 = true;
    private int _resets;

    public I8042Tests()
    {
        _keyboard = new Ps2Keyboard(_time.Clock, _time.Events);
        _mouse = new Ps2Mouse(_time.Clock, _time.Events);
        _controller = new I8042(
            _time.Clock, _time.Events, _keyboard, _mouse, _lines.Line(1), _lines.Line(12), () => _a20, on => _a20 = on)
        {
            ResetRequested = () => _resets++,
        };
    }

    [Fact]
    public void Self_tests_pass_and_set_the_system_flag()
    {
        Assert.Equal(0x10, Status);
        Command(0xaa);
        Assert.Equal([0x55], ReadAll());
        Command(0xab);
        Command(0xa9);
        Assert.Equal([0x00, 0x00], ReadAll());
        Assert.Equal(0x04, Status & 0x04);
    }

    [Fact]
    public void The_command_byte_and_the_ram_read_back()
    {
        SetCommandByte(0x47);
        Command(0x20);
        Assert.Equal([0x47], ReadAll());
        Command(0x6f);
        Data(0x5a);
        Command(0x2f);
        Assert.Equal([0x5a], ReadAll());
    }

    [Fact]
    public void A_key_takes_its_time_and_interrupts_once_per_byte()
    {
        SetCommandByte(0x41);
        _keyboard.InjectKey(0x1e, down: true);
        _time.Advance(659_999);
        Assert.Equal(0, Status & 1);
        _time.Advance(1);
        Assert.Equal(1, Status & 1);
        Assert.True(_lines.Level[1]);
        Assert.Equal(0x1e, In());
        Assert.False(_lines.Level[1]);
    }

    [Fact]
    public void With_translation_the_guest_sees_set_1_for_every_key()
    {
        SetCommandByte(0x40);
        for (byte key = 1; key <= 0x58; key++)
        {
            if (key is 0x55) continue;
            _keyboard.Inject([key]);
            _keyboard.Inject([(byte)(key | 0x80)]);
            Assert.Equal([key, (byte)(key | 0x80)], ReadAll());
        }
    }

    [Fact]
    public void Extended_keys_print_screen_and_pause_keep_their_sequences()
    {
        SetCommandByte(0x40);
        byte[] sequence = [0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5];
        _keyboard.Inject(sequence);
        Assert.Equal(sequence, ReadAll());
    }

    [Fact]
    public void Without_translation_keys_come_in_set_2()
    {
        SetCommandByte(0x00);
        _keyboard.Inject([0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41]);
        Assert.Equal([0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0x83], ReadAll());
    }

    [Fact]
    public void Scan_code_sets_1_and_3_can_be_chosen()
    {
        SetCommandByte(0x00);
        Data(0xf0);
        Data(1);
        _keyboard.Inject([0x1e, 0x9e]);
        Assert.Equal([0xfa, 0xfa, 0x1e, 0x9e], ReadAll());
        Data(0xf0);
        Data(3);
        _keyboard.Inject([0x1e, 0x9e, 0x2a, 0xaa, 0x01]);
        Assert.Equal([0xfa, 0xfa, 0x1c, 0x12, 0xf0, 0x12, 0x08], ReadAll());
        Data(0xf8);
        _keyboard.Inject([0x1e, 0x9e]);
        Data(0xf0);
        Data(0);
        Assert.Equal([0xfa, 0xfa, 0xfa, 3, 0x1c, 0xf0, 0x1c], ReadAll());
    }

    [Fact]
    public void Keyboard_reset_acknowledges_and_reports_its_test()
    {
        SetCommandByte(0x00);
        Data(0xff);
        _time.Advance(1_000_000);
        Assert.Equal(0xfa, In());
        _time.Advance(2_000_000);
        Assert.Equal(0, Status & 1);
        Assert.Equal([0xaa], ReadAll());
    }

    [Fact]
    public void Keyboard_answers_identity_echo_leds_rate_and_resend()
    {
        SetCommandByte(0x00);
        Data(0xf2);
        Assert.Equal([0xfa, 0xab, 0x83], ReadAll());
        Data(0xee);
        Assert.Equal([0xee], ReadAll());
        Data(0xfe);
        Assert.Equal([0xee], ReadAll());
        Data(0xed);
        Data(0x05);
        Assert.Equal([0xfa, 0xfa], ReadAll());
        Assert.Equal(5, _keyboard.Leds);
        Data(0xf3);
        Data(0x20);
        Assert.Equal([0xfa, 0xfa], ReadAll());
        Data(0xf1);
        Assert.Equal([0xfe], ReadAll());
    }

    [Fact]
    public void A_disabled_keyboard_sends_no_keys()
    {
        SetCommandByte(0x40);
        Data(0xf5);
        _keyboard.Inject([0x1e]);
        Assert.Equal([0xfa], ReadAll());
        Data(0xf4);
        _keyboard.Inject([0x1e]);
        Assert.Equal([0xfa, 0x1e], ReadAll());
    }

    [Fact]
    public void A_disabled_interface_holds_the_byte_back()
    {
        SetCommandByte(0x40);
        Command(0xad);
        _keyboard.Inject([0x1e]);
        Assert.Empty(ReadAll());
        Command(0xae);
        Assert.Equal([0x1e], ReadAll());
    }

    [Fact]
    public void The_output_port_has_a20_and_reset()
    {
        Command(0xd1);
        Data(0xdd);
        Assert.False(_a20);
        Command(0xd0);
        Assert.Equal([0xc1], ReadAll());
        Command(0xd1);
        Data(0xdf);
        Assert.True(_a20);
        Assert.Equal(0, _resets);
        Command(0xfe);
        Assert.Equal(1, _resets);
        Command(0xff);
        Assert.Equal(1, _resets);
    }

    [Fact]
    public void Bytes_can_be_put_into_the_output_buffer_as_from_either_device()
    {
        SetCommandByte(0x03);
        Command(0xd2);
        Data(0x11);
        Assert.True(_lines.Level[1]);
        Assert.Equal(0x11, In());
        Command(0xd3);
        Data(0x22);
        Assert.True(_lines.Level[12]);
        Assert.Equal(0x20, Status & 0x20);
        Assert.Equal(0x22, In());
        Assert.False(_lines.Level[12]);
    }

    [Fact]
    public void The_mouse_resets_identifies_and_reports_its_status()
    {
        SetCommandByte(0x02);
        Mouse(0xff);
        Assert.Equal([0xfa, 0xaa, 0x00], ReadAll());
        Mouse(0xf2);
        Assert.Equal([0xfa, 0x00], ReadAll());
        Mouse(0xe9);
        Assert.Equal([0xfa, 0x00, 0x02, 100], ReadAll());
        Assert.True(_lines.Rises[12] >= 9);
    }

    [Fact]
    public void Mouse_packets_carry_signs_buttons_and_rest()
    {
        EnableMouse();
        _mouse.Inject(5, -3, 0, 1);
        Assert.Equal([0x29, 0x05, 0xfd], ReadAll());
        _mouse.Inject(300, 0, 0, 0);
        Assert.Equal([0x08, 0xff, 0x00, 0x08, 45, 0x00], ReadAll());
    }

    [Fact]
    public void The_knock_of_three_rates_enables_the_wheel()
    {
        EnableMouse();
        foreach (byte rate in (byte[])[200, 100, 80])
        {
            Mouse(0xf3);
            Mouse(rate);
        }
        ReadAll();
        Mouse(0xf2);
        Assert.Equal([0xfa, 0x03], ReadAll());
        _mouse.Inject(0, 0, -1, 4);
        Assert.Equal([0x0c, 0x00, 0x00, 0xff], ReadAll());
        foreach (byte rate in (byte[])[200, 200, 80])
        {
            Mouse(0xf3);
            Mouse(rate);
        }
        ReadAll();
        Mouse(0xf2);
        Assert.Equal([0xfa, 0x04], ReadAll());
        _mouse.Inject(0, 0, 1, 0x10);
        Assert.Equal([0x08, 0x00, 0x00, 0x21], ReadAll());
    }

    [Fact]
    public void In_remote_mode_packets_come_only_when_read()
    {
        EnableMouse();
        Mouse(0xf0);
        ReadAll();
        _mouse.Inject(7, 0, 0, 0);
        Assert.Empty(ReadAll());
        Mouse(0xeb);
        Assert.Equal([0xfa, 0x08, 0x07, 0x00], ReadAll());
    }

    [Fact]
    public void Wrap_mode_echoes_until_it_is_left()
    {
        EnableMouse();
        Mouse(0xee);
        Mouse(0x55);
        Assert.Equal([0xfa, 0x55], ReadAll().TakeLast(2));
        Mouse(0xec);
        Assert.Equal([0xfa], ReadAll());
    }

    [Fact]
    public void Movement_is_sampled_at_the_programmed_rate()
    {
        EnableMouse();
        _mouse.Inject(1, 0, 0, 0);
        _mouse.Inject(1, 0, 0, 0);
        _mouse.Inject(1, 0, 0, 0);
        Assert.Equal([0x08, 0x01, 0x00, 0x08, 0x02, 0x00], ReadAll());
    }

    [Fact]
    public void State_of_all_three_survives()
    {
        EnableMouse();
        _keyboard.Inject([0x1e, 0x9e, 0x30]);
        _mouse.Inject(1, 2, 3, 4);
        _time.Advance(700_000);
        var time = new TestTime();
        var keyboard = new Ps2Keyboard(time.Clock, time.Events);
        var mouse = new Ps2Mouse(time.Clock, time.Events);
        var copy = new I8042(time.Clock, time.Events, keyboard, mouse, _lines.Line(31), _lines.Line(32), () => true, _ => { });
        StateOf.AssertRoundTrip(_keyboard, keyboard);
        StateOf.AssertRoundTrip(_mouse, mouse);
        StateOf.AssertRoundTrip(_controller, copy);
    }

    private byte Status => (byte)_controller.CommandPort.ReadPort(0, 1);

    private void Command(byte value) => _controller.CommandPort.WritePort(0, 1, value);

    private void Data(byte value) => _controller.DataPort.WritePort(0, 1, value);

    private byte In() => (byte)_controller.DataPort.ReadPort(0, 1);

    private void SetCommandByte(byte value)
    {
        Command(0x60);
        Data(value);
    }

    private void Mouse(byte value)
    {
        Command(0xd4);
        Data(value);
        if (value != 0xeb) _time.Advance(700_000);
    }

    private void EnableMouse()
    {
        SetCommandByte(0x42);
        Mouse(0xf4);
        Assert.Equal([0xfa], ReadAll());
    }

    /// <summary>Reads what comes within 100 ms.</summary>
    private byte[] ReadAll()
    {
        var bytes = new List<byte>();
        for (int i = 0; i < 1000; i++)
        {
            while ((Status & 1) != 0) bytes.Add(In());
            _time.Advance(100_000);
        }
        return [.. bytes];
    }
}
