// Runs translated code for the interpreter's loop: counts how hot blocks are, has the traces from hot ones on translated, and does
// what their code comes back for. A translated block's first handler leads here, so nothing else of the engine needs to know.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Execute;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Translate;

/// <summary>The translator of one processor and its code. A cache: never state.</summary>
internal sealed unsafe class TranslatedCode
{
    private const nuint CodeBytes = 64u << 20;
    private const nuint CellBytes = 4u << 20;

    private readonly Ctx* _c;
    private readonly Processor _processor;
    private readonly BlockCache _blocks;
    private readonly Translator _translator;
    private readonly TraceBuilder _traces;
    private readonly TranslationQueue _queue;
    private readonly TranslatedFpu _fpu;
    private readonly Block* _done;
    private readonly uint _hotRuns;
    private MissPlace _missed;

    /// <summary>Where the last access missed.</summary>
    private readonly record struct MissPlace(nint Step, uint Index, long Left);

    private TranslatedCode(Ctx* c, Processor processor, BlockCache blocks, CodeMemory memory, uint hotRuns, bool onAnyHost)
    {
        _c = c;
        _processor = processor;
        _blocks = blocks;
        _hotRuns = hotRuns;
        _fpu = new TranslatedFpu(c);
        _translator = new Translator(c, memory, _fpu, onAnyHost ? HostUndefined.Unknown : HostVendor.Undefined());
        _traces = new TraceBuilder(blocks, processor.Memory);
        _queue = new TranslationQueue(_translator);
        _done = (Block*)NativeMemory.AllocZeroed(1, (nuint)sizeof(Block));
        processor.Mmu.CellBasesUsedUp = _queue.ClearCells;
    }

    /// <summary>What a jump-cache entry leads to whose block has no code.</summary>
    public nint LookupMiss => _translator.LookupMiss;

    /// <summary>Null where the host cannot run it.</summary>
    public static TranslatedCode? TryCreate(Ctx* c, Processor processor, BlockCache blocks, uint hotRuns, bool onAnyHost) =>
        RuntimeInformation.ProcessArchitecture == Architecture.X64 && CodeMemory.TryCreate(CodeBytes, CellBytes) is { } memory
            ? new TranslatedCode(c, processor, blocks, memory, hotRuns, onAnyHost)
            : null;

    /// <summary>Has a new block counted.</summary>
    public static void Watch(Block* block)
    {
        if ((block->Key >> 32 & Translator.ModeNeeded) == Translator.ModeNeeded && block->SecondPage == Block.NoPage) block->First->Fn = &Warm;
    }

    /// <summary>Translates one of the traces that wait, on any thread; false when none does.</summary>
    public bool TranslateNext() => _queue.TranslateNext();

    /// <summary>Forgets all code. Not while a block runs.</summary>
    public void Clear() => _queue.Clear();

    public void Free()
    {
        _processor.Mmu.CellBasesUsedUp = null;
        _queue.Free();
        _fpu.Free();
        NativeMemory.Free(_done);
    }

    /// <summary>The first handler of a block that may become hot.</summary>
    private static void Warm(Ctx* c, Insn* i)
    {
        Block* block = c->Block;
        TranslatedCode translated = Ctx.ProcessorOf(c).Translated!;
        if (++block->Heat == translated._hotRuns) translated.Ask(block);
        translated.TakeFinished();
        if (block->Native != 0) Enter(c, i);
        else i->Plain(c, i);
    }

    /// <summary>The first handler of a translated block.</summary>
    private static void Enter(Ctx* c, Insn* i) => Ctx.ProcessorOf(c).Translated!.Run(c->Block);

    private void Ask(Block* block)
    {
        // Code in a device's window, or where there is no memory, is the interpreter's.
        if (_processor.Memory.ReadPages[(uint)block->Key >> 12] == 0)
        {
            block->First->Fn = block->First->Plain;
            return;
        }
        _queue.Ask(_traces.From(block, _queue.Generation));
        if (_processor.TranslationWanted is { } wanted) wanted();
        else _queue.TranslateNext();
    }

    /// <summary>Has the code that is ready used.</summary>
    private void TakeFinished()
    {
        while (_queue.TakeFinished(out FinishedCode code))
        {
            if (code.IsFull)
            {
                // Everything is decoded and counted anew when no block runs.
                _blocks.Stale = true;
                Epochs.New(_c);
                _c->Attention = 1;
                continue;
            }
            // Should the block have been forgotten since, nothing leads to it any more.
            var block = (Block*)code.Block;
            if (code.Entry == 0)
            {
                block->First->Fn = block->First->Plain;
                continue;
            }
            block->Native = code.Entry;
            block->First->Fn = &Enter;
            Jump* jump = Chain.JumpOf(_c, block->Eip);
            if (jump->Target == block) jump->Native = block->Native;
        }
    }

    /// <summary>Runs from the beginning of a block as far as it goes without the engine's loop, to which it returns at a
    /// boundary, or with an instruction stopped.</summary>
    private void Run(Block* block)
    {
        TakeFinished();
        ToHost();
        _c->NativeLeft = (long)(_c->Limit - _c->S.Count);
        nint at = block->Native;
        while (at != 0)
        {
            ((delegate* unmanaged<Ctx*, nint, void>)_translator.Entry)(_c, at);
            uint exit = _c->NativeExit;
            var from = (NativeStep*)_c->NativeStep;
            at = (exit & 0xff) switch
            {
                NativeExit.Limit => AtLimit(from),
                NativeExit.Lookup => Follow(_c->NativePlace),
                NativeExit.Link => FollowLink(from, (exit & 0x100) != 0),
                NativeExit.Miss => AfterMiss(from, exit),
                NativeExit.Fpu => HoldFpu(from, exit >> 16),
                _ => Interpret(from, exit >> 16),
            };
        }
        _c->Block = _done;
        _c->Link = null;
    }

    /// <summary>The trace does not fit into what is left to the limit: its first block as far as it does.</summary>
    private nint AtLimit(NativeStep* from)
    {
        Block* block = from->Block;
        Arrive(block->Eip);
        _ = Leave();
        _processor.RunCopies(block->First, (uint)long.Min(block->Count, _c->NativeLeft));
        return 0;
    }

    /// <summary>The boundary at the beginning of a block.</summary>
    private void Arrive(uint eip)
    {
        _c->S.Count = _c->Limit - (ulong)_c->NativeLeft;
        _c->S.Eip = eip;
    }

    private nint Leave()
    {
        _fpu.Return();
        ToGuest();
        return 0;
    }

    /// <summary>On to <paramref name="eip"/>, in translated code where there is some.</summary>
    private nint Follow(uint eip)
    {
        Arrive(eip);
        // At the limit nothing more is fetched: the fetch might fault, and the fault belongs behind the boundary.
        if (_c->NativeLeft == 0) return Leave();
        Block* next = _blocks.Find();
        return next != null && next->Native != 0 ? next->Native : Leave();
    }

    private nint FollowLink(NativeStep* from, bool taken)
    {
        ulong generation = _queue.Generation, page = from->Block->Key >> 12;
        nint at = Follow(taken ? from->TakenEip : from->FallEip);
        if (at == 0 || generation != _queue.Generation) return at;
        // Within one physical page both are forgotten together, so the jump can never lead to code that is gone.
        Block* next = Chain.JumpOf(_c, _c->S.Eip)->Target;
        if (next->Key >> 12 == page && next->Native == at) _translator.Patch(taken ? from->TakenSite : from->FallSite, at);
        return at;
    }

    /// <summary>An access that the TLB did not admit: fills it and tries again where that is all; else the interpreter does it.</summary>
    private nint AfterMiss(NativeStep* from, uint exit)
    {
        uint linear = _c->NativePlace, size = exit >> 8 & 0x7f, index = exit >> 16;
        bool write = (exit & 0x8000) != 0;
        uint epoch = _c->Epoch;
        // Two accesses of one instruction may want the same TLB entry and drive each other out for ever.
        var place = new MissPlace((nint)from, index, _c->NativeLeft);
        bool again = place == _missed;
        _missed = place;
        if (again || (linear & 0xfff) + size > 4096 || !_processor.Mmu.TryFill(linear, write)) return Interpret(from, index);
        // The walk may have set a bit in a page that holds code.
        return epoch == _c->Epoch ? NativeStep.At(from, index) : Interpret(from, index);
    }

    private nint HoldFpu(NativeStep* from, uint index) => _fpu.TryHold() ? NativeStep.At(from, index) : Interpret(from, index);

    /// <summary>Has the interpreter run an instruction, and those behind it that have no code.</summary>
    private nint Interpret(NativeStep* from, uint index)
    {
        Ctx* c = _c;
        uint count = from->Count, next = index + 1;
        uint* offsets = NativeStep.OffsetsOf(from);
        Block* block = from->Block;
        while (next < count && offsets[next] == 0) next++;
        c->S.Count = c->Limit - (ulong)c->NativeLeft - from->Rest - (count - index);
        c->S.Eip = block->Eip + block->First[index].Offset;
        _fpu.Return();
        ToGuest();
        uint epoch = c->Epoch;
        _processor.RunCopies(block->First + index, next - index);
        if (c->Exit != ExitReason.None) return 0;
        bool asked = c->Attention != 0;
        if (asked && !_processor.MayGoOn()) return 0;
        ToHost();
        c->NativeLeft = (long)(c->Limit - c->S.Count);
        if (next == count || asked || epoch != c->Epoch) return Follow(c->S.Eip);
        c->NativeLeft -= from->Rest + (count - next);
        return NativeStep.At(from, next);
    }

    /// <summary>The status flags as translated code holds them.</summary>
    private void ToHost()
    {
        uint flags = Flags.Get(_c);
        _c->NativeFlags = (flags & LowFlags) << 8 | (flags & Flags.Of) >> 11;
    }

    private void ToGuest() => Flags.SetStatus(_c, (_c->NativeFlags >> 8 & LowFlags) | (_c->NativeFlags & 1) << 11);

    /// <summary>The status flags that LAHF gives.</summary>
    private const uint LowFlags = Flags.Sf | Flags.Zf | Flags.Af | Flags.Pf | Flags.Cf;
}
