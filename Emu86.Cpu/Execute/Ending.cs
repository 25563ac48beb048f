// How handlers that end a block leave it.
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Execute;

internal static unsafe class Ending
{
    /// <summary>On to the next instruction. The way there may be linked unless modes changed.</summary>
    public static void Next(Ctx* c, Insn* i)
    {
        c->S.Eip += i->Next;
        c->Link = c->Attention == 0 ? &c->Block->Fall : null;
    }

    /// <summary>On to the next instruction, after the engine has looked at interrupts, deadlines and modes again.</summary>
    public static void NextAttentive(Ctx* c, Insn* i)
    {
        c->S.Eip += i->Next;
        c->Link = null;
        c->Attention = 1;
    }

    /// <summary>Sets or clears ZF alone.</summary>
    public static void SetZero(Ctx* c, bool zero) => Flags.SetStatus(c, (Flags.Get(c) & ~Flags.Zf) | (zero ? Flags.Zf : 0));
}
