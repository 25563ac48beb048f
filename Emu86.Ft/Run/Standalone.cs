// One machine, unprotected; recorded when asked for.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Host.Net;
using Emu86.Ft.Host.Status;
using Emu86.Ft.Replication;
using Emu86.Ft.Run.Recording;

namespace Emu86.Ft.Run;

/// <summary>The role without a name, and --record: run until the guest is off, the stop is reached, or a signal comes.</summary>
public sealed class Standalone(RunOptions options)
{
    private readonly Report _report = new(options.JsonLog);
    private DiskPatience? _patience;

    public int Run()
    {
        OverlayDisk?[] overlays = options.RecordFile is null ? [] : RecordingDisks.Open(options);
        IBlockStore?[] disks = options.RecordFile is null ? MachineBuilder.OpenDisks(options) : overlays;
        try
        {
            return Run(disks, overlays);
        }
        finally
        {
            foreach (IBlockStore? disk in disks) (disk as IDisposable)?.Dispose();
        }
    }

    private int Run(IBlockStore?[] disks, OverlayDisk?[] overlays)
    {
        _patience = options.OnDiskError == DiskErrorAction.Stop ? new DiskPatience(_report.Say) : null;
        // A recording writes nothing to its images: it needs no epoch.
        using SoleOwner? owner = options.RecordFile is null ? SoleOwner.Claim(options, _report) : null;
        if (owner is not null) _report.Say($"role standalone epoch {owner.Epoch}, the disk belongs to the guest '{owner.Guest}'");
        using var media = new MediaLibrary(options.Cdrom);
        SnapshotFile? snapshot = options.Restore is { } file ? SnapshotFile.Read(file) : null;
        MachineConfig config = snapshot is null ? MachineBuilder.Configure(options, disks, media) : snapshot.ConfigFor(disks, options.Cdrom);
        using IHostNetwork? network = Networks.Open(options);
        using ISerialTarget serial = SerialTargets.Open(options.Serial, _report.Say);
        var world = new WorldOutputs(options, serial, network);
        using Machine machine = MachineBuilder.Build(config, PatientDisk.Over(disks, _patience), world, options.Engine, media);
        snapshot?.RestoreTo(machine);
        SnapshotFile.CheckOptions(options, machine);
        var inputs = new InputQueue();
        // Someone may answer: a network, or a person at the console. A file or pipe on standard input is read, but waits for nobody.
        bool interactive = options.Net != NetKind.None || options.Serial.StartsWith("tcp:", StringComparison.Ordinal)
            || (options.Serial == "stdio" && !Console.IsInputRedirected);
        bool fixedClock = options.FixedClock ?? (options.RtcBase is not null && !interactive);
        var settings = new LiveSettings(options.Slice, options.StopAt ?? ulong.MaxValue, fixedClock, Paced: !fixedClock || interactive)
        {
            // A snapshot's time goes on from where it was saved.
            PowerOnUnixNs = snapshot is null ? config.PowerOnUnixNs : null,
        };
        using RecordingFile? recording = options.RecordFile is { } record ? RecordingFile.Create(record) : null;
        LiveLoop? loop = null;
        Recorder? recorder = recording is null ? null : NewRecorder(machine, overlays, recording, serial.Flush, () => loop!.Stop(), f => SayDiskError(f, disks, media));
        loop = new LiveLoop(machine, inputs, settings, recorder as IRunLog ?? new FlushAtBoundary(serial, f => SayDiskError(f, disks, media)))
        {
            DebtDropped = t => _report.Say($"the host stood still for {t.TotalSeconds:F1} s; the guest does not catch up"),
            Waited = _patience is null ? null : _patience.TakeWaited,
        };
        if (options.SaveSnapshot is { } save && options.SaveSnapshotAt is { } at) loop.At.Add(at, () => SnapshotFile.Write("--save-snapshot", save, machine));
        using StatusServer? status = options.Status is { } statusAt ? Serve(statusAt, machine, inputs, loop) : null;
        if (owner is not null) loop.EachTurn += () => owner.Turn(loop.Stop);
        using var signals = new Signals(() =>
        {
            _patience?.End();
            loop.Stop();
        });
        network?.Start(inputs.Frame);
        serial.Start(bytes => inputs.Put(InputEvent.SerialBytes(0, bytes)));
        LiveEnd end = loop.Run();
        serial.Flush();
        recorder?.End();
        if (recorder is not null) _report.Say($"recorded to count {machine.Position.Count}, {recording!.Bytes} bytes with {recorder.Hashes} state hashes, in {options.RecordFile}");
        bool isWhole = DiskErrors.Flush(disks, _report.Say) && _patience is not { HasGivenUp: true };
        owner?.End();
        if (options.SaveSnapshot is { } last && options.SaveSnapshotAt is null && _patience is not { HasGivenUp: true }) SnapshotFile.Write("--save-snapshot", last, machine);
        if (options.PrintHash) Console.Out.WriteLine($"state-hash {machine.Position.Count} {machine.StateHash():x32}");
        if (loop.At.Count > 0)
        {
            _report.Say($"the run ended at count {machine.Position.Count}, before count {options.SaveSnapshotAt}: no snapshot was written");
            return ExitCode.Failure;
        }
        if (owner is { IsLost: true }) return ExitCode.HaltedByOther;
        int code = ExitCodeOf(end, machine, world);
        return code == ExitCode.Ok && (serial.HasFailed || !isWhole) ? ExitCode.Failure : code;
    }

    private StatusServer Serve(Endpoint at, Machine machine, InputQueue inputs, LiveLoop loop)
    {
        var board = new StatusBoard();
        loop.EachTurn = () =>
        {
            if (board.IsDue) board.Publish(new StatusView { Role = "standalone", Position = machine.Position, Paused = loop.Paused, Instructions = loop.Busy.Instructions, Engine = StatusView.EngineOf(machine) });
        };
        var control = new ControlPanel(machine, inputs, loop, loop.Stop, options.StateDir ?? ".") { Patience = _patience };
        return new StatusServer(at, TlsIdentity.Of(options), _report.Say, () => board.View with { DiskProblem = _patience?.Problem }, control.Do);
    }

    private Recorder NewRecorder(Machine machine, OverlayDisk?[] disks, RecordingFile file, Action flush, Action stop, Action<DiskFailure> diskError)
    {
        var identity = new MachineIdentity(options.Name, Guid.NewGuid(), machine.Config.Hash(), "", RecordingDisks.Identify(disks, _report));
        if (identity.Disks.Count > 0) _report.Say("while recording, disk writes are kept in memory and forgotten at the end");
        return new Recorder(machine, disks, identity, file, new RecorderSettings((ulong)options.HashEveryMs * 1_000_000)) { AtBoundary = flush, Broken = stop, DiskError = diskError };
    }

    private void SayDiskError(DiskFailure failure, IBlockStore?[] disks, MediaLibrary media) => _report.SayOnce(DiskErrors.Sentence(failure, disks[failure.Drive], media));

    private int ExitCodeOf(LiveEnd end, Machine machine, WorldOutputs world)
    {
        switch (end)
        {
            case LiveEnd.Dead:
                _report.Say($"the guest is halted at count {machine.Position.Count} and nothing can wake it");
                return options.StopAt is null ? ExitCode.Ok : ExitCode.Failure;
            case LiveEnd.Ended:
                return world.GuestExitCode ?? ExitCode.Ok;
            default:
                return ExitCode.Ok;
        }
    }

    /// <summary>Serial output becomes visible at slice boundaries.</summary>
    private sealed class FlushAtBoundary(ISerialTarget serial, Action<DiskFailure> diskError) : IRunLog
    {
        public void DiskFailed(Position at, DiskFailure failure) => diskError(failure);

        public void Input(Position at, InputEvent input)
        {
        }

        public bool WantsHash(Position at) => false;

        public void Hash(Position at, UInt128 hash)
        {
        }

        public void Boundary(Position at, bool idle) => serial.Flush();
    }
}
