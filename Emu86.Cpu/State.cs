// Save, load and hash of unit state. Every unit writes the same bytes for all three, so that a field cannot be
// saved and not hashed, or hashed and not saved (docs/determinism.md, "State").
using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Emu86.Cpu;

/// <summary>A unit of the machine with state of its own. The state lives in one unmanaged struct declared
/// <c>[StructLayout(LayoutKind.Sequential, Pack = 1)]</c> (no padding), plus byte arrays where a chip has memory.</summary>
public interface IStateful
{
    /// <summary>Unique in a machine and stable between versions: it names the section in a snapshot.</summary>
    string StateName { get; }

    /// <summary>Raised when the layout of the saved bytes changes; a snapshot with another version is refused.</summary>
    int StateVersion { get; }

    void Save(ref StateWriter writer);

    /// <summary>Takes over a saved state. Caches and derived values are rebuilt, not read.</summary>
    void Load(ref StateReader reader);
}

/// <summary>Appends state to a buffer.</summary>
public readonly ref struct StateWriter(IBufferWriter<byte> output)
{
    public void Struct<T>(in T value) where T : unmanaged => output.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>A block whose length is known to the reader.</summary>
    public void Bytes(ReadOnlySpan<byte> bytes) => output.Write(bytes);

    /// <summary>A block of variable length, written with its length.</summary>
    public void Blob(ReadOnlySpan<byte> bytes)
    {
        Struct(bytes.Length);
        Bytes(bytes);
    }
}

/// <summary>Reads back what <see cref="StateWriter"/> wrote. Throws <see cref="StateFormatException"/> at a short or long section.</summary>
public ref struct StateReader(ReadOnlySpan<byte> input)
{
    private ReadOnlySpan<byte> _rest = input;

    public readonly int Remaining => _rest.Length;

    public T Struct<T>() where T : unmanaged => MemoryMarshal.Read<T>(Take(Unsafe.SizeOf<T>()));

    public void Bytes(Span<byte> destination) => Take(destination.Length).CopyTo(destination);

    /// <summary>A block of variable length; <paramref name="lengthMax"/> in bytes bounds what a damaged file can make us allocate.</summary>
    public ReadOnlySpan<byte> Blob(int lengthMax)
    {
        int length = Struct<int>();
        if (length < 0 || length > lengthMax) throw new StateFormatException($"a block of {length} bytes where at most {lengthMax} are possible");
        return Take(length);
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length > _rest.Length) throw new StateFormatException($"{length} bytes expected, {_rest.Length} left");
        ReadOnlySpan<byte> taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }
}

/// <summary>Saved state that cannot be taken over: truncated, damaged, or of another version.</summary>
public sealed class StateFormatException(string message) : Exception(message);
