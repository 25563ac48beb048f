// Files that are either whole or not there.
using System.Buffers;

namespace Emu86.Ft.Host;

internal static class AtomicFile
{
    /// <summary>Writes beside the target and moves it there, durable before it is visible.</summary>
    public static void Write(string option, string path, ReadOnlySequence<byte> content)
    {
        // A device is no file that could be replaced.
        bool isDevice = Path.GetFullPath(path).StartsWith("/dev/", StringComparison.Ordinal);
        string temporary = isDevice ? path : $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            using (var file = new FileStream(temporary, isDevice ? FileMode.Open : FileMode.Create, FileAccess.Write, FileShare.None))
            {
                foreach (ReadOnlyMemory<byte> part in content) file.Write(part.Span);
                file.Flush(flushToDisk: true);
            }
            if (!isDevice) File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (!isDevice && File.Exists(temporary)) File.Delete(temporary);
            throw new HostException($"{option} {path} cannot be written: {e.Message}");
        }
    }

    /// <summary>Whether a file can be made there, before a long run is started that ends with it. Throws <see cref="HostException"/>.</summary>
    public static void CheckTarget(string option, string path)
    {
        if (Directory.Exists(path)) throw new HostException($"{option} {path} is a directory; give the path of a file");
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } directory && !Directory.Exists(directory)) throw new HostException($"{option} {path} cannot be written: there is no directory {directory}");
    }
}
