// What decoded blocks and memory accesses depend on, derived from segments, CPL and control registers.
using Emu86.Cpu.Decode;

namespace Emu86.Cpu;

public static unsafe class Modes
{
    public const uint Cr0Pe = 1, Cr0Mp = 2, Cr0Em = 4, Cr0Ts = 8, Cr0Et = 0x10, Cr0Ne = 0x20, Cr0Wp = 0x1_0000, Cr0Am = 0x4_0000,
        Cr0Nw = 0x2000_0000, Cr0Cd = 0x4000_0000, Cr0Pg = 0x8000_0000;

    public const uint Cr4Vme = 1, Cr4Pvi = 2, Cr4Tsd = 4, Cr4De = 8, Cr4Pse = 0x10, Cr4Pae = 0x20, Cr4Mce = 0x40, Cr4Pge = 0x80,
        Cr4Pce = 0x100, Cr4OsFxsr = 0x200, Cr4OsXmmExcpt = 0x400;

    public const uint EferNxe = 0x800;

    public static bool IsReal(Ctx* c) => (c->S.Cr0 & Cr0Pe) == 0;

    public static bool IsV86(Ctx* c) => (c->S.SystemFlags & Flags.Vm) != 0;

    /// <summary>Protected mode and not virtual-8086.</summary>
    public static bool IsProtected(Ctx* c) => !IsReal(c) && !IsV86(c);

    /// <summary>Call after any change to a segment register, CPL, EFLAGS.VM or AC, CR0, CR4 or EFER. Recomputes what is derived and has
    /// the engine look at everything again before the next block.</summary>
    public static void Changed(Ctx* c)
    {
        uint mode = 0;
        if (c->S.Cs.Is32) mode |= BlockMode.Code32;
        if (c->S.Ss.Is32) mode |= BlockMode.Stack32;
        if (c->S.Ds.IsFlatData && c->S.Es.IsFlatData && c->S.Ss.IsFlatData) mode |= BlockMode.Flat;
        if (c->S.Cpl == 3) mode |= BlockMode.User;
        else if (c->S.Cpl != 0) mode |= BlockMode.Unprivileged;
        if (IsProtected(c)) mode |= BlockMode.Protected;
        if (c->S.Cs.Base == 0 && c->S.Cs.Limit == uint.MaxValue) mode |= BlockMode.FlatCode;
        c->Mode = mode;
        if (c->S.Cs.Base != c->CodeBase || c->S.Cs.Limit != c->CodeLimit)
        {
            // Blocks are checked against CS.Limit when they are looked up, not each time that a link is followed.
            c->CodeBase = c->S.Cs.Base;
            c->CodeLimit = c->S.Cs.Limit;
            Epochs.New(c);
        }
        Epochs.Choose(c);
        c->Tlb = c->S.Cpl == 3 ? c->TlbUser : c->TlbSupervisor;
        bool alignmentChecked = c->S.Cpl == 3 && (c->S.Cr0 & Cr0Am) != 0 && (c->S.SystemFlags & Flags.Ac) != 0;
        if (alignmentChecked != (c->AlignmentChecked != 0))
        {
            c->AlignmentChecked = alignmentChecked ? 1u : 0u;
            Memory.Mmu.FlushAll(c);
        }
        c->Link = null;
        c->Attention = 1;
    }
}
