// INT n, INT3, INT1, INTO, IRET, and the instructions that move EFLAGS: PUSHF, POPF, CLI, STI (SDM vol. 2; vol. 3, 20.3 for VME).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class Interrupts
{
    /// <summary>Bits that IRETD to the same or an outer level always loads; IF, IOPL, VIF and VIP depend on privilege.</summary>
    private const uint AlwaysLoaded = Flags.Status | Flags.Tf | Flags.Df | Flags.Nt | Flags.Rf | Flags.Ac | Flags.Id;

    private const uint All = AlwaysLoaded | Flags.If | Flags.Iopl | Flags.Vif | Flags.Vip | Flags.Vm;

    public static void Rows(OpTable t)
    {
        const OpFlags ends = OpFlags.Ends;
        t.Add(Code.Int_imm8, &Int, ends);
        t.Add(Code.Int3, &Int3, ends);
        t.Add(Code.Int1, &Int1, ends);
        t.Add(Code.Into, &Into, ends);
        t.Add(Code.Iretw, &Return16, ends);
        t.Add(Code.Iretd, &Return32, ends);
        t.Add(Code.Pushfw, &Push16);
        t.Add(Code.Pushfd, &Push32);
        t.Add(Code.Popfw, &Pop16, ends);
        t.Add(Code.Popfd, &Pop32, ends);
        t.Add(Code.Cli, &Cli);
        t.Add(Code.Sti, &Sti, ends);
    }

    private static int IoplOf(Ctx* c) => (int)(c->S.SystemFlags >> 12) & 3;

    private static bool Vme(Ctx* c) => (c->S.Cr4 & Modes.Cr4Vme) != 0;

    private static void Int(Ctx* c, Insn* i)
    {
        int vector = (int)(i->Imm & 0xff);
        if (Modes.IsV86(c))
        {
            if (Vme(c))
            {
                if (!Redirected(c, i, vector, out bool protectedMode)) return;
                if (!protectedMode)
                {
                    InterruptDelivery.DeliverV86(c, i, vector);
                    return;
                }
            }
            if (IoplOf(c) < 3)
            {
                Ctx.Fault(c, i, Vector.Gp, 0);
                return;
            }
        }
        InterruptDelivery.Software(c, i, vector, InterruptKind.Software);
    }

    /// <summary>The bit of the vector in the TSS's redirection bitmap, 32 bytes below the I/O permission bitmap. Set: protected mode.</summary>
    private static bool Redirected(Ctx* c, Insn* i, int vector, out bool protectedMode)
    {
        protectedMode = true;
        ref Segment tr = ref c->S.Tr;
        if ((tr.Attributes & 8) == 0 || tr.Limit < 0x67) return true;
        if (!SystemWords.Read16(c, i, tr.Base + 0x66, out uint map)) return false;
        uint at = map - 32 + ((uint)vector >> 3);
        if (at > tr.Limit) return true;
        byte* bits = Memory.SystemLinear.Read<byte>(c, i, tr.Base + at);
        if (bits == null) return false;
        protectedMode = (*bits >> (vector & 7) & 1) != 0;
        return true;
    }

    private static void Int3(Ctx* c, Insn* i) => InterruptDelivery.Software(c, i, Vector.Bp, InterruptKind.Software);

    private static void Int1(Ctx* c, Insn* i) => InterruptDelivery.Software(c, i, Vector.Db, InterruptKind.Trap);

    private static void Into(Ctx* c, Insn* i)
    {
        if (Flags.OfOf(c)) InterruptDelivery.Software(c, i, Vector.Of, InterruptKind.Software);
        else Ending.Next(c, i);
    }

    private static void Return16(Ctx* c, Insn* i) => Return(c, i, 2);

    private static void Return32(Ctx* c, Insn* i) => Return(c, i, 4);

    private static void Return(Ctx* c, Insn* i, int size)
    {
        bool done = Modes.IsProtected(c) ? ReturnProtected(c, i, size) : ReturnUnprotected(c, i, size);
        if (!done) return;
        // Any IRET ends the blocking of NMIs (SDM vol. 3, 6.7.1).
        c->S.NmiBlocked = 0;
        c->Link = null;
        c->Attention = 1;
    }

    private static bool PopThree(Ctx* c, Insn* i, int size, out uint eip, out uint selector, out uint flags)
    {
        eip = selector = 0;
        // From the last to the first, and 16 bits of CS, as processors do: seen at the border of a page or segment.
        if (!CurrentStack.Read(c, i, (uint)(2 * size), size, out flags) || !CurrentStack.Read(c, i, (uint)size, 2, out selector)
            || !CurrentStack.Read(c, i, 0, size, out eip)) return false;
        return true;
    }

    private static bool ReturnUnprotected(Ctx* c, Insn* i, int size)
    {
        bool v86 = Modes.IsV86(c), virtualFlag = false;
        if (v86 && IoplOf(c) < 3)
        {
            if (!Vme(c) || size != 2) return Ctx.Fault(c, i, Vector.Gp, 0);
            virtualFlag = true;
        }
        if (!PopThree(c, i, size, out uint eip, out uint selector, out uint flags)) return false;
        if (eip > c->S.Cs.Limit) return Ctx.Fault(c, i, Vector.Gp, 0);
        if (virtualFlag && !MayLoadVirtual(c, flags)) return Ctx.Fault(c, i, Vector.Gp, 0);
        CurrentStack.Drop(c, (uint)(3 * size));
        SegmentLoad.LoadUnprotected(c, Seg.Cs, selector);
        c->S.Eip = eip;
        if (virtualFlag) LoadVirtual(c, flags);
        else Load(c, flags, (v86 ? AlwaysLoaded | Flags.If : AlwaysLoaded | Flags.If | Flags.Iopl) & Width(size));
        Modes.Changed(c);
        return true;
    }

    private static bool ReturnProtected(Ctx* c, Insn* i, int size)
    {
        if ((c->S.SystemFlags & Flags.Nt) != 0) return TaskSwitch.Back(c, i, c->S.Eip + i->Next);
        if (!PopThree(c, i, size, out uint eip, out uint selector, out uint flags)) return false;
        int old = c->S.Cpl;
        if (size == 4 && (flags & Flags.Vm) != 0 && old == 0) return ReturnToV86(c, i, eip, selector, flags);
        if (!FarTransfer.CheckReturn(c, i, selector, out Descriptor code)) return false;
        uint loaded = AlwaysLoaded;
        if (old <= IoplOf(c)) loaded |= Flags.If;
        if (old == 0) loaded |= Flags.Iopl | Flags.Vif | Flags.Vip;
        int level = (int)(selector & 3);
        if (level == old)
        {
            if (eip > code.Limit) return Ctx.Fault(c, i, Vector.Gp, 0);
            if (!Descriptors.MarkAccessed(c, i, code)) return false;
            CurrentStack.Drop(c, (uint)(3 * size));
            c->S.Cs = code.ToSegment(selector);
            c->S.Eip = eip;
        }
        else
        {
            if (!CurrentStack.Read(c, i, (uint)(3 * size), size, out uint esp)
                || !CurrentStack.Read(c, i, (uint)(4 * size), size, out uint stack)) return false;
            if (!FarTransfer.ReturnOutward(c, i, selector, code, eip, stack & 0xffff, esp)) return false;
        }
        Load(c, flags, loaded & Width(size));
        Modes.Changed(c);
        return true;
    }

    private static bool ReturnToV86(Ctx* c, Insn* i, uint eip, uint code, uint flags)
    {
        uint esp = 0, stack = 0, es = 0, ds = 0, fs = 0, gs = 0;
        if (!CurrentStack.Read(c, i, 12, 4, out esp) || !CurrentStack.Read(c, i, 16, 4, out stack) || !CurrentStack.Read(c, i, 20, 4, out es)
            || !CurrentStack.Read(c, i, 24, 4, out ds) || !CurrentStack.Read(c, i, 28, 4, out fs) || !CurrentStack.Read(c, i, 32, 4, out gs)) return false;
        if (eip > 0xffff) return Ctx.Fault(c, i, Vector.Gp, 0);
        Load(c, flags, All);
        c->S.Cs = SegmentLoad.V86Segment(code);
        c->S.Ss = SegmentLoad.V86Segment(stack);
        c->S.Es = SegmentLoad.V86Segment(es);
        c->S.Ds = SegmentLoad.V86Segment(ds);
        c->S.Fs = SegmentLoad.V86Segment(fs);
        c->S.Gs = SegmentLoad.V86Segment(gs);
        c->S.R[Gpr.Esp] = esp;
        c->S.Eip = eip;
        c->S.Cpl = 3;
        Modes.Changed(c);
        return true;
    }

    private static uint Width(int size) => size == 4 ? uint.MaxValue : 0xffff;

    /// <summary>Takes the bits in <paramref name="mask"/> from an EFLAGS image.</summary>
    private static void Load(Ctx* c, uint image, uint mask) => Flags.SetAll(c, (Flags.Get(c) & ~mask) | (image & mask));

    /// <summary>VME, IOPL below 3: TF would escape the monitor, IF with a pending virtual interrupt must reach it.</summary>
    private static bool MayLoadVirtual(Ctx* c, uint flags) =>
        (flags & Flags.Tf) == 0 && ((flags & Flags.If) == 0 || (c->S.SystemFlags & Flags.Vip) == 0);

    /// <summary>VME, IOPL below 3: IF of the image goes to VIF.</summary>
    private static void LoadVirtual(Ctx* c, uint flags)
    {
        Load(c, flags, (Flags.Status | Flags.Tf | Flags.Df | Flags.Nt) & 0xffff);
        c->S.SystemFlags = (c->S.SystemFlags & ~Flags.Vif) | ((flags & Flags.If) != 0 ? Flags.Vif : 0);
    }

    private static void Push16(Ctx* c, Insn* i)
    {
        if (!Push(c, i, 2)) return;
        i[1].Fn(c, i + 1);
    }

    private static void Push32(Ctx* c, Insn* i)
    {
        if (!Push(c, i, 4)) return;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Push(Ctx* c, Insn* i, int size)
    {
        uint image = Flags.Get(c) & ~(Flags.Rf | Flags.Vm);
        if (Modes.IsV86(c) && IoplOf(c) < 3)
        {
            if (!Vme(c) || size != 2) return Ctx.Fault(c, i, Vector.Gp, 0);
            image = (image & ~Flags.If) | Flags.Iopl | ((image & Flags.Vif) != 0 ? Flags.If : 0);
        }
        uint esp = c->S.R[Gpr.Esp] - (uint)size;
        uint offset = c->S.Ss.Is32 ? esp : (ushort)esp;
        bool written = size == 4
            ? Memory.Segmented.Write(c, i, Seg.Ss, offset, image)
            : Memory.Segmented.Write(c, i, Seg.Ss, offset, (ushort)image);
        if (written) CurrentStack.Set(c, esp);
        return written;
    }

    private static void Pop16(Ctx* c, Insn* i) => Pop(c, i, 2);

    private static void Pop32(Ctx* c, Insn* i) => Pop(c, i, 4);

    private static void Pop(Ctx* c, Insn* i, int size)
    {
        bool v86 = Modes.IsV86(c), virtualFlag = v86 && IoplOf(c) < 3;
        if (virtualFlag && (!Vme(c) || size != 2))
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        if (!CurrentStack.Read(c, i, 0, size, out uint image)) return;
        if (virtualFlag && !MayLoadVirtual(c, image))
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        uint before = c->S.SystemFlags;
        CurrentStack.Drop(c, (uint)size);
        if (virtualFlag)
        {
            LoadVirtual(c, image);
        }
        else
        {
            uint mask = Flags.Status | Flags.Tf | Flags.Df | Flags.Nt | Flags.Ac | Flags.Id;
            if (c->S.Cpl <= IoplOf(c)) mask |= Flags.If;
            if (c->S.Cpl == 0) mask |= Flags.Iopl;
            // POPFD clears RF; POPF leaves the upper half alone.
            Load(c, image & ~Flags.Rf, (mask & Width(size)) | (size == 4 ? Flags.Rf : 0));
        }
        uint changed = before ^ c->S.SystemFlags;
        if ((changed & Flags.Ac) != 0) Modes.Changed(c);
        // Interrupts or single steps may be due now.
        if ((changed & c->S.SystemFlags & (Flags.If | Flags.Tf)) != 0) c->Attention = 1;
        Ending.Next(c, i);
    }

    private static void Cli(Ctx* c, Insn* i)
    {
        if (!ClearInterruptFlag(c, i)) return;
        i[1].Fn(c, i + 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ClearInterruptFlag(Ctx* c, Insn* i)
    {
        if (c->S.Cpl <= IoplOf(c)) c->S.SystemFlags &= ~Flags.If;
        else if (HasVirtualFlag(c)) c->S.SystemFlags &= ~Flags.Vif;
        else return Ctx.Fault(c, i, Vector.Gp, 0);
        return true;
    }

    /// <summary>CLI and STI work on VIF: virtual-8086 mode with VME, or CPL 3 with PVI.</summary>
    private static bool HasVirtualFlag(Ctx* c) =>
        c->S.Cpl == 3 && (c->S.Cr4 & (Modes.IsV86(c) ? Modes.Cr4Vme : Modes.Cr4Pvi)) != 0;

    private static void Sti(Ctx* c, Insn* i)
    {
        if (c->S.Cpl <= IoplOf(c))
        {
            if ((c->S.SystemFlags & Flags.If) == 0) c->S.InterruptShadow = 1;
            c->S.SystemFlags |= Flags.If;
            Ending.NextAttentive(c, i);
            return;
        }
        if (!HasVirtualFlag(c) || (c->S.SystemFlags & Flags.Vip) != 0)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        c->S.SystemFlags |= Flags.Vif;
        Ending.Next(c, i);
    }
}
