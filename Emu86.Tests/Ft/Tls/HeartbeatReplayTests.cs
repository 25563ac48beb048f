// Heartbeats on real sockets: what somebody recorded or sends from elsewhere has no effect.
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Ft.Tls;

public sealed class HeartbeatReplayTests
{
    private static readonly byte[] Key = [.. Enumerable.Range(1, HeartbeatDatagram.KeyBytes).Select(n => (byte)n)];

    [Fact]
    public void A_backup_hears_a_recorded_heartbeat_once_and_answers_only_the_primarys_host()
    {
        var heard = new BlockingCollection<HeartbeatMessage>();
        IPEndPoint at = new(IPAddress.Loopback, PairProcess.FreePort());
        using Heartbeats backup = new(at, new ProtocolOptions(), isPatient: false, heard.Add);
        backup.LearnFrom(Key, IPAddress.Loopback);
        using UdpClient primary = new(new IPEndPoint(IPAddress.Loopback, 0)), elsewhere = new(new IPEndPoint(IPAddress.Parse("127.0.0.2"), 0));

        byte[] first = Datagram(1, 1), second = Datagram(2, 2);
        primary.Send(first, at);
        Assert.True(heard.TryTake(out HeartbeatMessage? message, 10_000));
        Assert.Equal(1, message.SentUs);
        // A copy that overtakes the original is heard in its place, but nobody is answered there.
        elsewhere.Send(second, at);
        Assert.True(heard.TryTake(out _, 10_000));
        for (int n = 0; n < 20; n++) elsewhere.Send(n % 2 == 0 ? first : second, at);
        backup.Publish(new HeartbeatMessage(7, false, 1));
        primary.Client.ReceiveTimeout = 10_000;
        IPEndPoint from = new(IPAddress.Any, 0);
        Assert.NotNull(HeartbeatDatagram.Read(primary.Receive(ref from), Key, out _));
        Assert.Equal(0, elsewhere.Available);
        // Those before this one were looked at.
        primary.Send(Datagram(3, 3), at);
        Assert.True(heard.TryTake(out message, 10_000));
        Assert.Equal(3, message.SentUs);
    }

    [Fact]
    public void A_primary_is_not_fooled_by_its_own_heartbeats()
    {
        var heard = new BlockingCollection<HeartbeatMessage>();
        using UdpClient backup = new(new IPEndPoint(IPAddress.Loopback, 0));
        using Heartbeats primary = new(new IPEndPoint(IPAddress.Loopback, 0), new ProtocolOptions(), isPatient: true, heard.Add);
        primary.SendTo(Key, (IPEndPoint)backup.Client.LocalEndPoint!);
        backup.Client.ReceiveTimeout = 10_000;
        for (int n = 0; n < 10; n++) primary.Publish(new HeartbeatMessage(7, true, 100 + n));
        IPEndPoint from = new(IPAddress.Any, 0);
        byte[][] own = [.. Enumerable.Range(0, 10).Select(_ => backup.Receive(ref from))];
        Assert.Equal(10, own.Select(d => Convert.ToHexString(d)).Distinct().Count());
        foreach (byte[] datagram in own) backup.Send(datagram, from);
        byte[] answer = new byte[HeartbeatDatagram.Bytes];
        HeartbeatDatagram.Write(answer, new HeartbeatMessage(7, false, 105), 1, Key);
        backup.Send(answer, from);
        Assert.True(heard.TryTake(out HeartbeatMessage? message, 10_000));
        Assert.Equal((false, 105L), (message.FromPrimary, message.SentUs));
        Assert.Empty(heard);
    }

    private static byte[] Datagram(ulong number, long sentUs)
    {
        byte[] datagram = new byte[HeartbeatDatagram.Bytes];
        HeartbeatDatagram.Write(datagram, new HeartbeatMessage(7, true, sentUs), number, Key);
        return datagram;
    }
}
