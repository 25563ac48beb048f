// The role --replay: runs a recording and says whether it was the same run.
using System.Diagnostics;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Recording;

/// <summary>Opens a recording, builds its machine, replays it.</summary>
public sealed class Replayer(RunOptions options)
{
    /// <summary>The largest guest memory with room for devices and a kernel.</summary>
    private const ulong StateBytesMax = 5UL << 30;

    private static readonly TimeSpan ProgressEvery = TimeSpan.FromSeconds(5);

    private readonly Report _report = new(options.JsonLog);
    private readonly string _path = options.ReplayFile!;

    /// <returns>The exit code.</returns>
    public int Run()
    {
        RefuseMachineOptions();
        using Stream file = Open();
        try
        {
            return Run(file);
        }
        catch (ProtocolException e)
        {
            throw new HostException($"--replay {_path}: {e.Message}");
        }
    }

    private int Run(Stream file)
    {
        var reader = new RecordingReader(file, StateBytesMax);
        MachineConfig config = ConfigOf(reader);
        EvidenceNotes? evidence = ReadEvidence();
        if (evidence is { Message: { Problem.Length: > 0 } told }) throw new HostException($"--replay {_path}: {evidence.Sentence}; this evidence cannot be replayed: {told.Problem}");
        if (evidence is not null) _report.Say(evidence.Sentence);
        int begin = evidence is not null ? 1 : options.From is { } from ? FindSnapshot(from) : 0;
        OverlayDisk?[] disks = evidence is not null ? RecordingDisks.OpenForEvidence(reader.Header.Machine, config, options)
            : RecordingDisks.OpenFor(reader.Header.Machine, config, options, _report);
        using ISerialTarget serial = SerialTargets.Open(options.Serial, _report.Say);
        var world = new WorldOutputs(options, serial, network: null);
        MediaLibrary.RefuseSurplus(options.Cdrom, config);
        using var media = new MediaLibrary(options.Cdrom);
        using Machine machine = MachineBuilder.Build(config, disks, world, options.Engine, media);
        long said = Stopwatch.GetTimestamp();
        var replay = new Replay(machine, reader, disks)
        {
            Slice = options.Slice,
            AtBoundary = at =>
            {
                serial.Flush();
                if (Stopwatch.GetElapsedTime(said) < ProgressEvery) return;
                said = Stopwatch.GetTimestamp();
                _report.Say($"replay at count {at.Count}, {at.VirtualTimeNs / 1e9:F1} s of guest time");
            },
        };
        using var signals = new Signals(replay.Stop);
        if (begin == 0) replay.Begin();
        else replay.BeginAt(begin);
        MediaLibrary.Require(machine, Timeout.InfiniteTimeSpan);
        if (options.From is not null) _report.Say($"replay begins at count {machine.Position.Count}");
        ulong? until = options.Until ?? options.StopAt;
        if (until < machine.Position.Count) throw new HostException($"the replay begins at count {machine.Position.Count}, after --until {until}");
        ReplayResult result = replay.Run(until);
        serial.Flush();
        if ((media.Compare(Timeout.InfiniteTimeSpan) ?? media.LastError) is { } problem) throw new HostException(problem);
        if (disks.Any(d => d is { Failed: true }))
        {
            throw new HostException(evidence is null ? "a disk image could not be read; check the host's disk and replay again"
                : $"at count {machine.Position.Count} the replay reads a part of a disk that this evidence does not hold: it has gone another way than the backup; give the image as it was, with --hda, to go on");
        }
        if (options.PrintHash) Console.Out.WriteLine($"state-hash {machine.Position.Count} {machine.StateHash():x32}");
        int code = ExitCodeOf(result);
        if (evidence is not null) _report.Say(evidence.Verdict(result, machine));
        return code;
    }

    /// <summary>What evidence says besides the log; null when the file is an ordinary recording, or damaged before that.</summary>
    private EvidenceNotes? ReadEvidence()
    {
        using Stream file = Open();
        try
        {
            var reader = new RecordingReader(file, StateBytesMax);
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

    private int ExitCodeOf(ReplayResult result)
    {
        ulong count = result.Position.Count;
        switch (result.End)
        {
            case ReplayEnd.Complete or ReplayEnd.UntilReached:
                _report.Say($"replayed to count {count}, {result.HashesMatched} state hashes matched");
                return ExitCode.Ok;
            case ReplayEnd.Diverged:
                _report.Say($"diverged at count {count}, {result.Detail}");
                return ExitCode.Diverged;
            case ReplayEnd.EndedBeforeUntil:
                throw new HostException($"the recording ends at count {count}, before the asked count; {result.HashesMatched} state hashes matched");
            case ReplayEnd.Broken:
                throw new HostException($"--replay {_path}: {result.Detail}; replayed what is whole, to count {count}, {result.HashesMatched} state hashes matched");
            default:
                throw new HostException($"the replay was ended at count {count}, before its end; {result.HashesMatched} state hashes matched");
        }
    }

    /// <summary>The ordinal of the last snapshot at or before a count; 0: the start.</summary>
    private int FindSnapshot(ulong count)
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

    private MachineConfig ConfigOf(RecordingReader reader)
    {
        try
        {
            MachineConfig config = MachineConfig.Read(reader.Configuration);
            if (config.Hash() != reader.Header.Machine.ConfigurationHash) throw new HostException($"--replay {_path}: the recording's configuration is damaged");
            return config;
        }
        catch (StateFormatException e)
        {
            throw new HostException($"--replay {_path}: {e.Message}");
        }
    }

    private void RefuseMachineOptions()
    {
        string? given = options.Kernel is not null ? "--kernel" : options.Bios is not null ? "--bios" : options.Restore is not null ? "--restore" : options.SaveSnapshot is not null ? "--save-snapshot" : null;
        if (given is not null) throw new UsageException($"--replay runs the machine that was recorded; leave out {given}");
    }

    private FileStream Open()
    {
        try
        {
            if (Directory.Exists(_path)) throw new HostException($"--replay {_path} is a directory; give the path of a recording");
            return new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new HostException($"--replay {_path} does not exist; make a recording with --record {_path}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"--replay {_path} cannot be read: {e.Message}");
        }
    }
}
