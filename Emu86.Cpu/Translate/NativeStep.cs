// What belongs to translated code besides the code.
using System.Runtime.InteropServices;
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Translate;

/// <summary>Why translated code came back (<see cref="Ctx.NativeExit"/> bits 7:0).</summary>
internal static class NativeExit
{
    /// <summary>The trace does not fit into what is left to the limit. The position is its beginning.</summary>
    public const uint Limit = 0;

    /// <summary>On to <see cref="Ctx.NativePlace"/>, which no look-up found.</summary>
    public const uint Lookup = 1;

    /// <summary>On to a direct successor in the same page, by a jump that can be patched: bits 15:8 say which (0 fall through, 1 taken).</summary>
    public const uint Link = 2;

    /// <summary>The interpreter has to run the instruction with the index in bits 31:16.</summary>
    public const uint Interpret = 3;

    /// <summary>That instruction accesses <see cref="Ctx.NativePlace"/>, which the TLB does not admit: bits 14:8 the size in
    /// bytes, bit 15 whether it writes.</summary>
    public const uint Miss = 4;

    /// <summary>The instruction with the index in bits 31:16 needs the guest's x87 registers in the host's unit.</summary>
    public const uint Fpu = 5;
}

/// <summary>A block as it stands in a piece of translated code, which covers a trace of them.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeStep
{
    public Block* Block;

    /// <summary>Executable address from which the offsets count.</summary>
    public nint Code;

    /// <summary>Where the patchable jumps to the successors are (executable address of their distance; 0 when there is none), and
    /// which EIP they lead to.</summary>
    public nint FallSite, TakenSite;

    public uint FallEip, TakenEip;

    /// <summary>Instructions of the trace behind this block.</summary>
    public uint Rest;

    /// <summary>Instructions of the block.</summary>
    public uint Count;

    /// <summary>By instruction: bytes from <see cref="Code"/> to the place where its translation begins; 0 when the interpreter
    /// runs it. In memory directly behind this struct, <see cref="Count"/> entries.</summary>
    public static uint* OffsetsOf(NativeStep* step) => (uint*)(step + 1);

    /// <summary>The executable address of an instruction's translation.</summary>
    public static nint At(NativeStep* step, uint index) => step->Code + (nint)OffsetsOf(step)[index];
}
