// Frames written straight to a stream: for what is too long to be put together in memory first.
using System.Buffers;

namespace Emu86.Ft.Run.Recording;

/// <summary>A buffer writer over a stream. <see cref="Flush"/> before the stream is used for anything else.</summary>
internal sealed class StreamFrames(Stream stream) : IBufferWriter<byte>
{
    private const int FlushBytes = 1 << 20;

    private readonly ArrayBufferWriter<byte> _buffer = new(FlushBytes);

    public void Advance(int count) => _buffer.Advance(count);

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (_buffer.WrittenCount >= FlushBytes) Flush();
        return _buffer.GetMemory(sizeHint);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public void Flush()
    {
        stream.Write(_buffer.WrittenSpan);
        _buffer.ResetWrittenCount();
    }
}
