// What each side may do, and must not do, when the other one or the arbiter is lost: transcripts.
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class ScenarioLossTests
{
    [Fact]
    public void A_backup_whose_process_is_gone_is_lost_at_once_and_what_waits_leaves_after_the_next_epoch_is_won()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.AcknowledgementsAreLost = true;
        s.Input(7);
        s.Run(8);
        s.ArbiterIsUp = false;
        s.CrashBackup();
        s.Wait(50);
        s.Note("the arbiter is back");
        s.ArbiterIsUp = true;
        s.Wait(100);
        Assert.StartsWith("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            primary Send [6] Frontier 16 released 0
            backup  Send Ack received 6 executed 4
            backup  Inject RateChange at 8
            backup  RunTo 16
            -- the backup crashes
            primary Connect candidate 0
            primary Report backup lost (its process is gone); asking the arbiter for epoch 2
            primary AskArbiter Claim from epoch 1
            -- the arbiter is back
            primary AskArbiter Claim from epoch 1
            primary Live 2
            primary Report backup lost, unprotected
            primary Release Frame #1

            """, s.Transcript);
    }

    [Fact]
    public void A_backup_that_is_not_armed_asks_nobody_and_gives_its_guest_up()
    {
        ProtocolScenario s = new();
        s.ArbiterIsUp = true;
        s.Wait(5);
        s.ArbiterIsUp = false;
        s.Run(8);
        s.Wait(50);
        Assert.Equal(PrimaryPhase.Arming, s.Primary.Phase);
        Assert.Equal(BackupPhase.Replaying, s.Backup.Phase);
        s.ArbiterIsUp = true;
        s.Crash();
        s.Wait(3000);
        Assert.DoesNotContain("backup  AskArbiter", s.Transcript);
        Assert.Equal(BackupPhase.Idle, s.Backup.Phase);
        Assert.Equal(1ul, s.ArbiterValue!.Epoch);
    }

    [Fact]
    public void While_the_arbiter_does_not_know_the_backup_outputs_already_wait_for_its_acknowledgement()
    {
        ProtocolScenario s = new();
        s.Wait(5);
        s.ArbiterIsUp = false;
        s.Run(8);
        s.Wait(10);
        Assert.Equal(PrimaryPhase.Arming, s.Primary.Phase);
        s.AcknowledgementsAreLost = true;
        s.Input(7);
        s.Run(8);
        Assert.Equal(1, s.Primary.OutputsHeld);
        Assert.DoesNotContain("Armed epoch", s.Transcript);
    }

    [Fact]
    public void A_claim_whose_answer_was_lost_is_asked_again_and_was_won()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.ArbiterAnswersAreLost = true;
        s.Crash();
        s.Wait(260);
        Assert.Equal(2ul, s.ArbiterValue!.Epoch);
        Assert.Equal(BackupPhase.Claiming, s.Backup.Phase);
        s.ArbiterAnswersAreLost = false;
        s.Wait(200);
        Assert.Equal("""
            -- the primary crashes
            backup  Report going live: no sign of life from the primary
            backup  AskArbiter Claim from epoch 1
            backup  AskArbiter Claim from epoch 1
            backup  Report won epoch 2
            backup  TakeOverWorld
            backup  CloseListener
            backup  BecomePrimary 2

            """, s.Transcript);
        Assert.Equal(2ul, s.ArbiterValue!.Epoch);
    }

    [Fact]
    public void Records_behind_the_last_frontier_are_forgotten_at_go_live()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.Input(7);
        s.Crash();
        s.Wait(260);
        Assert.Equal("""
            primary Send [5] Input RateChange at 8
            primary Inject RateChange at 8
            -- the primary crashes
            backup  Report going live: no sign of life from the primary
            backup  AskArbiter Claim from epoch 1
            backup  Report won epoch 2
            backup  TakeOverWorld
            backup  CloseListener
            backup  BecomePrimary 2

            """, s.Transcript);
        Assert.Equal(4ul, s.Backup.ReceivedLsn);
        Assert.Equal(8ul, s.Backup.TakeOver.Position.Count);
    }

    [Fact]
    public void A_primary_that_was_frozen_reads_the_arbiter_before_anything_leaves()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.Freeze(150);
        s.ArbiterIsUp = false;
        s.Input(7);
        s.Run(8);
        s.Wait(20);
        Assert.Equal(1, s.Primary.OutputsHeld);
        s.Note("the arbiter is back");
        s.ArbiterIsUp = true;
        s.Wait(120);
        Assert.Contains("""
            -- the arbiter is back
            primary AskArbiter Read from epoch 1
            primary Release Frame #1
            """, s.Transcript);
    }

    [Fact]
    public void Handing_over_to_a_backup_that_dies_meanwhile_ends_the_guest_as_without_one()
    {
        ProtocolScenario s = new ProtocolScenario().Protected();
        s.AcknowledgementsAreLost = true;
        s.CrashBackup();
        s.StopPrimary();
        s.Wait(50);
        Assert.EndsWith("""
            primary Exit 0: stopped

            """, s.Transcript);
        Assert.Equal(GuestState.Off, s.ArbiterValue!.State);
    }
}
