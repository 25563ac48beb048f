// The protocol's main cases as transcripts: what each side does, line by line.
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class ScenarioTests
{
    [Fact]
    public void Arming_gates_first_then_asks_the_arbiter_then_tells_the_backup()
    {
        ProtocolScenario s = new();
        s.Wait(5);
        s.Run(8);
        s.Wait(5);
        Assert.Equal("""
            primary AskArbiter Read from epoch 0
            primary AskArbiter Start from epoch 0
            primary Live 1
            primary Connect candidate 0
            primary Send Hello session 7 epoch 1 clone
            backup  Send Welcome session 7 received 0
            primary BeginClone
            primary Send CloneEnd at 0 next 1
            primary Send [1] Frontier 0 released 0
            backup  LoadClone
            backup  Send Ack received 1 executed 0
            backup  Send CloneLoaded
            primary Send [2] Frontier 8 released 0
            backup  Send Ack received 2 executed 1
            backup  RunTo 8
            primary AskArbiter Update from epoch 1
            backup  Send Ack received 2 executed 2
            primary Send [3] Frontier 8 released 0
            primary Send [4] Armed epoch 1
            backup  Send Ack received 3 executed 2
            backup  Report armed under epoch 1
            backup  Send Ack received 4 executed 3

            """, s.Transcript);
    }

    [Fact]
    public void An_output_leaves_when_the_frontier_after_it_is_acknowledged()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.Input(7);
        s.Run(8);
        s.Wait(5);
        Assert.Equal("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            primary Send [6] Frontier 16 released 0
            backup  Send Ack received 6 executed 4
            backup  Inject RateChange at 8
            backup  RunTo 16
            primary Release Frame #1
            backup  Send Ack received 6 executed 6

            """, s.Transcript);
    }

    [Fact]
    public void An_output_that_was_acknowledged_but_not_sent_is_sent_by_the_backup()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.AcknowledgementsAreLost = true;
        s.Input(7);
        s.Run(8);
        s.Crash();
        s.Wait(260);
        Assert.Equal("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            primary Send [6] Frontier 16 released 0
            backup  Send Ack received 6 executed 4
            backup  Inject RateChange at 8
            backup  RunTo 16
            -- the primary crashes
            backup  Report going live: no sign of life from the primary
            backup  AskArbiter Claim from epoch 1
            backup  Report won epoch 2
            backup  TakeOverWorld
            backup  Release Frame #1
            backup  CloseListener
            backup  BecomePrimary 2

            """, s.Transcript);
    }

    [Fact]
    public void What_was_never_acknowledged_never_happened()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.LinkIsUp = false;
        s.Input(7);
        s.Run(8);
        s.Crash();
        s.Wait(260);
        Assert.Equal("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            primary Send [6] Frontier 16 released 0
            -- the primary crashes
            backup  Report going live: no sign of life from the primary
            backup  AskArbiter Claim from epoch 1
            backup  Report won epoch 2
            backup  TakeOverWorld
            backup  CloseListener
            backup  BecomePrimary 2

            """, s.Transcript);
    }

    [Fact]
    public void Cut_apart_and_without_an_arbiter_both_wait_and_then_one_wins()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.LinkIsUp = false;
        s.Input(7);
        s.Run(8);
        s.ArbiterIsUp = false;
        s.Wait(300);
        s.Note("the arbiter is back");
        s.ArbiterIsUp = true;
        s.Wait(200);
        Assert.Equal("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            primary Send [6] Frontier 16 released 0
            primary SetSpeed 765
            primary SetSpeed 141
            primary SetSpeed 20
            primary Disconnect
            primary SetSpeed 1000
            primary Report backup lost (no sign of life); asking the arbiter for epoch 2
            primary AskArbiter Claim from epoch 1
            backup  Report going live: no sign of life from the primary
            backup  AskArbiter Claim from epoch 1
            primary AskArbiter Claim from epoch 1
            -- the arbiter is back
            backup  AskArbiter Claim from epoch 1
            backup  Report won epoch 2
            backup  TakeOverWorld
            backup  CloseListener
            backup  BecomePrimary 2
            primary AskArbiter Claim from epoch 1
            primary Exit 3: halted, epoch 2 belongs to another

            """, s.Transcript);
    }

    [Fact]
    public void A_broken_connection_goes_on_where_it_broke()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.LinkIsUp = false;
        s.Input(7);
        s.Run(8);
        s.Break();
        s.LinkIsUp = true;
        s.Wait(60);
        Assert.Equal("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            primary Send [6] Frontier 16 released 0
            -- the connection breaks
            primary Connect candidate 0
            primary Send Hello session 7 epoch 1 resume
            backup  Send Welcome session 7 received 4
            primary Send [5] Input RateChange at 8
            primary Send [6] Frontier 16 released 0
            backup  Send Ack received 6 executed 4
            backup  Inject RateChange at 8
            backup  RunTo 16
            primary Release Frame #1
            backup  Send Ack received 6 executed 6
            primary Send [7] Frontier 16 released 1
            backup  Send Ack received 7 executed 6
            backup  Send Ack received 7 executed 7

            """, s.Transcript);
    }

    [Fact]
    public void A_stalled_stream_slows_the_guest_and_when_it_flows_again_full_speed_is_soon_back()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.StreamStalls = true;
        for (int i = 0; i < 30; i++) RunAndWait(s);
        Assert.Equal(PrimaryPhase.Armed, s.Primary.Phase);
        Assert.InRange(s.Primary.Lag.Speed, LagController.SpeedMin, 100);
        s.StreamStalls = false;
        for (int i = 0; i < 50; i++)
        {
            // Acknowledged after 3 ms or after 8: a lag that comes and goes, far below the limit of 100.
            s.StreamStalls = i % 2 == 0;
            RunAndWait(s);
            s.StreamStalls = false;
        }
        Assert.Equal(LagController.FullSpeed, s.Primary.Lag.Speed);
        Assert.Equal(0, s.Primary.OutputsHeld);

        static void RunAndWait(ProtocolScenario s)
        {
            s.Input(7);
            s.Run(8);
            s.Wait(5);
        }
    }

    [Fact]
    public void A_damaged_backup_is_found_out_and_cloned_anew()
    {
        ProtocolScenario s = new ProtocolScenario(hashEveryNs: 100).Protected();
        s.DamageBackup();
        s.Run(16);
        s.Run(8);
        s.Wait(10);
        Assert.Equal("""
            primary TakeStateHash
            primary Send [5] Frontier 24 released 0
            primary Send [6] StateHash at 24
            backup  Send Ack received 5 executed 4
            backup  RunTo 24
            primary Release Frame #1
            primary Send [7] Frontier 32 released 1
            backup  Send Ack received 7 executed 5
            backup  TakeStateHash
            backup  WriteEvidence 6
            backup  Send Diverged at record 6
            backup  Report this copy of the guest is given up
            backup  Disconnect
            backup  DiscardGuest
            primary Disconnect
            primary Report backup lost (diverged at count 24); asking the arbiter for epoch 2
            primary AskArbiter Claim from epoch 1
            primary Live 2
            primary Report backup lost, unprotected
            primary Connect candidate 0
            primary Send Hello session 8 epoch 2 clone
            backup  Send Welcome session 8 received 0
            primary BeginClone
            primary Send CloneEnd at 32 next 1
            primary Send [1] Frontier 32 released 1
            backup  LoadClone
            backup  Send Ack received 1 executed 0
            backup  Send CloneLoaded
            backup  Send Ack received 1 executed 1

            """, s.Transcript);
    }

    [Fact]
    public void A_backup_that_cannot_reach_a_position_of_the_log_says_that_it_diverged()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.Backup.CannotFollow(long.MaxValue / 2);
        Assert.Contains(s.Backup.Actions, a => a.Kind == ActionKind.WriteEvidence);
        Assert.Contains(s.Backup.Actions, a => a.Message is DivergedMessage);
        Assert.Contains(s.Backup.Actions, a => a.Kind == ActionKind.DiscardGuest);
        Assert.Equal(BackupPhase.Idle, s.Backup.Phase);
    }

    [Fact]
    public void Powering_off_a_protected_guest_ends_the_backup_without_going_live()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.Primary.PowerOff(s.NowUs);
        s.Wait(20);
        Assert.Equal(PrimaryPhase.Ended, s.Primary.Phase);
        Assert.Equal(BackupPhase.Done, s.Backup.Phase);
        Assert.Equal(GuestState.Off, s.ArbiterValue!.State);
    }

    [Fact]
    public void Handing_over_loses_nothing_and_waits_for_no_timeout()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.Input(1);
        s.Run(8);
        s.StopPrimary();
        Assert.Equal("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            primary Send [6] Frontier 16 released 0
            backup  Send Ack received 6 executed 4
            backup  Inject RateChange at 8
            backup  RunTo 16
            primary Release Frame #1
            primary Send [7] Frontier 16 released 1
            primary Send [8] HandOver
            primary PauseGuest
            backup  Send Ack received 7 executed 6
            backup  Send Ack received 8 executed 7
            backup  Report going live: the primary hands over
            backup  Disconnect
            backup  AskArbiter Claim from epoch 1
            primary Disconnect
            primary Exit 0: handed over to the backup
            backup  Report won epoch 2
            backup  TakeOverWorld
            backup  CloseListener
            backup  BecomePrimary 2

            """, s.Transcript);
    }

    [Fact]
    public void A_backup_that_is_dismissed_is_a_candidate_again_and_claims_nothing()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.Dismiss();
        Assert.Equal("""
            backup  Report the guest moves to another host
            backup  Disconnect
            backup  DiscardGuest

            """, s.Transcript);
        Assert.Equal(BackupPhase.Idle, s.Backup.Phase);
        s.Backup.Tick(s.NowUs + 60_000_000);
        Assert.Empty(s.Backup.Actions);
    }

    [Fact]
    public void Powering_off_ends_the_backup_too_and_leaves_the_arbiter_off()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.PowerOff();
        Assert.Equal("""
            -- the guest powers off
            primary Send [5] Frontier 8 released 0
            backup  Send Ack received 5 executed 4
            primary Release PowerOff #1
            primary Send [6] Frontier 8 released 1
            primary Send [7] Ended
            primary AskArbiter Update from epoch 1
            primary PauseGuest
            backup  Send Ack received 6 executed 5
            backup  Send Ack received 7 executed 6
            backup  Disconnect
            backup  Exit 0: the guest was ended on the primary
            primary Disconnect
            primary Exit 0: the guest powered off

            """, s.Transcript);
        Assert.Equal(GuestState.Off, s.ArbiterValue!.State);
    }
}
