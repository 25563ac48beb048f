// Memory operands in translated code: the page that was touched last inline, the TLB behind the straight way, everything else back to
// the engine.
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    private readonly List<(ulong Key, nint Cell)> _cells = [];

    /// <summary>By general register: which of its values in this trace it holds.</summary>
    private readonly uint[] _values = new uint[8];

    /// <summary>Makes <see cref="_place"/> the host's operand for the memory operand, checked for the access. May spoil the scratch
    /// registers and the host's flags.</summary>
    private void Locate(in Instruction x, Insn* i, int size, bool read, bool write)
    {
        if (x.MemoryBase != Register.None && InWindow(ExplicitAccess, x.MemoryBase - Register.EAX, (int)x.MemoryDisplacement32, size, write)) return;
        FreeFlags();
        Offset(x, Place);
        bool flat = IsFlat(x);
        if (!flat) AddSegment(Ctx.SegmentOf(_c, x.MemorySegment - Register.ES), i, size, read, write);
        if (flat && x.MemoryBase == Register.ESP && x.MemoryIndex == Register.None) Translate(i, size, write, StackCell, isShared: true);
        else Translate(i, size, write, x.MemoryIndex != Register.None ? IndexedCell : CellOf(x.MemorySegment, x.MemoryBase, x.MemoryDisplacement32, write), isShared: false);
    }

    /// <summary>The same for <paramref name="displacement"/> bytes from ESP.</summary>
    private void LocateStack(Insn* i, int displacement, int size, bool write)
    {
        if (InWindow(StackAccess, Gpr.Esp, displacement, size, write)) return;
        FreeFlags();
        _code.Put(Code.Lea_r32_m, Place32, At(Of64(Gpr.Esp), displacement));
        Translate(i, size, write, StackCell, isShared: true);
    }

    private AccessCell* StackCell => (_key >> 32 & BlockMode.User) != 0 ? _userStackCell : _stackCell;

    /// <summary>Accesses that probably touch the same page share a cell: those at a register's same value, and those at constant
    /// addresses in one page.</summary>
    private AccessCell* CellOf(Register segment, Register address, uint displacement, bool write)
    {
        uint about = address == Register.None ? displacement >> 12 : _values[address - Register.EAX];
        return CellOf((ulong)(uint)segment << 48 | (ulong)(uint)address << 40 | (write ? 1UL << 32 : 0) | about);
    }

    /// <summary>The cell of the instruction at hand alone.</summary>
    private AccessCell* IndexedCell => CellOf(1UL << 63 | (uint)_at);

    private AccessCell* CellOf(ulong key)
    {
        foreach ((ulong other, nint known) in _cells)
        {
            if (other == key) return (AccessCell*)known;
        }
        AccessCell* cell = _memory.NewCell();
        _cells.Add((key, (nint)cell));
        return cell;
    }

    private void WroteRegisters(uint registers)
    {
        for (int n = 0; n < 8; n++) _values[n] += registers >> n & 1;
    }

    /// <summary>Whether the memory operand has a form that is translated.</summary>
    private static bool IsLocatable(in Instruction x)
    {
        if (x.MemorySegment == Register.CS) return false;
        Register sized = x.MemoryBase != Register.None ? x.MemoryBase : x.MemoryIndex;
        return sized is >= Register.EAX and <= Register.EDI || (sized == Register.None && x.MemoryDisplSize == 4);
    }

    /// <summary>The offset part of the address, in 32 bits.</summary>
    private void Offset(in Instruction x, Register into)
    {
        Register into32 = into == Place ? Place32 : Scratch32;
        if (x.MemoryBase == Register.None && x.MemoryIndex == Register.None) _code.Put(Code.Mov_r32_imm32, into32, (int)x.MemoryDisplacement32);
        else _code.Put(Code.Lea_r32_m, into32, Mapped(x));
    }

    private static MemoryOperand Mapped(in Instruction x) =>
        new(Address(x.MemoryBase), Address(x.MemoryIndex), x.MemoryIndexScale, (int)x.MemoryDisplacement32, x.MemoryDisplacement32 == 0 ? 0 : 1);

    /// <summary>Limit check and base of a segment that is not known to be flat (<see cref="Segmented"/>).</summary>
    private void AddSegment(Segment* s, Insn* i, int size, bool read, bool write)
    {
        HostLabel refused = Refused(i);
        _code.Put(Code.Mov_r32_rm32, Scratch32, Place32);
        if (size > 1)
        {
            // An operand that wraps around is beyond every limit.
            _code.Put(Code.Add_rm32_imm32, Scratch32, size - 1);
            _code.JumpIf(Below, refused);
        }
        if (read)
        {
            _code.Put(Code.Cmp_r32_rm32, Scratch32, Field(&s->ReadLast));
            _code.JumpIf(Above, refused);
            _code.Put(Code.Cmp_r32_rm32, Place32, Field(&s->ReadFirst));
            _code.JumpIf(Below, refused);
        }
        if (write)
        {
            _code.Put(Code.Cmp_r32_rm32, Scratch32, Field(&s->WriteLast));
            _code.JumpIf(Above, refused);
            _code.Put(Code.Cmp_r32_rm32, Place32, Field(&s->WriteFirst));
            _code.JumpIf(Below, refused);
        }
        _code.Put(Code.Add_r32_rm32, Place32, Field(&s->Base));
    }

    /// <summary>Where an instruction goes that has no form, or whose fault cannot be excluded: the interpreter runs it.</summary>
    private HostLabel Refused(Insn* i)
    {
        HostLabel label = _code.NewLabel();
        AddExit(label, NativeExit.Interpret | (uint)i->Index << 16);
        return label;
    }

    /// <summary>Linear address in <see cref="Place"/> → host address. The operand lies within the page of the cell, or a second try
    /// asks the TLB.</summary>
    private void Translate(Insn* i, int size, bool write, AccessCell* cell, bool isShared)
    {
        _code.Put(Code.Lea_r64_m, Scratch, new MemoryOperand(Place, Cells));
        _code.Put(Code.Sub_r64_rm64, Scratch, InCell(&cell->Tag));
        _code.Put(Code.Cmp_rm64_imm32, Scratch, 4096 - size);
        HostLabel other = _code.NewLabel(), back = _code.NewLabel();
        _code.JumpIf(Above, other);
        _code.Put(Code.Add_r64_rm64, Place, InCell(&cell->Addend));
        _code.Place(back);
        _place = At(Place);
        _cold.Add(Part(ColdKind.Access, other) with
        {
            Exit = NativeExit.Miss | (uint)size << 8 | (write ? 0x8000u : 0) | (uint)i->Index << 16,
            Back = back,
            Cell = (nint)cell,
            Use = write ? CellUse.Write : isShared ? CellUse.ReadOfWritten : CellUse.Read,
        });
    }

    /// <summary>Behind the straight way: the TLB, as <see cref="Linear"/> asks it (the page of the last byte is compared).</summary>
    private void SecondTry(in ColdPart part)
    {
        int size = (int)(part.Exit >> 8 & 0x7f);
        // A window may be held.
        _code.Put(Code.Push_r64, Addend);
        AskTlb(part, size);
        _code.Put(Code.Pop_r64, Addend);
        _code.JumpIf(Equal, part.Back);
    }

    /// <summary>With the linear address in <see cref="Place"/>: ZF = 1 and the host's there, and the cell filled, when the TLB admits it.</summary>
    private void AskTlb(in ColdPart part, int size)
    {
        _code.Put(Code.Lea_r32_m, Second32, At(Place, size - 1));
        _code.Put(Code.Lea_r64_m, Scratch, InCell((void*)part.Cell));
        _code.Call(_fillThunks[(int)part.Use]);
    }

    private static MemoryOperand InCell(void* field) => new(Register.RIP, (long)field, 8);
}
