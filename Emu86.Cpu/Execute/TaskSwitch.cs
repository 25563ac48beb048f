// Hardware task management: TSS, task gates, nested tasks, stacks of inner levels (SDM vol. 3, ch. 7).
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Execute;

internal static unsafe class TaskSwitch
{
    public enum Reason
    {
        Jump,
        Call,
        Interrupt,
        Return,
    }

    private const uint LimitMin32 = 0x67, LimitMin16 = 0x2b, BusyBit = 0x200, DebugTaskSwitch = 0x8000;

    /// <summary>The contents of a TSS that a switch loads, in one form for both widths.</summary>
    private struct Image
    {
        public uint Cr3, Eip, Eflags;
        public fixed uint R[8];

        /// <summary>In the order of <see cref="Seg"/>.</summary>
        public fixed ushort Selectors[Seg.Count];

        public uint Ldt;
        public bool Trap;
    }

    private static bool Is32(in Segment tr) => (tr.Attributes & 8) != 0;

    /// <summary>Stack pointer of an inner privilege level, from the current TSS.</summary>
    public static bool InnerStack(Ctx* c, Insn* i, int level, uint external, out uint selector, out uint esp)
    {
        selector = esp = 0;
        ref Segment tr = ref c->S.Tr;
        bool wide = Is32(tr);
        uint offset = wide ? 4 + ((uint)level * 8) : 2 + ((uint)level * 4);
        uint last = offset + (wide ? 5u : 3u);
        if (last > tr.Limit) return Ctx.Fault(c, i, Vector.Ts, (tr.Selector & 0xfffcu) | external);
        return wide
            ? SystemWords.Read32(c, i, tr.Base + offset, out esp) && SystemWords.Read16(c, i, tr.Base + offset + 4, out selector)
            : SystemWords.Read16(c, i, tr.Base + offset, out esp) && SystemWords.Read16(c, i, tr.Base + offset + 2, out selector);
    }

    /// <summary>Switches to the task that a task gate names. <paramref name="selector"/> is the TSS selector in the gate.</summary>
    public static bool ThroughGate(Ctx* c, Insn* i, uint selector, Reason reason, uint returnEip, uint external,
        InterruptKind kind = InterruptKind.Software, int vector = 0, bool hasError = false, uint error = 0)
    {
        uint tssError = (selector & 0xfffc) | external;
        if ((selector & 0xfffc) == 0 || (selector & 4) != 0) return Ctx.Fault(c, i, Vector.Gp, tssError);
        if (!Descriptors.Fetch(c, i, selector, Vector.Gp, external, out Descriptor tss)) return false;
        if (!tss.IsSystem || tss.Type is not (Descriptor.TypeTss16 or Descriptor.TypeTss32)) return Ctx.Fault(c, i, Vector.Gp, tssError);
        if (!tss.IsPresent) return Ctx.Fault(c, i, Vector.Np, tssError);
        return Switch(c, i, selector, tss, reason, returnEip, external, kind, vector, hasError, error);
    }

    /// <summary>IRET with NT set: back to the task in the link field of the current TSS.</summary>
    public static bool Back(Ctx* c, Insn* i, uint returnEip)
    {
        if (!SystemWords.Read16(c, i, c->S.Tr.Base, out uint selector)) return false;
        uint error = selector & 0xfffc;
        if (error == 0 || (selector & 4) != 0) return Ctx.Fault(c, i, Vector.Ts, error);
        if (!Descriptors.Fetch(c, i, selector, Vector.Ts, 0, out Descriptor tss)) return false;
        if (!tss.IsSystem || tss.Type is not (Descriptor.TypeTss16Busy or Descriptor.TypeTss32Busy)) return Ctx.Fault(c, i, Vector.Ts, error);
        if (!tss.IsPresent) return Ctx.Fault(c, i, Vector.Np, error);
        return Switch(c, i, selector, tss, Reason.Return, returnEip, 0, InterruptKind.Software, 0, false, 0);
    }

    /// <summary>The switch itself. Faults before the commit leave everything as it was; later ones happen in the new task.</summary>
    public static bool Switch(Ctx* c, Insn* i, uint selector, in Descriptor tss, Reason reason, uint returnEip, uint external,
        InterruptKind kind, int vector, bool hasError, uint error)
    {
        // Faults after the commit cannot be undone, so the switch has its boundary for itself.
        if (c->Alone == 0) return Ctx.NeedAlone(c, i);
        bool wide = (tss.Type & 8) != 0, oldWide = Is32(c->S.Tr), nests = reason is Reason.Call or Reason.Interrupt;
        uint limitMin = wide ? LimitMin32 : LimitMin16, from = tss.Base;
        if (tss.Limit < limitMin) return Ctx.Fault(c, i, Vector.Ts, (selector & 0xfffc) | external);
        if (!Probe(c, i, tss, oldWide, limitMin, reason)) return false;
        if (!ReadImage(c, i, from, wide, out Image image)) return false;

        // Everything that can stop the switch has been tried.
        if (reason is Reason.Jump or Reason.Return) SetBusy(c, i, c->S.Tr.Selector, false);
        SaveCurrent(c, i, oldWide, returnEip, kind, vector, reason);
        if (nests) Write16(c, i, from, c->S.Tr.Selector);
        if (reason != Reason.Return) SetBusy(c, i, selector, true);
        if (nests) image.Eflags |= Flags.Nt;

        c->S.Tr = tss.ToSegment(selector);
        c->S.Tr.Attributes |= 2;
        c->S.Cr0 |= Modes.Cr0Ts;
        // Local breakpoints belong to the old task.
        c->S.Dr[7] &= ~0x155u;
        return Enter(c, i, image, wide, external, hasError, error);
    }

    private static bool Probe(Ctx* c, Insn* i, in Descriptor tss, bool oldWide, uint limitMin, Reason reason)
    {
        uint firstSaved = oldWide ? 0x20u : 0x0e, sizeSaved = oldWide ? 0x40u : 0x1c;
        return SlowAccess.Probe(c, i, tss.Base, limitMin + 1, false, true)
            && SlowAccess.Probe(c, i, c->S.Tr.Base + firstSaved, sizeSaved, true, true)
            && (reason == Reason.Return || SlowAccess.Probe(c, i, tss.At + 4, 4, true, true))
            && (reason is not (Reason.Call or Reason.Interrupt) || SlowAccess.Probe(c, i, tss.Base, 2, true, true))
            && (reason is not (Reason.Jump or Reason.Return)
                || SlowAccess.Probe(c, i, c->S.Gdtr.Base + (c->S.Tr.Selector & 0xfff8u) + 4, 4, true, true));
    }

    private static bool ReadImage(Ctx* c, Insn* i, uint at, bool wide, out Image image)
    {
        image = default;
        uint value;
        if (!wide)
        {
            if (!SystemWords.Read16(c, i, at + 0x0e, out image.Eip) || !SystemWords.Read16(c, i, at + 0x10, out image.Eflags)) return false;
            for (uint n = 0; n < 8; n++)
            {
                if (!SystemWords.Read16(c, i, at + 0x12 + (2 * n), out value)) return false;
                // The upper halves are undefined; all ones is what processors load.
                image.R[n] = 0xffff_0000 | value;
            }
            for (uint n = 0; n < 4; n++)
            {
                if (!SystemWords.Read16(c, i, at + 0x22 + (2 * n), out value)) return false;
                image.Selectors[n] = (ushort)value;
            }
            return SystemWords.Read16(c, i, at + 0x2a, out image.Ldt);
        }
        if (!SystemWords.Read32(c, i, at + 0x1c, out image.Cr3) || !SystemWords.Read32(c, i, at + 0x20, out image.Eip)
            || !SystemWords.Read32(c, i, at + 0x24, out image.Eflags)) return false;
        for (uint n = 0; n < 8; n++)
        {
            if (!SystemWords.Read32(c, i, at + 0x28 + (4 * n), out value)) return false;
            image.R[n] = value;
        }
        for (uint n = 0; n < Seg.Count; n++)
        {
            if (!SystemWords.Read16(c, i, at + 0x48 + (4 * n), out value)) return false;
            image.Selectors[n] = (ushort)value;
        }
        if (!SystemWords.Read16(c, i, at + 0x60, out image.Ldt) || !SystemWords.Read16(c, i, at + 0x64, out value)) return false;
        image.Trap = (value & 1) != 0;
        return true;
    }

    private static void SaveCurrent(Ctx* c, Insn* i, bool wide, uint eip, InterruptKind kind, int vector, Reason reason)
    {
        uint at = c->S.Tr.Base;
        uint eflags = reason == Reason.Interrupt ? InterruptDelivery.FlagsImage(c, kind, vector) : Flags.Get(c);
        if (reason == Reason.Return) eflags &= ~Flags.Nt;
        if (!wide)
        {
            Write16(c, i, at + 0x0e, eip);
            Write16(c, i, at + 0x10, eflags);
            for (uint n = 0; n < 8; n++) Write16(c, i, at + 0x12 + (2 * n), c->S.R[n]);
            for (uint n = 0; n < 4; n++) Write16(c, i, at + 0x22 + (2 * n), Ctx.SegmentOf(c, (int)n)->Selector);
            return;
        }
        Write32(c, i, at + 0x20, eip);
        Write32(c, i, at + 0x24, eflags);
        for (uint n = 0; n < 8; n++) Write32(c, i, at + 0x28 + (4 * n), c->S.R[n]);
        for (uint n = 0; n < Seg.Count; n++) Write16(c, i, at + 0x48 + (4 * n), Ctx.SegmentOf(c, (int)n)->Selector);
    }

    /// <summary>Takes over the new task's state: registers first, then descriptors with their checks.</summary>
    private static bool Enter(Ctx* c, Insn* i, in Image image, bool wide, uint external, bool hasError, uint error)
    {
        c->TaskSwitched = 1;
        if (wide && (c->S.Cr0 & Modes.Cr0Pg) != 0)
        {
            c->S.Cr3 = image.Cr3;
            Mmu.FlushAll(c);
        }
        // Should a check fail, the fault's return address is the new task's EIP.
        c->S.Eip = image.Eip - (i != null ? i->Offset : 0u);
        Flags.SetAll(c, wide ? image.Eflags : image.Eflags & 0xffff);
        for (int n = 0; n < 8; n++) c->S.R[n] = image.R[n];
        for (int n = 0; n < Seg.Count; n++) *Ctx.SegmentOf(c, n) = SegmentLoad.Null(image.Selectors[n]);
        c->S.Ldtr = SegmentLoad.Null(image.Ldt);
        bool v86 = Modes.IsV86(c);
        c->S.Cpl = v86 ? (byte)3 : (byte)(image.Selectors[Seg.Cs] & 3);
        if (v86)
        {
            for (int n = 0; n < Seg.Count; n++) *Ctx.SegmentOf(c, n) = SegmentLoad.V86Segment(image.Selectors[n]);
        }
        if (image.Trap) c->S.PendingDebug |= DebugTaskSwitch;
        Modes.Changed(c);
        if (wide && (c->S.Cr0 & Modes.Cr0Pg) != 0 && (c->S.Cr4 & Modes.Cr4Pae) != 0
            && !ControlRegisters.LoadPdptes(c, i, c->S.Cr3)) return false;
        if (!LoadLdt(c, i, image.Ldt, external)) return false;
        if (!v86 && !LoadSegments(c, i, image, external)) return false;
        Modes.Changed(c);
        if (hasError)
        {
            var frame = new StackFrame(c->S.Ss, c->S.R[Gpr.Esp], wide ? 4 : 2, c->S.Cpl);
            frame.Push(error);
            if (!frame.Probe(c, i, external)) return false;
            CurrentStack.Set(c, frame.Write(c, i));
        }
        if (image.Eip > c->S.Cs.Limit) return Ctx.Fault(c, i, Vector.Gp, external);
        c->S.Eip = image.Eip;
        return true;
    }

    private static bool LoadLdt(Ctx* c, Insn* i, uint selector, uint external)
    {
        if ((selector & 0xfffc) == 0) return true;
        uint error = (selector & 0xfffc) | external;
        if ((selector & 4) != 0) return Ctx.Fault(c, i, Vector.Ts, error);
        if (!Descriptors.Fetch(c, i, selector, Vector.Ts, external, out Descriptor d)) return false;
        if (!d.IsSystem || d.Type != Descriptor.TypeLdt || !d.IsPresent) return Ctx.Fault(c, i, Vector.Ts, error);
        c->S.Ldtr = d.ToSegment(selector);
        return true;
    }

    private static bool LoadSegments(Ctx* c, Insn* i, in Image image, uint external)
    {
        uint code = image.Selectors[Seg.Cs], stack = image.Selectors[Seg.Ss], error = (code & 0xfffc) | external;
        int level = (int)(code & 3);
        if ((code & 0xfffc) == 0) return Ctx.Fault(c, i, Vector.Ts, external);
        if (!Descriptors.Fetch(c, i, code, Vector.Ts, external, out Descriptor d)) return false;
        if (!d.IsCode || (d.IsConforming ? d.Dpl > level : d.Dpl != level)) return Ctx.Fault(c, i, Vector.Ts, error);
        if (!d.IsPresent) return Ctx.Fault(c, i, Vector.Np, error);
        if (!Descriptors.MarkAccessed(c, i, d)) return false;
        c->S.Cs = d.ToSegment(code);
        if (!Descriptors.FetchStack(c, i, stack, level, Vector.Ts, external, out d) || !Descriptors.MarkAccessed(c, i, d)) return false;
        c->S.Ss = d.ToSegment(stack);
        for (int n = 0; n < Seg.Count; n++)
        {
            uint selector = image.Selectors[n];
            if (n is Seg.Cs or Seg.Ss || (selector & 0xfffc) == 0) continue;
            if (!Descriptors.Fetch(c, i, selector, Vector.Ts, external, out d)) return false;
            if (!SegmentLoad.MayHold(d, selector, level)) return Ctx.Fault(c, i, Vector.Ts, (selector & 0xfffc) | external);
            if (!d.IsPresent) return Ctx.Fault(c, i, Vector.Np, (selector & 0xfffc) | external);
            if (!Descriptors.MarkAccessed(c, i, d)) return false;
            *Ctx.SegmentOf(c, n) = d.ToSegment(selector);
        }
        return true;
    }

    private static void SetBusy(Ctx* c, Insn* i, uint selector, bool busy)
    {
        uint at = c->S.Gdtr.Base + (selector & 0xfff8) + 4;
        bool read = SystemWords.Read32(c, i, at, out uint high);
        Check.That(read);
        Write32(c, i, at, busy ? high | BusyBit : high & ~BusyBit);
    }

    private static void Write16(Ctx* c, Insn* i, uint linear, uint value) => Check.That(SystemLinear.Write(c, i, linear, (ushort)value));

    private static void Write32(Ctx* c, Insn* i, uint linear, uint value) => Check.That(SystemLinear.Write(c, i, linear, value));
}
