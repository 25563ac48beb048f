// Bytes that grow in pieces: a snapshot may be longer than an array can be, and is never copied to grow.
using System.Buffers;

namespace Emu86.Ft.Replication;

/// <summary>A buffer in chunks, to be written and then read as a sequence.</summary>
public sealed class ChunkedBuffer : IBufferWriter<byte>
{
    private const int ChunkBytes = 256 << 10;

    private readonly List<(byte[] Bytes, int Count)> _full = [];
    private byte[] _chunk = new byte[ChunkBytes];
    private int _count;

    /// <summary>Bytes written.</summary>
    public long Length { get; private set; }

    public void Advance(int count)
    {
        _count += count;
        Length += count;
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        sizeHint = int.Max(sizeHint, 1);
        if (_chunk.Length - _count < sizeHint)
        {
            if (_count > 0) _full.Add((_chunk, _count));
            _chunk = new byte[int.Max(ChunkBytes, sizeHint)];
            _count = 0;
        }
        return _chunk.AsMemory(_count);
    }

    /// <summary>What was written, in pieces of at most <paramref name="bytesMax"/>.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> Pieces(int bytesMax)
    {
        foreach ((byte[] bytes, int count) in _full.Append((_chunk, _count)))
        {
            for (int at = 0; at < count; at += bytesMax) yield return bytes.AsMemory(at, int.Min(bytesMax, count - at));
        }
    }

    /// <summary>What was written, without a copy.</summary>
    public ReadOnlySequence<byte> ToSequence()
    {
        Segment? first = null, last = null;
        foreach (ReadOnlyMemory<byte> piece in Pieces(int.MaxValue))
        {
            var next = new Segment(piece, last);
            first ??= next;
            last = next;
        }
        return first is null ? default : new ReadOnlySequence<byte>(first, 0, last!, last!.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, Segment? before)
        {
            Memory = memory;
            if (before is null) return;
            RunningIndex = before.RunningIndex + before.Memory.Length;
            before.Next = this;
        }
    }
}
