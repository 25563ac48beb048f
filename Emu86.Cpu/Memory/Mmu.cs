// Paging: page walks, the software TLBs, and what keeps them from ever being stale (SDM vol. 3, ch. 4).
//
// The guest sees no stale translation: pages that walks have read are marked, and a write to one drops the entries
// derived from it before the next access (docs/determinism.md). So TLB contents are never state.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Memory;

/// <summary>How a page walk ended.</summary>
public struct Translation
{
    /// <summary>Physical address of the page.</summary>
    public uint Page;

    /// <summary>Whether a write at this privilege needs no further walk (writable and already dirty).</summary>
    public bool WriteReady;
}

/// <summary>The paging unit of one processor.</summary>
public sealed unsafe partial class Mmu
{
    public const uint ErrorPresent = 1, ErrorWrite = 2, ErrorUser = 4, ErrorReserved = 8, ErrorFetch = 16;

    private const uint P = 1, Rw = 2, Us = 4, A = 0x20, D = 0x40, Ps = 0x80;
    private const int FetchEntries = 256;
    private const uint NoOwner = 0;

    /// <summary>A page that tables are found by, with all of the linear addresses or only those below the shared part; or that is more
    /// than one table.</summary>
    private const uint Directory = uint.MaxValue - 2, LowDirectory = uint.MaxValue - 1, ManyOwners = uint.MaxValue;

    private readonly Ctx* _c;
    private readonly PhysicalMemory _memory;

    // By physical page that walks have read as a last-level table: linear base of what it maps, + 1; and the flush
    // generation in which it was last walked. A page not walked since the last flush has no derived entries.
    private readonly uint* _tableOwner, _tableGeneration;

    // Of rings 0 to 2, and behind them those of ring 3.
    private readonly FetchEntry* _fetch;

    // By linear page: the flush generation in which code was last fetched from it. Others have no links that could be stale.
    private readonly uint* _fetchGeneration;
    private readonly ulong[] _largeRegions = new ulong[1024 / 64];
    private uint _generation = 1;

    [StructLayout(LayoutKind.Sequential)]
    private struct FetchEntry
    {
        /// <summary>Linear page address; 2 when invalid.</summary>
        public uint Tag;

        public const uint Invalid = 2;

        public uint PhysicalPage;
    }

    internal Mmu(Ctx* c, PhysicalMemory memory)
    {
        _c = c;
        _memory = memory;
        c->TlbSupervisor = (TlbEntry*)NativeMemory.AlignedAlloc((nuint)(2 * TlbEntry.Entries * sizeof(TlbEntry)), 64);
        c->TlbUser = c->TlbSupervisor + TlbEntry.Entries;
        c->Tlb = c->TlbSupervisor;
        _fetch = (FetchEntry*)NativeMemory.AllocZeroed(2 * FetchEntries, (nuint)sizeof(FetchEntry));
        _writtenAt = (uint*)NativeMemory.AllocZeroed(1 << 20, sizeof(uint));
        _tableOwner = (uint*)NativeMemory.AllocZeroed(1 << 20, sizeof(uint));
        _tableGeneration = (uint*)NativeMemory.AllocZeroed(1 << 20, sizeof(uint));
        _fetchGeneration = (uint*)NativeMemory.AllocZeroed(1 << 20, sizeof(uint));
        FlushAll();
    }

    /// <summary>Called when <see cref="Ctx.CellBase"/> begins anew: no cell may match any more.</summary>
    internal Action? CellBasesUsedUp { get; set; }

    /// <summary>Drops every translation.</summary>
    public static void FlushAll(Ctx* c) => Ctx.ProcessorOf(c).Mmu.FlushAll();

    /// <summary>Drops the translations of one linear page.</summary>
    public static void FlushPage(Ctx* c, uint linear) => Ctx.ProcessorOf(c).Mmu.FlushPage(linear);

    public void FlushAll()
    {
        new Span<TlbEntry>(_c->TlbSupervisor, 2 * TlbEntry.Entries).Fill(TlbEntry.Empty);
        new Span<FetchEntry>(_fetch, 2 * FetchEntries).Fill(new FetchEntry { Tag = FetchEntry.Invalid });
        Array.Clear(_largeRegions);
        _generation++;
        _watchedWrites = 0;
        NothingUnshared();
        NewCellBase();
        Epochs.New(_c);
    }

    public void FlushPage(uint linear)
    {
        uint region = linear >> 22;
        if ((_largeRegions[region >> 6] >> (int)(region & 63) & 1) != 0)
        {
            FlushAll();
            return;
        }
        uint page = linear & 0xffff_f000;
        Drop(_c->TlbSupervisor + ((linear >> 12) & (TlbEntry.Entries - 1)), page);
        Drop(_c->TlbUser + ((linear >> 12) & (TlbEntry.Entries - 1)), page);
        for (int user = 0; user < 2; user++)
        {
            FetchEntry* f = FetchEntryOf(linear, user != 0);
            if (f->Tag == page) f->Tag = FetchEntry.Invalid;
        }
        NewCellBase();
        // Blocks of the page may be linked even when its fetch entry was displaced.
        if (_fetchGeneration[linear >> 12] != _generation) return;
        if (linear < SharedFrom && !_runsUnshared) Epochs.NewForUser(_c);
        else Epochs.New(_c);
    }

    /// <summary>A table page was written: drops what was derived from the changed entries. The write has happened.</summary>
    public void TableWritten(uint page, uint offset, uint size)
    {
        uint owner = _tableOwner[page];
        if (_tableGeneration[page] != _generation)
        {
            // Nothing that is cached was derived from it: it need not be watched until it is walked again.
            Unwatch(page);
            return;
        }
        if (owner >= Directory)
        {
            if (owner == LowDirectory || (owner == Directory && offset + size <= SharedFirstByte)) DropUnshared();
            else FlushAll();
            return;
        }
        int entryShift = (_c->S.Cr4 & Modes.Cr4Pae) != 0 ? 3 : 2;
        for (uint entry = offset >> entryShift; entry <= (offset + size - 1) >> entryShift; entry++) FlushPage(owner - 1 + (entry << 12));
    }

    /// <summary>Whether a write could change an entry that translations were derived from: only present entries are cached.</summary>
    public bool WriteMatters(uint page, uint offset, uint size)
    {
        if (_tableGeneration[page] != _generation || IsLeft(page))
        {
            // No live entry was derived from it: it is an ordinary page until it is walked again.
            Unwatch(page);
            return false;
        }
        _watchedWrites++;
        uint entryBytes = (_c->S.Cr4 & Modes.Cr4Pae) != 0 ? 8u : 4u;
        byte* host = (byte*)_memory.ReadPages[page];
        for (uint at = offset & ~(entryBytes - 1); at < offset + size; at += entryBytes)
        {
            if ((*(uint*)(host + at) & P) != 0) return true;
        }
        // A table that was emptied may become an ordinary page: then its writes need not be looked at one by one.
        if (IsEmpty(host, entryBytes)) Unwatch(page);
        return false;
    }

    private static bool IsEmpty(byte* table, uint entryBytes)
    {
        Vector256<ulong> present = Vector256.Create(entryBytes == 8 ? P : P | (ulong)P << 32);
        for (int at = 0; at < 4096; at += 64)
        {
            Vector256<ulong> entries = Vector256.Load((ulong*)(table + at)) | Vector256.Load((ulong*)(table + at + 32));
            if ((entries & present) != Vector256<ulong>.Zero) return false;
        }
        return true;
    }

    private void Unwatch(uint page)
    {
        _memory.Bits[page] &= ~PageBits.PageTable;
        _tableOwner[page] = NoOwner;
    }

    /// <summary>Translates for a data access; false: a page fault was raised for <paramref name="i"/>.</summary>
    public bool Translate(Insn* i, uint linear, bool write, bool user, out Translation result) =>
        Walk(i, linear, (write ? ErrorWrite : 0) | (user ? ErrorUser : 0), out result);

    /// <summary>Translates an instruction fetch at the current privilege.</summary>
    public bool TranslateFetch(Insn* i, uint linear, out uint physical)
    {
        bool user = _c->S.Cpl == 3;
        uint tag = linear & 0xffff_f000;
        FetchEntry* f = FetchEntryOf(linear, user);
        if (f->Tag != tag)
        {
            physical = 0;
            if (!Walk(i, linear, ErrorFetch | (user ? ErrorUser : 0), out Translation t)) return false;
            f->Tag = tag;
            f->PhysicalPage = t.Page;
            _fetchGeneration[linear >> 12] = _generation;
            if (!user && linear < SharedFrom) _runsUnshared = true;
        }
        physical = f->PhysicalPage | (linear & 0xfff);
        return true;
    }

    public void Free()
    {
        NativeMemory.AlignedFree(_c->TlbSupervisor);
        NativeMemory.Free(_fetch);
        NativeMemory.Free(_writtenAt);
        NativeMemory.Free(_tableOwner);
        NativeMemory.Free(_tableGeneration);
        NativeMemory.Free(_fetchGeneration);
    }

    private FetchEntry* FetchEntryOf(uint linear, bool user) => _fetch + (user ? FetchEntries : 0) + ((linear >> 12) & (FetchEntries - 1));

    private bool Walk(Insn* i, uint linear, uint access, out Translation result)
    {
        if ((_c->S.Cr0 & Modes.Cr0Pg) == 0)
        {
            result = new Translation { Page = linear & 0xffff_f000 & A20Mask, WriteReady = true };
            return true;
        }
        return (_c->S.Cr4 & Modes.Cr4Pae) != 0 ? WalkPae(i, linear, access, out result) : Walk32(i, linear, access, out result);
    }

    private uint A20Mask => _c->S.A20 != 0 ? uint.MaxValue : ~(1u << 20);

    private bool Walk32(Insn* i, uint linear, uint access, out Translation result)
    {
        result = default;
        uint directory = _c->S.Cr3 & 0xffff_f000;
        uint pdeAt = directory | (linear >> 22 << 2);
        uint pde = ReadEntry32(pdeAt);
        if ((pde & P) == 0) return PageFault(i, linear, access);
        if ((pde & Ps) != 0 && (_c->S.Cr4 & Modes.Cr4Pse) != 0)
        {
            // PSE-36 is not advertised: bits 21:12 but PAT (12) are reserved.
            if ((pde & 0x003f_e000) != 0) return PageFault(i, linear, access | ErrorPresent | ErrorReserved);
            if (!Allowed(access, pde)) return PageFault(i, linear, access | ErrorPresent);
            pde = Touch32(pdeAt, pde, A | ((access & ErrorWrite) != 0 ? D : 0));
            Mark(directory, Directory);
            _largeRegions[linear >> 28] |= 1UL << (int)((linear >> 22) & 63);
            result.Page = ((pde & 0xffc0_0000) | (linear & 0x003f_f000)) & A20Mask;
            result.WriteReady = (pde & D) != 0 && Allowed(access | ErrorWrite, pde);
            return true;
        }
        uint table = pde & 0xffff_f000;
        uint pteAt = table | ((linear >> 10) & 0xffc);
        uint pte = ReadEntry32(pteAt);
        if ((pte & P) == 0) return PageFault(i, linear, access);
        uint rights = pte & pde & (Rw | Us);
        if (!Allowed(access, rights)) return PageFault(i, linear, access | ErrorPresent);
        Touch32(pdeAt, pde, A);
        pte = Touch32(pteAt, pte, A | ((access & ErrorWrite) != 0 ? D : 0));
        Mark(directory, Directory);
        Mark(table, (linear & 0xffc0_0000) + 1);
        result.Page = pte & 0xffff_f000 & A20Mask;
        result.WriteReady = (pte & D) != 0 && Allowed(access | ErrorWrite, rights);
        return true;
    }

    private bool WalkPae(Insn* i, uint linear, uint access, out Translation result)
    {
        result = default;
        bool nx = (_c->S.Efer & Modes.EferNxe) != 0;
        ulong reserved = 0x7fff_fff0_0000_0000 | (nx ? 0 : 1UL << 63);
        // Only NX-enabled fetches report bit 4.
        uint reported = nx ? access : access & ~ErrorFetch;
        ulong pdpte = _c->S.Pdpte[linear >> 30];
        if ((pdpte & P) == 0) return PageFault(i, linear, reported);
        uint directory = (uint)pdpte & 0xffff_f000;
        uint pdeAt = directory | ((linear >> 18) & 0xff8);
        ulong pde = ReadEntry64(pdeAt);
        if ((pde & P) == 0) return PageFault(i, linear, reported);
        if ((pde & reserved) != 0) return PageFault(i, linear, reported | ErrorPresent | ErrorReserved);
        if ((pde & Ps) != 0)
        {
            if ((pde & 0x001f_e000) != 0) return PageFault(i, linear, reported | ErrorPresent | ErrorReserved);
            if (!Allowed(access, (uint)pde) || ((access & ErrorFetch) != 0 && pde >> 63 != 0)) return PageFault(i, linear, reported | ErrorPresent);
            pde = Touch64(pdeAt, pde, A | ((access & ErrorWrite) != 0 ? D : 0));
            Mark(directory, linear < SharedFrom ? LowDirectory : ManyOwners);
            _largeRegions[linear >> 28] |= 1UL << (int)((linear >> 22) & 63);
            result.Page = ((uint)(pde & 0xffe0_0000) | (linear & 0x001f_f000)) & A20Mask;
            result.WriteReady = (pde & D) != 0 && Allowed(access | ErrorWrite, (uint)pde);
            return true;
        }
        uint table = (uint)pde & 0xffff_f000;
        uint pteAt = table | ((linear >> 9) & 0xff8);
        ulong pte = ReadEntry64(pteAt);
        if ((pte & P) == 0) return PageFault(i, linear, reported);
        if ((pte & reserved) != 0) return PageFault(i, linear, reported | ErrorPresent | ErrorReserved);
        uint rights = (uint)(pte & pde) & (Rw | Us);
        if (!Allowed(access, rights) || ((access & ErrorFetch) != 0 && (pte | pde) >> 63 != 0)) return PageFault(i, linear, reported | ErrorPresent);
        Touch64(pdeAt, pde, A);
        pte = Touch64(pteAt, pte, A | ((access & ErrorWrite) != 0 ? D : 0));
        Mark(directory, linear < SharedFrom ? LowDirectory : ManyOwners);
        Mark(table, (linear & 0xffe0_0000) + 1);
        result.Page = (uint)pte & 0xffff_f000 & A20Mask;
        result.WriteReady = (pte & D) != 0 && Allowed(access | ErrorWrite, rights);
        return true;
    }

    /// <summary>SDM vol. 3, 4.6: supervisor writes ignore R/W unless CR0.WP.</summary>
    private bool Allowed(uint access, uint rights)
    {
        if ((access & ErrorUser) != 0) return (rights & Us) != 0 && ((access & ErrorWrite) == 0 || (rights & Rw) != 0);
        return (access & ErrorWrite) == 0 || (rights & Rw) != 0 || (_c->S.Cr0 & Modes.Cr0Wp) == 0;
    }

    private bool PageFault(Insn* i, uint linear, uint error) =>
        // Without NX the fetch bit does not exist.
        Ctx.PageFault(_c, i, linear, (_c->S.Efer & Modes.EferNxe) != 0 && (_c->S.Cr4 & Modes.Cr4Pae) != 0 ? error : error & ~ErrorFetch);

    private uint ReadEntry32(uint at)
    {
        at &= A20Mask;
        nint host = _memory.ReadPages[at >> 12];
        return host != 0 ? *(uint*)(host + (nint)(at & 0xfff)) : _memory.ReadWindow(at, 4);
    }

    private ulong ReadEntry64(uint at) => ReadEntry32(at) | ((ulong)ReadEntry32(at + 4) << 32);

    /// <summary>Sets accessed and dirty bits. They take nothing away from derived entries, so nothing is dropped.</summary>
    private uint Touch32(uint at, uint entry, uint bits)
    {
        if ((entry & bits) == bits) return entry;
        at &= A20Mask;
        uint page = at >> 12;
        nint host = _memory.WritePages[page];
        if (host == 0) return entry | bits;
        if ((_memory.Bits[page] & PageBits.Code) != 0) _memory.Watcher!.CodeWritten(page);
        _memory.MarkDirty(page);
        *(uint*)(host + (nint)(at & 0xfff)) = entry | bits;
        return entry | bits;
    }

    private ulong Touch64(uint at, ulong entry, uint bits) => (entry & ~0xffff_ffffUL) | Touch32(at, (uint)entry, bits);

    /// <summary>Notes that entries derived from this table page are about to be cached.</summary>
    private void Mark(uint table, uint owner)
    {
        uint page = (table & A20Mask) >> 12;
        if (_tableGeneration[page] != _generation || _tableOwner[page] == NoOwner)
        {
            _tableGeneration[page] = _generation;
            _tableOwner[page] = owner;
        }
        else if (_tableOwner[page] != owner)
        {
            _tableOwner[page] = ManyOwners;
        }
        if ((_memory.Bits[page] & PageBits.PageTable) == 0)
        {
            _memory.Bits[page] |= PageBits.PageTable;
            ForbidFastWrites(page);
        }
    }
}
