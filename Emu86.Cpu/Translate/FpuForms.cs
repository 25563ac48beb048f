// Which x87 instructions the host's unit does: all whose results, status and tags are the software unit's on every x86-64 host.
// Transcendental functions are not (vendors round them differently), nor what changes the whole unit at once.
using Iced.Intel;

namespace Emu86.Cpu.Translate;

/// <summary>The memory operand of an x87 instruction.</summary>
internal enum FpuOperand : byte
{
    None,
    Read,
    Written,
}

/// <summary>A row of the table.</summary>
internal readonly record struct FpuForm(FpuOperand Access, FlagUse Flags)
{
    /// <summary>The form of a guest instruction; null when the interpreter has to run it. Control instructions are not in the table.</summary>
    public static FpuForm? Of(in Instruction x)
    {
        bool memory = x.OpCount == 1 && x.Op0Kind == OpKind.Memory;
        switch (x.Mnemonic)
        {
            case Mnemonic.Fadd or Mnemonic.Faddp or Mnemonic.Fiadd or Mnemonic.Fsub or Mnemonic.Fsubp or Mnemonic.Fisub:
            case Mnemonic.Fsubr or Mnemonic.Fsubrp or Mnemonic.Fisubr or Mnemonic.Fmul or Mnemonic.Fmulp or Mnemonic.Fimul:
            case Mnemonic.Fdiv or Mnemonic.Fdivp or Mnemonic.Fidiv or Mnemonic.Fdivr or Mnemonic.Fdivrp or Mnemonic.Fidivr:
            case Mnemonic.Fcom or Mnemonic.Fcomp or Mnemonic.Fcompp or Mnemonic.Ficom or Mnemonic.Ficomp:
            case Mnemonic.Fucom or Mnemonic.Fucomp or Mnemonic.Fucompp or Mnemonic.Ftst or Mnemonic.Fxam:
            case Mnemonic.Fld or Mnemonic.Fild or Mnemonic.Fxch or Mnemonic.Fchs or Mnemonic.Fabs or Mnemonic.Fsqrt or Mnemonic.Frndint:
            case Mnemonic.Fld1 or Mnemonic.Fldl2t or Mnemonic.Fldl2e or Mnemonic.Fldpi or Mnemonic.Fldlg2 or Mnemonic.Fldln2 or Mnemonic.Fldz:
            case Mnemonic.Fscale or Mnemonic.Fxtract or Mnemonic.Fprem or Mnemonic.Fprem1:
            case Mnemonic.Ffree or Mnemonic.Fincstp or Mnemonic.Fdecstp or Mnemonic.Fnop:
                return new FpuForm(memory ? FpuOperand.Read : FpuOperand.None, FlagUse.None);
            case Mnemonic.Fst or Mnemonic.Fstp or Mnemonic.Fist or Mnemonic.Fistp:
                return new FpuForm(memory ? FpuOperand.Written : FpuOperand.None, FlagUse.None);
            case Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip:
                return new FpuForm(FpuOperand.None, FlagUse.Writes);
            case >= Mnemonic.Fcmovb and <= Mnemonic.Fcmovu:
                return new FpuForm(FpuOperand.None, FlagUse.Reads);
            default:
                return null;
        }
    }
}
