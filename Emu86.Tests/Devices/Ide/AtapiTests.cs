// The ATAPI CD-ROM drive, as facts from ATA/ATAPI-6, SFF-8020i, MMC-3 and SPC-2.
using System.Buffers.Binary;
using System.Text;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Devices.Ide;

namespace Emu86.Tests.Devices.Ide;

public sealed class AtapiTests
{
    private const byte NotReady = 2, IllegalRequest = 5, UnitAttention = 6;

    private readonly AtapiRig _cd = AtapiRig.Ready();

    [Fact]
    public void Reset_leaves_the_packet_signature_and_a_status_of_zero()
    {
        var cd = new AtapiRig();
        Assert.Equal((1, 1, 0x14, 0xeb, 0), (cd.In(2), cd.In(3), cd.In(4), cd.In(5), cd.Status));
        cd.Channel.ControlPort.WritePort(0, 1, 4);
        Assert.Equal(0x80, cd.Status);
        cd.Channel.ControlPort.WritePort(0, 1, 0);
        cd.Wait();
        Assert.Equal((1, 1, 0x14, 0xeb, 0), (cd.In(2), cd.In(3), cd.In(4), cd.In(5), cd.Status));
    }

    [Theory]
    [InlineData(0xec)]
    [InlineData(0x20)]
    public void A_disk_command_is_aborted_and_shows_the_signature(byte command)
    {
        _cd.Out(7, command);
        _cd.Wait();
        Assert.Equal((0x51, 4, 0x14, 0xeb), (_cd.Status, _cd.Error, _cd.In(4), _cd.In(5)));
    }

    [Fact]
    public void Identify_packet_device_names_a_removable_CD_ROM_with_DMA()
    {
        _cd.Out(7, 0xa1);
        _cd.Wait();
        Assert.True(_cd.Irq.Level);
        Assert.Equal(0x58, _cd.Status);
        byte[] block = new byte[512];
        for (int i = 0; i < 512; i += 2) BinaryPrimitives.WriteUInt16LittleEndian(block.AsSpan(i), (ushort)_cd.Channel.ReadPort(0, 2));
        Assert.Equal(0x85c0, BinaryPrimitives.ReadUInt16LittleEndian(block));
        Assert.NotEqual(0, BinaryPrimitives.ReadUInt16LittleEndian(block.AsSpan(2 * 49)) & 0x100);
        Assert.Equal(0, block.Sum(b => b) & 0xff);
        Assert.Equal(0x50, _cd.Status);
        Assert.False(_cd.Irq.Level);
    }

    [Fact]
    public void Device_reset_ends_a_command_that_runs()
    {
        _cd.Packet(0xfffe, 1, 0x28, 0, 0, 0, 0, 0, 0, 0, 4);
        Assert.Equal(0x80, _cd.Status);                 // waits for the bus master
        _cd.Out(7, 0x08);
        _cd.Wait();
        Assert.Equal((0, 0x14, 0xeb), (_cd.Status, _cd.In(4), _cd.In(5)));
        Assert.Empty(_cd.Pio(0x00));
        Assert.Equal(0x50, _cd.Status);
    }

    [Fact]
    public void Power_on_is_a_unit_attention_once_that_inquiry_leaves_there()
    {
        var cd = new AtapiRig();
        Assert.Equal(36, cd.Pio(0x12, 0, 0, 0, 36).Length);
        cd.Fails((UnitAttention, 0x29, 0), 0x00);
        cd.Pio(0x00);
        Assert.Equal(0x50, cd.Status);
    }

    [Fact]
    public void Inquiry_is_a_removable_CD_ROM_cut_to_the_allocation_length()
    {
        byte[] reply = _cd.Pio(0x12, 0, 0, 0, 255);
        Assert.Equal((0x05, 0x80, 31, 36), (reply[0], reply[1], reply[4], reply.Length));
        Assert.Equal("EMU86   CD-ROM          1.0 ", Encoding.ASCII.GetString(reply, 8, 28));
        Assert.Equal(5, _cd.Pio(0x12, 0, 0, 0, 5).Length);
        _cd.Fails((IllegalRequest, 0x24, 0), 0x12, 1, 0x80, 0, 36);
    }

    [Fact]
    public void Read_capacity_is_the_last_sector_and_2048() =>
        Assert.Equal(new byte[] { 0, 0, 0x03, 0xe7, 0, 0, 8, 0 }, _cd.Pio(0x25));

    [Theory]
    [InlineData(0xfffe)]
    [InlineData(0)]
    [InlineData(2048)]
    [InlineData(2047)]
    [InlineData(100)]
    public void Read10_gives_the_sectors_in_blocks_of_at_most_the_byte_limit(int limit)
    {
        byte[] data = _cd.PioLimited(limit, out List<int> blocks, 0x28, 0, 0, 0, 1, 0x02, 0, 0, 37);
        Assert.Equal(_cd.Content[(0x102 * 2048)..((0x102 + 37) * 2048)], data);
        int most = limit == 0 ? 0xfffe : limit;
        Assert.All(blocks, b => Assert.InRange(b, 1, most));
        Assert.All(blocks[..^1], b => Assert.Equal(0, b & 1));
        Assert.Equal(0x50, _cd.Status);
    }

    [Fact]
    public void Read12_has_its_count_in_bytes_6_to_9() =>
        Assert.Equal(_cd.Content[(5 * 2048)..(8 * 2048)], _cd.Pio(0xa8, 0, 0, 0, 0, 5, 0, 0, 0, 3));

    [Fact]
    public void A_read_of_nothing_and_a_seek_end_at_once()
    {
        Assert.Empty(_cd.Pio(0x28));
        Assert.Equal(0x50, _cd.Status);
        Assert.Empty(_cd.Pio(0x2b, 0, 0, 0, 3, 0xe7));
        Assert.Equal(0x50, _cd.Status);
        _cd.Fails((IllegalRequest, 0x21, 0), 0x2b, 0, 0, 0, 3, 0xe8);
    }

    [Fact]
    public void A_read_past_the_end_transfers_nothing() => _cd.Fails((IllegalRequest, 0x21, 0), 0x28, 0, 0, 0, 3, 0xe7, 0, 0, 2);

    [Fact]
    public void A_read_by_DMA_scatters_in_one_step()
    {
        _cd.Prd((0x10000, 0x8000), (0x40000, 20 * 2048 - 0x8000));
        _cd.BusMaster.WritePort(0, 1, 0x09);
        _cd.Packet(0xfffe, 1, 0x28, 0, 0, 0, 0, 9, 0, 0, 20);
        byte[] expected = _cd.Content[(9 * 2048)..(29 * 2048)];
        Assert.Equal(expected, _cd.Memory.Bytes[0x10000..0x18000].Concat(_cd.Memory.Bytes[0x40000..(0x40000 + expected.Length - 0x8000)]));
        Assert.True(_cd.Irq.Level);
        Assert.Equal(4, (byte)_cd.BusMaster.ReadPort(2, 1));
        Assert.Equal((3, 0x50), (_cd.In(2), _cd.Status));
    }

    [Fact]
    public void The_time_of_a_read_grows_with_its_size()
    {
        static ulong Took(byte sectors)
        {
            AtapiRig cd = AtapiRig.Ready();
            cd.Prd((0x10000, 0));
            cd.Packet(0xfffe, 1, 0x28, 0, 0, 0, 0, 0, 0, 0, sectors);
            ulong start = cd.Rig.Clock.NowNs;
            cd.BusMaster.WritePort(0, 1, 0x09);
            while (!cd.Irq.Level) cd.Rig.Advance(1000);
            return cd.Rig.Clock.NowNs - start;
        }
        Assert.InRange(Took(17) - Took(1), 16ul * 2048 * 50 - 1000, 16ul * 2048 * 50 + 1000);
    }

    [Fact]
    public void What_the_host_cannot_read_is_a_medium_error_and_is_reported()
    {
        _cd.ReadResult = BlockResult.IoError;
        _cd.Fails((3, 0x11, 0), 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
        Assert.Equal([1ul], _cd.Failures);
    }

    [Fact]
    public void A_given_failure_takes_the_place_of_the_read()
    {
        _cd.Drive.Give(2, BlockResult.IoError);
        Assert.Equal(2048, _cd.Pio(0x28, 0, 0, 0, 0, 0, 0, 0, 1).Length);
        _cd.Fails((3, 0x11, 0), 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
        Assert.Empty(_cd.Failures);
        Assert.False(_cd.Drive.HasGiven);
    }

    [Fact]
    public void Toc_has_one_data_track_and_the_lead_out()
    {
        byte[] toc = _cd.Pio(0x43, 0, 0, 0, 0, 0, 0, 0, 100);
        Assert.Equal(new byte[] { 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0x03, 0xe8 }, toc);
        byte[] minutes = _cd.Pio(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100);
        Assert.Equal(new byte[] { 0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 15, 25 }, minutes);      // 1150 frames
        Assert.Equal(new byte[] { 0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0 }, _cd.Pio(0x43, 0, 1, 0, 0, 0, 0, 0, 100));
        _cd.Fails((IllegalRequest, 0x24, 0), 0x43, 0, 0, 0, 0, 0, 7, 0, 100);
    }

    [Fact]
    public void Mode_sense_has_the_capabilities_page()
    {
        byte[] ten = _cd.Pio(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255);
        Assert.Equal((28, 26, 0x2a, 18), (ten.Length, ten[1], ten[8], ten[9]));
        Assert.Equal(0x29, ten[14]);
        byte[] six = _cd.Pio(0x1a, 0, 0x3f, 0, 255);
        Assert.Equal((4 + 8 + 20, 0x01, 0x2a), (six.Length, six[4], six[12]));
        _cd.Fails((IllegalRequest, 0x24, 0), 0x5a, 0, 0x33, 0, 0, 0, 0, 0, 255);
    }

    [Fact]
    public void A_locked_tray_stays_shut_and_an_unlocked_one_opens_and_closes()
    {
        _cd.Pio(0x1e, 0, 0, 0, 1);
        Assert.Equal(0x2b, _cd.Pio(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255)[14]);
        _cd.Fails((IllegalRequest, 0x53, 2), 0x1b, 0, 0, 0, 2);
        _cd.Pio(0x1e);
        Assert.Empty(_cd.Pio(0x1b, 0, 0, 0, 2));
        Assert.Equal(0x50, _cd.Status);
        _cd.Fails((NotReady, 0x3a, 2), 0x00);
        Assert.Equal(0x10, _cd.Pio(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8)[1]);
        _cd.Pio(0x1b, 0, 0, 0, 3);
        _cd.Fails((UnitAttention, 0x28, 0), 0x25);
        Assert.Equal(8, _cd.Pio(0x25).Length);
    }

    [Fact]
    public void Events_tell_of_media_once()
    {
        byte[] none = _cd.Pio(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
        Assert.Equal(new byte[] { 0, 6, 4, 0x10, 0, 2, 0, 0 }, none);
        _cd.Drive.Change(null);
        Assert.Equal(new byte[] { 0, 6, 4, 0x10, 3, 0, 0, 0 }, _cd.Pio(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8));
        Assert.Equal(0, _cd.Pio(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)[4]);
        Assert.Equal(new byte[] { 0, 2, 0x80, 0x10 }, _cd.Pio(0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8));
        _cd.Fails((IllegalRequest, 0x24, 0), 0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8);
    }

    [Fact]
    public void A_configuration_lists_the_CD_ROM_profile_as_current_when_there_is_a_medium()
    {
        byte[] reply = _cd.Pio(0x46, 0, 0, 0, 0, 0, 0, 0, 255);
        Assert.Equal((32, 28, 8, 1), (reply.Length, reply[3], reply[7], reply[14]));
        Assert.Equal(16, _cd.Pio(0x46, 2, 0, 3, 0, 0, 0, 0, 255).Length);
        Assert.Equal(0, AtapiRig.Ready(empty: true).Pio(0x46, 0, 0, 0, 0, 0, 0, 0, 255)[7]);
    }

    [Fact]
    public void An_empty_drive_is_not_ready_and_a_new_medium_is_a_unit_attention()
    {
        AtapiRig cd = AtapiRig.Ready(empty: true);
        cd.Fails((NotReady, 0x3a, 1), 0x00);
        cd.Fails((NotReady, 0x3a, 1), 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
        cd.Drive.Change(new Medium(cd.Content.Length, 7, "/images/two.iso"));
        cd.Fails((UnitAttention, 0x28, 0), 0x00);
        Assert.Equal(2048, cd.Pio(0x28, 0, 0, 0, 0, 0, 0, 0, 1).Length);
        cd.Drive.Change(null);
        cd.Fails((NotReady, 0x3a, 1), 0x00);
    }

    [Fact]
    public void A_medium_that_this_side_does_not_have_is_reported_as_a_failed_request()
    {
        _cd.OpenResult = BlockResult.IoError;
        _cd.Drive.Change(new Medium(4096, 7, "/nowhere"));
        Assert.Equal([1ul], _cd.Failures);
    }

    [Fact]
    public void A_medium_taken_out_in_the_middle_of_a_read_ends_it_not_ready()
    {
        _cd.Packet(2048, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 20);
        _cd.Drive.Change(null);
        while ((_cd.Status & 0x08) != 0)
        {
            for (int i = 0; i < 1024; i++) _cd.Channel.ReadPort(0, 2);
            _cd.Wait();
        }
        Assert.Equal((0x51, (NotReady << 4) | 4), (_cd.Status, _cd.Error));
    }

    [Theory]
    [InlineData(0x2a)]
    [InlineData(0xff)]
    public void What_it_cannot_do_is_an_invalid_operation_code(byte opcode) => _cd.Fails((IllegalRequest, 0x20, 0), opcode);

    [Fact]
    public void Overlapped_commands_are_aborted()
    {
        _cd.Out(1, 2);
        _cd.Out(7, 0xa0);
        _cd.Wait();
        Assert.Equal((0x51, 4), (_cd.Status, _cd.Error));
    }

    [Fact]
    public void A_saved_drive_goes_on_in_the_middle_of_a_read_with_its_medium()
    {
        _cd.Drive.Change(new Medium(_cd.Content.Length, 7, "/images/two.iso"));
        _cd.RequestSense();
        _cd.Packet(2048, 0, 0x28, 0, 0, 0, 0, 3, 0, 0, 2);
        byte[] saved = StateOf.Save(_cd.Drive);
        AtapiRig other = AtapiRig.Ready(empty: true);
        StateOf.Load(other.Drive, saved);
        Assert.Equal(saved, StateOf.Save(other.Drive));
        Assert.Equal(new Medium(_cd.Content.Length, 7, "/images/two.iso"), other.Drive.Medium);
        byte[] first = new byte[2048];
        for (int i = 0; i < 2048; i += 2) BinaryPrimitives.WriteUInt16LittleEndian(first.AsSpan(i), (ushort)other.Channel.ReadPort(0, 2));
        Assert.Equal(_cd.Content[(3 * 2048)..(4 * 2048)], first);
    }

    /// <summary>What was left of the read's counters made a state that the drive itself refused.</summary>
    [Fact]
    public void A_state_saved_after_a_read_by_PIO_is_taken_again()
    {
        Assert.Equal(37 * 2048, _cd.Pio(0x28, 0, 0, 0, 0, 0, 0, 0, 37).Length);
        byte[] saved = StateOf.Save(_cd.Drive);
        AtapiRig other = AtapiRig.Ready();
        StateOf.Load(other.Drive, saved);
        Assert.Equal(saved, StateOf.Save(other.Drive));
    }

    [Fact]
    public void A_state_whose_counters_leave_the_buffer_is_refused()
    {
        byte[] saved = StateOf.Save(_cd.Drive);
        bool refused = false;
        for (int at = 0; at + 4 <= saved.Length && at < 200; at++)
        {
            byte[] damaged = [.. saved];
            BinaryPrimitives.WriteInt32LittleEndian(damaged.AsSpan(at), 0x7fff_ffff);
            try
            {
                StateOf.Load(AtapiRig.Ready().Drive, damaged);
            }
            catch (StateFormatException)
            {
                refused = true;
            }
        }
        Assert.True(refused);
    }

    [Fact]
    public void The_input_of_a_change_carries_size_hash_and_path()
    {
        var medium = new Medium(6 * 2048, UInt128.MaxValue - 5, "/images/größe.iso");
        InputEvent input = medium.InsertInto(2);
        Assert.Null(input.Problem);
        Assert.Equal(medium, Medium.Of(input));
        Assert.Null(Medium.Of(Medium.RemoveFrom(2)));
        Assert.NotNull(InputEvent.MediumChange(2, 2047, new byte[16]).Problem);
        Assert.NotNull(InputEvent.MediumChange(2, 2048, new byte[15]).Problem);
        Assert.NotNull(InputEvent.MediumChange(2, 2048, new byte[16 + Medium.PathBytesMax + 1]).Problem);
    }
}
