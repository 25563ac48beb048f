// Memory operands in translated code: the TLB hit inline, everything else back to the engine.
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

internal sealed unsafe partial class Translator
{
    /// <summary>Leaves the host address of the memory operand in <see cref="Place"/>, checked for the access. Spoils the scratch
    /// registers and the host's flags.</summary>
    private void Locate(in Instruction x, Insn* i, int size, bool read, bool write)
    {
        FreeFlags();
        Offset(x, Place);
        bool flat = x.MemorySegment is Register.DS or Register.ES or Register.SS;
        if (!flat) AddSegment(Ctx.SegmentOf(_c, x.MemorySegment - Register.ES), i, size, read, write);
        Translate(i, size, write);
    }

    /// <summary>The same for <paramref name="displacement"/> bytes from ESP.</summary>
    private void LocateStack(Insn* i, int displacement, int size, bool write)
    {
        FreeFlags();
        _code.Put(Code.Lea_r32_m, Place32, At(Of64(Gpr.Esp), displacement));
        Translate(i, size, write);
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
        // In 64 bits: an operand that wraps around is beyond every limit.
        _code.Put(Code.Lea_r64_m, Second, At(Place, size - 1));
        if (read)
        {
            _code.Put(Code.Mov_r32_rm32, Scratch32, Field(&s->ReadLast));
            _code.Put(Code.Cmp_r64_rm64, Second, Scratch);
            _code.JumpIf(Above, refused);
            _code.Put(Code.Cmp_r32_rm32, Place32, Field(&s->ReadFirst));
            _code.JumpIf(Below, refused);
        }
        if (write)
        {
            _code.Put(Code.Mov_r32_rm32, Scratch32, Field(&s->WriteLast));
            _code.Put(Code.Cmp_r64_rm64, Second, Scratch);
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
        AddCold(label, NativeExit.Interpret | (uint)i->Index << 16);
        return label;
    }

    /// <summary>Linear address → host address, as in <see cref="Linear"/>: the page of the last byte is compared.</summary>
    private void Translate(Insn* i, int size, bool write)
    {
        _code.Put(Code.Mov_r32_rm32, Scratch32, Place32);
        if (size == 1) _code.Put(Code.Mov_r32_rm32, Second32, Place32);
        else _code.Put(Code.Lea_r32_m, Second32, At(Place, size - 1));
        _code.Put(Code.Shr_rm32_imm8, Scratch32, 8);
        _code.Put(Code.And_rm32_imm32, Second32, unchecked((int)0xffff_f000));
        _code.Put(Code.And_rm32_imm32, Scratch32, (TlbEntry.Entries - 1) << 4);
        _code.Put(Code.Cmp_r32_rm32, Second32, new MemoryOperand(Tlb, Scratch, 1, write ? 4 : 0, 1));
        HostLabel miss = _code.NewLabel();
        _code.JumpIf(NotEqual, miss);
        AddCold(miss, NativeExit.Miss | (uint)size << 8 | (write ? 0x8000u : 0) | (uint)i->Index << 16);
        _code.Put(Code.Add_r64_rm64, Place, new MemoryOperand(Tlb, Scratch, 1, 8, 1));
    }
}
