// Where guest state lives while translated code runs, the same in every piece of code: so pieces follow each other without a move.
//
//   EAX r8   ECX rcx   EDX rdx   EBX rbx   ESP r9   EBP rbp   ESI rsi   EDI rdi     (upper halves 0)
//   rax      the status flags: AH as LAHF leaves them, AL = OF. CMP AL,-127 and SAHF bring them back.
//   r12      Ctx*      r13 Ctx.CellBase      r14 instructions left to the limit
//   r10, r11  scratch
//   r15      addend of the window that is held (TranslatedWindows); scratch where none is
//
// ECX, EDX and EBX are where the host has CH, DH and BH and the shift count; EAX is not, so that LAHF is free to use.
using Iced.Intel;

namespace Emu86.Cpu.Translate;

internal static class HostRegisters
{
    public const Register Context = Register.R12, Cells = Register.R13, Left = Register.R14;

    /// <summary>What an access checks and goes through: first the linear address, then the host address.</summary>
    public const Register Place = Register.R10, Place32 = Register.R10D, Place8 = Register.R10L;

    public const Register Scratch = Register.R11, Scratch32 = Register.R11D, Scratch8 = Register.R11L;

    public const Register Second = Register.R15, Second32 = Register.R15D, Addend = Second;

    private static readonly Register[] Wide = [Register.R8, Register.RCX, Register.RDX, Register.RBX, Register.R9, Register.RBP, Register.RSI, Register.RDI];

    private static readonly Register[] Double = [Register.R8D, Register.ECX, Register.EDX, Register.EBX, Register.R9D, Register.EBP, Register.ESI, Register.EDI];

    private static readonly Register[] Word = [Register.R8W, Register.CX, Register.DX, Register.BX, Register.R9W, Register.BP, Register.SI, Register.DI];

    private static readonly Register[] Byte = [Register.R8L, Register.CL, Register.DL, Register.BL];

    /// <summary>64-bit host register of a guest register by number (<see cref="Gpr"/>).</summary>
    public static Register Of64(int number) => Wide[number];

    public static Register Of32(int number) => Double[number];

    /// <summary>AH, CH, DH or BH: no host register of its own.</summary>
    public static bool IsHigh(Register guest) => guest is Register.AH or Register.CH or Register.DH or Register.BH;

    /// <summary>The 32-bit host register that holds a guest register of any width.</summary>
    public static Register Whole(Register guest) => guest switch
    {
        >= Register.EAX and <= Register.EDI => Double[guest - Register.EAX],
        >= Register.AX and <= Register.DI => Double[guest - Register.AX],
        >= Register.AL and <= Register.BL => Double[guest - Register.AL],
        >= Register.AH and <= Register.BH => Double[guest - Register.AH],
        _ => Register.None,
    };

    /// <summary>The host register for a guest register in its own width; None where there is none.</summary>
    public static Register Same(Register guest) => guest switch
    {
        >= Register.EAX and <= Register.EDI => Double[guest - Register.EAX],
        >= Register.AX and <= Register.DI => Word[guest - Register.AX],
        >= Register.AL and <= Register.BL => Byte[guest - Register.AL],
        _ => Register.None,
    };

    /// <summary>The 64-bit host register for a guest address register.</summary>
    public static Register Address(Register guest) => guest == Register.None ? Register.None : Wide[guest - Register.EAX];
}
