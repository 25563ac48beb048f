// The log of a run that is recorded: inputs, hashes and snapshots go to a file (docs/determinism.md).
using System.Buffers;
using System.Buffers.Binary;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;
using MessagePack;

namespace Emu86.Ft.Run.Recording;

/// <summary>How often a recording holds what.</summary>
/// <param name="HashEveryNs">Guest time between state hashes.</param>
/// <param name="SnapshotEveryNs">Least guest time between snapshots.</param>
/// <param name="SnapshotEveryCount">Least number of instructions between snapshots: fewer are replayed in a moment.</param>
/// <param name="SnapshotBytesPerSecond">Snapshots take at most so much of the file per second of guest time.</param>
public sealed record RecorderSettings(ulong HashEveryNs, ulong SnapshotEveryNs = 10_000_000_000, ulong SnapshotEveryCount = 100_000_000, ulong SnapshotBytesPerSecond = 4 << 20);

/// <summary>Writes a recording of a live run.</summary>
public sealed class Recorder : IRunLog
{
    private readonly Machine _machine;
    private readonly IReadOnlyList<OverlayDisk?> _disks;
    private readonly RecordingFile _file;
    private readonly RecorderSettings _settings;
    private readonly ArrayBufferWriter<byte> _frames = new(4096);
    private readonly RecordingWriter _writer;
    private ulong _nextHashNs;
    private (ulong Ns, ulong Count) _nextSnapshot;

    /// <param name="machine">At power-on, or restored from a snapshot.</param>
    /// <param name="disks">The machine's disks; nothing was written to them yet.</param>
    /// <param name="identity">Name and disks of the machine.</param>
    /// <param name="file">Where to.</param>
    /// <param name="settings">How often.</param>
    public Recorder(Machine machine, IReadOnlyList<OverlayDisk?> disks, MachineIdentity identity, RecordingFile file, RecorderSettings settings)
    {
        _machine = machine;
        _disks = disks;
        _file = file;
        _settings = settings;
        var state = new ChunkedBuffer();
        if (machine.Position != Position.PowerOn) machine.Save(state);
        _writer = new RecordingWriter(_frames, identity, MessagePackSerializer.Serialize(machine.Config), machine.Position, state);
        _nextHashNs = machine.Position.VirtualTimeNs + settings.HashEveryNs;
        PlanSnapshot(machine.Position, (ulong)state.Length);
        HandOver();
    }

    /// <summary>Called at each slice boundary, before anything is written.</summary>
    public Action? AtBoundary { get; init; }

    /// <summary>Called when the recording cannot go on: <see cref="Problem"/> says why. Must end the run.</summary>
    public Action? Broken { get; init; }

    /// <summary>Why the recording cannot go on, as a sentence; null while it can.</summary>
    public string? Problem => _file.Failure;

    /// <summary>Told of each disk error that the guest has seen.</summary>
    public Action<DiskFailure>? DiskError { get; init; }

    /// <summary>State hashes written so far.</summary>
    public ulong Hashes { get; private set; }

    public void Input(Position at, InputEvent input) => _writer.Append(new InputRecord(at, input));

    public void DiskFailed(Position at, DiskFailure failure)
    {
        _writer.Append(new InputRecord(at, failure.AsInput()));
        DiskError?.Invoke(failure);
    }

    public bool WantsHash(Position at) => at.VirtualTimeNs >= _nextHashNs;

    public void Hash(Position at, UInt128 hash)
    {
        _writer.Append(new StateHashRecord(at, hash));
        IReadOnlyList<(string Unit, UInt128 Hash)> units = _machine.StateHashes();
        byte[] bytes = new byte[16 * units.Count];
        for (int n = 0; n < units.Count; n++) BinaryPrimitives.WriteUInt128LittleEndian(bytes.AsSpan(16 * n), units[n].Hash);
        _writer.UnitHashes(bytes);
        _nextHashNs = at.VirtualTimeNs + _settings.HashEveryNs;
        Hashes++;
    }

    public void Boundary(Position at, bool idle)
    {
        AtBoundary?.Invoke();
        if (at.VirtualTimeNs >= _nextSnapshot.Ns && at.Count >= _nextSnapshot.Count) TakeSnapshot(at);
        HandOver();
        if (Problem is not null) Broken?.Invoke();
    }

    /// <summary>Ends the recording in good order.</summary>
    /// <exception cref="HostException">It could not be written.</exception>
    public void End()
    {
        if (Problem is null)
        {
            Settle(_machine.Position);
            Hash(_machine.Position, _machine.StateHash());
            _writer.End(_machine.Position);
            HandOver();
        }
        _file.Complete();
        if (Problem is { } problem) throw new HostException(problem);
    }

    // A disk error in the events that are due here stands before the hash of what they leave.
    private void Settle(Position at)
    {
        _machine.Settle();
        foreach (DiskFailure failure in _machine.TakeDiskFailures()) DiskFailed(at, failure);
    }

    private void TakeSnapshot(Position at)
    {
        Settle(at);
        var state = new ChunkedBuffer();
        UInt128 hash = _machine.StateHash();
        _machine.Save(state);
        long diskBytes = _disks.Sum(d => d?.ChangedBytes ?? 0);
        _writer.Snapshot(at, hash, state, diskBytes, _disks.SelectMany((d, n) => d is null ? [] : d.TakeChanged(RecordingReader.ChunkBytes).Select(r => new DiskRun(n, r.Lba, r.Data))), HandOver);
        PlanSnapshot(at, (ulong)(state.Length + diskBytes));
    }

    private void PlanSnapshot(Position at, ulong bytes)
    {
        ulong pauseNs = ulong.Max(_settings.SnapshotEveryNs, bytes * 1000 / _settings.SnapshotBytesPerSecond * 1_000_000);
        _nextSnapshot = (at.VirtualTimeNs + pauseNs, at.Count + _settings.SnapshotEveryCount);
    }

    private void HandOver()
    {
        if (_frames.WrittenCount == 0) return;
        _file.Write(_frames.WrittenSpan.ToArray());
        _frames.ResetWrittenCount();
    }
}
