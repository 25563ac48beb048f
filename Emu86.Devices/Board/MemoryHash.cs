// The hash of guest RAM, kept up to date page by page: only pages written since the last hash are hashed again.
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Emu86.Cpu.Memory;

namespace Emu86.Devices;

/// <param name="Address">Physical, of the byte.</param>
/// <param name="Bit">0 to 7.</param>
public readonly record struct FlippedBit(uint Address, int Bit)
{
    public override string ToString() => $"bit {Bit} of the byte at {Address:x}h";
}

/// <summary>Hashes RAM incrementally. A share of the clean pages is hashed again each time, so that a flipped bit in an
/// untouched page is found too.</summary>
internal sealed unsafe class MemoryHash(PhysicalMemory memory, Mmu mmu)
{
    private readonly ulong[] _pages = new ulong[memory.RamBytes >> 12];
    private bool _complete;
    private bool _awaitsPages;
    private int _scrubAt;
    private (uint Page, ulong Was)? _damaged;

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
        (_complete, _awaitsPages) = (true, false);
        UInt128 hash = HashOf(_pages);
        Scrub();
        return hash;
    }

    /// <summary>Every page counts as clean from now on, and its first write is seen. What the pages hash to is not known until
    /// <see cref="Adopt"/>; a hash that is wanted before that looks at all of them.</summary>
    public void BeginAnew()
    {
        for (int page = 0; page < _pages.Length; page++) memory.Bits[page] &= ~PageBits.Dirty;
        mmu.FlushAll();
        (_complete, _awaitsPages) = (false, true);
    }

    /// <summary>What the pages held when <see cref="BeginAnew"/> was called hashes to this. Ignored when a hash was wanted meanwhile.</summary>
    public void Adopt(ReadOnlySpan<ulong> pages)
    {
        if (!_awaitsPages) return;
        pages.CopyTo(_pages);
        (_complete, _awaitsPages) = (true, false);
    }

    /// <summary>All of RAM is zero, and changes by <see cref="Put"/> only, until <see cref="EndPut"/>.</summary>
    public void BeginPut()
    {
        Span<byte> zeros = stackalloc byte[4096];
        zeros.Clear();
        BeginAnew();
        for (uint page = 0; page < _pages.Length; page++) _pages[page] = HashOf(page, zeros);
    }

    /// <summary>A page was given this content.</summary>
    public void Put(uint page, ReadOnlySpan<byte> content) => _pages[page] = HashOf(page, content);

    /// <summary>The hashes are those of what RAM holds.</summary>
    public void EndPut() => (_complete, _awaitsPages) = (true, false);

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

    /// <summary>Puts right a damaged page, when one bit that flipped explains its hash.</summary>
    /// <returns>That bit; null when it is not one bit, or no such page.</returns>
    public FlippedBit? Mend(uint page)
    {
        ulong was = _damaged is { } found && found.Page == page ? found.Was : _pages[page];
        Span<byte> content = memory.RamPage(page);
        for (int n = 0; n < 8 * content.Length; n++)
        {
            content[n >> 3] ^= (byte)(1 << (n & 7));
            if (HashOf(page) == was)
            {
                _pages[page] = was;
                return new((page << 12) + (uint)(n >> 3), n & 7);
            }
            content[n >> 3] ^= (byte)(1 << (n & 7));
        }
        return null;
    }

    /// <summary>Everything may have changed (a snapshot was loaded).</summary>
    public void Forget() => (_complete, _awaitsPages) = (false, false);

    /// <summary>The hash of a page with this content.</summary>
    public static ulong HashOf(uint page, ReadOnlySpan<byte> content) => XxHash3.HashToUInt64(content, page);

    /// <summary>The hash of a memory whose pages have these hashes.</summary>
    public static UInt128 HashOf(ReadOnlySpan<ulong> pages) => XxHash128.HashToUInt128(MemoryMarshal.AsBytes(pages));

    private void Scrub()
    {
        for (int n = 0; n < int.Min(ScrubPages, _pages.Length); n++)
        {
            ulong now = HashOf((uint)_scrubAt);
            if (now != _pages[_scrubAt])
            {
                if (DamagedPage is null) (DamagedPage, _damaged) = ((uint)_scrubAt, ((uint)_scrubAt, _pages[_scrubAt]));
                _pages[_scrubAt] = now;
            }
            _scrubAt = (_scrubAt + 1) % _pages.Length;
        }
    }

    private ulong HashOf(uint page) => HashOf(page, memory.RamPage(page));
}
