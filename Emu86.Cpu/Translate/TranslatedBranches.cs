// Stack instructions and near transfers.
using Emu86.Cpu.Decode;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    private static readonly Register StackPointer = Of64(Gpr.Esp), StackPointer32 = Of32(Gpr.Esp);

    /// <summary>PUSH, POP and LEAVE of 32 bits. False: nothing was written.</summary>
    private bool Stack(in Instruction x, Insn* i)
    {
        switch (x.Code)
        {
            case Code.Push_r32:
            case Code.Push_rm32 when x.Op0Kind == OpKind.Register:
                LocateStack(i, -4, 4, write: true);
                _code.Put(Code.Mov_rm32_r32, _place, Same(x.Op0Register));
                MoveStack(-4);
                return true;
            case Code.Pushd_imm8 or Code.Pushd_imm32:
                LocateStack(i, -4, 4, write: true);
                _code.Put(Code.Mov_rm32_imm32, _place, (int)i->Imm);
                MoveStack(-4);
                return true;
            case Code.Push_rm32 when IsLocatable(x):
                Locate(x, i, 4, read: true, write: false);
                KeepValue();
                LocateStack(i, -4, 4, write: true);
                _code.Put(Code.Mov_r32_rm32, Scratch32, Field(&_c->NativeValue));
                _code.Put(Code.Mov_rm32_r32, _place, Scratch32);
                MoveStack(-4);
                return true;
            case Code.Pop_r32:
            case Code.Pop_rm32 when x.Op0Kind == OpKind.Register:
                LocateStack(i, 0, 4, write: false);
                _code.Put(Code.Mov_r32_rm32, Same(x.Op0Register), _place);
                if (!IsPopOfStackPointer(x)) MoveStack(4);
                return true;
            case Code.Leaved:
                if (!InWindow(StackAccess, Gpr.Ebp, 0, 4, write: false))
                {
                    FreeFlags();
                    _code.Put(Code.Mov_r32_rm32, Place32, Of32(Gpr.Ebp));
                    Translate(i, 4, write: false, CellOf(Register.SS, Register.EBP, 0, write: false), isShared: false);
                }
                _code.Put(Code.Lea_r32_m, StackPointer32, At(Of64(Gpr.Ebp), 4));
                _code.Put(Code.Mov_r32_rm32, Of32(Gpr.Ebp), _place);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Near transfers with 32-bit operands. False: nothing was written.</summary>
    private bool Branch(in Instruction x, Insn* i, out bool ended)
    {
        ended = true;
        switch (x.Code)
        {
            case Code.Jmp_rel8_32 or Code.Jmp_rel32_32:
                To(x.NearBranch32);
                return true;
            case Code.Call_rel32_32:
                LocateStack(i, -4, 4, write: true);
                PushNext(i);
                To(x.NearBranch32);
                return true;
            case Code.Retnd or Code.Retnd_imm16:
                LocateStack(i, 0, 4, write: false);
                _code.Put(Code.Mov_r32_rm32, Place32, _place);
                MoveStack(4 + (ushort)i->Imm);
                ToPlace();
                return true;
            case Code.Jmp_rm32 when x.Op0Kind == OpKind.Register:
                FreeFlags();
                _code.Put(Code.Mov_r32_rm32, Place32, Same(x.Op0Register));
                ToPlace();
                return true;
            case Code.Jmp_rm32 when IsLocatable(x):
                Locate(x, i, 4, read: true, write: false);
                _code.Put(Code.Mov_r32_rm32, Place32, _place);
                ToPlace();
                return true;
            case Code.Call_rm32 when x.Op0Kind == OpKind.Register:
                LocateStack(i, -4, 4, write: true);
                _code.Put(Code.Mov_r32_rm32, Scratch32, Same(x.Op0Register));
                PushNext(i);
                _code.Put(Code.Mov_r32_rm32, Place32, Scratch32);
                ToPlace();
                return true;
            case Code.Call_rm32 when IsLocatable(x):
                Locate(x, i, 4, read: true, write: false);
                KeepValue();
                LocateStack(i, -4, 4, write: true);
                PushNext(i);
                _code.Put(Code.Mov_r32_rm32, Place32, Field(&_c->NativeValue));
                ToPlace();
                return true;
            case Code.Jecxz_rel8_32:
                SettleFlags();
                FreeFlags();
                _code.Put(Code.Test_rm32_r32, Register.ECX, Register.ECX);
                TwoWays(Equal, x, i);
                return true;
            case Code.Loop_rel8_32_ECX:
                SettleFlags();
                FreeFlags();
                _code.Put(Code.Lea_r32_m, Register.ECX, At(Register.RCX, -1));
                _code.Put(Code.Test_rm32_r32, Register.ECX, Register.ECX);
                TwoWays(NotEqual, x, i);
                return true;
            default:
                if (x.IsJccShortOrNear && x.Op0Kind == OpKind.NearBranch32)
                {
                    RestoreFlags();
                    TwoWays(x.ConditionCode - ConditionCode.o, x, i);
                    return true;
                }
                ended = false;
                return false;
        }
    }

    /// <summary>On to a known address: the rest of the trace, its beginning, or another trace.</summary>
    private void To(uint eip)
    {
        if (_expected is null) GoOn(eip, taken: true);
        else if (_closes) _code.Jump(Again());
    }

    /// <summary>On to the linear address in <see cref="Place"/>: the return that the trace expects, or whatever the jump cache has.</summary>
    private void ToPlace()
    {
        if (_expected is not { } expected)
        {
            SettleFlags();
            KeepFpuLast();
            GiveBackRest();
            Lookup();
            return;
        }
        FreeFlags();
        HostLabel other = _code.NewLabel();
        _code.Put(Code.Cmp_rm32_imm32, Place32, (int)expected);
        _code.JumpIf(NotEqual, other);
        _cold.Add(Part(ColdKind.SideLookup, other));
        if (_closes) _code.Jump(Again());
    }

    /// <summary>A branch: with a side exit where the trace goes on, else with two ends. The condition is in the host's flags, and the
    /// guest's flags are there or in rax.</summary>
    private void TwoWays(int condition, in Instruction x, Insn* i)
    {
        uint fall = _eip + i->Next, taken = x.NearBranch32;
        HostLabel other = _code.NewLabel();
        if (_closes)
        {
            HostLabel again = Again();
            bool isBack = taken == _expected;
            _code.JumpIf(isBack ? condition : condition ^ 1, again);
            SettleFlags();
            Continue(isBack ? fall : taken, taken: !isBack);
            return;
        }
        if (_expected is null)
        {
            SettleFlags();
            KeepFpuLast();
            _code.JumpIf(condition, other);
            Continue(fall, taken: false);
            _code.Place(other);
            Continue(taken, taken: true);
            return;
        }
        bool falls = fall == _expected;
        _code.JumpIf(falls ? condition : condition ^ 1, other);
        _cold.Add(Part(ColdKind.Side, other) with { Eip = falls ? taken : fall, Taken = falls });
    }

    private void MoveStack(int bytes) => _code.Put(Code.Lea_r32_m, StackPointer32, At(StackPointer, bytes));

    /// <summary>Pushes the address of the next instruction; the place has been checked.</summary>
    private void PushNext(Insn* i)
    {
        _code.Put(Code.Mov_rm32_imm32, _place, (int)(_eip + i->Next));
        MoveStack(-4);
    }

    /// <summary>Loads the located value and keeps it while another place is checked.</summary>
    private void KeepValue()
    {
        _code.Put(Code.Mov_r32_rm32, Place32, _place);
        _code.Put(Code.Mov_rm32_r32, Field(&_c->NativeValue), Place32);
    }
}
