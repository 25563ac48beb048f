// A recording or evidence in a file: what it says, and its machine, which can be built and run from it as often as wanted.
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Recording;

/// <summary>One execution of a recording that has begun.</summary>
internal sealed class RecordedRun(Stream file, OverlayDisk?[] disks, Machine machine, Replay replay) : IDisposable
{
    public Machine Machine => machine;

    public Replay Replay => replay;

    /// <summary>A disk could not be read: what followed is not the recorded execution.</summary>
    public bool HasDiskFailed => disks.Any(d => d is { Failed: true });

    public void Dispose()
    {
        machine.Dispose();
        foreach (OverlayDisk? disk in disks) disk?.Dispose();
        file.Dispose();
    }
}

/// <summary>Opens the file that an option names.</summary>
internal sealed class RecordingSource : IDisposable
{
    /// <summary>The largest guest memory with room for devices and a kernel.</summary>
    private const ulong StateBytesMax = 5UL << 30;

    private readonly RunOptions _options;
    private readonly string _option;
    private readonly string _path;
    private readonly Report _report;
    private readonly MediaLibrary _media;
    private bool _disksAreChecked;

    /// <param name="options">Of the run.</param>
    /// <param name="option">For messages: --replay or --bisect.</param>
    /// <param name="path">The file.</param>
    /// <param name="report">Told what takes long.</param>
    /// <exception cref="HostException">It cannot be read, or is no recording.</exception>
    public RecordingSource(RunOptions options, string option, string path, Report report)
    {
        (_options, _option, _path, _report) = (options, option, path, report);
        RefuseMachineOptions();
        using Stream file = Open();
        var reader = Checked(() => new RecordingReader(file, StateBytesMax));
        Config = ConfigOf(reader);
        Evidence = ReadEvidence(reader);
        if (Evidence is { Message: { Problem.Length: > 0 } told }) throw new HostException($"{option} {path}: {Evidence.Sentence}; this evidence cannot be replayed: {told.Problem}");
        MediaLibrary.RefuseSurplus(options.Cdrom, Config);
        _media = new MediaLibrary(options.Cdrom);
    }

    public MachineConfig Config { get; }

    /// <summary>Null: an ordinary recording, or one that is damaged at its beginning.</summary>
    public EvidenceNotes? Evidence { get; }

    /// <summary>Builds the machine and lets it take over a state.</summary>
    /// <param name="engine">What executes it.</param>
    /// <param name="outputs">Where outputs go.</param>
    /// <param name="snapshot">Which of the snapshots in the file; 0: the start. Evidence begins with its first.</param>
    /// <param name="atBoundary">Called between slices.</param>
    public RecordedRun Begin(EngineChoice engine, IOutputSink outputs, int snapshot, Action<Position> atBoundary)
    {
        Stream file = Open();
        OverlayDisk?[] disks = [];
        Machine? machine = null;
        try
        {
            var reader = Checked(() => new RecordingReader(file, StateBytesMax));
            disks = Evidence is not null ? RecordingDisks.OpenForEvidence(reader.Header.Machine, Config, _options)
                : RecordingDisks.OpenFor(reader.Header.Machine, Config, _options, _report, _disksAreChecked);
            _disksAreChecked = true;
            machine = MachineBuilder.Build(Config, disks, outputs, engine, _media);
            var replay = new Replay(machine, reader, disks) { Slice = _options.Slice, AtBoundary = atBoundary };
            Checked(() =>
            {
                if (Evidence is not null) replay.BeginAt(1);
                else if (snapshot == 0) replay.Begin();
                else replay.BeginAt(snapshot);
                return true;
            });
            MediaLibrary.Require(machine, Timeout.InfiniteTimeSpan);
            return new RecordedRun(file, disks, machine, replay);
        }
        catch
        {
            machine?.Dispose();
            foreach (OverlayDisk? disk in disks) disk?.Dispose();
            file.Dispose();
            throw;
        }
    }

    /// <summary>The ordinal of the last snapshot at or before a count; 0: the start.</summary>
    public int SnapshotBefore(ulong count)
    {
        using Stream file = Open();
        int seen = 0, found = 0;
        ulong last = 0;
        try
        {
            var reader = new RecordingReader(file, StateBytesMax);
            if (reader.Header.Start.Count > count) throw new HostException($"the recording begins at count {reader.Header.Start.Count}, after --from {count}");
            while (reader.Read() is { } message)
            {
                if (message is not RecordingSnapshotMessage snapshot) continue;
                seen++;
                if (snapshot.Position.Count > count) return found;
                found = seen;
            }
            last = reader.End!.Position.Count;
        }
        catch (ProtocolException)
        {
            // Damaged behind: the replay will say so when it comes there.
            return found;
        }
        if (last < count) throw new HostException($"the recording ends at count {last}, before --from {count}");
        return found;
    }

    /// <summary>To be called after a run: whether it found on its disks and media what was there when it was recorded.</summary>
    /// <exception cref="HostException">It did not: what it came to says nothing.</exception>
    public void RequireDisks(RecordedRun run)
    {
        if ((_media.Compare(Timeout.InfiniteTimeSpan) ?? _media.LastError) is { } problem) throw new HostException(problem);
        if (!run.HasDiskFailed) return;
        throw new HostException(Evidence is null ? "a disk image could not be read; check the host's disk and replay again"
            : $"at count {run.Machine.Position.Count} the replay reads a part of a disk that this evidence does not hold: it has gone another way than the backup; give the image as it was, with --hda, to go on");
    }

    public void Dispose() => _media.Dispose();

    private EvidenceNotes? ReadEvidence(RecordingReader reader)
    {
        try
        {
            if (reader.Read() is not RecordingEvidenceMessage evidence) return null;
            var notes = new EvidenceNotes(evidence);
            while (reader.Read() is RecordingPageHashesMessage pages) notes.Add(pages);
            return notes;
        }
        catch (ProtocolException)
        {
            // Said by the replay itself.
            return null;
        }
    }

    private T Checked<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (ProtocolException e)
        {
            throw new HostException($"{_option} {_path}: {e.Message}");
        }
    }

    private MachineConfig ConfigOf(RecordingReader reader)
    {
        try
        {
            MachineConfig config = MachineConfig.Read(reader.Configuration);
            if (config.Hash() != reader.Header.Machine.ConfigurationHash) throw new HostException($"{_option} {_path}: the recording's configuration is damaged");
            return config;
        }
        catch (StateFormatException e)
        {
            throw new HostException($"{_option} {_path}: {e.Message}");
        }
    }

    private void RefuseMachineOptions()
    {
        string? given = _options.Kernel is not null ? "--kernel" : _options.Bios is not null ? "--bios" : _options.Restore is not null ? "--restore" : _options.SaveSnapshot is not null ? "--save-snapshot" : null;
        if (given is not null) throw new UsageException($"{_option} runs the machine that was recorded; leave out {given}");
    }

    private FileStream Open()
    {
        try
        {
            if (Directory.Exists(_path)) throw new HostException($"{_option} {_path} is a directory; give the path of a recording");
            return new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new HostException($"{_option} {_path} does not exist; make a recording with --record {_path}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"{_option} {_path} cannot be read: {e.Message}");
        }
    }
}
