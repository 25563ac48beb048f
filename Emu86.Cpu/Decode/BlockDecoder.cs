// Bytes → Iced → compact instructions with their handlers.
using Emu86.Cpu.Execute;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Decode;

/// <summary>Decodes one block.</summary>
internal sealed unsafe class BlockDecoder
{
    /// <summary>Longest block, in instructions. Bounds the depth of the handler chain where a runtime does not do tail calls.</summary>
    public const int InstructionsMax = 32;

    /// <summary>Processors before TZCNT, LZCNT, CET and the prefetches ignore the prefix or do nothing.</summary>
    public const DecoderOptions Options = DecoderOptions.NoMPFX_0FBC | DecoderOptions.NoMPFX_0FBD | DecoderOptions.NoWbnoinvd | DecoderOptions.ForceReservedNop;

    private readonly OpTable _table;
    private readonly CpuModel _model;
    private readonly PageReader _reader = new();
    private readonly Decoder _decoder16, _decoder32;

    /// <summary>Reads from one or two host pages; a page that is not memory reads as FFh.</summary>
    private sealed class PageReader : CodeReader
    {
        public byte* First, Second;
        public uint At;
        public bool HasSecond, RanOut;

        public override int ReadByte()
        {
            uint at = At++;
            if (at < 4096) return First == null ? 0xff : First[at];
            if (HasSecond) return Second == null ? 0xff : Second[at - 4096];
            RanOut = true;
            return -1;
        }

        /// <summary>The x87 opcode (FOP) of a decoded instruction: 3 bits of D8–DF and the mod r/m byte; 0 for any other.</summary>
        public ushort FloatOpcode(uint at, int length)
        {
            At = at;
            for (int n = 0; n < length - 1; n++)
            {
                int value = ReadByte();
                if ((value & 0xf8) == 0xd8) return (ushort)((value & 7) << 8 | ReadByte());
                bool prefix = value is 0x26 or 0x2e or 0x36 or 0x3e or 0x64 or 0x65 or 0x66 or 0x67 or 0xf0 or 0xf2 or 0xf3;
                if (!prefix) break;
            }
            return 0;
        }
    }

    public BlockDecoder(OpTable table, CpuModel model)
    {
        _table = table;
        _model = model;
        _decoder16 = Decoder.Create(16, _reader, Options);
        _decoder32 = Decoder.Create(32, _reader, Options);
    }

    /// <summary>Fills the block from <paramref name="offset"/> in its page on. False: the first instruction crosses the page
    /// and the second page was not given.</summary>
    /// <param name="first">The page's bytes; null where it is not memory (reads as FFh).</param>
    /// <param name="second">The same for the page that follows in linear memory; only with <paramref name="hasSecond"/>.</param>
    public bool Decode(Block* block, byte* first, byte* second, uint offset, uint eip, uint mode, bool hasSecond)
    {
        Decoder decoder = (mode & BlockMode.Code32) != 0 ? _decoder32 : _decoder16;
        _reader.First = first;
        _reader.Second = second;
        _reader.HasSecond = hasSecond;
        Insn* insn = block->First;
        uint at = offset, count = 0;
        bool ended = false;
        while (!ended && count < InstructionsMax && at < 4096)
        {
            _reader.At = at;
            _reader.RanOut = false;
            uint here = eip + (at - offset);
            decoder.IP = (mode & BlockMode.Code32) != 0 ? here : (ushort)here;
            decoder.Decode(out Instruction x);
            if (_reader.RanOut)
            {
                // It belongs to the next block, which begins with it.
                if (count == 0) return false;
                break;
            }
            *insn = default;
            ended = Fill(insn, x, mode);
            if (insn->Imm2 == 0) insn->Imm2 = _reader.FloatOpcode(at, x.Length);
            // An invalid instruction has whatever length was read; it faults and the length is never used.
            uint length = x.IsInvalid ? 1 : (uint)x.Length;
            insn->Length = (byte)length;
            insn->Offset = (ushort)(at - offset);
            insn->Next = (ushort)(at - offset + length);
            insn->Index = (ushort)count;
            at += length;
            count++;
            insn++;
            if (hasSecond) break;
        }
        *insn = new Insn { Fn = &EndOfBlock, Plain = &EndOfBlock, Offset = (ushort)(at - offset), Next = (ushort)(at - offset), Index = (ushort)count };
        block->Count = count;
        block->Bytes = at - offset;
        return true;
    }

    /// <summary>The end of a block without a branch: page end or length limit.</summary>
    internal static void EndOfBlock(Ctx* c, Insn* i)
    {
        Block* block = c->Block;
        if (Chain.IsOpen(c, block->Fall.Epoch))
        {
            ulong count = c->S.Count + block->Count;
            if (count < c->ChainLimit)
            {
                Chain.Enter(c, block->Fall.Target, count);
                return;
            }
        }
        c->S.Eip += i->Offset;
        c->Link = &c->Block->Fall;
    }

    private static void Undefined(Ctx* c, Insn* i) => Ctx.Fault(c, i, Vector.Ud);

    private static void NotPrivileged(Ctx* c, Insn* i) => Ctx.Fault(c, i, Vector.Gp, 0);

    /// <summary>Resolves handler and operands. True: the instruction ends the block.</summary>
    private bool Fill(Insn* insn, in Instruction x, uint mode)
    {
        ref readonly OpRow row = ref _table[x.Code];
        bool memory = false, faults = false;
        insn->Base = insn->Scaled = 4 * Gpr.Zero;
        for (int n = 0; n < x.OpCount; n++) memory |= Operand(insn, x, n);
        if (x.HasRepPrefix) insn->Prefixes |= PrefixBits.Rep;
        if (x.HasRepnePrefix) insn->Prefixes |= PrefixBits.Repne;
        if (x.HasLockPrefix) insn->Prefixes |= PrefixBits.Lock;
        delegate*<Ctx*, Insn*, void> fn = memory && row.MemoryFlat != null ? MemoryForm(row, insn, mode) : row.Register;
        if (x.IsInvalid || fn == null || !_model.Has(x.Code)
            || ((row.Flags & OpFlags.ProtectedOnly) != 0 && (mode & BlockMode.Protected) == 0)
            || (x.HasLockPrefix && !(memory && (row.Flags & OpFlags.Lockable) != 0 && x.Op0Kind == OpKind.Memory)))
        {
            fn = &Undefined;
            faults = true;
        }
        else if ((row.Flags & OpFlags.Privileged) != 0 && (mode & (BlockMode.User | BlockMode.Unprivileged)) != 0)
        {
            fn = &NotPrivileged;
            faults = true;
        }
        insn->Fn = insn->Plain = fn;
        if (faults) insn->Prefixes |= PrefixBits.Faults;
        bool repeated = (row.Flags & OpFlags.Repeats) != 0 && (insn->Prefixes & (PrefixBits.Rep | PrefixBits.Repne)) != 0;
        return faults || repeated || (row.Flags & OpFlags.Ends) != 0;
    }

    private static delegate*<Ctx*, Insn*, void> MemoryForm(in OpRow row, Insn* insn, uint mode)
    {
        if ((insn->Prefixes & PrefixBits.Address32) == 0) return row.MemorySeg16;
        bool flat = (mode & BlockMode.Flat) != 0 && (insn->Segment is Seg.Ds or Seg.Es or Seg.Ss);
        return flat ? row.MemoryFlat : row.MemorySeg32;
    }

    /// <summary>Resolves one operand; true: it is a mod r/m (or moffs) memory operand.</summary>
    private static bool Operand(Insn* insn, in Instruction x, int n)
    {
        switch (x.GetOpKind(n))
        {
            case OpKind.Register:
                byte offset = OffsetOf(x.GetOpRegister(n));
                if (n == 0) insn->Dst = offset;
                else if (n == 1) insn->Src = offset;
                return false;
            case OpKind.NearBranch16:
                insn->Imm = (uint)(short)(x.NearBranch16 - (ushort)x.NextIP);
                return false;
            case OpKind.NearBranch32:
                insn->Imm = x.NearBranch32 - (uint)x.NextIP;
                return false;
            case OpKind.FarBranch16:
                (insn->Imm, insn->Imm2) = (x.FarBranch16, x.FarBranchSelector);
                return false;
            case OpKind.FarBranch32:
                (insn->Imm, insn->Imm2) = (x.FarBranch32, x.FarBranchSelector);
                return false;
            case OpKind.Immediate8_2nd:
                insn->Imm2 = x.Immediate8_2nd;
                return false;
            case OpKind.Immediate8 or OpKind.Immediate16 or OpKind.Immediate32 or OpKind.Immediate8to16 or OpKind.Immediate8to32:
                insn->Imm = (uint)x.GetImmediate(n);
                return false;
            case OpKind.Memory:
                MemoryOperand(insn, x);
                return true;
            case OpKind.MemorySegESI or OpKind.MemorySegEDI or OpKind.MemoryESEDI:
                insn->Prefixes |= PrefixBits.Address32;
                if (x.GetOpKind(n) != OpKind.MemoryESEDI) insn->Segment = (byte)(x.MemorySegment - Register.ES);
                return false;
            case OpKind.MemorySegSI or OpKind.MemorySegDI:
                insn->Segment = (byte)(x.MemorySegment - Register.ES);
                return false;
            default:
                return false;
        }
    }

    private static void MemoryOperand(Insn* insn, in Instruction x)
    {
        insn->Segment = (byte)(x.MemorySegment - Register.ES);
        insn->Disp = x.MemoryDisplacement32;
        if (x.MemoryBase != Register.None) insn->Base = OffsetOf(x.MemoryBase);
        // XLAT's index is AL: its handler adds that itself.
        if (x.MemoryIndex is not (Register.None or Register.AL)) insn->Scaled = OffsetOf(x.MemoryIndex);
        insn->Scale = (byte)(x.MemoryIndexScale switch { 2 => 1, 4 => 2, 8 => 3, _ => 0 });
        Register sized = x.MemoryBase != Register.None ? x.MemoryBase : x.MemoryIndex;
        bool address16 = sized is >= Register.AX and <= Register.DI || (sized is Register.None or Register.AL && x.MemoryDisplSize == 2);
        if (!address16) insn->Prefixes |= PrefixBits.Address32;
    }

    private static byte OffsetOf(Register register) => register switch
    {
        >= Register.AL and <= Register.BL => (byte)(4 * (register - Register.AL)),
        >= Register.AH and <= Register.BH => (byte)((4 * (register - Register.AH)) + 1),
        >= Register.AX and <= Register.DI => (byte)(4 * (register - Register.AX)),
        >= Register.EAX and <= Register.EDI => (byte)(4 * (register - Register.EAX)),
        >= Register.ES and <= Register.GS => (byte)(register - Register.ES),
        >= Register.CR0 and <= Register.CR15 => (byte)(register - Register.CR0),
        >= Register.DR0 and <= Register.DR15 => (byte)(register - Register.DR0),
        >= Register.ST0 and <= Register.ST7 => (byte)(register - Register.ST0),
        _ => 0,
    };
}
