// PUSHF, POPF, CLI, STI and PUSH Sreg, which kernels do all the time, as far as nothing comes of them but values.
using Emu86.Cpu.Decode;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    /// <summary>What POPFD at ring 0 loads besides status flags and IF; RF is clear wherever translated code runs.</summary>
    private const uint PoppedSystemFlags = Flags.Tf | Flags.Df | Flags.Nt | Flags.Ac | Flags.Id | Flags.Iopl;

    private bool IsRing0 => (_key >> 32 & (BlockMode.User | BlockMode.Unprivileged)) == 0;

    /// <summary>False: nothing was written, the interpreter has to run it.</summary>
    private bool SystemFlag(in Instruction x, Insn* i)
    {
        switch (x.Code)
        {
            case Code.Cli when IsRing0:
                FreeFlags();
                _code.Put(Code.And_rm32_imm32, Field(&_c->S.SystemFlags), unchecked((int)~Flags.If));
                return true;
            case Code.Sti when IsRing0 && _expected is not null && !_closes:
                // What it holds interrupts back for follows in this very code, so nobody can look between the two. The interpreter
                // does it where one waits.
                FreeFlags();
                _code.Put(Code.Cmp_rm8_imm8, Field(&_c->S.IntrPin), 0);
                _code.JumpIf(NotEqual, Refused(i));
                _code.Put(Code.Or_rm32_imm32, Field(&_c->S.SystemFlags), (int)Flags.If);
                return true;
            case Code.Pushfd:
                LocateStack(i, -4, 4, write: true);
                FreeFlags();
                // The place may be one scratch register or the window.
                Register other = _place.Base == Place ? Second32 : Place32;
                if (other == Second32) _window = NoWindow;
                // EFLAGS 7:0 from AH, OF from AL, the rest from the state.
                _code.Put(Code.Mov_r32_rm32, Scratch32, Register.EAX);
                _code.Put(Code.Shr_rm32_imm8, Scratch32, 8);
                _code.Put(Code.And_rm32_imm32, Scratch32, (int)(Flags.Status & 0xff));
                _code.Put(Code.Movzx_r32_rm8, other, Register.AL);
                _code.Put(Code.Shl_rm32_imm8, other, 11);
                _code.Put(Code.Or_r32_rm32, Scratch32, other);
                _code.Put(Code.Mov_r32_rm32, other, Field(&_c->S.SystemFlags));
                _code.Put(Code.And_rm32_imm32, other, unchecked((int)~(Flags.Rf | Flags.Vm)));
                _code.Put(Code.Or_r32_rm32, Scratch32, other);
                _code.Put(Code.Mov_rm32_r32, _place, Scratch32);
                MoveStack(-4);
                return true;
            case Code.Popfd when IsRing0:
                PopFlags(i);
                return true;
            case Code.Pushd_DS or Code.Pushd_ES or Code.Pushd_SS or Code.Pushd_CS or Code.Pushd_FS or Code.Pushd_GS:
                // It writes 16 bits (docs/engine.md).
                LocateStack(i, -4, 2, write: true);
                _code.Put(Code.Movzx_r32_rm16, Scratch32, Field(&Ctx.SegmentOf(_c, x.Op0Register - Register.ES)->Selector));
                _code.Put(Code.Mov_rm16_r16, _place, Register.R11W);
                MoveStack(-4);
                return true;
            default:
                return false;
        }
    }

    /// <summary>The interpreter does it where more than IF and the status flags change, and where an interrupt waits for IF.</summary>
    private void PopFlags(Insn* i)
    {
        LocateStack(i, 0, 4, write: false);
        FreeFlags();
        HostLabel refused = Refused(i), closed = _code.NewLabel();
        _code.Put(Code.Mov_r32_rm32, Scratch32, _place);
        _code.Put(Code.Mov_r32_rm32, Place32, Scratch32);
        _code.Put(Code.Xor_r32_rm32, Place32, Field(&_c->S.SystemFlags));
        _code.Put(Code.Test_rm32_imm32, Place32, (int)PoppedSystemFlags);
        _code.JumpIf(NotEqual, refused);
        _code.Put(Code.Test_rm32_imm32, Scratch32, (int)Flags.If);
        _code.JumpIf(Equal, closed);
        _code.Put(Code.Cmp_rm8_imm8, Field(&_c->S.IntrPin), 0);
        _code.JumpIf(NotEqual, refused);
        _code.Place(closed);
        _code.Put(Code.And_rm32_imm32, Place32, (int)Flags.If);
        _code.Put(Code.Xor_rm32_r32, Field(&_c->S.SystemFlags), Place32);
        MoveStack(4);
        _code.Put(Code.Mov_r32_rm32, Register.EAX, Scratch32);
        _code.Put(Code.Shl_rm32_imm8, Register.EAX, 8);
        _code.Put(Code.Bt_rm32_imm8, Scratch32, 11);
        _code.Put(Code.Setb_rm8, Register.AL);
        _flags = FlagPlaces.Rax;
    }
}
