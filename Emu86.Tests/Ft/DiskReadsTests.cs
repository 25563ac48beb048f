// Pairs whose backup reads the shared disk for itself (--disk-reads backup): nothing that was read crosses the channel, and both sides
// have read the same.
using System.Buffers.Binary;
using System.Net;
using Emu86.Tests.Ft.Nbd;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class DiskReadsTests : IDisposable
{
    private const int FirstSector = 64, Places = 8, Rounds = 4000;

    private readonly SharedPair _pair = new();
    private readonly NbdServer _server = new(65536);
    private NbdRelay? _relay;

    public void Dispose()
    {
        _relay?.Dispose();
        _pair.Dispose();
        _server.Dispose();
    }

    [Fact]
    public void Both_sides_read_the_disk_and_the_counter_on_it_goes_on_after_a_kill()
    {
        (PairProcess primary, PairProcess backup) = _pair.Protected(Disk(_server.Port), Disk(_server.Port));
        for (int n = 1; n <= 5; n++) Assert.Equal(n, _pair.Count());
        SharedPair.WaitForCounter(() => SharedPair.CounterIn(_server.Durable), 5);
        int reads = Reads;
        Reset();
        primary.WaitFor("emu86-guest: disk holds the counter, counter 5");
        _pair.WaitForHashes(primary);
        // Sectors 0 and 1, by both.
        Assert.Equal(reads + 4, Reads);
        Assert.Equal(6, _pair.Count());
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        Assert.Equal(7, _pair.Count());
        SharedPair.WaitForCounter(() => SharedPair.CounterIn(_server.Durable), 7);
    }

    [Fact]
    public void A_sector_that_is_overwritten_at_once_is_read_by_the_backup_before()
    {
        BootSector.CopyTo(_server.Content, 0);
        PairProcess primary = _pair.PrimaryFromDisk(Disk(_server.Port)), backup = _pair.Backup(Disk(_server.Port));
        primary.WaitFor("protected by");
        primary.Type("go");
        primary.WaitFor("done");
        _pair.WaitForHashes(primary);
        // Each is read as it was written last, by both.
        Assert.InRange(Reads, 2 * Rounds, 3 * Rounds);
        Assert.True(SpinWait.SpinUntil(() => Enumerable.Range(FirstSector, Places).All(n => BinaryPrimitives.ReadInt32LittleEndian(_server.Durable.AsSpan(n * 512)) == Rounds / Places), 10_000), "all rounds should be on the disk");
        Assert.DoesNotContain("backup lost", primary.Text);
        Assert.False(backup.HasExited);
    }

    [Fact]
    public void A_backup_that_cannot_read_tries_again()
    {
        _relay = new NbdRelay(_server.Port);
        (PairProcess primary, PairProcess backup) = _pair.Protected(Disk(_server.Port), Disk(_relay.Port));
        int connections = _relay.Connections;
        _relay.Cut(forGood: false);
        Reset();
        primary.WaitFor("emu86-guest: ready", nth: 2);
        _pair.WaitForHashes(primary);
        Assert.Equal(connections + 1, _relay.Connections);
        Assert.False(backup.HasExited);
    }

    [Fact]
    public void A_backup_that_cannot_read_any_more_leaves_and_the_guest_notices_nothing()
    {
        _relay = new NbdRelay(_server.Port);
        (PairProcess primary, PairProcess backup) = _pair.Protected(Disk(_server.Port), Disk(_relay.Port));
        _relay.Cut(forGood: true);
        Reset();
        Assert.Equal(1, backup.WaitForExit());
        Assert.Contains("this backup's disk failed", backup.Text);
        primary.WaitFor("backup lost, unprotected");
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.DoesNotContain("sees an error", primary.Text);
        Assert.Equal(1, _pair.Count());
    }

    [Fact]
    public void Both_sides_must_read_in_the_same_way()
    {
        PairProcess primary = _pair.Primary(Disk(_server.Port));
        primary.WaitFor("role primary");
        PairProcess backup = _pair.Backup("--hda", _server.Address, "--fence-command", "true");
        backup.WaitFor("give both sides the same --disks, --disk-reads and ,readonly");
        Assert.DoesNotContain("protected by", primary.Text);
    }

    private static string[] Disk(int port) => ["--hda", $"nbd:127.0.0.1:{port}/disk", "--fence-command", "true", "--disk-reads", "backup"];

    private int Reads => _server.Requests.ToArray().Count(r => r.Command == NbdServer.Read);

    private void Reset() => Assert.Equal(HttpStatusCode.OK, PairProcess.Post(_pair.Status, "/control/reset").Code);

    // Waits for a byte on COM1, then again and again reads a sector by INT 13h, counts up what stands at its beginning, and writes it, eight
    // sectors in turn; says "done" or "fail" on COM1, and halts.
    private static byte[] BootSector
    {
        get
        {
            byte[] sector = new byte[512];
            Convert.FromHexString(
                "31c08ed8bafd03eca80174fb" // xor ax,ax; mov ds,ax; mov dx,3fd; 1: in al,dx; test al,1; jz 1
                + "b800108ec0be807cb80042b280cd13" // mov es,1000; 2: mov si,7c80; mov ax,4200; mov dl,80; int 13
                + "721c2666ff060000b80043cd13" // jc 4; inc dword es:[0]; mov ax,4300; int 13
                + "720f8a4408fec02447884408" // jc 4; mov al,[si+8]; inc al; and al,47; mov [si+8],al
                + "ff4cfe75d8be687c7303be6e7c" // dec word [si-2]; jnz 2; 4: mov si,7c68; jnc 5; mov si,7c6e
                + "ac84c0741288c4bafd03eca82074fbbaf80388e0eeebe9f4ebfd") // 5: say what is at si, and halt
                .CopyTo(sector, 0);
            "done\n\0fail\n"u8.CopyTo(sector.AsSpan(0x68));
            BinaryPrimitives.WriteUInt16LittleEndian(sector.AsSpan(0x7e), Rounds);
            // The disk address packet: length, sectors, where to and from, number of the sector.
            ((byte[])[16, 0, 1, 0, 0, 0, 0x00, 0x10, FirstSector]).CopyTo(sector, 0x80);
            (sector[510], sector[511]) = (0x55, 0xaa);
            return sector;
        }
    }
}
