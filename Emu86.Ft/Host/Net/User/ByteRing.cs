// A bounded byte buffer of a TCP connection, addressed by offset from its oldest byte.
using System.Buffers;
using Emu86.Cpu;

namespace Emu86.Ft.Host.Net.User;

/// <summary>Holds at most <see cref="Capacity"/> bytes. Its storage is rented while it holds something, so that an idle connection
/// costs nothing.</summary>
public sealed class ByteRing
{
    /// <summary>In bytes; a power of two.</summary>
    public const int Capacity = 128 * 1024;

    private byte[]? _storage;
    private int _head;

    /// <summary>Bytes from the oldest one without a gap.</summary>
    public int Count { get; private set; }

    public int Free => Capacity - Count;

    /// <summary>The longest run of free bytes right behind the last one; fill it, then call <see cref="Commit"/>.</summary>
    public Span<byte> Space()
    {
        _storage ??= ArrayPool<byte>.Shared.Rent(Capacity);
        int tail = (_head + Count) & (Capacity - 1);
        return _storage.AsSpan(tail, int.Min(Free, Capacity - tail));
    }

    /// <summary>Adds bytes that were written to <see cref="Space"/> or by <see cref="Put"/>.</summary>
    public void Commit(int bytes)
    {
        Check.That(bytes >= 0 && bytes <= Free, "ring commit out of range");
        Count += bytes;
    }

    /// <summary>Writes bytes at an offset from the oldest byte, possibly behind a gap; they count once committed.</summary>
    public void Put(int offset, ReadOnlySpan<byte> data)
    {
        Check.That(offset >= 0 && offset + data.Length <= Capacity, "ring write out of range");
        _storage ??= ArrayPool<byte>.Shared.Rent(Capacity);
        int at = (_head + offset) & (Capacity - 1);
        int first = int.Min(data.Length, Capacity - at);
        data[..first].CopyTo(_storage.AsSpan(at));
        data[first..].CopyTo(_storage);
    }

    /// <summary>Bytes at an offset, in two pieces where they wrap.</summary>
    public void Get(int offset, int length, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second)
    {
        Check.That(offset >= 0 && length >= 0 && offset + length <= Count, "ring read out of range");
        if (length == 0)
        {
            first = second = default;
            return;
        }
        int at = (_head + offset) & (Capacity - 1);
        int run = int.Min(length, Capacity - at);
        first = _storage.AsSpan(at, run);
        second = _storage.AsSpan(0, length - run);
    }

    /// <summary>The longest run of bytes from the oldest one.</summary>
    public ReadOnlySpan<byte> Readable()
    {
        Get(0, int.Min(Count, Capacity - _head), out ReadOnlySpan<byte> first, out _);
        return first;
    }

    /// <summary>Forgets the oldest bytes.</summary>
    /// <param name="bytes">At most <see cref="Count"/>.</param>
    /// <param name="keepStorage">Bytes behind a gap are still stored.</param>
    public void Consume(int bytes, bool keepStorage = false)
    {
        Check.That(bytes >= 0 && bytes <= Count, "ring consume out of range");
        _head = (_head + bytes) & (Capacity - 1);
        Count -= bytes;
        if (Count == 0 && !keepStorage) Release();
    }

    /// <summary>Gives the storage back; the content is gone.</summary>
    public void Release()
    {
        if (_storage is null) return;
        ArrayPool<byte>.Shared.Return(_storage);
        _storage = null;
        _head = 0;
        Count = 0;
    }
}
