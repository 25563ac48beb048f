// The learning switch and which epoch may speak on it.
using Emu86.Ft.Host.Net;
using Emu86.Ft.Host.Net.Switching;
using Emu86.Ft.Host.Net.User;

namespace Emu86.Tests.Ft.Net;

public sealed class EthernetSwitchTests
{
    private const ulong A = 0x5254_0000_000a, B = 0x5254_0000_000b, C = 0x5254_0000_000c;

    private readonly List<string> _said = [];
    private readonly EthernetSwitch _switch;
    private readonly List<byte[]>[] _got = [[], [], []];
    private readonly SwitchPort[] _ports;

    public EthernetSwitchTests()
    {
        _switch = new EthernetSwitch(_said.Add);
        _ports = [.. _got.Select((got, i) => _switch.Add($"{i}", got.Add))];
    }

    private static byte[] Frame(ulong to, ulong from)
    {
        byte[] frame = new byte[60];
        Ethernet.WriteHeader(frame, to, from, Ethernet.TypeIpv4);
        return frame;
    }

    private static byte[] Mac(ulong mac)
    {
        byte[] bytes = new byte[6];
        Ethernet.WriteMac(bytes, mac);
        return bytes;
    }

    /// <summary>Which ports got the frame.</summary>
    private string Send(int port, byte[] frame, long now = 0)
    {
        foreach (List<byte[]> got in _got) got.Clear();
        _switch.Receive(_ports[port], frame, now);
        return string.Concat(_got.Select((got, i) => got.Count == 0 ? "" : $"{i}"));
    }

    [Fact]
    public void Frames_to_unknown_addresses_are_flooded_and_to_known_ones_are_not()
    {
        Assert.Equal("12", Send(0, Frame(B, A)));
        Assert.Equal("0", Send(1, Frame(A, B)));
        Assert.Equal("1", Send(0, Frame(B, A)));
        Assert.Equal("02", Send(1, Frame(Ethernet.Broadcast, B)));
        Assert.Equal("02", Send(1, Frame(0x0100_5e00_0001, B)));
    }

    [Fact]
    public void A_frame_to_its_own_port_and_one_for_bridges_go_nowhere()
    {
        Send(0, Frame(B, A));
        Send(0, Frame(A, B));
        Assert.Equal("", Send(0, Frame(B, A)));
        Assert.Equal("", Send(1, Frame(0x0180_c200_000e, C)));
    }

    [Fact]
    public void An_announcement_moves_an_address_at_once()
    {
        Send(0, Frame(B, A));
        foreach (byte[] frame in GoLiveFrames.Announcement(Mac(A), [10, 0, 2, 15])) Assert.Equal("02", Send(1, frame));
        Assert.Equal("1", Send(2, Frame(A, C)));
    }

    [Fact]
    public void The_announcement_is_a_reverse_request_and_gratuitous_arp_when_the_address_is_known()
    {
        Assert.Single(GoLiveFrames.Announcement(Mac(A)));
        byte[][] all = GoLiveFrames.Announcement(Mac(A), [10, 0, 2, 15]);
        Assert.Equal(Ethernet.TypeRarp, Ethernet.Type(all[0]));
        Assert.True(ArpPacket.TryParse(all[1].AsSpan(14), out ArpPacket request));
        Assert.Equal(new ArpPacket(1, A, Lan.FirstGuest, 0, Lan.FirstGuest), request);
        Assert.True(ArpPacket.TryParse(all[2].AsSpan(14), out ArpPacket reply));
        Assert.Equal((ArpPacket.Reply, A, Lan.FirstGuest), (reply.Operation, reply.SenderMac, reply.SenderIp));
    }

    [Fact]
    public void Addresses_age_and_leave_with_their_port()
    {
        Send(0, Frame(B, A));
        Assert.Equal("0", Send(1, Frame(A, B), EthernetSwitch.AgeMs));
        Assert.Equal("02", Send(1, Frame(A, B), EthernetSwitch.AgeMs + 1));
        Send(0, Frame(B, A), 1000);
        _switch.Remove(_ports[0], 1000);
        Assert.Equal("2", Send(1, Frame(A, B), 1000));
    }

    [Fact]
    public void The_table_is_bounded_and_makes_room_for_new_addresses_when_old_ones_have_aged()
    {
        for (ulong i = 0; i < 10_000; i++) Send(0, Frame(B, 0x0200_0000_0000 + i));
        Assert.Equal(EthernetSwitch.AddressesMax, _switch.AddressCount);
        Send(1, Frame(B, C), EthernetSwitch.AgeMs + 1);
        Assert.Equal(1, _switch.AddressCount);
    }

    [Fact]
    public void A_side_of_an_older_epoch_is_silenced_and_said_so_once()
    {
        Assert.Equal("", Send(0, GoLiveFrames.EpochFrame("g", Mac(A), 1)));
        Assert.Equal("12", Send(0, Frame(B, A)));
        Assert.Equal("", Send(1, GoLiveFrames.EpochFrame("g", Mac(A), 2)));
        Assert.Equal("1", Send(2, Frame(A, C)));
        Assert.Equal("", Send(0, Frame(C, A)));
        Assert.Equal("", Send(0, Frame(C, A)));
        Assert.Single(_said);
        Assert.Equal("2", Send(1, Frame(C, A)));
        Assert.Equal("1", Send(2, Frame(A, C)));
    }

    [Fact]
    public void An_older_epoch_stays_silenced_for_a_while_after_the_newer_port_left_and_when_it_comes_again()
    {
        Send(0, GoLiveFrames.EpochFrame("g", Mac(A), 1), 0);
        Send(1, GoLiveFrames.EpochFrame("g", Mac(A), 2), 0);
        _switch.Remove(_ports[1], 100_000);
        Assert.Equal("", Send(0, Frame(B, A), 110_000));
        Send(0, GoLiveFrames.EpochFrame("g", Mac(A), 1), 110_000);
        Assert.Equal("", Send(0, Frame(B, A), 110_000));
        Send(0, GoLiveFrames.EpochFrame("g", Mac(A), 3), 120_000);
        Assert.Equal("2", Send(0, Frame(B, A), 120_000));
    }

    [Fact]
    public void Another_guest_with_the_same_address_is_not_compared()
    {
        Send(0, GoLiveFrames.EpochFrame("old", Mac(A), 9));
        Send(1, GoLiveFrames.EpochFrame("new", Mac(A), 1));
        Assert.Equal("02", Send(1, Frame(B, A)));
        Assert.Equal("", Send(0, Frame(B, A)));
    }

    [Fact]
    public void Garbage_is_survived()
    {
        var random = new Random(5);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] frame = new byte[random.Next(100)];
            random.NextBytes(frame);
            // Every second one begins like an announcement.
            if (i % 2 == 0) GoLiveFrames.EpochFrame("g", Mac(A), 1).AsSpan(0, int.Min(random.Next(60), frame.Length)).CopyTo(frame);
            _switch.Receive(_ports[i % 3], frame, i);
        }
        Assert.True(_switch.AddressCount <= EthernetSwitch.AddressesMax);
    }
}
