// The x87 part of the processor's state: register stack, control, status and tags, pointers of the last instruction
// (Intel SDM vol. 1, 8.1).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Emu86.Cpu.Float;

/// <summary>Bits of the status word; exceptions have the same places as their masks in the control word.</summary>
public static class Fsw
{
    public const uint
        Invalid = 0x01, Denormal = 0x02, ZeroDivide = 0x04, Overflow = 0x08, Underflow = 0x10, Precision = 0x20,
        Exceptions = 0x3F, StackFault = 0x40, Summary = 0x80,
        C0 = 0x100, C1 = 0x200, C2 = 0x400, C3 = 0x4000, Conditions = C0 | C1 | C2 | C3, Busy = 0x8000,
        /// <summary>Found before the operation is done: unmasked, they leave the operands as they were.</summary>
        BeforeOperation = Invalid | Denormal | ZeroDivide;
}

/// <summary>Bits of the control word.</summary>
public static class Fcw
{
    public const uint Initial = 0x37F, Implemented = 0x1F3F, AlwaysSet = 0x40;
    public const uint PrecisionMask = 0x300, Single = 0x000, Double = 0x200, Extended = 0x300;
    public const uint RoundMask = 0xC00, RoundNearest = 0x000, RoundDown = 0x400, RoundUp = 0x800, RoundZero = 0xC00;
}

/// <summary>Has one representation per state of the x87 unit, so it can be saved and hashed as it is.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct FpuState
{
    /// <summary>Physical registers R0–R7, 16 bytes each; the upper 6 bytes of a slot are zero. MMX registers are the low halves.</summary>
    public fixed ulong Slots[16];

    /// <summary>The control word; bit 6 reads as one, bits 7 and 13–15 as zero.</summary>
    public ushort Control;

    /// <summary>The status word without TOP (bits 13–11), which is <see cref="Top"/>, and with B equal to ES.</summary>
    public ushort Status;

    /// <summary>The physical number of ST(0), 0–7.</summary>
    public byte Top;

    /// <summary>Bit n: physical register n is empty. The other tags are functions of the contents.</summary>
    public byte Empty;

    /// <summary>The low 11 bits of the last non-control instruction's opcode.</summary>
    public ushort LastOpcode;

    public uint InstructionOffset, DataOffset;
    public ushort InstructionSelector, DataSelector;

    /// <summary>1: FERR# is asserted; 1: IGNNE# is asserted (both only with CR0.NE = 0, see Execute/FpuErrors.cs).</summary>
    public byte ErrorPin, IgnoreErrors;

    /// <summary>FNINIT; the registers' contents stay.</summary>
    public void Initialize()
    {
        Control = (ushort)Fcw.Initial;
        Status = 0;
        Top = 0;
        Empty = 0xFF;
        LastOpcode = 0;
        InstructionOffset = DataOffset = 0;
        InstructionSelector = DataSelector = 0;
    }

    /// <summary>Power-on: the register contents are zero too, the registers tagged as on reset (SDM vol. 3, table 10-1: empty only after FNINIT).</summary>
    public void Reset()
    {
        this = default;
        Control = (ushort)Fcw.AlwaysSet;
    }

    /// <summary>Physical register <paramref name="number"/> (0–7).</summary>
    public static ref Float80 Register(ref FpuState fpu, uint number)
        => ref Unsafe.As<ulong, Float80>(ref fpu.Slots[2 * (number & 7)]);

    /// <summary>ST(<paramref name="index"/>).</summary>
    public static ref Float80 St(ref FpuState fpu, uint index) => ref Register(ref fpu, fpu.Top + index);

    public readonly bool IsEmpty(uint index) => (Empty >> (int)(Top + index & 7) & 1) != 0;

    public ushort StatusWord
    {
        readonly get => (ushort)(Status | Top << 11);
        set
        {
            Top = (byte)(value >> 11 & 7);
            Status = (ushort)(value & ~0x3800);
            UpdateSummary();
        }
    }

    public ushort ControlWord
    {
        readonly get => Control;
        set
        {
            Control = (ushort)(value & Fcw.Implemented | Fcw.AlwaysSet);
            UpdateSummary();
        }
    }

    /// <summary>The full tag word: 0 valid, 1 zero, 2 special, 3 empty, two bits for each physical register.</summary>
    public ushort TagWord
    {
        get
        {
            uint tags = 0;
            for (uint i = 0; i < 8; i++) tags |= TagOf(i) << (int)(2 * i);
            return (ushort)tags;
        }
        set
        {
            // Only empty or not is taken over (SDM vol. 1, 8.1.7).
            uint empty = 0;
            for (int i = 0; i < 8; i++)
                if ((value >> 2 * i & 3) == 3) empty |= 1u << i;
            Empty = (byte)empty;
        }
    }

    /// <summary>An unmasked exception is pending for the next waiting instruction.</summary>
    public readonly bool IsExceptionPending => (Status & Fsw.Summary) != 0;

    /// <summary>ES and B follow from the exception flags and the masks.</summary>
    public void UpdateSummary()
    {
        uint pending = Status & ~(uint)Control & Fsw.Exceptions;
        Status = (ushort)(pending != 0 ? Status | Fsw.Summary | Fsw.Busy : Status & ~(Fsw.Summary | Fsw.Busy));
    }

    private uint TagOf(uint number)
    {
        if ((Empty >> (int)number & 1) != 0) return 3;
        return Register(ref this, number).Class switch
        {
            FloatClass.Normal => 0,
            FloatClass.Zero => 1,
            _ => 2,
        };
    }
}
