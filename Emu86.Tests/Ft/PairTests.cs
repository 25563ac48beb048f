// Pairs of real processes on loopback running the embedded guest: they come up, die, freeze, leave, and find each other again.
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class PairTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-pair").FullName;
    private readonly int _port = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];
    private string _net = "none";

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }

    // The timeouts are long: a test machine that is busy is no failed host.
    private string[] Common => ["--state-dir", _state, "--net", _net, "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200"];

    private PairProcess Primary(params string[] more) => Start(["--primary", "--backups", $"127.0.0.1:{_port}", .. Common, .. more]);

    private PairProcess Backup(params string[] more) => Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", .. Common, .. more]);

    [Theory]
    [InlineData("auto", "interpreter")]
    [InlineData("interpreter", "auto")]
    public void A_killed_primary_is_replaced_by_its_backup_which_knows_all_the_guest_knew(string primaryEngine, string backupEngine)
    {
        int status = PairProcess.FreePort(), backupStatus = PairProcess.FreePort();
        PairProcess backup = Backup("--engine", backupEngine, "--status", $"127.0.0.1:{backupStatus}");
        backup.WaitFor("role backup");
        PairProcess primary = Primary("--engine", primaryEngine, "--status", $"127.0.0.1:{status}");
        primary.WaitFor("role primary epoch 1");
        primary.WaitFor($"protected by 127.0.0.1:{_port}");
        primary.WaitFor("emu86-guest: ready");
        primary.WaitForStatus(status, s => s.GetProperty("protected").GetBoolean() && s.GetProperty("hashesChecked").GetUInt64() >= 3);
        backup.WaitForStatus(backupStatus, s => s.GetProperty("role").GetString() == "backup" && s.GetProperty("hashesChecked").GetUInt64() >= 3 && s.GetProperty("diverged").GetInt32() == 0);
        Assert.DoesNotContain("emu86-guest", backup.Text);
        primary.Signal(PairProcess.SigKill);
        Assert.Matches(@"^emu86: went live epoch 2 at count \d+, outage \d+ ms$", backup.WaitFor("went live"));
        Assert.Matches(@"^emu86: of the outage, \d+ ms until it was noticed, \d+ until the epoch was won, \d+ until the log was executed, \d+ until the world was taken over$", backup.WaitFor("of the outage"));
        backup.Type("state");
        Assert.Contains("up ", backup.WaitFor("counter 0"));
        backup.WaitForStatus(backupStatus, s => s.GetProperty("role").GetString() == "primary" && s.GetProperty("failovers").GetInt32() == 1 && s.GetProperty("epoch").GetUInt64() == 2);
    }

    [Fact]
    public void The_web_servers_counter_goes_on_after_a_failover()
    {
        int web = PairProcess.FreePort();
        _net = $"user,hostfwd=tcp:127.0.0.1:{web}-:80";
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        PairProcess primary = Primary();
        primary.WaitFor("emu86-guest: ready 10.0.2.15");
        primary.WaitFor("protected by");
        for (int n = 1; n <= 5; n++) Assert.Equal($"{n}", PairProcess.Get(web, "/count").Trim());
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        Assert.Equal("6", PairProcess.Get(web, "/count").Trim());
    }

    [Fact]
    public void Open_TCP_connections_survive_the_death_of_the_primary()
    {
        int web = PairProcess.FreePort(), cable = PairProcess.FreePort();
        PairProcess middle = Start("--switch", $"127.0.0.1:{cable}", "--hostfwd", $"tcp:127.0.0.1:{web}-:80");
        middle.WaitFor("switch on");
        _net = $"stream,addr=127.0.0.1:{cable}";
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        PairProcess primary = Primary();
        primary.WaitFor("emu86-guest: ready 10.0.2.15");
        primary.WaitFor("protected by");
        using TcpClient client = new("127.0.0.1", web) { NoDelay = true, ReceiveTimeout = 15_000 };
        using var answers = new StreamReader(client.GetStream());
        for (int n = 1; n <= 300; n++)
        {
            if (n == 100) primary.Signal(PairProcess.SigKill);
            Assert.Equal(n, Count(client.GetStream(), answers));
        }
        backup.WaitFor("went live epoch 2");
    }

    [Fact]
    public void Redundancy_comes_back_after_every_single_failure()
    {
        PairProcess primary = Primary();
        primary.WaitFor("role primary epoch 1");
        PairProcess first = Backup();
        primary.WaitFor("protected by");
        first.Signal(PairProcess.SigKill);
        primary.WaitFor("emu86: backup lost, unprotected");
        PairProcess second = Backup();
        primary.WaitFor("protected by", nth: 2);
        primary.Signal(PairProcess.SigKill);
        second.WaitFor("went live epoch 3");
        PairProcess third = Backup();
        second.WaitFor("protected by");
        second.Signal(PairProcess.SigKill);
        third.WaitFor("went live epoch 4");
        third.Type("q");
        Assert.Equal(0, third.WaitForExit());
    }

    [Fact]
    public void Of_a_frozen_primary_and_its_backup_exactly_one_survives()
    {
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        PairProcess primary = Primary();
        primary.WaitFor("protected by");
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("went live epoch 2");
        primary.Signal(PairProcess.SigCont);
        Assert.Equal(3, primary.WaitForExit());
        Assert.Contains("emu86: halted, epoch 2 belongs to another", primary.Text);
        Assert.False(backup.HasExited);
        backup.Type("state");
        backup.WaitFor("counter 0");
    }

    [Fact]
    public void Of_a_frozen_backup_and_its_primary_exactly_one_survives()
    {
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        PairProcess primary = Primary();
        primary.WaitFor("protected by");
        backup.Signal(PairProcess.SigStop);
        primary.WaitFor("backup lost, unprotected");
        backup.Signal(PairProcess.SigCont);
        Assert.Equal(3, backup.WaitForExit());
        Assert.Contains("belongs to another", backup.Text);
        Assert.False(primary.HasExited);
    }

    [Fact]
    public void Stopping_a_protected_primary_hands_over_and_stopping_a_backup_leaves()
    {
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        PairProcess primary = Primary();
        primary.WaitFor("protected by");
        primary.Signal(PairProcess.SigTerm);
        Assert.Equal(0, primary.WaitForExit());
        backup.WaitFor("went live epoch 2");
        PairProcess second = Backup();
        backup.WaitFor("protected by");
        second.Signal(PairProcess.SigTerm);
        Assert.Equal(0, second.WaitForExit());
        backup.WaitFor("backup lost, unprotected");
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
    }

    [Fact]
    public void A_guest_that_powers_off_ends_both_sides()
    {
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        PairProcess primary = Primary();
        primary.WaitFor("protected by");
        primary.WaitFor("emu86-guest: ready");
        primary.Type("q");
        Assert.Equal(0, primary.WaitForExit());
        Assert.Equal(0, backup.WaitForExit());
        Assert.DoesNotContain("went live", backup.Text);
    }

    [Fact]
    public void A_second_primary_of_the_same_guest_is_refused_while_the_first_lives()
    {
        Primary().WaitFor("role primary epoch 1");
        PairProcess second = Primary();
        Assert.Equal(3, second.WaitForExit());
        Assert.Contains("is already live", second.Text);
    }

    [Fact]
    public void Strangers_on_the_logging_port_do_no_harm()
    {
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        Random random = new(1);
        for (int n = 0; n < 40; n++)
        {
            using TcpClient stranger = new("127.0.0.1", _port);
            byte[] garbage = new byte[random.Next(1, 5000)];
            random.NextBytes(garbage);
            if (n % 3 == 0 && garbage.Length >= 12) ((byte[])[.. "EMU86LOG"u8, 1, 0, 0, 0]).CopyTo(garbage, 0);
            stranger.GetStream().Write(garbage);
        }
        using UdpClient datagrams = new();
        for (int n = 0; n < 40; n++) datagrams.Send(new byte[n], n, "127.0.0.1", _port);
        List<TcpClient> silent = [.. Enumerable.Range(0, 20).Select(_ => new TcpClient("127.0.0.1", _port))];
        PairProcess primary = Primary();
        primary.WaitFor("protected by");
        silent.ForEach(s => s.Dispose());
        Assert.DoesNotContain("Unhandled", backup.Text);
    }

    [Fact]
    public void Another_protocol_version_is_refused_with_a_sentence()
    {
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        using TcpClient other = new("127.0.0.1", _port);
        other.GetStream().Write([.. "EMU86LOG"u8, 99, 0, 0, 0]);
        backup.WaitFor($"protocol version 99; this program speaks version {Emu86.Ft.Replication.Frame.ProtocolVersion}");
    }

    [Fact]
    public void A_port_in_use_is_a_sentence()
    {
        Backup().WaitFor("role backup");
        PairProcess second = Backup();
        Assert.Equal(1, second.WaitForExit());
        Assert.Contains("--listen", second.Text);
        Assert.DoesNotContain("   at ", second.Text);
    }

    [Fact]
    public void An_address_beyond_this_host_is_refused_without_TLS()
    {
        PairProcess backup = Start("--backup", "--listen", "192.0.2.1:8686", "--state-dir", _state);
        Assert.Equal(2, backup.WaitForExit());
        Assert.Contains("needs TLS", backup.Text);
    }

    [Fact]
    public void A_backups_missing_image_is_created_and_follows_every_write()
    {
        string image = Path.Combine(_state, "a.img"), copy = Path.Combine(_state, "b.img");
        File.WriteAllBytes(image, new byte[3 * 65536 + 512 * 5]);
        int web = PairProcess.FreePort();
        _net = $"user,hostfwd=tcp:127.0.0.1:{web}-:80";
        PairProcess primary = Primary("--hda", image, "--kernel", EmbeddedGuest);
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup("--hda", copy);
        primary.WaitFor("protected by");
        Assert.Equal("1", PairProcess.Get(web, "/count").Trim());
        Thread.Sleep(500);
        primary.Type("q");
        Assert.Equal(0, primary.WaitForExit());
        Assert.Equal(0, backup.WaitForExit());
        Assert.NotEqual(new byte[512], File.ReadAllBytes(image)[512..1024]);
        Assert.Equal(File.ReadAllBytes(image), File.ReadAllBytes(copy));
    }

    [Fact]
    public void A_read_only_disk_answers_a_write_alike_on_both_sides()
    {
        string image = Path.Combine(_state, "a.img"), copy = Path.Combine(_state, "b.img");
        File.WriteAllBytes(image, new byte[65536]);
        int web = PairProcess.FreePort(), status = PairProcess.FreePort();
        _net = $"user,hostfwd=tcp:127.0.0.1:{web}-:80";
        PairProcess primary = Primary("--hda", image + ",readonly", "--kernel", EmbeddedGuest, "--status", $"127.0.0.1:{status}");
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup("--hda", copy);
        primary.WaitFor("protected by");
        ulong hashes = PairProcess.Status(status).GetProperty("hashesChecked").GetUInt64();
        Assert.Equal("1", PairProcess.Get(web, "/count").Trim());
        primary.WaitForStatus(status, s => s.GetProperty("hashesChecked").GetUInt64() >= hashes + 4 || s.GetProperty("diverged").GetInt32() > 0);
        Assert.DoesNotContain("diverged", primary.Text + backup.Text);
        Assert.Equal(new byte[65536], File.ReadAllBytes(copy));
    }

    [Fact]
    public void A_backups_image_with_other_content_is_refused_unless_it_may_be_overwritten()
    {
        string image = Path.Combine(_state, "a.img"), copy = Path.Combine(_state, "b.img");
        File.WriteAllBytes(image, new byte[65536]);
        File.WriteAllBytes(copy, [.. Enumerable.Repeat((byte)7, 65536)]);
        PairProcess primary = Primary("--hda", image, "--kernel", EmbeddedGuest);
        primary.WaitFor("role primary");
        PairProcess backup = Backup("--hda", copy);
        backup.WaitFor("--overwrite-disk");
        Assert.DoesNotContain("protected by", primary.Text);
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        Assert.Equal(7, File.ReadAllBytes(copy)[0]);
        Backup("--hda", copy, "--overwrite-disk");
        primary.WaitFor("protected by");
    }

    [Fact]
    public void A_copy_that_was_tampered_with_is_found_written_down_and_replaced()
    {
        string image = Path.Combine(_state, "a.img"), copy = Path.Combine(_state, "b.img");
        File.WriteAllBytes(image, new byte[65536]);
        int status = PairProcess.FreePort();
        PairProcess primary = Primary("--hda", image, "--kernel", EmbeddedGuest, "--status", $"127.0.0.1:{status}");
        primary.WaitFor("emu86-guest: ready");
        PairProcess backup = Backup("--hda", copy);
        primary.WaitFor("protected by");
        // The guest reads sector 1 when it starts: a counter of 7 there, on one side only.
        byte[] sector = new byte[512];
        "Emu86 counter 1"u8.CopyTo(sector);
        sector[16] = 7;
        uint sum = 0x656D7538;
        for (int n = 0; n < 24; n++) sum = sum * 31 + sector[n];
        BitConverter.TryWriteBytes(sector.AsSpan(24), sum);
        using (FileStream file = new(copy, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.Position = 512;
            file.Write(sector);
        }
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/reset").Code);
        string line = backup.WaitFor("emu86: diverged at count");
        string evidence = line[(line.IndexOf("evidence in ", StringComparison.Ordinal) + 12)..];
        line = primary.WaitFor("emu86: diverged at count");
        string known = line[(line.IndexOf("evidence in ", StringComparison.Ordinal) + 12)..];
        Assert.DoesNotContain("went live", backup.Text);
        primary.WaitFor("protected by", nth: 2);
        primary.WaitForStatus(status, s => s.GetProperty("diverged").GetInt32() == 1 && s.GetProperty("protected").GetBoolean());
        // The image has gone on; the evidence holds what the guest read.
        Emu86Process replay = Emu86Process.Run(TimeSpan.FromSeconds(60), "--replay", evidence, "--serial", "null");
        Assert.Contains("this replay repeats the backup's run", replay.Errors);
        Assert.Equal(4, replay.ExitCode);
        replay = Emu86Process.Run(TimeSpan.FromSeconds(60), "--replay", known);
        Assert.Contains("evidence of the primary, epoch 1: diverged at count", replay.Errors);
        Assert.Contains("this evidence cannot be replayed: the primary keeps no earlier states", replay.Errors);
        Assert.Equal(1, replay.ExitCode);
    }

    [Fact]
    public void A_connection_that_breaks_is_made_again_and_the_log_goes_on()
    {
        using PairProxy proxy = new(_port);
        int status = PairProcess.FreePort();
        PairProcess backup = Backup();
        backup.WaitFor("role backup");
        PairProcess primary = Start(["--primary", "--backups", $"127.0.0.1:{proxy.Port}", .. Common, "--status", $"127.0.0.1:{status}"]);
        primary.WaitFor("protected by");
        for (int n = 0; n < 5; n++)
        {
            proxy.Cut();
            ulong hashes = PairProcess.Status(status).GetProperty("hashesChecked").GetUInt64();
            primary.WaitForStatus(status, s => s.GetProperty("protected").GetBoolean() && s.GetProperty("hashesChecked").GetUInt64() >= hashes + 2);
        }
        Assert.Equal(1ul, PairProcess.Status(status).GetProperty("epoch").GetUInt64());
        Assert.True(proxy.Connections > 1);
        Assert.DoesNotContain("lost", primary.Text);
    }

    [Fact]
    public void A_backup_writes_a_snapshot_while_the_primary_goes_on()
    {
        int status = PairProcess.FreePort(), backupStatus = PairProcess.FreePort();
        PairProcess backup = Backup("--status", $"127.0.0.1:{backupStatus}");
        backup.WaitFor("role backup");
        (HttpStatusCode code, string text) = PairProcess.Post(backupStatus, "/control/snapshot");
        Assert.Equal(HttpStatusCode.Conflict, code);
        Assert.Contains("has no guest", text);
        PairProcess primary = Primary("--status", $"127.0.0.1:{status}");
        primary.WaitFor("emu86-guest: ready");
        primary.WaitFor("protected by");
        for (int n = 0; n < 3; n++)
        {
            (code, text) = PairProcess.Post(backupStatus, "/control/snapshot");
            Assert.True(code == HttpStatusCode.OK, text);
        }
        ulong hashes = PairProcess.Status(status).GetProperty("hashesChecked").GetUInt64();
        primary.WaitForStatus(status, s => s.GetProperty("hashesChecked").GetUInt64() >= hashes + 3);
        JsonElement after = PairProcess.Status(status);
        Assert.Equal((0, true, 1ul), (after.GetProperty("diverged").GetInt32(), after.GetProperty("protected").GetBoolean(), after.GetProperty("epoch").GetUInt64()));
        // The guest goes on from there: it answers, as the one on the primary does.
        PairProcess restored = Start("--restore", text.Trim(), "--state-dir", _state, "--net", "none");
        restored.Type("state");
        restored.WaitFor("counter 0");
    }

    [Fact]
    public void An_unprotected_run_has_the_same_status_port()
    {
        int status = PairProcess.FreePort();
        PairProcess alone = Start("--net", "none", "--memory", "16M", "--status", $"127.0.0.1:{status}", "--state-dir", _state);
        alone.WaitFor("emu86-guest: ready");
        alone.WaitForStatus(status, s => s.GetProperty("role").GetString() == "standalone" && s.GetProperty("engine").GetString() is "translator" or "interpreter" && s.GetProperty("instructionCount").GetUInt64() > 0);
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/pause").Code);
        alone.WaitForStatus(status, s => s.GetProperty("paused").GetBoolean());
        (HttpStatusCode code, string path) = PairProcess.Post(status, "/control/snapshot");
        Assert.Equal(HttpStatusCode.OK, code);
        Assert.True(File.Exists(path.Trim()));
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/poweroff").Code);
        Assert.Equal(0, alone.WaitForExit());
    }

    [Fact]
    public void Control_operations_reach_both_sides()
    {
        int status = PairProcess.FreePort(), backupStatus = PairProcess.FreePort();
        PairProcess backup = Backup("--status", $"127.0.0.1:{backupStatus}");
        backup.WaitFor("role backup");
        PairProcess primary = Primary("--status", $"127.0.0.1:{status}");
        primary.WaitFor("protected by");
        primary.WaitFor("emu86-guest: ready");
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/pause").Code);
        primary.WaitForStatus(status, s => s.GetProperty("paused").GetBoolean());
        ulong at = PairProcess.Status(status).GetProperty("instructionCount").GetUInt64();
        Thread.Sleep(300);
        Assert.Equal(at, PairProcess.Status(status).GetProperty("instructionCount").GetUInt64());
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/resume").Code);
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/reset").Code);
        primary.WaitFor("emu86-guest: start", nth: 2);
        primary.WaitFor("emu86-guest: ready", nth: 2);
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/snapshot").Code);
        Assert.Equal(HttpStatusCode.Conflict, PairProcess.Post(backupStatus, "/control/reset").Code);
        Assert.Equal(HttpStatusCode.NotFound, PairProcess.Post(status, "/control/nothing").Code);
        Assert.Contains("emu86_protected 1", PairProcess.Get(status, "/metrics"));
        Assert.Contains("<h1>Emu86: primary, epoch 1, protected", PairProcess.Get(status, "/"));
        Assert.Equal(0, PairProcess.Status(status).GetProperty("diverged").GetInt32());
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(status, "/control/poweroff").Code);
        Assert.Equal(0, primary.WaitForExit());
        Assert.Equal(0, backup.WaitForExit());
        Assert.DoesNotContain("went live", backup.Text);
    }

    // One request on a connection that stays open.
    private static int Count(NetworkStream to, StreamReader from)
    {
        to.Write("GET /count HTTP/1.1\r\nHost: guest\r\n\r\n"u8);
        int length = 0;
        for (string? line; (line = from.ReadLine())?.Length > 0;)
        {
            if (line!.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)) length = int.Parse(line[15..], System.Globalization.CultureInfo.InvariantCulture);
        }
        char[] body = new char[length];
        Assert.Equal(length, from.ReadBlock(body));
        return int.Parse(new string(body).Trim(), System.Globalization.CultureInfo.InvariantCulture);
    }

    internal static string EmbeddedGuest
    {
        get
        {
            string folder = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(folder, "Emu86.sln"))) folder = Path.GetDirectoryName(folder)!;
            return Path.Combine(folder, "guests", "embedded", "emu86-guest.elf");
        }
    }
}
