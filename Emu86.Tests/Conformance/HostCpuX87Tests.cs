// Every x87 operation whose result is fixed, against the host's own x87 unit bit for bit: special and random operands, all
// rounding modes, precisions and exception masks, stack faults included.
using System.Buffers.Binary;
using Emu86.Cpu.Float;

namespace Emu86.Tests.Conformance;

public sealed class HostCpuX87Tests
{
    private const int Rounds = 10_000;
    private const ushort UnderflowMask = 0x10;

    private delegate void Operation(ref FpuState fpu);

    private static readonly Dictionary<string, (byte[] Code, Operation Ours)> RegisterForms = new()
    {
        ["fadd st0,st1"]   = ([0xD8, 0xC1], static (ref FpuState f) => FpuOps.Binary<AddOperation>(ref f, 0, 1, false)),
        ["fadd st2,st0"]   = ([0xDC, 0xC2], static (ref FpuState f) => FpuOps.Binary<AddOperation>(ref f, 2, 0, false)),
        ["faddp st1,st0"]  = ([0xDE, 0xC1], static (ref FpuState f) => FpuOps.Binary<AddOperation>(ref f, 1, 0, true)),
        ["fmul st0,st1"]   = ([0xD8, 0xC9], static (ref FpuState f) => FpuOps.Binary<MultiplyOperation>(ref f, 0, 1, false)),
        ["fmulp st1,st0"]  = ([0xDE, 0xC9], static (ref FpuState f) => FpuOps.Binary<MultiplyOperation>(ref f, 1, 0, true)),
        ["fsub st0,st1"]   = ([0xD8, 0xE1], static (ref FpuState f) => FpuOps.Binary<SubtractOperation>(ref f, 0, 1, false)),
        ["fsubr st0,st1"]  = ([0xD8, 0xE9], static (ref FpuState f) => FpuOps.Binary<SubtractReverseOperation>(ref f, 0, 1, false)),
        ["fsubp st1,st0"]  = ([0xDE, 0xE9], static (ref FpuState f) => FpuOps.Binary<SubtractOperation>(ref f, 1, 0, true)),
        ["fsubrp st1,st0"] = ([0xDE, 0xE1], static (ref FpuState f) => FpuOps.Binary<SubtractReverseOperation>(ref f, 1, 0, true)),
        ["fdiv st0,st1"]   = ([0xD8, 0xF1], static (ref FpuState f) => FpuOps.Binary<DivideOperation>(ref f, 0, 1, false)),
        ["fdivr st0,st1"]  = ([0xD8, 0xF9], static (ref FpuState f) => FpuOps.Binary<DivideReverseOperation>(ref f, 0, 1, false)),
        ["fdivp st1,st0"]  = ([0xDE, 0xF9], static (ref FpuState f) => FpuOps.Binary<DivideOperation>(ref f, 1, 0, true)),
        ["fsqrt"]          = ([0xD9, 0xFA], FpuOps.SquareRoot),
        ["frndint"]        = ([0xD9, 0xFC], FpuOps.RoundToInteger),
        ["fscale"]         = ([0xD9, 0xFD], FpuOps.Scale),
        ["fprem"]          = ([0xD9, 0xF8], static (ref FpuState f) => FpuOps.PartialRemainder(ref f, false)),
        ["fprem1"]         = ([0xD9, 0xF5], static (ref FpuState f) => FpuOps.PartialRemainder(ref f, true)),
        ["fxtract"]        = ([0xD9, 0xF4], FpuOps.Extract),
        ["fchs"]           = ([0xD9, 0xE0], FpuOps.ChangeSign),
        ["fabs"]           = ([0xD9, 0xE1], FpuOps.AbsoluteValue),
        ["ftst"]           = ([0xD9, 0xE4], static (ref FpuState f) => FpuOps.TestZero(ref f)),
        ["fxam"]           = ([0xD9, 0xE5], FpuOps.Examine),
        ["fcom st1"]       = ([0xD8, 0xD1], static (ref FpuState f) => FpuOps.Compare(ref f, 1, false, 0)),
        ["fcomp st1"]      = ([0xD8, 0xD9], static (ref FpuState f) => FpuOps.Compare(ref f, 1, false, 1)),
        ["fcompp"]         = ([0xDE, 0xD9], static (ref FpuState f) => FpuOps.Compare(ref f, 1, false, 2)),
        ["fucom st1"]      = ([0xDD, 0xE1], static (ref FpuState f) => FpuOps.Compare(ref f, 1, true, 0)),
        ["fucompp"]        = ([0xDA, 0xE9], static (ref FpuState f) => FpuOps.Compare(ref f, 1, true, 2)),
        ["fld st3"]        = ([0xD9, 0xC3], static (ref FpuState f) => FpuOps.LoadRegister(ref f, 3)),
        ["fxch st2"]       = ([0xD9, 0xCA], static (ref FpuState f) => FpuOps.Exchange(ref f, 2)),
        ["fst st2"]        = ([0xDD, 0xD2], static (ref FpuState f) => FpuOps.StoreRegister(ref f, 2, false)),
        ["fstp st1"]       = ([0xDD, 0xD9], static (ref FpuState f) => FpuOps.StoreRegister(ref f, 1, true)),
        ["ffree st1"]      = ([0xDD, 0xC1], static (ref FpuState f) => FpuOps.Free(ref f, 1)),
        ["fincstp"]        = ([0xD9, 0xF7], static (ref FpuState f) => FpuOps.MoveTop(ref f, 1)),
        ["fdecstp"]        = ([0xD9, 0xF6], static (ref FpuState f) => FpuOps.MoveTop(ref f, -1)),
        ["fldpi"]          = ([0xD9, 0xEB], FpuConstants.Pi),
        ["fldl2t"]         = ([0xD9, 0xE9], FpuConstants.Log2Of10),
        ["fldl2e"]         = ([0xD9, 0xEA], FpuConstants.Log2OfE),
        ["fldlg2"]         = ([0xD9, 0xEC], FpuConstants.Log10Of2),
        ["fldln2"]         = ([0xD9, 0xED], FpuConstants.LnOf2),
        ["fld1"]           = ([0xD9, 0xE8], FpuConstants.One),
        ["fldz"]           = ([0xD9, 0xEE], FpuConstants.Zero),
        ["fcom st2 (DC)"]  = ([0xDC, 0xD2], static (ref FpuState f) => FpuOps.Compare(ref f, 2, false, 0)),
        ["fcomp st2 (DE)"] = ([0xDE, 0xD2], static (ref FpuState f) => FpuOps.Compare(ref f, 2, false, 1)),
        ["fxch st2 (DD)"]  = ([0xDD, 0xCA], static (ref FpuState f) => FpuOps.Exchange(ref f, 2)),
        ["fstp st2 (DF)"]  = ([0xDF, 0xD2], static (ref FpuState f) => FpuOps.StoreRegister(ref f, 2, true)),
        ["fstpnce st2"]    = ([0xD9, 0xDA], static (ref FpuState f) => FpuOps.StoreRegisterNoFault(ref f, 2)),
        ["ffreep st2"]     = ([0xDF, 0xC2], static (ref FpuState f) => FpuOps.FreePop(ref f, 2)),
        ["fnop"]           = ([0xD9, 0xD0], FpuOps.NoOperation),
        ["fneni"]          = ([0xDB, 0xE0], static (ref FpuState f) => { }
        ),
        ["fninit"]         = ([0xDB, 0xE3], static (ref FpuState f) => f.Initialize()),
        ["fcmovb (no)"]    = ([0xDA, 0xC1], static (ref FpuState f) => FpuOps.ConditionalMove(ref f, 1, false)),
        ["fcmovnb (yes)"]  = ([0xDB, 0xC1], static (ref FpuState f) => FpuOps.ConditionalMove(ref f, 1, true)),
        ["fnclex"]         = ([0xDB, 0xE2], FpuOps.ClearExceptions),
    };

    public static TheoryData<string> RegisterFormNames => new(RegisterForms.Keys);

    [SkippableTheory]
    [MemberData(nameof(RegisterFormNames))]
    public void Register_form_is_as_on_the_host(string name)
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        (byte[] code, Operation ours) = RegisterForms[name];
        var random = new Random(1);
        using var host = new HostCpu();
        host.Load(code, withFpu: true);
        var failures = new List<string>();
        for (int i = 0; i < Rounds && failures.Count < 25; i++)
        {
            FpuState fpu = HostFpu.State(random);
            // AMD's tell an unmasked underflow of these also where the tiny result is exact and came of a denormal operand (docs/engine.md).
            if (!HostCpu.IsIntel && name is ("fprem" or "fprem1" or "fscale") && (fpu.Control & UnderflowMask) == 0) continue;
            string before = Describe(ref fpu);
            HostFpu.Store(ref fpu, host.Fpu);
            host.Run();
            ours(ref fpu);
            if (HostFpu.Difference(host.Fpu, ref fpu) is string difference) failures.Add($"{before}: host {difference}");
        }
        Assert.True(failures.Count == 0, name + "\n" + string.Join('\n', failures));
    }

    private static readonly Dictionary<string, (byte[] Code, Operation Ours)> Transcendentals = new()
    {
        ["f2xm1"]   = ([0xD9, 0xF0], FpuOps.TwoToXMinus1),
        ["fyl2x"]   = ([0xD9, 0xF1], FpuOps.YLog2X),
        ["fptan"]   = ([0xD9, 0xF2], FpuOps.Tangent),
        ["fpatan"]  = ([0xD9, 0xF3], FpuOps.ArcTangent),
        ["fyl2xp1"] = ([0xD9, 0xF9], FpuOps.YLog2XPlus1),
        ["fsincos"] = ([0xD9, 0xFB], FpuOps.SineCosine),
        ["fsin"]    = ([0xD9, 0xFE], FpuOps.Sine),
        ["fcos"]    = ([0xD9, 0xFF], FpuOps.Cosine),
    };

    public static TheoryData<string> TranscendentalNames => new(Transcendentals.Keys);

    /// <summary>Values may differ from the host's in the last place (and for large angles by its 66-bit π); special operands,
    /// stack, conditions and exceptions may not.</summary>
    [SkippableTheory]
    [MemberData(nameof(TranscendentalNames))]
    public void Transcendental_treats_special_operands_as_the_host(string name)
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        (byte[] code, Operation ours) = Transcendentals[name];
        var random = new Random(5);
        using var host = new HostCpu();
        host.Load(code, withFpu: true);
        var failures = new List<string>();
        for (int i = 0; i < Rounds && failures.Count < 25; i++)
        {
            FpuState fpu = HostFpu.State(random);
            if (DiffersBetweenProcessors(name, FpuState.St(ref fpu, 0))) continue;
            string before = Describe(ref fpu);
            HostFpu.Store(ref fpu, host.Fpu);
            host.Run();
            ours(ref fpu);
            HostFpu.TolerateLastPlace(host.Fpu, ref fpu);
            if (HostFpu.Difference(host.Fpu, ref fpu) is string difference) failures.Add($"{before}: host {difference}");
        }
        Assert.True(failures.Count == 0, name + "\n" + string.Join('\n', failures));
    }

    /// <summary>Operands for which docs/x87.md defines another result than some processors have.</summary>
    private static bool DiffersBetweenProcessors(string name, Float80 x) => name switch
    {
        // Their π has 66 bits.
        "fsin" or "fcos" or "fsincos" or "fptan" => x.Class == FloatClass.Normal && x.Exponent is >= Float80.Bias - 1 and < Float80.Bias + 63,
        // Outside −29 % … 41 %.
        "fyl2xp1" => x.Class == FloatClass.Normal && x.Exponent >= Float80.Bias - 2,
        // They sometimes call an exact product inexact.
        "fyl2x" => x.Significand == Float80.IntegerBit,
        _ => false,
    };

    private delegate void MemoryOperation(ref FpuState fpu, Span<byte> memory);

    private static readonly Dictionary<string, (byte[] Code, MemoryOperation Ours)> MemoryForms = new()
    {
        ["fld m32"]    = ([0xD9, 0x07], static (ref FpuState f, Span<byte> m) => FpuOps.LoadMemory<Single32, uint>(ref f, BinaryPrimitives.ReadUInt32LittleEndian(m))),
        ["fld m64"]    = ([0xDD, 0x07], static (ref FpuState f, Span<byte> m) => FpuOps.LoadMemory<Double64, ulong>(ref f, BinaryPrimitives.ReadUInt64LittleEndian(m))),
        ["fld m80"]    = ([0xDB, 0x2F], static (ref FpuState f, Span<byte> m) => FpuOps.Load(ref f, new Float80(BinaryPrimitives.ReadUInt64LittleEndian(m), BinaryPrimitives.ReadUInt16LittleEndian(m[8..])))),
        ["fild m16"]   = ([0xDF, 0x07], static (ref FpuState f, Span<byte> m) => FpuOps.LoadMemory<Integer16, short>(ref f, BinaryPrimitives.ReadInt16LittleEndian(m))),
        ["fild m32"]   = ([0xDB, 0x07], static (ref FpuState f, Span<byte> m) => FpuOps.LoadMemory<Integer32, int>(ref f, BinaryPrimitives.ReadInt32LittleEndian(m))),
        ["fild m64"]   = ([0xDF, 0x2F], static (ref FpuState f, Span<byte> m) => FpuOps.LoadMemory<Integer64, long>(ref f, BinaryPrimitives.ReadInt64LittleEndian(m))),
        ["fbld"]       = ([0xDF, 0x27], static (ref FpuState f, Span<byte> m) => { Float80 v = default; Convert80.FromBcd(BinaryPrimitives.ReadUInt64LittleEndian(m), BinaryPrimitives.ReadUInt16LittleEndian(m[8..]), ref v); FpuOps.Load(ref f, v); }
        ),
        ["fadd m32"]   = ([0xD8, 0x07], static (ref FpuState f, Span<byte> m) => FpuOps.BinaryMemory<AddOperation, Single32, uint>(ref f, BinaryPrimitives.ReadUInt32LittleEndian(m))),
        ["fdivr m64"]  = ([0xDC, 0x3F], static (ref FpuState f, Span<byte> m) => FpuOps.BinaryMemory<DivideReverseOperation, Double64, ulong>(ref f, BinaryPrimitives.ReadUInt64LittleEndian(m))),
        ["fcomp m32"]  = ([0xD8, 0x1F], static (ref FpuState f, Span<byte> m) => FpuOps.CompareMemory<Single32, uint>(ref f, BinaryPrimitives.ReadUInt32LittleEndian(m), 1)),
        ["ficom m16"]  = ([0xDE, 0x17], static (ref FpuState f, Span<byte> m) => FpuOps.CompareMemory<Integer16, short>(ref f, BinaryPrimitives.ReadInt16LittleEndian(m), 0)),
        ["fst m32"]    = ([0xD9, 0x17], static (ref FpuState f, Span<byte> m) => { uint x = FpuOps.StoreSingle(ref f, out uint v); if (Convert80.MayStore(x, f.Control)) BinaryPrimitives.WriteUInt32LittleEndian(m, v); FpuOps.CommitStore(ref f, x, false); }
        ),
        ["fstp m64"]   = ([0xDD, 0x1F], static (ref FpuState f, Span<byte> m) => { uint x = FpuOps.StoreDouble(ref f, out ulong v); if (Convert80.MayStore(x, f.Control)) BinaryPrimitives.WriteUInt64LittleEndian(m, v); FpuOps.CommitStore(ref f, x, true); }
        ),
        ["fstp m80"]   = ([0xDB, 0x3F], static (ref FpuState f, Span<byte> m) => { uint x = FpuOps.StoreExtended(ref f, out ulong v, out ushort e); if (Convert80.MayStore(x, f.Control)) { BinaryPrimitives.WriteUInt64LittleEndian(m, v); BinaryPrimitives.WriteUInt16LittleEndian(m[8..], e); } FpuOps.CommitStore(ref f, x, true); }
        ),
        ["fist m16"]   = ([0xDF, 0x17], static (ref FpuState f, Span<byte> m) => { uint x = FpuOps.StoreInteger(ref f, 16, out long v); if (Convert80.MayStore(x, f.Control)) BinaryPrimitives.WriteInt16LittleEndian(m, (short)v); FpuOps.CommitStore(ref f, x, false); }
        ),
        ["fistp m32"]  = ([0xDB, 0x1F], static (ref FpuState f, Span<byte> m) => { uint x = FpuOps.StoreInteger(ref f, 32, out long v); if (Convert80.MayStore(x, f.Control)) BinaryPrimitives.WriteInt32LittleEndian(m, (int)v); FpuOps.CommitStore(ref f, x, true); }
        ),
        ["fistp m64"]  = ([0xDF, 0x3F], static (ref FpuState f, Span<byte> m) => { uint x = FpuOps.StoreInteger(ref f, 64, out long v); if (Convert80.MayStore(x, f.Control)) BinaryPrimitives.WriteInt64LittleEndian(m, v); FpuOps.CommitStore(ref f, x, true); }
        ),
        ["fbstp"]      = ([0xDF, 0x37], static (ref FpuState f, Span<byte> m) => { uint x = FpuOps.StoreBcd(ref f, out ulong v, out ushort e); if (Convert80.MayStore(x, f.Control)) { BinaryPrimitives.WriteUInt64LittleEndian(m, v); BinaryPrimitives.WriteUInt16LittleEndian(m[8..], e); } FpuOps.CommitStore(ref f, x, true); }
        ),
    };

    [SkippableTheory]
    [InlineData(0xDB, 0xF0, false, false)]
    [InlineData(0xDF, 0xF0, false, true)]
    [InlineData(0xDB, 0xE8, true, false)]
    [InlineData(0xDF, 0xE8, true, true)]
    public void Comparison_to_flags_is_as_on_the_host(byte opcode, byte form, bool quiet, bool pop)
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        const uint Status = 0x8D5;
        var random = new Random(3);
        using var host = new HostCpu();
        host.Load([opcode, (byte)(form + 1)], withFpu: true);
        for (int i = 0; i < Rounds; i++)
        {
            FpuState fpu = HostFpu.State(random);
            uint flags = random.Next(2) == 0 ? Status : 0;
            string before = $"{Describe(ref fpu)} flags {flags:X3}";
            HostFpu.Store(ref fpu, host.Fpu);
            host.Registers.Rflags = flags;
            host.Run();
            flags = FpuOps.CompareToFlags(ref fpu, 1, quiet, pop);
            Assert.True(HostFpu.Difference(host.Fpu, ref fpu) is null, $"{before}: host {HostFpu.Difference(host.Fpu, ref fpu)}");
            Assert.True((host.Registers.Rflags & Status) == flags, $"{before}: host {host.Registers.Rflags & Status:X3}, ours {flags:X3}");
        }
    }

    public static TheoryData<string> MemoryFormNames => new(MemoryForms.Keys);

    [SkippableTheory]
    [MemberData(nameof(MemoryFormNames))]
    public void Memory_form_is_as_on_the_host(string name)
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        (byte[] code, MemoryOperation ours) = MemoryForms[name];
        var random = new Random(2);
        using var host = new HostCpu();
        host.Load(code, withFpu: true);
        host.Registers.Rdi = host.MemoryAddress;
        var failures = new List<string>();
        byte[] memory = new byte[16];
        for (int i = 0; i < Rounds && failures.Count < 25; i++)
        {
            FpuState fpu = HostFpu.State(random);
            FillOperand(random, memory);
            string before = $"{Describe(ref fpu)} mem {Convert.ToHexString(memory)}";
            HostFpu.Store(ref fpu, host.Fpu);
            memory.CopyTo(host.Memory);
            host.Run();
            ours(ref fpu, memory);
            if (HostFpu.Difference(host.Fpu, ref fpu) is string difference) failures.Add($"{before}: host {difference}");
            else if (!host.Memory[..16].SequenceEqual(memory))
                failures.Add($"{before}: host memory {Convert.ToHexString(host.Memory[..16])}, ours {Convert.ToHexString(memory)}");
        }
        Assert.True(failures.Count == 0, name + "\n" + string.Join('\n', failures));
    }

    private static void FillOperand(Random random, Span<byte> memory)
    {
        random.NextBytes(memory);
        switch (random.Next(6))
        {
            case 0: memory[..(1 + random.Next(9))].Clear(); break;
            case 1: memory[random.Next(10)] = 0x7F; memory[random.Next(10)] = 0x80; memory[3] |= 0x7F; memory[7] |= 0x7F; break;
            case 2: memory[3] = (byte)(random.Next(2) * 0x80); memory[7] = (byte)(random.Next(2) * 0x80); memory[2] &= 0x7F; memory[6] &= 0xF; break;
            case 3: memory.Slice(random.Next(8), 2).Fill(0xFF); break;
            case 4: for (int i = 0; i < 10; i++) memory[i] = (byte)(random.Next(10) | random.Next(10) << 4); break;
            default: break;
        }
    }

    private static string Describe(ref FpuState fpu)
        => $"cw {fpu.ControlWord:X4} sw {fpu.StatusWord:X4} tags {fpu.TagWord:X4} {FpuState.St(ref fpu, 0)} {FpuState.St(ref fpu, 1)}";
}
