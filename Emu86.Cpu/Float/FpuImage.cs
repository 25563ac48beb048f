// The images of the x87 state in memory (Intel SDM vol. 1, figures 8-9 to 8-12; FXSAVE: table 10-2).
namespace Emu86.Cpu.Float;

public static unsafe class FpuImage
{
    public const int Environment16 = 14, Environment32 = 28, Registers = 80, FxLength = 160;

    /// <param name="image">14 bytes, or 28 if <paramref name="wide"/>.</param>
    /// <param name="isProtected">The protected-mode format; otherwise that of real and virtual-8086 mode, with linear addresses.</param>
    public static void StoreEnvironment(ref FpuState fpu, byte* image, bool wide, bool isProtected)
    {
        uint fip = fpu.InstructionOffset, fdp = fpu.DataOffset;
        uint fcs = fpu.InstructionSelector, fds = fpu.DataSelector;
        if (!isProtected)
        {
            fip += fcs << 4;
            fdp += fds << 4;
        }
        if (wide)
        {
            // Reserved halves are ones, as processors store them.
            uint* words = (uint*)image;
            words[0] = fpu.ControlWord | 0xFFFF0000;
            words[1] = fpu.StatusWord | 0xFFFF0000;
            words[2] = fpu.TagWord | 0xFFFF0000;
            words[3] = isProtected ? fip : fip & 0xFFFF | 0xFFFF0000;
            words[4] = isProtected ? fcs | (uint)fpu.LastOpcode << 16 : fip >> 16 << 12 | fpu.LastOpcode;
            words[5] = isProtected ? fdp : fdp & 0xFFFF | 0xFFFF0000;
            words[6] = isProtected ? fds | 0xFFFF0000 : fdp >> 16 << 12;
            return;
        }
        ushort* halves = (ushort*)image;
        halves[0] = fpu.ControlWord;
        halves[1] = fpu.StatusWord;
        halves[2] = fpu.TagWord;
        halves[3] = (ushort)fip;
        halves[4] = (ushort)(isProtected ? fcs : fip >> 16 << 12 | fpu.LastOpcode);
        halves[5] = (ushort)fdp;
        halves[6] = (ushort)(isProtected ? fds : fdp >> 16 << 12);
    }

    public static void LoadEnvironment(ref FpuState fpu, byte* image, bool wide, bool isProtected)
    {
        int step = wide ? 2 : 1;
        ushort* halves = (ushort*)image;
        fpu.Control = (ushort)(halves[0] & Fcw.Implemented | Fcw.AlwaysSet);
        fpu.StatusWord = halves[step];
        fpu.TagWord = halves[2 * step];
        uint fip = halves[3 * step], codes = halves[4 * step], fdp = halves[5 * step], fds = halves[6 * step];
        (fpu.InstructionSelector, fpu.DataSelector, fpu.LastOpcode) = (0, 0, 0);
        if (isProtected)
        {
            fpu.InstructionSelector = (ushort)codes;
            fpu.DataSelector = (ushort)fds;
            fpu.InstructionOffset = wide ? *(uint*)(image + 12) : fip;
            fpu.DataOffset = wide ? *(uint*)(image + 20) : fdp;
            if (wide) fpu.LastOpcode = (ushort)(*(uint*)(image + 16) >> 16 & 0x7FF);
            return;
        }
        uint high = wide ? *(uint*)(image + 16) : codes, dataHigh = wide ? *(uint*)(image + 24) : fds;
        fpu.LastOpcode = (ushort)(high & 0x7FF);
        fpu.InstructionOffset = fip | (high >> 12 & 0xFFFF) << 16;
        fpu.DataOffset = fdp | (dataHigh >> 12 & 0xFFFF) << 16;
    }

    /// <summary>ST(0) … ST(7), 10 bytes each.</summary>
    public static void StoreRegisters(ref FpuState fpu, byte* image)
    {
        for (uint i = 0; i < 8; i++, image += 10)
        {
            ref Float80 st = ref FpuState.St(ref fpu, i);
            *(ulong*)image = st.Significand;
            *(ushort*)(image + 8) = st.SignExponent;
        }
    }

    public static void LoadRegisters(ref FpuState fpu, byte* image)
    {
        for (uint i = 0; i < 8; i++, image += 10)
            FpuState.St(ref fpu, i) = new Float80(*(ulong*)image, *(ushort*)(image + 8));
    }

    /// <summary>The x87 part of an FXSAVE image: bytes 0–23 and the registers from 32 on; the rest of <paramref name="image"/> stays.</summary>
    /// <param name="image">160 bytes.</param>
    public static void StoreFx(ref FpuState fpu, byte* image)
    {
        *(ushort*)image = fpu.ControlWord;
        *(ushort*)(image + 2) = fpu.StatusWord;
        *(ushort*)(image + 4) = (byte)~fpu.Empty;
        *(ushort*)(image + 6) = fpu.LastOpcode;
        *(uint*)(image + 8) = fpu.InstructionOffset;
        *(uint*)(image + 12) = fpu.InstructionSelector;
        *(uint*)(image + 16) = fpu.DataOffset;
        *(uint*)(image + 20) = fpu.DataSelector;
        for (uint i = 0; i < 8; i++)
        {
            ref Float80 st = ref FpuState.St(ref fpu, i);
            *(ulong*)(image + 32 + 16 * i) = st.Significand;
            *(ulong*)(image + 40 + 16 * i) = st.SignExponent;
        }
    }

    public static void LoadFx(ref FpuState fpu, byte* image)
    {
        fpu.Control = (ushort)(*(ushort*)image & Fcw.Implemented | Fcw.AlwaysSet);
        fpu.StatusWord = *(ushort*)(image + 2);
        fpu.Empty = (byte)~image[4];
        fpu.LastOpcode = (ushort)(*(ushort*)(image + 6) & 0x7FF);
        fpu.InstructionOffset = *(uint*)(image + 8);
        fpu.InstructionSelector = *(ushort*)(image + 12);
        fpu.DataOffset = *(uint*)(image + 16);
        fpu.DataSelector = *(ushort*)(image + 20);
        for (uint i = 0; i < 8; i++)
            FpuState.St(ref fpu, i) = new Float80(*(ulong*)(image + 32 + 16 * i), *(ushort*)(image + 40 + 16 * i));
    }
}
