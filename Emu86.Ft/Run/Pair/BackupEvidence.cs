// What a backup keeps for the case that its state differs from the primary's, and how it is written down (docs/ft-protocol.md,
// "Divergence"): the state at the last position at which both were equal, what the disks held where the guest used them since,
// and the log since.
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Evidence of one machine that replays. All members are called on the emulation thread.</summary>
/// <param name="directory">Where evidence is written.</param>
/// <param name="guest">The guest's name.</param>
/// <param name="bytesMax">Bound of all that is kept; what passes it is not kept, and evidence of it cannot be replayed.</param>
public sealed class BackupEvidence(string directory, string guest, long bytesMax) : IDisposable
{
    private readonly long _logBytesMax = bytesMax / 4;
    private readonly KeepingBudget _budget = new(bytesMax - bytesMax / 4);
    private readonly Queue<LogRecord> _log = new();
    private long _logBytes;
    private ulong _missingUpTo;
    private Machine? _machine;
    private KeptState? _state;
    private DiskHistory?[] _disks = [];
    private (Position At, ulong Lsn, UInt128 Hash) _agreed;
    private string? _problem;

    /// <summary>A view of a drive that keeps what a replay will need of it. For the machine that is attached next.</summary>
    public DiskHistory Keep(IBlockStore disk) => new(disk, _budget);

    /// <summary>A machine that replays: equal to the primary's where it stands.</summary>
    /// <param name="machine">Its state hash was just taken.</param>
    /// <param name="disks">Its drives.</param>
    /// <param name="lsn">The last log record that its state contains.</param>
    /// <param name="hash">Of its state.</param>
    /// <param name="problem">Why a replay would not find what it needs; null when it would.</param>
    public void Attach(Machine machine, DiskHistory?[] disks, ulong lsn, UInt128 hash, string? problem = null)
    {
        _state?.Dispose();
        _problem = problem;
        (_machine, _disks, _state) = (machine, disks, new KeptState(machine, _budget));
        Agreed(lsn, hash);
    }

    /// <summary>Another log begins, with another machine or none.</summary>
    public void Clear()
    {
        foreach (DiskHistory? disk in _disks) disk?.Stop();
        _state?.Dispose();
        (_machine, _disks, _state) = (null, [], null);
        _log.Clear();
        (_logBytes, _missingUpTo) = (0, 0);
    }

    /// <summary>A record has come, in the log's order.</summary>
    public void Received(LogRecord record)
    {
        if (record is not (InputRecord or StateHashRecord)) return;
        if (_logBytes + LogBuffer.Size(record) > _logBytesMax)
        {
            _log.Clear();
            (_logBytes, _missingUpTo) = (0, record.Lsn);
            return;
        }
        _log.Enqueue(record);
        _logBytes += LogBuffer.Size(record);
    }

    /// <summary>The machine's state hash was just taken and is the primary's.</summary>
    /// <param name="lsn">The record that said so.</param>
    /// <param name="hash">Of both.</param>
    public void Agreed(ulong lsn, UInt128 hash)
    {
        while (_log.TryPeek(out LogRecord? oldest) && oldest.Lsn <= lsn) _logBytes -= LogBuffer.Size(_log.Dequeue());
        _agreed = (_machine!.Position, lsn, hash);
        _budget.Reset();
        _state!.Begin();
        foreach (DiskHistory? disk in _disks) disk?.Begin();
    }

    /// <summary>Writes the evidence. The machine stands where the states differ, its state hash was just taken.</summary>
    /// <param name="lsn">The record at which it was found.</param>
    /// <param name="epoch">Under which the log was written.</param>
    /// <param name="ownHash">Of the machine's state.</param>
    /// <param name="target">The position that the log names and the execution did not come to; null when hashes differ.</param>
    /// <param name="damagedPage">A page that is known to have changed without being written.</param>
    /// <returns>The file's path, or why there is none.</returns>
    public string Write(ulong lsn, ulong epoch, UInt128 ownHash, Position? target, uint? damagedPage = null)
    {
        Machine machine = _machine!;
        LogRecord[] records = [.. _log.Where(r => r.Lsn > _agreed.Lsn && r.Lsn <= lsn)];
        ReadOnlyMemory<byte> primary = (records.LastOrDefault() as StateHashRecord)?.Units ?? default;
        string what = target is { } position
            ? $"the log goes on at {position}, the machine came to {machine.Position}"
            : UnitHashes.Describe(UnitHashes.Differences(machine.StateHashes(), primary.Span));
        IReadOnlyList<uint> damaged = machine.FindDamagedPages();
        if ((damagedPage ?? machine.TakeDamagedPage()) is { } found && !damaged.Contains(found)) damaged = [found, .. damaged];
        FlippedBit?[] mended = [.. damaged.Select(machine.MendDamagedPage)];
        if (damaged.Count > 0)
        {
            string bits = string.Join(" and ", mended.Where(m => m is not null)) is { Length: > 0 } some ? $": {some} flipped" : "";
            what = $"memory of this host changed without being written, at {UnitHashes.Pages(damaged)}{bits}{(damagedPage is null ? $"; {what}" : "")}";
        }
        string problem = _problem is not null ? _problem
            : Array.Exists(mended, m => m is null) ? "the state at the last equal position cannot be put together again, because memory of the backup's host was damaged"
            : _budget.IsPassed || _missingUpTo > _agreed.Lsn ? $"more than {bytesMax} bytes (--evidence-memory) were changed or received since the last equal position"
            : "";
        var evidence = new RecordingEvidenceMessage("backup", epoch, _agreed.At, machine.Position, what, ownHash, problem);
        var disks = new List<DiskIdentity>();
        for (int n = 0; n < _disks.Length; n++)
        {
            if (_disks[n] is { } disk) disks.Add(Recording.RecordingDisks.IdentityOf(n, disk.IsReadOnly, Guid.Empty));
        }
        return EvidenceFile.Write(directory, guest, machine.Config, disks, evidence, target is null ? machine.PageHashes : [], problem.Length > 0 ? null : writer =>
        {
            var state = new ChunkedBuffer();
            _state!.Save(state);
            var runs = new List<DiskRun>();
            for (int n = 0; n < _disks.Length; n++)
            {
                if (_disks[n] is { } disk) runs.AddRange(disk.Runs(RecordingReader.ChunkBytes).Select(r => new DiskRun(n, r.Lba, r.Data)));
            }
            writer.Snapshot(_agreed.At, _agreed.Hash, state, runs);
            // Copies: a record belongs to one log.
            foreach (LogRecord record in records)
            {
                writer.Append(record switch
                {
                    InputRecord r => new InputRecord(r.Position, r.Input),
                    StateHashRecord r => new StateHashRecord(r.Position, r.Hash, r.Units),
                    _ => throw new InvalidOperationException($"a {record.Type} record in evidence"),
                });
            }
            if (target is { } to) writer.Append(new FrontierRecord(to, 0, 0, 0, 0));
        });
    }

    public void Dispose() => Clear();
}
