// Guest trace → host code (docs/engine.md, "Translator"). In one pass over the trace, after a look ahead at who needs the flags.
//
// At the beginning of every instruction that may come back to the engine all guest state is where HostRegisters says, so that
// the engine can look at it, have the interpreter run an instruction, and go on behind it.
using System.Runtime.InteropServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Execute;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

/// <summary>Translates traces. One thread at a time; it looks into nothing that the emulation thread changes.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>What a block's mode must have: flat 32-bit protected mode, where no access needs a segment check.</summary>
    public const uint ModeNeeded = BlockMode.Code32 | BlockMode.Stack32 | BlockMode.Flat | BlockMode.FlatCode | BlockMode.Protected;

    /// <summary>Host bytes that no guest instruction exceeds, cold part included, and cells.</summary>
    private const int InstructionBytesMax = 512, InstructionCellsMax = 4;

    /// <summary>A trace is translated up to so many times (<see cref="Pass"/>).</summary>
    private const int PassesMax = 3;

    private const nuint StepBytes = 16u << 20;

    private readonly Ctx* _c;
    private readonly CodeMemory _memory;
    private readonly HostCode _code = new();
    private readonly PointerReader _reader = new();
    private readonly Decoder _decoder;
    private readonly HostUndefined _undefined;
    private readonly byte* _steps;
    private readonly List<ColdPart> _cold = [];
    private readonly List<Resumption> _resumptions = [];
    private readonly List<PlainResumption> _plainResumptions = [];

    /// <summary>By instruction of the trace: where its translation without windows is, from the beginning of the code.</summary>
    private readonly uint[] _plainAt = new uint[Trace.InstructionsMax];
    private nuint _stepsUsed;

    // The trace at hand: its instructions, which of them fault whatever their operands are, and how many there are.
    private readonly Instruction[] _decoded = new Instruction[Trace.InstructionsMax];
    private readonly bool[] _faults = new bool[Trace.InstructionsMax];
    private int _count;
    private ulong _key;
    private uint _start;

    /// <summary>The step at hand, and the number of the instruction at hand in the trace.</summary>
    private NativeStep* _step;

    /// <summary>The first step of the translation without windows.</summary>
    private NativeStep* _plainSteps;
    private uint _eip;
    private int _at;

    /// <summary>Where the trace is expected to go on after this step; null: nowhere that is known.</summary>
    private uint? _expected;

    /// <summary>It goes on there at the trace's beginning, whose code is this.</summary>
    private bool _closes;
    private HostLabel _head;

    /// <summary>Which of the trace's translations is written.</summary>
    private Pass _pass;

    /// <summary>What holds where the trace begins again, and the code there.</summary>
    private LoopStart _loopStart;
    private HostLabel _loop;
    private bool _loops, _usesWindows;

    private enum Pass : byte
    {
        /// <summary>From the trace's beginning, where nothing is known.</summary>
        First,

        /// <summary>Again, with what is known at the end of the first.</summary>
        Loop,

        /// <summary>Without windows: entered in the middle, where a window is not admitted or the engine comes back.</summary>
        Plain,
    }

    /// <summary>What a trace that begins again need not find out again.</summary>
    private readonly record struct LoopStart(FlagPlaces Flags, bool FpuHeld, int Window);

    /// <summary>Why there is code behind the straight way.</summary>
    private enum ColdKind : byte
    {
        /// <summary>Back to the engine.</summary>
        Exit,

        /// <summary>A cell did not admit an access: the TLB may.</summary>
        Access,

        /// <summary>A cell did not admit a window: the TLB may.</summary>
        Window,

        /// <summary>On to another trace at a known address.</summary>
        Side,

        /// <summary>On to the address in <see cref="Place"/>.</summary>
        SideLookup,
    }

    /// <summary>Code that is written behind the straight way, with what is known where it is reached.</summary>
    private readonly record struct ColdPart(ColdKind Kind, HostLabel Label, nint Step, FlagPlaces Flags, FpuLast Fpu)
    {
        public uint Exit { get; init; }

        /// <summary>Where an access goes on, its cell, and what that is filled for.</summary>
        public HostLabel Back { get; init; }

        public nint Cell { get; init; }

        public CellUse Use { get; init; }

        /// <summary>A window's bytes, where it begins, and the instruction of the trace that opens it.</summary>
        public int Size { get; init; }

        public int Register { get; init; }

        public int Displacement { get; init; }

        public int Instruction { get; init; }

        /// <summary>The address of a side exit, and whether a branch was taken.</summary>
        public uint Eip { get; init; }

        public bool Taken { get; init; }
    }

    /// <summary>Where the engine comes in while the straight way has flags in the host's, or x87 registers in its unit.</summary>
    private readonly record struct Resumption(nint Step, uint Instruction, HostLabel Body, bool FlagsInHost, bool FpuHeld);

    /// <summary>Where the engine comes in while the straight way has a window: it goes on without.</summary>
    private readonly record struct PlainResumption(nint Step, uint Instruction, int At);

    public Translator(Ctx* c, CodeMemory memory, TranslatedFpu fpu, HostUndefined undefined)
    {
        _c = c;
        _memory = memory;
        _undefined = undefined;
        _decoder = Decoder.Create(32, _reader, BlockDecoder.Options);
        _steps = (byte*)NativeMemory.AlignedAlloc(StepBytes, 64);
        Thunks(fpu.Image);
        memory.Keep();
    }

    /// <summary>Whether there is room for one more trace.</summary>
    public bool HasRoom =>
        _memory.HasRoom(PassesMax * (Trace.InstructionsMax + 1) * InstructionBytesMax, PassesMax * (Trace.InstructionsMax + 1) * InstructionCellsMax)
        && _stepsUsed + (PassesMax * ((Trace.InstructionsMax * sizeof(uint)) + (Trace.StepsMax * (nuint)(sizeof(NativeStep) + 16)))) <= StepBytes;

    /// <summary>Translates a trace; the address of its code, 0 when too little of it could be.</summary>
    public nint Translate(Trace trace)
    {
        Take(trace);
        _code.Begin(_memory.Writable + _memory.Used, _memory.Executable + _memory.Used);
        nuint steps = _stepsUsed;
        var first = (NativeStep*)(_steps + steps);
        _loops = _usesWindows = false;
        _head = _code.NewLabel();
        uint interpreted = Write(trace, Pass.First);
        if (2 * interpreted > (uint)trace.Steps[0].Count)
        {
            _stepsUsed = steps;
            return 0;
        }
        if (_loops) _ = Write(trace, Pass.Loop);
        if (_usesWindows) WritePlain(trace);
        Resumptions(trace);
        for (int n = 0; n < _cold.Count; n++) Cold(_cold[n]);
        _code.Finish();
        nint entry = first->Code;
        _memory.Take((nuint)_code.Length);
        return entry;
    }

    /// <summary>Writes the trace once; how many instructions of its first block are left to the interpreter.</summary>
    private uint Write(Trace trace, Pass pass)
    {
        _pass = pass;
        _flags = pass == Pass.Loop ? _loopStart.Flags : FlagPlaces.Rax;
        _fpuHeld = pass == Pass.Loop && _loopStart.FpuHeld;
        _window = pass == Pass.Loop ? _loopStart.Window : NoWindow;
        _fpuLast = default;
        Array.Clear(_values);
        uint rest = (uint)_count, interpreted = 0;
        for (int n = 0; n < trace.Steps.Count; n++)
        {
            TraceStep at = trace.Steps[n];
            rest -= (uint)at.Count;
            BeginStep(at, rest);
            if (n == 0 && pass != Pass.Plain) TakeCount(pass == Pass.First ? _head : _loop);
            bool isLast = n + 1 == trace.Steps.Count;
            _closes = isLast && trace.Closes;
            _expected = !isLast ? trace.Steps[n + 1].Eip : _closes ? trace.Steps[0].Eip : null;
            uint left = Step(CollectionsMarshal.AsSpan(trace.Instructions).Slice(at.First, at.Count));
            if (n == 0) interpreted = left;
        }
        return interpreted;
    }

    /// <summary>The beginning of a trace: its instructions are counted, or it is left to the engine.</summary>
    private void TakeCount(HostLabel here)
    {
        _code.Place(here);
        _code.Put(Code.Sub_rm64_imm32, Left, _count);
        _flags = _flags with { InHost = false };
        HostLabel over = _code.NewLabel();
        _code.JumpIf(Less, over);
        AddExit(over, NativeExit.Limit);
    }

    /// <summary>Makes a jump to a direct successor go straight to its code. On the emulation thread.</summary>
    public void Patch(nint site, nint target)
    {
        byte* writable = _memory.Writable + (site - (nint)_memory.Executable);
        // Aligned or not, one store within one processor's own instruction stream.
        *(int*)writable = (int)(target - (site + 4));
    }

    /// <summary>Forgets all code but the thunks.</summary>
    public void Reset()
    {
        _memory.Reset();
        _stepsUsed = 0;
    }

    public void ClearCells() => _memory.ClearCells();

    public void Free()
    {
        _memory.Free();
        NativeMemory.AlignedFree(_steps);
    }

    private static MemoryOperand At(Register register) => new(register);

    private static MemoryOperand At(Register register, int displacement) => new(register, displacement);

    /// <summary>A field of the context.</summary>
    private MemoryOperand Field(void* field) => new(Context, (int)((byte*)field - (byte*)_c));

    // Conditions as encoded (SDM vol. 2, B.1.4.7).
    private const int Below = 2, AboveOrEqual = 3, Equal = 4, NotEqual = 5, BelowOrEqual = 6, Above = 7, Less = 12;

    /// <summary>Decodes the trace and plans its flags.</summary>
    private void Take(Trace trace)
    {
        _key = trace.Key;
        _start = trace.Steps[0].Eip;
        _count = trace.Instructions.Count;
        _cold.Clear();
        _resumptions.Clear();
        _plainResumptions.Clear();
        _cells.Clear();
        fixed (byte* code = CollectionsMarshal.AsSpan(trace.Code))
        {
            foreach (TraceStep step in trace.Steps)
            {
                for (int n = step.First; n < step.First + step.Count; n++)
                {
                    Insn i = trace.Instructions[n];
                    _reader.At = code + step.CodeAt + i.Offset;
                    _decoder.IP = step.Eip + i.Offset;
                    _decoder.Decode(out _decoded[n]);
                    _faults[n] = (i.Prefixes & PrefixBits.Faults) != 0;
                }
            }
        }
        PlanFlags(trace.Closes);
        PlanWindows(trace.Closes);
    }

    private static nuint BytesOf(NativeStep* step) => ((nuint)sizeof(NativeStep) + ((nuint)step->Count * sizeof(uint)) + 15) & ~(nuint)15;

    private void BeginStep(in TraceStep at, uint rest)
    {
        _step = (NativeStep*)(_steps + _stepsUsed);
        *_step = new NativeStep { Block = (Block*)at.Block, Code = _code.Start, Rest = rest, Count = (uint)at.Count };
        _stepsUsed += BytesOf(_step);
        _eip = at.Eip;
        _at = at.First;
    }

    /// <summary>One block; how many of its instructions are left to the interpreter.</summary>
    private uint Step(Span<Insn> instructions)
    {
        uint* offsets = NativeStep.OffsetsOf(_step);
        uint interpreted = 0;
        bool ended = false, wasNative = true;
        fixed (Insn* first = instructions)
        {
            for (uint n = 0; n < (uint)instructions.Length; n++, _at++)
            {
                Insn* i = first + n;
                ref readonly Instruction x = ref _decoded[_at];
                offsets[n] = ResumePoint(n);
                if (_flows[_at] == FlagFlow.Looks) SettleFlags();
                bool done = !_faults[_at] && (Simple(x, i) || Stack(x, i) || String(x, i) || SystemFlag(x, i) || X87(x, i) || Branch(x, i, out ended));
                if (!done)
                {
                    offsets[n] = 0;
                    _resumptions.RemoveAll(r => r.Instruction == n && r.Step == (nint)_step);
                    _plainResumptions.RemoveAll(r => r.Instruction == n && r.Step == (nint)_step);
                    interpreted++;
                    // One way out for a run of them: the engine does them all.
                    if (wasNative) _code.Jump(Refused(i));
                    // The engine comes back with the flags in rax, and anything in the x87 unit.
                    _flags = FlagPlaces.Rax;
                    _fpuHeld = false;
                    _fpuLast = default;
                    _window = NoWindow;
                    ended = n + 1 == (uint)instructions.Length;
                }
                WroteRegisters(_writes[_at]);
                wasNative = done;
            }
            if (!ended && _expected is null) GoOn(_eip + first[instructions.Length - 1].Next, taken: false);
            else if (!ended && _closes) _code.Jump(Again());
        }
        return interpreted;
    }

    private ColdPart Part(ColdKind kind, HostLabel label) => new(kind, label, (nint)_step, _flags, _fpuLast);

    private void AddExit(HostLabel label, uint exit) => _cold.Add(Part(ColdKind.Exit, label) with { Exit = exit });

    private void Cold(in ColdPart part)
    {
        _code.Place(part.Label);
        _step = (NativeStep*)part.Step;
        if (part.Kind == ColdKind.Access) SecondTry(part);
        else if (part.Kind == ColdKind.Window) SecondTryWindow(part);
        _flags = part.Flags;
        SettleFlags();
        KeepFpuLast(part.Fpu);
        switch (part.Kind)
        {
            case ColdKind.Side:
                GiveBackRest();
                Continue(part.Eip, part.Taken);
                return;
            case ColdKind.SideLookup:
                GiveBackRest();
                Lookup();
                return;
            case ColdKind.Window:
                _code.Jump(_code.Start + (nint)_plainAt[part.Instruction]);
                return;
        }
        if (part.Exit == NativeExit.Limit) _code.Put(Code.Add_rm64_imm32, Left, _count);
        _code.Put(Code.Mov_r64_imm64, Second, part.Step);
        _code.Put(Code.Mov_r32_imm32, Scratch32, (int)part.Exit);
        _code.Jump(_exit);
    }

    /// <summary>The engine comes back with the flags in rax. Where the code expects them in the host's, it comes in through a
    /// piece of code of its own.</summary>
    private uint ResumePoint(uint instruction)
    {
        if (_window != NoWindow)
        {
            _plainResumptions.Add(new PlainResumption((nint)_step, instruction, _at));
            return 0;
        }
        if (!_flags.InHost && !_fpuHeld) return (uint)_code.Length;
        HostLabel body = _code.NewLabel();
        _code.Place(body);
        _resumptions.Add(new Resumption((nint)_step, instruction, body, _flags.InHost, _fpuHeld));
        return 0;
    }

    private void Resumptions(Trace trace)
    {
        foreach (Resumption r in _resumptions)
        {
            _step = (NativeStep*)r.Step;
            NativeStep.OffsetsOf(_step)[r.Instruction] = (uint)_code.Length;
            _flags = FlagPlaces.Rax;
            _fpuLast = default;
            _fpuHeld = !r.FpuHeld;
            Insn i = trace.Instructions[trace.Steps.Find(s => s.Block == (nint)_step->Block).First + (int)r.Instruction];
            HoldFpu(&i);
            if (r.FlagsInHost) RestoreFlags();
            _code.Jump(r.Body);
        }
        if (!_usesWindows) return;
        PlacePlain(trace);
        foreach (PlainResumption r in _plainResumptions) NativeStep.OffsetsOf((NativeStep*)r.Step)[r.Instruction] = _plainAt[r.At];
    }

    private void WritePlain(Trace trace)
    {
        _plainSteps = (NativeStep*)(_steps + _stepsUsed);
        _ = Write(trace, Pass.Plain);
    }

    /// <summary>Where each instruction's translation without windows is.</summary>
    private void PlacePlain(Trace trace)
    {
        NativeStep* step = _plainSteps;
        foreach (TraceStep at in trace.Steps)
        {
            for (int n = 0; n < at.Count; n++) _plainAt[at.First + n] = NativeStep.OffsetsOf(step)[n];
            step = (NativeStep*)((byte*)step + BytesOf(step));
        }
    }

    /// <summary>The instructions of the trace that will not run were counted at its beginning.</summary>
    private void GiveBackRest()
    {
        if (_step->Rest != 0) _code.Put(Code.Lea_r64_m, Left, At(Left, (int)_step->Rest));
    }

    /// <summary>The trace ends: on to an address that is known.</summary>
    private void GoOn(uint eip, bool taken)
    {
        SettleFlags();
        KeepFpuLast();
        GiveBackRest();
        Continue(eip, taken);
    }

    /// <summary>The place where the trace begins again. What is known there need not be found out again; the host's flags stay.</summary>
    private HostLabel Again()
    {
        KeepFpuLast();
        bool isLost = !_flags.InRax && _flags.Recipe.Source == FlagSource.None;
        if (isLost || _pass == Pass.Plain) SettleFlags();
        if (_pass == Pass.Plain) return _head;
        FlagPlaces flags = _flags.InRax ? FlagPlaces.Rax : _flags with { InHost = false };
        var state = new LoopStart(flags, _fpuHeld, _window != NoWindow && _windows[_window].Lasts ? _window : NoWindow);
        if (_pass == Pass.First && !_loops && state != new LoopStart(FlagPlaces.Rax, false, NoWindow))
        {
            (_loops, _loopStart, _loop) = (true, state, _code.NewLabel());
        }
        if (_loops && state == _loopStart) return _loop;
        SettleFlags();
        return _head;
    }

    /// <summary>On to a known address: a jump that can be patched within the page, the jump cache beyond it.</summary>
    private void Continue(uint eip, bool taken)
    {
        if ((eip ^ _start) >> 12 != 0)
        {
            _code.Put(Code.Mov_r32_imm32, Place32, (int)eip);
            _code.Put(Code.Mov_r64_imm64, Scratch, (long)Chain.JumpOf(_c, eip));
            FollowJump();
            return;
        }
        HostLabel label = _code.NewLabel();
        _code.Jump(label);
        nint site = _code.Here - 4;
        if (taken) (_step->TakenSite, _step->TakenEip) = (site, eip);
        else (_step->FallSite, _step->FallEip) = (site, eip);
        _cold.Add(new ColdPart(ColdKind.Exit, label, (nint)_step, FlagPlaces.Rax, default) { Exit = NativeExit.Link | (taken ? 0x100u : 0) });
    }

    /// <summary>On to the linear address in <see cref="Place"/>. Each place has its own jump, or the host could not predict it.</summary>
    private void Lookup()
    {
        // Chain.JumpOf.
        _code.Put(Code.Mov_r32_rm32, Scratch32, Place32);
        _code.Put(Code.Shr_rm32_imm8, Scratch32, 12);
        _code.Put(Code.Xor_r32_rm32, Scratch32, Place32);
        _code.Put(Code.And_rm32_imm32, Scratch32, Jump.Entries - 1);
        _code.Put(Code.Shl_rm32_imm8, Scratch32, 5);
        _code.Put(Code.Add_r64_rm64, Scratch, Field(&_c->Jumps));
        FollowJump();
    }

    /// <summary>With the jump cache's entry in <see cref="Scratch"/>.</summary>
    private void FollowJump()
    {
        Check.That(sizeof(Jump) == 32);
        _code.Put(Code.Cmp_rm32_r32, At(Scratch), Place32);
        _code.JumpIf(NotEqual, LookupMiss);
        _code.Put(Code.Mov_r64_rm64, Second, Field(&_c->Mode)); // and the epoch behind it
        _code.Put(Code.Cmp_rm64_r64, At(Scratch, 4), Second);
        _code.JumpIf(NotEqual, LookupMiss);
        _code.Put(Code.Jmp_rm64, At(Scratch, 24));
    }
}
