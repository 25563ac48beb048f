// The host's end of the jobs that use the network.
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Emu86.Bench.Soak;

/// <summary>Connects to the guest's port 9 as soon as it listens there, and talks.</summary>
internal static class GuestTransfer
{
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(600);

    public static void Send(int port, long bytes) => Talk(port, stream =>
    {
        byte[] buffer = new byte[64 << 10];
        for (long sent = 0; sent < bytes; sent += buffer.Length) stream.Write(buffer);
        stream.Socket.Shutdown(SocketShutdown.Send);
        while (stream.Read(buffer) > 0)
        {
        }
        return true;
    });

    public static void Receive(int port, long bytes) => Talk(port, stream =>
    {
        byte[] buffer = new byte[64 << 10];
        long received = 0;
        for (int got; (got = stream.Read(buffer)) > 0;) received += got;
        return received == bytes;
    });

    /// <summary>One transaction after the other, each when the one before was answered.</summary>
    public static void Commit(int port, int transactions) => Talk(port, stream =>
    {
        using var answers = new StreamReader(stream, Encoding.ASCII, false, 256, leaveOpen: true);
        for (int n = 0; n < transactions; n++)
        {
            int account = n * 7919 % 10_000 + 1;
            stream.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
                $"BEGIN; UPDATE accounts SET balance = balance + {n} WHERE number = {account}; INSERT INTO history VALUES ({account}, {n}); COMMIT; SELECT 'account', balance FROM accounts WHERE number = {account};\n")));
            string? answer = answers.ReadLine();
            if (answer is null && n == 0) return false;
            if (answer is null || !answer.StartsWith("account|", StringComparison.Ordinal)) throw new SoakException($"the guest's database answers \"{answer}\"");
        }
        stream.Socket.Shutdown(SocketShutdown.Send);
        return answers.ReadLine() is null;
    });

    private static void Talk(int port, Func<NetworkStream, bool> what)
    {
        for (var began = Stopwatch.StartNew(); began.Elapsed < Within;)
        {
            try
            {
                using var client = new TcpClient { NoDelay = true };
                client.Connect(IPAddress.Loopback, port);
                if (what(client.GetStream())) return;
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // Nobody listens yet.
            }
            Thread.Sleep(20);
        }
        throw new SoakException("the guest does not take the connection for a network job");
    }
}
