// Addresses. Without TLS the channel does not leave the host.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Links;

internal static class Loopback
{
    /// <summary>The address of an endpoint. Throws <see cref="HostException"/> for one that is not on loopback.</summary>
    public static IPEndPoint Resolve(Endpoint at, string option)
    {
        IPAddress[] addresses;
        try
        {
            addresses = IPAddress.TryParse(at.Host, out IPAddress? literal) ? [literal] : Dns.GetHostAddresses(at.Host);
        }
        catch (SocketException e)
        {
            throw new HostException($"{option} {at}: the host {at.Host} is not known: {e.Message}");
        }
        IPAddress address = Array.Find(addresses, a => a.AddressFamily == AddressFamily.InterNetwork) ?? addresses.FirstOrDefault()
            ?? throw new HostException($"{option} {at}: the host {at.Host} has no address");
        if (!IPAddress.IsLoopback(address))
        {
            throw new HostException($"{option} {at} is not a loopback address; beyond this host the logging channel needs TLS, which this version of emu86 does not have yet", ExitCode.Usage);
        }
        return new IPEndPoint(address, at.Port);
    }
}
