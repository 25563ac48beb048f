// The judge of a chaos run refuses what an uninterrupted guest cannot have answered.
using Emu86.Bench.Hosts;

namespace Emu86.Tests.Soak;

public sealed class HistoryTests
{
    [Fact]
    public void Overlapping_steps_may_be_numbered_in_any_order() =>
        Assert.Null(History.Problem([new(0, 10, 2, ""), new(1, 9, 1, ""), new(20, 30, 3, "")], 3));

    [Fact]
    public void A_step_without_an_answer_may_have_been_done_or_not()
    {
        Step[] steps = [new(0, 1, 1, ""), new(2, long.MaxValue, 0, ""), new(5, 6, 3, "")];
        Assert.Null(History.Problem(steps, 3));
        Assert.Null(History.Problem([steps[0], steps[1], new(5, 6, 2, "")], 2));
        // It may be done after the last answer.
        Assert.Null(History.Problem([steps[0], steps[1]], 2));
    }

    [Fact]
    public void A_number_is_given_once() =>
        Assert.Contains("given twice", History.Problem([new(0, 1, 1, ""), new(2, 3, 1, "")], 2));

    [Fact]
    public void An_acknowledged_step_is_not_lost() =>
        Assert.Contains("it was lost", History.Problem([new(0, 1, 1, ""), new(2, 3, 2, "")], 1));

    [Fact]
    public void A_step_that_was_answered_before_another_began_has_the_smaller_number() =>
        Assert.Contains("smaller number", History.Problem([new(0, 1, 2, ""), new(2, 3, 1, "")], 2));

    [Fact]
    public void No_more_steps_are_done_than_were_asked_for() =>
        Assert.Contains("only 1 more", History.Problem([new(0, 1, 1, ""), new(2, long.MaxValue, 0, "")], 3));

    [Fact]
    public void A_record_stands_under_the_number_that_was_acknowledged()
    {
        Step[] steps = [new(0, 10, 1, "a"), new(0, 10, 2, "b"), new(0, long.MaxValue, 0, "c")];
        Assert.Null(History.Problem(steps, ["a", "b"]));
        Assert.Null(History.Problem(steps, ["a", "b", "c"]));
        Assert.Contains("was acknowledged there", History.Problem(steps, ["b", "a"]));
        Assert.Contains("never written", History.Problem(steps, ["a", "b", "d"]));
        Assert.Contains("twice", History.Problem([.. steps, new(0, long.MaxValue, 0, "d")], ["a", "b", "c", "c"]));
    }
}
