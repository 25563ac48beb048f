// Generated encodings of integer instructions that mean the same in 32-bit code for the emulator and in 64-bit code for the host.
using Iced.Intel;

namespace Emu86.Tests.Conformance;

/// <summary>Builds instructions from Iced's description of a <see cref="Code"/>: random registers, immediates, memory operands
/// around EDI.</summary>
internal sealed class IntegerCase(Random random)
{
    private static readonly Register[] s_bytes =
        [Register.AL, Register.CL, Register.DL, Register.BL, Register.AH, Register.CH, Register.DH, Register.BH];

    // ESP is the host's own; EDI (and ESI) hold addresses where there is a memory operand.
    private static readonly Register[] s_words = [Register.AX, Register.CX, Register.DX, Register.BX, Register.BP];
    private static readonly Register[] s_dwords = [Register.EAX, Register.ECX, Register.EDX, Register.EBX, Register.EBP];

    public static IEnumerable<Code> CodesOf(Mnemonic mnemonic) => Enum.GetValues<Code>().Where(c => c.Mnemonic() == mnemonic && Usable(c.ToOpCode()));

    public static bool Usable(OpCodeInfo op) => op.Encoding == EncodingKind.Legacy && op.IsInstruction && op.Mode32 && op.Mode64
        && op.OperandSize != 64 && Enumerable.Range(0, op.OpCount).All(n => Known(op.GetOpKind(n)));

    private static bool Known(OpCodeOperandKind kind) => kind is OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem
        or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r16_reg or OpCodeOperandKind.r32_reg or OpCodeOperandKind.r8_opcode
        or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.al or OpCodeOperandKind.ax or OpCodeOperandKind.eax
        or OpCodeOperandKind.cl or OpCodeOperandKind.imm8 or OpCodeOperandKind.imm16 or OpCodeOperandKind.imm32 or OpCodeOperandKind.imm8sex16
        or OpCodeOperandKind.imm8sex32 or OpCodeOperandKind.imm8_const_1 or OpCodeOperandKind.mem;

    /// <summary>An instruction of the given code and its bytes; null when the bytes mean something else in 64-bit code.</summary>
    public (Instruction Instruction, byte[] Bytes)? Build(Code code)
    {
        OpCodeInfo op = code.ToOpCode();
        bool memory = random.Next(2) == 0;
        var x = new Instruction { Code = code };
        for (int n = 0; n < op.OpCount; n++) Fill(ref x, n, op.GetOpKind(n), memory);
        var writer = new ByteWriter();
        var encoder = Encoder.Create(32, writer);
        if (!encoder.TryEncode(x, 0, out _, out _)) return null;
        byte[] bytes = [.. writer.Bytes];
        var reader = Decoder.Create(64, bytes);
        reader.Decode(out Instruction back);
        return back.Code == code && back.Length == bytes.Length ? (x, bytes) : null;
    }

    private void Fill(ref Instruction x, int n, OpCodeOperandKind kind, bool memory)
    {
        switch (kind)
        {
            case OpCodeOperandKind.mem:
            case OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem when memory:
                x.SetOpKind(n, OpKind.Memory);
                bool addressOnly = x.Mnemonic == Mnemonic.Lea;
                x.MemoryBase = addressOnly ? Pick(s_dwords) : Register.EDI;
                if (random.Next(2) == 0)
                {
                    x.MemoryIndex = addressOnly ? Pick(s_dwords) : Register.ESI;
                    x.MemoryIndexScale = 1 << random.Next(4);
                }
                x.MemoryDisplSize = 4;
                x.MemoryDisplacement32 = (uint)random.Next(-100, 100);
                break;
            case OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode:
                SetRegister(ref x, n, Pick(s_bytes));
                break;
            case OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_opcode:
                SetRegister(ref x, n, Pick(s_words));
                break;
            case OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_opcode:
                SetRegister(ref x, n, Pick(s_dwords));
                break;
            case OpCodeOperandKind.al: SetRegister(ref x, n, Register.AL); break;
            case OpCodeOperandKind.ax: SetRegister(ref x, n, Register.AX); break;
            case OpCodeOperandKind.eax: SetRegister(ref x, n, Register.EAX); break;
            case OpCodeOperandKind.cl: SetRegister(ref x, n, Register.CL); break;
            case OpCodeOperandKind.imm8_const_1: SetImmediate(ref x, n, OpKind.Immediate8, 1); break;
            case OpCodeOperandKind.imm8: SetImmediate(ref x, n, OpKind.Immediate8, Value() & 0xff); break;
            case OpCodeOperandKind.imm16: SetImmediate(ref x, n, OpKind.Immediate16, Value() & 0xffff); break;
            case OpCodeOperandKind.imm32: SetImmediate(ref x, n, OpKind.Immediate32, Value()); break;
            case OpCodeOperandKind.imm8sex16: SetImmediate(ref x, n, OpKind.Immediate8to16, (uint)(sbyte)Value()); break;
            case OpCodeOperandKind.imm8sex32: SetImmediate(ref x, n, OpKind.Immediate8to32, (uint)(sbyte)Value()); break;
        }
    }

    private static void SetRegister(ref Instruction x, int n, Register register)
    {
        x.SetOpKind(n, OpKind.Register);
        x.SetOpRegister(n, register);
    }

    private static void SetImmediate(ref Instruction x, int n, OpKind kind, uint value)
    {
        x.SetOpKind(n, kind);
        x.SetImmediate(n, (int)value);
    }

    private Register Pick(Register[] from) => from[random.Next(from.Length)];

    /// <summary>Random, with the values at which carries and signs change often.</summary>
    public uint Value()
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

    private sealed class ByteWriter : CodeWriter
    {
        public List<byte> Bytes { get; } = [];

        public override void WriteByte(byte value) => Bytes.Add(value);
    }
}
