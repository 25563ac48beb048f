// Memory accesses that miss the fast path: TLB refills, page crossings, device windows, decoded code, page tables,
// alignment checks, watchpoints.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Memory;

/// <summary>Linear accesses with supervisor privilege, whatever CPL is: descriptor tables, TSS, interrupt stacks.</summary>
public static unsafe class SystemLinear
{
    /// <summary>As <see cref="Linear.Read{T}"/>.</summary>
    public static T* Read<T>(Ctx* c, Insn* i, uint linear) where T : unmanaged
    {
        TlbEntry* e = c->TlbSupervisor + ((linear >> 12) & (TlbEntry.Entries - 1));
        return ((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagRead
            ? (T*)(e->Addend + (nint)linear)
            : (T*)SlowAccess.ReadAs(c, i, linear, (uint)sizeof(T), user: false);
    }

    /// <summary>As <see cref="Linear.Write{T}"/>.</summary>
    public static bool Write<T>(Ctx* c, Insn* i, uint linear, T value) where T : unmanaged
    {
        TlbEntry* e = c->TlbSupervisor + ((linear >> 12) & (TlbEntry.Entries - 1));
        if (((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagWrite)
        {
            *(T*)(e->Addend + (nint)linear) = value;
            return true;
        }
        ulong wide = 0;
        Unsafe.As<ulong, T>(ref wide) = value;
        return SlowAccess.WriteAs(c, i, linear, (uint)sizeof(T), wide, user: false);
    }
}

public static unsafe class SlowAccess
{
    /// <summary>Reads 1 to 8 bytes at the current privilege; null: stop.</summary>
    public static void* Read(Ctx* c, Insn* i, uint linear, uint size) => ReadAs(c, i, linear, size, c->S.Cpl == 3);

    public static bool Write(Ctx* c, Insn* i, uint linear, uint size, ulong value) => WriteAs(c, i, linear, size, value, c->S.Cpl == 3);

    /// <summary>Checks that a whole range can be accessed, so that a following sequence of accesses cannot stop half-way.</summary>
    /// <param name="size">1 to 4096 bytes.</param>
    public static bool Probe(Ctx* c, Insn* i, uint linear, uint size, bool write, bool supervisor)
    {
        bool user = !supervisor && c->S.Cpl == 3;
        // What the fast path admits needs no look.
        TlbEntry* e = (user ? c->TlbUser : c->TlbSupervisor) + ((linear >> 12) & (TlbEntry.Entries - 1));
        if (((linear + (size - 1)) & 0xffff_f000) == (write ? e->TagWrite : e->TagRead)) return true;
        Mmu mmu = Ctx.ProcessorOf(c).Mmu;
        for (uint left = size, at = linear; left > 0;)
        {
            uint chunk = uint.Min(left, 4096 - (at & 0xfff));
            if (!mmu.Translate(i, at, write, user, out Translation t)) return false;
            if (MustBeAlone(c, t.Page | (at & 0xfff), chunk, write)) return Ctx.NeedAlone(c, i);
            at += chunk;
            left -= chunk;
        }
        return true;
    }

    /// <summary>Begins a read-modify-write at the current privilege; null: stop.</summary>
    public static void* Modify(Ctx* c, Insn* i, uint linear, uint size)
    {
        bool user = c->S.Cpl == 3;
        if (user && !Aligned(c, i, linear, size)) return null;
        Mmu mmu = Ctx.ProcessorOf(c).Mmu;
        uint first = FirstPart(linear, size);
        if (!mmu.Translate(i, linear, true, user, out Translation t)) return null;
        Translation t2 = default;
        if (first < size && !mmu.Translate(i, linear + first, true, user, out t2)) return null;
        uint physical = t.Page | (linear & 0xfff);
        if (MustBeAlone(c, physical, first, true) || (first < size && MustBeAlone(c, t2.Page, size - first, true)))
        {
            Ctx.NeedAlone(c, i);
            return null;
        }
        Watch(c, linear, size, true);
        mmu.Fill(linear, user, t);
        c->ScratchLinear = linear;
        c->ScratchPhysical = physical;
        c->ScratchPhysical2 = t2.Page;
        c->Scratch = ReadPhysical(c, physical, first);
        if (first < size) c->Scratch |= ReadPhysical(c, t2.Page, size - first) << (int)(8 * first);
        return &c->Scratch;
    }

    /// <summary>Ends what <see cref="Modify"/> began.</summary>
    public static void Commit(Ctx* c, Insn* i, uint size, ulong value)
    {
        uint first = FirstPart(c->ScratchLinear, size);
        WritePhysical(c, c->ScratchPhysical, first, value);
        if (first < size) WritePhysical(c, c->ScratchPhysical2, size - first, value >> (int)(8 * first));
    }

    public static void* ReadAs(Ctx* c, Insn* i, uint linear, uint size, bool user)
    {
        if (user && !Aligned(c, i, linear, size)) return null;
        Mmu mmu = Ctx.ProcessorOf(c).Mmu;
        uint first = FirstPart(linear, size);
        if (!mmu.Translate(i, linear, false, user, out Translation t)) return null;
        uint physical = t.Page | (linear & 0xfff);
        if (first < size)
        {
            if (!mmu.Translate(i, linear + first, false, user, out Translation t2)) return null;
            if (MustBeAlone(c, physical, first, false) || MustBeAlone(c, t2.Page, size - first, false)) goto alone;
            Watch(c, linear, size, false);
            c->Scratch = ReadPhysical(c, physical, first) | (ReadPhysical(c, t2.Page, size - first) << (int)(8 * first));
            return &c->Scratch;
        }
        nint host = Ctx.ProcessorOf(c).Memory.ReadPages[physical >> 12];
        if (host == 0)
        {
            if (MustBeAlone(c, physical, size, false)) goto alone;
            Watch(c, linear, size, false);
            c->Scratch = ReadPhysical(c, physical, size);
            return &c->Scratch;
        }
        Watch(c, linear, size, false);
        mmu.Fill(linear, user, t);
        return (void*)(host + (nint)(physical & 0xfff));

    alone:
        Ctx.NeedAlone(c, i);
        return null;
    }

    public static bool WriteAs(Ctx* c, Insn* i, uint linear, uint size, ulong value, bool user)
    {
        if (user && !Aligned(c, i, linear, size)) return false;
        Mmu mmu = Ctx.ProcessorOf(c).Mmu;
        uint first = FirstPart(linear, size);
        if (!mmu.Translate(i, linear, true, user, out Translation t)) return false;
        Translation t2 = default;
        if (first < size && !mmu.Translate(i, linear + first, true, user, out t2)) return false;
        uint physical = t.Page | (linear & 0xfff);
        if (MustBeAlone(c, physical, first, true) || (first < size && MustBeAlone(c, t2.Page, size - first, true))) return Ctx.NeedAlone(c, i);
        Watch(c, linear, size, true);
        WritePhysical(c, physical, first, value);
        if (first < size) WritePhysical(c, t2.Page, size - first, value >> (int)(8 * first));
        else mmu.Fill(linear, user, t);
        return true;
    }

    /// <summary>Bytes of the access that lie in its first page.</summary>
    private static uint FirstPart(uint linear, uint size) => uint.Min(size, 4096 - (linear & 0xfff));

    private static bool Aligned(Ctx* c, Insn* i, uint linear, uint size) =>
        c->AlignmentChecked == 0 || (linear & (size - 1)) == 0 || Ctx.Fault(c, i, Vector.Ac, 0);

    private static void Watch(Ctx* c, uint linear, uint size, bool write)
    {
        if (Execute.DebugUnit.PageWatched(c, linear & 0xffff_f000) || Execute.DebugUnit.PageWatched(c, (linear + size - 1) & 0xffff_f000))
        {
            Execute.DebugUnit.OnData(c, linear, size, write);
        }
    }

    /// <summary>Whether the access can be seen by, or changes, something that must take effect at this very boundary.</summary>
    private static bool MustBeAlone(Ctx* c, uint physical, uint size, bool write)
    {
        if (c->Alone != 0) return false;
        Processor processor = Ctx.ProcessorOf(c);
        PhysicalMemory memory = processor.Memory;
        uint page = physical >> 12;
        if ((write ? memory.WritePages[page] : memory.ReadPages[page]) == 0) return memory.IsWindow(page);
        if (!write) return false;
        PageBits bits = memory.Bits[page];
        if ((bits & PageBits.Code) != 0 && (memory.CodeChunks[page] & Chunks(physical, size)) != 0) return true;
        return (bits & PageBits.PageTable) != 0 && processor.Mmu.WriteMatters(page, physical & 0xfff, size);
    }

    private static ulong Chunks(uint physical, uint size)
    {
        int first = (int)((physical & 0xfff) >> 6), last = (int)(((physical & 0xfff) + size - 1) >> 6);
        return (ulong.MaxValue >> (63 - last)) & (ulong.MaxValue << first);
    }

    private static ulong ReadPhysical(Ctx* c, uint physical, uint size)
    {
        PhysicalMemory memory = Ctx.ProcessorOf(c).Memory;
        nint host = memory.ReadPages[physical >> 12];
        ulong value = 0;
        if (host != 0)
        {
            byte* p = (byte*)host + (physical & 0xfff);
            for (uint n = 0; n < size; n++) value |= (ulong)p[n] << (int)(8 * n);
            return value;
        }
        for (uint n = 0; n < size;)
        {
            uint piece = PieceOf(physical + n, size - n);
            value |= (ulong)memory.ReadWindow(physical + n, (int)piece) << (int)(8 * n);
            n += piece;
        }
        return value;
    }

    private static void WritePhysical(Ctx* c, uint physical, uint size, ulong value)
    {
        PhysicalMemory memory = Ctx.ProcessorOf(c).Memory;
        uint page = physical >> 12;
        nint host = memory.WritePages[page];
        if (host != 0)
        {
            PageBits bits = memory.Bits[page];
            if ((bits & PageBits.Code) != 0 && (memory.CodeChunks[page] & Chunks(physical, size)) != 0) memory.Watcher!.CodeWritten(page);
            bool matters = (bits & PageBits.PageTable) != 0 && Ctx.ProcessorOf(c).Mmu.WriteMatters(page, physical & 0xfff, size);
            memory.MarkDirty(page);
            byte* p = (byte*)host + (physical & 0xfff);
            for (uint n = 0; n < size; n++) p[n] = (byte)(value >> (int)(8 * n));
            if (matters) memory.Watcher!.PageTableWritten(page, physical & 0xfff, size);
            return;
        }
        for (uint n = 0; n < size;)
        {
            uint piece = PieceOf(physical + n, size - n);
            memory.WriteWindow(physical + n, (int)piece, (uint)(value >> (int)(8 * n)) & (uint.MaxValue >> (int)(32 - 8 * piece)));
            n += piece;
        }
    }

    /// <summary>Window accesses are naturally aligned pieces of 1, 2 or 4 bytes, as bus cycles are.</summary>
    private static uint PieceOf(uint physical, uint left) =>
        left >= 4 && (physical & 3) == 0 ? 4u : left >= 2 && (physical & 1) == 0 ? 2u : 1u;
}
