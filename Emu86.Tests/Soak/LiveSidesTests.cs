// The judge of a chaos run refuses frames that a second live side must have sent.
using Emu86.Bench.Hosts;

namespace Emu86.Tests.Soak;

public sealed class LiveSidesTests
{
    private static readonly LiveSide[] Sides = [new(7, 2, 205), new(1, 1, 5), new(9, 3, 405), new(12, 1, 605)];

    [Fact]
    public void Frames_follow_the_epochs() =>
        Assert.Null(Problem((0, 1), (100, 1), (200, 2), (300, 2), (400, 3), (600, 1), (700, 1)));

    [Fact]
    public void A_side_whose_cable_is_out_need_not_be_seen() =>
        Assert.Null(Problem((0, 1), (100, 1), (410, 3), (600, 1)));

    [Fact]
    public void A_side_that_lost_is_not_heard_of_again() =>
        Assert.Contains("port 1 while the side at port 2 was live in epoch 7", Problem((0, 1), (200, 2), (210, 1), (220, 2)));

    [Fact]
    public void A_side_is_not_heard_of_before_it_is_live() =>
        Assert.Contains("port 2 while the side at port 1", Problem((0, 1), (100, 2), (200, 2)));

    [Fact]
    public void Nobody_is_heard_of_who_never_was_live() =>
        Assert.Contains("port 4", Problem((0, 1), (700, 4)));

    [Fact]
    public void The_first_frame_is_of_a_live_side() =>
        Assert.Contains("before a side there was live", LiveSides.Problem([new(0, 5, 0)], Sides, 50));

    [Fact]
    public void An_epoch_has_one_side() =>
        Assert.Contains("two sides went live in epoch 7", LiveSides.Problem([], [.. Sides, new(7, 3, 300)], 50));

    private static string? Problem(params (long At, int Port)[] frames) => LiveSides.Problem(frames.Select(f => new SeenFrame(f.At, f.Port, 0)), Sides, 50);
}
