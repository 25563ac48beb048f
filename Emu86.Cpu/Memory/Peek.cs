// A page walk for views (debugger, disassembly): changes nothing of the guest, and no cache.
namespace Emu86.Cpu.Memory;

public sealed unsafe partial class Mmu
{
    /// <summary>Where a linear address lies in the host, whatever its page may be used for; null: it is not mapped, or not to memory.
    /// Valid up to the end of the 4 KiB page.</summary>
    public byte* Peek(uint linear)
    {
        uint? physical = (_c->S.Cr0 & Modes.Cr0Pg) == 0 ? linear : (_c->S.Cr4 & Modes.Cr4Pae) != 0 ? PeekPae(linear) : Peek32(linear);
        if (physical is not { } found) return null;
        found &= A20Mask;
        nint host = _memory.ReadPages[found >> 12];
        return host == 0 ? null : (byte*)host + (found & 0xfff);
    }

    private uint? Peek32(uint linear)
    {
        if (PeekEntry((_c->S.Cr3 & 0xffff_f000) | (linear >> 22 << 2)) is not { } pde || (pde & P) == 0) return null;
        if ((pde & Ps) != 0 && (_c->S.Cr4 & Modes.Cr4Pse) != 0) return (pde & 0xffc0_0000) | (linear & 0x003f_ffff);
        return PeekEntry((pde & 0xffff_f000) | ((linear >> 10) & 0xffc)) is { } pte && (pte & P) != 0 ? (pte & 0xffff_f000) | (linear & 0xfff) : null;
    }

    // The upper halves hold nothing but NX: there is no memory beyond 4 GiB.
    private uint? PeekPae(uint linear)
    {
        uint pdpte = (uint)_c->S.Pdpte[linear >> 30];
        if ((pdpte & P) == 0 || PeekEntry((pdpte & 0xffff_f000) | ((linear >> 18) & 0xff8)) is not { } pde || (pde & P) == 0) return null;
        if ((pde & Ps) != 0) return (pde & 0xffe0_0000) | (linear & 0x001f_ffff);
        return PeekEntry((pde & 0xffff_f000) | ((linear >> 9) & 0xff8)) is { } pte && (pte & P) != 0 ? (pte & 0xffff_f000) | (linear & 0xfff) : null;
    }

    // A table in a device's window is not looked at: the device might notice.
    private uint? PeekEntry(uint at)
    {
        at &= A20Mask;
        nint host = _memory.ReadPages[at >> 12];
        return host == 0 ? null : *(uint*)(host + (nint)(at & 0xfff));
    }
}
