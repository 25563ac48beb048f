// Generated 32-bit programs: a loop of random instructions on random operands, with branches, calls, faults and self-modifying code.
using Emu86.Cpu;
using Emu86.Tests.Cpu;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Translate;

/// <summary>One program, the same for the same seed.</summary>
internal sealed class RandomProgram
{
    private const uint Counter = 0x9000, LoopCounter = 0x9004, Data = 0x4_0000, Stack = 0x6_0000;

    private static readonly HashSet<Mnemonic> Mnemonics =
    [
        Mnemonic.Mov, Mnemonic.Movzx, Mnemonic.Movsx, Mnemonic.Add, Mnemonic.Or, Mnemonic.Adc, Mnemonic.Sbb, Mnemonic.And, Mnemonic.Sub,
        Mnemonic.Xor, Mnemonic.Cmp, Mnemonic.Test, Mnemonic.Inc, Mnemonic.Dec, Mnemonic.Neg, Mnemonic.Not, Mnemonic.Shl, Mnemonic.Sal,
        Mnemonic.Shr, Mnemonic.Sar, Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Rcl, Mnemonic.Rcr, Mnemonic.Shld, Mnemonic.Shrd, Mnemonic.Imul,
        Mnemonic.Mul, Mnemonic.Div, Mnemonic.Idiv, Mnemonic.Bsf, Mnemonic.Bsr, Mnemonic.Bt, Mnemonic.Bts, Mnemonic.Btr, Mnemonic.Btc,
        Mnemonic.Bswap, Mnemonic.Xadd, Mnemonic.Xchg, Mnemonic.Cmpxchg, Mnemonic.Cdq, Mnemonic.Cwde, Mnemonic.Cbw, Mnemonic.Cwd,
        Mnemonic.Clc, Mnemonic.Stc, Mnemonic.Cmc, Mnemonic.Cld, Mnemonic.Std, Mnemonic.Lahf, Mnemonic.Sahf, Mnemonic.Aaa, Mnemonic.Daa,
        Mnemonic.Aad, Mnemonic.Salc, Mnemonic.Nop, Mnemonic.Lea,
        Mnemonic.Fld1, Mnemonic.Fldpi, Mnemonic.Fldz, Mnemonic.Fldl2t, Mnemonic.Fninit, Mnemonic.Fld, Mnemonic.Fst, Mnemonic.Fstp,
        Mnemonic.Fild, Mnemonic.Fist, Mnemonic.Fistp, Mnemonic.Fadd, Mnemonic.Faddp, Mnemonic.Fiadd, Mnemonic.Fsub, Mnemonic.Fsubrp,
        Mnemonic.Fmul, Mnemonic.Fmulp, Mnemonic.Fimul, Mnemonic.Fdiv, Mnemonic.Fdivrp, Mnemonic.Fcom, Mnemonic.Fcompp, Mnemonic.Fucom,
        Mnemonic.Fucomi, Mnemonic.Fcomip, Mnemonic.Fcmove, Mnemonic.Fcmovnbe, Mnemonic.Fxch, Mnemonic.Fchs, Mnemonic.Fabs, Mnemonic.Fsqrt,
        Mnemonic.Frndint, Mnemonic.Fscale, Mnemonic.Fxtract, Mnemonic.Fprem, Mnemonic.Fprem1, Mnemonic.Fxam, Mnemonic.Ftst, Mnemonic.Ffree,
        Mnemonic.Fincstp, Mnemonic.Fdecstp, Mnemonic.Fnop, Mnemonic.Fsin, Mnemonic.Fnstsw, Mnemonic.Fnstcw, Mnemonic.Fldcw, Mnemonic.Wait,
        Mnemonic.Fnstenv, Mnemonic.Fbstp,
    ];

    private static readonly Code[] Codes = [.. Enum.GetValues<Code>().Where(IsUsable)];

    private static readonly Code[] StringCodes =
        [Code.Lodsb_AL_m8, Code.Lodsd_EAX_m32, Code.Stosb_m8_AL, Code.Stosd_m32_EAX, Code.Movsb_m8_m8, Code.Movsw_m16_m16, Code.Movsd_m32_m32, Code.Scasb_AL_m8, Code.Cmpsd_m32_m32];

    private static readonly Register[] Widest =
        [Register.EAX, Register.ECX, Register.EDX, Register.EBX, Register.EBP, Register.ESI, Register.EDI];

    private readonly Random _random;
    private readonly Assembler _a = new(32);
    private readonly Register _pointer, _index;
    private readonly Register[] _free;

    /// <summary>Half of the operands are near this displacement: together they are a window, which may lie across two pages.</summary>
    private readonly int _near;
    private Label _next;

    public RandomProgram(int seed)
    {
        _random = new Random(seed);
        Register[] shuffled = [.. Widest];
        _random.Shuffle(shuffled);
        // Two registers are kept as addresses; SHL by CL and string instructions find what they find.
        (_pointer, _index, _free) = (shuffled[0], shuffled[1], shuffled[2..]);
        _near = _random.Next(0x1000);
    }

    /// <summary>Places it in a world, at ring 0 or 3, with or without paging.</summary>
    public void Place(SystemWorld world, int seed)
    {
        int level = seed % 3 == 0 ? 3 : 0;
        world.AllGates();
        world.Descriptor(SystemWorld.Spare, 0x3_f000, 0x17f0, 0x40f3); // a limit inside the data
        world.Protected(level);
        if (seed % 2 == 0)
        {
            world.Paged();
            world.Write32(0x10_1000 + (0x42 * 4), 0); // not present
            world.Write32(0x10_1000 + (0x44 * 4), 0x4_4005); // read-only
            world.Cpu.AfterStateChange();
        }
        var bytes = new byte[0x1_0000];
        new Random(seed).NextBytes(bytes);
        world.Memory.Write(Data, bytes);
        byte[] code = Build();
        world.Memory.Write(SystemWorld.CodeAt, code);
        world.Write32(Counter, 0);
        for (int n = 0; n < 256; n++) world.Bytes(SystemWorld.Handlers + (uint)n, 0x90);
        world.Code(SystemWorld.Handlers + 256, a => a.jmp(NextAt));
    }

    private uint NextAt { get; set; }

    private byte[] Build()
    {
        Label start = _a.CreateLabel();
        _next = _a.CreateLabel();
        Label[] routines = [_a.CreateLabel(), _a.CreateLabel()];
        _a.Label(ref start);
        _a.mov(new AssemblerRegister32(Free()), _random.Next());
        // Frames lie across two pages now and then.
        _a.mov(esp, Stack + (4 * (uint)_random.Next(24)));
        if (_random.Next(2) == 0) _a.fninit();
        _a.mov(new AssemblerRegister32(_pointer), Data + (uint)_random.Next(0x1000, 0x2000));
        _a.mov(new AssemblerRegister32(_index), _random.Next(256));
        if (_random.Next(3) == 0)
        {
            _a.mov(ax, SystemWorld.Spare | 3);
            _a.mov(fs, ax);
        }
        Body(40, routines);
        _a.Label(ref _next);
        _a.nop();
        _a.inc(__dword_ptr[Counter]);
        _a.jmp(start);
        foreach (Label routine in routines)
        {
            Label here = routine;
            _a.Label(ref here);
            Body(6, []);
            _a.ret();
        }
        using var stream = new MemoryStream();
        AssemblerResult result = _a.Assemble(new StreamCodeWriter(stream), SystemWorld.CodeAt, BlockEncoderOptions.ReturnNewInstructionOffsets);
        NextAt = (uint)result.GetLabelRIP(_next);
        return stream.ToArray();
    }

    private void Body(int count, Label[] routines)
    {
        int pushed = 0;
        for (int n = 0; n < count; n++)
        {
            switch (_random.Next(26))
            {
                case 0:
                    Skip(routines);
                    break;
                case 1 when routines.Length > 0:
                    _a.call(routines[_random.Next(routines.Length)]);
                    break;
                case 2 when pushed < 8:
                    pushed++;
                    if (_random.Next(2) == 0) _a.push(new AssemblerRegister32(Any()));
                    else _a.push(__dword_ptr[new AssemblerRegister32(_pointer) + _random.Next(256)]);
                    break;
                case 3 when pushed > 0:
                    pushed--;
                    _a.pop(new AssemblerRegister32(Free()));
                    break;
                case 4:
                    Rewrite();
                    break;
                case 5 when routines.Length > 0:
                    if (_random.Next(2) == 0) Loop();
                    else LoopOver(routines);
                    break;
                case 6:
                    _a.pushfd();
                    if (_random.Next(3) == 0) _a.cli();
                    if (_random.Next(3) == 0) _a.xor(__dword_ptr[esp], _random.Next(4) switch { 0 => 0x200, 1 => 0x8d5, 2 => 0x400, _ => 0x20_0000 });
                    _a.popfd();
                    if (_random.Next(3) == 0) _a.sti();
                    break;
                case 7:
                    _a.push(_random.Next(2) == 0 ? ds : fs);
                    _a.pop(new AssemblerRegister32(Free()));
                    break;
                case 8:
                    Strings();
                    break;
                case 9:
                    Record();
                    break;
                case 10:
                    Frame();
                    break;
                default:
                    One();
                    break;
            }
        }
        if (pushed > 0) _a.add(esp, 4 * pushed);
    }

    /// <summary>A conditional branch over a few instructions.</summary>
    private void Skip(Label[] routines)
    {
        Label behind = _a.CreateLabel();
        Code jump = Code.Jo_rel32_32 + 3 * _random.Next(16);
        Check.That(jump.ToString().EndsWith("_rel32_32", StringComparison.Ordinal));
        _a.AddInstruction(Instruction.CreateBranch(jump, behind.Id));
        for (int n = _random.Next(4); n >= 0; n--) One();
        if (routines.Length > 0 && _random.Next(2) == 0) _a.call(routines[0]);
        _a.Label(ref behind);
        _a.nop();
    }

    private void Loop()
    {
        if (_pointer == Register.ECX || _index == Register.ECX) return;
        Label again = _a.CreateLabel();
        _a.mov(ecx, _random.Next(1, 6));
        _a.Label(ref again);
        _a.lea(edx, __[ecx + ecx * 4 + 17]);
        _a.loop(again);
    }

    /// <summary>A few instructions, some of them skipped, over and over.</summary>
    private void LoopOver(Label[] routines)
    {
        Label again = _a.CreateLabel();
        _a.mov(__dword_ptr[LoopCounter], _random.Next(1, 12));
        _a.Label(ref again);
        for (int n = _random.Next(4); n >= 0; n--)
        {
            if (_random.Next(3) == 0) Skip(routines);
            else One();
        }
        _a.dec(__dword_ptr[LoopCounter]);
        _a.jnz(again);
    }

    /// <summary>String instructions in either direction, some of them repeated, some near the page that is not there.</summary>
    private void Strings()
    {
        if (IsKept(Register.ESI) || IsKept(Register.EDI) || IsKept(Register.ECX) || IsKept(Register.EAX)) return;
        _a.mov(esi, Data + (uint)_random.Next(0x10, 0x2010));
        _a.mov(edi, Data + (uint)_random.Next(0x2800, 0x3f00));
        if (_random.Next(4) == 0) _a.std();
        for (int n = _random.Next(1, 5); n > 0; n--)
        {
            bool repeats = _random.Next(4) == 0;
            if (repeats) _a.mov(ecx, _random.Next(40));
            Code code = StringCodes[_random.Next(StringCodes.Length)];
            Instruction x = code switch
            {
                Code.Lodsb_AL_m8 => Instruction.CreateLodsb(32),
                Code.Lodsd_EAX_m32 => Instruction.CreateLodsd(32),
                Code.Stosb_m8_AL => Instruction.CreateStosb(32),
                Code.Stosd_m32_EAX => Instruction.CreateStosd(32),
                Code.Movsb_m8_m8 => Instruction.CreateMovsb(32),
                Code.Movsw_m16_m16 => Instruction.CreateMovsw(32),
                Code.Movsd_m32_m32 => Instruction.CreateMovsd(32),
                Code.Scasb_AL_m8 => Instruction.CreateScasb(32),
                _ => Instruction.CreateCmpsd(32),
            };
            x.HasRepPrefix = repeats;
            _a.AddInstruction(x);
        }
        _a.cld();
    }

    /// <summary>Accesses around a register that changes by known amounts between them, near the pages that are not there or read-only.</summary>
    private void Record()
    {
        var at = new AssemblerRegister32(Free());
        var value = new AssemblerRegister32(Free());
        _a.lea(at, __[new AssemblerRegister32(_pointer) + (_random.Next(-0x800, 0x3000) & ~3)]);
        for (int n = _random.Next(2, 7); n > 0; n--)
        {
            int displacement = _random.Next(60) == 0 ? int.MinValue : _random.Next(-40, 40);
            switch (_random.Next(10))
            {
                case 0: _a.add(at, _random.Next(-20, 20)); break;
                case 1: _a.inc(at); break;
                case 2: _a.sub(at, 4); break;
                case 3: _a.lea(value, __[at + displacement]); break;
                case 4: _a.cmp(__dword_ptr[at + displacement], value); break;
                case 5: _a.adc(__dword_ptr[at + displacement], value); break;
                case 6: _a.mov(__byte_ptr[at + displacement], 7); break;
                case 7: _a.mov(value, __dword_ptr[at + displacement]); break;
                default: _a.add(value, __dword_ptr[at + displacement]); break;
            }
        }
    }

    /// <summary>A frame as compilers make them.</summary>
    private void Frame()
    {
        if (IsKept(Register.EBP)) return;
        _a.push(ebp);
        _a.mov(ebp, esp);
        int room = 4 * _random.Next(1, 12);
        _a.sub(esp, room);
        for (int n = _random.Next(1, 6); n > 0; n--)
        {
            var register = new AssemblerRegister32(_free.First(r => r != Register.EBP));
            switch (_random.Next(4))
            {
                case 0: _a.mov(__dword_ptr[esp + _random.Next(room)], register); break;
                case 1: _a.mov(register, __dword_ptr[ebp - _random.Next(4, room + 4)]); break;
                case 2: _a.sbb(__dword_ptr[ebp - _random.Next(4, room + 4)], register); break;
                default: One(); break;
            }
        }
        if (_random.Next(2) == 0)
        {
            _a.leave();
            return;
        }
        _a.lea(esp, __[ebp]);
        _a.pop(ebp);
    }

    /// <summary>Changes the first instruction: MOV to another free register.</summary>
    private void Rewrite()
    {
        if (_random.Next(8) == 0) _a.mov(__byte_ptr[SystemWorld.CodeAt], 0xb8 + (Free() - Register.EAX));
    }

    private void One()
    {
        Code code = Codes[_random.Next(Codes.Length)];
        OpCodeInfo info = code.ToOpCode();
        var x = new Instruction { Code = code };
        bool memory = info.OpCount > 0 && (IsMemory(info.Op0Kind) || (info.OpCount > 1 && IsMemory(info.Op1Kind)))
            && (code.Mnemonic() == Mnemonic.Lea || _random.Next(2) == 0);
        for (int n = 0; n < info.OpCount; n++) Operand(ref x, n, info.GetOpKind(n), memory);
        if (code.Mnemonic() is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && memory && x.Op1Kind == OpKind.Register) return;
        // Implicit destinations.
        if (code.Mnemonic() is Mnemonic.Mul or Mnemonic.Imul or Mnemonic.Div or Mnemonic.Idiv or Mnemonic.Cdq or Mnemonic.Cwd or Mnemonic.Cwde
            or Mnemonic.Cbw or Mnemonic.Lahf or Mnemonic.Aaa or Mnemonic.Daa or Mnemonic.Aad or Mnemonic.Salc or Mnemonic.Cmpxchg
            && (IsKept(Register.EAX) || IsKept(Register.EDX))) return;
        _a.AddInstruction(x);
    }

    private bool IsKept(Register register) => register == _pointer || register == _index;

    private void Operand(ref Instruction x, int n, OpCodeOperandKind kind, bool memory)
    {
        // The second operand of XCHG and XADD is written, too.
        bool written = n == 0 || x.Mnemonic is Mnemonic.Xchg or Mnemonic.Xadd;
        switch (kind)
        {
            case OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.mem when memory || kind == OpCodeOperandKind.mem:
                x.SetOpKind(n, OpKind.Memory);
                x.MemoryDisplSize = 4;
                x.MemoryDisplacement64 = (ulong)(_random.Next(2) == 0 ? _random.Next(0x1000) : _near + _random.Next(48));
                x.MemoryBase = _pointer;
                if (_random.Next(3) == 0)
                {
                    x.MemoryIndex = _index;
                    x.MemoryIndexScale = 1 << _random.Next(4);
                }
                if (_random.Next(12) == 0) x.SegmentPrefix = Register.FS;
                break;
            case OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode:
                x.SetOpRegister(n, Byte(written));
                break;
            case OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r16_rm:
                x.SetOpRegister(n, (written ? Free() : Any()) - Register.EAX + Register.AX);
                break;
            case OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r32_rm:
                x.SetOpRegister(n, written ? Free() : Any());
                break;
            case OpCodeOperandKind.imm8 or OpCodeOperandKind.imm8sex16 or OpCodeOperandKind.imm8sex32 or OpCodeOperandKind.imm16 or OpCodeOperandKind.imm32:
                x.SetOpKind(n, kind switch
                {
                    OpCodeOperandKind.imm8 => OpKind.Immediate8,
                    OpCodeOperandKind.imm8sex16 => OpKind.Immediate8to16,
                    OpCodeOperandKind.imm8sex32 => OpKind.Immediate8to32,
                    OpCodeOperandKind.imm16 => OpKind.Immediate16,
                    _ => OpKind.Immediate32,
                });
                x.SetImmediate(n, kind switch
                {
                    OpCodeOperandKind.imm16 => _random.Next(0x1_0000),
                    OpCodeOperandKind.imm32 => _random.Next(2) == 0 ? _random.Next(int.MinValue, int.MaxValue) : _random.Next(-3, 3),
                    OpCodeOperandKind.imm8 => _random.Next(256),
                    _ => _random.Next(-128, 128),
                });
                break;
            case OpCodeOperandKind.imm8_const_1:
                x.SetOpKind(n, OpKind.Immediate8);
                x.SetImmediate(n, 1);
                break;
            case OpCodeOperandKind.cl or OpCodeOperandKind.al or OpCodeOperandKind.ax or OpCodeOperandKind.eax:
                x.SetOpRegister(n, kind switch
                {
                    OpCodeOperandKind.cl => Register.CL,
                    OpCodeOperandKind.al => Register.AL,
                    OpCodeOperandKind.ax => Register.AX,
                    _ => Register.EAX,
                });
                break;
            case OpCodeOperandKind.st0 or OpCodeOperandKind.sti_opcode:
                x.SetOpRegister(n, kind == OpCodeOperandKind.st0 ? Register.ST0 : Register.ST0 + _random.Next(8));
                break;
            default:
                throw new InvalidOperationException($"{x.Code}: {kind}");
        }
    }

    private Register Free() => _free[_random.Next(_free.Length)];

    private Register Any() => _random.Next(16) == 0 ? Register.ESP : Widest[_random.Next(Widest.Length)];

    /// <summary>A byte register; written ones are not part of a kept register.</summary>
    private Register Byte(bool written)
    {
        while (true)
        {
            int number = _random.Next(8);
            if (!written || !IsKept(Register.EAX + (number & 3))) return Register.AL + number;
        }
    }

    private static bool IsMemory(OpCodeOperandKind kind) => kind is OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem
        or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.mem;

    private static bool IsUsable(Code code)
    {
        if (code == Code.INVALID || (!Mnemonics.Contains(code.Mnemonic()) && !IsConditional(code.Mnemonic()))) return false;
        OpCodeInfo info = code.ToOpCode();
        if (!info.IsInstruction || !info.Mode32 || info.Encoding != EncodingKind.Legacy) return false;
        // XCHG with the accumulator and the like: the encoder has the general forms.
        for (int n = 0; n < info.OpCount; n++)
        {
            if (info.GetOpKind(n) is not (OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem
                or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r16_reg or OpCodeOperandKind.r32_reg or OpCodeOperandKind.r8_opcode
                or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.imm8 or OpCodeOperandKind.imm8sex16
                or OpCodeOperandKind.imm8sex32 or OpCodeOperandKind.imm16 or OpCodeOperandKind.imm32 or OpCodeOperandKind.imm8_const_1
                or OpCodeOperandKind.cl or OpCodeOperandKind.mem or OpCodeOperandKind.st0 or OpCodeOperandKind.sti_opcode)) return false;
        }
        return true;
    }

    private static bool IsConditional(Mnemonic mnemonic) =>
        mnemonic is (>= Mnemonic.Seta and <= Mnemonic.Sets) or (>= Mnemonic.Cmova and <= Mnemonic.Cmovs);
}
