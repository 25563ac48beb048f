// An arbiter in a directory that both sides see. Every value is a file of its own, named by a version that grows by one;
// link(2) of a completely written file onto the next version's name is the atomic test-and-set: exactly one can succeed,
// also over NFS, where the answer may get lost and is therefore judged by reading the name back.
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host;

/// <summary>The arbiter <c>file:PATH</c>: a directory with one sub-directory per guest name. Versions are never removed: a
/// process that was frozen for long must not find the name free that it is about to claim.</summary>
public sealed partial class FileArbiter : IArbiter
{
    public const string Prefix = "file:";

    private const int ValueBytesMax = 64 << 10;

    private readonly string _root;
    private readonly string _directory;
    private readonly Guid _id;

    /// <summary>Throws <see cref="HostException"/> when the directory cannot be used.</summary>
    /// <param name="path">The arbiter's directory; made when it is missing.</param>
    /// <param name="guest">The guest's name, the key.</param>
    public FileArbiter(string path, string guest)
    {
        _root = Path.GetFullPath(path);
        _directory = Path.Combine(_root, Uri.EscapeDataString(guest));
        try
        {
            Directory.CreateDirectory(_root);
            if (!File.Exists(IdentityFile)) Place(_root, IdentityFile, $"{Guid.NewGuid():N}\n");
            _id = ReadIdentity();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArbiterFileException)
        {
            throw new HostException($"the arbiter {_root} cannot be used: {e.Message}");
        }
        Identity = $"{_id:N} {Prefix}{_root}";
    }

    public string Identity { get; }

    public string? Problem { get; private set; }

    public Task<ArbiterAnswer> AskAsync(ArbiterRequest request, CancellationToken cancellation) => Task.Run(() => Ask(request), cancellation);

    /// <summary>The same on the calling thread. Never throws for what the file system does.</summary>
    public ArbiterAnswer Ask(ArbiterRequest request)
    {
        try
        {
            if (ReadIdentity() != _id) throw new ArbiterFileException("it is another directory than at the start; is its storage mounted?");
            Directory.CreateDirectory(_directory);
            while (true)
            {
                Refresh();
                ulong version = LatestVersion();
                ArbiterValue? current = version == 0 ? null : Read(version);
                ArbiterVerdict verdict = ArbiterRules.Decide(current, request, out ArbiterValue? next);
                if (next is null || TryWrite(version + 1, next))
                {
                    Problem = null;
                    return new(request.Id, verdict, next ?? current);
                }
                // Another one wrote this version: the rules are asked about its value.
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArbiterFileException)
        {
            Problem = $"the arbiter {_root} cannot be used: {e.Message}";
            return new(request.Id, ArbiterVerdict.Unavailable, null);
        }
    }

    // Made once and for ever: tells this directory from one of the same path on another host. No guest's directory has a plus.
    private string IdentityFile => Path.Combine(_root, "identity+");

    private static string Name(ulong version) => version.ToString("D20");

    private ulong LatestVersion()
    {
        ulong latest = 0;
        foreach (string file in Directory.EnumerateFiles(_directory))
        {
            string name = Path.GetFileName(file);
            if (name.Length == 20 && ulong.TryParse(name, out ulong version)) latest = Math.Max(latest, version);
        }
        return latest;
    }

    private ArbiterValue Read(ulong version)
    {
        string path = Path.Combine(_directory, Name(version));
        if (new FileInfo(path).Length > ValueBytesMax) throw new ArbiterFileException($"{path} is longer than {ValueBytesMax} bytes: it is damaged");
        string text = File.ReadAllText(path, Encoding.UTF8);
        int end = text.LastIndexOf("\nxxh3 ", StringComparison.Ordinal);
        if (end < 0 || text[(end + 6)..].TrimEnd() != Checksum(text[..end])) throw new ArbiterFileException($"{path} is damaged: its checksum does not match");
        try
        {
            return ArbiterValueFormat.Read(Encoding.UTF8.GetBytes(text[..end]));
        }
        catch (JsonException e)
        {
            throw new ArbiterFileException($"{path} cannot be read: {e.Message}");
        }
    }

    private bool TryWrite(ulong version, ArbiterValue value)
    {
        string json = ArbiterValueFormat.Write(value, indented: true);
        string text = $"{json}\nxxh3 {Checksum(json)}\n";
        // An equal text is a claim of this owner to the same effect: it counts as this one.
        return Place(_directory, Path.Combine(_directory, Name(version)), text) == text;
    }

    private Guid ReadIdentity() =>
        Guid.TryParseExact(File.ReadAllText(IdentityFile, Encoding.UTF8).Trim(), "N", out Guid id) ? id : throw new ArbiterFileException($"{IdentityFile} is damaged");

    // An NFS client answers for a while from what it remembers of a directory; about one that it has changed it asks the server.
    private void Refresh()
    {
        string probe = Path.Combine(_directory, $"probe-{Guid.NewGuid():N}");
        File.Create(probe).Dispose();
        File.Delete(probe);
    }

    /// <summary>Gives a whole, durable file the name if nothing has it; returns what stands under the name.</summary>
    private static string Place(string directory, string target, string text)
    {
        string own = Path.Combine(directory, $"claim-{Guid.NewGuid():N}");
        try
        {
            using (FileStream file = new(own, FileMode.CreateNew, FileAccess.Write))
            {
                file.Write(Encoding.UTF8.GetBytes(text));
                file.Flush(flushToDisk: true);
            }
            int error = Link(own, target) == 0 ? 0 : Marshal.GetLastPInvokeError();
            SyncDirectory(directory);
            // The result of link may be wrong when its answer was repeated; what stands under the name is not.
            if (File.Exists(target)) return File.ReadAllText(target, Encoding.UTF8);
            throw new IOException($"link to {target} failed: {Marshal.GetPInvokeErrorMessage(error)}");
        }
        finally
        {
            File.Delete(own);
        }
    }

    private static string Checksum(string text) => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(text)).ToString("x16");

    // A name that a crash takes back would let a second claim win.
    private static void SyncDirectory(string directory)
    {
        int handle = Open(directory, 0);
        if (handle < 0) throw new IOException($"{directory} cannot be opened: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
        int result = Fsync(handle);
        int error = Marshal.GetLastPInvokeError();
        _ = Close(handle);
        if (result != 0) throw new IOException($"{directory} cannot be made durable: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string existing, string name);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(int handle);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int handle);

    private sealed class ArbiterFileException(string message) : Exception(message);
}
