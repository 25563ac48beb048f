// x87 instructions in translated code: the host's x87 unit holds the guest's registers and does the guest's own instructions.
//
// Every exception is masked while it does (TranslatedFpu.MayHold), so the host's unit never traps; results, status and tags of
// what is translated are those of the software unit bit for bit (HostCpuX87Tests). The last instruction's pointers are the
// guest's business: they are kept beside, at the latest when code comes back to the engine.
using Emu86.Cpu.Decode;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

/// <summary>What is known of the last x87 instruction and not written to the context yet; 0: nothing.</summary>
/// <param name="Opcode">FOP with <see cref="Known"/>.</param>
/// <param name="Offset">Its EIP.</param>
/// <param name="Segment">Number of the last memory operand's segment with <see cref="Known"/>; its offset is in the context.</param>
internal readonly record struct FpuLast(uint Opcode, uint Offset, uint Segment)
{
    public const uint Known = 0x1_0000;
}

internal sealed unsafe partial class Translator
{
    /// <summary>The host's unit holds the guest's registers, whichever way this place is reached.</summary>
    private bool _fpuHeld;

    private FpuLast _fpuLast;

    /// <summary>False: nothing was written, the interpreter has to run it.</summary>
    private bool X87(in Instruction x, Insn* i)
    {
        switch (x.Mnemonic)
        {
            case Mnemonic.Wait:
                HoldFpu(i);
                return true;
            case Mnemonic.Fnstsw when x.Code == Code.Fnstsw_AX:
                HoldFpu(i);
                _code.Put(Code.Mov_r32_rm32, Scratch32, Register.EAX);
                _code.Put(Instruction.Create(Code.Fnstsw_AX, Register.AX));
                _code.Put(Code.Mov_r16_rm16, Same(Register.AX), Register.AX);
                _code.Put(Code.Mov_r32_rm32, Register.EAX, Scratch32);
                return true;
            case Mnemonic.Fnstsw or Mnemonic.Fnstcw:
                return FpuAccess(x, i, 2, write: true, isControl: true);
            case Mnemonic.Fldcw:
                return LoadControl(x, i);
        }
        if (FpuForm.Of(x) is not { } form) return false;
        if (form.Access != FpuOperand.None) return FpuAccess(x, i, x.MemorySize.GetSize(), form.Access == FpuOperand.Written, isControl: false);
        HoldFpu(i);
        if (form.Flags == FlagUse.Reads) RestoreFlags();
        _code.Put(Plain(x));
        if (form.Flags == FlagUse.Writes) FlagsWritten();
        Remember(i);
        return true;
    }

    /// <summary>From here on the host's unit holds the guest's registers, or the engine does something about it.</summary>
    private void HoldFpu(Insn* i)
    {
        if (_fpuHeld) return;
        FreeFlags();
        HostLabel absent = _code.NewLabel();
        _code.Put(Code.Cmp_rm32_imm8, Field(&_c->NativeFpu), 0);
        _code.JumpIf(Equal, absent);
        AddExit(absent, NativeExit.Fpu | (uint)i->Index << 16);
        _fpuHeld = true;
    }

    private bool FpuAccess(in Instruction x, Insn* i, int size, bool write, bool isControl)
    {
        if (!IsLocatable(x)) return false;
        HoldFpu(i);
        Locate(x, i, size, !write, write);
        Instruction host = Plain(x);
        AtPlace(ref host);
        if (!isControl)
        {
            // The address registers are as they were: the offset is computed again.
            Offset(x, Scratch);
            _code.Put(Code.Mov_rm32_r32, Field(&_c->NativeFpuData), Scratch32);
        }
        _code.Put(host);
        if (isControl) return true;
        Remember(i);
        _fpuLast = _fpuLast with { Segment = i->Segment | FpuLast.Known };
        return true;
    }

    /// <summary>A control word that unmasks an exception is the interpreter's.</summary>
    private bool LoadControl(in Instruction x, Insn* i)
    {
        if (!IsLocatable(x)) return false;
        HoldFpu(i);
        Locate(x, i, 2, read: true, write: false);
        FreeFlags();
        _code.Put(Code.Movzx_r32_rm16, Scratch32, _place);
        _code.Put(Code.Not_rm32, Scratch32);
        _code.Put(Code.Test_rm32_imm32, Scratch32, 0x3f);
        _code.JumpIf(NotEqual, Refused(i));
        Instruction host = Plain(x);
        AtPlace(ref host);
        _code.Put(host);
        return true;
    }

    private void Remember(Insn* i) => _fpuLast = _fpuLast with { Opcode = i->Imm2 | FpuLast.Known, Offset = _eip + i->Offset };

    /// <summary>Writes what is known of the last x87 instruction. Leaves flags alone.</summary>
    private void KeepFpuLast(in FpuLast last)
    {
        if (last.Opcode != 0)
        {
            _code.Put(Code.Mov_rm32_imm32, Field(&_c->NativeFpuOpcode), (int)last.Opcode);
            _code.Put(Code.Mov_rm32_imm32, Field(&_c->NativeFpuOffset), (int)last.Offset);
        }
        if (last.Segment != 0) _code.Put(Code.Mov_rm32_imm32, Field(&_c->NativeFpuSegment), (int)last.Segment);
    }

    /// <summary>Before code of another block runs.</summary>
    private void KeepFpuLast()
    {
        KeepFpuLast(_fpuLast);
        _fpuLast = default;
    }
}
