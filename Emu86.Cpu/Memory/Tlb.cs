// The software TLBs: what they hand out, and how it is taken back.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Emu86.Cpu.Memory;

/// <summary>A direct-mapped TLB entry. A tag is the linear page address when the access may take the fast path, else <see cref="Invalid"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct TlbEntry
{
    public uint TagRead, TagWrite;

    /// <summary>Host address less linear address.</summary>
    public nint Addend;

    public const int Entries = 4096;

    public const uint Invalid = 1;

    public static TlbEntry Empty => new() { TagRead = Invalid, TagWrite = Invalid };
}

public sealed unsafe partial class Mmu
{
    /// <summary>In <see cref="_writtenAt"/>.</summary>
    private const uint ManyPlaces = uint.MaxValue;

    // By physical page: the linear page at which the TLB was last given writes to it, + 1; or that there are more.
    private readonly uint* _writtenAt;

    /// <summary>Hands out the fast path for a page that was just translated, as far as nothing about it is special.</summary>
    public void Fill(uint linear, bool user, in Translation t)
    {
        uint physicalPage = t.Page >> 12;
        nint host = _memory.ReadPages[physicalPage];
        if (host == 0 || (user && _c->AlignmentChecked != 0) || Execute.DebugUnit.PageWatched(_c, linear & 0xffff_f000)) return;
        TlbEntry* e = (user ? _c->TlbUser : _c->TlbSupervisor) + ((linear >> 12) & (TlbEntry.Entries - 1));
        uint page = linear & 0xffff_f000;
        bool mayWrite = t.WriteReady && _memory.WritePages[physicalPage] == host && _memory.Bits[physicalPage] == PageBits.Dirty;
        if (user || linear < SharedFrom) NoteUnshared(e);
        if (mayWrite) NoteWritten(physicalPage, page);
        e->TagRead = page;
        e->TagWrite = mayWrite ? page : TlbEntry.Invalid;
        e->Addend = host - (nint)page;
    }

    /// <summary>Remembers where writes to a physical page were let through, so that they can be forbidden without a look at every entry.</summary>
    private void NoteWritten(uint physicalPage, uint linearPage)
    {
        ref uint at = ref _writtenAt[physicalPage];
        bool isElsewhere = at != 0 && at != linearPage + 1
            && (at == ManyPlaces || Writes(_c->TlbSupervisor + ((at >> 12) & (TlbEntry.Entries - 1)), physicalPage) || Writes(_c->TlbUser + ((at >> 12) & (TlbEntry.Entries - 1)), physicalPage));
        at = isElsewhere ? ManyPlaces : linearPage + 1;
    }

    /// <summary>Fills the TLB for an access within a page at the current privilege. False: the access faults, or has no fast path;
    /// nothing was raised.</summary>
    public bool TryFill(uint linear, bool write)
    {
        bool user = _c->S.Cpl == 3;
        if (!Translate(null, linear, write, user, out Translation t))
        {
            _c->Exit = ExitReason.None;
            return false;
        }
        Fill(linear, user, t);
        TlbEntry* e = _c->Tlb + ((linear >> 12) & (TlbEntry.Entries - 1));
        return (linear & 0xffff_f000) == (write ? e->TagWrite : e->TagRead);
    }

    /// <summary>No TLB entry lets a write to this physical page pass unseen any more.</summary>
    public void ForbidFastWrites(uint physicalPage)
    {
        uint at = _writtenAt[physicalPage];
        if (at == 0) return;
        _writtenAt[physicalPage] = 0;
        if (at != ManyPlaces)
        {
            Forbid(_c->TlbSupervisor + ((at >> 12) & (TlbEntry.Entries - 1)), physicalPage);
            Forbid(_c->TlbUser + ((at >> 12) & (TlbEntry.Entries - 1)), physicalPage);
        }
        else
        {
            for (int n = 0; n < 2 * TlbEntry.Entries; n++) Forbid(_c->TlbSupervisor + n, physicalPage);
        }
        NewCellBase();
    }

    private void Forbid(TlbEntry* e, uint physicalPage)
    {
        if (Writes(e, physicalPage)) e->TagWrite = TlbEntry.Invalid;
    }

    private bool Writes(TlbEntry* e, uint physicalPage) => e->TagWrite != TlbEntry.Invalid && e->Addend + (nint)e->TagWrite == _memory.WritePages[physicalPage];

    /// <summary>What cells of translated code admit, they admit no more.</summary>
    private void NewCellBase()
    {
        _c->CellBase += 1UL << 32;
        if (_c->CellBase != 0) return;
        _c->CellBase = 1UL << 32;
        CellBasesUsedUp?.Invoke();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Drop(TlbEntry* e, uint page)
    {
        if (e->TagRead == page) e->TagRead = TlbEntry.Invalid;
        if (e->TagWrite == page) e->TagWrite = TlbEntry.Invalid;
    }
}
