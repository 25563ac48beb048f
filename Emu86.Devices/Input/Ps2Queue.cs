// Bytes that a PS/2 device has ready for its controller.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Emu86.Devices.Input;

[InlineArray(Ps2Queue.Capacity)]
public struct Ps2QueueBytes
{
    private byte _first;
}

/// <summary>A bounded queue inside a state struct.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Ps2Queue
{
    /// <summary>More than the 16 bytes of a real keyboard, so that a burst of typed text is not lost.</summary>
    public const int Capacity = 128;

    private Ps2QueueBytes _bytes;
    private byte _head, _count;

    public readonly int Count => _count;

    public readonly int Free => Capacity - _count;

    /// <summary>False when the queue is full.</summary>
    public bool TryPush(byte value)
    {
        if (_count == Capacity) return false;
        _bytes[(_head + _count++) % Capacity] = value;
        return true;
    }

    /// <summary>The queue is not empty.</summary>
    public byte Pop()
    {
        byte value = _bytes[_head];
        _head = (byte)((_head + 1) % Capacity);
        _count--;
        return value;
    }

    public void Clear() => this = default;
}
