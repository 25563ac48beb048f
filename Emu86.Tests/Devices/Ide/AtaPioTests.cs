// ATA commands without DMA, as facts from ATA/ATAPI-6.
using Emu86.Devices;

namespace Emu86.Tests.Devices.Ide;

public sealed class AtaPioTests
{
    private readonly AtaRig _ata = new();

    private static byte[] Pattern(int bytes, int seed) => Enumerable.Range(0, bytes).Select(i => (byte)((i * 13) + seed)).ToArray();

    [Fact]
    public void Identify_gives_capacity_and_names_and_adds_up_to_zero()
    {
        _ata.Lba28(0xec, 0, 0);
        Assert.Equal(0x80, _ata.AlternateStatus);
        Assert.False(_ata.Irq.Level);
        _ata.Wait();
        Assert.True(_ata.Irq.Level);
        Assert.Equal(AtaRig.DataRequest, _ata.Status);
        Assert.False(_ata.Irq.Level);
        byte[] block = _ata.ReadData(512);
        Assert.Equal(AtaRig.Idle, _ata.Status);
        Assert.Equal(70000u, BitConverter.ToUInt32(block, 120));
        Assert.Equal(70000ul, BitConverter.ToUInt64(block, 200));
        Assert.Equal(70000 / 1008, BitConverter.ToUInt16(block, 2));
        Assert.Equal((byte)'M', block[54]);
        Assert.Equal((byte)'E', block[55]);
        Assert.Equal(0, block.Aggregate(0, (sum, b) => sum + b) & 0xff);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Read_sectors_interrupts_once_per_sector_at_every_port_width(int size)
    {
        _ata.Lba28(0x20, 1000, 3);
        for (int i = 0; i < 3; i++)
        {
            _ata.Wait();
            Assert.Equal(i + 1, _ata.Irq.RisingEdges);
            Assert.Equal(AtaRig.DataRequest, _ata.Status);
            Assert.Equal(_ata.Store.Sector(1000 + i).ToArray(), _ata.ReadData(512, size));
        }
        Assert.Equal(AtaRig.Idle, _ata.Status);
        Assert.Equal(0, _ata.In(2));
        Assert.Equal(1002 & 0xff, _ata.In(3));
        _ata.Wait();
        Assert.Equal(3, _ata.Irq.RisingEdges);
    }

    [Fact]
    public void Completion_is_at_a_virtual_time_given_by_the_request()
    {
        _ata.Lba28(0x20, 0, 1);
        _ata.Rig.Advance(55_110);
        Assert.Equal(0x80, _ata.AlternateStatus);
        _ata.Rig.Advance(10);
        Assert.Equal(AtaRig.DataRequest, _ata.AlternateStatus);
    }

    [Fact]
    public void Write_sectors_asks_for_the_first_sector_without_an_interrupt()
    {
        byte[] data = Pattern(1024, 3);
        _ata.Lba28(0x30, 5, 2);
        Assert.Equal(AtaRig.DataRequest, _ata.Status);
        Assert.Equal(0, _ata.Irq.RisingEdges);
        _ata.WriteData(data.AsSpan(0, 512));
        Assert.Equal(0x80, _ata.AlternateStatus);
        Assert.Empty(_ata.Writes);
        _ata.Wait();
        Assert.Equal(1, _ata.Irq.RisingEdges);
        Assert.Equal(AtaRig.DataRequest, _ata.Status);
        _ata.WriteData(data.AsSpan(512), 4);
        _ata.Wait();
        Assert.Equal(2, _ata.Irq.RisingEdges);
        Assert.Equal(AtaRig.Idle, _ata.Status);
        Assert.Equal(data, _ata.Store.Bytes[(5 * 512)..(7 * 512)]);
        Assert.Equal([(0, 5L, 512), (0, 6L, 512)], _ata.Writes);
    }

    [Fact]
    public void Read_multiple_interrupts_once_per_block_and_the_last_block_is_short()
    {
        _ata.Lba28(0xc4, 0, 6);
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x04, _ata.Error);

        _ata.Lba28(0xc6, 0, 4);
        _ata.Wait();
        Assert.Equal(AtaRig.Idle, _ata.Status);
        int before = _ata.Irq.RisingEdges;
        _ata.Lba28(0xc4, 20, 6);
        _ata.Wait();
        Assert.Equal(_ata.Store.Bytes[(20 * 512)..(24 * 512)], _ata.ReadData(4 * 512));
        _ = _ata.Status;
        _ata.Wait();
        Assert.Equal(_ata.Store.Bytes[(24 * 512)..(26 * 512)], _ata.ReadData(2 * 512));
        Assert.Equal(AtaRig.Idle, _ata.Status);
        Assert.Equal(2, _ata.Irq.RisingEdges - before);
    }

    [Fact]
    public void Write_multiple_writes_whole_blocks()
    {
        byte[] data = Pattern(3 * 512, 9);
        _ata.Lba28(0xc6, 0, 2);
        _ata.Wait();
        _ata.Lba48(0x39, 40, 3);
        _ata.WriteData(data.AsSpan(0, 1024));
        _ata.Wait();
        _ata.WriteData(data.AsSpan(1024));
        _ata.Wait();
        Assert.Equal(AtaRig.Idle, _ata.Status);
        Assert.Equal(data, _ata.Store.Bytes[(40 * 512)..(43 * 512)]);
        Assert.Equal([(0, 40L, 1024), (0, 42L, 512)], _ata.Writes);
    }

    [Fact]
    public void Set_multiple_takes_powers_of_two_up_to_sixteen()
    {
        foreach ((int count, byte status) in new[] { (16, AtaRig.Idle), (3, AtaRig.Failed), (32, AtaRig.Failed), (0, AtaRig.Idle) })
        {
            _ata.Lba28(0xc6, 0, count);
            _ata.Wait();
            Assert.Equal(status, _ata.Status);
        }
    }

    [Fact]
    public void Lba48_takes_the_byte_written_before_as_the_high_order()
    {
        _ata.Lba48(0x24, 69999, 1);
        _ata.Wait();
        Assert.Equal(_ata.Store.Sector(69999).ToArray(), _ata.ReadData(512));

        _ata.Lba48(0x24, 0x1_0000_0000_00, 1);
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x10, _ata.Error);
        _ata.Control(0x80);
        Assert.Equal(0x01, _ata.In(5));
        _ata.Out(1, 0);
        Assert.Equal(0x00, _ata.In(5));
    }

    [Fact]
    public void Chs_addresses_use_the_current_translation()
    {
        _ata.Out(6, 0xa3);
        _ata.Out(2, 17);
        _ata.Out(7, 0x91);                              // 4 heads, 17 sectors
        _ata.Wait();
        _ata.Out(6, 0xa2);
        _ata.Out(2, 1);
        _ata.Out(3, 5);
        _ata.Out(4, 10);
        _ata.Out(5, 0);
        _ata.Out(7, 0x20);
        _ata.Wait();
        Assert.Equal(_ata.Store.Sector((((10 * 4) + 2) * 17) + 4).ToArray(), _ata.ReadData(512));
        _ata.Out(2, 1);
        _ata.Out(3, 18);
        _ata.Out(7, 0x20);
        _ata.Wait();
        Assert.Equal(0x10, _ata.Error);
    }

    [Fact]
    public void A_read_past_the_end_fails_at_the_first_sector_that_is_not_there()
    {
        _ata.Lba28(0x20, 69999, 2);
        _ata.Wait();
        _ata.ReadData(512);
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x10, _ata.Error);
        Assert.Equal(70000 & 0xff, _ata.In(3));
    }

    [Fact]
    public void Host_errors_are_seen_as_uncorrectable_not_found_or_aborted()
    {
        _ata.Store.ReadResult = BlockResult.IoError;
        _ata.Lba28(0x20, 7, 1);
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x40, _ata.Error);
        _ata.Lba28(0x40, 7, 200);
        _ata.Wait();
        Assert.Equal(0x40, _ata.Error);
        _ata.Store.WriteResult = BlockResult.IoError;
        _ata.Lba28(0x30, 7, 1);
        _ata.WriteData(Pattern(512, 0));
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x10, _ata.Error);
        Assert.Empty(_ata.Writes);
        _ata.Store.FlushResult = BlockResult.IoError;
        _ata.Lba28(0xe7, 0, 0);
        _ata.Wait();
        Assert.Equal(0x04, _ata.Error);
        _ata.Store.IsReadOnly = true;
        _ata.Lba28(0x30, 7, 1);
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x04, _ata.Error);
    }

    [Theory]
    [InlineData(0xe7)]
    [InlineData(0xea)]
    public void Flush_completes_after_the_store_has_flushed(byte command)
    {
        _ata.Lba28(command, 0, 0);
        Assert.Equal(0, _ata.Store.Flushes);
        _ata.Wait();
        Assert.Equal(1, _ata.Store.Flushes);
        Assert.Equal(AtaRig.Idle, _ata.Status);
    }

    [Fact]
    public void Verify_moves_no_data()
    {
        _ata.Lba28(0x40, 69000, 200);
        _ata.Wait();
        Assert.Equal(AtaRig.Idle, _ata.Status);
        Assert.Equal(1, _ata.Irq.RisingEdges);
    }

    [Theory]
    [InlineData(0x00)]      // NOP
    [InlineData(0x08)]      // DEVICE RESET belongs to packet devices
    [InlineData(0xa0)]      // PACKET
    [InlineData(0xa1)]      // IDENTIFY PACKET DEVICE
    [InlineData(0xb0)]      // SMART
    public void Commands_of_other_devices_are_aborted(byte command)
    {
        _ata.Lba28(command, 0, 1);
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x04, _ata.Error);
        Assert.Equal(1, _ata.Irq.RisingEdges);
    }

    [Fact]
    public void Power_commands_are_told_by_check_power_mode()
    {
        _ata.Lba28(0xe0, 0, 0);
        _ata.Wait();
        _ata.Lba28(0xe5, 0, 0);
        _ata.Wait();
        Assert.Equal(0x00, _ata.In(2));
        _ata.Lba28(0xe1, 0, 0);
        _ata.Wait();
        _ata.Lba28(0xe5, 0, 0);
        _ata.Wait();
        Assert.Equal(0xff, _ata.In(2));
    }

    [Fact]
    public void Native_max_address_is_the_last_sector()
    {
        _ata.Lba48(0x27, 0, 0);
        _ata.Wait();
        Assert.Equal(69999, _ata.In(3) | (_ata.In(4) << 8) | (_ata.In(5) << 16));
        _ata.Lba28(0xf8, 0, 0);
        _ata.Wait();
        Assert.Equal(69999, _ata.In(3) | (_ata.In(4) << 8) | (_ata.In(5) << 16));
    }

    [Fact]
    public void Set_features_takes_dma_modes_up_to_two()
    {
        foreach ((byte mode, byte status) in new[] { ((byte)0x22, AtaRig.Idle), ((byte)0x42, AtaRig.Idle), ((byte)0x45, AtaRig.Failed) })
        {
            _ata.Out(1, 0x03);
            _ata.Lba28(0xef, 0, mode);
            _ata.Wait();
            Assert.Equal(status, _ata.Status);
        }
        _ata.Lba28(0xec, 0, 0);
        _ata.Wait();
        Assert.Equal(0x0407, BitConverter.ToUInt16(_ata.ReadData(512), 176));
    }
}
