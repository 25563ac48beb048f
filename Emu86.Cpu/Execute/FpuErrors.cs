// How a pending unmasked x87 exception reaches software: #MF, or FERR# and IRQ 13 with IGNNE# (Intel SDM vol. 1, 8.7 and
// appendix D).
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Execute;

internal static unsafe class FpuErrors
{
    /// <summary>A waiting instruction finds a pending exception. False: it may go on (IGNNE# is asserted).</summary>
    public static bool IsStopped(Ctx* c, Insn* i)
    {
        if ((c->S.Cr0 & Modes.Cr0Ne) != 0)
        {
            Ctx.Fault(c, i, Vector.Mf);
            return true;
        }
        if (c->S.Fpu.IgnoreErrors != 0) return false;
        if (c->Alone == 0)
        {
            Ctx.NeedAlone(c, i);
            return true;
        }
        // The processor freezes at this instruction until an interrupt comes; it is then where the interrupt returns to.
        // The freeze is a halt: it counts 1, and EIP stays.
        if (c->S.Fpu.ErrorPin == 0)
        {
            c->S.Fpu.ErrorPin = 1;
            Ctx.ProcessorOf(c).Bus.SetFerr(true);
        }
        c->S.Halted = 1;
        c->Link = null;
        c->Attention = 1;
        return true;
    }

    /// <summary>False: the control instruction must run alone, because it may release FERR#.</summary>
    public static bool MayChange(Ctx* c, Insn* i) => c->S.Fpu.ErrorPin == 0 || c->Alone != 0 || Ctx.NeedAlone(c, i);

    /// <summary>After anything that may have cleared ES: FERR# follows, and IGNNE# with it.</summary>
    public static void Update(Ctx* c)
    {
        if (c->S.Fpu.IsExceptionPending) return;
        c->S.Fpu.IgnoreErrors = 0;
        if (c->S.Fpu.ErrorPin == 0) return;
        c->S.Fpu.ErrorPin = 0;
        Ctx.ProcessorOf(c).Bus.SetFerr(false);
    }
}
