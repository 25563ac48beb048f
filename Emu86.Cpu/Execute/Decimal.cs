// DAA, DAS, AAA, AAS, AAM, AAD (SDM vol. 1, 5.1.3; vol. 2). Flags that the manual leaves undefined: docs/engine.md.
using Emu86.Cpu.Decode;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

public static unsafe class Decimal
{
    public static void Rows(OpTable t)
    {
        t.Add(Code.Daa, &Daa);
        t.Add(Code.Das, &Das);
        t.Add(Code.Aaa, &Aaa);
        t.Add(Code.Aas, &Aas);
        t.Add(Code.Aam_imm8, &Aam);
        t.Add(Code.Aad_imm8, &Aad);
    }

    /// <summary>SF, ZF and PF of AL, with the given CF and AF; OF is 0.</summary>
    private static void SetFlags(Ctx* c, bool carry, bool auxiliary)
    {
        Flags.Logic<byte>(c, Operand.Get<byte>(c, 0));
        if (carry || auxiliary) Flags.SetStatus(c, Flags.Get(c) | (carry ? Flags.Cf : 0) | (auxiliary ? Flags.Af : 0));
    }

    private static void Daa(Ctx* c, Insn* i)
    {
        uint al = Operand.Get<byte>(c, 0);
        bool auxiliary = (al & 15) > 9 || Flags.AfOf(c), carry = al > 0x99 || Flags.CfOf(c);
        Operand.Set<byte>(c, 0, al + (auxiliary ? 6u : 0) + (carry ? 0x60u : 0));
        SetFlags(c, carry, auxiliary);
        i[1].Fn(c, i + 1);
    }

    private static void Das(Ctx* c, Insn* i)
    {
        uint al = Operand.Get<byte>(c, 0);
        bool before = Flags.CfOf(c), auxiliary = (al & 15) > 9 || Flags.AfOf(c), high = al > 0x99 || before;
        // CF also from the borrow of the low correction (SDM vol. 2, DAS).
        bool carry = high || (auxiliary && al < 6);
        Operand.Set<byte>(c, 0, al - (auxiliary ? 6u : 0) - (high ? 0x60u : 0));
        SetFlags(c, carry, auxiliary);
        i[1].Fn(c, i + 1);
    }

    private static void Aaa(Ctx* c, Insn* i)
    {
        bool adjust = (c->S.R[Gpr.Eax] & 15) > 9 || Flags.AfOf(c);
        uint ax = c->S.R[Gpr.Eax] + (adjust ? 0x106u : 0);
        Operand.Set<ushort>(c, 0, ax & 0xff0f);
        SetFlags(c, adjust, adjust);
        i[1].Fn(c, i + 1);
    }

    private static void Aas(Ctx* c, Insn* i)
    {
        bool adjust = (c->S.R[Gpr.Eax] & 15) > 9 || Flags.AfOf(c);
        uint ax = c->S.R[Gpr.Eax] - (adjust ? 0x106u : 0);
        Operand.Set<ushort>(c, 0, ax & 0xff0f);
        SetFlags(c, adjust, adjust);
        i[1].Fn(c, i + 1);
    }

    private static void Aam(Ctx* c, Insn* i)
    {
        uint al = Operand.Get<byte>(c, 0), divisor = (byte)i->Imm;
        if (divisor == 0)
        {
            Ctx.Fault(c, i, Vector.De);
            return;
        }
        Operand.Set<ushort>(c, 0, (al / divisor << 8) | (al % divisor));
        SetFlags(c, false, false);
        i[1].Fn(c, i + 1);
    }

    private static void Aad(Ctx* c, Insn* i)
    {
        // The flags are those of the addition.
        uint al = Operand.Get<byte>(c, 0), tens = (byte)(Operand.Get<byte>(c, 1) * i->Imm);
        Operand.Set<ushort>(c, 0, (byte)(al + tens));
        Flags.Add<byte>(c, al, tens, al + tens);
        i[1].Fn(c, i + 1);
    }
}
