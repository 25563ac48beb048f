// Pairs whose epochs are won in a real etcd.
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Emu86.Ft.Host.Etcd;

namespace Emu86.Tests.Ft.Etcd;

[Collection("processes")]
public sealed class EtcdPairTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-etcd-pair").FullName;
    private readonly List<PairProcess> _processes = [];
    private EtcdServer? _server;

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        _server?.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private EtcdServer Server
    {
        get
        {
            Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
            return _server ??= EtcdServer.Started();
        }
    }

    // The timeouts are long: a test machine that is busy is no failed host.
    private string[] Common => ["--state-dir", _state, "--net", "none", "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200"];

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new([.. arguments, .. Common]);
        _processes.Add(process);
        return process;
    }

    [SkippableFact]
    public void While_the_arbiter_is_away_a_pair_goes_on_and_a_failover_waits_for_it()
    {
        int port = PairProcess.FreePort(), status = PairProcess.FreePort();
        PairProcess backup = Start("--backup", "--listen", $"127.0.0.1:{port}", "--arbiter", Server.Address);
        backup.WaitFor("role backup");
        PairProcess primary = Start("--primary", "--backups", $"127.0.0.1:{port}", "--arbiter", Server.Address, "--status", $"127.0.0.1:{status}");
        primary.WaitFor("role primary epoch 1");
        primary.WaitFor("protected by");
        Server.Kill();
        ulong hashes = PairProcess.Status(status).GetProperty("hashesChecked").GetUInt64();
        primary.WaitForStatus(status, s => s.GetProperty("protected").GetBoolean() && s.GetProperty("hashesChecked").GetUInt64() >= hashes + 10);
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("the arbiter cannot be asked: etcd at http://127.0.0.1:");
        Thread.Sleep(2000);
        Assert.DoesNotContain("went live", backup.Text);
        Server.Start();
        backup.WaitFor("went live epoch 2");
        backup.WaitFor("the arbiter answers again");
        backup.Type("q");
        Assert.Equal(0, backup.WaitForExit());
    }

    [SkippableFact]
    public void A_start_waits_for_an_etcd_that_is_not_there_yet()
    {
        Server.Kill();
        PairProcess primary = Start("--primary", "--arbiter", Server.Address);
        primary.WaitFor("cannot be reached: Connection refused; waiting for it");
        PairProcess stopped = Start("--backup", "--listen", $"127.0.0.1:{PairProcess.FreePort()}", "--arbiter", Server.Address);
        stopped.WaitFor("waiting for it");
        stopped.Signal(PairProcess.SigTerm);
        stopped.WaitForExit(10);
        Server.Start();
        primary.WaitFor("role primary epoch 1");
        Assert.DoesNotContain("went live", primary.Text);
    }

    [SkippableFact]
    public async Task Over_https_etcd_must_have_a_certificate_that_this_host_trusts()
    {
        Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
        (string certificate, string key) = (Path.Combine(_state, "etcd.crt"), Path.Combine(_state, "etcd.key"));
        using (ECDsa own = ECDsa.Create(ECCurve.NamedCurves.nistP256))
        {
            CertificateRequest request = new("CN=etcd", own, HashAlgorithmName.SHA256);
            var names = new SubjectAlternativeNameBuilder();
            names.AddIpAddress(IPAddress.Loopback);
            request.CertificateExtensions.Add(names.Build());
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
            using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
            File.WriteAllText(certificate, made.ExportCertificatePem());
            File.WriteAllText(key, own.ExportECPrivateKeyPem());
        }
        _server = EtcdServer.Started((certificate, key));
        using EtcdArbiter arbiter = new(new EtcdConnection(EtcdAddress.Parse("test", Server.Address)), "guest");
        EtcdException e = await Assert.ThrowsAsync<EtcdException>(() => arbiter.OpenAsync(default));
        Assert.Equal(EtcdFailure.Unusable, e.Failure);
        Assert.Contains("certificate", e.Message);
        // As an administrator adds it to the host's, for one process.
        Environment.SetEnvironmentVariable("SSL_CERT_FILE", certificate);
        try
        {
            PairProcess primary = Start("--primary", "--arbiter", Server.Address);
            primary.WaitFor("role primary epoch 1");
        }
        finally
        {
            Environment.SetEnvironmentVariable("SSL_CERT_FILE", null);
        }
    }

    [SkippableFact]
    public void Sides_with_different_arbiters_do_not_become_a_pair()
    {
        int port = PairProcess.FreePort();
        PairProcess backup = Start("--backup", "--listen", $"127.0.0.1:{port}");
        backup.WaitFor("role backup");
        PairProcess primary = Start("--primary", "--backups", $"127.0.0.1:{port}", "--arbiter", Server.Address);
        Assert.Matches(@"this backup uses the arbiter \w{32} file:/\S+, the primary uses \w{32} etcd:http://\S+; both must use the same one", primary.WaitFor("dropped: this backup uses the arbiter"));
    }
}
