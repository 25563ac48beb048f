// The VGA, as facts from the IBM PS/2 Hardware Interface Technical Reference.
using Emu86.Devices.Video;

namespace Emu86.Tests.Devices.Video;

public sealed class VgaTests
{
    private readonly DeviceRig _rig = new();
    private readonly Vga _vga;

    public VgaTests() => _vga = new(_rig.Clock);

    private byte In(int port) => (byte)_vga.ReadPort(port - 0x3b0, 1);

    private void Out(int port, int value) => _vga.WritePort(port - 0x3b0, 1, (uint)value);

    private void Sequencer(int index, int value)
    {
        Out(0x3c4, index);
        Out(0x3c5, value);
    }

    private void Graphics(int index, int value)
    {
        Out(0x3ce, index);
        Out(0x3cf, value);
    }

    private void Crtc(int index, int value)
    {
        Out(0x3d4, index);
        Out(0x3d5, value);
    }

    private byte Plane(int plane, uint offset)
    {
        Graphics(5, 0);
        Graphics(4, plane);
        return (byte)_vga.Read(offset, 1);
    }

    /// <summary>A planar mode: window of 64 KiB, all planes, write mode 0, no set/reset.</summary>
    private void Planar()
    {
        Out(0x3c2, 0x63);
        Sequencer(2, 0x0f);
        Sequencer(4, 0x06);
        Graphics(0, 0);
        Graphics(1, 0);
        Graphics(3, 0);
        Graphics(5, 0);
        Graphics(6, 0x05);
        Graphics(8, 0xff);
    }

    /// <summary>Puts four plane bytes at an offset and loads them into the latches.</summary>
    private void Fill(uint offset, params byte[] planes)
    {
        Graphics(5, 0);
        for (int i = 0; i < 4; i++)
        {
            Sequencer(2, 1 << i);
            _vga.Write(offset, 1, planes[i]);
        }
        Sequencer(2, 0x0f);
        _vga.Read(offset, 1);
    }

    private byte[] PlanesAt(uint offset) => [Plane(0, offset), Plane(1, offset), Plane(2, offset), Plane(3, offset)];

    [Fact]
    public void Write_mode_0_rotates_and_combines_with_the_latches_under_the_bit_mask()
    {
        Planar();
        Fill(0, 0xf0, 0x0f, 0xaa, 0x00);
        Graphics(3, 0x18 | 4);                      // exclusive or, rotate right by 4
        Graphics(8, 0x3c);
        _vga.Write(1, 1, 0x5a);                     // a5h after rotation
        Assert.Equal([0xf0 ^ (0xa5 & 0x3c), 0x0f ^ (0xa5 & 0x3c), 0xaa ^ (0xa5 & 0x3c), 0xa5 & 0x3c], PlanesAt(1));
    }

    [Fact]
    public void Set_reset_replaces_the_data_of_enabled_planes_before_the_rotation_matters()
    {
        Planar();
        Graphics(0, 0x05);
        Graphics(1, 0x03);
        _vga.Write(0, 1, 0x81);
        Assert.Equal([0xff, 0x00, 0x81, 0x81], PlanesAt(0));
    }

    [Fact]
    public void Write_mode_1_copies_the_latches()
    {
        Planar();
        Fill(0, 1, 2, 3, 4);
        Graphics(5, 1);
        _vga.Write(0x100, 1, 0xff);
        Assert.Equal([1, 2, 3, 4], PlanesAt(0x100));
    }

    [Fact]
    public void Write_mode_2_expands_a_colour()
    {
        Planar();
        Fill(0, 0x11, 0x22, 0x33, 0x44);
        Graphics(5, 2);
        Graphics(8, 0x0f);
        _vga.Write(0, 1, 0x0a);
        Assert.Equal([0x10, 0x2f, 0x30, 0x4f], PlanesAt(0));
    }

    [Fact]
    public void Write_mode_3_uses_the_data_as_a_bit_mask_of_the_set_reset_colour()
    {
        Planar();
        Fill(0, 0, 0, 0xff, 0xff);
        Graphics(0, 0x03);
        Graphics(5, 3);
        Graphics(8, 0xf0);
        _vga.Write(0, 1, 0x3c);
        Assert.Equal([0x30, 0x30, 0xcf, 0xcf], PlanesAt(0));
    }

    [Fact]
    public void The_map_mask_protects_planes()
    {
        Planar();
        Fill(0, 1, 2, 3, 4);
        Sequencer(2, 0x0a);
        _vga.Write(0, 1, 0x77);
        Assert.Equal([1, 0x77, 3, 0x77], PlanesAt(0));
    }

    [Fact]
    public void Read_mode_1_compares_colours_of_the_planes_that_matter()
    {
        Planar();
        Fill(0, 0b1100, 0b1010, 0x00, 0xff);
        Graphics(5, 8);
        Graphics(2, 0x03);
        Graphics(7, 0x03);
        Assert.Equal(0b1000u, _vga.Read(0, 1));
        Graphics(7, 0x00);
        Assert.Equal(0xffu, _vga.Read(0, 1));
    }

    [Fact]
    public void Chain_4_spreads_four_bytes_over_the_planes()
    {
        Planar();
        Sequencer(4, 0x0e);
        _vga.Write(8, 4, 0x44332211);
        Assert.Equal(0x44332211u, _vga.Read(8, 4));
        Sequencer(4, 0x06);
        Assert.Equal([0x11, 0x22, 0x33, 0x44], PlanesAt(8));
    }

    [Theory]
    [InlineData(0, 0x00000, 0x1ffff)]
    [InlineData(1, 0x00000, 0x0ffff)]
    [InlineData(2, 0x10000, 0x17fff)]
    [InlineData(3, 0x18000, 0x1ffff)]
    public void The_memory_map_select_moves_the_window(int select, int first, int last)
    {
        Planar();
        Graphics(6, (select << 2) | 1);
        foreach (int offset in new[] { 0, 0xffff, 0x10000, 0x17fff, 0x18000, 0x1ffff })
        {
            _vga.Write((uint)offset, 1, 0x5a);
            Assert.Equal(offset >= first && offset <= last ? 0x5au : 0xffu, _vga.Read((uint)offset, 1));
        }
        Out(0x3c2, 0x61);
        Assert.Equal(0xffu, _vga.Read((uint)first, 1));
    }

    [Fact]
    public void Text_mode_puts_characters_in_plane_0_and_attributes_in_plane_1()
    {
        _vga.SetTextMode();
        _vga.Write(0x18000, 4, 0x1f421e41);
        Assert.Equal(0x1f421e41u, _vga.Read(0x18000, 4));
        Sequencer(4, 0x06);
        Graphics(6, 0x05);
        Assert.Equal([0x41, 0x1e, 0x00, 0x00], PlanesAt(0));
        Assert.Equal([0x42, 0x1f, 0x00, 0x00], PlanesAt(2));
    }

    [Fact]
    public void The_text_screen_follows_start_address_cursor_and_palette()
    {
        _vga.SetTextMode();
        string text = "Hello, VGA";
        for (int i = 0; i < text.Length; i++) _vga.Write((uint)(0x18000 + (160 * 3) + (2 * i)), 2, 0x1e00u | text[i]);
        Crtc(0x0e, 0);
        Crtc(0x0f, 250);
        TextScreen screen = _vga.Capture();
        Assert.Equal((80, 25, true, false), (screen.Columns, screen.Rows, screen.IsText, screen.IsBlank));
        Assert.Equal((16, 9, true), (screen.CharacterHeight, screen.CharacterWidth, screen.Blinks));
        Assert.Equal(text, screen.Line(3));
        Assert.Equal("", screen.Line(2));
        Assert.Equal(0x1e48, screen.Cells[240]);
        Assert.Equal((10, 3), screen.Cursor);
        Assert.Equal((13, 14), screen.CursorLines);
        Assert.Equal([0x000000u, 0x0000aau, 0xaa5500u, 0xffffffu], [screen.Palette[0], screen.Palette[1], screen.Palette[6], screen.Palette[15]]);

        Crtc(0x0d, 80);                              // scrolled by a row
        Crtc(0x0a, 0x2d);
        screen = _vga.Capture();
        Assert.Equal(text, screen.Line(2));
        Assert.Null(screen.Cursor);
        Crtc(0x07, 0x0f);                            // line compare bits 8, 9 and 7-0: line 31 is the last
        Crtc(0x09, 0x0f);
        Crtc(0x18, 31);                              // so the third row starts again at address 0
        Assert.Equal(text, _vga.Capture().Line(5));
    }

    [Fact]
    public void Fonts_come_from_plane_2_by_the_character_map_select()
    {
        Planar();
        Sequencer(2, 0x04);
        _vga.Write(0x4000 + (65 * 32) + 7, 1, 0x99);
        _vga.Write(0x2000 + (66 * 32), 1, 0x77);
        Sequencer(3, 0x21);                          // B: map 1, A: map 4
        byte[] fonts = _vga.Capture().Fonts;
        Assert.Equal(0x99, fonts[(65 * 32) + 7]);
        Assert.Equal(0x77, fonts[8192 + (66 * 32)]);
    }

    [Fact]
    public void The_version_moves_only_when_the_screen_can_have_changed()
    {
        _vga.SetTextMode();
        ulong version = _vga.Version;
        _vga.Write(0x18000, 2, 0x0720);
        _vga.Read(0x18000, 4);
        In(0x3da);
        Crtc(0x0f, 0);
        Assert.Equal(version, _vga.Version);
        _vga.Write(0x18000, 2, 0x0741);
        Assert.NotEqual(version, _vga.Version);
        version = _vga.Version;
        Crtc(0x0f, 1);
        Assert.NotEqual(version, _vga.Version);
    }

    [Fact]
    public void The_attribute_flip_flop_is_reset_by_input_status_1()
    {
        _vga.SetTextMode();
        In(0x3da);
        Out(0x3c0, 0x05);
        Out(0x3c0, 0x2a);
        Out(0x3c0, 0x06);
        In(0x3da);
        Out(0x3c0, 0x05);
        Assert.Equal(0x2a, In(0x3c1));
        Assert.True(_vga.Capture().IsBlank);
        In(0x3da);
        Out(0x3c0, 0x20);
        Assert.False(_vga.Capture().IsBlank);
    }

    [Fact]
    public void The_dac_takes_three_components_and_counts_up()
    {
        Out(0x3c8, 10);
        foreach (int value in new[] { 1, 2, 0x43, 4, 5, 6 }) Out(0x3c9, value);
        Assert.Equal(12, In(0x3c8));
        Assert.Equal(0, In(0x3c7));
        Out(0x3c7, 10);
        Assert.Equal(3, In(0x3c7));
        Assert.Equal([1, 2, 3, 4, 5, 6], Enumerable.Range(0, 6).Select(_ => (int)In(0x3c9)));
    }

    [Fact]
    public void Crtc_registers_0_to_7_are_protected_but_for_the_line_compare_bit()
    {
        _vga.SetTextMode();
        Crtc(0x01, 0x27);
        Crtc(0x07, 0x00);
        Out(0x3d4, 0x01);
        Assert.Equal(0x4f, In(0x3d5));
        Out(0x3d4, 0x07);
        Assert.Equal(0x0f, In(0x3d5));
        Crtc(0x11, 0x0e);
        Crtc(0x01, 0x27);
        Out(0x3d4, 0x01);
        Assert.Equal(0x27, In(0x3d5));
    }

    [Fact]
    public void The_crtc_moves_to_3bx_in_monochrome()
    {
        _vga.SetTextMode();
        Out(0x3d4, 0x0a);
        Out(0x3c2, 0x66);
        Assert.Equal(0xff, In(0x3d5));
        Assert.Equal(0x0d, In(0x3b5));
        Assert.Equal(0xff, In(0x3da));
    }

    [Fact]
    public void Vertical_retrace_comes_70_times_a_second_of_virtual_time()
    {
        _vga.SetTextMode();
        int retraces = 0;
        int blankings = 0;
        bool before = true;
        for (int i = 0; i < 100_000; i++)
        {
            _rig.Advance(10_000);
            byte status = In(0x3da);
            bool retrace = (status & 8) != 0;
            if (retrace && !before) retraces++;
            if ((status & 1) != 0) blankings++;
            Assert.False(retrace && (status & 1) == 0);
            before = retrace;
        }
        Assert.InRange(retraces, 69, 71);
        Assert.InRange(blankings, 25_000, 30_000);   // 1 - (720 × 400) / (900 × 449)
    }

    [Fact]
    public void State_saves_and_loads()
    {
        _vga.SetTextMode();
        _vga.Write(0x18000, 2, 0x1234);
        _vga.Read(0x18000, 1);
        Out(0x3c8, 3);
        Out(0x3c9, 1);
        var other = new Vga(new DeviceRig().Clock);
        DeviceRig.AssertRoundTrip(_vga, other);
        Assert.Equal(_vga.Capture().Cells, other.Capture().Cells);
    }
}
