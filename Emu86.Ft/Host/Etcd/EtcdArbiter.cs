// An arbiter in etcd: one key per guest, replaced by a transaction that compares the revision at which it was read. Every
// transaction also compares the key that says which etcd this is, so that one with other data never gives an answer.
using System.Text.Json;
using Emu86.Ft.Replication;
using Etcdserverpb;
using Google.Protobuf;

namespace Emu86.Ft.Host.Etcd;

/// <summary>The arbiter <c>etcd:URL[,URL…]</c>. Nothing is answered before <see cref="OpenAsync"/> has succeeded.</summary>
public sealed class EtcdArbiter(EtcdConnection etcd, string guest) : IArbiter, IDisposable
{
    /// <summary>No key has it: a transaction from this revision changes nothing.</summary>
    private const long NoRevision = -1;

    private readonly ByteString _key = EtcdKeys.Epoch(guest);
    private ByteString _id = ByteString.Empty;

    public string Identity { get; private set; } = "";

    public string? Problem { get; private set; }

    /// <summary>Learns which etcd this is; makes its identity when it has none. Throws <see cref="EtcdException"/>.</summary>
    public async Task OpenAsync(CancellationToken cancellation)
    {
        ByteString fresh = ByteString.CopyFromUtf8(Guid.NewGuid().ToString("N"));
        TxnResponse answer = await etcd.TransactAsync(new TxnRequest
        {
            Compare = { At(EtcdKeys.Identity, revision: 0) },
            Success = { new RequestOp { RequestPut = new PutRequest { Key = EtcdKeys.Identity, Value = fresh } } },
            Failure = { Get(EtcdKeys.Identity) },
        }, cancellation);
        _id = answer.Succeeded ? fresh : Value(answer, 0)?.Value ?? throw Unusable("is being emptied");
        if (!Guid.TryParseExact(_id.ToStringUtf8(), "N", out Guid id)) throw Unusable("has something else at the key emu86/identity than emu86 puts there");
        Identity = $"{id:N} {etcd.Address}";
    }

    public async Task<ArbiterAnswer> AskAsync(ArbiterRequest request, CancellationToken cancellation)
    {
        try
        {
            (ArbiterValue? current, long revision) = await ReadAsync(cancellation);
            while (true)
            {
                ArbiterVerdict verdict = ArbiterRules.Decide(current, request, out ArbiterValue? next);
                if (next is null) return Answer(request, verdict, current);
                TxnResponse done = await ReplaceAsync(revision, next, cancellation);
                if (done.Succeeded) return Answer(request, verdict, next);
                // Another came first: the rules are asked about its value.
                (current, revision) = Parse(done);
            }
        }
        catch (EtcdException e)
        {
            Problem = $"the arbiter cannot be asked: {e.Message}";
            return new(request.Id, ArbiterVerdict.Unavailable, null);
        }
    }

    /// <summary>Does what a claim does, without changing anything: a first call takes much longer than the later ones.</summary>
    public async Task RehearseAsync(CancellationToken cancellation)
    {
        try
        {
            await ReadAsync(cancellation);
            await ReplaceAsync(NoRevision, new ArbiterValue(0, Guid.Empty, "", GuestState.Live, [], []), cancellation);
        }
        catch (Exception e) when (e is EtcdException or OperationCanceledException)
        {
            // Only a rehearsal: the claim says its own problems, and a process that ends needs none.
        }
    }

    public void Dispose() => etcd.Dispose();

    private static Compare At(ByteString key, long revision) =>
        new() { Key = key, Target = Compare.Types.CompareTarget.Mod, Result = Compare.Types.CompareResult.Equal, ModRevision = revision };

    private static RequestOp Get(ByteString key) => new() { RequestRange = new RangeRequest { Key = key } };

    private static Mvccpb.KeyValue? Value(TxnResponse answer, int part) => answer.Responses.Count > part && answer.Responses[part].ResponseRange is { Kvs: [var value, ..] } ? value : null;

    private EtcdException Unusable(string why) => new(EtcdFailure.Unusable, $"{etcd.Address} {why}");

    private ArbiterAnswer Answer(ArbiterRequest request, ArbiterVerdict verdict, ArbiterValue? current)
    {
        Problem = null;
        return new(request.Id, verdict, current);
    }

    private Compare IsSameEtcd() => new() { Key = EtcdKeys.Identity, Target = Compare.Types.CompareTarget.Value, Result = Compare.Types.CompareResult.Equal, Value = _id };

    private async Task<(ArbiterValue? Value, long Revision)> ReadAsync(CancellationToken cancellation)
    {
        TxnResponse answer = await etcd.TransactAsync(new TxnRequest
        {
            Compare = { IsSameEtcd() },
            Success = { Get(EtcdKeys.Identity), Get(_key) },
            Failure = { Get(EtcdKeys.Identity) },
        }, cancellation);
        return Parse(answer);
    }

    private Task<TxnResponse> ReplaceAsync(long revision, ArbiterValue value, CancellationToken cancellation) => etcd.TransactAsync(new TxnRequest
    {
        Compare = { IsSameEtcd(), At(_key, revision) },
        Success = { new RequestOp { RequestPut = new PutRequest { Key = _key, Value = ByteString.CopyFromUtf8(ArbiterValueFormat.Write(value, indented: false)) } } },
        Failure = { Get(EtcdKeys.Identity), Get(_key) },
    }, cancellation);

    // Of an answer to reading the identity and the value. No value: revision 0, which a transaction takes for a key that is not there.
    private (ArbiterValue? Value, long Revision) Parse(TxnResponse answer)
    {
        if (Value(answer, 0)?.Value != _id) throw Unusable("is not the one with which this run began, or its data were lost");
        if (Value(answer, 1) is not { } stored) return (null, 0);
        try
        {
            return (ArbiterValueFormat.Read(stored.Value.Span), stored.ModRevision);
        }
        catch (JsonException e)
        {
            throw Unusable($"has a value at the key {_key.ToStringUtf8()} that cannot be read: {e.Message}");
        }
    }
}
