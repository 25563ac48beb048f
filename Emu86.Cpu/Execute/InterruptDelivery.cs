// Delivery of interrupts and exceptions through the interrupt table (SDM vol. 3, 6.10-6.14, 20.1.4 and 20.3).
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Execute;

/// <summary>Where an event comes from: decides about the gate's DPL, the EXT bit of error codes, and RF in the pushed EFLAGS.</summary>
public enum InterruptKind
{
    /// <summary>The return address is that of the instruction that faulted; RF is pushed set.</summary>
    Fault,

    /// <summary>A trap-class exception, or INT1.</summary>
    Trap,

    /// <summary>INT n, INT3, INTO: the gate's DPL is checked.</summary>
    Software,

    /// <summary>INTR or NMI.</summary>
    External,
}

public static unsafe class InterruptDelivery
{
    /// <summary>Delivers an event; <see cref="CpuState.Eip"/> is the return address. False: a fault was raised and nothing changed
    /// (unless a task switch had been committed: then the fault belongs to the new task).</summary>
    public static bool Deliver(Ctx* c, Insn* i, int vector, InterruptKind kind, bool hasError, uint error)
    {
        bool delivered = Modes.IsReal(c) ? DeliverReal(c, i, vector) : DeliverProtected(c, i, vector, kind, hasError, error);
        if (!delivered) return false;
        if (vector == Vector.Db) DebugUnit.HandlerEntered(c);
        c->S.Halted = 0;
        c->S.InterruptShadow = 0;
        c->S.DebugShadow = 0;
        c->Delivered = 1;
        c->Attention = 1;
        c->Link = null;
        return true;
    }

    /// <summary>Handler of INT n and its relatives: the return address is the next instruction.</summary>
    internal static void Software(Ctx* c, Insn* i, int vector, InterruptKind kind)
    {
        uint eip = c->S.Eip;
        c->S.Eip = eip + i->Next;
        c->TaskSwitched = 0;
        // After a committed task switch EIP is that of the new task.
        if (!Deliver(c, i, vector, kind, false, 0) && c->TaskSwitched == 0) c->S.Eip = eip;
    }

    /// <summary>INT n in virtual-8086 mode with CR4.VME and a clear bit in the redirection bitmap (SDM vol. 3, 20.3.1.1, methods 5 and 6).</summary>
    internal static bool DeliverV86(Ctx* c, Insn* i, int vector)
    {
        if (!Word(c, i, (uint)vector * 4, out uint offset) || !Word(c, i, ((uint)vector * 4) + 2, out uint selector)) return false;
        uint flags = Flags.Get(c);
        bool direct = (flags & Flags.Iopl) == Flags.Iopl;
        uint image = direct ? flags : (flags & ~Flags.If) | Flags.Iopl | ((flags & Flags.Vif) != 0 ? Flags.If : 0);
        var frame = new StackFrame(c->S.Ss, c->S.R[Gpr.Esp], 2, 3);
        frame.Push(image);
        frame.Push(c->S.Cs.Selector);
        frame.Push(c->S.Eip + i->Next);
        if (!frame.Probe(c, i, 0)) return false;
        CurrentStack.Set(c, frame.Write(c, i));
        c->S.SystemFlags &= ~(Flags.Tf | (direct ? Flags.If : Flags.Vif));
        SegmentLoad.LoadUnprotected(c, Seg.Cs, selector);
        c->S.Eip = offset;
        c->Delivered = 1;
        Modes.Changed(c);
        return true;
    }

    private static bool Word(Ctx* c, Insn* i, uint linear, out uint value)
    {
        ushort* p = Linear.Read<ushort>(c, i, linear);
        value = p != null ? *p : 0u;
        return p != null;
    }

    private static bool DeliverReal(Ctx* c, Insn* i, int vector)
    {
        if ((vector * 4) + 3 > c->S.Idtr.Limit) return Ctx.Fault(c, i, Vector.Gp, 0);
        if (!SystemWords.Read32(c, i, c->S.Idtr.Base + ((uint)vector * 4), out uint entry)) return false;
        var frame = new StackFrame(c->S.Ss, c->S.R[Gpr.Esp], 2, 0);
        frame.Push(Flags.Get(c));
        frame.Push(c->S.Cs.Selector);
        frame.Push(c->S.Eip);
        if (!frame.Probe(c, i, 0)) return false;
        if ((entry & 0xffff) > c->S.Cs.Limit) return Ctx.Fault(c, i, Vector.Gp, 0);
        CurrentStack.Set(c, frame.Write(c, i));
        c->S.SystemFlags &= ~(Flags.If | Flags.Tf | Flags.Rf | Flags.Ac);
        SegmentLoad.LoadUnprotected(c, Seg.Cs, entry >> 16);
        c->S.Eip = entry & 0xffff;
        Modes.Changed(c);
        return true;
    }

    private static bool DeliverProtected(Ctx* c, Insn* i, int vector, InterruptKind kind, bool hasError, uint error)
    {
        uint external = kind == InterruptKind.Software ? 0u : 1u;
        uint entryError = ((uint)vector * 8) | 2 | external;
        if ((vector * 8) + 7 > c->S.Idtr.Limit) return Ctx.Fault(c, i, Vector.Gp, entryError);
        Descriptor gate = default;
        if (!SystemWords.Read64(c, i, c->S.Idtr.Base + ((uint)vector * 8), out gate.Low, out gate.High)) return false;
        if (!gate.IsSystem || gate.Type is not (Descriptor.TypeTaskGate or Descriptor.TypeInterruptGate16 or Descriptor.TypeTrapGate16
            or Descriptor.TypeInterruptGate32 or Descriptor.TypeTrapGate32)) return Ctx.Fault(c, i, Vector.Gp, entryError);
        if (kind == InterruptKind.Software && gate.Dpl < c->S.Cpl) return Ctx.Fault(c, i, Vector.Gp, entryError);
        if (!gate.IsPresent) return Ctx.Fault(c, i, Vector.Np, entryError);
        if (gate.Type == Descriptor.TypeTaskGate)
        {
            return TaskSwitch.ThroughGate(c, i, gate.GateSelector, TaskSwitch.Reason.Interrupt, c->S.Eip, external, kind, vector, hasError, error);
        }

        uint selector = gate.GateSelector, codeError = (selector & 0xfffc) | external;
        if ((selector & 0xfffc) == 0) return Ctx.Fault(c, i, Vector.Gp, external);
        if (!Descriptors.Fetch(c, i, selector, Vector.Gp, external, out Descriptor code)) return false;
        if (!code.IsCode || code.Dpl > c->S.Cpl) return Ctx.Fault(c, i, Vector.Gp, codeError);
        if (!code.IsPresent) return Ctx.Fault(c, i, Vector.Np, codeError);

        bool v86 = Modes.IsV86(c), inward = !code.IsConforming && code.Dpl < c->S.Cpl;
        int level = inward ? code.Dpl : c->S.Cpl, size = (gate.Type & 8) != 0 ? 4 : 2;
        if (v86 && level != 0) return Ctx.Fault(c, i, Vector.Gp, codeError);
        Segment stack = c->S.Ss;
        uint esp = c->S.R[Gpr.Esp], stackError = 0;
        Descriptor stackDescriptor = default;
        if (inward)
        {
            if (!TaskSwitch.InnerStack(c, i, level, external, out uint stackSelector, out esp)) return false;
            if (!Descriptors.FetchStack(c, i, stackSelector, level, Vector.Ts, external, out stackDescriptor)) return false;
            stack = stackDescriptor.ToSegment(stackSelector);
            stackError = (stackSelector & 0xfffc) | external;
        }
        uint entry = gate.GateOffset;
        var frame = new StackFrame(stack, esp, size, level);
        if (v86)
        {
            frame.Push(c->S.Gs.Selector);
            frame.Push(c->S.Fs.Selector);
            frame.Push(c->S.Ds.Selector);
            frame.Push(c->S.Es.Selector);
        }
        if (inward)
        {
            frame.Push(c->S.Ss.Selector);
            frame.Push(c->S.R[Gpr.Esp]);
        }
        frame.Push(FlagsImage(c, kind, vector));
        frame.Push(c->S.Cs.Selector);
        frame.Push(c->S.Eip);
        if (hasError) frame.Push(error);
        if (!frame.Probe(c, i, inward ? stackError : external)) return false;
        if (entry > code.Limit) return Ctx.Fault(c, i, Vector.Gp, external);
        if (!Descriptors.MarkAccessed(c, i, code) || (inward && !Descriptors.MarkAccessed(c, i, stackDescriptor))) return false;

        esp = frame.Write(c, i);
        if (inward)
        {
            c->S.Ss = stack;
            if (v86)
            {
                c->S.Gs = c->S.Fs = c->S.Ds = c->S.Es = SegmentLoad.Null(0);
            }
        }
        CurrentStack.Set(c, esp);
        c->S.Cs = code.ToSegment((selector & 0xfffc) | (uint)level);
        c->S.Eip = entry;
        c->S.Cpl = (byte)level;
        c->S.SystemFlags &= ~(Flags.Tf | Flags.Vm | Flags.Rf | Flags.Nt
            | (gate.Type is Descriptor.TypeInterruptGate16 or Descriptor.TypeInterruptGate32 ? Flags.If : 0));
        Modes.Changed(c);
        return true;
    }

    /// <summary>EFLAGS as pushed: faults set RF, so that the return does not meet its instruction breakpoint again; #DB leaves it alone.</summary>
    internal static uint FlagsImage(Ctx* c, InterruptKind kind, int vector) =>
        Flags.Get(c) | (kind == InterruptKind.Fault && vector is not (Vector.Db or Vector.Df) ? Flags.Rf : 0);
}
