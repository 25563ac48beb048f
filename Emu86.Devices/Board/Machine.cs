// The machine as its drivers see it: run, inject, outputs, position, snapshot, restore, hash. Standalone runs, recording,
// replaying, primary, backup, tests and benchmarks are all drivers over this face; none has a copy of the loop.
using System.Buffers;
using Emu86.Chipset;
using Emu86.Cpu;
using Emu86.Devices.Ide;

namespace Emu86.Devices;

/// <summary>Why <see cref="Machine.RunUntil"/> returned.</summary>
public enum StopReason
{
    /// <summary>The asked position was reached.</summary>
    Limit,

    /// <summary>Halted, and nothing that is scheduled happens before the time up to which idling was allowed.</summary>
    Idle,

    /// <summary>The guest switched itself off. Stays so.</summary>
    PoweredOff,

    /// <summary>The guest ended the run through isa-debug-exit, or was reset with <see cref="MachineConfig.NoReboot"/>. Stays so.</summary>
    Ended,

    /// <summary>The host could not do a request of a disk: <see cref="Machine.TakeDiskFailures"/>. The guest has been told.</summary>
    DiskFailed,

    /// <summary>A drive is to flush what may not be durable yet (<see cref="IBlockStore.MayFlush"/>): virtual time stands still until it may.</summary>
    WaitsForDisk,

    /// <summary>The asked position cannot be reached: this execution is not the one that the position is from.</summary>
    Unreachable,
}

/// <summary>Where a machine's outputs go. Called on the emulation thread; must not call back into the machine.</summary>
public interface IOutputSink
{
    void Emit(Output output);
}

/// <summary>A whole PC. Single-threaded; all members are to be called between runs.</summary>
public sealed class Machine : IDisposable
{
    private readonly Board _board;
    private readonly MemoryHash _memoryHash;
    private readonly ArrayBufferWriter<byte> _hashed = new(4096);

    /// <param name="config">Checked by <see cref="MachineConfigCheck"/> beforehand.</param>
    /// <param name="disks">Four drives, null where <see cref="MachineConfig.DriveSectors"/> is 0.</param>
    /// <param name="outputs">Where outputs go.</param>
    /// <param name="media">What can lie in the CD-ROM drive; needed when there is one.</param>
    public Machine(MachineConfig config, IReadOnlyList<IBlockStore?> disks, IOutputSink outputs, IMediumStore? media = null)
    {
        Config = config;
        Media = media;
        _board = new Board(config, disks, outputs, media);
        _memoryHash = new MemoryHash(_board.Memory, _board.Processor.Mmu);
    }

    public MachineConfig Config { get; }

    /// <summary>What can lie in the CD-ROM drive, as it was given.</summary>
    public IMediumStore? Media { get; }

    /// <summary>The parts, for views (screen, debugger) and tests; drivers need nothing of it.</summary>
    public Board Board => _board;

    public Position Position => new(_board.Processor.InstructionCount, _board.Clock.NowNs);

    /// <summary>HLT with nothing pending.</summary>
    public bool IsHalted => _board.Processor.IsHalted;

    /// <summary>Halted with interrupts off: no device can wake it.</summary>
    public bool IsDeaf => _board.Processor.IsDeaf;

    /// <summary>A flush is due that has to wait: until it need not, nothing that fires events (an input, a hash, a snapshot) may be done here.</summary>
    public bool WaitsForDisk => _board.Ide.WaitsToFlush(_board.Clock.NowNs);

    /// <summary>Powered off, or ended otherwise: no run gets any further.</summary>
    public bool IsOver => _board.Ended is not null;

    /// <summary>Whether the input would find room in its device now. A live driver keeps it back otherwise, for a bounded time.</summary>
    public bool HasRoomFor(InputEvent input) => input.Kind switch
    {
        InputKind.NetFrame => _board.Nic is not { HasRoom: false },
        InputKind.SerialBytes => (input.Unit == 0 ? _board.Com1 : _board.Com2).CanReceive >= input.Data.Length,
        _ => true,
    };

    /// <summary>Virtual nanoseconds of the next scheduled device event; <see cref="ulong.MaxValue"/> when there is none.</summary>
    public ulong NextEventNs => _board.Events.NextDueNs;

    /// <summary>Nanoseconds per instruction, 32.32 fixed point.</summary>
    public ulong ClockRate => _board.Clock.Rate;

    /// <summary>Runs until a position is reached; at that boundary nothing happens yet: no event, input or interrupt.</summary>
    /// <param name="limit">While the count is reached but the time is not, the processor is halted there and time is skipped.</param>
    /// <param name="idleUntilNs">Up to where halted time may be skipped: wall time for a live machine, no bound for a fixed
    /// clock or a replay.</param>
    public StopReason RunUntil(Position limit, ulong idleUntilNs = ulong.MaxValue)
    {
        int failed = _board.DiskFailures.Count;
        while (true)
        {
            if (_board.DiskFailures.Count > failed) return StopReason.DiskFailed;
            if (_board.Ended is { } ended) return ended;
            Position now = Position;
            if (now >= limit) return now.Count > limit.Count ? StopReason.Unreachable : StopReason.Limit;
            if (_board.Ide.WaitsToFlush(now.VirtualTimeNs)) return StopReason.WaitsForDisk;
            _board.Events.FireDue(now.VirtualTimeNs);
            if (_board.DiskFailures.Count > failed) return StopReason.DiskFailed;
            if (_board.PerformRequests()) continue;
            ulong due = _board.Events.NextDueNs;
            if (now.Count == limit.Count)
            {
                if (!IsHalted) return StopReason.Unreachable;
                ulong target = ulong.Min(ulong.Min(due, limit.VirtualTimeNs), idleUntilNs);
                if (target <= now.VirtualTimeNs) return StopReason.Idle;
                _board.Clock.SkipTo(target);
                continue;
            }
            RunResult result = _board.Processor.Run(ulong.Min(limit.Count, due == ulong.MaxValue ? ulong.MaxValue : _board.Clock.CountAt(due)));
            switch (result)
            {
                case RunResult.Shutdown:
                    // A triple fault: the board's logic answers the shutdown cycle with a reset (PIIX3 datasheet).
                    _board.RequestReset();
                    break;
                case RunResult.Halted when due > idleUntilNs || due == ulong.MaxValue:
                    if (idleUntilNs != ulong.MaxValue && idleUntilNs > Position.VirtualTimeNs) _board.Clock.SkipTo(idleUntilNs);
                    return StopReason.Idle;
                case RunResult.Halted:
                    _board.Clock.SkipTo(ulong.Max(due, Position.VirtualTimeNs));
                    break;
            }
        }
    }

    /// <summary>Lets an input take effect at the current position, after the events that are due there. The result of a disk's request
    /// comes before them, since the request may be one of theirs; but a second one of the same position is of a later request than theirs.</summary>
    public void Inject(InputEvent input)
    {
        if (input.Kind != InputKind.DiskResult || _board.Ide.HasGiven(input.Unit)) Settle();
        _board.Apply(input);
    }

    /// <summary>Fires the events that are due at the current position, as every input, hash and snapshot does first.</summary>
    public void Settle() => _board.Events.FireDue(_board.Clock.NowNs);

    /// <summary>Requests of disks that the host could not do since the last call. The guest has seen each as the drive's error; a log that
    /// is to repeat the execution needs <see cref="DiskFailure.AsInput"/> at a position before it.</summary>
    public IReadOnlyList<DiskFailure> TakeDiskFailures()
    {
        if (_board.DiskFailures.Count == 0) return [];
        DiskFailure[] taken = [.. _board.DiskFailures];
        _board.DiskFailures.Clear();
        return taken;
    }

    /// <summary>128 bits over the whole state, after the events that are due at the current position. Equal states have equal
    /// hashes on every host and engine.</summary>
    public UInt128 StateHash() => StateHash(out _);

    /// <param name="units">The hash of each part, to name what differs.</param>
    public UInt128 StateHash(out IReadOnlyList<(string Unit, UInt128 Hash)> units)
    {
        Settle();
        units = Snapshot.HashesOf(_board, _memoryHash.Compute(), _hashed);
        return Snapshot.HashOf(units);
    }

    /// <summary>The hash of each part, to name what differs.</summary>
    public IReadOnlyList<(string Unit, UInt128 Hash)> StateHashes()
    {
        _ = StateHash(out IReadOnlyList<(string, UInt128)> units);
        return units;
    }

    /// <summary>The hashes of all pages of RAM, 4 KiB each, as <see cref="StateHash"/> last found them.</summary>
    public ReadOnlySpan<ulong> PageHashes => _memoryHash.Pages;

    /// <summary>RAM pages not written since <see cref="StateHash"/> whose content has changed all the same: the host's memory is failing,
    /// or the emulator writes where it should not. Looks at all of them.</summary>
    public IReadOnlyList<uint> FindDamagedPages() => _memoryHash.FindDamaged();

    /// <summary>Puts such a page right where one bit that flipped explains its hash (some ten milliseconds); returns the bit, or null.</summary>
    public FlippedBit? MendDamagedPage(uint page) => _memoryHash.Mend(page);

    /// <summary>Such a page that a state hash came across since the last call; null when there was none.</summary>
    public uint? TakeDamagedPage()
    {
        uint? page = _memoryHash.DamagedPage;
        _memoryHash.DamagedPage = null;
        return page;
    }

    /// <summary>How many clean pages each state hash looks at again.</summary>
    public int ScrubPages
    {
        get => _memoryHash.ScrubPages;
        set => _memoryHash.ScrubPages = value;
    }

    /// <summary>Each part's bytes as a snapshot holds them, RAM apart: to say what differs between two machines.</summary>
    public IReadOnlyList<(string Unit, byte[] State)> SaveUnits()
    {
        Settle();
        return Snapshot.SaveUnits(_board);
    }

    /// <summary>Writes the whole state (with the configuration). Disk contents are not part of it.</summary>
    public void Save(IBufferWriter<byte> output)
    {
        Settle();
        Snapshot.Write(_board, Config, output);
    }

    /// <summary>Takes over a state that a machine of the same configuration saved. Throws <see cref="StateFormatException"/>.</summary>
    public void Restore(ReadOnlySequence<byte> snapshot)
    {
        Snapshot.Read(_board, Config, snapshot);
        _memoryHash.Forget();
    }

    /// <summary>Takes over a state whose RAM comes page by page: from here it is all zero, <see cref="RestorePage"/> may change any
    /// page as often as needed, and <see cref="EndRestore"/> completes the state. Until then nothing else may be done.</summary>
    public void BeginRestore()
    {
        Snapshot.ClearRam(_board);
        _memoryHash.BeginPut();
    }

    /// <summary>What a page of RAM holds.</summary>
    /// <param name="page">Below the number of pages of RAM.</param>
    /// <param name="content">4096 bytes.</param>
    /// <exception cref="StateFormatException">There is no such page, or the content is not a page.</exception>
    public void RestorePage(ulong page, ReadOnlySpan<byte> content)
    {
        if (page >= _board.Memory.RamBytes >> 12 || content.Length != 4096) throw new StateFormatException($"RAM page {page} of {content.Length} bytes came, which the machine does not have");
        content.CopyTo(_board.Memory.RamPage((uint)page));
        _memoryHash.Put((uint)page, content);
    }

    /// <summary>Takes over the rest: a snapshot without RAM.</summary>
    /// <exception cref="StateFormatException">It is damaged, or of another machine.</exception>
    public void EndRestore(ReadOnlySequence<byte> snapshot)
    {
        Snapshot.Read(_board, Config, snapshot, keepsRam: true);
        _memoryHash.EndPut();
    }

    /// <summary>The first write to each RAM page from now on is told to the memory's keeper.</summary>
    internal void WatchAllPages() => _memoryHash.BeginAnew();

    /// <summary>What RAM held at <see cref="WatchAllPages"/>, so that the next state hash need not look at it again.</summary>
    internal void AdoptPageHashes(ReadOnlySpan<ulong> pages) => _memoryHash.Adopt(pages);

    public void Dispose() => _board.Dispose();
}
