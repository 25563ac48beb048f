// Parsers that read from a socket themselves: the status port's requests, and frames on a stream ("-netdev stream").
using System.Net;
using System.Net.Sockets;
using System.Text;
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Net;
using Emu86.Ft.Host.Status;
using Emu86.Tests.Ft;

namespace Emu86.Tests.Fuzz;

internal static class FuzzSockets
{
    private const int WaitMs = 20_000;

    private static readonly Lazy<int> StatusPort = new(() =>
    {
        int port = PairProcess.FreePort();
        // Lives as long as the tests.
        _ = new StatusServer(new Endpoint("127.0.0.1", port), null, _ => { }, () => new StatusView(), _ => ControlAnswer.Done("done"));
        return port;
    });

    private static readonly byte[][] Requests =
    [
        [.. "GET /status HTTP/1.1\r\nHost: x\r\n\r\n"u8],
        [.. "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"u8],
        [.. "POST /control/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"u8],
    ];

    /// <summary>Each request is answered by HTTP or not at all, and the next one is answered.</summary>
    public static readonly FuzzTarget Status = new("status requests", () => Requests, bytes =>
    {
        // One address may not call more often than that.
        Thread.Sleep(25);
        string answer = Ask(bytes);
        Assert.True(answer.Length == 0 || answer.StartsWith("HTTP/1.1 ", StringComparison.Ordinal), $"answered \"{answer}\"");
        return answer.StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal);
    });

    /// <summary>Every frame is within bounds; what is no frame ends the link with a sentence.</summary>
    public static readonly FuzzTarget Stream = new("stream frames", () => [FuzzNetwork.Join(FuzzNetwork.Arp(), new byte[1514], new byte[StreamLink.FrameBytesMax])], bytes =>
    {
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        using Socket caller = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        caller.Connect(listener.LocalEndPoint!);
        int received = 0, longest = 0;
        string? why = null;
        using ManualResetEventSlim closed = new();
        using StreamLink link = new(listener.Accept(), frame =>
        {
            longest = Math.Max(longest, frame.Length);
            received += 4 + frame.Length;
        }, (_, sentence) =>
        {
            why = sentence;
            closed.Set();
        });
        link.Start();
        Send(caller, bytes);
        Assert.True(closed.Wait(WaitMs), "the link still waits after the stream has ended");
        Assert.InRange(longest, 0, StreamLink.FrameBytesMax);
        Assert.InRange(received, 0, bytes.Length);
        return received == bytes.Length && why == "the peer closed the connection";
    });

    private static string Ask(byte[] request)
    {
        using Socket caller = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = WaitMs };
        caller.Connect(IPAddress.Loopback, StatusPort.Value);
        Send(caller, request);
        using MemoryStream answer = new();
        byte[] buffer = new byte[16_384];
        try
        {
            for (int count; (count = caller.Receive(buffer)) > 0;) answer.Write(buffer, 0, count);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Closed before all of the request was read.
        }
        return Encoding.UTF8.GetString(answer.ToArray());
    }

    private static void Send(Socket socket, byte[] bytes)
    {
        try
        {
            for (int at = 0; at < bytes.Length;) at += socket.Send(bytes.AsSpan(at, Math.Min(bytes.Length - at, 50_000)));
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // The other side has seen enough.
        }
    }
}
