// Where an access of translated code remembers the page that it touched last: most accesses touch the same page again, and what
// they need for it does not depend on the address, so the host's processor has it before the address is known.
using System.Runtime.InteropServices;

namespace Emu86.Cpu.Translate;

/// <summary>A page that an access may touch on its fast path. Filled from the TLB and never more than that admits: every change to the
/// TLB changes <see cref="Ctx.CellBase"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AccessCell
{
    /// <summary>Linear page address plus <see cref="Ctx.CellBase"/>; 0 admits nothing.</summary>
    public ulong Tag;

    /// <summary>Host address less linear address.</summary>
    public nint Addend;
}

/// <summary>What a cell is filled for.</summary>
internal enum CellUse : byte
{
    Read,
    Write,

    /// <summary>A read through a cell that writes use, too: it is filled only where a write is admitted.</summary>
    ReadOfWritten,
}
