// A trace: hot blocks of one page in the order in which they are expected to run, from a hot one on. It is what is translated at once:
// conditions on the way become side exits, a way back to its beginning becomes a loop.
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Translate;

/// <summary>A block in a trace.</summary>
/// <param name="Block">The block; only the emulation thread looks into it.</param>
/// <param name="Eip">Of its first instruction.</param>
/// <param name="First">Its first instruction among the trace's.</param>
/// <param name="Count">Its instructions.</param>
/// <param name="CodeAt">Its bytes among the trace's.</param>
internal readonly record struct TraceStep(nint Block, uint Eip, int First, int Count, int CodeAt);

/// <summary>Copies of all that the translation needs, so that it may happen on another thread.</summary>
/// <param name="Key">As in <see cref="Block.Key"/>, of the first block.</param>
/// <param name="Generation">Which generation of the code memory it is meant for.</param>
internal sealed unsafe record Trace(ulong Key, ulong Generation)
{
    public const int StepsMax = 12, InstructionsMax = 128;

    public List<TraceStep> Steps { get; } = [];

    public List<Insn> Instructions { get; } = [];

    public List<byte> Code { get; } = [];

    /// <summary>The last block is expected to go on to the first.</summary>
    public bool Closes { get; set; }

    public bool HasRoom(Block* block) => Steps.Count < StepsMax && Instructions.Count + block->Count <= InstructionsMax;

    public bool Has(Block* block) => Steps.Exists(s => s.Block == (nint)block);

    public void Add(Block* block, byte* code)
    {
        Steps.Add(new TraceStep((nint)block, block->Eip, Instructions.Count, (int)block->Count, Code.Count));
        Instructions.AddRange(new ReadOnlySpan<Insn>(block->First, (int)block->Count));
        Code.AddRange(new ReadOnlySpan<byte>(code, (int)block->Bytes));
    }
}

/// <summary>Finds traces. On the emulation thread.</summary>
internal sealed unsafe class TraceBuilder
{
    /// <summary>A block is part of another's trace when it ran this fraction as often at least.</summary>
    private const uint WarmFraction = 8;

    private readonly BlockCache _blocks;
    private readonly PhysicalMemory _memory;
    private readonly PointerReader _reader = new();
    private readonly Decoder _decoder;
    private readonly Stack<uint> _returns = [];

    public TraceBuilder(BlockCache blocks, PhysicalMemory memory)
    {
        _blocks = blocks;
        _memory = memory;
        _decoder = Decoder.Create(32, _reader, BlockDecoder.Options);
    }

    /// <summary>The trace from a block on that has just become hot.</summary>
    public Trace From(Block* head, ulong generation)
    {
        var trace = new Trace(head->Key, generation);
        _returns.Clear();
        for (Block* block = head; ;)
        {
            trace.Add(block, CodeOf(block));
            block = Next(block, head);
            trace.Closes = block == head;
            if (block == null || trace.Has(block) || !trace.HasRoom(block)) return trace;
        }
    }

    private byte* CodeOf(Block* block) => (byte*)_memory.ReadPages[(uint)block->Key >> 12] + ((uint)block->Key & 0xfff);

    /// <summary>Where a block is expected to go on; null when that is not known, not warm or not in the page.</summary>
    private Block* Next(Block* block, Block* head)
    {
        Insn* last = block->First + block->Count - 1;
        uint after = block->Eip + block->Bytes;
        _reader.At = CodeOf(block) + last->Offset;
        _decoder.IP = block->Eip + last->Offset;
        _decoder.Decode(out Instruction x);
        switch (x.Code)
        {
            case Code.Jmp_rel8_32 or Code.Jmp_rel32_32:
                return Warm(x.NearBranch32, head);
            case Code.Call_rel32_32:
                _returns.Push(after);
                return Warm(x.NearBranch32, head);
            case Code.Retnd or Code.Retnd_imm16:
                return _returns.TryPop(out uint back) ? Warm(back, head) : null;
            case Code.Jecxz_rel8_32 or Code.Loop_rel8_32_ECX:
            case var _ when x.IsJccShortOrNear && x.Op0Kind == OpKind.NearBranch32:
                Block* fall = Warm(after, head), taken = Warm(x.NearBranch32, head);
                if (fall == null || taken == head) return taken;
                return taken == null || taken->Heat <= fall->Heat ? fall : taken;
            case Code.Cli or Code.Sti or Code.Popfd:
                return Warm(after, head);
            default:
                // A block may be cut where it got too long.
                return block->Count == BlockDecoder.InstructionsMax && x.FlowControl == FlowControl.Next ? Warm(after, head) : null;
        }
    }

    private Block* Warm(uint eip, Block* head)
    {
        if ((eip ^ head->Eip) >> 12 != 0) return null;
        Block* block = _blocks.Peek((head->Key & 0xffff_ffff_ffff_f000) | (eip & 0xfff), eip);
        return block != null && block->Heat >= head->Heat / WarmFraction ? block : null;
    }
}

/// <summary>Reads guest code from the host's memory.</summary>
internal sealed unsafe class PointerReader : CodeReader
{
    public byte* At;

    public override int ReadByte() => *At++;
}
