using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Emu86.Bench.Hosts;

namespace Emu86.Tests.Soak;

/// <summary>What the relay does to numbered datagrams between two hosts, and that a connection goes on over it.</summary>
public sealed class FrameRelayTests
{
    private const int Datagrams = 200;

    [SkippableTheory]
    [InlineData("Delay")]
    [InlineData("Reorder")]
    [InlineData("Duplicate")]
    public void A_disturbed_host_gets_all_datagrams_late_out_of_order_or_twice_and_is_whole_again_afterwards(string kind)
    {
        Skip.If(HostNetwork.Problem is not null, HostNetwork.Problem);
        using var network = new HostNetwork();
        TestHost near = network.Add("near", 1, hasGuest: false), far = network.Add("far", 2, hasGuest: true);
        far.Disturb(Enum.Parse<Disturbance>(kind), seed: 1);

        (int[] numbers, double[] late) = Exchange(near, far, 7001);

        Assert.Equal(Enumerable.Range(0, Datagrams), numbers.Distinct().Order());
        Assert.Equal(kind == "Reorder", !numbers.Distinct().SequenceEqual(Enumerable.Range(0, Datagrams)));
        Assert.Equal(kind == "Duplicate", numbers.Length > Datagrams);
        if (kind == "Delay") Assert.All(late, l => Assert.True(l >= 5, $"{l:F1} ms"));
        Assert.Equal(1 << 20, Transfer(near, far, 7002));

        far.Calm();
        (numbers, _) = Exchange(near, far, 7003);

        Assert.Equal(Enumerable.Range(0, Datagrams), numbers);
    }

    // Numbered datagrams, one each millisecond; which arrived, in order, and how many milliseconds after they were sent.
    private static (int[] Numbers, double[] Late) Exchange(TestHost from, TestHost to, int port)
    {
        using Socket receiver = to.Within(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        receiver.Bind(new IPEndPoint(to.Address, port));
        receiver.ReceiveTimeout = 400;
        using Socket sender = from.Within(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        long[] sent = new long[Datagrams];
        var thread = new Thread(() =>
        {
            for (int n = 0; n < Datagrams; n++, Thread.Sleep(1))
            {
                sent[n] = Stopwatch.GetTimestamp();
                sender.SendTo(BitConverter.GetBytes(n), new IPEndPoint(to.Address, port));
            }
        });
        thread.Start();
        var numbers = new List<int>();
        var late = new List<double>();
        byte[] datagram = new byte[4];
        try
        {
            while (receiver.Receive(datagram) == 4)
            {
                numbers.Add(BitConverter.ToInt32(datagram));
                late.Add(Stopwatch.GetElapsedTime(sent[numbers[^1]]).TotalMilliseconds);
            }
        }
        catch (SocketException)
        {
            // Nothing more comes.
        }
        thread.Join();
        return ([.. numbers], [.. late]);
    }

    // A mebibyte over TCP, which the kernel hands on in pieces larger than a frame; how much arrived.
    private static long Transfer(TestHost from, TestHost to, int port)
    {
        using Socket listener = to.NewTcpSocket();
        listener.Bind(new IPEndPoint(to.Address, port));
        listener.Listen(1);
        var thread = new Thread(() =>
        {
            using Socket sender = from.NewTcpSocketTo(to.Address, port);
            byte[] bytes = new byte[1 << 20];
            for (int sent = 0; sent < bytes.Length;) sent += sender.Send(bytes.AsSpan(sent));
        });
        thread.Start();
        using Socket receiver = listener.Accept();
        receiver.ReceiveTimeout = 10_000;
        byte[] part = new byte[65_536];
        long total = 0;
        for (int got; (got = receiver.Receive(part)) > 0;) total += got;
        thread.Join();
        return total;
    }
}
