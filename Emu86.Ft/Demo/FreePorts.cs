// Ports on loopback that nobody uses.
using System.Net;
using System.Net.Sockets;

namespace Emu86.Ft.Demo;

internal static class FreePorts
{
    // Below the ranges from which systems take the ports of outgoing connections: one of those could take a port before its
    // listener does, and a connection attempt to a port without a listener could meet itself.
    private const int Lowest = 15_000, Highest = 32_000;

    /// <summary>Different ports that were free for TCP and UDP a moment ago.</summary>
    public static int[] Take(int count)
    {
        var ports = new SortedSet<int>();
        for (int tries = 0; ports.Count < count; tries++)
        {
            int port = Random.Shared.Next(Lowest, Highest);
            // The last resort is the attempt itself: whoever listens there says why it cannot.
            if (tries > 1000 || IsFree(port)) ports.Add(port);
        }
        return [.. ports];
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var tcp = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            tcp.Bind(new IPEndPoint(IPAddress.Loopback, port));
            // Heartbeats are datagrams on the port on which the backup listens.
            using var udp = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            udp.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
