// Files that are either whole or not there.
using System.Buffers;

namespace Emu86.Ft.Host;

internal static class AtomicFile
{
    /// <summary>Writes beside the target and moves it there, durable before it is visible.</summary>
    public static void Write(string option, string path, ReadOnlySequence<byte> content)
    {
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None))
            {
                foreach (ReadOnlyMemory<byte> part in content) file.Write(part.Span);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (File.Exists(temporary)) File.Delete(temporary);
            throw new HostException($"{option} {path} cannot be written: {e.Message}");
        }
    }
}
