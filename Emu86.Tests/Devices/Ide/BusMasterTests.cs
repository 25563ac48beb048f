// Bus master IDE transfers (Programming Interface for Bus Master IDE Controller, revision 1.0).
using Emu86.Devices;

namespace Emu86.Tests.Devices.Ide;

public sealed class BusMasterTests
{
    private const byte ToMemory = 0x08;
    private const byte Start = 0x01;

    private readonly AtaRig _ata = new();

    private byte BusMasterStatus => (byte)_ata.BusMaster.ReadPort(2, 1);

    private void Command(byte value) => _ata.BusMaster.WritePort(0, 1, value);

    [Theory]
    [InlineData(0xc8)]
    [InlineData(0x25)]
    public void Read_dma_scatters_over_the_regions(byte command)
    {
        _ata.Prd(0x1000, (0x2000, 512), (0x8fff8, 8), (0x40000, 504));
        Command(ToMemory);
        if (command == 0x25) _ata.Lba48(command, 77, 2);
        else _ata.Lba28(command, 77, 2);
        _ata.Wait();
        Assert.False(_ata.Irq.Level);
        Command(ToMemory | Start);
        Assert.Equal(0x01, BusMasterStatus);
        _ata.Wait();
        Assert.True(_ata.Irq.Level);
        Assert.Equal(0x04, BusMasterStatus);
        Assert.Equal(AtaRig.Idle, _ata.Status);
        byte[] expected = _ata.Store.Bytes[(77 * 512)..(79 * 512)];
        byte[] memory = _ata.Memory.Bytes;
        Assert.Equal(expected, memory[0x2000..0x2200].Concat(memory[0x8fff8..0x90000]).Concat(memory[0x40000..0x401f8]));
        _ata.BusMaster.WritePort(2, 1, 0x64);
        Assert.Equal(0x60, BusMasterStatus);
    }

    [Theory]
    [InlineData(0xca)]
    [InlineData(0x35)]
    public void Write_dma_gathers_and_tells_the_observer(byte command)
    {
        for (int i = 0; i < 0x20000; i++) _ata.Memory.Bytes[0x100000 + i] = (byte)(i * 5 / 3);
        _ata.Prd(0x1000, (0x100000, 0), (0x110000, 0));        // a count of zero is 64 KiB
        Command(Start);
        if (command == 0x35) _ata.Lba48(command, 500, 256);
        else _ata.Lba28(command, 500, 0);
        _ata.Wait();
        Assert.Equal(0x04, BusMasterStatus);
        Assert.Equal(_ata.Memory.Bytes[0x100000..0x120000], _ata.Store.Bytes[(500 * 512)..(756 * 512)]);
        Assert.Equal(256 * 512, _ata.Writes.Sum(w => w.Bytes));
    }

    [Fact]
    public void Data_moves_in_one_step_at_completion()
    {
        _ata.Prd(0x1000, (0x2000, 512));
        Command(ToMemory | Start);
        _ata.Lba28(0xc8, 1, 1);
        _ata.Rig.Advance(55_110);
        Assert.Equal(0, _ata.Memory.Bytes[0x2001]);
        _ata.Rig.Advance(10);
        Assert.Equal(_ata.Store.Sector(1).ToArray(), _ata.Memory.Bytes[0x2000..0x2200]);
    }

    [Fact]
    public void A_region_across_64_KiB_is_an_error_and_moves_nothing()
    {
        _ata.Prd(0x1000, (0x2fff0, 512));
        Command(ToMemory | Start);
        _ata.Lba28(0xc8, 1, 1);
        _ata.Wait();
        Assert.Equal(0x06, BusMasterStatus);
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.All(_ata.Memory.Bytes[0x2fff0..0x30200], b => Assert.Equal(0, b));
    }

    [Fact]
    public void A_table_longer_than_the_transfer_leaves_the_controller_active()
    {
        _ata.Prd(0x1000, (0x2000, 1024));
        Command(ToMemory | Start);
        _ata.Lba28(0xc8, 1, 1);
        _ata.Wait();
        Assert.Equal(0x05, BusMasterStatus);
        Command(ToMemory);
        Assert.Equal(0x04, BusMasterStatus);
    }

    [Fact]
    public void A_table_shorter_than_the_transfer_stops_without_an_interrupt_until_reset()
    {
        _ata.Prd(0x1000, (0x2000, 512));
        Command(ToMemory | Start);
        _ata.Lba28(0xc8, 1, 2);
        _ata.Wait();
        Assert.Equal(0x00, BusMasterStatus);
        Assert.False(_ata.Irq.Level);
        Assert.Equal(0x80, _ata.AlternateStatus);
        _ata.Control(0x04);
        _ata.Control(0x00);
        _ata.Wait();
        Assert.Equal(AtaRig.Idle, _ata.Status);
    }

    [Fact]
    public void Errors_of_the_medium_interrupt_with_the_failing_address()
    {
        _ata.Store.ReadResult = BlockResult.IoError;
        _ata.Prd(0x1000, (0x2000, 1024));
        Command(ToMemory | Start);
        _ata.Lba28(0xc8, 300, 2);
        _ata.Wait();
        Assert.Equal(AtaRig.Failed, _ata.Status);
        Assert.Equal(0x40, _ata.Error);
        Assert.Equal(300 & 0xff, _ata.In(3));

        _ata.Lba28(0xc8, 69999, 2);
        _ata.Wait();
        Assert.Equal(0x10, _ata.Error);
    }
}
