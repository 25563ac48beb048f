// The architectural state of the processor: what a snapshot holds and a state hash covers (Intel SDM vol. 3, ch. 2).
using System.Runtime.InteropServices;

namespace Emu86.Cpu;

/// <summary>Segment register numbers in instruction encoding order.</summary>
public static class Seg
{
    public const int Es = 0, Cs = 1, Ss = 2, Ds = 3, Fs = 4, Gs = 5, Count = 6;
}

/// <summary>General register numbers in encoding order; <see cref="Zero"/> is a slot that always reads 0 (absent base or index).</summary>
public static class Gpr
{
    public const int Eax = 0, Ecx = 1, Edx = 2, Ebx = 3, Esp = 4, Ebp = 5, Esi = 6, Edi = 7, Zero = 8;
}

/// <summary>A segment register with its hidden part.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Segment
{
    public ushort Selector;

    /// <summary>Bytes 5 and 6 of the descriptor without the limit bits: access byte in 7:0, AVL/L/DB/G in 15:12.</summary>
    public ushort Attributes;

    public uint Base;

    /// <summary>In bytes, the last valid offset (granularity already applied).</summary>
    public uint Limit;

    /// <summary>Derived by <see cref="Derive"/>: offsets that may be read are First..Last (inclusive); First > Last when none may.</summary>
    public uint ReadFirst, ReadLast;

    /// <summary>The same for writes.</summary>
    public uint WriteFirst, WriteLast;

    public const ushort AccessAccessed = 0x01, AccessWritable = 0x02, AccessReadable = 0x02, AccessExpandDown = 0x04,
        AccessConforming = 0x04, AccessCode = 0x08, AccessNotSystem = 0x10, AccessPresent = 0x80, FlagDb = 0x4000, FlagGranularity = 0x8000;

    public readonly int Dpl => (Attributes >> 5) & 3;

    public readonly bool IsCode => (Attributes & AccessCode) != 0;

    /// <summary>D (code) or B (stack) bit: 32-bit operands and addresses, or ESP.</summary>
    public readonly bool Is32 => (Attributes & FlagDb) != 0;

    /// <summary>Recomputes the ranges that accesses are checked against; call after any change. An absent segment
    /// (null selector) has Attributes = 0 and admits nothing.</summary>
    public void Derive()
    {
        if ((Attributes & (AccessPresent | AccessCode | AccessExpandDown | AccessWritable)) == (AccessPresent | AccessWritable))
        {
            // Nearly every load.
            (ReadFirst, ReadLast, WriteFirst, WriteLast) = (0, Limit, 0, Limit);
            return;
        }
        (ReadFirst, ReadLast, WriteFirst, WriteLast) = (1, 0, 1, 0);
        if ((Attributes & AccessPresent) == 0) return;
        bool code = IsCode;
        (uint first, uint last) = !code && (Attributes & AccessExpandDown) != 0
            ? (Limit + 1, Is32 ? uint.MaxValue : 0xffff)
            : (0, Limit);
        // An expand-down segment whose limit is the maximum admits nothing.
        if (!code && (Attributes & AccessExpandDown) != 0 && Limit >= last) (first, last) = (1, 0);
        if (!code || (Attributes & AccessReadable) != 0) (ReadFirst, ReadLast) = (first, last);
        if (!code && (Attributes & AccessWritable) != 0) (WriteFirst, WriteLast) = (first, last);
    }

    /// <summary>Base 0 and all 4 GiB readable and writable: no check can fail.</summary>
    public readonly bool IsFlatData => Base == 0 && ReadFirst == 0 && ReadLast == uint.MaxValue && WriteFirst == 0 && WriteLast == uint.MaxValue;
}

/// <summary>GDTR or IDTR.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct TableRegister
{
    public uint Base;
    public ushort Limit;
}

/// <summary>Everything of the processor that is state. The status flags are kept lazily (<see cref="Flags"/>) and are made
/// canonical before the bytes are saved or hashed.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct CpuState
{
    /// <summary>EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI and a slot that is always 0. At offset 0, so that a decoded
    /// instruction can name a register of any width by its byte offset.</summary>
    public fixed uint R[9];

    /// <summary>While a block runs: of its first instruction. At a boundary: of the next instruction.</summary>
    public uint Eip;

    /// <summary>EFLAGS without the six status flags: TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID and the fixed bit 1.</summary>
    public uint SystemFlags;

    /// <summary>Lazy status flags, see <see cref="Flags"/>.</summary>
    public uint FlagResult, FlagAux;

    /// <summary>Instructions retired since power-on; while a block runs: at its start.</summary>
    public ulong Count;

    public uint Cr0, Cr2, Cr3, Cr4;

    /// <summary>PDPTEs as loaded by the last write to CR3 (or CR0/CR4) with PAE.</summary>
    public fixed ulong Pdpte[4];

    public fixed uint Dr[8];

    /// <summary>IA32_EFER; only NXE is implemented.</summary>
    public uint Efer;

    public uint SysenterCs, SysenterEsp, SysenterEip;

    /// <summary>Added to virtual nanoseconds to give the TSC (writes to the TSC change it).</summary>
    public ulong TscOffset;

    /// <summary>Current privilege level; 0 in real mode, 3 in virtual-8086 mode.</summary>
    public byte Cpl;

    public byte Halted;

    /// <summary>1: the boundary before the next instruction does not sample interrupts (after STI, MOV SS, POP SS).</summary>
    public byte InterruptShadow;

    /// <summary>1: after MOV SS/POP SS, which also hold back debug traps.</summary>
    public byte DebugShadow;

    /// <summary>DR6 bits of a debug trap that is to be delivered at this boundary.</summary>
    public uint PendingDebug;

    public byte NmiPending, NmiBlocked;

    /// <summary>Level of the INTR pin.</summary>
    public byte IntrPin;

    /// <summary>1: the A20 gate is open (addresses are not masked).</summary>
    public byte A20;

    public Segment Es, Cs, Ss, Ds, Fs, Gs, Ldtr, Tr;

    /// <summary>The x87 unit; its registers lie on 16-byte boundaries here.</summary>
    public Float.FpuState Fpu;

    public TableRegister Gdtr, Idtr;
}
