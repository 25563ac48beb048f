// Generated cases of the 32- and 16-bit conformance tests: bytes of any encoding, and registers and memory with which it mostly
// does something sensible.
using Emu86.Cpu;
using Emu86.Cpu.Float;
using Iced.Intel;

namespace Emu86.Tests.Conformance;

/// <summary>The segments that a case runs in.</summary>
public enum CompatMode
{
    /// <summary>Flat 32-bit segments.</summary>
    Flat32,

    /// <summary>32-bit code, data and stack segments with bases, limits, other directions.</summary>
    Segments32,

    /// <summary>16-bit code, mostly a 16-bit stack.</summary>
    Segments16,
}

internal sealed class CompatCase(Random random, CompatMode mode)
{
    private static readonly ushort[] s_data = [CompatLayout.Limited, CompatLayout.Down32, CompatLayout.Down16, CompatLayout.ReadOnly, CompatLayout.Data64K,
        CompatLayout.Big, CompatLayout.Limited16, CompatLayout.Data32, CompatLayout.Code16, 0];

    // What is loaded by instructions: everything but the kernel's own descriptors.
    private static readonly ushort[] s_any = [0, 1, 3, CompatLayout.FlatCode, CompatLayout.FlatData, CompatLayout.FlatData - 1, CompatLayout.Code32,
        CompatLayout.Data32, CompatLayout.Code16, CompatLayout.Stack16, CompatLayout.Limited, CompatLayout.Down32, CompatLayout.Down16,
        CompatLayout.AbsentData, CompatLayout.AbsentCode, CompatLayout.ReadOnly, CompatLayout.ExecuteOnly, CompatLayout.Data64K, CompatLayout.Big,
        CompatLayout.LimitedCode, CompatLayout.AbsentConforming, CompatLayout.Data32 - 1, CompatLayout.Code32 - 3, CompatLayout.Limited16, 4, 7, 0x8f, 0x83, 0xfff8, 0xffff];

    private static readonly Mnemonic[] s_approximate = [Mnemonic.F2xm1, Mnemonic.Fyl2x, Mnemonic.Fyl2xp1, Mnemonic.Fptan, Mnemonic.Fpatan, Mnemonic.Fsin,
        Mnemonic.Fcos, Mnemonic.Fsincos];

    private readonly byte[] _bytes = new byte[24];
    private CompatTest _test = new();
    private Instruction _x;

    /// <summary>The bits of addresses in this mode without a prefix.</summary>
    private int Bits => mode == CompatMode.Segments16 ? 16 : 32;

    /// <summary>A case whose opcode is <paramref name="opcode"/> (with the 0Fh before it from 100h on), or null when what came out is
    /// nothing to compare.</summary>
    public (CompatTest Test, Instruction Instruction)? Next(int opcode)
    {
        int length = Encode(opcode);
        _test = new CompatTest();
        Decoder decoder = Decoder.Create(Bits, _bytes, DecoderOptions.NoMPFX_0FBC | DecoderOptions.NoMPFX_0FBD | DecoderOptions.NoWbnoinvd
            | DecoderOptions.ForceReservedNop);
        decoder.Decode(out _x);
        if (!Comparable()) return null;
        if (!_x.IsInvalid) length = _x.Length;
        ConstantOffsets constants = decoder.GetConstantOffsets(_x);
        Place(length);
        Segments();
        for (int n = 0; n < 8; n++) _test.Gpr[n] = Value();
        StackPointer();
        Operands(constants);
        _test.Eflags = (uint)random.Next() & (Flags.Status | Flags.Df) | Flags.Fixed1 | Flags.If;
        if (random.Next(32) == 0) _test.Eflags |= Flags.Ac;
        if (random.Next(32) == 0) _test.Eflags |= Flags.Id;
        if (random.Next(16) == 0) _test.Eflags |= Flags.Tf;
        if (random.Next(32) == 0 && _x.Mnemonic is not (Mnemonic.Iret or Mnemonic.Iretd)) _test.Eflags |= Flags.Nt;
        if (IsFloat(_x)) Float();
        byte[] code = _bytes[..length];
        uint at = Linear(Seg.Cs, _test.Eip);
        if (at + (uint)length <= CompatLayout.Code + CompatLayout.CodeLength) _test.Patches.Add((at, code));
        else _test.Patches.Add((at, code[..(int)(CompatLayout.Code + CompatLayout.CodeLength - at)]));
        return (_test, _x);
    }

    public static bool IsFloat(in Instruction x)
    {
        OpCodeInfo op = x.Code.ToOpCode();
        uint first = op.OpCodeLength == 2 ? op.OpCode >> 8 : op.OpCode;
        return (op.Table == OpCodeTableKind.Normal && first is >= 0xd8 and <= 0xdf) || x.Mnemonic == Mnemonic.Wait;
    }

    private int Encode(int opcode)
    {
        random.NextBytes(_bytes);
        int n = 0;
        if (random.Next(4) == 0) _bytes[n++] = 0x66;
        if (random.Next(4) == 0) _bytes[n++] = 0x67;
        if (random.Next(8) == 0) _bytes[n++] = (byte)(random.Next(6) switch { 0 => 0x26, 1 => 0x2e, 2 => 0x36, 3 => 0x3e, 4 => 0x64, _ => 0x65 });
        if (random.Next(16) == 0) _bytes[n++] = 0xf0;
        bool repeats = opcode is >= 0xa4 and <= 0xaf;
        if (random.Next(repeats ? 2 : 24) == 0) _bytes[n++] = (byte)(0xf2 + random.Next(2));
        if (random.Next(2000) == 0) while (n < 13) _bytes[n++] = 0x66;
        if (opcode >= 0x100) _bytes[n++] = 0x0f;
        _bytes[n++] = (byte)opcode;
        return 15;
    }

    /// <summary>What both sides are to agree on: no instruction of later processors, none whose result is the machine's own.</summary>
    private bool Comparable()
    {
        if (_x.IsInvalid)
        {
            // Encodings that are new instructions on a new host, or whose length the decoder does not tell.
            int at = 0;
            while (_bytes[at] is 0x66 or 0x67 or 0x26 or 0x2e or 0x36 or 0x3e or 0x64 or 0x65 or 0xf0 or 0xf2 or 0xf3) at++;
            return _bytes[at] is not (0x0f or 0xc4 or 0xc5 or 0x62 or 0x8f) && at <= 4;
        }
        OpCodeInfo op = _x.Code.ToOpCode();
        if (op.Encoding != EncodingKind.Legacy || !CpuModel.Pentium2.Has(_x.Code)) return false;
        if (s_approximate.Contains(_x.Mnemonic)) return false;
        // It would run data.
        if (_x.Mnemonic is Mnemonic.Jmp or Mnemonic.Call && _x.Op0Kind == OpKind.Register && _x.Op0Register is (Register.ESP or Register.SP)) return false;
        if (_x.Code is Code.Int_imm8 && _x.Immediate8 is 0x80) return false;
        // Without the prefix another instruction here, with it another one on the host.
        if ((_x.HasRepPrefix || _x.HasRepnePrefix) && op.Table == OpCodeTableKind.T0F) return false;
        return _x.Mnemonic is not (Mnemonic.Cpuid or Mnemonic.Rdtsc or Mnemonic.Rdpmc or Mnemonic.Sysenter or Mnemonic.Syscall or Mnemonic.Sgdt
            or Mnemonic.Sidt or Mnemonic.Sldt or Mnemonic.Smsw or Mnemonic.Str or Mnemonic.Fxrstor or Mnemonic.Fxsave);
    }

    /// <summary>Somewhere in the code, seldom across a page border or up to the segment's end.</summary>
    private void Place(int length)
    {
        uint offset = random.Next(12) switch
        {
            0 => 0x5000u - (uint)random.Next(1, length + 1),
            1 when mode != CompatMode.Flat32 && random.Next(8) == 0 => CompatLayout.CodeLength - (uint)random.Next(1, length + 2),
            _ => (uint)random.Next(0x2000, 0xe000),
        };
        _test.Selectors[Seg.Cs] = mode switch
        {
            CompatMode.Flat32 => CompatLayout.FlatCode,
            CompatMode.Segments32 => CompatLayout.Code32,
            _ => random.Next(8) == 0 ? CompatLayout.ExecuteOnly : CompatLayout.Code16,
        };
        _test.Eip = mode == CompatMode.Segments16 ? offset : CompatLayout.Code + offset;
    }

    private void Segments()
    {
        foreach (int n in (ReadOnlySpan<int>)[Seg.Es, Seg.Ds, Seg.Fs, Seg.Gs])
        {
            _test.Selectors[n] = mode switch
            {
                CompatMode.Flat32 => n >= Seg.Fs && random.Next(4) == 0 ? (ushort)0 : CompatLayout.FlatData,
                _ => Pick(s_data),
            };
        }
        _test.Selectors[Seg.Ss] = mode switch
        {
            CompatMode.Flat32 => CompatLayout.FlatData,
            CompatMode.Segments32 => Pick([CompatLayout.Data32, CompatLayout.Data32, CompatLayout.Stack16, CompatLayout.Limited, CompatLayout.Down32]),
            _ => Pick([CompatLayout.Stack16, CompatLayout.Stack16, CompatLayout.Stack16, CompatLayout.Data32, CompatLayout.Down16, CompatLayout.Limited16]),
        };
    }

    private void StackPointer()
    {
        uint selector = _test.Selectors[Seg.Ss];
        uint offset = selector switch
        {
            CompatLayout.FlatData or CompatLayout.Data32 => StackOffset() + CompatLayout.Stack,
            CompatLayout.Stack16 => StackOffset() & 0xffff,
            CompatLayout.Limited => random.Next(3) == 0 ? 0x1234 - (uint)random.Next(40) : (uint)random.Next(0x1234),
            CompatLayout.Limited16 => random.Next(3) == 0 ? 0x7f6 - (uint)random.Next(40) : (uint)random.Next(0x7f6),
            _ => random.Next(3) == 0 ? 0x1000 + (uint)random.Next(40) : 0xe000 + (uint)random.Next(0x1f00),
        };
        bool wide = selector is not (CompatLayout.Stack16 or CompatLayout.Down16 or CompatLayout.Limited16);
        // The upper half does not matter to a 16-bit stack.
        _test.Gpr[Gpr.Esp] = wide ? offset : offset | (uint)random.Next(2) * 0x1234_0000;
    }

    private uint StackOffset() => random.Next(10) switch
    {
        0 => (uint)random.Next(40),
        1 => 0x2000 - (uint)random.Next(40),
        2 => 0x1000 + (uint)random.Next(-40, 40),
        _ => 0x800 + (uint)random.Next(0x1000),
    };

    private void Operands(in ConstantOffsets constants)
    {
        StringOperands();
        switch (_x.Mnemonic)
        {
            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jcxz or Mnemonic.Jecxz when random.Next(2) == 0:
                _test.Gpr[Gpr.Ecx] = (uint)random.Next(3);
                break;
            case Mnemonic.Xlatb:
                SetAddress(Gpr.Ebx, Target(Register.DS), 0);
                break;
            case Mnemonic.Enter or Mnemonic.Leave:
                _test.Gpr[Gpr.Ebp] = (_test.Gpr[Gpr.Esp] & 0xffff_0000) | StackOffset();
                if (_x.Mnemonic == Mnemonic.Leave) break;
                SetConstant(constants.ImmediateOffset, (uint)random.Next(random.Next(2) == 0 ? 64 : 0x2000), 2);
                break;
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc when _x.Op1Kind == OpKind.Register && random.Next(8) != 0:
                SetRegister(_x.Op1Register, (uint)random.Next(-3000, 3000));
                break;
            case Mnemonic.Div or Mnemonic.Idiv when random.Next(4) != 0:
                uint high = (uint)(random.Next(2) == 0 ? random.Next(64) : random.Next(-64, 0));
                if (_x.Op0Kind == OpKind.Register && _x.Op0Register.IsGPR8() || _x.MemorySize is MemorySize.UInt8 or MemorySize.Int8)
                    _test.Gpr[Gpr.Eax] = (_test.Gpr[Gpr.Eax] & 0xffff_00ff) | ((high & 0xff) << 8);
                else _test.Gpr[Gpr.Edx] = high;
                break;
        }
        for (int n = 0; n < _x.OpCount; n++)
        {
            switch (_x.GetOpKind(n))
            {
                case OpKind.Memory:
                    MemoryOperand(constants);
                    break;
                case OpKind.NearBranch16 or OpKind.NearBranch32 when constants.ImmediateSize > 1 && random.Next(10) != 0:
                    SetConstant(constants.ImmediateOffset, (uint)random.Next(-0x1000, 0x1000), constants.ImmediateSize);
                    break;
                case OpKind.FarBranch16 or OpKind.FarBranch32:
                    ushort selector = Pick(s_any);
                    SetConstant(constants.ImmediateOffset, CodeOffset(selector), constants.ImmediateSize);
                    SetConstant(constants.ImmediateOffset2, selector, 2);
                    break;
                case OpKind.Register when LoadsSelector() && n == _x.OpCount - 1:
                    SetRegister(_x.GetOpRegister(n), Pick(s_any));
                    break;
                case OpKind.Register when _x.Mnemonic is Mnemonic.Call or Mnemonic.Jmp:
                    SetRegister(_x.GetOpRegister(n), _test.Eip + (uint)random.Next(-0x1000, 0x1000));
                    break;
            }
        }
        StackContent();
    }

    private bool LoadsSelector() => _x.Mnemonic is Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr or Mnemonic.Verw
        || _x.Code is Code.Mov_Sreg_rm16 or Code.Mov_Sreg_r32m16;

    private void StringOperands()
    {
        for (int n = 0; n < _x.OpCount; n++)
        {
            OpKind kind = _x.GetOpKind(n);
            if (kind is OpKind.MemorySegSI or OpKind.MemorySegESI) SetAddress(Gpr.Esi, Target(_x.MemorySegment), 0);
            if (kind is OpKind.MemoryESDI or OpKind.MemoryESEDI) SetAddress(Gpr.Edi, Target(Register.ES), 0);
        }
        if (!_x.HasRepPrefix && !_x.HasRepnePrefix) return;
        uint count = random.Next(16) switch { 0 => 0, 1 => (uint)random.Next(0x3000), _ => (uint)random.Next(40) };
        _test.Gpr[Gpr.Ecx] = count | (uint)(random.Next(4) == 0 && Bits == 16 ? 0x5_0000 : 0);
    }

    /// <summary>The offset of an interesting place in a segment.</summary>
    private uint Target(Register segment)
    {
        ushort selector = _test.Selectors[segment - Register.ES];
        if (random.Next(24) == 0) return Value();
        uint near = (uint)random.Next(24);
        uint flat = random.Next(16) switch
        {
            0 => 0x1000 - near,
            1 => 0x2000 - near,
            2 => 0x3000 - near,
            3 => 0xffffffff - near + 8,
            4 => 0xf000 - near,
            5 => 0x1_0000 - near,
            6 => 0x1_1000 - near,
            7 => 0xe000 - near + 8,
            8 => 0xe800 + (uint)random.Next(0x2000),
            9 => 0x2000 + (uint)random.Next(0xf00),
            _ => 0x200 + (uint)random.Next(0x1c00),
        };
        return selector switch
        {
            CompatLayout.FlatData or CompatLayout.Data32 => CompatLayout.Data + flat,
            CompatLayout.FlatCode or CompatLayout.Code32 => CompatLayout.Code + flat,
            CompatLayout.Limited when random.Next(3) == 0 => 0x1234 - near + 2,
            CompatLayout.Limited16 when random.Next(3) == 0 => 0x7f6 - near + 2,
            CompatLayout.Limited16 => flat & 0x7ff,
            CompatLayout.Big when random.Next(3) == 0 => 0x2000 - near + 2,
            CompatLayout.Down32 or CompatLayout.Down16 when random.Next(3) == 0 => 0x1000 + near - 12,
            _ => flat,
        };
    }

    private void MemoryOperand(in ConstantOffsets constants)
    {
        uint offset = Target(_x.MemorySegment);
        int size = int.Max(_x.MemorySize.GetSize(), 1);
        // The last bytes before a border matter, whatever the size.
        if (random.Next(4) == 0) offset += 24 - (uint)size;
        Register main = _x.MemoryBase, index = _x.MemoryIndex;
        bool narrow = (main != Register.None ? main : index) is >= Register.AX and <= Register.DI || (main == Register.None && index == Register.None && _x.MemoryDisplSize == 2);
        if (narrow) offset &= 0xffff;
        bool free = random.Next(16) != 0;
        if (free && constants.DisplacementSize >= 2)
        {
            if (index != Register.None && index != Register.AL && random.Next(2) == 0) SetRegister(index, (uint)random.Next(0x400));
            uint rest = offset - RegisterPart(main, index);
            SetConstant(constants.DisplacementOffset, rest, constants.DisplacementSize);
            if (narrow && constants.DisplacementSize == 4) return;
        }
        else if (free && main is not (Register.None or Register.ESP) && main != index && index != Register.AL)
        {
            uint displacement = _x.MemoryDisplacement32;
            SetRegister(main, 0);
            SetRegister(main, offset - displacement - RegisterPart(main, index));
        }
        Content(_x.MemorySegment - Register.ES, offset, narrow);
    }

    private uint RegisterPart(Register main, Register index)
    {
        uint sum = main == Register.None ? 0 : ValueOf(main);
        if (index is not (Register.None or Register.AL)) sum += ValueOf(index) * (uint)_x.MemoryIndexScale;
        return sum;
    }

    /// <summary>What jumps, far pointers, bounds and selectors in memory have to be.</summary>
    private void Content(int segment, uint offset, bool narrow)
    {
        uint at = Linear(segment, narrow ? offset & 0xffff : offset);
        int size = _x.MemorySize.GetSize();
        switch (_x.Mnemonic)
        {
            case Mnemonic.Call or Mnemonic.Jmp when size <= 4 && _x.MemorySize is not (MemorySize.SegPtr16 or MemorySize.SegPtr32):
                Patch(at, _test.Eip + (uint)random.Next(-0x1000, 0x1000), size);
                break;
            case Mnemonic.Call or Mnemonic.Jmp:
                ushort code = Pick(s_any);
                Patch(at, CodeOffset(code), size - 2);
                Patch(at + (uint)size - 2, code, 2);
                break;
            case Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss:
                Patch(at + (uint)size - 2, Pick(s_any), 2);
                break;
            case Mnemonic.Bound when random.Next(4) != 0:
                Patch(at, (uint)random.Next(-300, 0), size / 2);
                Patch(at + ((uint)size / 2), (uint)random.Next(0, 300), size / 2);
                SetRegister(_x.Op0Register, (uint)random.Next(-301, 302));
                break;
            case Mnemonic.Cmpxchg8b when random.Next(2) == 0:
                Patch(at, _test.Gpr[Gpr.Eax], 4);
                Patch(at + 4, _test.Gpr[Gpr.Edx], 4);
                break;
            case Mnemonic.Cmpxchg when random.Next(2) == 0:
                Patch(at, _test.Gpr[Gpr.Eax], size);
                break;
            default:
                if (LoadsSelector()) Patch(at, Pick(s_any), 2);
                else if (IsFloat(_x) && size is 4 or 8 or 10 && random.Next(2) == 0) FloatContent(at, size);
                break;
        }
    }

    private void FloatContent(uint at, int size)
    {
        Float80 value = HostFpu.Operand(random);
        if (size == 10)
        {
            Patch(at, (uint)value.Significand, 4);
            Patch(at + 4, (uint)(value.Significand >> 32), 4);
            Patch(at + 8, value.SignExponent, 2);
            return;
        }
        Patch(at + (uint)size - 4, Value(), 4);
        if (random.Next(2) == 0) Patch(at, Value(), 4);
    }

    private void StackContent()
    {
        bool returns = _x.Mnemonic is Mnemonic.Ret or Mnemonic.Retf or Mnemonic.Iret or Mnemonic.Iretd;
        bool pops = _x.Code is Code.Popw_ES or Code.Popw_SS or Code.Popw_DS or Code.Popw_FS or Code.Popw_GS or Code.Popd_ES or Code.Popd_SS or Code.Popd_DS
            or Code.Popd_FS or Code.Popd_GS;
        if (!returns && !pops) return;
        uint mask = CompatLayout.Descriptor(_test.Selectors[Seg.Ss])!.Is32 ? uint.MaxValue : 0xffff, esp = _test.Gpr[Gpr.Esp];
        if (pops)
        {
            Patch(Linear(Seg.Ss, esp & mask), Pick(s_any), 2);
            return;
        }
        int size = _x.Code is Code.Retnw or Code.Retnw_imm16 or Code.Retfw or Code.Retfw_imm16 or Code.Iretw ? 2 : 4;
        ushort selector = random.Next(2) == 0 ? _test.Selectors[Seg.Cs] : Pick(s_any);
        bool near = _x.Mnemonic == Mnemonic.Ret;
        Patch(Linear(Seg.Ss, esp & mask), near ? _test.Eip + (uint)random.Next(-0x1000, 0x1000) : CodeOffset(selector), size);
        if (!near) Patch(Linear(Seg.Ss, (esp + (uint)size) & mask), selector, 2);
        if (random.Next(2) == 0 && _x.Mnemonic is Mnemonic.Iret or Mnemonic.Iretd) Patch(Linear(Seg.Ss, (esp + (2 * (uint)size)) & mask), (uint)random.Next() & 0x24_4fd5, size);
    }

    private uint CodeOffset(ushort selector)
    {
        uint offset = (uint)(random.Next(8) == 0 ? random.Next(0x7ff0, 0x8010) : random.Next(0x2000, 0x7000));
        return selector is CompatLayout.FlatCode or CompatLayout.Code32 && random.Next(8) != 0 ? CompatLayout.Code + offset : offset;
    }

    private void Float()
    {
        FpuState fpu = HostFpu.State(random);
        _test.Fpu = new byte[HostCpu.FpuLength];
        HostFpu.Store(ref fpu, _test.Fpu);
        // Now and then an exception is pending.
        if (random.Next(16) == 0) _test.Fpu[4] |= (byte)random.Next(64);
    }

    private void Patch(uint at, uint value, int size)
    {
        foreach (CompatRegion region in CompatLayout.Regions)
            if (at >= region.At && at + (ulong)size <= region.At + region.Length && region.At != CompatLayout.Code) _test.Patch(at, value, size);
    }

    private uint Linear(int segment, uint offset) => (CompatLayout.Descriptor(_test.Selectors[segment])?.Base ?? 0) + offset;

    private void SetConstant(int at, uint value, int size) => BitConverter.GetBytes(value).AsSpan(0, size).CopyTo(_bytes.AsSpan(at));

    /// <summary>Sets an address register; in 16-bit code only sometimes with a clean upper half.</summary>
    private void SetAddress(int register, uint offset, uint upper) => _test.Gpr[register] = offset | upper;

    private void SetRegister(Register register, uint value)
    {
        if (register == Register.None || register.GetFullRegister32() == Register.ESP) return;
        ref uint whole = ref _test.Gpr[register.GetFullRegister32().GetNumber()];
        if (register.IsGPR32()) whole = value;
        else if (register.IsGPR16()) whole = (whole & 0xffff_0000) | (value & 0xffff);
    }

    private uint ValueOf(Register register)
    {
        uint whole = _test.Gpr[register.GetFullRegister32().GetNumber()];
        return register.IsGPR16() ? whole & 0xffff : whole;
    }

    private T Pick<T>(ReadOnlySpan<T> from) => from[random.Next(from.Length)];

    private T Pick<T>(T[] from) => from[random.Next(from.Length)];

    private uint Value()
    {
        ReadOnlySpan<uint> special = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
        uint value = (uint)random.NextInt64(1L << 32);
        return random.Next(6) switch
        {
            0 => special[random.Next(special.Length)],
            1 => special[random.Next(special.Length)] | (value & 0xff00_0000),
            2 => value & 0x1f1f_1f1f,
            _ => value,
        };
    }
}
