// The integer instructions against the host's processor: registers, memory and flags of generated cases, fixed seeds.
// Flags that the manual leaves undefined are compared on Intel hosts, whose results are ours (docs/engine.md).
using System.Buffers.Binary;
using Emu86.Cpu;
using Emu86.Tests.Cpu;
using Iced.Intel;

namespace Emu86.Tests.Conformance;

public sealed unsafe class IntegerConformanceTests
{
    private const uint Data = 0x4_0000, DataCentre = 512;
    private const int EncodingsPerCode = 16, CasesPerEncoding = 120;
    private const uint Compared = Flags.Status | Flags.Df;

    private static readonly Mnemonic[] s_mnemonics =
    [
        Mnemonic.Add, Mnemonic.Adc, Mnemonic.Sub, Mnemonic.Sbb, Mnemonic.Cmp, Mnemonic.Inc, Mnemonic.Dec, Mnemonic.Neg, Mnemonic.Xadd,
        Mnemonic.Cmpxchg, Mnemonic.Cmpxchg8b, Mnemonic.And, Mnemonic.Or, Mnemonic.Xor, Mnemonic.Not, Mnemonic.Test,
        Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Rcl, Mnemonic.Rcr, Mnemonic.Shl, Mnemonic.Shr, Mnemonic.Sal, Mnemonic.Sar, Mnemonic.Shld, Mnemonic.Shrd,
        Mnemonic.Mul, Mnemonic.Imul, Mnemonic.Div, Mnemonic.Idiv, Mnemonic.Bt, Mnemonic.Bts, Mnemonic.Btr, Mnemonic.Btc, Mnemonic.Bsf, Mnemonic.Bsr,
        Mnemonic.Bswap, Mnemonic.Seto, Mnemonic.Setno, Mnemonic.Setb, Mnemonic.Setae, Mnemonic.Sete, Mnemonic.Setne, Mnemonic.Setbe, Mnemonic.Seta,
        Mnemonic.Sets, Mnemonic.Setns, Mnemonic.Setp, Mnemonic.Setnp, Mnemonic.Setl, Mnemonic.Setge, Mnemonic.Setle, Mnemonic.Setg,
        Mnemonic.Cmovo, Mnemonic.Cmovno, Mnemonic.Cmovb, Mnemonic.Cmovae, Mnemonic.Cmove, Mnemonic.Cmovne, Mnemonic.Cmovbe, Mnemonic.Cmova,
        Mnemonic.Cmovs, Mnemonic.Cmovns, Mnemonic.Cmovp, Mnemonic.Cmovnp, Mnemonic.Cmovl, Mnemonic.Cmovge, Mnemonic.Cmovle, Mnemonic.Cmovg,
        Mnemonic.Mov, Mnemonic.Movzx, Mnemonic.Movsx, Mnemonic.Xchg, Mnemonic.Lea, Mnemonic.Cbw, Mnemonic.Cwde, Mnemonic.Cwd, Mnemonic.Cdq,
        Mnemonic.Lahf, Mnemonic.Sahf, Mnemonic.Clc, Mnemonic.Stc, Mnemonic.Cmc, Mnemonic.Cld, Mnemonic.Std, Mnemonic.Nop,
    ];

    public static TheoryData<Mnemonic> Mnemonics => new(s_mnemonics);

    [SkippableTheory]
    [MemberData(nameof(Mnemonics))]
    public void Registers_memory_and_flags_are_the_hosts(Mnemonic mnemonic)
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        var random = new Random((int)mnemonic);
        var cases = new IntegerCase(random);
        using var host = new HostCpu();
        using var world = new SystemWorld();
        int run = 0;
        foreach (Code code in IntegerCase.CodesOf(mnemonic))
        {
            for (int n = 0; n < EncodingsPerCode; n++)
            {
                if (cases.Build(code) is not var (instruction, bytes)) continue;
                host.Load(bytes);
                world.Protected().AllGates();
                world.Bytes(SystemWorld.CodeAt, [.. bytes, 0xeb, 0xfe]); // then a jump to itself
                for (int k = 0; k < CasesPerEncoding; k++, run++) Compare(host, world, instruction, bytes, cases, random);
            }
        }
        Assert.True(run > 0);
    }

    private static void Compare(HostCpu host, SystemWorld world, in Instruction x, byte[] bytes, IntegerCase cases, Random random)
    {
        bool memory = UsesMemory(x), bitString = memory && x.OpCount == 2 && x.Op1Kind == OpKind.Register
            && x.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && x.Op1Kind == OpKind.Register;
        Span<uint> before = stackalloc uint[8];
        for (int n = 0; n < 8; n++) before[n] = cases.Value();
        if (bitString && memory) for (int n = 0; n < 8; n++) before[n] = (before[n] & 0xffff_0000) | (ushort)random.Next(-2000, 2000);
        if (bitString && memory && x.Op1Register.IsGPR32()) for (int n = 0; n < 8; n++) before[n] = (uint)(short)before[n];
        if (memory)
        {
            before[Gpr.Esi] = (uint)random.Next(16);
            before[Gpr.Edi] = Data + DataCentre;
        }
        before[Gpr.Esp] = SystemWorld.Stack0;
        // By more than its width nothing of a double shift is defined: our results are Intel's (docs/engine.md).
        if (!HostCpu.IsIntel && x.Mnemonic is (Mnemonic.Shld or Mnemonic.Shrd) && Count(x, before) > Width(x)) return;
        uint flags = (uint)random.Next() & Compared | Flags.Fixed1;
        Span<byte> data = world.Memory.RamPage(Data >> 12)[..HostCpu.MemoryLength];
        for (int n = 0; n < data.Length; n += 4) BinaryPrimitives.WriteUInt32LittleEndian(data[n..], cases.Value());
        if (x.Mnemonic is Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b && random.Next(2) == 0) MakeEqual(x, before, data);
        bool divides = x.Mnemonic is Mnemonic.Div or Mnemonic.Idiv;
        if (divides) MakeLikelyToFit(x, before, random);
        bool fits = !divides || QuotientFits(x, before, data);

        // The host first: it works on its own copy.
        data.CopyTo(host.Memory);
        if (fits) RunHost(host, before, memory, flags);
        RunGuest(world, before, flags, fits ? 2u : 1u); // the delivery of #DE counts 1
        string what = $"{x} [{Convert.ToHexString(bytes)}] eax={before[0]:x} ecx={before[1]:x} edx={before[2]:x} ebx={before[3]:x} ebp={before[5]:x} flags={flags:x}";
        if (!fits)
        {
            Assert.True(world.S.Eip == SystemWorld.Handlers + Vector.De, what + ": no #DE");
            for (int n = 0; n < 8; n++) Assert.True(n == Gpr.Esp || before[n] == world.S.R[n], what + ": changed by #DE");
            return;
        }
        Assert.True(world.S.Eip == SystemWorld.CodeAt + (uint)bytes.Length, what + $": eip {world.S.Eip:x}");
        for (int n = 0; n < 8; n++)
        {
            if (n == Gpr.Esp) continue;
            uint expected = HostRegister(host, n);
            if (memory && n == Gpr.Edi) expected += Data - (uint)host.MemoryAddress;
            Assert.True(expected == world.S.R[n], $"{what}: register {n} is {world.S.R[n]:x}, on the host {expected:x}");
        }
        uint mask = HostCpu.IsIntel ? Compared : Compared & ~UndefinedFlags(x, Count(x, before));
        uint got = Flags.Get(world.C), wanted = (uint)host.Registers.Rflags;
        Assert.True(((got ^ wanted) & mask) == 0, $"{what}: flags {got & Compared:x}, on the host {wanted & Compared:x}");
        Assert.True(data.SequenceEqual(host.Memory), what + ": memory");
    }

    private static bool UsesMemory(in Instruction x) =>
        x.Mnemonic != Mnemonic.Lea && (x.Op0Kind == OpKind.Memory && x.OpCount > 0 || (x.OpCount > 1 && x.Op1Kind == OpKind.Memory));

    private static void RunHost(HostCpu host, ReadOnlySpan<uint> r, bool memory, uint flags) =>
        RunHost(host, r, memory ? host.MemoryAddress + DataCentre : r[Gpr.Edi], r[Gpr.Esi], flags);

    private static void RunHost(HostCpu host, ReadOnlySpan<uint> r, ulong rdi, ulong rsi, uint flags)
    {
        host.Registers = new HostRegisters
        {
            Rax = r[Gpr.Eax],
            Rcx = r[Gpr.Ecx],
            Rdx = r[Gpr.Edx],
            Rbx = r[Gpr.Ebx],
            Rbp = r[Gpr.Ebp],
            Rsi = rsi,
            Rdi = rdi,
            Rflags = flags,
        };
        host.Run();
    }

    private static void RunGuest(SystemWorld world, ReadOnlySpan<uint> r, uint flags, ulong count = 2)
    {
        for (int n = 0; n < 8; n++) world.S.R[n] = r[n];
        world.S.Eip = SystemWorld.CodeAt;
        Flags.SetAll(world.C, flags);
        world.Step(count);
    }

    private static uint HostRegister(HostCpu host, int number) => (uint)(number switch
    {
        0 => host.Registers.Rax,
        1 => host.Registers.Rcx,
        2 => host.Registers.Rdx,
        3 => host.Registers.Rbx,
        5 => host.Registers.Rbp,
        6 => host.Registers.Rsi,
        _ => host.Registers.Rdi,
    });

    /// <summary>By how much a shift or rotate goes; of any other instruction it means nothing.</summary>
    private static int Count(in Instruction x, ReadOnlySpan<uint> r) =>
        x.OpCount > 1 && x.GetOpKind(x.OpCount - 1) == OpKind.Immediate8 ? (int)x.GetImmediate(x.OpCount - 1) & 31 : (int)r[Gpr.Ecx] & 31;

    private static uint UndefinedFlags(in Instruction x, int count)
    {
        RflagsBits bits = x.RflagsUndefined;
        // Rotates define OF for a count of 1 only.
        if (x.Mnemonic is (Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Rol or Mnemonic.Ror) && count != 1) bits |= RflagsBits.OF;
        return (bits.HasFlag(RflagsBits.CF) ? Flags.Cf : 0) | (bits.HasFlag(RflagsBits.PF) ? Flags.Pf : 0) | (bits.HasFlag(RflagsBits.AF) ? Flags.Af : 0)
            | (bits.HasFlag(RflagsBits.ZF) ? Flags.Zf : 0) | (bits.HasFlag(RflagsBits.SF) ? Flags.Sf : 0) | (bits.HasFlag(RflagsBits.OF) ? Flags.Of : 0);
    }

    private static uint Value(in Instruction x, ReadOnlySpan<uint> r, ReadOnlySpan<byte> data)
    {
        if (x.Op0Kind == OpKind.Memory)
        {
            uint offset = DataCentre + x.MemoryDisplacement32 + (x.MemoryIndex == Register.ESI ? r[Gpr.Esi] * (uint)x.MemoryIndexScale : 0);
            return BinaryPrimitives.ReadUInt32LittleEndian(data[(int)offset..]);
        }
        Register register = x.Op0Register;
        uint whole = r[register.GetFullRegister32().GetNumber()];
        return register is >= Register.AH and <= Register.BH ? whole >> 8 : whole;
    }

    private static int Width(in Instruction x) =>
        x.Op0Kind == OpKind.Memory ? 8 * x.MemorySize.GetSize() : 8 * x.Op0Register.GetSize();

    private static bool QuotientFits(in Instruction x, ReadOnlySpan<uint> r, ReadOnlySpan<byte> data)
    {
        int bits = Width(x);
        Int128 divisor = Value(x, r, data) & (uint.MaxValue >> (32 - bits));
        Int128 dividend = bits switch
        {
            8 => r[0] & 0xffff,
            16 => (r[Gpr.Edx] << 16) | (r[0] & 0xffff),
            _ => ((ulong)r[Gpr.Edx] << 32) | r[0],
        };
        if (divisor == 0) return false;
        if (x.Mnemonic == Mnemonic.Div) return dividend / divisor <= uint.MaxValue >> (32 - bits);
        Int128 half = Int128.One << (bits - 1);
        if (divisor >= half) divisor -= half * 2;
        if (dividend >= half * half * 2) dividend -= half * half * 4;
        Int128 quotient = dividend / divisor;
        return quotient >= -half && quotient < half;
    }

    private static void MakeLikelyToFit(in Instruction x, Span<uint> r, Random random)
    {
        if (random.Next(4) == 0) return;
        int bits = Width(x);
        uint sign = x.Mnemonic == Mnemonic.Idiv && random.Next(2) == 0 ? uint.MaxValue : 0;
        uint high = sign ^ (uint)random.Next(1 << random.Next(8));
        if (bits == 8) r[0] = (r[0] & 0xffff_00ff) | ((high & 0xff) << 8);
        else r[Gpr.Edx] = high;
    }

    private static void MakeEqual(in Instruction x, Span<uint> r, ReadOnlySpan<byte> data)
    {
        r[0] = Value(x, r, data);
        if (x.Mnemonic != Mnemonic.Cmpxchg8b) return;
        uint offset = DataCentre + x.MemoryDisplacement32 + (x.MemoryIndex == Register.ESI ? r[Gpr.Esi] * (uint)x.MemoryIndexScale : 0);
        r[Gpr.Edx] = BinaryPrimitives.ReadUInt32LittleEndian(data[(int)(offset + 4)..]);
    }

    public static TheoryData<string> StringInstructions =>
    [
        "A4", "66A5", "A5", "A6", "66A7", "A7", "AA", "66AB", "AB", "AC", "66AD", "AD", "AE", "66AF", "AF",
        "F3A4", "F366A5", "F3A5", "F3A6", "F366A7", "F3A7", "F3AA", "F366AB", "F3AB", "F3AC", "F366AD", "F3AD", "F3AE", "F366AF", "F3AF",
        "F2A6", "F266A7", "F2A7", "F2AE", "F266AF", "F2AF",
    ];

    [SkippableTheory]
    [MemberData(nameof(StringInstructions))]
    public void String_instructions_do_what_the_host_does(string hex)
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        byte[] bytes = Convert.FromHexString(hex);
        var random = new Random(bytes[^1] * 1000 + bytes[0]);
        var cases = new IntegerCase(random);
        using var host = new HostCpu();
        using var world = new SystemWorld();
        host.Load(bytes);
        world.Protected().AllGates();
        world.Bytes(SystemWorld.CodeAt, [.. bytes, 0xeb, 0xfe]);
        Span<uint> r = stackalloc uint[8];
        Span<byte> data = world.Memory.RamPage(Data >> 12)[..HostCpu.MemoryLength];
        for (int k = 0; k < 2000; k++)
        {
            for (int n = 0; n < 8; n++) r[n] = cases.Value();
            r[Gpr.Esp] = SystemWorld.Stack0;
            r[Gpr.Ecx] = (uint)random.Next(20);
            // Near each other, so that source and destination overlap in every way.
            r[Gpr.Esi] = Data + 400 + (uint)random.Next(100);
            r[Gpr.Edi] = Data + 400 + (uint)random.Next(100);
            // Few different bytes: comparisons go on for a while.
            for (int n = 0; n < data.Length; n++) data[n] = random.Next(8) == 0 ? (byte)1 : (byte)0;
            if (random.Next(2) == 0) r[0] = 0;
            uint flags = (uint)random.Next() & Compared | Flags.Fixed1;
            data.CopyTo(host.Memory);
            RunHost(host, r, host.MemoryAddress + r[Gpr.Edi] - Data, host.MemoryAddress + r[Gpr.Esi] - Data, flags);
            RunGuest(world, r, flags, 100);
            string what = $"{hex} case {k}";
            Assert.True(world.S.Eip == SystemWorld.CodeAt + (uint)bytes.Length, what);
            Assert.True((uint)host.Registers.Rax == world.S.R[0], what + " eax");
            Assert.True((uint)host.Registers.Rcx == world.S.R[1], what + " ecx");
            Assert.True((uint)(host.Registers.Rsi - host.MemoryAddress) == world.S.R[Gpr.Esi] - Data, what + " esi");
            Assert.True((uint)(host.Registers.Rdi - host.MemoryAddress) == world.S.R[Gpr.Edi] - Data, what + " edi");
            Assert.True((((uint)host.Registers.Rflags ^ Flags.Get(world.C)) & Compared) == 0, what + " flags");
            Assert.True(data.SequenceEqual(host.Memory), what + " memory");
        }
    }
}
