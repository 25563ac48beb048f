// Windows: bytes around the value of a register that a trace touches more than once. One check admits the whole window, and what
// follows reaches it through the guest's own register plus an addend that a host register keeps. Stack frames and records are windows.
//
// A window that is not admitted (it lies across two pages, say) leads to a second translation of the same trace without windows.
using Emu86.Cpu.Decode;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    /// <summary>A window has at most so many bytes: the larger, the more often it lies across two pages.</summary>
    private const int WindowBytesMax = 512;

    /// <summary>Displacements and known differences from an origin stay below the first, and windows begin at least the second, twice as
    /// much, from either end of the linear addresses: so no address wraps around.</summary>
    private const int DistanceMax = 0x8000, Margin = 0x1_0000;

    private const int NoWindow = -1, ExplicitAccess = 0, StackAccess = 1, AccessKinds = 2;

    /// <summary>What is known of a register's value: that of <paramref name="Origin"/> plus <paramref name="Offset"/>. Origins below 8
    /// are the registers' values at the beginning of the trace.</summary>
    private readonly record struct Symbol(int Origin, int Offset);

    /// <summary>Bytes <paramref name="First"/> to <paramref name="End"/> (exclusive) from the value of an origin.</summary>
    private sealed record Window(int Origin, int First, int End, bool Write)
    {
        public int Uses { get; init; }

        /// <summary>The accesses of the trace that use it first and last, by instruction.</summary>
        public int From { get; init; }

        public int To { get; init; }

        /// <summary>It is the same window each time the trace begins again.</summary>
        public bool Lasts { get; init; }

        public bool IsChosen { get; init; }

        public int Bytes => End - First;

        public nint Cell { get; init; }
    }

    private readonly List<Window> _windows = [];

    /// <summary>By instruction and <see cref="ExplicitAccess"/> or <see cref="StackAccess"/>: its window, and its address less that of the
    /// window's origin.</summary>
    private readonly int[] _windowOf = new int[Trace.InstructionsMax * AccessKinds], _lowOf = new int[Trace.InstructionsMax * AccessKinds];

    /// <summary>By general register: what is known where the planning stands.</summary>
    private readonly Symbol[] _symbols = new Symbol[8];

    private int _origins;

    /// <summary>The window whose addend <see cref="Addend"/> holds, whichever way this place is reached.</summary>
    private int _window;

    /// <summary>Where the memory operand located last is.</summary>
    private MemoryOperand _place;

    /// <summary>Finds the windows of the trace.</summary>
    private void PlanWindows(bool closes)
    {
        _windows.Clear();
        Array.Fill(_windowOf, NoWindow, 0, _count * AccessKinds);
        for (int n = 0; n < 8; n++) _symbols[n] = new Symbol(n, 0);
        _origins = 8;
        for (int n = 0; n < _count; n++)
        {
            if (!_faults[n]) NoteAccesses(n);
            Advance(n);
        }
        for (int n = 0; n < _windows.Count; n++)
        {
            Window window = _windows[n];
            bool lasts = closes && window.Origin < 8 && _symbols[window.Origin] == new Symbol(window.Origin, 0);
            _windows[n] = lasts ? window with { Lasts = true, From = 0, To = _count } : window;
        }
        Choose();
        for (int n = 0; n < _count * AccessKinds; n++)
        {
            if (_windowOf[n] != NoWindow && !_windows[_windowOf[n]].IsChosen) _windowOf[n] = NoWindow;
        }
    }

    /// <summary>There is one register for windows: those that save most get it, as long as no two want it at once.</summary>
    private void Choose()
    {
        static int Saved(Window w) => w.Lasts ? 4 * w.Uses : w.Uses - 1;
        for (; ; )
        {
            int best = NoWindow;
            for (int n = 0; n < _windows.Count; n++)
            {
                Window w = _windows[n];
                if (w.IsChosen || Saved(w) == 0 || _windows.Exists(o => o.IsChosen && o.From <= w.To && w.From <= o.To)) continue;
                if (best == NoWindow || Saved(w) > Saved(_windows[best])) best = n;
            }
            if (best == NoWindow) return;
            _windows[best] = _windows[best] with { IsChosen = true, Cell = (nint)_memory.NewCell() };
        }
    }

    private void NoteAccesses(int n)
    {
        ref readonly Instruction x = ref _decoded[n];
        if (x.Mnemonic != Mnemonic.Lea && HasMemory(x) && IsFlat(x) && x.MemoryIndex == Register.None && x.MemoryBase is >= Register.EAX and <= Register.EDI)
        {
            Note(n, ExplicitAccess, x.MemoryBase - Register.EAX, (int)x.MemoryDisplacement32, x.MemorySize.GetSize(), WritesMemory(x));
        }
        if (StackUse(x) is { } use) Note(n, StackAccess, use.Register, use.Displacement, use.Size, use.Write);
    }

    /// <summary>What an instruction does with the stack besides its operand, as far as it is translated.</summary>
    private static (int Register, int Displacement, int Size, bool Write)? StackUse(in Instruction x)
    {
        switch (x.Code)
        {
            case Code.Push_r32 or Code.Push_rm32 or Code.Pushd_imm8 or Code.Pushd_imm32 or Code.Pushfd or Code.Call_rel32_32 or Code.Call_rm32:
                return (Gpr.Esp, -4, 4, true);
            case Code.Pushd_DS or Code.Pushd_ES or Code.Pushd_SS or Code.Pushd_CS or Code.Pushd_FS or Code.Pushd_GS:
                return (Gpr.Esp, -4, 2, true);
            case Code.Pop_r32 or Code.Popfd or Code.Retnd or Code.Retnd_imm16:
            case Code.Pop_rm32 when x.Op0Kind == OpKind.Register:
                return (Gpr.Esp, 0, 4, false);
            case Code.Leaved:
                return (Gpr.Ebp, 0, 4, false);
            default:
                return null;
        }
    }

    private bool WritesMemory(in Instruction x)
    {
        if (x.Op0Kind != OpKind.Memory) return false;
        if (FpuForm.Of(x) is { } fpu) return fpu.Access == FpuOperand.Written;
        if (x.Mnemonic is Mnemonic.Mul or Mnemonic.Imul or Mnemonic.Div or Mnemonic.Idiv or Mnemonic.Push or Mnemonic.Call or Mnemonic.Jmp or Mnemonic.Fldcw) return false;
        return HostForm.Of(x, _undefined) is not { First: FirstOperand.Read };
    }

    private void Note(int n, int kind, int register, int displacement, int size, bool write)
    {
        Symbol symbol = _symbols[register];
        if (size == 0 || !IsNear(displacement) || !IsNear(symbol.Offset + displacement)) return;
        int low = symbol.Offset + displacement;
        int at = n * AccessKinds + kind;
        _lowOf[at] = low;
        for (int w = 0; w < _windows.Count; w++)
        {
            Window known = _windows[w];
            int first = int.Min(known.First, low), end = int.Max(known.End, low + size);
            if (known.Origin != symbol.Origin || end - first > WindowBytesMax) continue;
            _windows[w] = known with { First = first, End = end, Write = known.Write || write, Uses = known.Uses + 1, To = n };
            _windowOf[at] = w;
            return;
        }
        _windowOf[at] = _windows.Count;
        _windows.Add(new Window(symbol.Origin, low, low + size, write) { Uses = 1, From = n, To = n });
    }

    /// <summary>What is known of the registers behind an instruction.</summary>
    private void Advance(int n)
    {
        ref readonly Instruction x = ref _decoded[n];
        Symbol stack = _symbols[Gpr.Esp], frame = _symbols[Gpr.Ebp];
        Symbol? copied = Copied(x);
        for (uint written = _writes[n], register = 0; written != 0; written >>= 1, register++)
        {
            if ((written & 1) != 0) _symbols[register] = new Symbol(_origins++, 0);
        }
        if (_faults[n]) return;
        if (StackUse(x) is { } use && !IsPopOfStackPointer(x))
        {
            // LEAVE goes on from EBP; RET drops what its operand says.
            Symbol before = x.Code == Code.Leaved ? frame : stack;
            int change = use.Write ? -4 : 4 + (x.Code == Code.Retnd_imm16 ? x.Immediate16 : 0);
            Know(Gpr.Esp, before with { Offset = before.Offset + change });
        }
        if (copied is { } value) Know(x.Op0Register - Register.EAX, value);
    }

    /// <summary>POP ESP: what it loads is what stays.</summary>
    private static bool IsPopOfStackPointer(in Instruction x) => x.Mnemonic == Mnemonic.Pop && x.Op0Kind == OpKind.Register && x.Op0Register == Register.ESP;

    /// <summary>The value of the first operand behind an instruction that copies a register or changes one by a known amount.</summary>
    private Symbol? Copied(in Instruction x)
    {
        if (x.OpCount == 0 || x.Op0Kind != OpKind.Register || x.Op0Register is not (>= Register.EAX and <= Register.EDI)) return null;
        Symbol own = _symbols[x.Op0Register - Register.EAX];
        switch (x.Mnemonic)
        {
            case Mnemonic.Mov when x.Op1Kind == OpKind.Register && x.Op1Register is >= Register.EAX and <= Register.EDI:
                return _symbols[x.Op1Register - Register.EAX];
            case Mnemonic.Lea when x.MemoryIndex == Register.None && x.MemoryBase is >= Register.EAX and <= Register.EDI:
                Symbol address = _symbols[x.MemoryBase - Register.EAX];
                return address with { Offset = Sum(address.Offset, (int)x.MemoryDisplacement32) };
            case Mnemonic.Add when x.Op1Kind is OpKind.Immediate8to32 or OpKind.Immediate32:
                return own with { Offset = Sum(own.Offset, (int)x.GetImmediate(1)) };
            case Mnemonic.Sub when x.Op1Kind is OpKind.Immediate8to32 or OpKind.Immediate32:
                return own with { Offset = Sum(own.Offset, -(long)(int)x.GetImmediate(1)) };
            case Mnemonic.Inc:
                return own with { Offset = own.Offset + 1 };
            case Mnemonic.Dec:
                return own with { Offset = own.Offset - 1 };
            default:
                return null;
        }
    }

    // What leads too far is not known any more (Know).
    private static int Sum(int offset, long change) => (int)long.Clamp(offset + change, -2 * DistanceMax, 2 * DistanceMax);

    private static bool IsNear(int distance) => distance is > -DistanceMax and < DistanceMax;

    private void Know(int register, Symbol value) => _symbols[register] = IsNear(value.Offset) ? value : new Symbol(_origins++, 0);

    /// <summary>DS, ES and SS are flat wherever translated code runs.</summary>
    private static bool IsFlat(in Instruction x) => x.MemorySegment is Register.DS or Register.ES or Register.SS;

    /// <summary>Whether the access lies in a window: then <see cref="_place"/> is its operand. May spoil scratch registers and the host's
    /// flags, as any check does.</summary>
    private bool InWindow(int kind, int register, int displacement, int size, bool write)
    {
        int at = _at * AccessKinds + kind, window = _windowOf[at];
        if (_pass == Pass.Plain || window == NoWindow) return false;
        Window w = _windows[window];
        if (_lowOf[at] < w.First || _lowOf[at] + size > w.End || (write && !w.Write)) return false;
        // The register's value less that of the origin.
        int offset = _lowOf[at] - displacement;
        if (_window != window) Open(window, w, register, offset);
        _place = new MemoryOperand(Of64(register), Addend, 1, displacement, displacement == 0 ? 0 : 1);
        return true;
    }

    /// <summary>Checks all of a window and holds its addend.</summary>
    private void Open(int window, Window w, int register, int offset)
    {
        FreeFlags();
        var cell = (AccessCell*)w.Cell;
        HostLabel other = _code.NewLabel(), back = _code.NewLabel();
        // In 64 bits: a sum that wraps around is in no cell.
        _code.Put(Code.Lea_r64_m, Scratch, new MemoryOperand(Of64(register), Cells, 1, w.First - offset, 1));
        _code.Put(Code.Sub_r64_rm64, Scratch, InCell(&cell->Tag));
        _code.Put(Code.Cmp_rm64_imm32, Scratch, 4096 - w.Bytes);
        _code.JumpIf(Above, other);
        _code.Put(Code.Mov_r64_rm64, Addend, InCell(&cell->Addend));
        _code.Place(back);
        _window = window;
        _usesWindows = true;
        _cold.Add(Part(ColdKind.Window, other) with { Back = back, Cell = w.Cell, Use = w.Write ? CellUse.Write : CellUse.Read, Size = w.Bytes, Register = register, Displacement = w.First - offset, Instruction = _at });
    }

    /// <summary>Behind the straight way: has the cell of a window filled, or goes on where there are none.</summary>
    private void SecondTryWindow(in ColdPart part)
    {
        HostLabel refused = _code.NewLabel();
        _code.Put(Code.Lea_r32_m, Place32, At(Of64(part.Register), part.Displacement));
        _code.Put(Code.Lea_r32_m, Second32, At(Place, -Margin));
        _code.Put(Code.Cmp_rm32_imm32, Second32, -2 * Margin);
        _code.JumpIf(AboveOrEqual, refused);
        AskTlb(part, part.Size);
        _code.Put(Code.Mov_r64_rm64, Addend, InCell(&((AccessCell*)part.Cell)->Addend));
        _code.JumpIf(Equal, part.Back);
        _code.Place(refused);
    }
}
