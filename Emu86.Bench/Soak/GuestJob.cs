// What the guest is given to do while its host is measured.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Emu86.Bench.Soak;

/// <param name="Name">As printed.</param>
/// <param name="Command">Typed at the guest's shell.</param>
/// <param name="Sends">Bytes go into the guest's port 9 (true), come from it (false), or there is no network in it.</param>
internal sealed record GuestJob(string Name, string Command, bool? Sends)
{
    private const int NetBytes = 4 << 20;

    private static readonly TimeSpan Within = TimeSpan.FromSeconds(600);

    public static readonly GuestJob[] All =
    [
        new("CPU", "for n in 1 2 3 4; do /bench/sieve; done >/dev/null", null),
        new("receive", "nc -l -p 9 | wc -c", true),
        new("send", $"dd if=/dev/zero bs=64k count={NetBytes >> 16} 2>/dev/null | nc -l -p 9", false),
    ];

    /// <summary>Runs it; returns how long it took on the host.</summary>
    /// <param name="shell">The guest's console.</param>
    /// <param name="port">Host port that reaches its port 9.</param>
    public TimeSpan Run(GuestShell shell, int port) => shell.Run(Command, Within, Sends is { } send ? () => Transfer(port, send) : null);

    /// <summary>Connects until the guest listens, then moves the bytes.</summary>
    private static void Transfer(int port, bool send)
    {
        for (var began = Stopwatch.StartNew(); began.Elapsed < Within;)
        {
            try
            {
                using var client = new TcpClient();
                client.Connect(IPAddress.Loopback, port);
                NetworkStream stream = client.GetStream();
                if (Move(stream, send) == NetBytes) return;
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // nc does not listen yet.
            }
            Thread.Sleep(100);
        }
        throw new SoakException("the guest does not take the connection for a network job");
    }

    private static int Move(NetworkStream stream, bool send)
    {
        byte[] buffer = new byte[64 << 10];
        int moved = 0;
        if (send)
        {
            for (; moved < NetBytes; moved += buffer.Length) stream.Write(buffer);
            stream.Socket.Shutdown(SocketShutdown.Send);
            while (stream.Read(buffer) > 0)
            {
            }
            return moved;
        }
        for (int got; (got = stream.Read(buffer)) > 0;) moved += got;
        return moved;
    }
}
