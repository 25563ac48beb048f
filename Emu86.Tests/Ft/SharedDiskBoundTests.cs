// A guest that writes and writes, and never flushes, to a shared disk that takes nothing: what waits is bounded, and it is all there in
// the end.
using System.Buffers.Binary;
using Emu86.Tests.Ft.Nbd;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class SharedDiskBoundTests : IDisposable
{
    private const int Sectors = 0x10000, BlockSectors = 64;

    private readonly SharedPair _pair = new();
    private readonly NbdServer _server = new(Sectors * 512);

    public void Dispose()
    {
        _pair.Dispose();
        _server.Dispose();
    }

    [Fact]
    public void A_guest_stands_still_when_too_much_of_what_it_has_written_waits_and_the_pair_stays_one()
    {
        BootSector.CopyTo(_server.Content, 0);
        string[] disk = ["--hda", _server.Address, "--fence-command", "true"];
        PairProcess primary = _pair.PrimaryFromDisk(disk), backup = _pair.Backup(disk);
        primary.WaitFor("protected by");
        _server.Fault = r => r.Command == NbdServer.Write ? NbdFault.Refuse : NbdFault.None;
        primary.Type("go");
        primary.WaitFor("the guest stands still until then: too much of what it has written waits");
        // The status is published twenty times a second.
        Thread.Sleep(500);
        ulong count = Count();
        // Longer than a backup may execute nothing of what it has.
        Thread.Sleep(3000);
        Assert.Equal(count, Count());
        Assert.DoesNotContain("backup lost", primary.Text);
        Assert.False(backup.HasExited);
        int written = _server.Requests.Count(r => r.Command == NbdServer.Write);
        Assert.InRange(written, 1, 1000);
        _server.Fault = _ => NbdFault.None;
        primary.WaitFor("done");
        Assert.True(SpinWait.SpinUntil(() => LastBlock(_server.Durable) == Sectors - BlockSectors, 30_000), $"the last block should be written, it holds {LastBlock(_server.Durable)}");
        for (int sector = BlockSectors; sector < Sectors; sector += BlockSectors) Assert.Equal(sector, Mark(_server.Durable, sector));
        _pair.WaitForHashes(primary);
        Assert.DoesNotContain("backup lost", primary.Text);
    }

    private ulong Count() => PairProcess.Status(_pair.Status).GetProperty("instructionCount").GetUInt64();

    private static int LastBlock(byte[] disk) => Mark(disk, Sectors - BlockSectors);

    private static int Mark(byte[] disk, int sector) => BinaryPrimitives.ReadInt32LittleEndian(disk.AsSpan(sector * 512));

    // Waits for a byte on COM1, writes each block of the disk but the first by INT 13h, function 43h, its number at its beginning, says
    // "done" or "fail" on COM1, and halts.
    private static byte[] BootSector
    {
        get
        {
            byte[] sector = new byte[512];
            Convert.FromHexString(
                "31c08ed8bafd03eca80174fb" // xor ax,ax; mov ds,ax; mov dx,3fd; 1: in al,dx; test al,1; jz 1
                + "b800108ec0be807c668b44082666a30000" // mov es,1000; 2: mov si,7c80; mov eax,[si+8]; mov es:[0],eax
                + "b80043b280cd13720f668344084066817c080000010072dc" // mov ax,4300; mov dl,80; int 13; jc 4; add dword [si+8],64; cmp dword [si+8],10000; jb 2
                + "be707c7303be767c" // 4: mov si,7c70; jnc 5; mov si,7c76
                + "ac84c0741288c4bafd03eca82074fbbaf80388e0eeebe9f4ebfd") // 5: say what is at si, and halt
                .CopyTo(sector, 0);
            "done\n\0fail\n"u8.CopyTo(sector.AsSpan(0x70));
            // The disk address packet: length, sectors, where from, number of the first one.
            ((byte[])[16, 0, BlockSectors, 0, 0, 0, 0x00, 0x10, BlockSectors]).CopyTo(sector, 0x80);
            (sector[510], sector[511]) = (0x55, 0xaa);
            return sector;
        }
    }
}
