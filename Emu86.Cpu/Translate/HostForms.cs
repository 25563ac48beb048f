// Which guest instructions the host can do itself, on host registers and a checked host address, and what they do with flags.
using Iced.Intel;

namespace Emu86.Cpu.Translate;

/// <summary>What an instruction needs of the status flags before it runs, and whether it leaves all of them defined in the host's.</summary>
internal enum FlagUse : byte
{
    /// <summary>Neither reads nor writes any.</summary>
    None,

    /// <summary>Writes all six.</summary>
    Writes,

    /// <summary>Reads CF or leaves it as it is, and writes the others.</summary>
    Carry,

    /// <summary>Reads any, or leaves some as they are.</summary>
    All,

    /// <summary>Reads any, writes none.</summary>
    Reads,
}

/// <summary>What happens to the first operand.</summary>
internal enum FirstOperand : byte
{
    Read,
    Written,
    Changed,
}

/// <summary>A row of the table.</summary>
internal readonly record struct HostForm(FlagUse Flags, FirstOperand First)
{
    /// <summary>The form of a guest instruction; null when the interpreter has to run it. Where the host's undefined flags are not
    /// ours they are put together (<see cref="Translator"/>, TranslatedUndefined); what seldom occurs is left out there.</summary>
    public static HostForm? Of(in Instruction x, HostUndefined undefined)
    {
        switch (x.Mnemonic)
        {
            case Mnemonic.Mov:
                return IsGeneral(x) ? new HostForm(FlagUse.None, FirstOperand.Written) : null;
            case Mnemonic.Movzx or Mnemonic.Movsx:
                return new HostForm(FlagUse.None, FirstOperand.Written);
            case Mnemonic.Not or Mnemonic.Bswap:
                return x.Code == Code.Bswap_r16 ? null : new HostForm(FlagUse.None, FirstOperand.Changed);
            case Mnemonic.Add or Mnemonic.Sub or Mnemonic.Neg:
                return new HostForm(FlagUse.Writes, FirstOperand.Changed);
            case Mnemonic.And or Mnemonic.Or or Mnemonic.Xor:
                return new HostForm(FlagUse.Writes, FirstOperand.Changed);
            case Mnemonic.Cmp or Mnemonic.Test:
                return new HostForm(FlagUse.Writes, FirstOperand.Read);
            case Mnemonic.Adc or Mnemonic.Sbb or Mnemonic.Inc or Mnemonic.Dec:
                return new HostForm(FlagUse.Carry, FirstOperand.Changed);
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar:
                if (undefined != HostUndefined.Ours && !IsDefinedShift(x)) return null;
                return new HostForm(IsFixedShift(x) ? FlagUse.Writes : FlagUse.All, FirstOperand.Changed);
            case Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr:
                return undefined == HostUndefined.Ours || IsDefinedRotate(x) ? new HostForm(FlagUse.All, FirstOperand.Changed) : null;
            case Mnemonic.Shld or Mnemonic.Shrd:
                if (undefined != HostUndefined.Ours && (x.Op0Kind != OpKind.Register || IsCountZero(x))) return null;
                return x.Op1Register >= Register.EAX ? new HostForm(FlagUse.All, FirstOperand.Changed) : null;
            case Mnemonic.Imul:
                return x.OpCount >= 2 ? new HostForm(FlagUse.Writes, FirstOperand.Changed) : null;
            case Mnemonic.Bsf or Mnemonic.Bsr:
                return x.Op0Register >= Register.EAX ? new HostForm(FlagUse.Writes, FirstOperand.Changed) : null;
            case Mnemonic.Bt:
                return IsBitTest(x) ? new HostForm(FlagUse.All, FirstOperand.Read) : null;
            case Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc:
                return IsBitTest(x) ? new HostForm(FlagUse.All, FirstOperand.Changed) : null;
            case Mnemonic.Xadd:
                return HasHigh(x) ? null : new HostForm(FlagUse.Writes, FirstOperand.Changed);
        }
        if (x.Mnemonic is >= Mnemonic.Seta and <= Mnemonic.Sets && x.ConditionCode != ConditionCode.None)
        {
            return new HostForm(FlagUse.Reads, FirstOperand.Written);
        }
        if (x.Mnemonic is >= Mnemonic.Cmova and <= Mnemonic.Cmovs) return new HostForm(FlagUse.Reads, FirstOperand.Changed);
        return null;
    }

    /// <summary>The same instruction in the form that 64-bit mode has for any register.</summary>
    public static Code Canonical(Code code) => code switch
    {
        Code.Inc_r16 => Code.Inc_rm16,
        Code.Inc_r32 => Code.Inc_rm32,
        Code.Dec_r16 => Code.Dec_rm16,
        Code.Dec_r32 => Code.Dec_rm32,
        Code.Add_AL_imm8 => Code.Add_rm8_imm8,
        Code.Add_AX_imm16 => Code.Add_rm16_imm16,
        Code.Add_EAX_imm32 => Code.Add_rm32_imm32,
        Code.Or_AL_imm8 => Code.Or_rm8_imm8,
        Code.Or_AX_imm16 => Code.Or_rm16_imm16,
        Code.Or_EAX_imm32 => Code.Or_rm32_imm32,
        Code.Adc_AL_imm8 => Code.Adc_rm8_imm8,
        Code.Adc_AX_imm16 => Code.Adc_rm16_imm16,
        Code.Adc_EAX_imm32 => Code.Adc_rm32_imm32,
        Code.Sbb_AL_imm8 => Code.Sbb_rm8_imm8,
        Code.Sbb_AX_imm16 => Code.Sbb_rm16_imm16,
        Code.Sbb_EAX_imm32 => Code.Sbb_rm32_imm32,
        Code.And_AL_imm8 => Code.And_rm8_imm8,
        Code.And_AX_imm16 => Code.And_rm16_imm16,
        Code.And_EAX_imm32 => Code.And_rm32_imm32,
        Code.Sub_AL_imm8 => Code.Sub_rm8_imm8,
        Code.Sub_AX_imm16 => Code.Sub_rm16_imm16,
        Code.Sub_EAX_imm32 => Code.Sub_rm32_imm32,
        Code.Xor_AL_imm8 => Code.Xor_rm8_imm8,
        Code.Xor_AX_imm16 => Code.Xor_rm16_imm16,
        Code.Xor_EAX_imm32 => Code.Xor_rm32_imm32,
        Code.Cmp_AL_imm8 => Code.Cmp_rm8_imm8,
        Code.Cmp_AX_imm16 => Code.Cmp_rm16_imm16,
        Code.Cmp_EAX_imm32 => Code.Cmp_rm32_imm32,
        Code.Test_AL_imm8 => Code.Test_rm8_imm8,
        Code.Test_AX_imm16 => Code.Test_rm16_imm16,
        Code.Test_EAX_imm32 => Code.Test_rm32_imm32,
        Code.Add_rm8_imm8_82 => Code.Add_rm8_imm8,
        Code.Or_rm8_imm8_82 => Code.Or_rm8_imm8,
        Code.Adc_rm8_imm8_82 => Code.Adc_rm8_imm8,
        Code.Sbb_rm8_imm8_82 => Code.Sbb_rm8_imm8,
        Code.And_rm8_imm8_82 => Code.And_rm8_imm8,
        Code.Sub_rm8_imm8_82 => Code.Sub_rm8_imm8,
        Code.Xor_rm8_imm8_82 => Code.Xor_rm8_imm8,
        Code.Cmp_rm8_imm8_82 => Code.Cmp_rm8_imm8,
        Code.Mov_AL_moffs8 => Code.Mov_r8_rm8,
        Code.Mov_AX_moffs16 => Code.Mov_r16_rm16,
        Code.Mov_EAX_moffs32 => Code.Mov_r32_rm32,
        Code.Mov_moffs8_AL => Code.Mov_rm8_r8,
        Code.Mov_moffs16_AX => Code.Mov_rm16_r16,
        Code.Mov_moffs32_EAX => Code.Mov_rm32_r32,
        _ => code,
    };

    /// <summary>Moves between general registers, memory and immediates; not segment, control or debug registers.</summary>
    private static bool IsGeneral(in Instruction x)
    {
        for (int n = 0; n < x.OpCount; n++)
        {
            if (x.GetOpKind(n) == OpKind.Register && HostRegisters.Whole(x.GetOpRegister(n)) == Register.None) return false;
        }
        return true;
    }

    /// <summary>A shift by an immediate count that is not 0.</summary>
    private static bool IsFixedShift(in Instruction x) => x.GetOpKind(1) == OpKind.Immediate8 && (x.Immediate8 & 31) != 0;

    /// <summary>A shift whose CF every processor defines, and by which the host's high bytes are not needed.</summary>
    private static bool IsDefinedShift(in Instruction x)
    {
        if (HasHigh(x) || IsCountZero(x)) return false;
        int bits = BitsOf(x);
        return bits == 32 || (x.GetOpKind(1) == OpKind.Immediate8 && (x.Immediate8 & 31) < bits);
    }

    /// <summary>The same for a rotate: by 1; or ROL and ROR of 32 bits in a register.</summary>
    private static bool IsDefinedRotate(in Instruction x)
    {
        if (HasHigh(x) || IsCountZero(x)) return false;
        if (x.GetOpKind(1) == OpKind.Immediate8 && x.Immediate8 == 1) return true;
        return x.Mnemonic is Mnemonic.Rol or Mnemonic.Ror && x.Op0Kind == OpKind.Register && BitsOf(x) == 32;
    }

    private static bool IsCountZero(in Instruction x) => x.GetOpKind(x.OpCount - 1) == OpKind.Immediate8 && (x.Immediate8 & 31) == 0;

    private static int BitsOf(in Instruction x) => 8 * (x.Op0Kind == OpKind.Memory ? x.MemorySize.GetSize() : x.Op0Register.GetSize());

    /// <summary>A bit offset in a register reaches beyond the memory operand: that form is left to the interpreter.</summary>
    private static bool IsBitTest(in Instruction x) => x.Op0Kind == OpKind.Register || x.Op1Kind == OpKind.Immediate8;

    /// <summary>Whether an operand is AH, CH, DH or BH.</summary>
    internal static bool HasHigh(in Instruction x)
    {
        for (int n = 0; n < x.OpCount; n++)
        {
            if (x.GetOpKind(n) == OpKind.Register && HostRegisters.IsHigh(x.GetOpRegister(n))) return true;
        }
        return false;
    }
}
