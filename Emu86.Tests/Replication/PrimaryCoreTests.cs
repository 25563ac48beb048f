// Single rules of the primary and of the protocol's numbers.
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class PrimaryCoreTests
{
    private static readonly Guid Self = new(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    private static readonly ArbiterValue Other = new(4, new Guid(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "host:1", GuestState.Live, [], []);

    [Fact]
    public void A_start_is_refused_with_exit_code_3_while_a_live_owner_answers()
    {
        PrimaryCore core = Started(out ulong read);
        core.ArbiterAnswered(2, new(read, ArbiterVerdict.Done, Other));
        Assert.Equal("host:1", Taken(core, ActionKind.ProbeOwner).Text);
        core.OwnerProbed(3, answers: true);
        CoreAction exit = Taken(core, ActionKind.Exit);
        Assert.Equal(3ul, exit.Number);
        Assert.Contains("already live at host:1 in epoch 4", exit.Text);
    }

    [Fact]
    public void A_start_wins_the_epoch_after_an_owner_that_does_not_answer()
    {
        PrimaryCore core = Started(out ulong read);
        core.ArbiterAnswered(2, new(read, ArbiterVerdict.Done, Other));
        core.Actions.Clear();
        core.OwnerProbed(3, answers: false);
        ArbiterRequest request = Taken(core, ActionKind.AskArbiter).Request!;
        Assert.Equal((ArbiterRequestKind.Start, 4ul, 5ul), (request.Kind, request.ExpectedEpoch, request.Wanted!.Epoch));
        core.ArbiterAnswered(4, new(request.Id, ArbiterVerdict.Done, request.Wanted));
        Assert.Equal(5ul, Taken(core, ActionKind.Live).Number);
    }

    [Fact]
    public void An_answer_to_an_earlier_question_is_ignored()
    {
        PrimaryCore core = Started(out ulong read);
        core.ArbiterAnswered(2, new(read, ArbiterVerdict.Unavailable, null));
        core.Tick(200_000);
        Assert.NotEqual(read, Taken(core, ActionKind.AskArbiter).Request!.Id);
        core.ArbiterAnswered(200_001, new(read, ArbiterVerdict.Done, null));
        Assert.Empty(core.Actions);
    }

    [Fact]
    public void Unsafe_times_are_refused_with_a_sentence()
    {
        Assert.Null(new ProtocolOptions().Problem);
        Assert.Null(ProtocolOptions.For(20, 200, 100).Problem);
        Assert.Contains("lease", new ProtocolOptions { LeaseUs = 200_000 }.Problem);
        Assert.Contains("three heartbeats", ProtocolOptions.For(100, 200, 100).Problem);
    }

    [Fact]
    public void The_lag_controller_settles_where_the_backup_can_follow_and_recovers()
    {
        LagController controller = new(100_000);
        long lagUs = 0;
        // A backup that executes at 60 % of full speed: the lag grows with what is too fast.
        for (long now = 0; now < 20_000_000; now += 10_000)
        {
            lagUs = Math.Max(0, lagUs + 10_000 * (controller.Speed - 600) / 1000);
            controller.Update(now, lagUs);
            if (now > 10_000_000) Assert.InRange(lagUs, 0, 100_000);
        }
        Assert.InRange(controller.Speed, 400, 800);
        for (long now = 20_000_000; now < 22_000_000; now += 10_000) controller.Update(now, 0);
        Assert.Equal(LagController.FullSpeed, controller.Speed);
    }

    [Fact]
    public void After_a_stall_full_speed_is_back_within_three_times_the_lag_limit_although_the_lag_comes_and_goes()
    {
        LagController controller = new(100_000);
        long now = 0;
        for (long lag = 0; lag <= 150_000; lag += 10_000) controller.Update(now += 10_000, lag);
        Assert.InRange(controller.Speed, LagController.SpeedMin, 100);
        long recovered = now;
        for (int i = 0; controller.Speed < LagController.FullSpeed; i++)
        {
            controller.Update(now += 10_000, 1_000 + i % 3 * 700);
            Assert.InRange(now - recovered, 0, 300_000);
        }
    }

    [Theory]
    [InlineData(0, 40, 120)]
    [InlineData(200_000, 3, 5)]
    public void A_guest_that_only_ticks_gets_a_frontier_at_every_halt_or_when_quiet_every_40_ms(ulong quietInstructions, int least, int most)
    {
        PrimaryCore core = WithBackup(ProtocolOptions.For(20, 200, 100) with { QuietInstructions = quietInstructions }, out long now);
        int frontiers = 0;
        for (ulong tick = 1; tick <= 40; tick++)
        {
            core.Ran(now += 2_000, new Position(10_000 * tick, 4_000_000 * tick), halted: false);
            core.Ran(now += 2_000, new Position(10_000 * tick + 100, 4_000_000 * tick + 1), halted: true);
            core.Tick(now);
            frontiers += core.Actions.Count(a => a.Message is FrontierRecord);
            core.Actions.Clear();
        }
        Assert.InRange(frontiers, least, most);
    }

    [Fact]
    public void An_output_of_a_quiet_guest_gets_its_frontier_at_once()
    {
        PrimaryCore core = WithBackup(ProtocolOptions.For(20, 200, 100), out long now);
        core.Produced(new Output(OutputKind.SerialByte, new Position(5, 5), 0, 'x', default));
        core.Ran(now + 1, new Position(10, 10), halted: false);
        Assert.Single(core.Actions, a => a.Message is FrontierRecord);
    }

    /// <summary>A primary whose backup has received the clone.</summary>
    private static PrimaryCore WithBackup(ProtocolOptions options, out long now)
    {
        PrimaryCore core = new(options, new() { Self = Self, Machine = new("default", Guid.Empty, 0, "file:x", []), Candidates = 1 }, 1);
        core.ArbiterAnswered(2, new(Taken(core, ActionKind.AskArbiter).Request!.Id, ArbiterVerdict.Done, null));
        ArbiterRequest claim = Taken(core, ActionKind.AskArbiter).Request!;
        core.ArbiterAnswered(3, new(claim.Id, ArbiterVerdict.Done, claim.Wanted));
        for (now = 4; !core.Actions.Exists(a => a.Kind == ActionKind.Connect); now += 1000) core.Tick(now);
        core.Actions.Clear();
        core.ConnectionOpened(now, 1);
        var hello = (HelloMessage)Taken(core, ActionKind.Send).Message!;
        core.Received(now, 1, new WelcomeMessage(hello.Hello.SessionId, 0, new Guid(3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)));
        core.SnapshotTaken(now, 0);
        core.CloneStreamed(now);
        core.Actions.Clear();
        return core;
    }

    private static PrimaryCore Started(out ulong read)
    {
        PrimaryCore core = new(new(), new() { Self = Self, Machine = new("default", Guid.Empty, 0, "file:x", []) }, 1);
        read = Taken(core, ActionKind.AskArbiter).Request!.Id;
        return core;
    }

    private static CoreAction Taken(PrimaryCore core, ActionKind kind)
    {
        CoreAction action = core.Actions.Single(a => a.Kind == kind);
        core.Actions.Clear();
        return action;
    }
}
