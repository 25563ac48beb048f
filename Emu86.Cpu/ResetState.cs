// Processor state after RESET (SDM vol. 3, table 10-1).
namespace Emu86.Cpu;

internal static unsafe class ResetState
{
    public static void Apply(Ctx* c, CpuModel model)
    {
        Flags.SetAll(c, Flags.Fixed1);
        c->S.Eip = 0xfff0;
        c->S.Cr0 = Modes.Cr0Et | Modes.Cr0Nw | Modes.Cr0Cd;
        c->S.R[Gpr.Edx] = model.Signature;
        for (int n = 0; n < Seg.Count; n++)
        {
            Segment* s = Ctx.SegmentOf(c, n);
            *s = new Segment { Attributes = 0x93, Limit = 0xffff };
            s->Derive();
        }
        c->S.Cs.Selector = 0xf000;
        c->S.Cs.Base = 0xffff_0000;
        c->S.Idtr.Limit = c->S.Gdtr.Limit = 0xffff;
        c->S.Ldtr = new Segment { Attributes = 0x82, Limit = 0xffff };
        c->S.Tr = new Segment { Attributes = 0x8b, Limit = 0xffff };
        c->S.Fpu.Reset();
        c->S.Dr[6] = 0xffff_0ff0;
        c->S.Dr[7] = 0x400;
    }
}
