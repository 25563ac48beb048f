// A snapshot in a file: the machine's own bytes, then 16 bytes of XXH3 over them, so that damage is noticed before
// anything is taken over.
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run;

/// <summary>A snapshot file that was read and is undamaged.</summary>
public sealed class SnapshotFile
{
    private const int HashBytes = 16;
    private const int PieceBytes = 256 << 10;

    private readonly string _path;
    private readonly ReadOnlySequence<byte> _snapshot;

    private SnapshotFile(string path, ReadOnlySequence<byte> snapshot, MachineConfig config)
    {
        _path = path;
        _snapshot = snapshot;
        Config = config;
    }

    /// <summary>The machine that can take it over.</summary>
    public MachineConfig Config { get; }

    /// <summary>Reads and checks a file. Throws <see cref="HostException"/>.</summary>
    public static SnapshotFile Read(string path)
    {
        ReadOnlySequence<byte> snapshot = Content(path)
            ?? throw new HostException($"--restore {path} is damaged, truncated or not a snapshot: its checksum does not match; make it anew with --save-snapshot");
        try
        {
            return new SnapshotFile(path, snapshot, Snapshot.ReadConfig(snapshot));
        }
        catch (StateFormatException e)
        {
            throw new HostException($"--restore {path}: {e.Message}");
        }
    }

    // In pieces: a snapshot may be longer than an array can be. Null when the checksum does not match.
    private static ReadOnlySequence<byte>? Content(string path)
    {
        try
        {
            if (Directory.Exists(path)) throw new HostException($"--restore {path} is a directory; give the path of a file");
            using FileStream file = new(path, FileMode.Open, FileAccess.Read);
            long left = file.Length - HashBytes;
            if (left <= 0) return null;
            var content = new ChunkedBuffer();
            var hash = new XxHash128();
            while (left > 0)
            {
                Span<byte> part = content.GetSpan(PieceBytes);
                part = part[..(int)long.Min(part.Length, left)];
                file.ReadExactly(part);
                hash.Append(part);
                content.Advance(part.Length);
                left -= part.Length;
            }
            Span<byte> said = stackalloc byte[HashBytes];
            file.ReadExactly(said);
            return hash.GetCurrentHashAsUInt128() == BinaryPrimitives.ReadUInt128LittleEndian(said) ? content.ToSequence() : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new HostException($"--restore {path} does not exist; check the path");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"--restore {path} cannot be read: {e.Message}");
        }
    }

    /// <summary>The configuration, when these drives and --cdrom fit it. Throws <see cref="HostException"/>.</summary>
    public MachineConfig ConfigFor(IReadOnlyList<IBlockStore?> disks, string? cdrom)
    {
        MediaLibrary.RefuseSurplus(cdrom, Config);
        for (int n = 0; n < disks.Count; n++)
        {
            long saved = Config.DriveSectors[n], have = disks[n]?.SectorCount ?? 0;
            if (saved != have) throw new HostException($"the snapshot's machine has {saved} sectors on --hd{(char)('a' + n)}, the given image {have}; give the image that belongs to the snapshot");
        }
        return Config;
    }

    /// <summary>Takes the state over. Throws <see cref="HostException"/>.</summary>
    public void RestoreTo(Machine machine)
    {
        try
        {
            machine.Restore(_snapshot);
        }
        catch (StateFormatException e)
        {
            throw new HostException($"--restore {_path}: {e.Message}");
        }
        MediaLibrary.Require(machine, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Whether the counts that the options name are still to come, and a snapshot can be written. Throws <see cref="HostException"/>.</summary>
    public static void CheckOptions(RunOptions options, Machine machine)
    {
        if (options.SaveSnapshot is { } target) AtomicFile.CheckTarget("--save-snapshot", target);
        ulong count = machine.Position.Count;
        if (options.StopAt < count) throw new HostException($"--stop-at {options.StopAt} is before the snapshot's count {count}; ask for a later one", ExitCode.Usage);
        if (options.SaveSnapshotAt < count) throw new HostException($"--save-snapshot at count {options.SaveSnapshotAt} is before the restored snapshot's count {count}; ask for a later one", ExitCode.Usage);
    }

    /// <summary>Writes a machine's state. Throws <see cref="HostException"/>, which names what asked for it.</summary>
    public static void Write(string option, string path, Machine machine) => Write(option, path, Capture(machine));

    /// <summary>A machine's state, to be written later.</summary>
    public static ChunkedBuffer Capture(Machine machine)
    {
        var state = new ChunkedBuffer();
        machine.Save(state);
        return state;
    }

    /// <summary>Writes what was captured, once. Throws <see cref="HostException"/>, which names what asked for it.</summary>
    public static void Write(string option, string path, ChunkedBuffer state)
    {
        var hash = new XxHash128();
        foreach (ReadOnlyMemory<byte> part in state.ToSequence()) hash.Append(part.Span);
        BinaryPrimitives.WriteUInt128LittleEndian(state.GetSpan(HashBytes), hash.GetCurrentHashAsUInt128());
        state.Advance(HashBytes);
        AtomicFile.Write(option, path, state.ToSequence());
    }
}
