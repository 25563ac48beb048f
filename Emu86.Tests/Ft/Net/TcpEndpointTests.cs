// The TCP towards the guest, on a wire that misbehaves (RFC 9293).
using Emu86.Ft.Host.Net.User;

namespace Emu86.Tests.Ft.Net;

public sealed class TcpEndpointTests
{
    private static byte[] Noise(int seed, int length)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }

    private static (List<byte> AtServer, List<byte> AtClient, LossyWire Wire) Exchange(int seed, int loss, int repeat, int jitter, byte[] up, byte[] down)
    {
        var wire = new LossyWire(seed, loss, repeat, jitter);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        var atServer = new List<byte>();
        var atClient = new List<byte>();
        int sentUp = 0, sentDown = 0;
        bool ended = wire.Run(
            () => client.Tcp.State is TcpState.Lingering or TcpState.Dead && server.Tcp.State is TcpState.Lingering or TcpState.Dead,
            () =>
            {
                sentUp += client.Write(up.AsSpan(sentUp));
                if (sentUp == up.Length && client.Tcp.WasOpen) client.Tcp.FinishWriting();
                sentDown += server.Write(down.AsSpan(sentDown));
                if (sentDown == down.Length && server.Tcp.WasOpen) server.Tcp.FinishWriting();
                server.ReadAll(atServer);
                client.ReadAll(atClient);
            },
            3600, client, server);
        Assert.True(ended, $"seed {seed}: {client.Tcp.State} {server.Tcp.State} {atServer.Count}/{up.Length} {atClient.Count}/{down.Length}");
        server.ReadAll(atServer);
        client.ReadAll(atClient);
        // On a very bad wire the last acknowledgement may never arrive; the data has.
        if (loss <= 10) Assert.False(client.Tcp.WasReset || server.Tcp.WasReset);
        return (atServer, atClient, wire);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(0, 30, 0)]
    [InlineData(0, 0, 20)]
    [InlineData(5, 0, 0)]
    [InlineData(10, 10, 20)]
    [InlineData(25, 25, 50)]
    public void Every_byte_arrives_once_and_in_order_both_ways_on_a_bad_wire(int loss, int repeat, int jitter)
    {
        for (int seed = 1; seed <= 20; seed++)
        {
            byte[] up = Noise(seed, 1 + seed * 7919), down = Noise(-seed, 300_000 / seed);
            (List<byte> atServer, List<byte> atClient, _) = Exchange(seed, loss, repeat, jitter, up, down);
            Assert.Equal(up, atServer);
            Assert.Equal(down, atClient);
        }
    }

    [Fact]
    public void A_clean_wire_carries_nothing_twice()
    {
        (_, _, LossyWire wire) = Exchange(1, 0, 0, 0, Noise(1, 1_000_000), Noise(2, 500_000));
        Assert.Equal(1_500_000, wire.BytesOnWire);
    }

    [Fact]
    public void The_segments_of_a_stream_are_acknowledged_several_together_and_a_small_one_at_once()
    {
        var wire = new LossyWire(1, 0, 0, 0);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        wire.Run(() => client.Tcp.State == TcpState.Open && server.Tcp.State == TcpState.Open, null, 1, client, server);
        var got = new List<byte>();
        void Stream(int segments)
        {
            for (int n = 0; n < segments; n++)
            {
                client.Write(Noise(n, 1460));
                client.Tcp.Output(wire.Now);
                int until = got.Count + 1460;
                Assert.True(wire.Run(() => got.Count == until, () => server.ReadAll(got), 1, server));
            }
        }
        Stream(32);
        int before = wire.Sent;
        Stream(80);
        Assert.InRange(wire.Sent - before - 80, 9, 11);
        client.Write([1]);
        client.Tcp.Output(wire.Now);
        before = wire.Sent;
        Assert.True(wire.Run(() => wire.Sent > before, () => server.ReadAll(got), 1, server));
        Assert.InRange(wire.Now, 0, 1000 + 300);
    }

    [Fact]
    public void Moderate_loss_is_repaired_without_waiting_for_timeouts()
    {
        (_, _, LossyWire wire) = Exchange(3, 1, 0, 0, Noise(1, 2_000_000), []);
        // 1370 segments at 2 ms round trip, some 14 of them lost: with a timeout of 200 ms for each it would be 3 seconds more.
        Assert.True(wire.Now - 1000 < 2000, $"took {wire.Now} ms");
    }

    [Fact]
    public void A_receiver_that_does_not_read_stops_the_sender_and_reading_starts_it_again()
    {
        var wire = new LossyWire(1, 0, 0, 0);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        byte[] data = Noise(1, 600_000);
        int sent = 0;
        wire.Run(() => false, () => sent += client.Write(data.AsSpan(sent)), 30, client, server);
        Assert.True(sent <= 2 * ByteRing.Capacity);
        Assert.True(client.Tcp.State == TcpState.Open);
        var got = new List<byte>();
        Assert.True(wire.Run(
            () => got.Count == data.Length,
            () =>
            {
                sent += client.Write(data.AsSpan(sent));
                server.ReadAll(got);
            },
            60, client, server));
        Assert.Equal(data, got);
    }

    [Fact]
    public void A_closed_window_is_probed_for_as_long_as_the_peer_answers()
    {
        var wire = new LossyWire(1, 0, 0, 0);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        byte[] data = Noise(1, 400_000);
        int sent = 0;
        wire.Run(() => false, () => sent += client.Write(data.AsSpan(sent)), 3600, client, server);
        Assert.Equal(TcpState.Open, client.Tcp.State);
        Assert.False(client.Tcp.WasReset);
    }

    [Fact]
    public void A_peer_that_went_silent_is_given_up_after_all_retries()
    {
        var wire = new LossyWire(1, 0, 0, 0);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        Assert.True(wire.Run(() => client.Tcp.WasOpen && server.Tcp.WasOpen, null, 10, client, server));
        client.Other = new LossyWire(2, 100, 0, 0).Connect(out _);
        client.Write([1, 2, 3]);
        wire.Run(() => client.Tcp.State == TcpState.Dead, null, 3600, client);
        Assert.True(client.Tcp.WasReset);
    }

    [Fact]
    public void A_refused_connection_is_reset()
    {
        var wire = new LossyWire(1, 0, 0, 0);
        LossyWire.End client = wire.Connect(out LossyWire.End server, accept: false);
        Assert.True(wire.Run(() => client.Tcp.State == TcpState.Dead, null, 10, client, server));
        Assert.True(client.Tcp.WasReset);
        Assert.False(client.Tcp.WasOpen);
    }

    [Fact]
    public void One_direction_may_end_while_the_other_goes_on()
    {
        var wire = new LossyWire(1, 5, 5, 5);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        var got = new List<byte>();
        Assert.True(wire.Run(() => server.Tcp.EndOfStream, () =>
        {
            if (client.Tcp.WasOpen) client.Tcp.FinishWriting();
        }, 60, client, server));
        byte[] data = Noise(9, 50_000);
        int sent = 0;
        Assert.True(wire.Run(() => got.Count == data.Length, () =>
        {
            sent += server.Write(data.AsSpan(sent));
            client.ReadAll(got);
        }, 60, client, server));
        Assert.Equal(data, got);
    }

    [Fact]
    public void Repeating_everything_that_was_sent_changes_nothing()
    {
        // A backup that goes live sends what it held: the peer sees old segments again, also of connections that are closed by now.
        var wire = new LossyWire(1, 0, 0, 0);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        var got = new List<byte>();
        client.Write([]);
        int sent = 0;
        byte[] data = Noise(1, 5000);
        Assert.True(wire.Run(() => got.Count == data.Length, () =>
        {
            sent += client.Write(data.AsSpan(sent));
            server.ReadAll(got);
        }, 10, client, server));
        TcpHeader[] all = [.. client.Log];
        foreach (TcpHeader header in all) server.Arrive(header, header.Has(TcpFlags.Syn) ? [] : new byte[100], wire.Now);
        Assert.Equal(TcpState.Open, server.Tcp.State);
        Assert.True(server.Tcp.Readable().IsEmpty);
        client.Tcp.FinishWriting();
        server.Tcp.FinishWriting();
        Assert.True(wire.Run(() => server.Tcp.State == TcpState.Lingering && client.Tcp.State == TcpState.Lingering, null, 10, client, server));
        foreach (TcpHeader header in client.Log.ToArray())
        {
            Assert.False(server.Tcp.IsReplacedBy(header));
            server.Arrive(header, [], wire.Now);
        }
        Assert.Equal(TcpState.Lingering, server.Tcp.State);
    }

    [Fact]
    public void A_reset_counts_only_with_the_exact_sequence_number()
    {
        var wire = new LossyWire(1, 0, 0, 0);
        LossyWire.End client = wire.Connect(out LossyWire.End server);
        Assert.True(wire.Run(() => client.Tcp.WasOpen && server.Tcp.WasOpen, null, 10, client, server));
        TcpHeader last = client.Log[^1];
        server.Tcp.Receive(last with { Flags = TcpFlags.Rst, Sequence = last.Sequence + 100 }, [], wire.Now);
        Assert.Equal(TcpState.Open, server.Tcp.State);
        server.Tcp.Receive(last with { Flags = TcpFlags.Rst }, [], wire.Now);
        Assert.Equal(TcpState.Dead, server.Tcp.State);
    }

    [Fact]
    public void Random_segments_never_break_an_endpoint()
    {
        var random = new Random(7);
        for (int round = 0; round < 300; round++)
        {
            var wire = new LossyWire(round, 0, 0, 0);
            LossyWire.End client = wire.Connect(out LossyWire.End server);
            wire.Run(() => client.Tcp.WasOpen && server.Tcp.WasOpen, null, 10, client, server);
            TcpHeader last = client.Log[^1];
            for (int i = 0; i < 200; i++)
            {
                var header = new TcpHeader(1000, 80, last.Sequence + (uint)random.Next(-300_000, 300_000), last.Acknowledgement + (uint)random.Next(-10, 10), (TcpFlags)random.Next(32) & ~(random.Next(4) > 0 ? TcpFlags.Rst : 0), (ushort)random.Next(65_536));
                server.Write(new byte[random.Next(3000)]);
                server.Tcp.Receive(header, new byte[random.Next(1460)], wire.Now + i);
                server.Tcp.Output(wire.Now + i);
                server.Tcp.Consume(int.Min(server.Tcp.Readable().Length, random.Next(5000)));
                server.Tcp.Time(wire.Now + i * 10);
            }
        }
    }
}
