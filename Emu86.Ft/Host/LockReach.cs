// Whether the lock of a file keeps writers on other hosts out: some file systems of a network keep locks to the host that took them
// (nfs(5), mount.cifs(8); /proc/PID/mountinfo and fdinfo are in proc(5)).
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Emu86.Ft.Host;

/// <summary>Looks a file's mount up.</summary>
public static class LockReach
{
    /// <summary>Why another host does not see a lock of this file, as part of a sentence; null where it does, or where the file is on this host.</summary>
    /// <exception cref="HostException">The file cannot be opened.</exception>
    public static string? WhyLocal(string path) => WhyLocal(MountOf(path));

    /// <summary>The same for a mount of a list.</summary>
    /// <param name="mounts">Lines of mountinfo.</param>
    /// <param name="id">The mount's number, their first field.</param>
    public static string? WhyLocal(IEnumerable<string> mounts, string id) => WhyLocal(Find(mounts, id));

    /// <summary>Type of the file system when what another host writes there may come from this host's cache, as it was; else null.</summary>
    /// <exception cref="HostException">The file cannot be opened.</exception>
    public static string? CachesOf(string path) => MountOf(path) is { Type: "nfs" or "nfs4" or "cifs" or "smb3" or "fuse.sshfs" or "vboxsf" or "9p" } mount ? mount.Type : null;

    private static string? WhyLocal((string Type, string[] Options)? mount)
    {
        if (mount is not ({ } type, { } options)) return null;
        // local_lock=flock is about flock(2) only; what is taken here is a lock of fcntl(2).
        string? option = type switch
        {
            "nfs" or "nfs4" => Array.Find(options, o => o is "nolock" or "local_lock=all" or "local_lock=posix"),
            "cifs" or "smb3" => Array.Find(options, o => o is "nobrl" or "nolock"),
            _ => null,
        };
        if (option is not null) return $"its file system ({type}) is mounted with {option}";
        return type is "fuse.sshfs" or "vboxsf" or "9p" ? $"its file system ({type}) does not tell other hosts of locks" : null;
    }

    private static (string Type, string[] Options)? MountOf(string path)
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            string? id = File.ReadLines($"/proc/self/fdinfo/{file.DangerousGetHandle().ToString(CultureInfo.InvariantCulture)}").FirstOrDefault(l => l.StartsWith("mnt_id:", StringComparison.Ordinal));
            return id is null ? null : Find(File.ReadLines("/proc/self/mountinfo"), id["mnt_id:".Length..].Trim());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"disk image {path} cannot be opened: {e.Message}");
        }
    }

    private static (string Type, string[] Options)? Find(IEnumerable<string> mounts, string id)
    {
        foreach (string line in mounts)
        {
            // After a "-": type, source, options of the file system.
            string[] fields = line.Split(' ');
            int dash = Array.IndexOf(fields, "-");
            if (fields[0] == id && dash >= 0 && fields.Length >= dash + 4) return (fields[dash + 1], fields[dash + 3].Split(','));
        }
        return null;
    }
}
