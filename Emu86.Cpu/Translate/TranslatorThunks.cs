// The pieces of code that all translations share: in, out, and the TLB behind the cells.
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    /// <summary>Cells of the stacks at rings 0 to 2 and at ring 3: all code shares them.</summary>
    private AccessCell* _stackCell, _userStackCell;

    private readonly nint[] _fillThunks = new nint[3];
    private nint _exit;

    /// <summary>Enters translated code at an address: a function of (Ctx*, address).</summary>
    public nint Entry { get; private set; }

    /// <summary>Leads back to the engine with <see cref="NativeExit.Lookup"/>.</summary>
    public nint LookupMiss { get; private set; }

    private void Thunks(byte* fpuImage)
    {
        _code.Begin(_memory.Writable + _memory.Used, _memory.Executable + _memory.Used);
        _stackCell = _memory.NewCell();
        _userStackCell = _memory.NewCell();
        Register[] saved = [Register.RBX, Register.RBP, Register.R12, Register.R13, Register.R14, Register.R15];

        Entry = _code.Here;
        foreach (Register register in saved) _code.Put(Code.Push_r64, register);
        _code.Put(Code.Mov_r64_rm64, Register.R12, Register.RDI);
        _code.Put(Code.Mov_r64_rm64, Place, Register.RSI);
        _code.Put(Code.Mov_r64_rm64, Cells, Field(&_c->CellBase));
        _code.Put(Code.Mov_r64_rm64, Left, Field(&_c->NativeLeft));
        _code.Put(Code.Mov_r32_rm32, Register.EAX, Field(&_c->NativeFlags));
        WhenFpuIsHeld(fpuImage, Code.Fxrstor_m512byte);
        for (int n = 0; n < 8; n++) _code.Put(Code.Mov_r32_rm32, Of32(n), Field(&_c->S.R[n]));
        _code.Put(Code.Jmp_rm64, Place);

        // With r11d the exit, r15 the step, r10 the place.
        _exit = _code.Here;
        for (int n = 0; n < 8; n++) _code.Put(Code.Mov_rm32_r32, Field(&_c->S.R[n]), Of32(n));
        _code.Put(Code.Mov_rm32_r32, Field(&_c->NativeFlags), Register.EAX);
        _code.Put(Code.Mov_rm64_r64, Field(&_c->NativeLeft), Left);
        _code.Put(Code.Mov_rm32_r32, Field(&_c->NativePlace), Place32);
        _code.Put(Code.Mov_rm32_r32, Field(&_c->NativeExit), Scratch32);
        _code.Put(Code.Mov_rm64_r64, Field(&_c->NativeStep), Second);
        WhenFpuIsHeld(fpuImage, Code.Fxsave_m512byte);
        for (int n = saved.Length - 1; n >= 0; n--) _code.Put(Code.Pop_r64, saved[n]);
        _code.Put(Instruction.Create(Code.Retnq));

        // With r10d the linear address to go to.
        LookupMiss = _code.Here;
        _code.Put(Code.Mov_r32_imm32, Scratch32, (int)NativeExit.Lookup);
        _code.Jump(_exit);

        foreach (CellUse use in Enum.GetValues<CellUse>()) _fillThunks[(int)use] = FillThunk(use);
        _code.Finish();
        _memory.Take((nuint)_code.Length);
    }

    /// <summary>The x87 unit is empty and as the host's own code expects it whenever that runs.</summary>
    private void WhenFpuIsHeld(byte* image, Code move)
    {
        HostLabel not = _code.NewLabel();
        _code.Put(Code.Cmp_rm32_imm8, Field(&_c->NativeFpu), 0);
        _code.JumpIf(Equal, not);
        _code.Put(Code.Mov_r64_imm64, Scratch, (long)image);
        _code.Put(move, At(Scratch));
        if (move == Code.Fxsave_m512byte) _code.Put(Instruction.Create(Code.Fninit));
        _code.Place(not);
    }

    /// <summary>Called with r10 the linear address, r15 that of the last byte, r11 the cell. When the TLB admits the access: fills the
    /// cell, leaves the host address in r10, ZF = 1. Otherwise ZF = 0 and r10 as it was.</summary>
    private nint FillThunk(CellUse use)
    {
        nint here = _code.Here;
        HostLabel refused = _code.NewLabel(), unfilled = _code.NewLabel();
        _code.Put(Code.Push_r64, Register.RCX);
        _code.Put(Code.Push_r64, Register.RDX);
        _code.Put(Code.Mov_r32_rm32, Register.ECX, Place32);
        _code.Put(Code.Shr_rm32_imm8, Register.ECX, 8);
        _code.Put(Code.And_rm32_imm32, Register.ECX, (TlbEntry.Entries - 1) << 4);
        _code.Put(Code.Add_r64_rm64, Register.RCX, Field(&_c->Tlb));
        _code.Put(Code.And_rm32_imm32, Second32, unchecked((int)0xffff_f000));
        _code.Put(Code.Cmp_r32_rm32, Second32, At(Register.RCX, use == CellUse.Write ? 4 : 0));
        _code.JumpIf(NotEqual, refused);
        if (use == CellUse.ReadOfWritten)
        {
            _code.Put(Code.Cmp_r32_rm32, Second32, At(Register.RCX, 4));
            _code.JumpIf(NotEqual, unfilled);
        }
        _code.Put(Code.Add_r64_rm64, Second, Cells);
        _code.Put(Code.Mov_rm64_r64, At(Scratch), Second);
        _code.Put(Code.Mov_r64_rm64, Register.RDX, At(Register.RCX, 8));
        _code.Put(Code.Mov_rm64_r64, At(Scratch, 8), Register.RDX);
        _code.Place(unfilled);
        _code.Put(Code.Add_r64_rm64, Place, At(Register.RCX, 8));
        _code.Put(Code.Cmp_r32_rm32, Register.ECX, Register.ECX);
        _code.Place(refused);
        _code.Put(Code.Pop_r64, Register.RDX);
        _code.Put(Code.Pop_r64, Register.RCX);
        _code.Put(Instruction.Create(Code.Retnq));
        return here;
    }
}
