// Files that are either whole or not there.
namespace Emu86.Ft.Host;

internal static class AtomicFile
{
    /// <summary>Writes beside the target and moves it there, durable before it is visible.</summary>
    public static void Write(string option, string path, ReadOnlyMemory<byte> content)
    {
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None))
            {
                file.Write(content.Span);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            File.Delete(temporary);
            throw new HostException($"{option} {path} cannot be written: {e.Message}");
        }
    }
}
