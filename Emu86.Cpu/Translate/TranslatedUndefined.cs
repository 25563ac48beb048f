// Shifts, rotates, multiplications, bit scans and bit tests on hosts whose undefined flags are not ours: the host's instruction does
// the work, and the flags are put together from what every processor defines (docs/engine.md, "Undefined results").
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    // Bits of rax, which holds the flags as LAHF leaves them above OF.
    private const int RaxCarry = 0x0100, RaxParity = 0x0400, RaxAuxiliary = 0x1000, RaxZero = 0x4000, RaxSign = 0x8000, RaxFixed = 0x0200;

    /// <summary>By instruction of the trace: nobody can see the flags that it leaves.</summary>
    private readonly bool[] _flagsUnseen = new bool[Trace.InstructionsMax];

    /// <summary>Whether the flags are overwritten before anything reads them or the trace can be left.</summary>
    private bool AreFlagsUnseen(int from)
    {
        for (int n = from + 1; n < _count; n++)
        {
            if (MayLeave(_decoded[n])) return false;
            if (_flows[n] == FlagFlow.Overwrites) return true;
            if (_flows[n] != FlagFlow.Passes) return false;
        }
        return false;
    }

    private static bool LeavesUndefined(in Instruction x) => x.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Shld or Mnemonic.Shrd
        or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Imul or Mnemonic.Bsf or Mnemonic.Bsr or Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc;

    /// <summary>Writes a host instruction whose undefined flags may not be ours, and what makes its flags ours.</summary>
    /// <param name="x">The guest's.</param>
    /// <param name="host">The same on host registers and a checked place.</param>
    private void WithOurFlags(in Instruction x, in Instruction host)
    {
        if (_flagsUnseen[_at])
        {
            if (x.Mnemonic is Mnemonic.Rcl or Mnemonic.Rcr) RestoreCarry();
            _code.Put(host);
            _flags = FlagPlaces.Rax;
            return;
        }
        switch (x.Mnemonic)
        {
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Shld or Mnemonic.Shrd when CountOf(x) == 1:
                _code.Put(host);
                KeepFlags();
                _code.Put(Code.And_rm32_imm32, Register.EAX, ~RaxAuxiliary);
                break;
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Shld or Mnemonic.Shrd when CountOf(x) != null:
                OverflowOfOne(host, Scratch8);
                Shift(host);
                break;
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Shld or Mnemonic.Shrd:
                UnlessCountIsZero(host, static (t, h) =>
                {
                    t.OverflowOfOne(h, Scratch8);
                    t.Shift(h);
                });
                break;
            case Mnemonic.Rol or Mnemonic.Ror when CountOf(x) == null:
                UnlessCountIsZero(host, static (t, h) =>
                {
                    t.OverflowOfOne(h, Register.AL);
                    t.CarryAlone(h);
                });
                break;
            // By an immediate they keep OF.
            case Mnemonic.Rol or Mnemonic.Ror when CountOf(x) != 1:
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc when _undefined != HostUndefined.Amd:
                RaxHoldsFlags();
                CarryAlone(host);
                break;
            case Mnemonic.Imul:
                _code.Put(host);
                ProductFlags(host.Op0Register);
                break;
            case Mnemonic.Bsf or Mnemonic.Bsr:
                _code.Put(host);
                ScanFlags(host.Op0Register);
                break;
            default:
                RestoreFlags();
                _code.Put(host);
                FlagsWritten();
                return;
        }
        _flags = FlagPlaces.Rax;
    }

    /// <summary>The count of a shift or rotate; null: it is in CL.</summary>
    private static int? CountOf(in Instruction x) => x.GetOpKind(x.OpCount - 1) == OpKind.Immediate8 ? x.Immediate8 & 31 : null;

    private void RaxHoldsFlags()
    {
        if (!_flags.InRax) SettleFlags();
    }

    /// <summary>A count of 0 in CL changes nothing, not even flags.</summary>
    private void UnlessCountIsZero(in Instruction host, Action<Translator, Instruction> shift)
    {
        RaxHoldsFlags();
        HostLabel zero = _code.NewLabel();
        _code.Put(Code.Test_rm8_imm8, Register.CL, 31);
        _code.JumpIf(Equal, zero);
        shift(this, host);
        _code.Place(zero);
    }

    /// <summary>OF as the shift or rotate by 1 leaves it, which is defined. Spoils <see cref="Scratch"/>.</summary>
    private void OverflowOfOne(in Instruction host, Register into)
    {
        int size = host.Op0Kind == OpKind.Memory ? host.MemorySize.GetSize() : host.Op0Register.GetSize();
        (Register copy, Code load) = size switch
        {
            1 => (Scratch8, Code.Mov_r8_rm8),
            2 => (Register.R11W, Code.Mov_r16_rm16),
            _ => (Scratch32, Code.Mov_r32_rm32),
        };
        if (host.Op0Kind == OpKind.Memory) _code.Put(load, copy, _place);
        else _code.Put(load, copy, host.Op0Register);
        Code byOne = host.Mnemonic switch
        {
            Mnemonic.Shld => Code.Shld_rm32_r32_imm8,
            Mnemonic.Shrd => Code.Shrd_rm32_r32_imm8,
            Mnemonic.Rol => Code.Rol_rm32_1,
            Mnemonic.Ror => Code.Ror_rm32_1,
            Mnemonic.Sar => size switch { 1 => Code.Sar_rm8_1, 2 => Code.Sar_rm16_1, _ => Code.Sar_rm32_1 },
            Mnemonic.Shr => size switch { 1 => Code.Shr_rm8_1, 2 => Code.Shr_rm16_1, _ => Code.Shr_rm32_1 },
            _ => size switch { 1 => Code.Shl_rm8_1, 2 => Code.Shl_rm16_1, _ => Code.Shl_rm32_1 },
        };
        if (host.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd) _code.Put(Instruction.Create(byOne, copy, host.Op1Register, 1));
        else _code.Put(byOne, copy, 1);
        _code.Put(Code.Seto_rm8, into);
    }

    /// <summary>With OF in the scratch register: CF, PF, ZF and SF are the host's, AF is 0.</summary>
    private void Shift(in Instruction host)
    {
        _code.Put(host);
        _code.Put(Instruction.Create(Code.Lahf));
        _code.Put(Code.Mov_r8_rm8, Register.AL, Scratch8);
        _code.Put(Code.And_rm32_imm32, Register.EAX, ~RaxAuxiliary);
    }

    /// <summary>With flags in rax: only CF becomes the host's.</summary>
    private void CarryAlone(in Instruction host)
    {
        _code.Put(Code.Mov_r32_imm32, Scratch32, 0);
        _code.Put(host);
        _code.Put(Code.Setb_rm8, Scratch8);
        _code.Put(Code.Shl_rm32_imm8, Scratch32, 8);
        _code.Put(Code.And_rm32_imm32, Register.EAX, ~RaxCarry);
        _code.Put(Code.Or_r32_rm32, Register.EAX, Scratch32);
    }

    /// <summary>Behind a multiplication: CF and OF are the host's, SF and PF of the low half, ZF and AF 0.</summary>
    private void ProductFlags(Register low)
    {
        _code.Put(Code.Mov_r32_imm32, Scratch32, 0);
        _code.Put(Code.Seto_rm8, Scratch8);
        _code.Put(low.GetSize() == 2 ? Code.Test_rm16_r16 : Code.Test_rm32_r32, low, low);
        _code.Put(Instruction.Create(Code.Lahf));
        _code.Put(Code.And_rm32_imm32, Register.EAX, RaxSign | RaxParity | RaxFixed);
        _code.Put(Code.Or_r32_rm32, Register.EAX, Scratch32);
        _code.Put(Code.Shl_rm32_imm8, Scratch32, 8);
        _code.Put(Code.Or_r32_rm32, Register.EAX, Scratch32);
    }

    /// <summary>Behind a bit scan: ZF is the host's; PF is that of the number, or 1 where there is none; the others are 0.</summary>
    private void ScanFlags(Register number)
    {
        _code.Put(Code.Mov_r32_imm32, Scratch32, 0);
        _code.Put(Code.Sete_rm8, Scratch8);
        _code.Put(number.GetSize() == 2 ? Code.Test_rm16_r16 : Code.Test_rm32_r32, number, number);
        _code.Put(Instruction.Create(Code.Lahf));
        _code.Put(Code.And_rm32_imm32, Register.EAX, RaxParity | RaxFixed);
        _code.Put(Instruction.Create(Code.Imul_r32_rm32_imm32, Scratch32, Scratch32, RaxZero | RaxParity));
        _code.Put(Code.Or_r32_rm32, Register.EAX, Scratch32);
    }
}
