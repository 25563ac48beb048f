// Valid bytes, changed where numbers choose: the same numbers give the same bytes, and fewer numbers fewer changes.
using System.Buffers.Binary;
using Emu86.Tests.Replication;

namespace Emu86.Tests.Fuzz;

internal static class Mutation
{
    private static readonly ulong[] Borders =
        [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, ulong.MaxValue >> 1, 1ul << 63, ulong.MaxValue];

    /// <param name="seeds">Valid inputs; one is taken, pieces of the others may get into it.</param>
    /// <param name="salt">Chooses the seed, and what the edits mean.</param>
    /// <param name="edits">One change each.</param>
    /// <param name="lengthMax">Longest result.</param>
    public static byte[] Apply(IReadOnlyList<byte[]> seeds, int salt, IReadOnlyList<int> edits, int lengthMax)
    {
        ulong chance = SimulatorGuest.Mix((uint)salt);
        List<byte> bytes = [.. seeds[(int)(chance % (ulong)seeds.Count)]];
        for (int n = 0; n < edits.Count; n++) Edit(bytes, seeds, chance ^ SimulatorGuest.Mix(((ulong)n << 32) | (uint)edits[n]));
        if (bytes.Count > lengthMax) bytes.RemoveRange(lengthMax, bytes.Count - lengthMax);
        return [.. bytes];
    }

    private static void Edit(List<byte> bytes, IReadOnlyList<byte[]> seeds, ulong chance)
    {
        int Below(int bound)
        {
            chance = SimulatorGuest.Mix(chance);
            return bound == 0 ? 0 : (int)(chance % (ulong)bound);
        }

        int kind = Below(10);
        // Half of the changes are near the beginning, where headers are.
        int at = Below(2) == 0 ? Math.Min(bytes.Count, Below(64)) : Below(bytes.Count + 1);
        int length = Math.Min(Below(Below(2) == 0 ? 16 : 4096), bytes.Count - at);
        if (kind < 3 && at == bytes.Count) return;
        switch (kind)
        {
            case 0: bytes[at] ^= (byte)(1 << Below(8)); break;
            case 1: bytes[at] = (byte)Below(256); break;
            case 2: bytes[at] += (byte)(Below(2) == 0 ? 1 : 255); break;
            case 3: bytes.RemoveRange(at, bytes.Count - at); break;
            case 4: bytes.RemoveRange(at, length); break;
            case 5: bytes.InsertRange(at, bytes.GetRange(at, length)); break;
            case 6:
                for (int n = Below(64); n >= 0; n--) bytes.Insert(at, (byte)Below(256));
                break;
            case 7:
                byte[] other = seeds[Below(seeds.Count)];
                int from = Math.Min(at, other.Length);
                Overwrite(bytes, at, other.AsSpan(from, Math.Min(length, other.Length - from)));
                break;
            case 8:
                byte[] fill = new byte[length];
                Array.Fill(fill, (byte)(Below(2) == 0 ? 0 : 0xff));
                Overwrite(bytes, at, fill);
                break;
            default:
                Span<byte> number = stackalloc byte[8];
                ulong border = Borders[Below(Borders.Length)];
                if (Below(2) == 0) BinaryPrimitives.WriteUInt64LittleEndian(number, border);
                else BinaryPrimitives.WriteUInt64BigEndian(number, border);
                int width = 1 << Below(4);
                Overwrite(bytes, at, Below(2) == 0 ? number[..width] : number[(8 - width)..]);
                break;
        }
    }

    private static void Overwrite(List<byte> bytes, int at, ReadOnlySpan<byte> with)
    {
        for (int n = 0; n < with.Length && at + n < bytes.Count; n++) bytes[at + n] = with[n];
    }
}
