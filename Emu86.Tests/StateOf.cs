// The state of a unit, saved, loaded and compared.
using System.Buffers;
using Emu86.Cpu;

namespace Emu86.Tests;

internal static class StateOf
{
    public static byte[] Save(IStateful unit)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new StateWriter(buffer);
        unit.Save(ref writer);
        return buffer.WrittenSpan.ToArray();
    }

    public static void Load(IStateful unit, byte[] state)
    {
        var reader = new StateReader(state);
        unit.Load(ref reader);
        Assert.Equal(0, reader.Remaining);
    }

    /// <summary>Saves <paramref name="source"/>, loads it into <paramref name="target"/> and compares what that saves.</summary>
    public static void AssertRoundTrip(IStateful source, IStateful target)
    {
        byte[] first = Save(source);
        Load(target, first);
        Assert.Equal(first, Save(target));
    }
}
