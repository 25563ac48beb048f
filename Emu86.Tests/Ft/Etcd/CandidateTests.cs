// Which of several candidates is taken.
using Emu86.Ft.Host.Etcd;

namespace Emu86.Tests.Ft.Etcd;

public sealed class CandidateTests
{
    private const long Guest = 128 << 20;

    private static readonly Candidate Idle = New(1, load: 10, freeMiB: 1000), Busy = New(2, load: 900, freeMiB: 8000), Full = New(3, load: 0, freeMiB: 100), Roomy = New(4, load: 10, freeMiB: 2000);

    [Fact]
    public void The_least_loaded_that_has_room_comes_first_and_the_live_side_itself_never() =>
        Assert.Equal([Roomy, Idle, Busy, Full], Candidate.Rank([Full, Busy, Idle, New(9, load: 0, freeMiB: 9000), Roomy], Id(9), Guest, _ => 0));

    [Fact]
    public void Those_that_were_tried_come_last_and_the_one_tried_longest_ago_first_among_them() =>
        Assert.Equal([Full, Busy, Roomy, Idle], Candidate.Rank([Idle, Roomy, Busy, Full], Id(9), Guest, id => id == Idle.Id ? 20 : id == Roomy.Id ? 10 : id == Busy.Id ? 5 : 0));

    private static Guid Id(int n) => new(n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    private static Candidate New(int n, int load, long freeMiB) => new(Id(n), $"host{n}:8686", load, freeMiB << 20);
}
