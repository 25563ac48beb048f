// The guest's RAM in a running process of the program, as a failing memory module would change it.
using System.Globalization;

namespace Emu86.Tests.Ft;

internal static class GuestMemory
{
    /// <summary>Flips a bit of a text that the embedded guest prints only when it starts.</summary>
    /// <returns>False when the host does not let this process write another one's memory.</returns>
    public static bool FlipBit(int process)
    {
        byte[] wanted = "emu86-guest: start"u8.ToArray();
        try
        {
            using FileStream memory = new($"/proc/{process}/mem", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
            int flipped = 0;
            foreach (string line in File.ReadLines($"/proc/{process}/maps"))
            {
                // Guest RAM: anonymous, at least as long as the memory that was asked for.
                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                string[] range = words[0].Split('-');
                long first = long.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), end = long.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                if (!words[1].StartsWith("rw", StringComparison.Ordinal) || words.Length > 5 || end - first is < 16 << 20 or > 512 << 20) continue;
                byte[] content = new byte[end - first];
                memory.Position = first;
                memory.ReadExactly(content);
                // The guest's image is loaded at 1 MiB; other copies of the text (files that were read) lie elsewhere and do not matter.
                for (int at = content.AsSpan().IndexOf(wanted); at >= 0;)
                {
                    memory.Position = first + at;
                    memory.WriteByte((byte)(content[at] ^ 0x20));
                    flipped++;
                    int next = content.AsSpan(at + 1).IndexOf(wanted);
                    at = next < 0 ? -1 : at + 1 + next;
                }
            }
            return flipped > 0;
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            return false;
        }
    }
}
