// Several log records in one frame: what the last record said already is not said again. A full Ethernet frame then takes less than its
// own length, because its addresses are those of the frame before.
using System.Buffers;
using System.Numerics;
using Emu86.Devices;
using MessagePack;

namespace Emu86.Ft.Replication;

/// <summary>Where one direction of a connection stands: what the numbers of the next record are counted from. The same on both ends.</summary>
internal struct PackState
{
    /// <summary>Bytes at the beginning of a network frame that are compared with those of the frame before.</summary>
    public const int HeadBytes = 64;

    private ulong _count, _time, _released, _durable, _sent, _produced;
    private ReadOnlyMemory<byte> _frame;

    /// <summary>Appends a record's fields.</summary>
    public void Write(IBufferWriter<byte> output, LogRecord record)
    {
        MessagePackWriter w = new(output);
        w.Write((byte)record.Type);
        switch (record)
        {
            case InputRecord { Input: var input } m:
                At(ref w, m.Position);
                w.Write((byte)input.Kind);
                w.Write(input.Unit);
                w.Write(input.Value0);
                w.Write(input.Value1);
                Data(ref w, input);
                break;
            case FrontierRecord m:
                At(ref w, m.Position);
                Step(ref w, ref _released, m.ReleasedUpTo);
                Step(ref w, ref _durable, m.DurableUpTo);
                Step(ref w, ref _sent, (ulong)m.SentUs);
                Step(ref w, ref _produced, m.ProducedUpTo);
                break;
            default:
                w.Flush();
                MessageCodec.Write(output, record);
                return;
        }
        w.Flush();
    }

    /// <summary>Reads the next record's fields.</summary>
    public LogRecord Read(ref MessagePackReader r)
    {
        var type = (MessageType)r.ReadByte();
        switch (type)
        {
            case MessageType.Input:
                Position at = At(ref r);
                InputEvent input = MessageCodec.Checked((InputKind)r.ReadByte(), r.ReadInt32(), r.ReadUInt64(), r.ReadUInt64(), Data(ref r));
                Remember(input);
                return new InputRecord(at, input);
            case MessageType.Frontier:
                return new FrontierRecord(At(ref r), Step(ref r, ref _released), Step(ref r, ref _durable), (long)Step(ref r, ref _sent), Step(ref r, ref _produced));
            default:
                return MessageCodec.ReadFields(type, ref r) as LogRecord ?? throw new ProtocolException($"a {type} message among log records");
        }
    }

    // The difference may be negative, as a very large number: the sum comes out right.
    private static void Step(ref MessagePackWriter w, ref ulong last, ulong value)
    {
        w.Write(value - last);
        last = value;
    }

    private static ulong Step(ref MessagePackReader r, ref ulong last) => last += r.ReadUInt64();

    private void At(ref MessagePackWriter w, Position position)
    {
        Step(ref w, ref _count, position.Count);
        Step(ref w, ref _time, position.VirtualTimeNs);
    }

    private Position At(ref MessagePackReader r) => new(Step(ref r, ref _count), Step(ref r, ref _time));

    // A bit for each byte of the head that is the one of the frame before, then the bytes that are not.
    private void Data(ref MessagePackWriter w, InputEvent input)
    {
        ReadOnlySpan<byte> data = input.Data.Span;
        ulong same = 0;
        if (input.Kind == InputKind.NetFrame) same = Same(data, _frame.Span);
        // The mask itself takes nine bytes.
        if (BitOperations.PopCount(same) <= 9) same = 0;
        w.Write(same);
        int kept = data.Length - BitOperations.PopCount(same);
        w.WriteBinHeader(kept);
        Span<byte> to = w.GetSpan(int.Max(kept, 1));
        int head = int.Min(data.Length, HeadBytes), n = 0;
        for (int i = 0; i < head; i++)
        {
            if ((same >> i & 1) == 0) to[n++] = data[i];
        }
        data[head..].CopyTo(to[n..]);
        w.Advance(kept);
        Remember(input);
    }

    private ReadOnlyMemory<byte> Data(ref MessagePackReader r)
    {
        ulong same = r.ReadUInt64();
        ReadOnlyMemory<byte> rest = MessageCodec.Bytes(ref r);
        if (same == 0) return rest;
        ReadOnlySpan<byte> last = _frame.Span, from = rest.Span;
        byte[] data = new byte[from.Length + BitOperations.PopCount(same)];
        int head = int.Min(data.Length, HeadBytes), n = 0;
        if (HeadBytes - BitOperations.LeadingZeroCount(same) > int.Min(head, last.Length)) throw new ProtocolException("a frame that is like the one before where there is none");
        for (int i = 0; i < head; i++) data[i] = (same >> i & 1) != 0 ? last[i] : from[n++];
        from[n..].CopyTo(data.AsSpan(head));
        return data;
    }

    private void Remember(InputEvent input)
    {
        if (input.Kind == InputKind.NetFrame) _frame = input.Data;
    }

    private static ulong Same(ReadOnlySpan<byte> data, ReadOnlySpan<byte> last)
    {
        ulong same = 0;
        int head = int.Min(int.Min(data.Length, last.Length), HeadBytes);
        for (int i = 0; i < head; i++)
        {
            if (data[i] == last[i]) same |= 1ul << i;
        }
        return same;
    }
}
