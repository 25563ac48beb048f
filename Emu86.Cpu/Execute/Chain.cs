// From block to block without going back to the engine's loop: the last handler of a block calls the first of the next.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Execute;

/// <summary>Following blocks. A link or jump-cache entry that is valid implies that its target is within CS.Limit.</summary>
internal static unsafe class Chain
{
    /// <summary>The jump cache's only place for a linear address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Jump* JumpOf(Ctx* c, uint linear) => c->Jumps + ((linear ^ (linear >> 12)) & (Jump.Entries - 1));

    /// <summary>Whether what was linked in <paramref name="epoch"/> is still valid and nothing asks for the engine's loop. The
    /// caller then compares the count at the next block's start with <see cref="Ctx.ChainLimit"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsOpen(Ctx* c, uint epoch) => ((epoch ^ c->Epoch) | c->Attention) == 0;

    /// <summary>Runs the next block, which begins at <paramref name="count"/>. To be the last statement of a handler.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Enter(Ctx* c, Block* next, ulong count)
    {
        c->S.Count = count;
        c->S.Eip = next->Eip;
        c->Block = next;
        var first = (Insn*)(next + 1);
        first->Fn(c, first);
    }

    /// <summary>The last step of a branch to a computed address within CS.Limit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Computed(Ctx* c, uint eip)
    {
        uint linear = c->S.Cs.Base + eip;
        Jump* jump = JumpOf(c, linear);
        if (jump->Linear == linear && jump->Mode == c->Mode && IsOpen(c, jump->Epoch))
        {
            ulong count = c->S.Count + c->Block->Count;
            if (count < c->ChainLimit)
            {
                Enter(c, jump->Target, count);
                return;
            }
        }
        c->S.Eip = eip;
        c->Link = null;
    }
}
