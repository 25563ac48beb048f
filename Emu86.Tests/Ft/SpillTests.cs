// Overlays and snapshots of disks that hold more than may be in memory.
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Tests.Determinism;

namespace Emu86.Tests.Ft;

public sealed class SpillTests : IDisposable
{
    private const int Sectors = 4000;

    private readonly string _folder = Directory.CreateTempSubdirectory("emu86-spill").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void An_overlay_that_spills_reads_back_what_was_written()
    {
        MemoryDisk image = MemoryDisk.WithPattern(Sectors), model = MemoryDisk.WithPattern(Sectors), replay = MemoryDisk.WithPattern(Sectors);
        using var overlay = new OverlayDisk(image, spillDirectory: _folder, memoryMax: 200 << 10);
        var random = new Random(1);
        for (int n = 0; n < 3000; n++)
        {
            byte[] data = new byte[512 * random.Next(1, 300)];
            long lba = random.Next(Sectors - data.Length / 512 + 1);
            if (random.Next(3) > 0)
            {
                Assert.Equal(BlockResult.Ok, overlay.Read(lba, data));
                Assert.True(model.Bytes.AsSpan((int)lba * 512, data.Length).SequenceEqual(data));
                continue;
            }
            random.NextBytes(data);
            Assert.Equal(BlockResult.Ok, overlay.Write(lba, data));
            model.Write(lba, data);
            if (n % 50 != 0) continue;
            long expected = overlay.ChangedBytes, bytes = 0, next = 0;
            foreach ((long at, ReadOnlyMemory<byte> run) in overlay.TakeChanged(64 << 10))
            {
                Assert.True(at >= next);
                next = at + run.Length / 512;
                bytes += run.Length;
                replay.Write(at, run.Span);
            }
            Assert.Equal(expected, bytes);
            Assert.Equal(0, overlay.ChangedBytes);
            Assert.Equal(model.Bytes, replay.Bytes);
        }
        Assert.Equal(MemoryDisk.WithPattern(Sectors).Bytes, image.Bytes);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void A_disk_snapshot_that_spills_is_the_disk_as_it_was()
    {
        MemoryDisk image = MemoryDisk.WithPattern(Sectors), before = MemoryDisk.WithPattern(Sectors);
        var disk = new SnapshotDisk(image, _folder, memoryMax: 128 << 10);
        disk.BeginSnapshot();
        byte[] junk = new byte[1000 * 512];
        for (int lba = 0; lba < Sectors; lba += 1000) disk.Write(lba, junk);
        for (long block = 0; block < disk.BlockCount; block++)
        {
            byte[] content = disk.ReadSnapshot(block);
            Assert.True(before.Bytes.AsSpan((int)block * SnapshotDisk.BlockBytes, content.Length).SequenceEqual(content));
        }
        disk.EndSnapshot();
        Assert.Throws<IOException>(() => disk.ReadSnapshot(0));
    }

    [Fact]
    public void Rounds_name_what_was_written_and_a_snapshot_after_them_keeps_only_what_is_still_to_be_read()
    {
        const int BlockSectors = SnapshotDisk.BlockBytes / 512;
        // Room for one block, and nowhere to spill to.
        var disk = new SnapshotDisk(MemoryDisk.WithPattern(Sectors), Path.Combine(_folder, "missing"), memoryMax: 1);
        byte[] junk = new byte[1024];
        disk.BeginRounds();
        disk.Write(5 * BlockSectors - 1, junk);
        Assert.Equal("4 5", string.Join(' ', disk.TakeWritten()));
        Assert.Empty(disk.TakeWritten());
        disk.Write(7 * BlockSectors, junk);
        byte[] before = disk.ReadNow(7);
        disk.BeginSnapshot();
        Array.Fill(junk, (byte)0xff);
        for (long block = 0; block < disk.BlockCount - 1; block++) disk.Write(block * BlockSectors, junk);
        Assert.Equal("7", string.Join(' ', disk.TakeWritten()));
        Assert.Equal("7", string.Join(' ', disk.TakeWritten()));
        Assert.Equal(before, disk.ReadSnapshot(7));
        disk.EndSnapshot();
        Assert.Throws<IOException>(() => disk.TakeWritten());
    }

    [Fact]
    public void A_disk_snapshot_that_cannot_be_kept_ends_and_the_guest_goes_on()
    {
        var disk = new SnapshotDisk(MemoryDisk.WithPattern(Sectors), Path.Combine(_folder, "missing"), memoryMax: 0);
        disk.BeginSnapshot();
        Assert.Equal(BlockResult.Ok, disk.Write(0, new byte[512]));
        Assert.Contains("cannot be kept", Assert.Throws<IOException>(() => disk.ReadSnapshot(9)).Message);
    }
}
