// --backup --cluster: this host's offer in etcd, under a lease that ends with the process.
using System.Text.Json;
using Etcdserverpb;
using Google.Protobuf;

namespace Emu86.Ft.Host.Etcd;

/// <summary>Offers this process until <see cref="Withdraw"/>; comes back by itself when etcd does.</summary>
internal sealed class CandidateOffer
{
    private const int LeaseSeconds = 5;
    private const int RefreshMs = LeaseSeconds * 1000 / 3;
    private const int RetryMs = 500;

    /// <summary>etcd keeps every value until somebody compacts it: load and memory are told no more often than this, and only when they
    /// have changed by so much.</summary>
    private const long NewsUs = 10_000_000;

    private const int LoadNewsPermille = 50;
    private const long FreeNewsBytes = 64 << 20;

    private readonly EtcdConnection _etcd;
    private readonly string _guest;
    private readonly Guid _self;
    private readonly string _address;
    private readonly Action<string> _say;
    private readonly CancellationTokenSource _withdrawn = new();
    private readonly Task _offering;
    private long _lease;
    private Candidate? _offered;
    private long _offeredAtUs;

    /// <param name="etcd">Of the cluster.</param>
    /// <param name="guest">For which guest.</param>
    /// <param name="self">This process, as the arbiter will know it.</param>
    /// <param name="address">Where primaries connect.</param>
    /// <param name="say">Told once that the offer stands, and what keeps it from doing so.</param>
    public CandidateOffer(EtcdConnection etcd, string guest, Guid self, string address, Action<string> say)
    {
        (_etcd, _guest, _self, _address, _say) = (etcd, guest, self, address, say);
        _offering = Task.Run(OfferAsync);
    }

    /// <summary>Nobody is to choose this process any more. The task ends when etcd knows it, or after a time; the lease ends in any case.</summary>
    public Task Withdraw()
    {
        _withdrawn.Cancel();
        return Task.Run(async () =>
        {
            await _offering;
            if (_lease == 0) return;
            try
            {
                await _etcd.RevokeAsync(_lease, CancellationToken.None);
            }
            catch (EtcdException)
            {
                // The lease ends by itself.
            }
        });
    }

    private bool IsNews(Candidate offer) => _offered is null
        || (HostClock.NowUs - _offeredAtUs >= NewsUs
            && (Math.Abs(offer.LoadPermille - _offered.LoadPermille) >= LoadNewsPermille || Math.Abs(offer.FreeBytes - _offered.FreeBytes) >= FreeNewsBytes));

    private async Task OfferAsync()
    {
        string? said = null;
        while (!_withdrawn.IsCancellationRequested)
        {
            string now;
            int wait = RefreshMs;
            try
            {
                if (_lease == 0) _lease = await _etcd.GrantAsync(LeaseSeconds, _withdrawn.Token);
                else await _etcd.KeepAliveAsync(_lease, _withdrawn.Token);
                var offer = new Candidate(_self, _address, HostLoad.Permille(), HostLoad.FreeBytes());
                if (IsNews(offer))
                {
                    await _etcd.PutAsync(new PutRequest { Key = EtcdKeys.Candidate(_guest, _self), Value = ByteString.CopyFrom(JsonSerializer.SerializeToUtf8Bytes(offer)), Lease = _lease }, _withdrawn.Token);
                    (_offered, _offeredAtUs) = (offer, HostClock.NowUs);
                }
                now = $"offered to the cluster as {_address}";
            }
            catch (EtcdException e)
            {
                if (e.Failure == EtcdFailure.NoLease)
                {
                    (_lease, _offered) = (0, null);
                    continue;
                }
                (now, wait) = ($"this host cannot be offered to the cluster: {e.Message}", RetryMs);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            if (now != said) _say(now);
            said = now;
            await Task.Delay(wait, _withdrawn.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
