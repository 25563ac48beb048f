// Instructions without stack or branch: most are the host's own on mapped operands.
using Emu86.Cpu.Decode;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    /// <summary>False: nothing was written, the interpreter has to run it.</summary>
    private bool Simple(in Instruction x, Insn* i)
    {
        bool memory = HasMemory(x);
        if (memory && x.Mnemonic != Mnemonic.Lea && !IsLocatable(x)) return false;
        switch (x.Mnemonic)
        {
            case Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Pause or Mnemonic.Endbr32:
                return true;
            case Mnemonic.Lea:
                return LoadAddress(x);
            case Mnemonic.Xchg:
                return Exchange(x, i, memory);
            case Mnemonic.Cmpxchg:
                return CompareExchange(x, i, memory);
            case Mnemonic.Mul:
            case Mnemonic.Imul when x.OpCount == 1:
                return Multiply(x, i, memory);
            case Mnemonic.Div or Mnemonic.Idiv:
                return Divide(x, i, memory);
            case Mnemonic.Cdq:
                FreeFlags();
                _code.Put(Code.Mov_r32_rm32, Register.EDX, Of32(Gpr.Eax));
                _code.Put(Code.Sar_rm32_imm8, Register.EDX, 31);
                return true;
            case Mnemonic.Cwde:
                _code.Put(Code.Movsx_r32_rm16, Of32(Gpr.Eax), Same(Register.AX));
                return true;
            case Mnemonic.Cbw:
                _code.Put(Code.Movsx_r16_rm8, Same(Register.AX), Same(Register.AL));
                return true;
            case Mnemonic.Clc or Mnemonic.Stc or Mnemonic.Cmc:
                RestoreFlags();
                _code.Put(Instruction.Create(x.Code));
                FlagsWritten();
                return true;
            case Mnemonic.Cld:
                FreeFlags();
                _code.Put(Code.And_rm32_imm32, Field(&_c->S.SystemFlags), unchecked((int)~Flags.Df));
                return true;
            case Mnemonic.Std:
                FreeFlags();
                _code.Put(Code.Or_rm32_imm32, Field(&_c->S.SystemFlags), (int)Flags.Df);
                return true;
            default:
                return HostForm.Of(x, _undefined) is { } form && OnHost(x, i, form, memory);
        }
    }

    private static bool HasMemory(in Instruction x)
    {
        for (int n = 0; n < x.OpCount; n++)
        {
            if (x.GetOpKind(n) == OpKind.Memory) return true;
        }
        return false;
    }

    /// <summary>The guest's instruction with the host's registers and addresses.</summary>
    private bool OnHost(in Instruction x, Insn* i, HostForm form, bool memory)
    {
        Instruction host = Plain(x);
        if (memory)
        {
            bool first = x.Op0Kind == OpKind.Memory;
            bool read = !first || form.First != FirstOperand.Written, write = first && form.First != FirstOperand.Read;
            Locate(x, i, x.MemorySize.GetSize(), read, write);
            AtPlace(ref host);
        }
        Register whole = Register.None;
        for (int n = 0; n < x.OpCount; n++)
        {
            if (x.GetOpKind(n) != OpKind.Register) continue;
            Register guest = x.GetOpRegister(n);
            // A shift count in CL is where the host wants it.
            if (n == 2) continue;
            Register mapped = Same(guest);
            if (IsHigh(guest))
            {
                bool changed = n == 0 && form.First != FirstOperand.Read;
                if (changed) whole = Whole(guest);
                // Of two, neither is in memory.
                mapped = HighByte(guest, n == 0 || memory ? Scratch32 : Place32, changed);
            }
            if (n == 0) host.Op0Register = mapped;
            else host.Op1Register = mapped;
        }
        if (_undefined != HostUndefined.Ours && LeavesUndefined(x))
        {
            WithOurFlags(x, host);
            return true;
        }
        if (form.Flags is FlagUse.All or FlagUse.Reads) RestoreFlags();
        else if (form.Flags == FlagUse.Carry) RestoreCarry();
        _code.Put(host);
        if (form.Flags is not (FlagUse.None or FlagUse.Reads)) FlagsWritten();
        if (whole == Register.None) return true;
        FreeFlags();
        _code.Put(Code.Rol_rm32_imm8, Scratch32, 8);
        _code.Put(Code.Mov_r32_rm32, whole, Scratch32);
        return true;
    }

    /// <summary>Gives the host's instruction the checked place as its memory operand.</summary>
    private void AtPlace(ref Instruction host)
    {
        host.MemoryBase = _place.Base;
        host.MemoryIndex = _place.Index;
        host.MemoryIndexScale = 1;
        host.MemoryDisplacement64 = (ulong)_place.Displacement;
        host.MemoryDisplSize = _place.DisplSize;
        host.SegmentPrefix = Register.None;
    }

    /// <summary>AH, CH, DH or BH as the low byte of a scratch register; to be changed: with the rest of the register above it.</summary>
    private Register HighByte(Register guest, Register scratch, bool changed)
    {
        FreeFlags();
        _code.Put(Code.Mov_r32_rm32, scratch, Whole(guest));
        _code.Put(changed ? Code.Ror_rm32_imm8 : Code.Shr_rm32_imm8, scratch, 8);
        return scratch == Scratch32 ? Scratch8 : Place8;
    }

    /// <summary>The same instruction for 64-bit mode, without prefixes that mean nothing on one processor.</summary>
    private static Instruction Plain(in Instruction x)
    {
        Instruction host = x;
        host.Code = HostForm.Canonical(x.Code);
        host.CodeSize = CodeSize.Code64;
        host.HasLockPrefix = false;
        host.HasRepPrefix = false;
        host.HasRepnePrefix = false;
        return host;
    }

    private bool LoadAddress(in Instruction x)
    {
        Register sized = x.MemoryBase != Register.None ? x.MemoryBase : x.MemoryIndex;
        if (sized is not (>= Register.EAX and <= Register.EDI)) return false;
        _code.Put(x.Code == Code.Lea_r16_m ? Code.Lea_r16_m : Code.Lea_r32_m, Same(x.Op0Register), Mapped(x));
        return true;
    }

    private bool Exchange(in Instruction x, Insn* i, bool memory)
    {
        Register other = x.Op1Register;
        if (IsHigh(other) || (!memory && IsHigh(x.Op0Register))) return false;
        int size = other.GetSize();
        (Code load, Code store, Register scratch) = size switch
        {
            1 => (Code.Mov_r8_rm8, Code.Mov_rm8_r8, Scratch8),
            2 => (Code.Mov_r16_rm16, Code.Mov_rm16_r16, Register.R11W),
            _ => (Code.Mov_r32_rm32, Code.Mov_rm32_r32, Scratch32),
        };
        if (!memory)
        {
            _code.Put(load, scratch, Same(x.Op0Register));
            _code.Put(load, Same(x.Op0Register), Same(other));
            _code.Put(load, Same(other), scratch);
            return true;
        }
        Locate(x, i, size, read: true, write: true);
        // Not XCHG: that locks the host's bus.
        _code.Put(load, scratch, _place);
        _code.Put(store, _place, Same(other));
        _code.Put(load, Same(other), scratch);
        return true;
    }

    /// <summary>CMPXCHG: the host's works on its own EAX, which holds flags here.</summary>
    private bool CompareExchange(in Instruction x, Insn* i, bool memory)
    {
        int size = x.Op1Register.GetSize();
        if (IsHigh(x.Op1Register) || (!memory && (IsHigh(x.Op0Register) || Whole(x.Op0Register) == Of32(Gpr.Eax))) || Whole(x.Op1Register) == Of32(Gpr.Eax)) return false;
        if (memory) Locate(x, i, size, read: true, write: true);
        Instruction host = Plain(x);
        if (memory) AtPlace(ref host);
        else host.Op0Register = Same(x.Op0Register);
        host.Op1Register = Same(x.Op1Register);
        _code.Put(Code.Mov_r32_rm32, Register.EAX, Of32(Gpr.Eax));
        _code.Put(host);
        _code.Put(Code.Mov_r32_rm32, Of32(Gpr.Eax), Register.EAX);
        FlagsWritten();
        return true;
    }

    /// <summary>EDX:EAX = EAX × r/m32.</summary>
    private bool Multiply(in Instruction x, Insn* i, bool memory)
    {
        if (x.Code is not (Code.Mul_rm32 or Code.Imul_rm32)) return false;
        if (memory) Locate(x, i, 4, read: true, write: false);
        _code.Put(Code.Mov_r32_rm32, Register.EAX, Of32(Gpr.Eax));
        if (memory) _code.Put(x.Code, _place);
        else _code.Put(x.Code, Same(x.Op0Register));
        _code.Put(Code.Mov_r32_rm32, Of32(Gpr.Eax), Register.EAX);
        if (_undefined == HostUndefined.Ours)
        {
            FlagsWritten();
            return true;
        }
        if (!_flagsUnseen[_at]) ProductFlags(Of32(Gpr.Eax));
        _flags = FlagPlaces.Rax;
        return true;
    }

    /// <summary>EDX:EAX ÷ r/m32. Whatever might overflow is left to the interpreter.</summary>
    private bool Divide(in Instruction x, Insn* i, bool memory)
    {
        if (x.Code is not (Code.Div_rm32 or Code.Idiv_rm32)) return false;
        if (memory)
        {
            Locate(x, i, 4, read: true, write: false);
            FreeFlags();
            _code.Put(Code.Mov_r32_rm32, Place32, _place);
        }
        else
        {
            FreeFlags();
            _code.Put(Code.Mov_r32_rm32, Place32, Same(x.Op0Register));
        }
        HostLabel refused = Refused(i);
        if (x.Code == Code.Div_rm32)
        {
            // The quotient fits when the high half is below the divisor.
            _code.Put(Code.Cmp_r32_rm32, Register.EDX, Place32);
            _code.JumpIf(AboveOrEqual, refused);
        }
        else
        {
            // A dividend of 32 significant bits overflows only by -1, and faults by 0.
            _code.Put(Code.Mov_r32_rm32, Scratch32, Of32(Gpr.Eax));
            _code.Put(Code.Sar_rm32_imm8, Scratch32, 31);
            _code.Put(Code.Cmp_r32_rm32, Scratch32, Register.EDX);
            _code.JumpIf(NotEqual, refused);
            _code.Put(Code.Lea_r32_m, Scratch32, At(Place, 1));
            _code.Put(Code.Cmp_rm32_imm8, Scratch32, 1);
            _code.JumpIf(BelowOrEqual, refused);
        }
        _code.Put(Code.Mov_r32_rm32, Scratch32, Register.EAX);
        _code.Put(Code.Mov_r32_rm32, Register.EAX, Of32(Gpr.Eax));
        _code.Put(x.Code, Place32);
        _code.Put(Code.Mov_r32_rm32, Of32(Gpr.Eax), Register.EAX);
        _code.Put(Code.Mov_r32_rm32, Register.EAX, Scratch32);
        return true;
    }
}
