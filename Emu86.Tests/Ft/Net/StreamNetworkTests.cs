// Stream framing against scripted peers, the switch over real sockets, and QEMU.
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Net;
using Emu86.Ft.Host.Net.Switching;
using Emu86.Ft.Host.Net.User;

namespace Emu86.Tests.Ft.Net;

public sealed class StreamNetworkTests
{
    private static Socket Listen(out Endpoint at, int port = 0)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 10_000 };
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
        socket.Listen(4);
        at = new Endpoint("127.0.0.1", ((IPEndPoint)socket.LocalEndPoint!).Port);
        return socket;
    }

    private static Socket AcceptFrom(Socket listener)
    {
        Assert.True(listener.Poll(10_000_000, SelectMode.SelectRead), "nobody connected");
        Socket socket = listener.Accept();
        socket.ReceiveTimeout = 10_000;
        return socket;
    }

    private static byte[] Framed(params byte[] frame)
    {
        byte[] bytes = new byte[4 + frame.Length];
        BinaryPrimitives.WriteInt32BigEndian(bytes, frame.Length);
        frame.CopyTo(bytes, 4);
        return bytes;
    }

    private static byte[] ReadFrame(Socket socket)
    {
        byte[] Exactly(int count)
        {
            byte[] bytes = new byte[count];
            for (int at = 0; at < count;)
            {
                int got = socket.Receive(bytes.AsSpan(at));
                Assert.True(got > 0, "the stream ended");
                at += got;
            }
            return bytes;
        }
        return Exactly(BinaryPrimitives.ReadInt32BigEndian(Exactly(4)));
    }

    [Fact]
    public void Frames_pass_both_ways_however_the_stream_is_cut()
    {
        using Socket listener = Listen(out Endpoint at);
        var got = new BlockingCollection<byte[]>();
        using var network = new StreamNetwork(at, null, _ => { });
        network.Start(got.Add);
        using Socket peer = AcceptFrom(listener);
        byte[] sent = [.. Framed(1, 2, 3), .. Framed(new byte[65_536]), .. Framed(9)];
        for (int i = 0; i < 8; i++) peer.Send(sent.AsSpan(i, 1));
        peer.Send(sent.AsSpan(8));
        Assert.True(got.TryTake(out byte[]? first, 10_000));
        Assert.Equal([1, 2, 3], first);
        Assert.True(got.TryTake(out byte[]? second, 10_000));
        Assert.Equal(65_536, second!.Length);
        Assert.True(got.TryTake(out byte[]? third, 10_000));
        Assert.Equal([9], third);
        network.Send(new byte[] { 5, 6 });
        Assert.Equal([5, 6], ReadFrame(peer));
    }

    [Fact]
    public void A_local_socket_works_as_well()
    {
        string path = Path.Combine(Path.GetTempPath(), $"emu86-{Guid.NewGuid():N}");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        try
        {
            using var network = new StreamNetwork(null, path, _ => { });
            network.Start(_ => { });
            using Socket peer = AcceptFrom(listener);
            network.Send(new byte[] { 5, 6 });
            Assert.Equal([5, 6], ReadFrame(peer));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_peer_that_goes_away_is_connected_to_again_and_greeted_first()
    {
        using Socket listener = Listen(out Endpoint at);
        var said = new ConcurrentQueue<string>();
        using var network = new StreamNetwork(at, null, said.Enqueue) { Greeting = [[1, 1], [2, 2]] };
        network.Start(_ => { });
        for (int i = 0; i < 3; i++)
        {
            using Socket peer = AcceptFrom(listener);
            Assert.Equal([1, 1], ReadFrame(peer));
            Assert.Equal([2, 2], ReadFrame(peer));
        }
        Assert.Contains("the peer closed", Assert.Single(said));
    }

    [Fact]
    public void A_frame_without_bytes_or_with_too_many_ends_the_connection_with_one_sentence()
    {
        using Socket listener = Listen(out Endpoint at);
        var said = new ConcurrentQueue<string>();
        using var network = new StreamNetwork(at, null, said.Enqueue);
        network.Start(_ => Assert.Fail("no frame was sent"));
        foreach (byte[] bad in (byte[][])[[0, 0, 0, 0], [0, 1, 0, 1], [255, 255, 255, 255]])
        {
            using Socket peer = AcceptFrom(listener);
            peer.Send(bad);
            Assert.Equal(0, peer.Receive(new byte[1]));
        }
        Assert.Contains("frame of 0 bytes", Assert.Single(said));
    }

    [Fact]
    public void A_peer_that_is_not_there_is_told_in_a_sentence()
    {
        Listen(out Endpoint at).Dispose();
        using var network = new StreamNetwork(at, null, _ => { });
        Assert.Contains("nobody listens", Assert.Throws<HostException>(() => network.Start(_ => { })).Message);
        using var local = new StreamNetwork(null, "/nowhere/at-all", _ => { });
        Assert.Contains("/nowhere/at-all", Assert.Throws<HostException>(() => local.Start(_ => { })).Message);
        using var longer = new StreamNetwork(null, new string('x', 200), _ => { });
        Assert.Contains("too long", Assert.Throws<HostException>(() => longer.Start(_ => { })).Message);
    }

    [Fact]
    public void A_peer_that_does_not_read_never_holds_the_sender()
    {
        using Socket listener = Listen(out Endpoint at);
        using var network = new StreamNetwork(at, null, _ => { });
        network.Start(_ => { });
        using Socket peer = AcceptFrom(listener);
        byte[] frame = new byte[1514];
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < 20_000; i++) network.Send(frame);
        Assert.True(watch.ElapsedMilliseconds < 5000);
        // What was kept still consists of whole frames.
        for (int i = 0; i < 300; i++) Assert.Equal(1514, ReadFrame(peer).Length);
    }

    [Fact]
    public void A_guest_cannot_announce_an_epoch()
    {
        using Socket listener = Listen(out Endpoint at);
        using var network = new StreamNetwork(at, null, _ => { });
        network.Start(_ => { });
        using Socket peer = AcceptFrom(listener);
        network.Send(GoLiveFrames.EpochFrame("g", [2, 0, 0, 0, 0, 1], 99));
        network.Send(new byte[] { 7 });
        Assert.Equal([7], ReadFrame(peer));
    }

    [Fact]
    public async Task Guests_on_the_switch_reach_each_other_and_the_host_and_outlive_a_slow_port()
    {
        using Socket free = Listen(out Endpoint forwarded);
        free.Dispose();
        using var server = new SwitchServer(new Endpoint("127.0.0.1", 0), [new HostForward("127.0.0.1", forwarded.Port, 7)], _ => { });
        server.Start();
        using var deaf = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        deaf.Connect(IPAddress.Loopback, server.At.Port);
        using var first = new GuestOnWire(new StreamNetwork(server.At, null, _ => { }));
        using var second = new GuestOnWire(new StreamNetwork(server.At, null, _ => { }), address: Lan.FirstGuest + 1, mac: 0x5254_0000_0002);
        first.Listen(7, c => c.Work = GuestOnWire.Connection.Echo);
        // More than a port keeps for one that does not read.
        for (int i = 0; i < 3000; i++) second.Send(new ArpPacket(ArpPacket.Request, second.OwnMac, second.Address, 0, Lan.Network | 99).Frame(Ethernet.Broadcast));

        byte[] data = new byte[200_000];
        new Random(1).NextBytes(data);
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 20_000 };
        client.Connect(IPAddress.Loopback, forwarded.Port);
        Task sending = Task.Run(() =>
        {
            client.Send(data);
            client.Shutdown(SocketShutdown.Send);
        });
        var all = new MemoryStream();
        byte[] buffer = new byte[65_536];
        for (int count; (count = client.Receive(buffer)) > 0;) all.Write(buffer, 0, count);
        await sending;
        Assert.Equal(data, all.ToArray());

        second.SendUdp(5, first.Address, 6, [1, 2, 3], to: first.OwnMac);
        Assert.Equal([1, 2, 3], first.Other(f => f[23] == 17)[42..45]);
    }

    [SkippableFact]
    public void QEMU_takes_our_frames_and_its_guest_answers()
    {
        const string qemu = "/usr/bin/qemu-system-i386";
        Skip.IfNot(File.Exists(qemu), "install qemu-system-x86");
        Listen(out Endpoint at).Dispose();
        // QEMU's own network boot ROM asks for an address; ours is the network that gives it.
        var start = new ProcessStartInfo(qemu, ["-display", "none", "-serial", "none", "-monitor", "none", "-m", "32", "-boot", "n",
            "-netdev", $"stream,id=n,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port={at.Port}", "-device", "ne2k_pci,netdev=n"])
        { RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        try
        {
            var network = new StreamNetwork(at, null, _ => { });
            using var user = new UserNetwork([]);
            var discovered = new ManualResetEventSlim();
            var requested = new ManualResetEventSlim();
            user.Start(frame => network.Send(frame));
            for (int i = 0; ; i++)
            {
                try
                {
                    network.Start(frame =>
                    {
                        if (frame.Length > 285 && frame[23] == 17 && frame[37] == 67) (frame[284] == 1 ? discovered : requested).Set();
                        user.Send(frame);
                    });
                    break;
                }
                catch (HostException) when (i < 100)
                {
                    Skip.If(process.HasExited, "this QEMU does not start: " + (process.HasExited ? process.StandardError.ReadToEnd() : ""));
                    Thread.Sleep(100);
                }
            }
            using (network)
            {
                Assert.True(discovered.Wait(30_000), "no DHCP request came from QEMU's guest");
                Assert.True(requested.Wait(30_000), "QEMU's guest did not take our offer");
            }
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }
}
