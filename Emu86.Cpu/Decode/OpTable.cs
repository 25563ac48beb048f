// The opcode table: one row per instruction (Iced's Code), the single source for handler, block end and privilege.
using Iced.Intel;

namespace Emu86.Cpu.Decode;

[Flags]
public enum OpFlags : uint
{
    None = 0,

    /// <summary>Ends the block (branches, mode changes, I/O, anything that may make an interrupt deliverable). The handler
    /// sets <see cref="CpuState.Eip"/> and <see cref="Ctx.Link"/> itself, and <see cref="Ctx.Attention"/> where needed.</summary>
    Ends = 1,

    /// <summary>CPL 0 only; otherwise #GP(0), checked before the handler runs.</summary>
    Privileged = 2,

    /// <summary>#UD in real and virtual-8086 mode.</summary>
    ProtectedOnly = 4,

    /// <summary>A LOCK prefix is allowed with a memory destination; #UD otherwise.</summary>
    Lockable = 8,

    /// <summary>Ends the block when it has a REP prefix (string instructions).</summary>
    Repeats = 16,
}

/// <summary>A row: handlers for the register form and for the three forms of a memory operand. Instructions without a
/// mod r/m memory form use <see cref="Register"/> alone.</summary>
public unsafe struct OpRow
{
    public delegate*<Ctx*, Insn*, void> Register, MemoryFlat, MemorySeg32, MemorySeg16;
    public OpFlags Flags;

    public readonly bool Exists => Register != null || MemoryFlat != null;
}

/// <summary>Rows by <see cref="Code"/>. The instruction groups fill it once, in <c>Execute/*.cs</c>; what no group fills is #UD.</summary>
public sealed unsafe class OpTable
{
    private readonly OpRow[] _rows = new OpRow[CodesMax];

    private const int CodesMax = 5000;

    /// <summary>The instructions of every processor model; what a model lacks is refused when a block is decoded.</summary>
    public static OpTable Standard { get; } = Execute.Groups.Build();

    public ref readonly OpRow this[Code code] => ref _rows[(int)code];

    /// <summary>An instruction without a memory operand (or with implicit ones).</summary>
    public void Add(Code code, delegate*<Ctx*, Insn*, void> handler, OpFlags flags = OpFlags.None) =>
        Put(code, new OpRow { Register = handler, Flags = flags });

    /// <summary>An instruction with a mod r/m operand; <paramref name="register"/> is null where only memory is allowed.</summary>
    public void Add(Code code, delegate*<Ctx*, Insn*, void> register, delegate*<Ctx*, Insn*, void> flat,
        delegate*<Ctx*, Insn*, void> seg32, delegate*<Ctx*, Insn*, void> seg16, OpFlags flags = OpFlags.None) =>
        Put(code, new OpRow { Register = register, MemoryFlat = flat, MemorySeg32 = seg32, MemorySeg16 = seg16, Flags = flags });

    private void Put(Code code, in OpRow row)
    {
        Check.That(!_rows[(int)code].Exists);
        _rows[(int)code] = row;
    }
}
