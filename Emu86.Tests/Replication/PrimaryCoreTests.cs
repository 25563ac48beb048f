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
        Assert.Contains("quiet guest", (ProtocolOptions.For(20, 200, 100) with { QuietFrontierUs = 60_000 }).Problem);
        Assert.Null(ProtocolOptions.For(20, 200, 20).Problem);
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

    [Fact]
    public void A_log_that_is_full_stops_the_guest_and_ends_with_a_frontier_so_that_the_backup_can_empty_it()
    {
        PrimaryCore core = WithBackup(new ProtocolOptions { LogBytesMax = 1 << 20 }, out long now);
        while (!core.Actions.Exists(a => a.Kind == ActionKind.PauseGuest)) core.Input(now, InputEvent.NetFrame(0, new byte[100_000]));
        for (int i = 0; i < 10; i++) core.Tick(now += 2_000);
        Assert.IsType<FrontierRecord>(core.Log.Record(core.Log.NextLsn - 1));
        core.Actions.Clear();
        core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, core.Log.NextLsn - 1, 0));
        Assert.Contains(core.Actions, a => a.Kind == ActionKind.ResumeGuest);
    }

    [Fact]
    public void What_has_left_is_told_even_when_the_guest_stands_still_or_a_full_backup_would_wait_for_ever()
    {
        PrimaryCore core = WithBackup(new ProtocolOptions(), out long now);
        core.Produced(new Output(OutputKind.SerialByte, new Position(5, 5), 0, 'x', default));
        core.Ran(now + 1, new Position(10, 10), halted: false);
        Assert.Equal(1ul, core.ReleasedUpTo);
        for (int i = 0; i < 25; i++) core.Tick(now += 2_000);
        Assert.Equal(1ul, Assert.IsType<FrontierRecord>(core.Log.Record(core.Log.NextLsn - 1)).ReleasedUpTo);
    }

    [Fact]
    public void A_lease_counts_from_when_the_answered_message_was_sent()
    {
        ProtocolOptions options = new();
        PrimaryCore core = Armed(options, out long now);
        core.Produced(new Output(OutputKind.SerialByte, new Position(20, 20), 0, 'x', default));
        long sent = now;
        core.Ran(now, new Position(20, 20), halted: false);
        for (; now < sent + options.LeaseUs + 1_000; now += 4_000) core.HeartbeatReceived(now, new HeartbeatMessage(1, false, sent - 1));
        core.Actions.Clear();
        // The acknowledgement was long on its way: what it answers was sent a lease ago.
        core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, 0, sent));
        Assert.Equal(1, core.OutputsHeld);
        core.HeartbeatReceived(now, new HeartbeatMessage(2, false, now - 10_000));
        Assert.Equal(now - 10_000 + options.LeaseUs, core.Backups.Single().LeaseUntilUs);
        Assert.Contains(core.Actions, a => a.Kind == ActionKind.Release);
    }

    [Fact]
    public void A_disk_write_from_before_the_clone_is_durable_before_the_backup_is_armed()
    {
        PrimaryCore core = WithBackup(new(), out long now, c => c.Produced(new Output(OutputKind.DiskWrite, default, 0, 1, default)));
        core.Received(now, 1, new CloneLoadedMessage(""));
        core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, core.Log.NextLsn - 1, now));
        core.Tick(now += 1_000);
        Assert.Equal(PrimaryPhase.CatchingUp, core.Phase);
        core.DiskWritesDurable(1);
        core.Tick(now + 1_000);
        Assert.Equal(PrimaryPhase.Arming, core.Phase);
    }

    [Fact]
    public void Ending_a_guest_that_another_side_has_taken_over_halts_this_one()
    {
        PrimaryCore core = Armed(new(), out long now);
        core.PowerOff(now);
        ArbiterRequest off = core.Actions.Single(a => a.Kind == ActionKind.AskArbiter).Request!;
        core.ArbiterAnswered(now, new(off.Id, ArbiterVerdict.Lost, Other));
        CoreAction exit = core.Actions.Single(a => a.Kind == ActionKind.Exit);
        Assert.Equal(3ul, exit.Number);
        Assert.Contains("epoch 4 belongs to another", exit.Text);
    }

    [Fact]
    public void A_backup_that_acknowledges_and_executes_nothing_is_lost()
    {
        ProtocolOptions options = new();
        PrimaryCore core = Armed(options, out long now);
        ulong executed = core.Log.FirstLsn - 1;
        long until = now + options.ReconnectTimeoutUs + 100_000;
        for (ulong n = 2; now < until && core.Phase == PrimaryPhase.Armed; n++)
        {
            core.Ran(now += 10_000, new Position(100 * n, 100 * n), halted: false);
            core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, executed, now));
            core.Tick(now);
        }
        Assert.Equal(PrimaryPhase.Disarming, core.Phase);
    }

    [Fact]
    public void A_protected_primary_that_is_moved_to_its_backup_hands_over()
    {
        PrimaryCore core = Armed(new(), out long now);
        Assert.True(core.Move(now, 0));
        core.Tick(now += 1_000);
        Assert.Equal(PrimaryPhase.HandingOver, core.Phase);
        Assert.Contains(core.Actions, a => a.Message is HandOverRecord);
        Assert.False(core.Move(now, 1));
        core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, core.Log.NextLsn - 1, now));
        Assert.Equal("handed over to the backup", Taken(core, ActionKind.Exit).Text);
    }

    [Fact]
    public void Moved_to_another_host_a_primary_dismisses_its_backup_and_goes_back_to_its_list_when_nobody_is_there()
    {
        PrimaryCore core = Armed(new(), out long now);
        Assert.True(core.Move(now, 1));
        Assert.IsType<RefusedMessage>(core.Actions.First(a => a.Kind == ActionKind.Send).Message);
        ArbiterRequest claim = Taken(core, ActionKind.AskArbiter).Request!;
        Assert.Equal(2ul, claim.Wanted!.Epoch);
        core.ArbiterAnswered(now, new(claim.Id, ArbiterVerdict.Done, claim.Wanted));
        core.Tick(now += 1_000);
        Assert.Equal(1ul, Taken(core, ActionKind.Connect).Number);
        core.ConnectFailed(now, link: 2, refused: true);
        Assert.Equal("the guest is not moved: nobody answers there", Taken(core, ActionKind.Report).Text);
        for (; !core.Actions.Exists(a => a.Kind == ActionKind.Connect); now += 1_000) core.Tick(now);
        Assert.Equal(0ul, Taken(core, ActionKind.Connect).Number);
    }

    [Fact]
    public void A_move_whose_backup_is_lost_in_its_last_step_leaves_the_guest_where_it_is()
    {
        PrimaryCore core = Armed(new(), out long now);
        core.Move(now, 0);
        core.Tick(now += 1_000);
        core.Actions.Clear();
        core.Received(now, 1, new LeaveMessage("its disk failed"));
        ArbiterRequest claim = Taken(core, ActionKind.AskArbiter).Request!;
        core.ArbiterAnswered(now, new(claim.Id, ArbiterVerdict.Done, claim.Wanted));
        Assert.Equal(PrimaryPhase.Unprotected, core.Phase);
        Assert.DoesNotContain(core.Actions, a => a.Kind == ActionKind.Exit);
    }

    [Fact]
    public void With_two_backups_an_output_leaves_when_both_have_acknowledged_it_and_both_leases_hold()
    {
        PrimaryCore core = Armed(new(), out long now, replicas: 2);
        Second(core, ref now);
        Assert.Equal(2, core.Quorum);
        core.Produced(new Output(OutputKind.SerialByte, new Position(20, 20), 0, 'x', default));
        core.Ran(now, new Position(20, 20), halted: false);
        core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, 0, now));
        Assert.Equal(1, core.OutputsHeld);
        core.Received(now, 2, new AckMessage(core.Log.NextLsn - 1, 0, 0));
        Assert.Equal(1, core.OutputsHeld);
        core.Received(now, 2, new AckMessage(core.Log.NextLsn - 1, 0, now));
        Assert.Equal(0, core.OutputsHeld);
    }

    [Fact]
    public void A_lost_backup_leaves_the_members_when_the_others_have_all_that_has_left()
    {
        PrimaryCore core = Armed(new(), out long now, replicas: 2);
        Second(core, ref now);
        core.Received(now, 1, new LeaveMessage("its disk failed"));
        ArbiterRequest claim = Taken(core, ActionKind.AskArbiter).Request!;
        Assert.Equal((2ul, 1, 1), (claim.Wanted!.Epoch, claim.Wanted.Members.Count, claim.Wanted.Quorum));
        core.Produced(new Output(OutputKind.SerialByte, new Position(20, 20), 0, 'x', default));
        core.Ran(now, new Position(20, 20), halted: false);
        core.Received(now, 2, new AckMessage(core.Log.NextLsn - 1, 0, now));
        Assert.Equal(1, core.OutputsHeld);
        core.ArbiterAnswered(now, new(claim.Id, ArbiterVerdict.Done, claim.Wanted));
        Assert.Equal((0, 2ul, true), (core.OutputsHeld, core.Epoch, core.IsProtected));
        Assert.Equal(2ul, core.Actions.Select(a => a.Message).OfType<ArmedRecord>().Single().Epoch);
    }

    // The second backup joins, over connection 2.
    private static void Second(PrimaryCore core, ref long now)
    {
        for (; !core.Actions.Exists(a => a.Kind == ActionKind.Connect); now += 1000) core.Tick(now);
        core.ConnectionOpened(now, core.Actions.Single(a => a.Kind == ActionKind.Connect).Link, 2);
        ulong session = core.Actions.Select(a => a.Message).OfType<HelloMessage>().Single().Hello.SessionId;
        core.Received(now, 2, new WelcomeMessage(session, 0, new Guid(4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "host:4"));
        core.SnapshotTaken(now);
        core.CloneStreamed(now, 0);
        core.Received(now, 2, new CloneLoadedMessage(""));
        core.Received(now, 2, new AckMessage(core.Log.NextLsn - 1, core.Log.NextLsn - 1, 0));
        core.Actions.Clear();
        core.Tick(now += 1_000);
        ArbiterRequest update = core.Actions.Single(a => a.Kind == ActionKind.AskArbiter).Request!;
        core.ArbiterAnswered(now, new(update.Id, ArbiterVerdict.Done, update.Wanted));
        for (int connection = 1; connection <= 2; connection++) core.Received(now, connection, new AckMessage(core.Log.NextLsn - 1, core.Log.NextLsn - 1, 0));
        core.Actions.Clear();
    }

    private static PrimaryCore Armed(ProtocolOptions options, out long now, int replicas = 1)
    {
        PrimaryCore core = WithBackup(options, out now, replicas: replicas);
        core.Received(now, 1, new CloneLoadedMessage(""));
        core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, core.Log.NextLsn - 1, now));
        core.Tick(now += 1_000);
        ArbiterRequest update = core.Actions.Single(a => a.Kind == ActionKind.AskArbiter).Request!;
        core.ArbiterAnswered(now, new(update.Id, ArbiterVerdict.Done, update.Wanted));
        core.Received(now, 1, new AckMessage(core.Log.NextLsn - 1, core.Log.NextLsn - 1, now));
        Assert.True(core.IsProtected);
        core.Actions.Clear();
        return core;
    }

    /// <summary>A primary whose backup has received the clone.</summary>
    private static PrimaryCore WithBackup(ProtocolOptions options, out long now, Action<PrimaryCore>? beforeClone = null, int replicas = 1)
    {
        PrimaryCore core = new(options, new() { Self = Self, Machine = new("default", Guid.Empty, 0, "file:x", []), Candidates = replicas, Replicas = replicas }, 1);
        core.ArbiterAnswered(2, new(Taken(core, ActionKind.AskArbiter).Request!.Id, ArbiterVerdict.Done, null));
        ArbiterRequest claim = Taken(core, ActionKind.AskArbiter).Request!;
        core.ArbiterAnswered(3, new(claim.Id, ArbiterVerdict.Done, claim.Wanted));
        for (now = 4; !core.Actions.Exists(a => a.Kind == ActionKind.Connect); now += 1000) core.Tick(now);
        core.Actions.Clear();
        core.ConnectionOpened(now, link: 1, 1);
        var hello = (HelloMessage)Taken(core, ActionKind.Send).Message!;
        core.Received(now, 1, new WelcomeMessage(hello.Hello.SessionId, 0, new Guid(3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), ""));
        beforeClone?.Invoke(core);
        core.Ran(now, default, halted: false);
        core.SnapshotTaken(now);
        core.CloneStreamed(now, 0);
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
