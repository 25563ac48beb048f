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

    /// <summary>Clean pages that are checked at each hash.</summary>
    public int ScrubPages { get; set; } = 128;

    /// <summary>A clean page whose content is not what it was: memory of the host is failing, or the emulator has a bug. -1: none.</summary>
    public int DamagedPage { get; private set; } = -1;

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
        Scrub();
        return XxHash128.HashToUInt128(MemoryMarshal.AsBytes<ulong>(_pages));
    }

    /// <summary>Everything may have changed (a snapshot was loaded).</summary>
    public void Forget() => _complete = false;

    private void Scrub()
    {
        for (int n = 0; n < int.Min(ScrubPages, _pages.Length); n++)
        {
            if (HashOf((uint)_scrubAt) != _pages[_scrubAt]) DamagedPage = _scrubAt;
            _scrubAt = (_scrubAt + 1) % _pages.Length;
        }
    }

    private ulong HashOf(uint page) => XxHash3.HashToUInt64(memory.RamPage(page), page);
}
