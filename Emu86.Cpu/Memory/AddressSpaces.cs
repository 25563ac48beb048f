// From one address space to another without forgetting the kernel, which most systems have in all of them at the same addresses.
//
// What is kept cannot be told from what a walk would find anew: the tables behind it are the same, and all of them stay watched
// (Mmu.TableWritten), so CR4.PGE and the G bits, with which a guest asks for the same, need not be looked at.
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Memory;

/// <summary>What translations begin with: CR3, and with PAE the four PDPTEs that were loaded with it.</summary>
internal readonly unsafe record struct AddressSpace(uint Cr3, ulong Pdpte0, ulong Pdpte1, ulong Pdpte2, ulong Pdpte3)
{
    public static AddressSpace Of(Ctx* c) => new(c->S.Cr3, c->S.Pdpte[0], c->S.Pdpte[1], c->S.Pdpte[2], c->S.Pdpte[3]);

    public uint Directory => Cr3 & 0xffff_f000;
}

public sealed unsafe partial class Mmu
{
    /// <summary>The part of the linear addresses that may be kept: what the last PDPTE maps, or the last quarter of a directory.</summary>
    private const uint SharedFrom = 0xc000_0000;

    private const int SharedFirstByte = 0xc00, SharedBytes = 0x400;

    /// <summary>After so many writes to pages that are watched as tables all is dropped once: those that are none any more can then be
    /// written as fast as others.</summary>
    private const int WatchedWritesMax = 4096;

    // TLB entries that were filled outside of the shared part or for ring 3, as far as they have room here: mostly few of them are
    // filled before they are dropped.
    private readonly ushort[] _unshared = new ushort[512];
    private int _unsharedCount, _watchedWrites;

    /// <summary>Code at rings 0 to 2 was fetched outside of the shared part.</summary>
    private bool _runsUnshared;

    /// <summary>CR3, and with PAE the PDPTEs, were loaded: drops what the new address space does not have in common with the old one.</summary>
    internal void SwitchSpace(in AddressSpace from)
    {
        if ((_c->S.Cr0 & Modes.Cr0Pg) == 0) return;
        var to = AddressSpace.Of(_c);
        bool pae = (_c->S.Cr4 & Modes.Cr4Pae) != 0;
        // No translation is stale, ever: to load the same again, by which a guest drops them, changes nothing.
        if (pae ? to with { Cr3 = from.Cr3 } == from : to.Directory == from.Directory) return;
        if (!(pae ? to.Pdpte3 == from.Pdpte3 : ShareTables(from.Directory, to.Directory)))
        {
            FlushAll();
            return;
        }
        DropUnshared();
        // What is kept now hangs on this directory, which may not have been walked yet.
        if (!pae) Mark(to.Directory, Directory);
    }

    /// <summary>Between runs: may drop everything.</summary>
    internal void ForgetFormerTables()
    {
        if (_watchedWrites >= WatchedWritesMax) FlushAll();
    }

    /// <summary>Drops what was derived for linear addresses below the shared part.</summary>
    private void DropUnshared()
    {
        if (_runsUnshared)
        {
            FlushAll();
            return;
        }
        new Span<FetchEntry>(_fetch + FetchEntries, FetchEntries).Fill(new FetchEntry { Tag = FetchEntry.Invalid });
        bool all = _unsharedCount > _unshared.Length;
        for (int n = 0; n < (all ? 2 * TlbEntry.Entries : _unsharedCount); n++)
        {
            TlbEntry* e = _c->TlbSupervisor + (all ? n : _unshared[n]);
            if (e->TagRead < SharedFrom || e >= _c->TlbUser) *e = TlbEntry.Empty;
        }
        _unsharedCount = 0;
        NewCellBase();
        Epochs.NewForUser(_c);
    }

    /// <summary>Whether two directories map the shared part by the same entries: to the bit, so that the accessed and dirty bits that
    /// walks have set in one are in the other, too.</summary>
    private bool ShareTables(uint one, uint other)
    {
        if (_c->S.A20 == 0) return false;
        nint first = _memory.ReadPages[one >> 12], second = _memory.ReadPages[other >> 12];
        return first != 0 && second != 0
            && new ReadOnlySpan<byte>((byte*)first + SharedFirstByte, SharedBytes).SequenceEqual(new ReadOnlySpan<byte>((byte*)second + SharedFirstByte, SharedBytes));
    }

    /// <summary>Whether a page is nothing but a directory of another address space than the current one: what was derived from it is
    /// either dropped or hangs on the current one, too.</summary>
    private bool IsLeft(uint page)
    {
        if (_tableOwner[page] is not (Directory or LowDirectory) || _c->S.A20 == 0) return false;
        if ((_c->S.Cr4 & Modes.Cr4Pae) == 0) return page != _c->S.Cr3 >> 12;
        for (int n = 0; n < 4; n++)
        {
            if (page == (uint)(_c->S.Pdpte[n] >> 12)) return false;
        }
        return true;
    }

    private void NoteUnshared(TlbEntry* e)
    {
        if (_unsharedCount < _unshared.Length) _unshared[_unsharedCount] = (ushort)(e - _c->TlbSupervisor);
        _unsharedCount++;
    }

    private void NothingUnshared()
    {
        _unsharedCount = 0;
        _runsUnshared = false;
    }
}
