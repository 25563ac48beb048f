// Payload layouts of all messages: MessagePack arrays that begin with a layout version, then the fields in order.
using System.Buffers;
using System.Buffers.Binary;
using Emu86.Devices;
using MessagePack;

namespace Emu86.Ft.Replication;

/// <summary>Bytes of the other side (or of a file) that cannot be what they should be. The message is the sentence for people.</summary>
public sealed class ProtocolException(string message) : Exception(message);

/// <summary>Turns messages into payloads and back.</summary>
public static class MessageCodec
{
    /// <summary>Raised for a message when its layout changes; a reader knows only the last one.</summary>
    private static int LayoutOf(MessageType type) => type is MessageType.Welcome or MessageType.Armed or MessageType.HandOver ? 2 : 1;

    private const int NameCharsMax = 4096;

    public static void Write(IBufferWriter<byte> output, Message message)
    {
        MessagePackWriter w = new(output);
        switch (message)
        {
            case HelloMessage { Hello: var m }:
                Begin(ref w, 9);
                Identity(ref w, m.Machine);
                w.Write(m.Epoch);
                w.Write(m.SessionId);
                w.Write(m.Resume);
                w.Write(m.HeartbeatKey.Span);
                break;
            case WelcomeMessage m: Begin(ref w, 4, LayoutOf(m.Type)); w.Write(m.SessionId); w.Write(m.ReceivedLsn); w.Write(m.Backup.ToByteArray()); w.Write(m.Address); break;
            case RefusedMessage m: Begin(ref w, 1); w.Write(m.Sentence); break;
            case CloneBeginMessage m: Begin(ref w, 3); w.Write(m.Configuration.Span); w.Write(m.HeaderBytes); Numbers(ref w, m.DiskSectors); break;
            case CloneStateMessage m: Begin(ref w, 2); w.Write(m.Offset); w.Write(m.Data.Span); break;
            case ClonePagesMessage m: Begin(ref w, 2); Numbers(ref w, m.Pages); w.Write(m.Data.Span); break;
            case CloneDiskHashesMessage m: Begin(ref w, 4); w.Write(m.Disk); w.Write(m.FirstBlock); w.Write(m.BlockBytes); w.Write(m.Hashes.Span); break;
            case CloneDiskWantMessage m: Begin(ref w, 2); w.Write(m.Disk); Numbers(ref w, m.Blocks); break;
            case CloneDiskBlocksMessage m: Begin(ref w, 3); w.Write(m.Disk); w.Write(m.FirstBlock); w.Write(m.Data.Span); break;
            case CloneEndMessage m: Begin(ref w, 5); At(ref w, m.Position); Hash(ref w, m.StateHash); w.Write(m.OutputOrdinal); w.Write(m.NextLsn); break;
            case CloneLoadedMessage m: Begin(ref w, 1); w.Write(m.Problem); break;
            case AckMessage m: Begin(ref w, 3); w.Write(m.ReceivedLsn); w.Write(m.ExecutedLsn); w.Write(m.EchoSentUs); break;
            case DivergedMessage m: Begin(ref w, 5); w.Write(m.Lsn); At(ref w, m.Position); Hash(ref w, m.OwnHash); w.Write(m.UnitHashes.Span); break;
            case LeaveMessage m: Begin(ref w, 1); w.Write(m.Sentence); break;
            case HeartbeatMessage m: Begin(ref w, 3); w.Write(m.SessionId); w.Write(m.FromPrimary); w.Write(m.SentUs); break;
            case InputRecord m:
                Begin(ref w, 7);
                At(ref w, m.Position);
                w.Write((byte)m.Input.Kind);
                w.Write(m.Input.Unit);
                w.Write(m.Input.Value0);
                w.Write(m.Input.Value1);
                w.Write(m.Input.Data.Span);
                break;
            case FrontierRecord m: Begin(ref w, 6); At(ref w, m.Position); w.Write(m.ReleasedUpTo); w.Write(m.DurableUpTo); w.Write(m.SentUs); w.Write(m.ProducedUpTo); break;
            case StateHashRecord m: Begin(ref w, 4); At(ref w, m.Position); Hash(ref w, m.Hash); w.Write(m.Units.Span); break;
            case ArmedRecord m:
                Begin(ref w, 3, LayoutOf(m.Type));
                w.Write(m.Epoch);
                w.Write(m.Quorum);
                w.WriteArrayHeader(3 * m.Members.Count);
                foreach (ArbiterMember member in m.Members)
                {
                    w.Write(member.Id.ToByteArray());
                    w.Write(member.Address);
                    w.Write(member.Session);
                }
                break;
            case EpochRecord m: Begin(ref w, 3); At(ref w, m.Position); w.Write(m.Epoch); break;
            case HandOverRecord m: Begin(ref w, 3, LayoutOf(m.Type)); At(ref w, m.Position); w.Write(m.To.ToByteArray()); break;
            case EndedRecord m: Begin(ref w, 4); At(ref w, m.Position); w.Write((byte)m.Reason); w.Write(m.ExitValue); break;
            case RecordingHeaderMessage m: Begin(ref w, 9); Identity(ref w, m.Machine); w.Write(m.ConfigurationBytes); At(ref w, m.Start); w.Write(m.StateBytes); break;
            case RecordingEndMessage m: Begin(ref w, 3); At(ref w, m.Position); w.Write(m.Records); break;
            case RecordingSnapshotMessage m: Begin(ref w, 5); At(ref w, m.Position); Hash(ref w, m.StateHash); w.Write(m.StateBytes); w.Write(m.DiskBytes); break;
            case RecordingUnitHashesMessage m: Begin(ref w, 1); w.Write(m.Hashes.Span); break;
            case RecordingEvidenceMessage m:
                Begin(ref w, 9);
                w.Write(m.Side);
                w.Write(m.Epoch);
                At(ref w, m.LastEqual);
                At(ref w, m.Differs);
                w.Write(m.What);
                Hash(ref w, m.OwnHash);
                w.Write(m.Problem);
                break;
            case RecordingPageHashesMessage m: Begin(ref w, 2); w.Write(m.FirstPage); w.Write(m.Hashes.Span); break;
            default: throw new ArgumentOutOfRangeException(nameof(message), message.Type, "a message without a layout");
        }
        w.Flush();
    }

    /// <summary>Reads a whole payload. Byte fields refer to <paramref name="payload"/>, which must stay as it is.</summary>
    /// <exception cref="ProtocolException">Unknown type or layout, wrong field, missing or surplus bytes.</exception>
    public static Message Read(MessageType type, ReadOnlyMemory<byte> payload, ulong sequence)
    {
        try
        {
            MessagePackReader r = new(payload);
            Message message = ReadFields(type, ref r);
            if (!r.End) throw new ProtocolException($"a {type} message has bytes after its last field");
            if (message is LogRecord record) record.Lsn = sequence;
            return message;
        }
        catch (Exception e) when (IsUnreadable(e))
        {
            throw new ProtocolException($"a {type} message cannot be read: {e.Message}");
        }
    }

    /// <summary>Whether this is how the library says that bytes are not what they should be.</summary>
    /// <remarks>ArgumentOutOfRange: its answer to a length of 2 GiB or more, which is a negative one to it.</remarks>
    internal static bool IsUnreadable(Exception e) =>
        e is MessagePackSerializationException or EndOfStreamException or OverflowException or InvalidOperationException or ArgumentOutOfRangeException;

    // Evaluation from left to right is the field order: C# evaluates arguments so.
    internal static Message ReadFields(MessageType type, ref MessagePackReader r) => type switch
    {
        MessageType.Hello => new HelloMessage(new(Identity(ref r, type, 9), r.ReadUInt64(), r.ReadUInt64(), r.ReadBoolean(), Bytes(ref r))),
        MessageType.Welcome => new WelcomeMessage(First(ref r, type, 4).ReadUInt64(), r.ReadUInt64(), Id(ref r), Text(ref r)),
        MessageType.Refused => new RefusedMessage(Text(ref First(ref r, type, 1))),
        MessageType.CloneBegin => new CloneBeginMessage(Bytes(ref First(ref r, type, 3)), r.ReadUInt64(), Numbers(ref r)),
        MessageType.CloneState => new CloneStateMessage(First(ref r, type, 2).ReadUInt64(), Bytes(ref r)),
        MessageType.ClonePages => new ClonePagesMessage(Numbers(ref First(ref r, type, 2)), Bytes(ref r)),
        MessageType.CloneDiskHashes => new CloneDiskHashesMessage(First(ref r, type, 4).ReadInt32(), r.ReadUInt64(), r.ReadInt32(), Bytes(ref r)),
        MessageType.CloneDiskWant => new CloneDiskWantMessage(First(ref r, type, 2).ReadInt32(), Numbers(ref r)),
        MessageType.CloneDiskBlocks => new CloneDiskBlocksMessage(First(ref r, type, 3).ReadInt32(), r.ReadUInt64(), Bytes(ref r)),
        MessageType.CloneEnd => new CloneEndMessage(At(ref First(ref r, type, 5)), Hash(ref r), r.ReadUInt64(), r.ReadUInt64()),
        MessageType.CloneLoaded => new CloneLoadedMessage(Text(ref First(ref r, type, 1))),
        MessageType.Ack => new AckMessage(First(ref r, type, 3).ReadUInt64(), r.ReadUInt64(), r.ReadInt64()),
        MessageType.Diverged => new DivergedMessage(First(ref r, type, 5).ReadUInt64(), At(ref r), Hash(ref r), Bytes(ref r)),
        MessageType.Leave => new LeaveMessage(Text(ref First(ref r, type, 1))),
        MessageType.Heartbeat => new HeartbeatMessage(First(ref r, type, 3).ReadUInt64(), r.ReadBoolean(), r.ReadInt64()),
        MessageType.Input => new InputRecord(At(ref First(ref r, type, 7)), Input(ref r)),
        MessageType.Frontier => new FrontierRecord(At(ref First(ref r, type, 6)), r.ReadUInt64(), r.ReadUInt64(), r.ReadInt64(), r.ReadUInt64()),
        MessageType.StateHash => new StateHashRecord(At(ref First(ref r, type, 4)), Hash(ref r), Bytes(ref r)),
        MessageType.Armed => Armed(ref First(ref r, type, 3)),
        MessageType.Epoch => new EpochRecord(At(ref First(ref r, type, 3)), r.ReadUInt64()),
        MessageType.HandOver => new HandOverRecord(At(ref First(ref r, type, 3)), Id(ref r)),
        MessageType.Ended => new EndedRecord(At(ref First(ref r, type, 4)), (EndReason)r.ReadByte(), r.ReadUInt64()),
        MessageType.RecordingHeader => new RecordingHeaderMessage(Identity(ref r, type, 9), r.ReadUInt64(), At(ref r), r.ReadUInt64()),
        MessageType.RecordingEnd => new RecordingEndMessage(At(ref First(ref r, type, 3)), r.ReadUInt64()),
        MessageType.RecordingSnapshot => new RecordingSnapshotMessage(At(ref First(ref r, type, 5)), Hash(ref r), r.ReadUInt64(), r.ReadUInt64()),
        MessageType.RecordingUnitHashes => new RecordingUnitHashesMessage(Bytes(ref First(ref r, type, 1))),
        MessageType.RecordingEvidence => new RecordingEvidenceMessage(Text(ref First(ref r, type, 9)), r.ReadUInt64(), At(ref r), At(ref r), Text(ref r), Hash(ref r), Text(ref r)),
        MessageType.RecordingPageHashes => new RecordingPageHashesMessage(First(ref r, type, 2).ReadUInt64(), Bytes(ref r)),
        _ => throw new ProtocolException($"a message of the unknown type {(byte)type}"),
    };

    private static void Begin(ref MessagePackWriter w, int fields, int layout = 1)
    {
        w.WriteArrayHeader(fields + 1);
        w.Write(layout);
    }

    private static ref MessagePackReader First(ref MessagePackReader r, MessageType type, int fields)
    {
        int count = r.ReadArrayHeader();
        int version = count > 0 ? r.ReadInt32() : 0;
        if (version != LayoutOf(type)) throw new ProtocolException($"a {type} message has the layout version {version}; this program knows {LayoutOf(type)}");
        if (count != fields + 1) throw new ProtocolException($"a {type} message has {count - 1} fields where {fields} belong");
        return ref r;
    }

    private static ArmedRecord Armed(ref MessagePackReader r)
    {
        ulong epoch = r.ReadUInt64();
        int quorum = r.ReadInt32(), fields = r.ReadArrayHeader();
        if (fields % 3 != 0 || fields > 3 * ArmedRecord.MembersMax) throw new ProtocolException($"a list of {fields / 3} members; at most {ArmedRecord.MembersMax} are possible");
        ArbiterMember[] members = new ArbiterMember[fields / 3];
        for (int n = 0; n < members.Length; n++) members[n] = new(Id(ref r), Text(ref r), r.ReadUInt64());
        if (quorum < Math.Min(1, members.Length) || quorum > members.Length) throw new ProtocolException($"a quorum of {quorum} of {members.Length} members");
        return new(epoch, quorum, members);
    }

    private static void At(ref MessagePackWriter w, Position position)
    {
        w.Write(position.Count);
        w.Write(position.VirtualTimeNs);
    }

    private static Position At(ref MessagePackReader r) => new(r.ReadUInt64(), r.ReadUInt64());

    private static void Hash(ref MessagePackWriter w, UInt128 hash)
    {
        w.WriteBinHeader(16);
        BinaryPrimitives.WriteUInt128LittleEndian(w.GetSpan(16), hash);
        w.Advance(16);
    }

    private static UInt128 Hash(ref MessagePackReader r)
    {
        ReadOnlyMemory<byte> bytes = Bytes(ref r);
        return bytes.Length == 16 ? BinaryPrimitives.ReadUInt128LittleEndian(bytes.Span) : throw new ProtocolException($"a hash of {bytes.Length} bytes where 16 belong");
    }

    private static void Numbers(ref MessagePackWriter w, ulong[] numbers)
    {
        w.WriteArrayHeader(numbers.Length);
        foreach (ulong number in numbers) w.Write(number);
    }

    private static ulong[] Numbers(ref MessagePackReader r)
    {
        // ReadArrayHeader refuses a count for which the payload has not even a byte each: the allocation is bounded by the frame.
        ulong[] numbers = new ulong[r.ReadArrayHeader()];
        for (int i = 0; i < numbers.Length; i++) numbers[i] = r.ReadUInt64();
        return numbers;
    }

    internal static ReadOnlyMemory<byte> Bytes(ref MessagePackReader r)
    {
        ReadOnlySequence<byte> bytes = r.ReadBytes() ?? throw new ProtocolException("nothing where bytes belong");
        return bytes.IsSingleSegment ? bytes.First : bytes.ToArray();
    }

    private static string Text(ref MessagePackReader r)
    {
        string text = r.ReadString() ?? throw new ProtocolException("nothing where text belongs");
        return text.Length <= NameCharsMax ? text : throw new ProtocolException($"a text of {text.Length} characters; at most {NameCharsMax} are allowed");
    }

    private static InputEvent Input(ref MessagePackReader r) => Checked((InputKind)r.ReadByte(), r.ReadInt32(), r.ReadUInt64(), r.ReadUInt64(), Bytes(ref r));

    internal static InputEvent Checked(InputKind kind, int unit, ulong value0, ulong value1, ReadOnlyMemory<byte> data)
    {
        if (!Enum.IsDefined(kind)) throw new ProtocolException($"an input of the unknown kind {(byte)kind}");
        InputEvent input = new(kind, unit, value0, value1, data);
        return input.Problem is { } problem ? throw new ProtocolException($"an input that cannot be: {problem}") : input;
    }

    // Fields: name, machine id, configuration hash, arbiter, disks (drive and id by turns).
    private static void Identity(ref MessagePackWriter w, MachineIdentity m)
    {
        w.Write(m.Name);
        w.Write(m.MachineId.ToByteArray());
        Hash(ref w, m.ConfigurationHash);
        w.Write(m.Arbiter);
        w.WriteArrayHeader(2 * m.Disks.Count);
        foreach (DiskIdentity disk in m.Disks)
        {
            w.Write(disk.Drive);
            w.Write(disk.Id.ToByteArray());
        }
    }

    private static MachineIdentity Identity(ref MessagePackReader r, MessageType type, int fields)
    {
        string name = Text(ref First(ref r, type, fields));
        Guid id = Id(ref r);
        UInt128 configuration = Hash(ref r);
        string arbiter = Text(ref r);
        int count = r.ReadArrayHeader();
        if (count % 2 != 0 || count > 2 * MachineIdentity.DisksMax) throw new ProtocolException($"a list of {count / 2} disks; at most {MachineIdentity.DisksMax} are possible");
        DiskIdentity[] disks = new DiskIdentity[count / 2];
        for (int i = 0; i < disks.Length; i++) disks[i] = new(Text(ref r), Id(ref r));
        return new(name, id, configuration, arbiter, disks);
    }

    private static Guid Id(ref MessagePackReader r)
    {
        ReadOnlyMemory<byte> bytes = Bytes(ref r);
        return bytes.Length == 16 ? new Guid(bytes.Span) : throw new ProtocolException($"an id of {bytes.Length} bytes where 16 belong");
    }
}
