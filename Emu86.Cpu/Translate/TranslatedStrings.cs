// LODS, STOS and MOVS without repetition and upwards. Repeated ones are the interpreter's, which moves whole pages.
using Emu86.Cpu.Decode;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    /// <summary>False: nothing was written, the interpreter has to run it.</summary>
    private bool String(in Instruction x, Insn* i)
    {
        if (x.HasRepPrefix || x.HasRepnePrefix) return false;
        switch (x.Code)
        {
            case Code.Lodsb_AL_m8 or Code.Lodsd_EAX_m32 when IsSource(x, 1):
                int loaded = x.Op0Register.GetSize();
                Upwards(i);
                LocateSource(x, i, loaded);
                if (loaded == 1) _code.Put(Code.Mov_r8_rm8, Same(Register.AL), _place);
                else _code.Put(Code.Mov_r32_rm32, Of32(Gpr.Eax), _place);
                Step(Register.RSI, loaded);
                return true;
            case Code.Stosb_m8_AL or Code.Stosd_m32_EAX when x.Op0Kind == OpKind.MemoryESEDI:
                int stored = x.Op1Register.GetSize();
                Upwards(i);
                LocateDestination(i, stored);
                if (stored == 1) _code.Put(Code.Mov_rm8_r8, _place, Same(Register.AL));
                else _code.Put(Code.Mov_rm32_r32, _place, Of32(Gpr.Eax));
                Step(Register.RDI, stored);
                return true;
            case Code.Movsb_m8_m8 or Code.Movsw_m16_m16 or Code.Movsd_m32_m32 when x.Op0Kind == OpKind.MemoryESEDI && IsSource(x, 1):
                (int size, Code load, Code store, Register value) = x.Code switch
                {
                    Code.Movsb_m8_m8 => (1, Code.Movzx_r32_rm8, Code.Mov_rm8_r8, Scratch8),
                    Code.Movsw_m16_m16 => (2, Code.Movzx_r32_rm16, Code.Mov_rm16_r16, Register.R11W),
                    _ => (4, Code.Mov_r32_rm32, Code.Mov_rm32_r32, Scratch32),
                };
                Upwards(i);
                LocateSource(x, i, size);
                _code.Put(load, Scratch32, _place);
                _code.Put(Code.Mov_rm32_r32, Field(&_c->NativeValue), Scratch32);
                LocateDestination(i, size);
                _code.Put(Code.Mov_r32_rm32, Scratch32, Field(&_c->NativeValue));
                _code.Put(store, _place, value);
                Step(Register.RSI, size);
                Step(Register.RDI, size);
                return true;
            default:
                return false;
        }
    }

    private static bool IsSource(in Instruction x, int operand) =>
        x.GetOpKind(operand) == OpKind.MemorySegESI && x.MemorySegment is Register.DS or Register.ES or Register.SS;

    /// <summary>Downwards is rare: the interpreter does it.</summary>
    private void Upwards(Insn* i)
    {
        FreeFlags();
        _code.Put(Code.Test_rm32_imm32, Field(&_c->S.SystemFlags), (int)Flags.Df);
        _code.JumpIf(NotEqual, Refused(i));
    }

    private void LocateSource(in Instruction x, Insn* i, int size)
    {
        _code.Put(Code.Mov_r32_rm32, Place32, Register.ESI);
        Translate(i, size, write: false, CellOf(x.MemorySegment, Register.ESI, 0, write: false), isShared: false);
    }

    private void LocateDestination(Insn* i, int size)
    {
        _code.Put(Code.Mov_r32_rm32, Place32, Register.EDI);
        Translate(i, size, write: true, CellOf(Register.ES, Register.EDI, 0, write: true), isShared: false);
    }

    private void Step(Register address, int bytes) => _code.Put(Code.Lea_r32_m, address.GetFullRegister32(), At(address, bytes));
}
