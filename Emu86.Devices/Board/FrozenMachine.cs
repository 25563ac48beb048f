// A running machine as another thread may read it: its RAM as it happens to be, and from the freeze on as it was then although
// the guest goes on writing. The first write to a page that was not read yet keeps what it held (copy on write).
using System.Buffers;
using Emu86.Cpu;
using Emu86.Cpu.Memory;

namespace Emu86.Devices;

/// <summary>Where pages go that do not fit into memory.</summary>
public interface IPageSpill
{
    /// <summary>Keeps a page; each at most once. False: it could not.</summary>
    bool Write(uint page, ReadOnlySpan<byte> content);

    /// <summary>A page that was kept. False: it cannot be read.</summary>
    bool Read(uint page, Span<byte> content);
}

/// <summary>One frozen state of a machine. <see cref="Peek"/>, <see cref="MakeRoom"/>, <see cref="Take"/>, <see cref="SaveHeader"/>, <see cref="SaveRest"/> and
/// <see cref="StateHash"/> are for one other thread, everything else is called where the machine runs. The guest sees nothing of it,
/// and never waits for the reader.</summary>
public sealed unsafe class FrozenMachine : IPageKeeper, IDisposable
{
    private const int PageBytes = 4096;

    // What became of a page since the freeze; from 1 on: it was written, and lies in that slot.
    private const int Untouched = 0, Taken = -1, Spilled = -2;

    private readonly Machine _machine;
    private readonly PhysicalMemory _memory;
    private readonly IPageSpill _spill;
    private readonly int[] _places;
    private readonly HostMemory _slots;
    private readonly int _slotCount;

    // Slots that the reader has done with, as a ring: only the reader adds, only the writer takes. No lock: a reader of low priority
    // that is not let run would hold it.
    private readonly int[] _freed;
    private uint _freedCount, _freedTaken;
    private int _spare;

    // Held by the reader while it copies a page, and by the end: after it no page is looked at. The guest's writes do not need it.
    private readonly Lock _readLock = new();
    private readonly ArrayBufferWriter<byte> _units = new(1 << 16);
    private readonly List<int> _unitBytes = [];
    private int _rehearsed;
    private int _slotsUsed;
    private bool _ended;
    private volatile bool _isIncomplete;

    /// <param name="machine">Any machine that has no other keeper.</param>
    /// <param name="spill">Where pages are kept that the guest overwrites beyond <paramref name="bytesMax"/>.</param>
    /// <param name="bytesMax">How much is kept in memory; at least a page.</param>
    public FrozenMachine(Machine machine, IPageSpill spill, long bytesMax)
    {
        (_machine, _memory, _spill) = (machine, machine.Board.Memory, spill);
        PageCount = _memory.RamBytes >> 12;
        _places = new int[PageCount];
        _slotCount = (int)long.Min(PageCount, bytesMax / PageBytes);
        Check.That(_slotCount > 0);
        _freed = new int[_slotCount];
        // Costs no memory before it is used.
        _slots = new HostMemory((nuint)_slotCount * PageBytes);
    }

    /// <summary>Pages of RAM.</summary>
    public uint PageCount { get; }

    /// <summary>What the guest has overwritten since the freeze could not be kept: there is nothing to read any more.</summary>
    public bool IsIncomplete => _isIncomplete;

    /// <summary>Does a part of <see cref="Freeze"/> for nothing, one unit at a time: code that runs for the first time has to be compiled,
    /// and better not in the pause.</summary>
    /// <returns>False when all was done.</returns>
    public bool Rehearse()
    {
        IReadOnlyList<IStateful> units = _machine.Board.Units;
        if (_rehearsed > units.Count) return false;
        if (_rehearsed < units.Count)
        {
            var writer = new StateWriter(_units);
            units[_rehearsed].Save(ref writer);
        }
        else
        {
            Snapshot.CollectUnits(_machine.Board, _units, _unitBytes);
            _machine.WatchAllPages();
        }
        _rehearsed++;
        return true;
    }

    /// <summary>Before the freeze, on the reader's thread: makes room for pages that the guest will overwrite. What a host has to do when
    /// memory is touched for the first time can take it longer than copying a page there.</summary>
    /// <param name="pages">Counted in the order in which they will come; what is beyond the bound does not matter.</param>
    /// <returns>False after the end.</returns>
    public bool MakeRoom(Range pages)
    {
        lock (_readLock)
        {
            if (_ended) return false;
            for (int slot = pages.Start.Value + 1; slot <= int.Min(pages.End.Value, _slotCount); slot++) Volatile.Write(ref Slot(slot)[0], 0);
            return true;
        }
    }

    /// <summary>The present state is the one to be read from now on. To be called when the events that are due have been fired
    /// (<see cref="Machine.Settle"/>); takes no longer for more memory, but for a byte for each page.</summary>
    public void Freeze()
    {
        Snapshot.CollectUnits(_machine.Board, _units, _unitBytes);
        _memory.Keeper = this;
        _machine.WatchAllPages();
    }

    public void BeforeFirstWrite(uint page)
    {
        ref int place = ref _places[page];
        if (Volatile.Read(ref place) != Untouched || _isIncomplete) return;
        int kept = Keep(page);
        if (kept == Untouched)
        {
            _isIncomplete = true;
            // The reader must see this before it can see the page changed.
            Interlocked.MemoryBarrier();
        }
        // Unless the reader was faster.
        else if (Interlocked.CompareExchange(ref place, kept, Untouched) != Untouched && kept != Spilled) _spare = kept;
    }

    /// <summary>A page as it is now, while the guest may be writing it: it must be read again after the freeze.</summary>
    /// <returns>False after the end.</returns>
    public bool Peek(uint page, Span<byte> content)
    {
        lock (_readLock)
        {
            if (!_ended) _memory.RamPage(page).CopyTo(content);
            return !_ended;
        }
    }

    /// <summary>A page as it was when the machine was frozen; each can be taken once.</summary>
    /// <returns>False when there is nothing to be read any more: after the end, or when <see cref="IsIncomplete"/>.</returns>
    public bool Take(uint page, Span<byte> content)
    {
        lock (_readLock)
        {
            if (_ended) return false;
            ref int place = ref _places[page];
            if (Volatile.Read(ref place) == Untouched)
            {
                _memory.RamPage(page).CopyTo(content);
                // Whoever writes the page changes its place first. So if that is unchanged, all of the copy is from before any write.
                if (Interlocked.CompareExchange(ref place, Taken, Untouched) == Untouched) return !_isIncomplete;
            }
            int kept = place;
            Check.That(kept != Taken);
            place = Taken;
            if (kept == Spilled) return _spill.Read(page, content) && !_isIncomplete;
            Slot(kept).CopyTo(content);
            _freed[_freedCount % _slotCount] = kept;
            Volatile.Write(ref _freedCount, _freedCount + 1);
            return !_isIncomplete;
        }
    }

    /// <summary>The begin of a snapshot of the machine: its configuration. Also before the freeze.</summary>
    public void SaveHeader(IBufferWriter<byte> output) => Snapshot.WriteHeader(_machine.Config, output);

    /// <summary>The rest of a snapshot of the frozen state, without RAM; behind the header it is what <see cref="Machine.EndRestore"/> takes.</summary>
    public void SaveRest(IBufferWriter<byte> output) => Snapshot.WriteRest(_machine.Board, _units.WrittenSpan, _unitBytes, output);

    /// <summary>The hash of a page of a machine's RAM.</summary>
    public static ulong PageHash(uint page, ReadOnlySpan<byte> content) => MemoryHash.HashOf(page, content);

    /// <summary>What <see cref="Machine.StateHash"/> was when the machine was frozen.</summary>
    /// <param name="pageHashes">Of all pages that were taken.</param>
    public UInt128 StateHash(ReadOnlySpan<ulong> pageHashes) => Snapshot.HashOf(MemoryHash.HashOf(pageHashes), _units.WrittenSpan, _unitBytes);

    /// <summary>Gives the machine the hashes of all pages as they were taken: it need not look at them again.</summary>
    public void ReturnHashes(ReadOnlySpan<ulong> pageHashes) => _machine.AdoptPageHashes(pageHashes);

    /// <summary>Nothing more is kept, and nothing more can be read.</summary>
    public void Dispose()
    {
        if (ReferenceEquals(_memory.Keeper, this)) _memory.Keeper = null;
        lock (_readLock)
        {
            if (_ended) return;
            _ended = true;
            _slots.Free();
        }
    }

    private int Keep(uint page)
    {
        int slot = Slot();
        if (slot == 0) return _spill.Write(page, _memory.RamPage(page)) ? Spilled : Untouched;
        _memory.RamPage(page).CopyTo(Slot(slot));
        return slot;
    }

    // Counted from 1; 0: none is free.
    private int Slot()
    {
        if (_spare != 0)
        {
            int slot = _spare;
            _spare = 0;
            return slot;
        }
        if (_freedTaken != Volatile.Read(ref _freedCount)) return _freed[_freedTaken++ % _slotCount];
        return _slotsUsed < _slotCount ? ++_slotsUsed : 0;
    }

    private Span<byte> Slot(int slot) => new(_slots.Start + (nuint)(slot - 1) * PageBytes, PageBytes);
}
