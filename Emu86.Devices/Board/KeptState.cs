// What a machine was at an earlier position: its units' bytes as they were, and of every RAM page written since then what it
// held before. From these a snapshot of that position can still be written when the machine has run on.
using System.Buffers;
using Emu86.Cpu.Memory;

namespace Emu86.Devices;

/// <summary>A bound in bytes that several keepers share.</summary>
/// <param name="bytesMax">More is not kept.</param>
public sealed class KeepingBudget(long bytesMax)
{
    public long BytesMax => bytesMax;

    public long Bytes { get; private set; }

    /// <summary>Something could not be kept since the last <see cref="Reset"/>.</summary>
    public bool IsPassed { get; private set; }

    /// <summary>False when there is no room, and from then on.</summary>
    public bool Take(long bytes)
    {
        if (IsPassed || Bytes + bytes > bytesMax)
        {
            IsPassed = true;
            return false;
        }
        Bytes += bytes;
        return true;
    }

    public void Reset() => (Bytes, IsPassed) = (0, false);
}

/// <summary>Keeps one earlier state of a machine. A machine has at most one keeper.</summary>
public sealed class KeptState : IPageKeeper, IDisposable
{
    private const int PageBytes = 4096;
    private const int PageCost = PageBytes + 64;

    private readonly Machine _machine;
    private readonly KeepingBudget _budget;
    private readonly Dictionary<uint, byte[]> _pages = [];
    private readonly Stack<byte[]> _free = new();
    private readonly ArrayBufferWriter<byte> _units = new(1 << 16);
    private readonly List<int> _unitBytes = [];

    public KeptState(Machine machine, KeepingBudget budget)
    {
        (_machine, _budget) = (machine, budget);
        machine.Board.Memory.Keeper = this;
    }

    /// <summary>Where <see cref="Begin"/> was called.</summary>
    public Position Position { get; private set; }

    /// <summary>Pages written since <see cref="Begin"/>.</summary>
    public int Pages => _pages.Count;

    /// <summary>The present state is the one to keep from now on. To be called directly after <see cref="Machine.StateHash"/>, which
    /// leaves no page unseen; the budget has been reset.</summary>
    public void Begin()
    {
        foreach (byte[] page in _pages.Values) _free.Push(page);
        _pages.Clear();
        Position = _machine.Position;
        Snapshot.CollectUnits(_machine.Board, _units, _unitBytes);
        _budget.Take(_units.WrittenCount);
    }

    public void BeforeFirstWrite(uint page)
    {
        if (_pages.ContainsKey(page)) return;
        if (!_budget.Take(PageCost))
        {
            _pages.Clear();
            _free.Clear();
            return;
        }
        byte[] kept = _free.TryPop(out byte[]? again) ? again : new byte[PageBytes];
        _machine.Board.Memory.RamPage(page).CopyTo(kept);
        _pages.Add(page, kept);
    }

    /// <summary>Writes a snapshot of the kept state. Not when the budget was passed.</summary>
    public void Save(IBufferWriter<byte> output)
    {
        PhysicalMemory memory = _machine.Board.Memory;
        Snapshot.Write(_machine.Board, _machine.Config, _units.WrittenSpan, _unitBytes, page => _pages.TryGetValue(page, out byte[]? kept) ? kept : memory.RamPage(page), output);
    }

    /// <summary>Nothing more is kept.</summary>
    public void Dispose()
    {
        _pages.Clear();
        _free.Clear();
        if (ReferenceEquals(_machine.Board.Memory.Keeper, this)) _machine.Board.Memory.Keeper = null;
    }
}
