// Calls to an etcd cluster: a deadline on each, its members in turn, and a sentence for whatever goes wrong.
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;
using Emu86.Ft.Host.Links;
using Etcdserverpb;
using Grpc.Core;
using Grpc.Net.Client;

namespace Emu86.Ft.Host.Etcd;

/// <summary>May be used on any thread. Every method throws <see cref="EtcdException"/> when no member did what was asked.</summary>
public sealed class EtcdConnection : IDisposable
{
    /// <summary>In all, so that an answer comes before the protocol asks again.</summary>
    private const int PatienceMs = 1500;

    private const int MemberPatienceMinMs = 300;
    private const int AnswerBytesMax = 1 << 20;
    private const int DetailCharsMax = 200;

    private readonly Member[] _members;
    private int _preferred;

    /// <param name="address">Its members.</param>
    /// <param name="tls">Whom https: believes, and what it shows; null: the authorities of this host, and nothing.</param>
    public EtcdConnection(EtcdAddress address, TlsIdentity? tls)
    {
        Address = address;
        TimeSpan patience = TimeSpan.FromMilliseconds(Math.Max(PatienceMs / address.Members.Count, MemberPatienceMinMs));
        _members = [.. address.Members.Select(url => new Member(url, patience, tls))];
    }

    public EtcdAddress Address { get; }

    /// <summary>Compares and changes at once. Reads in it see what every earlier transaction did, whichever member was asked.</summary>
    public Task<TxnResponse> TransactAsync(TxnRequest request, CancellationToken cancellation) =>
        CallAsync((etcd, options) => new KV.KVClient(etcd).TxnAsync(request, options).ResponseAsync, cancellation);

    public Task<RangeResponse> RangeAsync(RangeRequest request, CancellationToken cancellation) =>
        CallAsync((etcd, options) => new KV.KVClient(etcd).RangeAsync(request, options).ResponseAsync, cancellation);

    public Task PutAsync(PutRequest request, CancellationToken cancellation) =>
        CallAsync((etcd, options) => new KV.KVClient(etcd).PutAsync(request, options).ResponseAsync, cancellation);

    /// <summary>A lease that ends so many seconds after it was last kept alive; returns its number.</summary>
    public async Task<long> GrantAsync(int seconds, CancellationToken cancellation)
    {
        var request = new LeaseGrantRequest { TTL = seconds };
        LeaseGrantResponse granted = await CallAsync((etcd, options) => new Lease.LeaseClient(etcd).LeaseGrantAsync(request, options).ResponseAsync, cancellation);
        return granted.ID;
    }

    public async Task KeepAliveAsync(long lease, CancellationToken cancellation)
    {
        if (!await CallAsync((etcd, options) => KeepAliveAsync(etcd, options, lease), cancellation)) throw new EtcdException(EtcdFailure.NoLease, "the lease has ended");
    }

    /// <summary>Ends a lease, and with it the keys that were put under it.</summary>
    public Task RevokeAsync(long lease, CancellationToken cancellation)
    {
        var request = new LeaseRevokeRequest { ID = lease };
        return CallAsync((etcd, options) => new Lease.LeaseClient(etcd).LeaseRevokeAsync(request, options).ResponseAsync, cancellation);
    }

    public void Dispose()
    {
        foreach (Member member in _members) member.Dispose();
    }

    private static async Task<bool> KeepAliveAsync(CallInvoker etcd, CallOptions options, long lease)
    {
        using AsyncDuplexStreamingCall<LeaseKeepAliveRequest, LeaseKeepAliveResponse> call = new Lease.LeaseClient(etcd).LeaseKeepAlive(options);
        await call.RequestStream.WriteAsync(new LeaseKeepAliveRequest { ID = lease });
        bool lives = await call.ResponseStream.MoveNext(options.CancellationToken) && call.ResponseStream.Current.TTL > 0;
        await call.RequestStream.CompleteAsync();
        return lives;
    }

    private async Task<T> CallAsync<T>(Func<CallInvoker, CallOptions, Task<T>> call, CancellationToken cancellation)
    {
        EtcdException? problem = null;
        int first = Volatile.Read(ref _preferred);
        for (int n = 0; n < _members.Length; n++)
        {
            int index = (first + n) % _members.Length;
            Member member = _members[index];
            GrpcChannel channel = member.Channel;
            try
            {
                T answer = await call(channel.CreateCallInvoker(), new CallOptions(deadline: DateTime.UtcNow + member.Patience, cancellationToken: cancellation));
                Volatile.Write(ref _preferred, index);
                return answer;
            }
            catch (Exception e) when (e is RpcException or ObjectDisposedException)
            {
                cancellation.ThrowIfCancellationRequested();
                // A connection may be dead without knowing it: the next call makes a new one.
                member.Drop(channel);
                EtcdException explained = e is RpcException failed ? await member.ExplainAsync(failed) : member.Unreachable("the connection was closed");
                if (explained.Failure == EtcdFailure.NoLease) throw explained;
                problem = explained;
            }
        }
        throw problem!;
    }

    private sealed class Member(Uri url, TimeSpan patience, TlsIdentity? tls) : IDisposable
    {
        private readonly Lock _lock = new();
        private GrpcChannel? _channel;

        public TimeSpan Patience => patience;

        public GrpcChannel Channel
        {
            get
            {
                lock (_lock)
                {
                    return _channel ??= GrpcChannel.ForAddress(url, new GrpcChannelOptions { HttpHandler = NewHandler(), DisposeHttpClient = true, MaxReceiveMessageSize = AnswerBytesMax });
                }
            }
        }

        private string Name => $"etcd at {EtcdAddress.Name(url)}";

        public void Drop(GrpcChannel channel)
        {
            lock (_lock)
            {
                if (_channel == channel) _channel = null;
            }
            channel.Dispose();
        }

        public EtcdException Unreachable(string why) => new(EtcdFailure.Unreachable, $"{Name} cannot be reached: {why}");

        /// <summary>Turns what the client library says into a sentence.</summary>
        public async Task<EtcdException> ExplainAsync(RpcException e)
        {
            Exception? cause = e.Status.DebugException;
            if (e.StatusCode == StatusCode.NotFound && cause is null) return new(EtcdFailure.NoLease, $"{Name}: {Line(e.Status.Detail)}");
            if (e.StatusCode == StatusCode.DeadlineExceeded) return Unreachable($"no answer within {patience.TotalMilliseconds:F0} ms");
            if (Find<AuthenticationException>(cause) is { } refused) return new(EtcdFailure.Unusable, $"{Name} cannot be used: {Line(refused.Message)}");
            if (Nobody(cause) is { } nobody) return Unreachable(nobody);
            if (e.StatusCode is StatusCode.Unavailable or StatusCode.Cancelled && cause is null) return Unreachable(Line(e.Status.Detail));
            string? version;
            try
            {
                version = await VersionAsync();
            }
            catch (HttpRequestException gone)
            {
                return Unreachable(Nobody(gone)!);
            }
            string sentence = version is null ? $"{Name} does not answer as etcd 3.4 or later does: {Line(e.Status.Detail)}"
                : version.StartsWith("3.", StringComparison.Ordinal) ? $"{Name} (version {version}) answers with an error: {Line(e.Status.Detail)}"
                : $"{Name} has the version {version}; 3.4 or a later 3.x is needed";
            return new EtcdException(EtcdFailure.Unusable, sentence);
        }

        public void Dispose()
        {
            lock (_lock)
            {
                _channel?.Dispose();
                _channel = null;
            }
        }

        /// <summary>Why there is nobody, if that is the reason. A connection that is accepted and then broken is no such.</summary>
        private static string? Nobody(Exception? e) => Find<SocketException>(e) is
        {
            SocketErrorCode: SocketError.ConnectionRefused or SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData or SocketError.TimedOut
                or SocketError.HostDown or SocketError.HostUnreachable or SocketError.NetworkDown or SocketError.NetworkUnreachable
        } socket ? socket.Message : null;

        private static T? Find<T>(Exception? e) where T : Exception
        {
            for (; e is not null; e = e.InnerException)
            {
                if (e is T found) return found;
            }
            return null;
        }

        // One line, whatever the other end has put into it.
        private static string Line(string text)
        {
            string line = string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c)).Trim().TrimEnd('.');
            return line.Length <= DetailCharsMax ? line : line[..DetailCharsMax] + "…";
        }

        // A proxy of the environment is for the internet.
        private SocketsHttpHandler NewHandler()
        {
            var handler = new SocketsHttpHandler { UseProxy = false, ConnectTimeout = patience };
            if (tls is not null) handler.SslOptions = tls.ClientOptions();
            return handler;
        }

        /// <summary>What /version says, which every etcd since version 2 serves; null when there is no such answer. Throws
        /// <see cref="HttpRequestException"/> when there is nobody.</summary>
        private async Task<string?> VersionAsync()
        {
            try
            {
                using var http = new HttpClient(NewHandler()) { Timeout = patience, MaxResponseContentBufferSize = 4096 };
                using JsonDocument said = JsonDocument.Parse(await http.GetStringAsync(new Uri(url, "/version")));
                return said.RootElement.ValueKind == JsonValueKind.Object && said.RootElement.TryGetProperty("etcdserver", out JsonElement version) && version.ValueKind == JsonValueKind.String
                    ? Line(version.GetString()!) : null;
            }
            catch (Exception e) when (e is TaskCanceledException or JsonException || (e is HttpRequestException && Nobody(e) is null))
            {
                return null;
            }
        }
    }
}
