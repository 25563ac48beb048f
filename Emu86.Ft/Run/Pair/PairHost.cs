// What primary and backup have in common on the host: links, heartbeats, the arbiter, and how answers reach the emulation thread.
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Etcd;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>What a core hears of the world. All members are called on the emulation thread, between slices.</summary>
internal interface ICoreEvents
{
    /// <param name="link">The connection.</param>
    /// <param name="asked">What <see cref="PairHost.Connect"/> was asked with.</param>
    void Opened(Link link, int asked);

    void ConnectFailed(int asked, bool refused);

    void Closed(Link link, string? problem);

    void Received(Link link, Message message);

    void Heartbeat(HeartbeatMessage heartbeat);

    void Answered(ArbiterAnswer answer);

    void OwnerProbed(bool answers);

    /// <summary>SIGTERM or Ctrl-C.</summary>
    void StopAsked();
}

/// <summary>Carries out what both cores ask for. Lives as long as the process, through a failover.</summary>
internal sealed class PairHost : IDisposable
{
    private const int StrangersMax = 16;

    /// <summary>How long the end waits for the cluster to know of it.</summary>
    private const int WithdrawMs = 1000;

    /// <summary>How long an answer of the arbiter is waited for.</summary>
    private const int ArbiterMs = 2000;

    private readonly Dictionary<int, Link> _links = [];
    private long _logBytesBefore;
    private readonly IArbiter _arbiter;
    private readonly CancellationTokenSource _ended = new();
    private int _lastLink;
    private long _lastTurnUs = HostClock.NowUs;
    private readonly EtcdConnection? _cluster;
    private LinkListener? _listener;
    private CandidateOffer? _offer;
    private Heartbeats? _heartbeats;
    private Task _closed = Task.CompletedTask;
    private volatile ArbiterValue? _liveOwner;

    /// <param name="options">Of the run.</param>
    /// <param name="isBackup">Heartbeats are received where the backup listens.</param>
    public PairHost(RunOptions options, bool isBackup)
    {
        Options = options;
        Tls = TlsIdentity.Of(options);
        Addresses = PairAddresses.Of(options, Tls);
        Report = new Report(options.JsonLog);
        Protocol = ProtocolOptions.For(options.HeartbeatMs, options.FailureTimeoutMs, options.MaxLagMs) with { HashEveryNs = (ulong)options.HashEveryMs * 1_000_000 };
        if (Protocol.Problem is { } problem) throw new HostException(problem, ExitCode.Usage);
        StateDirectory = StateDirectories.Of(options);
        _arbiter = Arbiters.Open(Arbiters.AddressOf(options), options.Name, Tls, Report.Say);
        _heartbeats = isBackup ? NewHeartbeats(Addresses.Listen) : null;
        // A backup leaves instead, until it is live.
        Patience = options.OnDiskError == DiskErrorAction.Stop ? new DiskPatience(Report.Say) { EachWait = Turn, MayWait = () => false } : null;
        if (options.Cluster is { } cluster)
        {
            _cluster = new EtcdConnection(EtcdAddress.Parse("--cluster", cluster), Tls);
            Candidates = new ClusterCandidates(_cluster, options.Name, Self, Addresses, Tls is not null, Report.Say);
        }
        Owner = new OwnerListener(Self, Addresses.OwnHost, Tls, Report.Say, () => HostClock.NowUs - Volatile.Read(ref _lastTurnUs) < 10 * Protocol.FailureTimeoutUs);
    }

    public RunOptions Options { get; }

    public Report Report { get; }

    /// <summary>Null: everything stays on loopback, and plain.</summary>
    public TlsIdentity? Tls { get; }

    public PairAddresses Addresses { get; }

    public ProtocolOptions Protocol { get; }

    public string StateDirectory { get; }

    public InputQueue Queue { get; } = new();

    /// <summary>With which a side that has no partner waits for its disks; null when the guest is to see their errors.</summary>
    public DiskPatience? Patience { get; }

    /// <summary>A backup's.</summary>
    public Heartbeats Heartbeats => _heartbeats!;

    public OwnerListener Owner { get; }

    /// <summary>This process, as the arbiter knows it.</summary>
    public Guid Self { get; } = Guid.NewGuid();

    /// <summary>Address of the live side that this one has followed last; empty when it is not known.</summary>
    public string LastOwner => _liveOwner?.OwnerAddress ?? "";

    public string ArbiterIdentity => _arbiter.Identity;

    /// <summary>The hosts registered in the cluster; null without --cluster.</summary>
    public ClusterCandidates? Candidates { get; }

    /// <summary>Does what a claim does, without claiming anything.</summary>
    public void RehearseClaim()
    {
        if (_arbiter is EtcdArbiter etcd) etcd.RehearseAsync(_ended.Token).GetAwaiter().GetResult();
        else Rehearsal.ClaimAnEpoch(this);
    }

    /// <summary>Who hears of what happens now.</summary>
    public ICoreEvents? Events { get; set; }

    /// <summary>How often the protocol wants to be called, at least.</summary>
    public TimeSpan TurnEvery => TimeSpan.FromMicroseconds(Math.Min(4_000, Protocol.HeartbeatUs / 4));

    /// <summary>The run was asked to end.</summary>
    public volatile bool IsStopping;

    /// <summary>SIGTERM or Ctrl-C. From any thread.</summary>
    public void StopAsked()
    {
        IsStopping = true;
        Patience?.End();
        Queue.Post(() => Events!.StopAsked());
    }

    /// <summary>The emulation thread is at work.</summary>
    public void Turn() => Volatile.Write(ref _lastTurnUs, HostClock.NowUs);

    /// <summary>The emulation thread waits for something that may take long, and is at work all the same; false: the run is to end.</summary>
    public bool WaitsOn()
    {
        Turn();
        return !IsStopping;
    }

    public static ulong RandomNumber() => BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) >> 16;

    public static byte[] RandomKey() => RandomNumberGenerator.GetBytes(HeartbeatDatagram.KeyBytes);

    /// <summary>Reads the arbiter's value before there is a core; null when there is none.</summary>
    public ArbiterValue? ReadArbiter()
    {
        ArbiterAnswer answer = _arbiter.AskAsync(new(0, ArbiterRequestKind.Read, 0, null), _ended.Token).GetAwaiter().GetResult();
        return answer.Verdict == ArbiterVerdict.Done ? answer.Current : throw new HostException(_arbiter.Problem ?? "the arbiter cannot be reached");
    }

    /// <summary>Asks the arbiter whether this process still is the live side. From any thread; waits for the answer, but not for long.</summary>
    /// <returns>Null when the arbiter does not say.</returns>
    public bool? IsOwner()
    {
        Task<ArbiterAnswer> asked = _arbiter.AskAsync(new(0, ArbiterRequestKind.Read, 0, null), _ended.Token);
        try
        {
            if (!asked.Wait(ArbiterMs, _ended.Token) || asked.Result.Verdict != ArbiterVerdict.Done) return null;
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        return asked.Result.Current is { State: GuestState.Live } value && value.Owner == Self;
    }

    public Link? Find(int connection) => _links.GetValueOrDefault(connection);

    /// <summary>This side becomes a candidate: where primaries connect, and in the cluster.</summary>
    public void Listen(Endpoint at)
    {
        _listener = new LinkListener(at, "--listen", Tls, StrangersMax, Report.Say, (caller, channel) => Queue.Post(() =>
        {
            // Accepted while the port was being closed.
            if (_listener is null) channel.Dispose();
            else Adopt(channel, caller);
        }));
        if (_cluster is not null) _offer = new CandidateOffer(_cluster, Options.Name, Self, at.ToString(), Report.Say);
    }

    /// <summary>This side is no candidate any more: another process may take its port, as a new backup. Does not wait for it: closing a
    /// socket waits until the thread that uses it has left it, and the guest stands still meanwhile.</summary>
    public void CloseListener()
    {
        (CandidateOffer? offer, LinkListener? listener, Heartbeats? heartbeats) = (_offer, _listener, _heartbeats);
        (_offer, _listener, _heartbeats) = (null, null, null);
        heartbeats?.Silence();
        _closed = Task.Run(() =>
        {
            listener?.Dispose();
            heartbeats?.Dispose();
            offer?.Withdraw();
        });
    }

    /// <summary>Carries out an action that is the same for both roles. False when it is not one of those.</summary>
    public bool Carry(in CoreAction action)
    {
        switch (action.Kind)
        {
            case ActionKind.Disconnect: Disconnect(action.Connection); break;
            case ActionKind.Send: Find(action.Connection)?.Send(action.Message!); break;
            case ActionKind.AskArbiter: Ask(action.Request!); break;
            case ActionKind.Report: Report.Say(action.Text!); break;
            default: return false;
        }
        return true;
    }

    /// <summary>Bytes of frames with log records sent on all connections so far.</summary>
    public long LogBytesSent => _logBytesBefore + _links.Values.Sum(l => l.LogBytesSent);

    /// <summary>What was sent in this turn goes out.</summary>
    public void Flush()
    {
        foreach (Link link in _links.Values) link.Flush();
    }

    /// <summary>Opens a connection; the answer comes as an event.</summary>
    /// <param name="to">Where.</param>
    /// <param name="asked">A number of the caller's, for the answer.</param>
    public void Connect(Peer to, int asked)
    {
        new Thread(() =>
        {
            Socket socket = new(to.At.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                Channel channel;
                // Blocking, and not ConnectAsync (see Channel).
                using (new Timer(_ => socket.Dispose(), null, Protocol.ReconnectTimeoutUs / 2000, Timeout.Infinite))
                {
                    socket.Connect(to.At);
                    // Without a listener a port of the ephemeral range may connect to itself.
                    if (Equals(socket.LocalEndPoint, socket.RemoteEndPoint)) throw new SocketException((int)SocketError.ConnectionRefused);
                    channel = Tls is null ? new Channel(socket, to.At) : Tls.Connect(socket, to.At, to.Name);
                }
                Queue.Post(() => Events!.Opened(Adopt(channel, null), asked));
            }
            catch (Exception e) when (e is SocketException or IOException or ProtocolException or ObjectDisposedException)
            {
                socket.Dispose();
                if (e is ProtocolException) Report.SayOnce($"{to} is no backup of this pair: {e.Message}");
                if (e is IOException) Report.SayOnce($"connecting to {to}: {e.Message}; if that comes again, see whether it uses TLS too");
                bool refused = e is SocketException { SocketErrorCode: SocketError.ConnectionRefused };
                Queue.Post(() => Events!.ConnectFailed(asked, refused));
            }
        })
        { IsBackground = true, Name = "connect" }.Start();
    }

    /// <summary>Asks the owner recorded in the arbiter whether it lives; the answer comes as an event.</summary>
    public void ProbeOwner(string address)
    {
        Task.Run(async () =>
        {
            ArbiterAnswer answer;
            while ((answer = await _arbiter.AskAsync(new(0, ArbiterRequestKind.Read, 0, null), _ended.Token)).Verdict != ArbiterVerdict.Done)
            {
                SayArbiter(answer);
                await Task.Delay(TimeSpan.FromMicroseconds(Protocol.ArbiterRetryUs), _ended.Token);
            }
            ArbiterValue? value = answer.Current;
            bool answers = value is not null && value.OwnerAddress == address
                && OwnerListener.MayLive(OwnerListener.Ask(address, value.Owner, 5 * Protocol.FailureTimeoutUs, Tls));
            Queue.Post(() => Events!.OwnerProbed(answers));
        });
    }

    /// <summary>Reads who owns an epoch, which never changes: when its connection breaks, it can be asked at once whether it lives.</summary>
    public void LearnOwner(ulong epoch) => Task.Run(() => OwnerOfAsync(epoch));

    /// <summary>Finds out whether the live owner's process is gone for certain; calls back on the emulation thread only then.</summary>
    public void WhenOwnerIsGone(ulong epoch, Action gone)
    {
        Task.Run(async () =>
        {
            if (await OwnerOfAsync(epoch) is not { } value || value.Owner == Self) return;
            // A process that is being torn down still accepts for a moment, and then breaks the connection.
            for (long end = HostClock.NowUs + Protocol.BackupTimeoutUs; HostClock.NowUs < end; await Task.Delay(2))
            {
                OwnerAnswer owner = OwnerListener.Ask(value.OwnerAddress, value.Owner, Protocol.FailureTimeoutUs, Tls);
                if (owner == OwnerAnswer.Gone) Queue.Post(gone);
                if (owner != OwnerAnswer.Silent) return;
            }
        });
    }

    private async Task<ArbiterValue?> OwnerOfAsync(ulong epoch)
    {
        if (_liveOwner is { } known && known.Epoch == epoch) return known;
        ArbiterAnswer answer = await _arbiter.AskAsync(new(0, ArbiterRequestKind.Read, 0, null), _ended.Token);
        return answer.Current is { State: GuestState.Live } value && value.Epoch == epoch ? _liveOwner = value : null;
    }

    public void Dispose()
    {
        _ended.Cancel();
        _offer?.Withdraw().Wait(WithdrawMs);
        _cluster?.Dispose();
        _listener?.Dispose();
        _closed.Wait();
        foreach (Link link in _links.Values)
        {
            link.Flush();
            link.Dispose();
        }
        _heartbeats?.Dispose();
        Owner.Dispose();
        (_arbiter as IDisposable)?.Dispose();
    }

    /// <summary>Heartbeats of a primary, for one of its backups.</summary>
    public Heartbeats NewHeartbeats() => NewHeartbeats(Addresses.PrimaryHeartbeats);

    // Only a backup has a port that others must know.
    private Heartbeats NewHeartbeats(IPEndPoint at) => new(at, Protocol, isPatient: at.Port == 0, h => Queue.Post(() => Events!.Heartbeat(h)));

    private void Ask(ArbiterRequest request)
    {
        Task.Run(async () =>
        {
            Task<ArbiterAnswer> asked = _arbiter.AskAsync(request, _ended.Token);
            // A file system that hangs: the core asks again, and the late answer is no longer the latest.
            Task first = await Task.WhenAny(asked, Task.Delay(ArbiterMs, _ended.Token));
            ArbiterAnswer answer = first == asked ? await asked : new(request.Id, ArbiterVerdict.Unavailable, null);
            SayArbiter(answer);
            Queue.Post(() => Events!.Answered(answer));
        });
    }

    private string? _said;

    // A problem once, and once that it is over.
    private void SayArbiter(in ArbiterAnswer answer)
    {
        string? problem = answer.Verdict == ArbiterVerdict.Unavailable ? _arbiter.Problem ?? _said : null;
        string? said = Interlocked.Exchange(ref _said, problem);
        if (said != problem) Report.Say(problem ?? "the arbiter answers again");
    }

    /// <param name="channel">To the other side.</param>
    /// <param name="caller">Who called; null: this side did.</param>
    private Link Adopt(Channel channel, Visitor? caller)
    {
        bool isStranger = caller is not null;
        Link link = new(++_lastLink, channel, isServer: isStranger, (l, m) =>
        {
            if (isStranger)
            {
                isStranger = false;
                caller!.Known();
            }
            Queue.Post(() =>
            {
                if (_links.ContainsKey(l.Id)) Events!.Received(l, m);
                l.Consumed(m);
            });
        }, (l, problem) =>
        {
            if (isStranger)
            {
                caller!.Known();
                problem = caller.Sentence(problem);
            }
            Queue.Post(() =>
            {
                if (!_links.Remove(l.Id)) return;
                _logBytesBefore += l.LogBytesSent;
                l.Dispose();
                Events!.Closed(l, problem);
            });
        });
        _links.Add(link.Id, link);
        link.Start();
        return link;
    }

    private void Disconnect(int connection)
    {
        if (!_links.Remove(connection, out Link? link)) return;
        link.Flush();
        _logBytesBefore += link.LogBytesSent;
        link.Dispose();
    }
}
