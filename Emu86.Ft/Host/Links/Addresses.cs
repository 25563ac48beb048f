// Addresses of the channels between processes. What leaves this host goes through TLS.
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Links;

/// <summary>Another process: the name that its certificate must have, and where it listens.</summary>
public sealed record Peer(string Name, IPEndPoint At)
{
    /// <summary>Looks it up, as <see cref="Addresses.Resolve"/> does.</summary>
    public static Peer Of(Endpoint at, string option, bool hasTls) => new(at.Host, Addresses.Resolve(at, option, hasTls));

    public override string ToString() => At.ToString();
}

internal static class Addresses
{
    /// <summary>The address of an endpoint; IPv4 is preferred. Throws <see cref="HostException"/> for one that is not on loopback without TLS.</summary>
    public static IPEndPoint Resolve(Endpoint at, string option, bool hasTls)
    {
        IPAddress? address;
        try
        {
            address = AddressOf(at.Host);
        }
        catch (SocketException e)
        {
            throw new HostException($"{option} {at}: the host {at.Host} is not known: {e.Message}");
        }
        if (address is null) throw new HostException($"{option} {at}: the host {at.Host} has no address");
        if (!IPAddress.IsLoopback(address) && !hasTls)
        {
            throw new HostException($"{option} {at} is not a loopback address; beyond this host the channel needs TLS: give --tls-cert, --tls-key and --tls-ca (--make-certs DIR makes them for a trial)", ExitCode.Usage);
        }
        return new IPEndPoint(address, at.Port);
    }

    /// <summary>Null when the name has none. Throws <see cref="SocketException"/> when it is not known.</summary>
    public static IPAddress? AddressOf(string host)
    {
        IPAddress[] addresses = IPAddress.TryParse(host, out IPAddress? literal) ? [literal] : Dns.GetHostAddresses(host);
        return Array.Find(addresses, a => a.AddressFamily == AddressFamily.InterNetwork) ?? addresses.FirstOrDefault();
    }

    /// <summary>Reads HOST:PORT as <see cref="Endpoint.ToString"/> writes it.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Endpoint? endpoint)
    {
        int colon = text.LastIndexOf(':');
        bool good = int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) && colon > 0 && port <= IPEndPoint.MaxPort;
        endpoint = good ? new Endpoint(text[..colon].Trim('[', ']'), port) : null;
        return good;
    }

    /// <summary>The address of this host from which another one is reached. Nothing is sent.</summary>
    public static IPAddress LocalTowards(IPEndPoint to, string option)
    {
        using Socket socket = new(to.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.Connect(to);
            return ((IPEndPoint)socket.LocalEndPoint!).Address;
        }
        catch (SocketException e)
        {
            throw new HostException($"{option} {to} cannot be reached from this host: {e.Message}");
        }
    }
}
