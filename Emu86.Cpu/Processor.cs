// The processor: runs decoded blocks up to an exact instruction count, samples interrupts and traps at boundaries.
using System.Runtime.InteropServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Execute;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu;

/// <summary>Why <see cref="Processor.Run"/> returned.</summary>
public enum RunResult
{
    /// <summary>The asked count was reached.</summary>
    Limit,

    /// <summary>HLT, and no interrupt that could end it is pending.</summary>
    Halted,

    /// <summary>A triple fault: the board resets the machine.</summary>
    Shutdown,

    /// <summary><see cref="Processor.RequestExit"/> was called (a device's deadline moved closer, a reset was asked for).</summary>
    Asked,
}

/// <summary>One processor. Everything that is state is in <see cref="CpuState"/>.</summary>
public sealed unsafe class Processor : IStateful, IDisposable
{
    /// <summary>How many instructions may follow each other from block to block before the engine's loop takes over again:
    /// a bound on the stack where the host's compiler has not yet made tail calls of the handlers' calls.</summary>
    private const ulong ChainMax = 1024;

    /// <summary>How often a block runs before it is translated.</summary>
    public const uint HotRunsDefault = 64;

    private readonly Ctx* _c;
    private readonly GCHandle _handle;
    private readonly Insn* _scratch;
    private readonly Block* _scratchBlock;
    private readonly BlockCache _blocks;
    private bool _exitAsked;
    private ulong _runLimit;

    public Processor(PhysicalMemory memory, IProcessorBus bus, CpuModel model)
    {
        Memory = memory;
        Bus = bus;
        Model = model;
        _c = (Ctx*)NativeMemory.AlignedAlloc((nuint)sizeof(Ctx), 64);
        *_c = default;
        _handle = GCHandle.Alloc(this);
        _c->Owner = GCHandle.ToIntPtr(_handle);
        Epochs.New(_c);
        Mmu = new Mmu(_c, memory);
        _blocks = new BlockCache(_c, Mmu, memory, OpTable.Standard, model);
        memory.Watcher = new Watch(this);
        _scratch = (Insn*)NativeMemory.AllocZeroed(BlockDecoder.InstructionsMax + 1, (nuint)sizeof(Insn));
        _scratchBlock = (Block*)NativeMemory.AllocZeroed(1, (nuint)sizeof(Block));
        _scratchBlock->First = _scratch;
        Reset();
        _c->S.Count = 0;
    }

    /// <summary>Whether hot code is translated to host code. No bit of guest state depends on it, so it may change at any boundary.</summary>
    public bool IsTranslating => _blocks.Translated != null;

    /// <summary>Called on the emulation thread when code waits to be translated: then <see cref="TranslateNext"/> has to be called, on
    /// another thread. Null: code is translated at once.</summary>
    public Action? TranslationWanted { get; set; }

    public PhysicalMemory Memory { get; }

    public IProcessorBus Bus { get; }

    public CpuModel Model { get; }

    public Mmu Mmu { get; }

    /// <summary>For the engine, the debugger and tests.</summary>
    public Ctx* Context => _c;

    /// <summary>Instructions retired since power-on; inside an instruction that talks to a device, the count before it.</summary>
    public ulong InstructionCount => _c->Current == null ? _c->S.Count : _c->S.Count + _c->Current->Index;

    public bool IsHalted => _c->S.Halted != 0;

    /// <summary>Halted with interrupts disabled: only NMI or reset can end it.</summary>
    public bool IsDeaf => IsHalted && (_c->S.SystemFlags & Flags.If) == 0;

    /// <summary>An interrupt or a debug trap comes before the next instruction.</summary>
    public bool HasEventDue => (_c->S.PendingDebug != 0 && _c->S.DebugShadow == 0)
        || (_c->S.InterruptShadow == 0 && ((_c->S.NmiPending != 0 && _c->S.NmiBlocked == 0) || (_c->S.IntrPin != 0 && (_c->S.SystemFlags & Flags.If) != 0)));

    public string StateName => "cpu";

    public int StateVersion => 1;

    internal Translate.TranslatedCode? Translated => _blocks.Translated;

    /// <summary>Turns the translator on or off, between runs. False: this host cannot run it.</summary>
    /// <param name="on">On or off.</param>
    /// <param name="hotRuns">How often a block runs before it is translated.</param>
    /// <param name="onAnyHost">Translate as on a host of which nothing is known but what the manual defines.</param>
    public bool UseTranslator(bool on, uint hotRuns = HotRunsDefault, bool onAnyHost = false)
    {
        if (on == IsTranslating) return true;
        _blocks.Clear();
        _blocks.Translated?.Free();
        _blocks.Translated = on ? Translate.TranslatedCode.TryCreate(_c, this, _blocks, hotRuns, onAnyHost) : null;
        return !on || IsTranslating;
    }

    /// <summary>Translates a piece of the code that waits for it, on any thread, also while the processor runs or is disposed of.
    /// False: nothing waits.</summary>
    public bool TranslateNext() => _blocks.Translated is { } translated && translated.TranslateNext();

    /// <summary>The RESET pin. The instruction count goes on.</summary>
    public void Reset()
    {
        ulong count = _c->S.Count;
        byte intr = _c->S.IntrPin, a20 = _c->S.A20;
        _c->S = default;
        _c->S.Count = count;
        _c->S.IntrPin = intr;
        _c->S.A20 = a20;
        ResetState.Apply(_c, Model);
        AfterStateChange();
    }

    /// <summary>The INTR pin, from the interrupt controller.</summary>
    public void SetIntr(bool asserted)
    {
        _c->S.IntrPin = asserted ? (byte)1 : (byte)0;
        _c->Attention = 1;
    }

    /// <summary>The IGNNE# pin, which a PC asserts at a write to port F0h: with FERR# asserted, x87 instructions go on in spite of
    /// the pending exception until it is cleared.</summary>
    public void AssertIgnne() => _c->S.Fpu.IgnoreErrors = _c->S.Fpu.ErrorPin;

    /// <summary>An edge on the NMI pin.</summary>
    public void RaiseNmi()
    {
        _c->S.NmiPending = 1;
        _c->Attention = 1;
    }

    /// <summary>The A20 gate.</summary>
    public void SetA20(bool open)
    {
        if (_c->S.A20 != 0 == open) return;
        _c->S.A20 = open ? (byte)1 : (byte)0;
        Mmu.FlushAll();
        _c->Attention = 1;
    }

    /// <summary>Makes <see cref="Run"/> return at the next boundary.</summary>
    public void RequestExit()
    {
        _exitAsked = true;
        _c->Attention = 1;
    }

    /// <summary>Runs until the boundary with count <paramref name="limit"/>, or less far (see <see cref="RunResult"/>). At that
    /// boundary nothing is sampled any more.</summary>
    public RunResult Run(ulong limit)
    {
        _exitAsked = false;
        _c->Limit = limit;
        Mmu.ForgetFormerTables();
        while (true)
        {
            _c->Attention = 0;
            if (_c->S.Count >= limit) return RunResult.Limit;
            if (_exitAsked) return RunResult.Asked;
            if (!SampleEvents(out bool delivered)) return RunResult.Shutdown;
            if (delivered) continue;
            if (_c->S.Halted != 0) return RunResult.Halted;
            if (MustStep()) Step();
            else RunBlocks();
            if (_c->Exit == ExitReason.Alone) RunAlone(_c->Stopped);
            if (_c->Exit == ExitReason.Fault && !DeliverFault()) return RunResult.Shutdown;
        }
    }

    public void Save(ref StateWriter writer)
    {
        Flags.MakeCanonical(_c);
        writer.Struct(_c->S);
    }

    public void Load(ref StateReader reader)
    {
        _c->S = reader.Struct<CpuState>();
        AfterStateChange();
    }

    public void Dispose()
    {
        Memory.Watcher = null;
        _blocks.Translated?.Free();
        _blocks.Free();
        Mmu.Free();
        NativeMemory.Free(_scratch);
        NativeMemory.Free(_scratchBlock);
        NativeMemory.AlignedFree(_c);
        _handle.Free();
        GC.SuppressFinalize(this);
    }

    /// <summary>Rebuilds everything that is derived from the state.</summary>
    public void AfterStateChange()
    {
        _c->Exit = ExitReason.None;
        _c->Current = null;
        Mmu.FlushAll();
        _blocks.Clear();
        Modes.Changed(_c);
    }

    /// <summary>Delivers what is due at this boundary (SDM vol. 3, table 6-2). False: shutdown.</summary>
    private bool SampleEvents(out bool delivered)
    {
        delivered = false;
        if (_c->S.PendingDebug != 0 && _c->S.DebugShadow == 0)
        {
            delivered = true;
            return DebugUnit.DeliverPending(_c);
        }
        if (_c->S.InterruptShadow != 0) return true;
        if (_c->S.NmiPending != 0 && _c->S.NmiBlocked == 0)
        {
            delivered = true;
            _c->S.NmiPending = 0;
            _c->S.NmiBlocked = 1;
            _c->S.Halted = 0;
            return Exceptions.DeliverInterrupt(_c, Vector.Nmi);
        }
        if (_c->S.IntrPin != 0 && (_c->S.SystemFlags & Flags.If) != 0)
        {
            delivered = true;
            _c->S.Halted = 0;
            return Exceptions.DeliverInterrupt(_c, Bus.AcknowledgeInterrupt());
        }
        return true;
    }

    /// <summary>At a boundary where something asked for <see cref="Run"/>'s attention: whether it would only go on with the next block.
    /// Most changes of mode and privilege come to nothing more.</summary>
    internal bool MayGoOn()
    {
        bool isDue = _exitAsked || _c->S.Count >= _c->Limit || _c->S.PendingDebug != 0 || _c->S.NmiPending != 0 || _c->S.Halted != 0
            || (_c->S.IntrPin != 0 && (_c->S.SystemFlags & Flags.If) != 0) || MustStep();
        if (isDue) return false;
        _c->Attention = 0;
        return true;
    }

    private bool MustStep() => _c->S.InterruptShadow != 0 || (_c->S.SystemFlags & (Flags.Tf | Flags.Rf)) != 0 || DebugUnit.Armed(_c);

    private void RunBlocks()
    {
        Ctx* c = _c;
        Block* block = _blocks.Find();
        while (block != null)
        {
            ulong left = c->Limit - c->S.Count;
            if (block->Count > left || !_blocks.FitsLimit(block))
            {
                RunSome(block, left);
                return;
            }
            c->Block = block;
            c->ChainLimit = left > BlockDecoder.InstructionsMax ? c->S.Count + ulong.Min(left - BlockDecoder.InstructionsMax, ChainMax) : 0;
            block->First->Fn(c, block->First);
            if (c->Exit != ExitReason.None) return;
            // Others may have followed: it is the last one that ended here.
            c->S.Count += c->Block->Count;
            // At the limit nothing more is fetched: the fetch might fault, and the fault belongs behind the boundary.
            if (c->Attention != 0 || c->S.Count >= c->Limit) return;
            Link* link = c->Link;
            if (link != null && link->Epoch == c->Epoch)
            {
                block = link->Target;
                continue;
            }
            uint epoch = c->Epoch;
            block = _blocks.Find();
            // Another epoch: the block that holds the link may be gone.
            if (link != null && block != null && epoch == c->Epoch && _blocks.FitsLimit(block))
            {
                link->Target = block;
                link->Epoch = epoch;
            }
        }
    }

    /// <summary>The beginning of a block: as much as the limits of count and code segment allow.</summary>
    private void RunSome(Block* block, ulong left)
    {
        uint count = 0;
        while (count < block->Count && count < left && (ulong)_c->S.Eip + block->First[count].Next - 1 <= _c->S.Cs.Limit) count++;
        if (count == 0 && left > 0) Ctx.Fault(_c, null, Vector.Gp, 0);
        else RunCopies(block->First, count);
    }

    /// <summary>One instruction at a boundary with a shadow, single step or breakpoints.</summary>
    private void Step()
    {
        bool traced = (_c->S.SystemFlags & Flags.Tf) != 0;
        if (!DebugUnit.CheckInstruction(_c)) return;
        Block* block = _blocks.Find();
        if (block == null) return;
        _c->S.InterruptShadow = 0;
        _c->S.DebugShadow = 0;
        uint eip = _c->S.Eip;
        BeginAlone();
        RunSome(block, 1);
        EndAlone();
        if (_c->Exit == ExitReason.None) DebugUnit.AfterInstruction(_c, traced, eip);
    }

    /// <summary>Runs an instruction again that asked to be alone.</summary>
    private void RunAlone(Insn* stopped)
    {
        _c->S.Count += stopped->Index;
        _c->S.Eip += stopped->Offset;
        _c->Exit = ExitReason.None;
        BeginAlone();
        RunCopies(stopped, 1);
        EndAlone();
        Check.That(_c->Exit != ExitReason.Alone);
    }

    /// <summary>One boundary: a REP iteration, too, sees what the one before it changed.</summary>
    private void BeginAlone()
    {
        _c->Alone = 1;
        _runLimit = _c->Limit;
        _c->Limit = _c->S.Count + 1;
    }

    private void EndAlone()
    {
        _c->Alone = 0;
        _c->Limit = _runLimit;
    }

    /// <summary>Runs copies of <paramref name="count"/> instructions; EIP and count are those of the first.</summary>
    internal void RunCopies(Insn* first, uint count)
    {
        if (count == 0) return;
        for (uint n = 0; n < count; n++)
        {
            _scratch[n] = first[n];
            Rebase(&_scratch[n], first->Offset, n);
            _scratch[n].Fn = first[n].Plain;
        }
        _scratch[count] = new Insn { Fn = &BlockDecoder.EndOfBlock, Offset = _scratch[count - 1].Next, Index = (ushort)count };
        _scratchBlock->Count = count;
        _c->ChainLimit = 0;
        _c->Block = _scratchBlock;
        _scratch->Fn(_c, _scratch);
        _c->Link = null;
        if (_c->Exit == ExitReason.None) _c->S.Count += count;
    }

    private static void Rebase(Insn* insn, ushort offset, uint index)
    {
        insn->Offset -= offset;
        insn->Next -= offset;
        insn->Index = (ushort)index;
    }

    /// <summary>Delivers the fault that stopped an instruction or a fetch. False: shutdown.</summary>
    private bool DeliverFault()
    {
        if (_c->Stopped != null)
        {
            _c->S.Count += _c->Stopped->Index;
            _c->S.Eip += _c->Stopped->Offset;
        }
        _c->Exit = ExitReason.None;
        return Exceptions.DeliverFault(_c, (int)_c->FaultVector, _c->FaultHasError != 0, _c->FaultError);
    }

    private sealed class Watch(Processor processor) : IPageWatcher
    {
        public void CodeWritten(uint page) => processor._blocks.Invalidate(page);

        public void PageTableWritten(uint page, uint offset, uint size) => processor.Mmu.TableWritten(page, offset, size);

        public void MappingChanged()
        {
            processor.Mmu.FlushAll();
            processor._blocks.Stale = true;
        }
    }
}
