// Disks on an NBD server: what is written is there, also when the server or the way to it fails; a server that lies is found out.
using System.Diagnostics;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Nbd;

namespace Emu86.Tests.Ft.Nbd;

public sealed class NbdDiskTests
{
    private const int Sectors = 2048;

    /// <summary>Short enough for a test, long enough for a machine that is busy.</summary>
    private static readonly NbdTimes Times = new(ConnectMs: 5_000, HandshakeMs: 5_000, RequestMs: 5_000, PatienceMs: 5_000);

    [Theory]
    [InlineData(0, 1_048_576)]
    [InlineData(1, 4096)]
    [InlineData(2, 512)]
    public void What_is_written_is_read_back_and_is_the_servers_after_a_flush(int style, int requestBytesMax)
    {
        using var server = new NbdServer(Sectors * 512) { Style = (NbdStyle)style, BlockSizes = (512, (uint)requestBytesMax) };
        using NbdDisk disk = Open(server);
        byte[] model = new byte[Sectors * 512];
        Assert.Equal(Sectors, disk.SectorCount);
        UseAtRandom(disk, model, 300, seed: style);
        Assert.Equal(BlockResult.Ok, disk.Flush());
        Assert.Equal(model, server.Durable);
        // Only NBD_OPT_GO tells the bound.
        if (style == 0) Assert.All(server.Requests, r => Assert.InRange(r.Length, 0, requestBytesMax));
    }

    [Theory]
    [InlineData(nameof(NbdFault.CloseFirst))]
    [InlineData(nameof(NbdFault.CloseAfter))]
    [InlineData(nameof(NbdFault.CutReply))]
    [InlineData(nameof(NbdFault.WrongMagic))]
    [InlineData(nameof(NbdFault.WrongHandle))]
    public void A_connection_that_is_lost_or_damaged_is_made_again_and_the_request_repeated(string fault)
    {
        using var server = new NbdServer(Sectors * 512);
        using NbdDisk disk = Open(server);
        int next = 10;
        server.Fault = request =>
        {
            if (request.Number < next) return NbdFault.None;
            // Far enough for what is written again after it.
            next = request.Number + 60;
            return Enum.Parse<NbdFault>(fault);
        };
        byte[] model = new byte[Sectors * 512];
        for (int n = 0; n < 5; n++)
        {
            UseAtRandom(disk, model, 40, seed: n);
            Assert.Equal(BlockResult.Ok, disk.Flush());
            Assert.Equal(model, server.Durable);
        }
        Assert.InRange(server.Connections, 3, 20);
    }

    [Fact]
    public void A_server_that_dies_and_forgets_what_was_not_flushed_gets_it_again()
    {
        using var server = new NbdServer(Sectors * 512);
        using NbdDisk disk = Open(server);
        byte[] model = new byte[Sectors * 512];
        for (int n = 0; n < 5; n++)
        {
            UseAtRandom(disk, model, 30, seed: n);
            if (n == 2) Assert.Equal(BlockResult.Ok, disk.Flush());
            server.Crash();
        }
        byte[] read = new byte[model.Length];
        Assert.Equal(BlockResult.Ok, disk.Read(0, read));
        Assert.Equal(model, read);
        Assert.Equal(BlockResult.Ok, disk.Flush());
        Assert.Equal(model, server.Durable);
    }

    [Fact]
    public void A_flush_that_failed_is_done_with_all_the_writes_before_it()
    {
        using var server = new NbdServer(Sectors * 512);
        using NbdDisk disk = Open(server);
        byte[] model = new byte[Sectors * 512];
        UseAtRandom(disk, model, 30, seed: 1);
        server.Fault = r => r.Command == NbdServer.Flush ? NbdFault.Refuse : NbdFault.None;
        Assert.Equal(BlockResult.IoError, disk.Flush());
        Assert.Contains("could not flush: its disk failed", disk.LastError);
        // As a kernel does that could not write its cache back: it is dropped, and the next flush knows nothing of it.
        server.Forget();
        server.Fault = _ => NbdFault.None;
        Assert.Equal(BlockResult.Ok, disk.Flush());
        Assert.Equal(model, server.Durable);
        Assert.Equal(1, server.Connections);
    }

    [Fact]
    public void What_is_kept_for_a_server_that_dies_is_bounded_by_a_flush()
    {
        const int bytes = UndurableWrites.BytesMax * 2;
        using var server = new NbdServer(bytes);
        using NbdDisk disk = Open(server);
        byte[] data = new byte[1 << 20];
        for (int n = 0; n < bytes >> 20; n++) Assert.Equal(BlockResult.Ok, disk.Write((long)n << 11, data));
        Assert.Equal(1, server.Requests.Count(r => r.Command == NbdServer.Flush));
    }

    [Fact]
    public void A_server_without_flushes_is_asked_to_make_each_write_durable()
    {
        using var server = new NbdServer(Sectors * 512) { Flags = 0b1001 };
        using NbdDisk disk = Open(server);
        byte[] model = new byte[Sectors * 512];
        UseAtRandom(disk, model, 30, seed: 1);
        Assert.Equal(model, server.Durable);
        Assert.Equal(BlockResult.Ok, disk.Flush());
        Assert.DoesNotContain(server.Requests, r => r.Command == NbdServer.Flush);
    }

    [Fact]
    public void A_server_that_is_started_anew_is_waited_for()
    {
        using var server = new NbdServer(Sectors * 512);
        using NbdDisk disk = Open(server);
        byte[] data = [.. Enumerable.Range(0, 1024).Select(n => (byte)n)];
        Assert.Equal(BlockResult.Ok, disk.Write(5, data));
        server.Stop();
        using var back = new Timer(_ => server.Start(), null, 500, Timeout.Infinite);
        Assert.Equal(BlockResult.Ok, disk.Write(9, data));
        Assert.Equal(data, server.Content[(9 * 512)..(11 * 512)]);
        Assert.Equal(data[..512], server.Content[(5 * 512)..(6 * 512)]);
    }

    [Fact]
    public void A_server_that_stays_away_is_an_error_in_time_and_serves_again_when_it_is_back()
    {
        using var server = new NbdServer(Sectors * 512);
        using NbdDisk disk = Open(server, Times with { PatienceMs = 300 });
        server.Stop();
        long started = Stopwatch.GetTimestamp();
        Assert.Equal(BlockResult.IoError, disk.Read(0, new byte[512]));
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalSeconds, 0.25, 4);
        Assert.Equal($"{server.Address}: nothing listens there (is the NBD server running?)", disk.LastError);
        server.Start();
        Assert.Equal(BlockResult.Ok, disk.Read(0, new byte[512]));
    }

    [Theory]
    [InlineData(1, "not permitted")]
    [InlineData(5, "its disk failed")]
    [InlineData(28, "no room left")]
    [InlineData(77, "error 77")]
    public void An_error_of_the_server_is_that_requests_alone(uint error, string words)
    {
        using var server = new NbdServer(Sectors * 512) { Error = error };
        using NbdDisk disk = Open(server);
        server.Fault = r => r.Offset == 512 ? NbdFault.Refuse : NbdFault.None;
        foreach (bool writes in new[] { false, true })
        {
            Assert.Equal(BlockResult.IoError, writes ? disk.Write(1, new byte[512]) : disk.Read(1, new byte[512]));
            Assert.Contains($"could not {(writes ? "write" : "read")}: ", disk.LastError);
            Assert.Contains(words, disk.LastError);
            Assert.Equal(BlockResult.Ok, disk.Read(2, new byte[512]));
        }
        Assert.Equal(1, server.Connections);
    }

    [Fact]
    public void A_server_that_says_it_is_larger_than_it_is_gives_errors_behind_its_end()
    {
        using var server = new NbdServer(Sectors * 512) { SaidBytes = Sectors * 1024 };
        using NbdDisk disk = Open(server);
        Assert.Equal(2 * Sectors, disk.SectorCount);
        Assert.Equal(BlockResult.Ok, disk.Read(Sectors - 1, new byte[512]));
        Assert.Equal(BlockResult.IoError, disk.Read(Sectors, new byte[512]));
        Assert.Contains("EINVAL", disk.LastError);
    }

    [Theory]
    [InlineData(Sectors * 512 - 512)]
    [InlineData(Sectors * 512 + 512)]
    public void An_export_of_another_size_is_not_taken_for_the_same_disk(int bytes)
    {
        using var server = new NbdServer(Sectors * 512);
        using NbdDisk disk = Open(server, Times with { PatienceMs = 0 });
        server.SaidBytes = (ulong)bytes;
        server.Crash();
        Assert.Equal(BlockResult.IoError, disk.Write(0, new byte[512]));
        Assert.Equal(BlockResult.IoError, disk.Write(0, new byte[512]));
        Assert.Contains($"has {bytes} bytes now, it had {Sectors * 512}: it is another disk", disk.LastError);
        Assert.DoesNotContain(server.Requests, r => r.Command == NbdServer.Write);
    }

    [Theory]
    [InlineData(nameof(NbdFault.WrongMagic), "where a reply should begin")]
    [InlineData(nameof(NbdFault.WrongHandle), "the server answered request")]
    [InlineData(nameof(NbdFault.CutReply), "the server closed the connection")]
    [InlineData(nameof(NbdFault.Silence), "the server did not answer within 0.3 s")]
    public void A_server_that_always_answers_wrongly_is_an_error_that_says_how(string fault, string words)
    {
        using var server = new NbdServer(Sectors * 512);
        using NbdDisk disk = Open(server, Times with { RequestMs = fault == nameof(NbdFault.Silence) ? 300 : 5_000, PatienceMs = 0 });
        server.Fault = _ => Enum.Parse<NbdFault>(fault);
        Assert.Equal(BlockResult.IoError, disk.Read(0, new byte[4096]));
        Assert.Contains(words, disk.LastError);
    }

    [Fact]
    public void A_server_that_is_shutting_down_is_left()
    {
        using var server = new NbdServer(Sectors * 512) { Error = 108 };
        using NbdDisk disk = Open(server);
        server.Fault = r => r.Number == 1 ? NbdFault.Refuse : NbdFault.None;
        Assert.Equal(BlockResult.Ok, disk.Read(0, new byte[512]));
        Assert.Equal(2, server.Connections);
    }

    public static TheoryData<string> Lies => new(Servers.Keys);

    [Theory]
    [MemberData(nameof(Lies))]
    public void A_server_that_cannot_be_used_is_a_sentence(string lie)
    {
        (Func<NbdServer> start, string words) = Servers[lie];
        using NbdServer server = start();
        var e = Assert.Throws<HostException>(() => Open(server, Times with { HandshakeMs = lie == "silent" ? 500 : 5_000 }));
        Assert.StartsWith($"disk {server.Address} cannot be opened", e.Message);
        Assert.Contains(words, e.Message);
        Assert.Equal(ExitCode.Failure, e.ExitCode);
    }

    private static readonly Dictionary<string, (Func<NbdServer> Start, string Words)> Servers = new()
    {
        ["a stranger"] = (() => new NbdServer(512) { Style = NbdStyle.Stranger }, "is no NBD server"),
        ["oldstyle"] = (() => new NbdServer(512) { Style = NbdStyle.Oldstyle }, "oldstyle"),
        ["silent"] = (() => new NbdServer(512) { Style = NbdStyle.Silent }, "did not answer within 0.5 s"),
        ["no such export"] = (() => new NbdServer(512) { OptionError = (0x8000_0006, "who\nis that?") }, "has no export \"disk\": it says \"who is that?\""),
        ["TLS"] = (() => new NbdServer(512) { OptionError = (0x8000_0005, "") }, "wants TLS"),
        ["policy"] = (() => new NbdServer(512) { OptionError = (0x8000_0002, "") }, "refuses the export \"disk\" with error 2"),
        ["acknowledged without a size"] = (() => new NbdServer(512) { OptionError = (1, "") }, "does not say how large"),
        ["a reply of another kind"] = (() => new NbdServer(512) { OptionError = (2, "") }, "which does not belong here"),
        ["a long reply"] = (() => new NbdServer(512) { SaidReplyBytes = 0xffff_ffff }, "announces a reply of 4294967295 bytes"),
        ["a reply that is cut"] = (() => new NbdServer(512) { SaidReplyBytes = 11 }, "information 0 has 11 bytes"),
        ["no bytes"] = (() => new NbdServer(512) { SaidBytes = 0 }, "has 0 bytes"),
        ["half a sector"] = (() => new NbdServer(512) { SaidBytes = 700 }, "has 700 bytes, which is not a whole number"),
        ["no bytes by name"] = (() => new NbdServer(512) { Style = NbdStyle.NameOnly, SaidBytes = 0 }, "has 0 bytes"),
        ["larger than any disk"] = (() => new NbdServer(512) { SaidBytes = 0xffff_ffff_ffff_fe00 }, "which no disk has"),
        ["large blocks"] = (() => new NbdServer(4096) { BlockSizes = (4096, 1 << 20) }, "wants requests of 4096 bytes at least"),
        ["blocks of nothing"] = (() => new NbdServer(4096) { BlockSizes = (0, 1 << 20) }, "wants requests of 0 bytes at least"),
        ["small requests"] = (() => new NbdServer(4096) { BlockSizes = (1, 256) }, "takes requests of 256 bytes at most"),
        ["read-only"] = (() => new NbdServer(4096) { Flags = 0b111 }, "the server exports it read-only; add ,readonly"),
    };

    [Fact]
    public void An_export_that_is_read_only_can_be_read_and_answers_a_write_as_such()
    {
        using var server = new NbdServer(Sectors * 512) { Flags = 0b111 };
        using NbdDisk disk = NbdDisk.Open(Address(server), readOnly: true, Times);
        Assert.True(disk.IsReadOnly);
        Assert.Equal(BlockResult.Ok, disk.Read(0, new byte[512]));
        Assert.Equal(BlockResult.ReadOnly, disk.Write(0, new byte[512]));
        Assert.DoesNotContain(server.Requests, r => r.Command == NbdServer.Write);
    }

    [Fact]
    public void The_server_is_told_when_the_disk_is_closed()
    {
        using var server = new NbdServer(Sectors * 512);
        NbdDisk disk = Open(server);
        Assert.Equal(BlockResult.Ok, disk.Read(0, new byte[512]));
        disk.Dispose();
        SpinWait.SpinUntil(() => server.Requests.Count == 2, 5_000);
        Assert.Equal(NbdServer.Disconnect, server.Requests[^1].Command);
        Assert.Equal(BlockResult.IoError, disk.Read(0, new byte[512]));
    }

    private static NbdAddress Address(NbdServer server) => new(new Endpoint("127.0.0.1", server.Port), "disk");

    private static NbdDisk Open(NbdServer server, NbdTimes? times = null) => NbdDisk.Open(Address(server), readOnly: false, times ?? Times);

    /// <summary>Reads and writes, with the model's content as what is expected.</summary>
    internal static void UseAtRandom(IBlockStore disk, byte[] model, int requests, int seed)
    {
        var random = new Random(seed);
        int sectors = model.Length / 512;
        for (int n = 0; n < requests; n++)
        {
            byte[] data = new byte[512 * random.Next(1, 200)];
            int lba = random.Next(sectors - data.Length / 512 + 1);
            Span<byte> there = model.AsSpan(lba * 512, data.Length);
            if (random.Next(2) == 0)
            {
                Assert.Equal(BlockResult.Ok, disk.Read(lba, data));
                Assert.True(there.SequenceEqual(data), $"request {n}, {data.Length} bytes at sector {lba}");
                continue;
            }
            random.NextBytes(data);
            Assert.Equal(BlockResult.Ok, disk.Write(lba, data));
            data.CopyTo(there);
        }
    }
}
