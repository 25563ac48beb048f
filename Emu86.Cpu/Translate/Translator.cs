// Guest block → host code (docs/engine.md, "Translator"). One block at a time, in one pass.
//
// At the beginning of every instruction that may come back to the engine all guest state is where HostRegisters says, so that
// the engine can look at it, have the interpreter run an instruction, and go on behind it.
using System.Runtime.InteropServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Execute;
using Emu86.Cpu.Memory;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

/// <summary>Translates decoded blocks.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>What a block's mode must have: flat 32-bit protected mode, where no access needs a segment check.</summary>
    public const uint ModeNeeded = BlockMode.Code32 | BlockMode.Stack32 | BlockMode.Flat | BlockMode.FlatCode | BlockMode.Protected;

    /// <summary>Host bytes that no guest instruction exceeds, cold part included.</summary>
    private const int InstructionBytesMax = 512;

    private readonly Ctx* _c;
    private readonly CodeMemory _memory;
    private readonly HostCode _code = new();
    private readonly GuestReader _reader = new();
    private readonly Decoder _decoder;
    private readonly bool _intel;
    private readonly List<ColdExit> _cold = [];
    private readonly List<Resumption> _resumptions = [];
    private nint _exit;

    private Block* _block;
    private NativeBlock* _native;

    /// <summary>Where the guest's flags are: in the host's, in rax, or in both.</summary>
    private bool _flagsInHost, _flagsInRax;

    /// <summary>A way out that is written behind the block's code.</summary>
    private readonly record struct ColdExit(HostLabel Label, uint Exit, FpuLast Fpu);

    /// <summary>Where the engine comes in while the straight way has flags in the host's, or x87 registers in its unit.</summary>
    private readonly record struct Resumption(uint Instruction, HostLabel Body, bool FlagsInHost, bool FpuHeld);

    /// <summary>The bytes of a page from a place on.</summary>
    private sealed class GuestReader : CodeReader
    {
        public byte* At;

        public override int ReadByte() => *At++;
    }

    public Translator(Ctx* c, CodeMemory memory, TranslatedFpu fpu, bool intel)
    {
        _c = c;
        _memory = memory;
        _intel = intel;
        _decoder = Decoder.Create(32, _reader, BlockDecoder.Options);
        Thunks(fpu.Image);
        memory.Keep();
    }

    /// <summary>Enters translated code at an address: a function of (Ctx*, address).</summary>
    public nint Entry { get; private set; }

    /// <summary>Leads back to the engine with <see cref="NativeExit.Lookup"/>.</summary>
    public nint LookupMiss { get; private set; }

    /// <summary>Whether there is room for one more block.</summary>
    public bool HasRoom => _memory.HasRoom((BlockDecoder.InstructionsMax + 1) * InstructionBytesMax);

    /// <summary>Translates a block; false when too little of it could be.</summary>
    /// <param name="native">Filled in; its memory has room for an entry per instruction.</param>
    /// <param name="bytes">The block's code.</param>
    public bool Translate(Block* block, NativeBlock* native, byte* bytes)
    {
        _block = block;
        _native = native;
        *native = default;
        _code.Begin(_memory.Writable + _memory.Used, _memory.Executable + _memory.Used);
        _cold.Clear();
        _resumptions.Clear();
        _flagsInHost = false;
        _flagsInRax = true;
        _fpuHeld = false;
        _fpuLast = default;
        uint* offsets = NativeBlock.OffsetsOf(native);
        uint interpreted = 0;
        bool ended = false, wasNative = true;
        Prologue();
        for (uint n = 0; n < block->Count; n++)
        {
            Insn* i = block->First + n;
            _reader.At = bytes + i->Offset;
            _decoder.IP = block->Eip + i->Offset;
            _decoder.Decode(out Instruction x);
            offsets[n] = ResumePoint(n);
            bool last = n + 1 == block->Count;
            bool done = (i->Prefixes & PrefixBits.Faults) == 0 && (Simple(x, i) || Stack(x, i) || SystemFlag(x, i) || X87(x, i) || Branch(x, i, out ended));
            if (!done)
            {
                offsets[n] = 0;
                _resumptions.RemoveAll(r => r.Instruction == n);
                interpreted++;
                // One way out for a run of them: the engine does them all.
                if (wasNative)
                {
                    SaveFlags();
                    _code.Jump(Refused(i));
                }
                // The engine comes back with the flags in rax, and anything in the x87 unit.
                _flagsInHost = false;
                _fpuHeld = false;
                _fpuLast = default;
                ended |= last;
            }
            wasNative = done;
        }
        if (!ended) FallThrough();
        Resumptions(offsets);
        foreach (ColdExit cold in _cold) Leave(cold);
        _code.Finish();
        if (2 * interpreted > block->Count) return false;
        block->Native = (nint)(_memory.Executable + _memory.Used);
        _memory.Take((nuint)_code.Length);
        return true;
    }

    /// <summary>Makes a jump to a direct successor go straight to its code.</summary>
    public void Patch(nint site, nint target)
    {
        byte* writable = _memory.Writable + (site - (nint)_memory.Executable);
        // Aligned or not, one store within one processor's own instruction stream.
        *(int*)writable = (int)(target - (site + 4));
    }

    /// <summary>Forgets all code but the thunks.</summary>
    public void Reset() => _memory.Reset();

    public void Free() => _memory.Free();

    private static MemoryOperand At(Register register) => new(register);

    private static MemoryOperand At(Register register, int displacement) => new(register, displacement);

    /// <summary>A field of the context.</summary>
    private MemoryOperand Field(void* field) => new(Context, (int)((byte*)field - (byte*)_c));

    private void Thunks(byte* fpuImage)
    {
        _code.Begin(_memory.Writable + _memory.Used, _memory.Executable + _memory.Used);
        Register[] saved = [Register.RBX, Register.RBP, Register.R12, Register.R13, Register.R14, Register.R15];

        Entry = _code.Here;
        foreach (Register register in saved) _code.Put(Code.Push_r64, register);
        _code.Put(Code.Mov_r64_rm64, Register.R12, Register.RDI);
        _code.Put(Code.Mov_r64_rm64, Place, Register.RSI);
        _code.Put(Code.Mov_r64_rm64, Tlb, Field(&_c->Tlb));
        _code.Put(Code.Mov_r64_rm64, Left, Field(&_c->NativeLeft));
        _code.Put(Code.Mov_r32_rm32, Register.EAX, Field(&_c->NativeFlags));
        WhenFpuIsHeld(fpuImage, Code.Fxrstor_m512byte);
        for (int n = 0; n < 8; n++) _code.Put(Code.Mov_r32_rm32, Of32(n), Field(&_c->S.R[n]));
        _code.Put(Code.Jmp_rm64, Place);

        // With r11d the exit, r15 the block, r10 the place.
        _exit = _code.Here;
        for (int n = 0; n < 8; n++) _code.Put(Code.Mov_rm32_r32, Field(&_c->S.R[n]), Of32(n));
        _code.Put(Code.Mov_rm32_r32, Field(&_c->NativeFlags), Register.EAX);
        _code.Put(Code.Mov_rm64_r64, Field(&_c->NativeLeft), Left);
        _code.Put(Code.Mov_rm32_r32, Field(&_c->NativePlace), Place32);
        _code.Put(Code.Mov_rm32_r32, Field(&_c->NativeExit), Scratch32);
        _code.Put(Code.Mov_rm64_r64, Field(&_c->NativeBlock), Second);
        WhenFpuIsHeld(fpuImage, Code.Fxsave_m512byte);
        for (int n = saved.Length - 1; n >= 0; n--) _code.Put(Code.Pop_r64, saved[n]);
        _code.Put(Instruction.Create(Code.Retnq));

        // With r10d the linear address to go to.
        LookupMiss = _code.Here;
        _code.Put(Code.Mov_r32_imm32, Scratch32, (int)NativeExit.Lookup);
        _code.Jump(_exit);
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

    // Conditions as encoded (SDM vol. 2, B.1.4.7).
    private const int Below = 2, AboveOrEqual = 3, Equal = 4, NotEqual = 5, BelowOrEqual = 6, Above = 7, Sign = 8;

    /// <summary>Counts the block's instructions, or goes back when it does not fit.</summary>
    private void Prologue()
    {
        _code.Put(Code.Sub_rm64_imm32, Left, (int)_block->Count);
        HostLabel over = _code.NewLabel();
        _code.JumpIf(Sign, over);
        AddCold(over, NativeExit.Limit);
    }

    /// <summary>After the last instruction when that was no branch.</summary>
    private void FallThrough()
    {
        SaveFlags();
        KeepFpuLast();
        Insn* end = _block->First + _block->Count;
        Continue(_block->Eip + end->Offset, taken: false);
    }

    private void AddCold(HostLabel label, uint exit) => _cold.Add(new ColdExit(label, exit, _fpuLast));

    private void Leave(ColdExit cold)
    {
        _code.Place(cold.Label);
        KeepFpuLast(cold.Fpu);
        if (cold.Exit == NativeExit.Limit) _code.Put(Code.Add_rm64_imm32, Left, (int)_block->Count);
        _code.Put(Code.Mov_r64_imm64, Second, (long)_block);
        _code.Put(Code.Mov_r32_imm32, Scratch32, (int)cold.Exit);
        _code.Jump(_exit);
    }

    /// <summary>The engine comes back with the flags in rax. Where the code expects them in the host's, it comes in through a
    /// piece of code of its own.</summary>
    private uint ResumePoint(uint instruction)
    {
        if (!_flagsInHost && !_fpuHeld) return (uint)_code.Length;
        HostLabel body = _code.NewLabel();
        _code.Place(body);
        _resumptions.Add(new Resumption(instruction, body, _flagsInHost, _fpuHeld));
        return 0;
    }

    private void Resumptions(uint* offsets)
    {
        foreach (Resumption r in _resumptions)
        {
            offsets[r.Instruction] = (uint)_code.Length;
            (_flagsInHost, _flagsInRax) = (false, true);
            _fpuHeld = !r.FpuHeld;
            HoldFpu(_block->First + r.Instruction);
            if (r.FlagsInHost) RestoreFlags();
            _code.Jump(r.Body);
        }
    }

    /// <summary>On to a known address: a jump that can be patched within the page, the jump cache beyond it.</summary>
    private void Continue(uint eip, bool taken)
    {
        if ((eip ^ _block->Eip) >> 12 != 0)
        {
            _code.Put(Code.Mov_r32_imm32, Place32, (int)eip);
            _code.Put(Code.Mov_r64_imm64, Scratch, (long)Chain.JumpOf(_c, eip));
            FollowJump();
            return;
        }
        HostLabel label = _code.NewLabel();
        _code.Jump(label);
        nint site = _code.Here - 4;
        if (taken) (_native->TakenSite, _native->TakenEip) = (site, eip);
        else (_native->FallSite, _native->FallEip) = (site, eip);
        AddCold(label, NativeExit.Link | (taken ? 0x100u : 0));
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

    /// <summary>rax holds the flags: needed before anything that may come back to the engine.</summary>
    private void SaveFlags()
    {
        if (_flagsInRax) return;
        _code.Put(Instruction.Create(Code.Lahf));
        _code.Put(Code.Seto_rm8, Register.AL);
        _flagsInRax = true;
    }

    /// <summary>The host's flags may be used for something else.</summary>
    private void FreeFlags()
    {
        SaveFlags();
        _flagsInHost = false;
    }

    /// <summary>The host's flags are the guest's.</summary>
    private void RestoreFlags()
    {
        if (_flagsInHost) return;
        _code.Put(Code.Cmp_rm8_imm8, Register.AL, -127);
        _code.Put(Instruction.Create(Code.Sahf));
        _flagsInHost = true;
    }

    /// <summary>The host's CF is the guest's.</summary>
    private void RestoreCarry()
    {
        if (!_flagsInHost) _code.Put(Code.Bt_rm32_imm8, Register.EAX, 8);
    }

    /// <summary>An instruction has left the guest's flags in the host's.</summary>
    private void FlagsWritten()
    {
        _flagsInHost = true;
        _flagsInRax = false;
    }
}
