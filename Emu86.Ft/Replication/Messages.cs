// What the two sides say to each other, and what a recording holds. Layouts: MessageCodec; table: docs/ft-protocol.md.
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>The type byte of a frame. Values are never reused. 40 to 59 are log records and carry log sequence numbers.</summary>
public enum MessageType : byte
{
    Hello = 1,
    Welcome = 2,
    Refused = 3,
    CloneBegin = 10,
    CloneState = 11,
    CloneDiskHashes = 12,
    CloneDiskWant = 13,
    CloneDiskBlocks = 14,
    CloneEnd = 15,
    CloneLoaded = 16,
    ClonePages = 17,
    Ack = 20,
    Diverged = 21,
    Leave = 22,
    Heartbeat = 23,
    Input = 40,
    Frontier = 41,
    StateHash = 42,
    Armed = 43,
    Epoch = 44,
    HandOver = 45,
    Ended = 46,
    RecordingHeader = 60,
    RecordingEnd = 61,
    RecordingSnapshot = 62,
    RecordingUnitHashes = 63,
    RecordingEvidence = 64,
    RecordingPageHashes = 65,
}

public abstract class Message(MessageType type)
{
    public MessageType Type { get; } = type;

    public bool IsLogRecord => Type is >= MessageType.Input and <= (MessageType)59;
}

/// <summary>A record of the log. Records of a session are numbered without gaps; the number is the frame's sequence number.</summary>
public abstract class LogRecord(MessageType type) : Message(type)
{
    /// <summary>Log sequence number, from 1, set when the record is appended.</summary>
    public ulong Lsn { get; set; }
}

/// <summary>An input and the position at which it takes effect.</summary>
public sealed class InputRecord(Position position, InputEvent input) : LogRecord(MessageType.Input)
{
    public Position Position { get; } = position;

    public InputEvent Input { get; } = input;
}

/// <summary>The log is complete up to this position: the backup may execute up to it and never past it.</summary>
/// <param name="position">Execution is allowed to this boundary, before the records stamped with it that may still follow.</param>
/// <param name="releasedUpTo">Ordinal of the last output that left the primary: the backup forgets its own copy.</param>
/// <param name="durableUpTo">Ordinal of the last output up to which all disk writes are durable: need not be written again.</param>
/// <param name="sentUs">The primary's clock when it made the record: an acknowledgement echoes it and so grants the lease.</param>
/// <param name="producedUpTo">Ordinal of the last output that the primary has produced: a backup that has more before this position
/// is not executing the same.</param>
public sealed class FrontierRecord(Position position, ulong releasedUpTo, ulong durableUpTo, long sentUs, ulong producedUpTo) : LogRecord(MessageType.Frontier)
{
    public Position Position { get; } = position;

    public ulong ProducedUpTo { get; } = producedUpTo;

    public ulong ReleasedUpTo { get; } = releasedUpTo;

    public ulong DurableUpTo { get; } = durableUpTo;

    public long SentUs { get; } = sentUs;
}

/// <summary>The hash of the whole state at this place in the log, to be compared by whoever executes it.</summary>
/// <param name="position">Where.</param>
/// <param name="hash">Of everything.</param>
/// <param name="units">4 bytes for each unit of the machine, in the board's order, to name what differs; may be empty.</param>
public sealed class StateHashRecord(Position position, UInt128 hash, ReadOnlyMemory<byte> units = default) : LogRecord(MessageType.StateHash)
{
    public Position Position { get; } = position;

    public UInt128 Hash { get; } = hash;

    public ReadOnlyMemory<byte> Units { get; } = units;
}

/// <summary>The members as the arbiter holds them: from its receipt on each of them may go live, by winning the epoch after this one.</summary>
/// <param name="epoch">Under which they are.</param>
/// <param name="quorum">So many of them have acknowledged what leaves.</param>
/// <param name="members">With the session of each: a backup that is in another one is not meant.</param>
public sealed class ArmedRecord(ulong epoch, int quorum, IReadOnlyList<ArbiterMember> members) : LogRecord(MessageType.Armed)
{
    /// <summary>Most members a record may name.</summary>
    public const int MembersMax = 16;

    public ulong Epoch { get; } = epoch;

    public int Quorum { get; } = quorum;

    public IReadOnlyList<ArbiterMember> Members { get; } = members;
}

/// <summary>In a recording: who was live from here on, so that a failover can be found in it.</summary>
public sealed class EpochRecord(Position position, ulong epoch) : LogRecord(MessageType.Epoch)
{
    public Position Position { get; } = position;

    public ulong Epoch { get; } = epoch;
}

/// <summary>The primary releases nothing any more and leaves: the backup goes live without waiting for a timeout.</summary>
/// <param name="position">Where the guest stands.</param>
/// <param name="to">The member that is to go live; the others wait for it.</param>
public sealed class HandOverRecord(Position position, Guid to) : LogRecord(MessageType.HandOver)
{
    public Guid To { get; } = to;

    public Position Position { get; } = position;
}

/// <summary>Why a guest ended. Values are never reused.</summary>
public enum EndReason : byte
{
    PowerOff = 1,
    GuestExit = 2,
    Operator = 3,
}

/// <summary>The guest is over, in good order: the backup ends too and does not go live.</summary>
/// <param name="position">Where it ended.</param>
/// <param name="reason">Decides the backup's own exit code.</param>
/// <param name="exitValue">What the guest wrote to isa-debug-exit.</param>
public sealed class EndedRecord(Position position, EndReason reason, ulong exitValue) : LogRecord(MessageType.Ended)
{
    public Position Position { get; } = position;

    public EndReason Reason { get; } = reason;

    public ulong ExitValue { get; } = exitValue;
}

/// <summary>First message of a connection, from the primary: who it is and what it wants.</summary>
/// <param name="Machine">What must be equal on both sides.</param>
/// <param name="Epoch">Under which the primary is live.</param>
/// <param name="SessionId">Names the log whose sequence numbers follow; a new clone has a new one.</param>
/// <param name="Resume">True: the log goes on where the connection broke. False: a clone will follow.</param>
/// <param name="HeartbeatKey">Authenticates the datagrams of this session (they carry no TLS).</param>
public sealed record Hello(MachineIdentity Machine, ulong Epoch, ulong SessionId, bool Resume, ReadOnlyMemory<byte> HeartbeatKey);

public sealed class HelloMessage(Hello hello) : Message(MessageType.Hello)
{
    public Hello Hello { get; } = hello;
}

/// <summary>The backup's consent: the log goes on after <paramref name="receivedLsn"/> (0: from the beginning).</summary>
/// <param name="backup">Identity of the backup's process: what the arbiter knows it by.</param>
/// <param name="address">Where other backups reach it.</param>
public sealed class WelcomeMessage(ulong sessionId, ulong receivedLsn, Guid backup, string address) : Message(MessageType.Welcome)
{
    public string Address { get; } = address;

    public Guid Backup { get; } = backup;

    public ulong SessionId { get; } = sessionId;

    public ulong ReceivedLsn { get; } = receivedLsn;
}

/// <summary>The other side's no, with the reason as a sentence. Ends the connection.</summary>
public sealed class RefusedMessage(string sentence) : Message(MessageType.Refused)
{
    public string Sentence { get; } = sentence;
}

/// <summary>A clone starts: what the machine is made of.</summary>
/// <param name="configuration">Hash of the machine's configuration.</param>
/// <param name="headerBytes">Length of the state's first part, which holds the configuration with ROMs and direct-boot state; bounded
/// by the receiver against its memory.</param>
/// <param name="diskSectors">Size of each replicated disk in sectors, so that images are created or checked first.</param>
public sealed class CloneBeginMessage(ReadOnlyMemory<byte> configuration, ulong headerBytes, ulong[] diskSectors) : Message(MessageType.CloneBegin)
{
    public ReadOnlyMemory<byte> Configuration { get; } = configuration;

    public ulong HeaderBytes { get; } = headerBytes;

    public ulong[] DiskSectors { get; } = diskSectors;
}

/// <summary>A piece of a snapshot, in order. A clone's has no RAM in it: that travels in <see cref="ClonePagesMessage"/>s.</summary>
public sealed class CloneStateMessage(ulong offset, ReadOnlyMemory<byte> data) : Message(MessageType.CloneState)
{
    public ulong Offset { get; } = offset;

    public ReadOnlyMemory<byte> Data { get; } = data;
}

/// <summary>Pages of RAM. Those that never come are zero; one that comes again replaces what came before.</summary>
/// <param name="pages">Their numbers.</param>
/// <param name="data">Their contents in the same order, 4096 bytes each.</param>
public sealed class ClonePagesMessage(ulong[] pages, ReadOnlyMemory<byte> data) : Message(MessageType.ClonePages)
{
    public ulong[] Pages { get; } = pages;

    public ReadOnlyMemory<byte> Data { get; } = data;
}

/// <summary>Hashes (8 bytes each) of consecutive blocks of a disk, so that only differing blocks are sent.</summary>
public sealed class CloneDiskHashesMessage(int disk, ulong firstBlock, int blockBytes, ReadOnlyMemory<byte> hashes) : Message(MessageType.CloneDiskHashes)
{
    public int Disk { get; } = disk;

    public ulong FirstBlock { get; } = firstBlock;

    public int BlockBytes { get; } = blockBytes;

    public ReadOnlyMemory<byte> Hashes { get; } = hashes;
}

/// <summary>From the backup: the blocks whose hashes differ from its own image.</summary>
public sealed class CloneDiskWantMessage(int disk, ulong[] blocks) : Message(MessageType.CloneDiskWant)
{
    public int Disk { get; } = disk;

    public ulong[] Blocks { get; } = blocks;
}

/// <summary>Content of consecutive blocks of a disk.</summary>
public sealed class CloneDiskBlocksMessage(int disk, ulong firstBlock, ReadOnlyMemory<byte> data) : Message(MessageType.CloneDiskBlocks)
{
    public int Disk { get; } = disk;

    public ulong FirstBlock { get; } = firstBlock;

    public ReadOnlyMemory<byte> Data { get; } = data;
}

/// <summary>The clone is complete; the log follows.</summary>
/// <param name="position">Of the state that was sent.</param>
/// <param name="stateHash">Of that state: the backup computes its own and refuses a difference.</param>
/// <param name="outputOrdinal">Number of gated outputs the guest had produced there: both sides count on from it.</param>
/// <param name="nextLsn">Sequence number of the first log record that applies to the state.</param>
public sealed class CloneEndMessage(Position position, UInt128 stateHash, ulong outputOrdinal, ulong nextLsn) : Message(MessageType.CloneEnd)
{
    public Position Position { get; } = position;

    public UInt128 StateHash { get; } = stateHash;

    public ulong OutputOrdinal { get; } = outputOrdinal;

    public ulong NextLsn { get; } = nextLsn;
}

/// <summary>From the backup: the clone runs here (empty sentence), or why not.</summary>
public sealed class CloneLoadedMessage(string problem) : Message(MessageType.CloneLoaded)
{
    public string Problem { get; } = problem;
}

/// <summary>From the backup: what it has in memory and what it has executed.</summary>
/// <param name="receivedLsn">Last log record received; the output rule waits for this.</param>
/// <param name="executedLsn">Last log record executed; lag and log buffer depend on this.</param>
/// <param name="echoSentUs">The newest of the primary's send times that arrived: the lease is counted from it.</param>
public sealed class AckMessage(ulong receivedLsn, ulong executedLsn, long echoSentUs) : Message(MessageType.Ack)
{
    public ulong ReceivedLsn { get; } = receivedLsn;

    public ulong ExecutedLsn { get; } = executedLsn;

    public long EchoSentUs { get; } = echoSentUs;
}

/// <summary>From the backup: its state differs from the primary's at this record. It will never go live.</summary>
/// <param name="lsn">The record at which it was found.</param>
/// <param name="position">Where it stands.</param>
/// <param name="ownHash">Of the backup's state; 0 when its execution could not even reach the position.</param>
/// <param name="unitHashes">16 bytes for each unit of the machine, in the board's order, to name what differs; may be empty.</param>
public sealed class DivergedMessage(ulong lsn, Position position, UInt128 ownHash, ReadOnlyMemory<byte> unitHashes = default) : Message(MessageType.Diverged)
{
    public ReadOnlyMemory<byte> UnitHashes { get; } = unitHashes;

    public ulong Lsn { get; } = lsn;

    public Position Position { get; } = position;

    public UInt128 OwnHash { get; } = ownHash;
}

/// <summary>From the backup: it leaves in good order (asked to, or its own disk failed).</summary>
public sealed class LeaveMessage(string sentence) : Message(MessageType.Leave)
{
    public string Sentence { get; } = sentence;
}

/// <summary>A sign of life in a datagram of its own, authenticated by the session's key.</summary>
/// <param name="sessionId">Heartbeats of another session are ignored.</param>
/// <param name="sentUs">The primary's clock when sent; from a backup, the newest that it received (grants the lease).</param>
public sealed class HeartbeatMessage(ulong sessionId, bool fromPrimary, long sentUs) : Message(MessageType.Heartbeat)
{
    public ulong SessionId { get; } = sessionId;

    public bool FromPrimary { get; } = fromPrimary;

    public long SentUs { get; } = sentUs;
}

/// <summary>First record of a recording: what is needed to run it again. Configuration and snapshot follow in state chunks:
/// with a kernel in it, a configuration can be longer than a frame.</summary>
/// <param name="machine">Refuses another configuration or disk image.</param>
/// <param name="configurationBytes">Length of the machine's configuration, which follows.</param>
/// <param name="start">Position of the snapshot that follows the configuration.</param>
/// <param name="stateBytes">Its length; 0 when the recording starts at power-on.</param>
public sealed class RecordingHeaderMessage(MachineIdentity machine, ulong configurationBytes, Position start, ulong stateBytes) : Message(MessageType.RecordingHeader)
{
    public MachineIdentity Machine { get; } = machine;

    public ulong ConfigurationBytes { get; } = configurationBytes;

    public Position Start { get; } = start;

    public ulong StateBytes { get; } = stateBytes;
}

/// <summary>In the middle of a recording: a snapshot, so that a replay can begin there. State chunks and then disk blocks
/// follow (unit: 512 bytes): the sectors written since the snapshot before this one.</summary>
/// <param name="position">Of the state, at this place in the log.</param>
/// <param name="stateHash">Of that state: a replay that begins or passes here compares.</param>
/// <param name="stateBytes">Length of the state.</param>
/// <param name="diskBytes">Length of all disk blocks together.</param>
public sealed class RecordingSnapshotMessage(Position position, UInt128 stateHash, ulong stateBytes, ulong diskBytes) : Message(MessageType.RecordingSnapshot)
{
    public Position Position { get; } = position;

    public UInt128 StateHash { get; } = stateHash;

    public ulong StateBytes { get; } = stateBytes;

    public ulong DiskBytes { get; } = diskBytes;
}

/// <summary>In a recording, after each state hash: the hash of every unit (16 bytes each, board order), to name what differs.</summary>
public sealed class RecordingUnitHashesMessage(ReadOnlyMemory<byte> hashes) : Message(MessageType.RecordingUnitHashes)
{
    public ReadOnlyMemory<byte> Hashes { get; } = hashes;
}

/// <summary>First in a recording that is evidence of a divergence, before the snapshot of the last position at which the sides agreed.</summary>
/// <param name="side">Who wrote it: "backup" or "primary".</param>
/// <param name="epoch">Under which the log was written.</param>
/// <param name="lastEqual">Where both sides were known to be equal.</param>
/// <param name="differs">Where they were found to differ, or where this side's execution went another way.</param>
/// <param name="what">A sentence: which units or pages differ, as far as this side knows.</param>
/// <param name="ownHash">Of this side's state at <paramref name="differs"/>.</param>
/// <param name="problem">Why the evidence cannot be replayed; empty when it can.</param>
public sealed class RecordingEvidenceMessage(string side, ulong epoch, Position lastEqual, Position differs, string what, UInt128 ownHash, string problem) : Message(MessageType.RecordingEvidence)
{
    public string Side { get; } = side;

    public ulong Epoch { get; } = epoch;

    public Position LastEqual { get; } = lastEqual;

    public Position Differs { get; } = differs;

    public string What { get; } = what;

    public UInt128 OwnHash { get; } = ownHash;

    public string Problem { get; } = problem;
}

/// <summary>In evidence: hashes (8 bytes each) of consecutive RAM pages of the side that wrote it, where the states differed.</summary>
public sealed class RecordingPageHashesMessage(ulong firstPage, ReadOnlyMemory<byte> hashes) : Message(MessageType.RecordingPageHashes)
{
    public ulong FirstPage { get; } = firstPage;

    public ReadOnlyMemory<byte> Hashes { get; } = hashes;
}

/// <summary>Last record of a recording. A file without it was cut off, and says so.</summary>
public sealed class RecordingEndMessage(Position position, ulong records) : Message(MessageType.RecordingEnd)
{
    public Position Position { get; } = position;

    /// <summary>Number of log records in the file.</summary>
    public ulong Records { get; } = records;
}
