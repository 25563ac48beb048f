// The hash of guest RAM, kept up to date page by page: only pages written since the last hash are hashed again.
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Emu86.Cpu.Memory;

namespace Emu86.Devices;

/// <summary>Hashes RAM incrementally. A share of the clean pages is hashed again each time, so that a flipped bit in an
/// untouched page is found too.</summary>
internal sealed unsafe class MemoryHash(PhysicalMemory memory, Mmu mmu)
{
    private readonly ulong[] _pages = new ulong[memory.RamBytes >> 12];
    private bool _complete;
    private int _scrubAt;
    private int _prepareAt;

    /// <summary>Clean pages that are checked at each hash.</summary>
    public int ScrubPages { get; set; } = 128;

    /// <summary>A clean page whose content is not what it was: memory of the host is failing, or the emulator has a bug. Null: none
    /// was found. The hash takes the page as it is now from the next time on, so that each damage is found once.</summary>
    public uint? DamagedPage { get; set; }

    /// <summary>The hashes of all pages as <see cref="Compute"/> last left them.</summary>
    public ReadOnlySpan<ulong> Pages => _pages;

    public UInt128 Compute()
    {
        bool anyDirty = !_complete;
        for (uint page = 0; page < _pages.Length; page++)
        {
            if (_complete && (memory.Bits[page] & PageBits.Dirty) == 0) continue;
            _pages[page] = HashOf(page);
            memory.Bits[page] &= ~PageBits.Dirty;
            anyDirty = true;
        }
        // Writes to pages that are clean now must be seen again.
        if (anyDirty) mmu.FlushAll();
        _complete = true;
        UInt128 hash = XxHash128.HashToUInt128(MemoryMarshal.AsBytes<ulong>(_pages));
        Scrub();
        return hash;
    }

    /// <summary>Hashes some of the pages that the next <see cref="Compute"/> would have to: it then finds only what was written meanwhile.</summary>
    /// <param name="pagesMax">How many at most.</param>
    /// <returns>False when it has been through all of RAM.</returns>
    public bool Prepare(int pagesMax)
    {
        if (!_complete)
        {
            for (int page = 0; page < _pages.Length; page++) memory.MarkDirty((uint)page);
            (_complete, _prepareAt) = (true, 0);
        }
        int left = pagesMax;
        for (; _prepareAt < _pages.Length && left > 0; _prepareAt++)
        {
            if ((memory.Bits[_prepareAt] & PageBits.Dirty) == 0) continue;
            _pages[_prepareAt] = HashOf((uint)_prepareAt);
            memory.Bits[_prepareAt] &= ~PageBits.Dirty;
            left--;
        }
        if (left < pagesMax) mmu.FlushAll();
        if (_prepareAt < _pages.Length) return true;
        _prepareAt = 0;
        return false;
    }

    /// <summary>Looks at all pages that were not written since the last <see cref="Compute"/>.</summary>
    /// <returns>Those whose content is not what it was.</returns>
    public List<uint> FindDamaged()
    {
        var damaged = new List<uint>();
        for (uint page = 0; _complete && page < _pages.Length; page++)
        {
            if ((memory.Bits[page] & PageBits.Dirty) == 0 && HashOf(page) != _pages[page]) damaged.Add(page);
        }
        return damaged;
    }

    /// <summary>Everything may have changed (a snapshot was loaded).</summary>
    public void Forget() => _complete = false;

    private void Scrub()
    {
        for (int n = 0; n < int.Min(ScrubPages, _pages.Length); n++)
        {
            ulong now = HashOf((uint)_scrubAt);
            if (now != _pages[_scrubAt])
            {
                DamagedPage ??= (uint)_scrubAt;
                _pages[_scrubAt] = now;
            }
            _scrubAt = (_scrubAt + 1) % _pages.Length;
        }
    }

    private ulong HashOf(uint page) => XxHash3.HashToUInt64(memory.RamPage(page), page);
}
