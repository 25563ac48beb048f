// Where what does not fit into memory goes: a file without a name, which is gone with the process.
using Microsoft.Win32.SafeHandles;

namespace Emu86.Ft.Host;

/// <summary>Bytes at offsets, sparse. Made at the first write. Members throw <see cref="IOException"/> when the host's disk fails.</summary>
/// <param name="directory">Where the file is made.</param>
internal sealed class SpillFile(string directory) : IDisposable
{
    private SafeFileHandle? _file;

    public void Write(long offset, ReadOnlySpan<byte> bytes) => RandomAccess.Write(_file ??= Make(), bytes, offset);

    /// <summary>What was written there; zeros where nothing was.</summary>
    public void Read(long offset, Span<byte> bytes)
    {
        int read = 0;
        for (int got; read < bytes.Length && (got = RandomAccess.Read(_file!, bytes[read..], offset + read)) > 0;) read += got;
        bytes[read..].Clear();
    }

    public void Dispose() => _file?.Dispose();

    private SafeFileHandle Make()
    {
        string path = Path.Combine(directory, $"spill-{Environment.ProcessId}-{Guid.NewGuid():N}");
        SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete);
        File.Delete(path);
        return file;
    }
}
