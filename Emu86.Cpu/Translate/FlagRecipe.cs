// How flags that only an exit would look at are found again from registers that still hold what they came from.
using Iced.Intel;

namespace Emu86.Cpu.Translate;

internal enum FlagSource : byte
{
    /// <summary>There is no recipe: the flags are kept.</summary>
    None,

    /// <summary>AND, OR, XOR left its result in <see cref="FlagRecipe.First"/>.</summary>
    Logic,

    /// <summary>ADD, SUB, NEG left its result in <see cref="FlagRecipe.First"/>; the other operand is as it was.</summary>
    Add,
    Subtract,
    Negate,

    /// <summary>CMP, TEST: both operands are as they were.</summary>
    Compare,
    Test,
}

/// <summary>The last instruction that wrote flags, as far as its operands can be found.</summary>
/// <param name="Source">What it was.</param>
/// <param name="First">The guest register that is or was its first operand.</param>
/// <param name="Other">The second operand; None: <paramref name="Immediate"/>.</param>
/// <param name="Immediate">Sign-extended.</param>
internal readonly record struct FlagRecipe(FlagSource Source, Register First, Register Other, int Immediate)
{
    /// <summary>The recipe of an instruction that overwrites all status flags; <see cref="FlagSource.None"/> where there is none.</summary>
    public static FlagRecipe Of(in Instruction x)
    {
        if (x.OpCount == 0 || !IsMapped(x, 0)) return default;
        Register first = x.Op0Register;
        bool isWide = first.GetSize() == 4, hasOther = x.OpCount > 1 && IsMapped(x, 1), hasImmediate = x.OpCount > 1 && IsImmediate(x.Op1Kind);
        Register other = hasOther ? x.Op1Register : Register.None;
        bool isKnown = hasOther || hasImmediate;
        // Of twice a register its half cannot be told.
        bool isUndone = isWide && isKnown && other != first;
        FlagSource source = x.Mnemonic switch
        {
            Mnemonic.And or Mnemonic.Or or Mnemonic.Xor => FlagSource.Logic,
            Mnemonic.Neg when isWide => FlagSource.Negate,
            Mnemonic.Add when isUndone => FlagSource.Add,
            Mnemonic.Sub when isUndone => FlagSource.Subtract,
            Mnemonic.Cmp when isKnown => FlagSource.Compare,
            Mnemonic.Test when isKnown => FlagSource.Test,
            _ => FlagSource.None,
        };
        return source switch
        {
            FlagSource.None => default,
            FlagSource.Logic or FlagSource.Negate => new FlagRecipe(source, first, Register.None, 0),
            _ => new FlagRecipe(source, first, other, hasImmediate ? (int)x.GetImmediate(1) : 0),
        };
    }

    /// <summary>Whether it needs one of the general registers in a mask.</summary>
    public bool NeedsAny(uint registers) => ((Bit(First) | Bit(Other)) & registers) != 0;

    /// <summary>Leaves the flags in the host's. Spoils <see cref="HostRegisters.Scratch"/>.</summary>
    public void Write(HostCode code)
    {
        Register first = HostRegisters.Same(First);
        if (Source is FlagSource.Add or FlagSource.Subtract or FlagSource.Negate)
        {
            code.Put(Code.Mov_r32_rm32, HostRegisters.Scratch32, first);
            first = HostRegisters.Scratch32;
        }
        switch (Source)
        {
            case FlagSource.Logic:
                code.Put(OfWidth(first, Code.Test_rm8_r8, Code.Test_rm16_r16, Code.Test_rm32_r32), first, first);
                return;
            case FlagSource.Compare:
                Compare(code, first);
                return;
            case FlagSource.Test:
                Test(code, first);
                return;
            case FlagSource.Add:
                Subtract(code, first);
                Add(code, first);
                return;
            case FlagSource.Subtract:
                Add(code, first);
                Subtract(code, first);
                return;
            case FlagSource.Negate:
                code.Put(Code.Neg_rm32, first);
                code.Put(Code.Neg_rm32, first);
                return;
        }
    }

    private void Add(HostCode code, Register first)
    {
        if (Other != Register.None) code.Put(Code.Add_r32_rm32, first, HostRegisters.Same(Other));
        else code.Put(Code.Add_rm32_imm32, first, Immediate);
    }

    private void Subtract(HostCode code, Register first)
    {
        if (Other != Register.None) code.Put(Code.Sub_r32_rm32, first, HostRegisters.Same(Other));
        else code.Put(Code.Sub_rm32_imm32, first, Immediate);
    }

    private void Compare(HostCode code, Register first)
    {
        if (Other != Register.None) code.Put(OfWidth(first, Code.Cmp_r8_rm8, Code.Cmp_r16_rm16, Code.Cmp_r32_rm32), first, HostRegisters.Same(Other));
        else code.Put(OfWidth(first, Code.Cmp_rm8_imm8, Code.Cmp_rm16_imm16, Code.Cmp_rm32_imm32), first, ImmediateFor(first));
    }

    private void Test(HostCode code, Register first)
    {
        if (Other != Register.None) code.Put(OfWidth(first, Code.Test_rm8_r8, Code.Test_rm16_r16, Code.Test_rm32_r32), first, HostRegisters.Same(Other));
        else code.Put(OfWidth(first, Code.Test_rm8_imm8, Code.Test_rm16_imm16, Code.Test_rm32_imm32), first, ImmediateFor(first));
    }

    /// <summary>Within the range that Iced takes for the width.</summary>
    private int ImmediateFor(Register register) => register.GetSize() switch { 1 => (sbyte)Immediate, 2 => (short)Immediate, _ => Immediate };

    private static Code OfWidth(Register register, Code with8, Code with16, Code with32) => register.GetSize() switch { 1 => with8, 2 => with16, _ => with32 };

    private static bool IsMapped(in Instruction x, int operand) =>
        x.GetOpKind(operand) == OpKind.Register && HostRegisters.Same(x.GetOpRegister(operand)) != Register.None;

    private static bool IsImmediate(OpKind kind) => kind is OpKind.Immediate8 or OpKind.Immediate16 or OpKind.Immediate32 or OpKind.Immediate8to16 or OpKind.Immediate8to32;

    private static uint Bit(Register register) => register == Register.None ? 0 : 1u << (register.GetFullRegister32() - Register.EAX);
}
