// Where the processes of a pair find each other, looked up once: at a go-live nobody waits for a name server.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;

namespace Emu86.Ft.Run.Pair;

/// <summary>The addresses of a side.</summary>
/// <param name="Listen">Where a backup listens.</param>
/// <param name="Candidates">Where a primary looks for a backup.</param>
/// <param name="OwnHost">Name or address by which others reach this host; it stands in the arbiter's value.</param>
/// <param name="PrimaryHeartbeats">Where a primary receives heartbeats; any port.</param>
internal sealed record PairAddresses(IPEndPoint Listen, IReadOnlyList<Peer> Candidates, string OwnHost, IPEndPoint PrimaryHeartbeats)
{
    /// <summary>Looks them up. Throws <see cref="HostException"/> for those that cannot be used.</summary>
    /// <param name="options">Of the run.</param>
    /// <param name="tls">Needed beyond this host.</param>
    public static PairAddresses Of(RunOptions options, TlsIdentity? tls)
    {
        IPEndPoint listen = Addresses.Resolve(options.Listen, "--listen", tls is not null);
        Peer[] candidates = [.. options.Backups.Select(b => Peer.Of(b, "--backups", tls is not null))];
        if (candidates.Select(c => c.At.AddressFamily).Distinct().Count() > 1) throw new HostException("--backups has both IPv4 and IPv6 addresses; give all of one kind", ExitCode.Usage);
        bool isAny = listen.Address.Equals(IPAddress.Any) || listen.Address.Equals(IPAddress.IPv6Any);
        if (isAny) throw new HostException($"--listen {options.Listen} is no address by which another host reaches this one; give one of its own", ExitCode.Usage);
        Peer? far = Array.Find(candidates, c => !IPAddress.IsLoopback(c.At.Address));
        bool isFar = !IPAddress.IsLoopback(listen.Address);
        if ((isFar || far is not null) && options.Arbiter is null)
        {
            throw new HostException("with a side on another host --arbiter must name an arbiter that both hosts reach, for example file:PATH on storage that both see", ExitCode.Usage);
        }
        string own = isFar ? options.Listen.Host : far is not null ? Addresses.LocalTowards(far.At, "--backups").ToString() : "127.0.0.1";
        if (isFar || far is not null) tls!.RequireName(own);
        // Hosts of a cluster are like this one: it is told to them by --listen.
        IPEndPoint partner = candidates.Length > 0 ? candidates[0].At : listen;
        IPAddress heartbeats = (partner.AddressFamily, far is null && !(isFar && options.Cluster is not null)) switch
        {
            (AddressFamily.InterNetworkV6, true) => IPAddress.IPv6Loopback,
            (AddressFamily.InterNetworkV6, false) => IPAddress.IPv6Any,
            (_, true) => IPAddress.Loopback,
            _ => IPAddress.Any,
        };
        return new PairAddresses(listen, candidates, own, new IPEndPoint(heartbeats, 0));
    }
}
