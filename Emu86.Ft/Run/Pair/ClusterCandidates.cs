// The hosts that are registered in etcd, as a live side without a backup sees them.
using System.Net;
using System.Text.Json;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Etcd;
using Emu86.Ft.Host.Links;
using Etcdserverpb;
using Mvccpb;

namespace Emu86.Ft.Run.Pair;

/// <summary>Chooses among them; remembers which were of no use.</summary>
internal sealed class ClusterCandidates(EtcdConnection etcd, string guest, Guid self, PairAddresses own, bool hasTls, Action<string> say)
{
    private const int CandidatesMax = 1000;

    /// <summary>A list that takes longer is of no use: the protocol gives up a candidate that does not answer in time.</summary>
    private const int PatienceMs = 900;

    private const long FailureIsRememberedUs = 30_000_000;

    private static readonly JsonSerializerOptions Json = new() { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, long> _chosenAtUs = [];
    private Guid _last;
    private string? _said;

    /// <summary>The candidate to be tried next; null when there is none, or etcd does not answer. One that was chosen before has failed:
    /// else nobody would ask again.</summary>
    /// <param name="guestBytes">Memory of the guest.</param>
    public async Task<Peer?> ChooseAsync(long guestBytes)
    {
        try
        {
            using var patience = new CancellationTokenSource(PatienceMs);
            IReadOnlyList<Candidate> ranked = Candidate.Rank(await ListAsync(patience.Token), self, guestBytes, TriedAt);
            if (ranked is not [var best, ..])
            {
                SayOnce($"no host is registered in the cluster for the guest '{guest}'; looking again every second");
                return null;
            }
            lock (_lock)
            {
                _last = best.Id;
                _chosenAtUs[best.Id] = HostClock.NowUs;
            }
            SayOnce($"of {ranked.Count} registered, {best.Address} is chosen: load {best.LoadPermille / 1000}.{best.LoadPermille % 1000:D3}, {best.FreeBytes >> 20} MiB free");
            return Find(Values.Endpoint("the registered address", best.Address));
        }
        catch (Exception e) when (e is EtcdException or UsageException or HostException)
        {
            SayOnce($"no candidate can be had from the cluster: {e.Message}");
        }
        catch (OperationCanceledException)
        {
            SayOnce($"no candidate can be had from the cluster: no answer within {PatienceMs} ms");
        }
        return null;
    }

    private Peer Find(Endpoint registered)
    {
        IPEndPoint at = Addresses.Resolve(registered, "the registered address", hasTls);
        if (!IPAddress.IsLoopback(at.Address) && IPAddress.IsLoopback(own.Listen.Address)) throw new HostException($"{registered} is on another host; give --listen with an address by which it reaches this one");
        return new Peer(registered.Host, at);
    }

    private async Task<IReadOnlyList<Candidate>> ListAsync(CancellationToken cancellation)
    {
        (Google.Protobuf.ByteString first, Google.Protobuf.ByteString end) = EtcdKeys.Candidates(guest);
        RangeResponse answer = await etcd.RangeAsync(new RangeRequest { Key = first, RangeEnd = end, Limit = CandidatesMax }, cancellation);
        return [.. answer.Kvs.Select(Read).OfType<Candidate>()];
    }

    // What somebody else has put there is no candidate.
    private static Candidate? Read(KeyValue registered)
    {
        try
        {
            return JsonSerializer.Deserialize<Candidate>(registered.Value.Span, Json);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    // The last one may have been the backup for long: it was lost just now.
    private long TriedAt(Guid candidate)
    {
        lock (_lock)
        {
            if (candidate == _last) return long.MaxValue;
            return _chosenAtUs.TryGetValue(candidate, out long at) && HostClock.NowUs - at < FailureIsRememberedUs ? at : 0;
        }
    }

    private void SayOnce(string text)
    {
        if (Interlocked.Exchange(ref _said, text) != text) say(text);
    }
}
