// A bounded queue of frames between threads.
using System.Buffers;

namespace Emu86.Ft.Host.Net;

/// <summary>Frames are copied in and lost when the queue is full, as in a network card.</summary>
public sealed class FrameQueue(int framesMax)
{
    private readonly Lock _lock = new();
    private readonly (byte[] Data, int Length)[] _frames = new (byte[], int)[framesMax];
    private int _first;
    private int _count;

    public bool IsEmpty => Volatile.Read(ref _count) == 0;

    public void Put(ReadOnlySpan<byte> frame)
    {
        lock (_lock)
        {
            if (_count == framesMax) return;
            byte[] copy = ArrayPool<byte>.Shared.Rent(frame.Length);
            frame.CopyTo(copy);
            _frames[(_first + _count) % framesMax] = (copy, frame.Length);
            Volatile.Write(ref _count, _count + 1);
        }
    }

    /// <summary>Takes the oldest frame; <see cref="Done"/> gives its storage back.</summary>
    public bool TryTake(out ReadOnlySpan<byte> frame, out byte[] storage)
    {
        lock (_lock)
        {
            frame = default;
            storage = [];
            if (_count == 0) return false;
            (storage, int length) = _frames[_first];
            _frames[_first] = default;
            frame = storage.AsSpan(0, length);
            _first = (_first + 1) % framesMax;
            Volatile.Write(ref _count, _count - 1);
            return true;
        }
    }

    public static void Done(byte[] storage) => ArrayPool<byte>.Shared.Return(storage);
}
