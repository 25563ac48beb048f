// A file system with little room, in memory.
namespace Emu86.Tests.Ft;

/// <summary>Unmounted when disposed.</summary>
internal sealed class SmallMount : IDisposable
{
    private SmallMount(string path) => Path = path;

    public string Path { get; }

    /// <summary>Skips the test where it cannot be had.</summary>
    /// <param name="at">Where; made.</param>
    /// <param name="size">As mount(8) takes it.</param>
    public static SmallMount Make(string at, string size)
    {
        Directory.CreateDirectory(at);
        Skip.IfNot(OperatingSystem.IsLinux() && HostProgram.Run("mount", "-t", "tmpfs", "-o", $"size={size}", "tmpfs", at) == 0, "needs Linux and the right to mount a tmpfs");
        return new SmallMount(at);
    }

    /// <summary>A file that takes no room yet.</summary>
    public string NewSparse(string name, long bytes)
    {
        string path = System.IO.Path.Combine(Path, name);
        using FileStream sparse = File.Create(path);
        sparse.SetLength(bytes);
        return path;
    }

    /// <summary>Takes all the room that is left, in a file that can be deleted.</summary>
    public string Fill()
    {
        string path = System.IO.Path.Combine(Path, "filler");
        using FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        try
        {
            while (true) file.Write(new byte[4096]);
        }
        catch (IOException)
        {
            // Nothing more fits.
        }
        return path;
    }

    public void Dispose() => Assert.Equal(0, HostProgram.Run("umount", Path));
}
