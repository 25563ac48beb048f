// What unknown connections get: little room, little time, and never another one's.
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Host.Links;

namespace Emu86.Tests.Ft.Tls;

public sealed class StrangersTests
{
    private long _nowUs;

    private static Socket NewSocket() => new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    private static IPEndPoint From(int host) => new(new IPAddress([10, 0, 0, (byte)host]), 1000);

    [Fact]
    public void A_flood_from_one_address_takes_no_room_from_another()
    {
        Strangers strangers = new(4, () => _nowUs);
        Visitor real = strangers.Enter(NewSocket(), From(1))!;
        List<Visitor> flood = [.. Enumerable.Range(0, 20).Select(_ => strangers.Enter(NewSocket(), From(2))!)];
        Assert.Null(real.Why);
        Assert.Equal(17, flood.Count(v => v.Why is not null));
        Assert.All(flood[17..], v => Assert.Null(v.Why));
        Visitor another = strangers.Enter(NewSocket(), From(3))!;
        Assert.Null(real.Why);
        Assert.Null(another.Why);
    }

    [Fact]
    public void One_address_begins_so_many_a_second_and_no_more()
    {
        Strangers strangers = new(1000, () => _nowUs);
        int Begun(int host, int tries) => Enumerable.Range(0, tries).Count(_ => strangers.Enter(NewSocket(), From(host)) is not null);
        Assert.Equal(Strangers.BurstMax, Begun(1, 200));
        Assert.Equal(Strangers.BurstMax, Begun(2, 200));
        _nowUs += 10 * Strangers.EveryUs;
        Assert.Equal(10, Begun(1, 200));
    }

    [Fact]
    public void Who_is_known_is_crowded_out_by_nobody_and_leaves_its_place()
    {
        Strangers strangers = new(2, () => _nowUs);
        Visitor known = strangers.Enter(NewSocket(), From(1))!;
        known.Known();
        for (int n = 0; n < 20; n++) strangers.Enter(NewSocket(), From(1));
        Assert.Null(known.Why);
    }

    [Fact]
    public void Who_does_not_show_who_it_is_in_time_is_ended()
    {
        Strangers strangers = new(2, () => _nowUs);
        Visitor slow = strangers.Enter(NewSocket(), From(1))!, known = strangers.Enter(NewSocket(), From(1))!;
        known.Known();
        Assert.True(SpinWait.SpinUntil(() => slow.Why is not null, 10 * Strangers.PatienceMs));
        Assert.Contains("within 2 s", slow.Sentence("the connection broke"));
        Assert.Throws<ObjectDisposedException>(() => slow.Socket.Receive(new byte[1]));
        Assert.Null(known.Why);
    }

    [Fact]
    public void A_flood_is_not_written_to_the_log_line_by_line()
    {
        Strangers strangers = new(2, () => _nowUs);
        Assert.InRange(Enumerable.Range(0, 10_000).Count(_ => strangers.MaySay()), 1, 20);
        _nowUs += 60_000_000;
        Assert.InRange(Enumerable.Range(0, 10_000).Count(_ => strangers.MaySay()), 1, 20);
    }
}
