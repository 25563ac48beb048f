// The arbiter in etcd: what a real etcd does, and what comes of servers that are none.
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Etcd;
using Emu86.Ft.Replication;
using Etcdserverpb;
using Google.Protobuf;

namespace Emu86.Tests.Ft.Etcd;

[Collection("processes")]
public sealed class EtcdArbiterTests
{
    private static readonly Guid A = new(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    private static readonly Guid B = new(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    [SkippableFact]
    public async Task Of_many_claims_at_once_exactly_one_wins_each_epoch()
    {
        Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
        using EtcdServer server = EtcdServer.Started();
        Guid[] all = [.. Enumerable.Range(1, 4).Select(i => new Guid(i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))];
        EtcdArbiter[] arbiters = await Task.WhenAll(all.Select(_ => Open(server.Address)));
        Assert.Single(arbiters.Select(a => a.Identity).Distinct());
        Assert.Equal(ArbiterVerdict.Done, (await arbiters[0].AskAsync(new(1, ArbiterRequestKind.Start, 0, Value(1, all[0], all)), default)).Verdict);
        for (ulong epoch = 1; epoch < 8; epoch++)
        {
            ulong from = epoch;
            ArbiterAnswer[] answers = await Task.WhenAll(all.Select((claimant, n) => arbiters[n].AskAsync(new(1, ArbiterRequestKind.Claim, from, Value(from + 1, claimant, all)), default)));
            Assert.Single(answers, a => a.Verdict == ArbiterVerdict.Done);
            Assert.Equal(3, answers.Count(a => a.Verdict == ArbiterVerdict.Lost));
            Assert.All(answers, a => Assert.Equal((from + 1, answers.Single(w => w.Verdict == ArbiterVerdict.Done).Current!.Owner), (a.Current!.Epoch, a.Current.Owner)));
        }
        foreach (EtcdArbiter arbiter in arbiters) arbiter.Dispose();
    }

    [SkippableFact]
    public async Task A_claim_whose_answer_was_lost_gives_the_same_answer_again()
    {
        Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
        using EtcdServer server = EtcdServer.Started();
        using AnswerLoser loser = new(server.Port, "\"Epoch\":2,");
        using EtcdArbiter direct = await Open(server.Address), through = await Open(loser.Address);
        await direct.AskAsync(new(1, ArbiterRequestKind.Start, 0, Value(1, A, [B])), default);
        ArbiterRequest claim = new(2, ArbiterRequestKind.Claim, 1, Value(2, B));
        Assert.Equal(ArbiterVerdict.Unavailable, (await through.AskAsync(claim, default)).Verdict);
        Assert.Equal(1, loser.Lost);
        Assert.Contains("no answer within", through.Problem);
        Assert.Equal(2ul, (await direct.AskAsync(new(3, ArbiterRequestKind.Read, 0, null), default)).Current!.Epoch);
        loser.Loses = false;
        Assert.Equal(ArbiterVerdict.Done, (await through.AskAsync(claim, default)).Verdict);
        Assert.Null(through.Problem);
        Assert.Equal(ArbiterVerdict.Lost, (await direct.AskAsync(new(4, ArbiterRequestKind.Claim, 1, Value(2, A)), default)).Verdict);
    }

    [SkippableFact]
    public async Task An_etcd_that_was_away_goes_on_with_what_it_knew()
    {
        Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
        using EtcdServer server = EtcdServer.Started();
        using EtcdArbiter arbiter = await Open(server.Address);
        await arbiter.AskAsync(new(1, ArbiterRequestKind.Start, 0, Value(1, A, [B])), default);
        server.Kill();
        Assert.Equal(ArbiterVerdict.Unavailable, (await arbiter.AskAsync(new(2, ArbiterRequestKind.Claim, 1, Value(2, B)), default)).Verdict);
        Assert.Contains($"etcd at http://127.0.0.1:{server.Port} cannot be reached", arbiter.Problem);
        server.Start();
        ArbiterAnswer answer = await arbiter.AskAsync(new(3, ArbiterRequestKind.Claim, 1, Value(2, B)), default);
        Assert.Equal((ArbiterVerdict.Done, 2ul, B, "host:1", "one:/d"), (answer.Verdict, answer.Current!.Epoch, answer.Current.Owner, answer.Current.OwnerAddress, answer.Current.CurrentDisks.Single()));
    }

    [SkippableFact]
    public async Task A_member_that_is_away_is_made_up_for_by_another()
    {
        Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
        using EtcdServer server = EtcdServer.Started();
        using EtcdArbiter arbiter = await Open($"etcd:http://127.0.0.1:{PairProcess.FreePort()},{server.Address["etcd:".Length..]}");
        Assert.Equal(ArbiterVerdict.Done, (await arbiter.AskAsync(new(1, ArbiterRequestKind.Start, 0, Value(1, A)), default)).Verdict);
    }

    [SkippableFact]
    public async Task An_etcd_with_other_data_gives_no_answer()
    {
        Skip.IfNot(EtcdServer.IsInstalled, EtcdServer.HowToGetIt);
        using EtcdServer server = EtcdServer.Started();
        using EtcdArbiter arbiter = await Open(server.Address);
        using EtcdConnection etcd = new(EtcdAddress.Parse("test", server.Address), null);
        await etcd.PutAsync(new PutRequest { Key = ByteString.CopyFromUtf8("emu86/identity"), Value = ByteString.CopyFromUtf8($"{B:N}") }, default);
        Assert.Equal(ArbiterVerdict.Unavailable, (await arbiter.AskAsync(new(1, ArbiterRequestKind.Start, 0, Value(1, A)), default)).Verdict);
        Assert.Contains("is not the one with which this run began", arbiter.Problem);
        using EtcdArbiter other = await Open(server.Address);
        Assert.StartsWith($"{B:N} etcd:http://", other.Identity);
        await etcd.PutAsync(new PutRequest { Key = ByteString.CopyFromUtf8("emu86/guests/a%20guest/epoch"), Value = ByteString.CopyFromUtf8("{}") }, default);
        Assert.Equal(ArbiterVerdict.Unavailable, (await other.AskAsync(new(1, ArbiterRequestKind.Read, 0, null), default)).Verdict);
        Assert.Contains("cannot be read", other.Problem);
    }

    [Fact]
    public async Task Nobody_there_is_unreachable()
    {
        EtcdException e = await Assert.ThrowsAsync<EtcdException>(() => Open($"etcd:http://127.0.0.1:{PairProcess.FreePort()}"));
        Assert.Equal(EtcdFailure.Unreachable, e.Failure);
        Assert.Contains("cannot be reached: Connection refused", e.Message);
    }

    [Fact]
    public async Task An_etcd_of_version_2_is_named()
    {
        using ScriptedServer old = new(request => request.StartsWith("GET /version ", StringComparison.Ordinal)
            ? ScriptedServer.Http(200, """{"etcdserver":"2.3.8","etcdcluster":"2.3.0"}""") : ScriptedServer.Http(404, "404 page not found"));
        EtcdException e = await Assert.ThrowsAsync<EtcdException>(() => Open(old.Address));
        Assert.Equal(EtcdFailure.Unusable, e.Failure);
        Assert.EndsWith("has the version 2.3.8; 3.4 or a later 3.x is needed", e.Message);
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), "--primary", "--net", "none", "--serial", "null", "--arbiter", old.Address);
        Assert.Equal(1, run.ExitCode);
        Assert.Matches(@"^emu86: the arbiter cannot be used: etcd at http://127\.0\.0\.1:\d+ has the version 2\.3\.8; [^\n]*\n$", run.Errors);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(200)]
    [InlineData(0)]
    public async Task A_server_that_is_no_etcd_is_a_sentence(int status)
    {
        using ScriptedServer server = new(_ => status == 0 ? [.. Enumerable.Range(0, 2000).Select(i => (byte)(i * 7))] : ScriptedServer.Http(status, "<html>\n<body>hello"));
        EtcdException e = await Assert.ThrowsAsync<EtcdException>(() => Open(server.Address));
        Assert.Equal(EtcdFailure.Unusable, e.Failure);
        Assert.Contains("does not answer as etcd 3.4 or later does", e.Message);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_given_up_in_time()
    {
        using var silent = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        silent.Start();
        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        EtcdException e = await Assert.ThrowsAsync<EtcdException>(() => Open($"etcd:http://{silent.LocalEndpoint}"));
        Assert.Contains("no answer within 1500 ms", e.Message);
        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds, 1, 10);
    }

    [Theory]
    [InlineData("etcd:http://host", "etcd:http://host:2379")]
    [InlineData("etcd:https://a:1,http://b/", "etcd:https://a:1,http://b:2379")]
    [InlineData("etcd:http://[::1]:5", "etcd:http://[::1]:5")]
    public void An_address_has_etcds_port_unless_it_names_one(string text, string address) => Assert.Equal(address, EtcdAddress.Parse("test", text).ToString());

    [Theory]
    [InlineData("etcd:")]
    [InlineData("etcd:host:2379")]
    [InlineData("etcd:ftp://host")]
    [InlineData("etcd:http://")]
    [InlineData("etcd:http://user:word@host")]
    [InlineData("etcd:http://host/v3")]
    [InlineData("etcd:http://a,")]
    [InlineData("file:/x")]
    public void An_address_that_is_none_is_a_sentence(string text) => Assert.Contains("takes etcd:URL", Assert.Throws<UsageException>(() => EtcdAddress.Parse("--arbiter", text)).Message);

    private static async Task<EtcdArbiter> Open(string address)
    {
        var arbiter = new EtcdArbiter(new EtcdConnection(EtcdAddress.Parse("test", address), null), "a guest");
        await arbiter.OpenAsync(default);
        return arbiter;
    }

    private static ArbiterValue Value(ulong epoch, Guid owner, IReadOnlyList<Guid>? members = null) => new(epoch, owner, "host:1", GuestState.Live, [.. (members ?? []).Select(m => new ArbiterMember(m, "", 0))], ["one:/d"]);
}
