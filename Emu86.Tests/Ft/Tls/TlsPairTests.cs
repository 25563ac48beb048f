// Pairs of real processes that talk TLS: they fail over as without it, and those who may not take part have no effect.
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Emu86.Ft.Cli;

namespace Emu86.Tests.Ft.Tls;

[Collection("processes")]
public sealed class TlsPairTests : IDisposable
{
    private readonly TestCertificates _certificates = new(), _others = new();
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-tls").FullName;
    private readonly int _port = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
        _certificates.Dispose();
        _others.Dispose();
    }

    /// <summary>An IPv4 address of this host that is not on loopback; empty when there is none.</summary>
    internal static string OwnAddress => NetworkInterface.GetAllNetworkInterfaces()
        .Where(i => i.OperationalStatus == OperationalStatus.Up)
        .SelectMany(i => i.GetIPProperties().UnicastAddresses).Select(a => a.Address)
        .FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(a))?.ToString() ?? "";

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }

    private string[] Common => ["--state-dir", _state, "--net", "none", "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200"];

    private PairProcess Primary(TlsFiles? files, params string[] more) => Start(["--primary", "--backups", $"127.0.0.1:{_port}", .. Common, .. TestCertificates.Options(files), .. more]);

    private PairProcess Backup(TlsFiles? files, params string[] more) =>
        Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", .. Common, .. TestCertificates.Options(files), .. more]);

    private TlsFiles Good() => _certificates.Make(TestCertificates.Local);

    [Fact]
    public void A_pair_over_TLS_fails_over_and_finds_a_new_backup()
    {
        PairProcess backup = Backup(Good());
        backup.WaitFor("role backup");
        PairProcess primary = Primary(Good());
        primary.WaitFor($"protected by 127.0.0.1:{_port}");
        primary.WaitFor("emu86-guest: ready");
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live epoch 2");
        backup.Type("state");
        backup.WaitFor("counter 0");
        PairProcess second = Backup(Good());
        backup.WaitFor("protected by");
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
        second.WaitFor("went live epoch 3");
        second.Type("q");
        Assert.Equal(0, second.WaitForExit());
    }

    [SkippableFact]
    public void A_pair_on_an_address_that_is_not_loopback_fails_over_and_is_asked_whether_it_lives()
    {
        string address = OwnAddress;
        Skip.If(address.Length == 0, "needs a network interface with an IPv4 address besides loopback");
        TlsFiles files = _certificates.Make([address]);
        int status = PairProcess.FreePort();
        string[] far = ["--listen", $"{address}:{_port}", "--backups", $"{address}:{_port}", "--arbiter", $"file:{Path.Combine(_state, "arbiter")}", .. TestCertificates.Options(files), .. Common];
        PairProcess backup = Start(["--backup", "--status", $"{address}:{status}", .. far]);
        backup.WaitFor("role backup");
        PairProcess primary = Start(["--primary", .. far]);
        primary.WaitFor($"protected by {address}:{_port}");
        Assert.True(WaitForStatus(address, status, files, s => s.GetProperty("protected").GetBoolean()));
        // A second primary asks the first one, over TLS, and is told that it lives.
        PairProcess second = Start(["--primary", .. far]);
        Assert.Equal(3, second.WaitForExit());
        Assert.Contains("is already live", second.Text);
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live epoch 2");
        Assert.True(WaitForStatus(address, status, files, s => s.GetProperty("role").GetString() == "primary"));
        backup.Signal(PairProcess.SigTerm);
        Assert.Equal(0, backup.WaitForExit());
    }

    [Fact]
    public void Strangers_and_bad_certificates_are_refused_with_a_sentence_and_a_running_pair_does_not_notice()
    {
        int status = PairProcess.FreePort();
        TlsFiles good = Good();
        PairProcess backup = Backup(Good());
        backup.WaitFor("role backup");
        PairProcess primary = Primary(good, "--status", $"127.0.0.1:{status}");
        primary.WaitFor("protected by");
        foreach (int port in (int[])[_port, status])
        {
            PairProcess asked = port == _port ? backup : primary;
            Call(port, null);
            asked.WaitFor("refused: it showed no certificate");
            Call(port, _others.Make(TestCertificates.Local));
            asked.WaitFor("refused: the certificate is not signed by an authority in --tls-ca");
            Call(port, _certificates.Make(TestCertificates.Local, -30, -1));
            asked.WaitFor("refused: the certificate is valid from");
            using (TcpClient garbage = new("127.0.0.1", port))
            {
                garbage.GetStream().Write("GET /status HTTP/1.1\r\n\r\n"u8);
                asked.WaitFor("refused: the TLS 1.3 handshake failed");
            }
            for (int n = 0; n < 2; n++) new TcpClient("127.0.0.1", port).Dispose();
            asked.WaitFor("refused: the connection ended during the TLS handshake");
            using (TcpClient slow = new("127.0.0.1", port))
            {
                slow.GetStream().Write([0x16]);
                asked.WaitFor("refused: it did not show within 2 s who it is");
            }
            // More than there is room for. While they hang on, somebody of the pair finds room.
            List<TcpClient> many = [.. Enumerable.Range(0, 25).Select(_ => new TcpClient("127.0.0.1", port))];
            many.ForEach(Poke);
            if (port == status) Assert.True(WaitForStatus("127.0.0.1", status, good, s => s.GetProperty("protected").GetBoolean()));
            many.ForEach(s => s.Dispose());
        }
        ulong hashes = Status("127.0.0.1", status, good)!.Value.GetProperty("hashesChecked").GetUInt64();
        Assert.True(WaitForStatus("127.0.0.1", status, good, s => s.GetProperty("hashesChecked").GetUInt64() >= hashes + 2 && s.GetProperty("protected").GetBoolean() && s.GetProperty("epoch").GetUInt64() == 1));
        Assert.DoesNotContain("lost", primary.Text);
        Assert.DoesNotContain("went live", backup.Text);
        Assert.DoesNotContain("   at ", primary.Text + backup.Text);
        Assert.Null(Status("127.0.0.1", status, null));
        Assert.Null(Status("127.0.0.1", status, _others.Make(TestCertificates.Local)));
    }

    [Fact]
    public async Task A_backup_with_another_name_or_authority_is_no_backup_and_a_flood_of_strangers_keeps_no_primary_out()
    {
        PairProcess elsewhere = Backup(_certificates.Make(["elsewhere"]));
        elsewhere.WaitFor("role backup");
        PairProcess primary = Primary(Good());
        primary.WaitFor($"127.0.0.1:{_port} is no backup of this pair: the certificate does not name 127.0.0.1; it names elsewhere");
        elsewhere.WaitFor("it may have refused this side's certificate");
        elsewhere.Signal(PairProcess.SigKill);
        elsewhere.WaitForExit();
        PairProcess stranger = Backup(_others.Make(TestCertificates.Local));
        stranger.WaitFor("role backup");
        primary.WaitFor("is no backup of this pair: the certificate is not signed by an authority in --tls-ca");
        stranger.Signal(PairProcess.SigKill);
        stranger.WaitForExit();
        Assert.DoesNotContain("protected", primary.Text);
        using CancellationTokenSource enough = new();
        PairProcess backup = Backup(Good());
        backup.WaitFor("role backup");
        Task flood = Task.Run(() => Flood(IPAddress.Parse("127.0.0.2"), enough.Token));
        primary.WaitFor("protected by");
        await enough.CancelAsync();
        await flood;
        Assert.DoesNotContain("went live", backup.Text);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void When_only_one_side_has_TLS_both_say_a_sentence(bool primaryHasIt)
    {
        PairProcess backup = Backup(primaryHasIt ? null : Good());
        backup.WaitFor("role backup");
        PairProcess primary = Primary(primaryHasIt ? Good() : null);
        if (primaryHasIt)
        {
            backup.WaitFor("this is not an Emu86 log");
            primary.WaitFor("see whether it uses TLS too");
        }
        else
        {
            backup.WaitFor("the TLS 1.3 handshake failed");
            primary.WaitFor("it may want TLS (--tls-cert)");
        }
        Assert.DoesNotContain("protected", primary.Text);
    }

    [Fact]
    public void A_primary_whose_certificate_the_backup_does_not_believe_is_told_that_it_may_be_that()
    {
        // The backup believes one authority only, the primary both.
        string both = Path.Combine(_state, "both.pem");
        File.WriteAllText(both, $"{File.ReadAllText(_certificates.Authority)}\n{File.ReadAllText(_others.Authority)}");
        PairProcess backup = Backup(Good());
        backup.WaitFor("role backup");
        PairProcess primary = Primary(_others.Make(TestCertificates.Local) with { Authority = both });
        backup.WaitFor("refused: the certificate is not signed by an authority in --tls-ca");
        primary.WaitFor("it may have refused this side's certificate");
        Assert.DoesNotContain("protected", primary.Text);
    }

    [Theory]
    [InlineData("--backup --listen 192.0.2.77:8686", "--listen 192.0.2.77:8686 is not a loopback address")]
    [InlineData("--primary --backups 127.0.0.1:1,192.0.2.77:8686", "--backups 192.0.2.77:8686 is not a loopback address")]
    [InlineData("--status 192.0.2.77:8080", "--status 192.0.2.77:8080 is not a loopback address")]
    [InlineData("--primary --status 192.0.2.77:8080", "--status 192.0.2.77:8080 is not a loopback address")]
    [InlineData("--backup --listen 0.0.0.0:8686 TLS", "no address by which another host reaches this one")]
    [InlineData("--backup --listen 192.0.2.77:8686 TLS", "--arbiter must name an arbiter that both hosts reach")]
    [InlineData("--primary --backups 192.0.2.77:8686 TLS", "--arbiter must name an arbiter that both hosts reach")]
    [InlineData("--primary --backups 192.0.2.77:8686,[::1]:8686 TLS", "both IPv4 and IPv6")]
    [InlineData("--primary --tls-cert a", "give all three")]
    [InlineData("--switch 127.0.0.1:0 TLS", "go with a role that has")]
    [InlineData("--cert-name a", "--cert-name goes with --make-certs")]
    [InlineData("--make-certs d --cert-name a/b", "takes host names and addresses")]
    [InlineData("--make-certs d --cert-name ca", "another first name")]
    [InlineData("--make-certs d --primary", "different roles")]
    public void What_is_missing_or_wrong_is_a_sentence_and_exit_code_2(string arguments, string sentence)
    {
        string[] words = arguments.Split(' ');
        if (words[^1] == "TLS") words = [.. words[..^1], .. TestCertificates.Options(Good())];
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), [.. words, "--serial", "null", "--net", "none", "--state-dir", _state]);
        Assert.Matches(@"^emu86: [^\n]*\n$", run.Errors);
        Assert.Contains(sentence, run.Errors);
        Assert.Equal(2, run.ExitCode);
    }

    [SkippableFact]
    public void A_certificate_without_the_own_address_is_refused_at_the_start()
    {
        string address = OwnAddress;
        Skip.If(address.Length == 0, "needs a network interface with an IPv4 address besides loopback");
        string[] arguments = ["--listen", $"{address}:{_port}", "--arbiter", $"file:{_state}", "--state-dir", _state, .. TestCertificates.Options(Good())];
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), ["--backup", .. arguments]);
        Assert.Contains($"is not for {address}, by which others reach this side: the certificate does not name {address}", run.Errors);
        Assert.Equal(1, run.ExitCode);
        TlsFiles expired = _certificates.Make([address], -30, -1);
        run = Emu86Process.Run(TimeSpan.FromSeconds(60), ["--backup", .. arguments[..^6], .. TestCertificates.Options(expired)]);
        Assert.Contains("would be refused by every other side: the certificate is valid from", run.Errors);
        Assert.Equal(1, run.ExitCode);
    }

    // Somebody else's program, which believes everything.
    private static void Call(int port, TlsFiles? files)
    {
        using TcpClient client = new("127.0.0.1", port) { ReceiveTimeout = 20_000 };
        using SslStream stream = new(client.GetStream());
        try
        {
            stream.AuthenticateAsClient(new SslClientAuthenticationOptions
            {
                TargetHost = "127.0.0.1",
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificates = files is null ? null : new X509CertificateCollection { TestCertificates.Read(files) },
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            });
            Assert.Equal(-1, stream.ReadByte());
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            // Refused, as it should be.
        }
    }

    private static void Poke(TcpClient client)
    {
        try
        {
            client.GetStream().Write([0x16]);
        }
        catch (IOException)
        {
            // Crowded out.
        }
    }

    private void Flood(IPAddress from, CancellationToken enough)
    {
        Queue<Socket> open = new();
        while (!enough.IsCancellationRequested)
        {
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            open.Enqueue(socket);
            try
            {
                socket.Bind(new IPEndPoint(from, 0));
                socket.Connect(IPAddress.Loopback, _port);
                socket.Send([0x16, 3, 1, 0, 200]);
            }
            catch (SocketException)
            {
                // Thrown out.
            }
            if (open.Count > 100) open.Dequeue().Dispose();
            Thread.Sleep(2);
        }
        foreach (Socket socket in open) socket.Dispose();
    }

    private static JsonElement? Status(string host, int port, TlsFiles? files)
    {
        using SocketsHttpHandler handler = new() { ConnectTimeout = TimeSpan.FromSeconds(10) };
        handler.SslOptions.EnabledSslProtocols = SslProtocols.Tls13;
        handler.SslOptions.ClientCertificates = files is null ? null : new X509CertificateCollection { TestCertificates.Read(files) };
        handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is X509Certificate2 shown && shown.MatchesHostname(host);
        using HttpClient http = new(handler) { Timeout = TimeSpan.FromSeconds(20) };
        try
        {
            return JsonDocument.Parse(http.GetStringAsync($"https://{host}:{port}/status").GetAwaiter().GetResult()).RootElement;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private static bool WaitForStatus(string host, int port, TlsFiles files, Func<JsonElement, bool> holds)
    {
        for (int n = 0; n < 300; n++)
        {
            if (Status(host, port, files) is { } status && holds(status)) return true;
            Thread.Sleep(100);
        }
        return false;
    }
}
