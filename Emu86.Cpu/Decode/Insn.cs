// The compact decoded instruction and the block it stands in.
using System.Runtime.InteropServices;

namespace Emu86.Cpu.Decode;

/// <summary>One decoded instruction, operands resolved. A handler does its work and ends with
/// <c>i[1].Fn(c, i + 1);</c> (the next instruction of the block, a tail call), or returns: after a fault, or at a block's end.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Insn
{
    /// <summary>The handler.</summary>
    public delegate*<Ctx*, Insn*, void> Fn;

    /// <summary>The handler of this instruction alone, where <see cref="Fn"/> also does the following instruction.</summary>
    public delegate*<Ctx*, Insn*, void> Plain;

    /// <summary>Immediate, sign-extended to the operand size; near branch: distance from the next instruction; far pointer: offset.</summary>
    public uint Imm;

    /// <summary>Displacement of the memory operand, or the whole offset of a moffs operand.</summary>
    public uint Disp;

    /// <summary>Byte offset in the register file of the first register operand; for segment, control, debug and x87
    /// register operands the number.</summary>
    public byte Dst;

    /// <summary>The same for the second operand when that is a register. So: <c>op reg, reg</c> Dst and Src; <c>op reg, mem</c>
    /// Dst; <c>op mem, reg</c> Src; an immediate is in <see cref="Imm"/> wherever it stands.</summary>
    public byte Src;

    /// <summary>Byte offsets of base and index register (that of <see cref="Gpr.Zero"/> when absent).</summary>
    public byte Base, Scaled;

    /// <summary>log2 of the index scale.</summary>
    public byte Scale;

    /// <summary>Segment of the memory operand (<see cref="Seg"/>), default or overridden.</summary>
    public byte Segment;

    public PrefixBits Prefixes;

    /// <summary>Bytes.</summary>
    public byte Length;

    /// <summary>Instruction pointer of this instruction and of the next one, less <see cref="CpuState.Eip"/> of the block.</summary>
    public ushort Offset, Next;

    /// <summary>How many instructions of the block come before this one.</summary>
    public ushort Index;

    /// <summary>Far pointer: selector. ENTER: nesting level. x87: the opcode's 11 bits (FOP). Otherwise 0.</summary>
    public ushort Imm2;
}

[Flags]
public enum PrefixBits : byte
{
    None = 0,
    Rep = 1,
    Repne = 2,
    Lock = 4,

    /// <summary>Effective operand size is 32 bits.</summary>
    Operand32 = 8,

    /// <summary>Effective address size is 32 bits.</summary>
    Address32 = 16,

    /// <summary>Not a prefix: the instruction faults whatever its operands are (#UD, or #GP for lack of privilege).</summary>
    Faults = 32,
}

/// <summary>What a decoded block depends on besides its bytes. A block is valid for one value only.</summary>
public static class BlockMode
{
    /// <summary>CS.D: 32-bit code.</summary>
    public const uint Code32 = 1;

    /// <summary>SS.B: ESP is the stack pointer.</summary>
    public const uint Stack32 = 2;

    /// <summary>DS, ES and SS are flat (<see cref="Segment.IsFlatData"/>): their accesses need no segment check.</summary>
    public const uint Flat = 4;

    /// <summary>CPL 3: privileged instructions fault, fetches are user accesses.</summary>
    public const uint User = 8;

    /// <summary>Protected and not virtual-8086 mode.</summary>
    public const uint Protected = 16;

    /// <summary>CPL 1 or 2: privileged instructions fault.</summary>
    public const uint Unprivileged = 32;

    /// <summary>CS has base 0 and a limit of 4 GiB: EIP is the linear address.</summary>
    public const uint FlatCode = 64;
}

/// <summary>A direct way from a block to its successor, valid in one epoch.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Link
{
    public Block* Target;
    public uint Epoch;
}

/// <summary>An entry of the jump cache: the block at a linear address, valid in one epoch.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Jump
{
    public uint Linear, Mode, Epoch;
    public Block* Target;

    /// <summary>Where translated code goes on.</summary>
    public nint Native;

    public const int Entries = 1 << 14;
}

/// <summary>A straight line of instructions up to a branch, a page end or a length limit. Cached by physical address and
/// instruction pointer: the same code may be mapped twice with different neighbours.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Block
{
    /// <summary>Successors: not taken / fall through, and taken. First, so that their addresses need no computation.</summary>
    public Link Fall, Taken;

    /// <summary>Physical address of the first byte in 31:0, <see cref="BlockMode"/> from bit 32.</summary>
    public ulong Key;

    /// <summary>In a cached block they come directly behind it.</summary>
    public Insn* First;

    /// <summary>Instructions in the block; a full run retires as many.</summary>
    public uint Count;

    /// <summary>Bytes of code.</summary>
    public uint Bytes;

    /// <summary>Physical address of the second page when the block is one instruction that crosses a page; else <see cref="NoPage"/>.</summary>
    public uint SecondPage;

    public const uint NoPage = 1;

    /// <summary><see cref="Key"/> of a block that nothing may lead to any more.</summary>
    public const ulong Forgotten = ulong.MaxValue;

    /// <summary>EIP of the first instruction.</summary>
    public uint Eip;

    /// <summary>Next in the hash bucket.</summary>
    public Block* HashNext;

    /// <summary>Next in the list of its first page, and of its second page.</summary>
    public Block* PageNext, SecondPageNext;

    /// <summary>Its translation, 0 when there is none.</summary>
    public nint Native;

    /// <summary>How often it ran while it was watched.</summary>
    public uint Heat;
}
