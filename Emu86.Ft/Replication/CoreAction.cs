// What the cores ask of their driver. They are carried out in order; none of them may call back into the core meanwhile.
using Emu86.Devices;

namespace Emu86.Ft.Replication;

public enum ActionKind : byte
{
    /// <summary>Open a connection to candidate Number for Link; answer with ConnectionOpened or ConnectFailed.</summary>
    Connect,

    /// <summary>Close Connection; no ConnectionClosed is expected for it.</summary>
    Disconnect,

    /// <summary>Send Message on Connection, in order, without waiting.</summary>
    Send,

    /// <summary>Send Message (a heartbeat) as a datagram to the other side of the session; on a primary that of Link.</summary>
    SendHeartbeat,

    /// <summary>Pass Request to the arbiter; answer with ArbiterAnswered, Unavailable at the latest after the retry time.</summary>
    AskArbiter,

    /// <summary>Ask the owner at Text (its address) whether it lives; answer with OwnerProbed.</summary>
    ProbeOwner,

    /// <summary>The epoch in Number is won: the guest may run and talk to the world.</summary>
    Live,

    /// <summary>Run no further slice until ResumeGuest: a buffer is full.</summary>
    PauseGuest,

    ResumeGuest,

    /// <summary>Run at Number permille of full speed: the backup lags.</summary>
    SetSpeed,

    /// <summary>Hand Input to the machine now; on a backup it stands at the position Position that was asked for.</summary>
    Inject,

    /// <summary>Compute the state hash at the current boundary; answer with StateHash.</summary>
    TakeStateHash,

    /// <summary>Begin to clone the machine to Connection; answer with SnapshotTaken, then CloneStreamed (or nothing when it closes).</summary>
    BeginClone,

    /// <summary>Drop the clone that was begun.</summary>
    AbortClone,

    /// <summary>Let Output (ordinal Number) out into the world now. On a new primary it may be a repetition.</summary>
    Release,

    /// <summary>Backup: build the machine from what was received; Message is the CloneEnd. Answer with CloneLoaded.</summary>
    LoadClone,

    /// <summary>Backup: give up the machine and everything received.</summary>
    DiscardGuest,

    /// <summary>Backup: execute to Position; answer with Executed.</summary>
    RunTo,

    /// <summary>Backup: the state differs at log record Number; write the evidence.</summary>
    WriteEvidence,

    /// <summary>New primary: take over disks for writing and the card's identity on the network.</summary>
    TakeOverWorld,

    /// <summary>New primary: accept no more connections as a backup.</summary>
    CloseListener,

    /// <summary>New primary: make a PrimaryCore from TakeOver() and go on with it; Number is the epoch.</summary>
    BecomePrimary,

    /// <summary>Say Text to the operator: one event, one line.</summary>
    Report,

    /// <summary>End the process with exit code Number; Text says why. Nothing may leave the host any more.</summary>
    Exit,
}

/// <summary>One action; which fields count is said at its kind.</summary>
public readonly record struct CoreAction(ActionKind Kind)
{
    /// <summary>A number that the driver gave, from 1, never used again.</summary>
    public int Connection { get; init; }

    /// <summary>One of a primary's sessions.</summary>
    public int Link { get; init; }

    public ulong Number { get; init; }

    public Message? Message { get; init; }

    public Output? Output { get; init; }

    public InputEvent? Input { get; init; }

    public ArbiterRequest? Request { get; init; }

    public string? Text { get; init; }

    public Position Position { get; init; }

    public override string ToString()
    {
        string what = Kind switch
        {
            ActionKind.Send or ActionKind.SendHeartbeat => $" {Describe(Message!)}",
            ActionKind.Connect => $" candidate {Number}",
            ActionKind.AskArbiter => $" {Request!.Kind} from epoch {Request.ExpectedEpoch}",
            ActionKind.Release => $" {Output!.Kind} #{Number}",
            ActionKind.RunTo => $" {Position.Count}",
            ActionKind.Inject => $" {Input!.Kind} at {Position.Count}",
            ActionKind.Live or ActionKind.SetSpeed or ActionKind.BecomePrimary or ActionKind.WriteEvidence => $" {Number}",
            ActionKind.Exit => $" {Number}: {Text}",
            ActionKind.Report or ActionKind.ProbeOwner => $" {Text}",
            _ => "",
        };
        return Kind + what;
    }

    /// <summary>A message in a line, for transcripts and traces.</summary>
    public static string Describe(Message message) => message switch
    {
        HelloMessage { Hello: var m } => $"Hello session {m.SessionId} epoch {m.Epoch} {(m.Resume ? "resume" : "clone")}",
        WelcomeMessage m => $"Welcome session {m.SessionId} received {m.ReceivedLsn}",
        RefusedMessage m => $"Refused: {m.Sentence}",
        AckMessage m => $"Ack received {m.ReceivedLsn} executed {m.ExecutedLsn}",
        FrontierRecord m => $"[{m.Lsn}] Frontier {m.Position.Count} released {m.ReleasedUpTo}",
        InputRecord m => $"[{m.Lsn}] Input {m.Input.Kind} at {m.Position.Count}",
        StateHashRecord m => $"[{m.Lsn}] StateHash at {m.Position.Count}",
        ArmedRecord m => $"[{m.Lsn}] Armed epoch {m.Epoch}",
        LogRecord m => $"[{m.Lsn}] {m.Type}",
        CloneLoadedMessage m => m.Problem.Length == 0 ? "CloneLoaded" : $"CloneLoaded: {m.Problem}",
        CloneEndMessage m => $"CloneEnd at {m.Position.Count} next {m.NextLsn}",
        DivergedMessage m => $"Diverged at record {m.Lsn}",
        _ => message.Type.ToString(),
    };
}
