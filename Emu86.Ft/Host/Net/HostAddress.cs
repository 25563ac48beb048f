// Names and addresses of this host and others, for the network options.
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Emu86.Ft.Host.Net;

public static class HostAddress
{
    /// <summary>The address of a HOST; empty and "*" are all addresses of this host. IPv4 is preferred.</summary>
    /// <exception cref="HostException">The name is not known.</exception>
    public static IPAddress Resolve(string host)
    {
        if (host is "" or "*") return IPAddress.Any;
        if (IPAddress.TryParse(host, out IPAddress? address)) return address;
        try
        {
            IPAddress[] all = Dns.GetHostAddresses(host);
            return Array.Find(all, a => a.AddressFamily == AddressFamily.InterNetwork) ?? all[0];
        }
        catch (Exception e) when (e is SocketException or IndexOutOfRangeException or ArgumentException)
        {
            throw new HostException($"the host name \"{host}\" is not known here");
        }
    }

    /// <summary>A TCP socket that listens, for accepting without waiting.</summary>
    /// <param name="what">What it is for, in the sentence when the port cannot be had.</param>
    public static Socket Listen(string host, int port, string what)
    {
        IPAddress address = Resolve(host);
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Blocking = false;
            // Not ReuseAddress, with which two programs could listen on one port; what lingering connections need, Bind does itself.
            socket.Bind(new IPEndPoint(address, port));
            socket.Listen(64);
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            string why = e.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse => "the port is in use by another program",
                SocketError.AccessDenied => "this user may not listen on that port",
                SocketError.AddressNotAvailable => "this host does not have that address",
                _ => e.Message,
            };
            throw new HostException($"{what}: cannot listen on {host}:{port}: {why}");
        }
    }

    /// <summary>The name servers that this host asks, at most three.</summary>
    public static IPAddress[] NameServers()
    {
        var found = new List<IPAddress>();
        try
        {
            foreach (string line in File.ReadLines("/etc/resolv.conf"))
            {
                string[] words = line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
                if (words.Length >= 2 && words[0] == "nameserver" && IPAddress.TryParse(words[1], out IPAddress? address)) found.Add(address);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not on this system: its interfaces say.
        }
        if (found.Count == 0)
        {
            try
            {
                foreach (NetworkInterface card in NetworkInterface.GetAllNetworkInterfaces())
                    if (card.OperationalStatus == OperationalStatus.Up) found.AddRange(card.GetIPProperties().DnsAddresses);
            }
            catch (Exception e) when (e is NetworkInformationException or PlatformNotSupportedException)
            {
                // Then there are none, and the guest's questions stay unanswered.
            }
        }
        return [.. found.Take(3)];
    }
}
