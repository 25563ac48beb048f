// Pairs whose epochs are won in a real etcd, and whose candidates are found there.
using System.Diagnostics;
using System.Text.Json;
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Etcd;
using Emu86.Tests.Ft.Tls;
using Etcdserverpb;
using Google.Protobuf;

namespace Emu86.Tests.Ft.Etcd;

[Collection("processes")]
public sealed class EtcdPairTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-etcd-pair").FullName;
    private readonly TestCertificates _certificates = new();
    private readonly List<PairProcess> _processes = [];
    private EtcdServer? _server;

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        _server?.Dispose();
        _certificates.Dispose();
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

    private PairProcess Member(string role, int port, params string[] more) => Start([role, "--cluster", $"{Server.Address},name=web", "--listen", $"127.0.0.1:{port}", .. more]);

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
        TlsFiles files = _certificates.Make(TestCertificates.Local);
        _server = EtcdServer.Started(files);
        using EtcdArbiter arbiter = new(new EtcdConnection(EtcdAddress.Parse("test", Server.Address), null), "guest");
        EtcdException e = await Assert.ThrowsAsync<EtcdException>(() => arbiter.OpenAsync(default));
        Assert.Equal(EtcdFailure.Unusable, e.Failure);
        Assert.Contains("certificate", e.Message);
        // As an administrator adds it to the host's, for one process.
        Environment.SetEnvironmentVariable("SSL_CERT_FILE", files.Authority);
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
    public void A_cluster_of_hosts_works_over_TLS_with_an_etcd_that_asks_for_certificates()
    {
        Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
        Skip.If(TlsPairTests.OwnAddress.Length == 0, "needs a network interface with an IPv4 address besides loopback");
        string[] tls = TestCertificates.Options(_certificates.Make([TlsPairTests.OwnAddress, .. TestCertificates.Local]));
        _server = EtcdServer.Started(_certificates.Make(TestCertificates.Local), asksForCertificates: true);
        int a = PairProcess.FreePort(), b = PairProcess.FreePort();
        PairProcess primary = Start(["--primary", "--cluster", Server.Address, "--listen", $"{TlsPairTests.OwnAddress}:{a}", .. tls]);
        primary.WaitFor("role primary epoch 1");
        PairProcess backup = Start(["--backup", "--cluster", Server.Address, "--listen", $"{TlsPairTests.OwnAddress}:{b}", .. tls]);
        primary.WaitFor($"protected by {TlsPairTests.OwnAddress}:{b}");
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor("went live epoch 2");
        primary.Signal(PairProcess.SigCont);
        primary.WaitFor("halted, epoch 2 belongs to another");
        backup.WaitFor($"protected by {TlsPairTests.OwnAddress}:{a}");
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

    [SkippableFact]
    public void In_a_cluster_redundancy_comes_back_from_what_is_registered_and_a_host_that_comes_back_is_a_candidate()
    {
        int a = PairProcess.FreePort(), b = PairProcess.FreePort(), c = PairProcess.FreePort();
        PairProcess primary = Member("--primary", a);
        primary.WaitFor("role primary epoch 1");
        primary.WaitFor("no host is registered in the cluster for the guest 'web'");
        PairProcess second = Member("--backup", b);
        second.WaitFor($"offered to the cluster as 127.0.0.1:{b}");
        primary.WaitFor($"protected by 127.0.0.1:{b}");
        PairProcess third = Member("--backup", c);
        third.WaitFor($"offered to the cluster as 127.0.0.1:{c}");
        primary.Signal(PairProcess.SigKill);
        second.WaitFor("went live epoch 2");
        long began = Stopwatch.GetTimestamp();
        second.WaitFor($"protected by 127.0.0.1:{c}");
        Assert.InRange(Stopwatch.GetElapsedTime(began).TotalSeconds, 0, 5);
        // The first host comes back with the command line that it always had.
        PairProcess back = Member("--primary", a);
        back.WaitFor("the guest 'web' is already live");
        back.WaitFor($"offered to the cluster as 127.0.0.1:{a}");
        third.Signal(PairProcess.SigKill);
        second.WaitFor($"protected by 127.0.0.1:{a}");
        second.Signal(PairProcess.SigKill);
        back.WaitFor("went live epoch 4");
        back.Type("q");
        Assert.Equal(0, back.WaitForExit());
    }

    [SkippableFact]
    public async Task The_least_loaded_candidate_is_chosen()
    {
        int a = PairProcess.FreePort(), b = PairProcess.FreePort();
        PairProcess registered = Member("--backup", a);
        registered.WaitFor("offered to the cluster");
        PairProcess idle = Start("--backup", "--listen", $"127.0.0.1:{b}", "--arbiter", Server.Address, "--name", "web");
        idle.WaitFor("role backup");
        using EtcdConnection etcd = new(EtcdAddress.Parse("test", Server.Address), null);
        await Register(etcd, new Candidate(Guid.NewGuid(), $"127.0.0.1:{b}", 0, 1L << 50));
        await Register(etcd, new Candidate(Guid.NewGuid(), "127.0.0.1:1", 1_000_000, 1L << 50));
        PairProcess primary = Member("--primary", PairProcess.FreePort());
        primary.WaitFor($"protected by 127.0.0.1:{b}");
        Assert.Contains($"of 3 registered, 127.0.0.1:{b} is chosen", primary.Text);
        // The lost one is still registered, but another is there.
        idle.Signal(PairProcess.SigKill);
        primary.WaitFor($"protected by 127.0.0.1:{a}");
    }

    [SkippableFact]
    public async Task A_registration_says_what_the_host_has_and_ends_with_the_process()
    {
        int leaves = PairProcess.FreePort(), dies = PairProcess.FreePort(), stays = PairProcess.FreePort();
        PairProcess[] members = [Member("--backup", leaves), Member("--backup", dies), Member("--backup", stays)];
        foreach (PairProcess member in members) member.WaitFor("offered to the cluster");
        using EtcdConnection etcd = new(EtcdAddress.Parse("test", Server.Address), null);
        Candidate[] registered = await Registered(etcd);
        Assert.Equal(new[] { leaves, dies, stays }.Select(p => $"127.0.0.1:{p}").Order(), registered.Select(r => r.Address).Order());
        Assert.All(registered, r => Assert.InRange(r.FreeBytes, 1 << 20, 1L << 50));
        Assert.All(registered, r => Assert.InRange(r.LoadPermille, 0, 1_000_000));
        members[0].Signal(PairProcess.SigTerm);
        Assert.Equal(0, members[0].WaitForExit());
        Assert.DoesNotContain($"127.0.0.1:{leaves}", (await Registered(etcd)).Select(r => r.Address));
        members[1].Signal(PairProcess.SigKill);
        for (long began = Stopwatch.GetTimestamp(); (await Registered(etcd)).Length > 1; await Task.Delay(200)) Assert.True(Stopwatch.GetElapsedTime(began).TotalSeconds < 30);
        // It is kept alive beyond the lease, and comes back when etcd does.
        Assert.Equal($"127.0.0.1:{stays}", (await Registered(etcd)).Single().Address);
        Server.Kill();
        members[2].WaitFor("this host cannot be offered to the cluster: etcd at");
        Thread.Sleep(6000);
        Server.Start();
        members[2].WaitFor("offered to the cluster as", nth: 2);
        Assert.Equal($"127.0.0.1:{stays}", (await Registered(etcd)).Single().Address);
    }

    [SkippableFact]
    public void A_backup_that_is_stopped_while_it_waits_for_an_answer_ends_in_order()
    {
        using AnswerLoser loser = new(Server.Port, "emu86/guests/web/epoch");
        PairProcess backup = Start("--backup", "--listen", $"127.0.0.1:{PairProcess.FreePort()}", "--cluster", $"{loser.Address},name=web");
        backup.WaitFor("offered to the cluster");
        for (long began = Stopwatch.GetTimestamp(); loser.Lost == 0; Thread.Sleep(1)) Assert.True(Stopwatch.GetElapsedTime(began).TotalSeconds < 30, backup.Text);
        backup.Signal(PairProcess.SigTerm);
        Assert.True(backup.WaitForExit() == 0, backup.Text);
        Assert.DoesNotContain("Unhandled", backup.Text);
    }

    private static Task Register(EtcdConnection etcd, Candidate candidate) => etcd.PutAsync(new PutRequest
    {
        Key = ByteString.CopyFromUtf8($"emu86/guests/web/candidates/{candidate.Id:N}"),
        Value = ByteString.CopyFrom(JsonSerializer.SerializeToUtf8Bytes(candidate)),
    }, default);

    private static async Task<Candidate[]> Registered(EtcdConnection etcd)
    {
        RangeResponse found = await etcd.RangeAsync(new RangeRequest { Key = ByteString.CopyFromUtf8("emu86/guests/web/candidates/"), RangeEnd = ByteString.CopyFromUtf8("emu86/guests/web/candidates0") }, default);
        return [.. found.Kvs.Select(k => JsonSerializer.Deserialize<Candidate>(k.Value.Span)!)];
    }
}
