// Far JMP, CALL and RET: other code segments, call gates, tasks (SDM vol. 3, 5.8; vol. 2, JMP, CALL, RET).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class FarTransfer
{
    public static void Rows(OpTable t)
    {
        const OpFlags ends = OpFlags.Ends;
        t.Add(Code.Jmp_ptr1616, &JumpPointer, ends);
        t.Add(Code.Jmp_ptr1632, &JumpPointer, ends);
        t.Add(Code.Call_ptr1616, &CallPointer<ushort>, ends);
        t.Add(Code.Call_ptr1632, &CallPointer<uint>, ends);
        t.Add(Code.Jmp_m1616, null, &JumpMemory<ushort, Flat>, &JumpMemory<ushort, Seg32>, &JumpMemory<ushort, Seg16>, ends);
        t.Add(Code.Jmp_m1632, null, &JumpMemory<uint, Flat>, &JumpMemory<uint, Seg32>, &JumpMemory<uint, Seg16>, ends);
        t.Add(Code.Call_m1616, null, &CallMemory<ushort, Flat>, &CallMemory<ushort, Seg32>, &CallMemory<ushort, Seg16>, ends);
        t.Add(Code.Call_m1632, null, &CallMemory<uint, Flat>, &CallMemory<uint, Seg32>, &CallMemory<uint, Seg16>, ends);
        t.Add(Code.Retfw, &Return16, ends);
        t.Add(Code.Retfd, &Return32, ends);
        t.Add(Code.Retfw_imm16, &Return16, ends);
        t.Add(Code.Retfd_imm16, &Return32, ends);
    }

    private static void JumpPointer(Ctx* c, Insn* i) => Jump(c, i, i->Imm2, i->Imm);

    private static void CallPointer<T>(Ctx* c, Insn* i) where T : unmanaged => Call(c, i, i->Imm2, i->Imm, sizeof(T));

    private static void JumpMemory<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        if (Operand<T, TMem>(c, i, out uint selector, out uint offset)) Jump(c, i, selector, offset);
    }

    private static void CallMemory<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        if (Operand<T, TMem>(c, i, out uint selector, out uint offset)) Call(c, i, selector, offset, sizeof(T));
    }

    private static bool Operand<T, TMem>(Ctx* c, Insn* i, out uint selector, out uint offset) where T : unmanaged where TMem : struct, IOperandMemory
    {
        selector = offset = 0;
        if (!TMem.Locate(c, i, 0, (uint)sizeof(T), false)) return false;
        T* p = Linear.Read<T>(c, i, c->Located);
        if (p == null) return false;
        offset = sizeof(T) == 2 ? Unsafe.BitCast<T, ushort>(*p) : Unsafe.BitCast<T, uint>(*p);
        if (!TMem.Locate(c, i, (uint)sizeof(T), 2, false)) return false;
        ushort* s = Linear.Read<ushort>(c, i, c->Located);
        if (s == null) return false;
        selector = *s;
        return true;
    }

    /// <summary>The code segment of a transfer that changes no privilege: type, DPL and presence.</summary>
    private static bool CheckCode(Ctx* c, Insn* i, uint selector, in Descriptor d)
    {
        uint error = selector & 0xfffc;
        bool allowed = d.IsConforming ? d.Dpl <= c->S.Cpl : (selector & 3) <= c->S.Cpl && d.Dpl == c->S.Cpl;
        if (!d.IsCode || !allowed) return Ctx.Fault(c, i, Vector.Gp, error);
        return d.IsPresent || Ctx.Fault(c, i, Vector.Np, error);
    }

    /// <summary>Commits the new CS:EIP; CPL becomes <paramref name="level"/>.</summary>
    private static void Enter(Ctx* c, uint selector, in Descriptor d, int level, uint eip)
    {
        c->S.Cs = d.ToSegment((selector & 0xfffc) | (uint)level);
        c->S.Cpl = (byte)level;
        c->S.Eip = eip;
        Modes.Changed(c);
    }

    private static void EnterUnprotected(Ctx* c, uint selector, uint eip)
    {
        SegmentLoad.LoadUnprotected(c, Seg.Cs, selector);
        c->S.Eip = eip;
        Modes.Changed(c);
    }

    private static void Jump(Ctx* c, Insn* i, uint selector, uint offset)
    {
        if (!Modes.IsProtected(c))
        {
            if (offset > c->S.Cs.Limit) Ctx.Fault(c, i, Vector.Gp, 0);
            else EnterUnprotected(c, selector, offset);
            return;
        }
        if ((selector & 0xfffc) == 0)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        if (!Descriptors.Fetch(c, i, selector, Vector.Gp, 0, out Descriptor d)) return;
        if (d.IsSystem)
        {
            JumpSystem(c, i, selector, d);
            return;
        }
        if (!CheckCode(c, i, selector, d)) return;
        if (offset > d.Limit) Ctx.Fault(c, i, Vector.Gp, 0);
        else if (Descriptors.MarkAccessed(c, i, d)) Enter(c, selector, d, c->S.Cpl, offset);
    }

    private static void JumpSystem(Ctx* c, Insn* i, uint selector, in Descriptor d)
    {
        if (!CheckSystem(c, i, selector, d)) return;
        if (d.Type is Descriptor.TypeTss16 or Descriptor.TypeTss32 or Descriptor.TypeTaskGate)
        {
            SwitchTask(c, i, selector, d, TaskSwitch.Reason.Jump);
            return;
        }
        if (!GateTarget(c, i, d, out Descriptor code)) return;
        uint target = d.GateSelector, error = target & 0xfffc;
        if (code.IsConforming ? code.Dpl > c->S.Cpl : code.Dpl != c->S.Cpl) Ctx.Fault(c, i, Vector.Gp, error);
        else if (!code.IsPresent) Ctx.Fault(c, i, Vector.Np, error);
        else if (d.GateOffset > code.Limit) Ctx.Fault(c, i, Vector.Gp, 0);
        else if (Descriptors.MarkAccessed(c, i, code)) Enter(c, target, code, c->S.Cpl, d.GateOffset);
    }

    /// <summary>Gates and TSS: type, DPL and presence.</summary>
    private static bool CheckSystem(Ctx* c, Insn* i, uint selector, in Descriptor d)
    {
        uint error = selector & 0xfffc;
        bool known = d.Type is Descriptor.TypeCallGate16 or Descriptor.TypeCallGate32 or Descriptor.TypeTaskGate or Descriptor.TypeTss16 or Descriptor.TypeTss32;
        if (!known || d.Dpl < c->S.Cpl || d.Dpl < (selector & 3)) return Ctx.Fault(c, i, Vector.Gp, error);
        return d.IsPresent || Ctx.Fault(c, i, Vector.Np, error);
    }

    private static void SwitchTask(Ctx* c, Insn* i, uint selector, in Descriptor d, TaskSwitch.Reason reason)
    {
        uint next = c->S.Eip + i->Next;
        if (d.Type == Descriptor.TypeTaskGate) TaskSwitch.ThroughGate(c, i, d.GateSelector, reason, next, 0);
        else if ((selector & 4) != 0) Ctx.Fault(c, i, Vector.Gp, selector & 0xfffc);
        else TaskSwitch.Switch(c, i, selector, d, reason, next, 0, InterruptKind.Software, 0, false, 0);
    }

    /// <summary>The code segment behind a call gate.</summary>
    private static bool GateTarget(Ctx* c, Insn* i, in Descriptor gate, out Descriptor code)
    {
        uint target = gate.GateSelector;
        code = default;
        if ((target & 0xfffc) == 0) return Ctx.Fault(c, i, Vector.Gp, 0);
        if (!Descriptors.Fetch(c, i, target, Vector.Gp, 0, out code)) return false;
        return (code.IsCode && code.Dpl <= c->S.Cpl) || Ctx.Fault(c, i, Vector.Gp, target & 0xfffc);
    }

    private static void Call(Ctx* c, Insn* i, uint selector, uint offset, int size)
    {
        uint next = c->S.Eip + i->Next;
        if (!Modes.IsProtected(c))
        {
            var frame = new StackFrame(c->S.Ss, c->S.R[Gpr.Esp], size, c->S.Cpl);
            frame.Push(c->S.Cs.Selector);
            frame.Push(next);
            if (!frame.Probe(c, i, 0)) return;
            if (offset > c->S.Cs.Limit)
            {
                Ctx.Fault(c, i, Vector.Gp, 0);
                return;
            }
            CurrentStack.Set(c, frame.Write(c, i));
            EnterUnprotected(c, selector, offset);
            return;
        }
        if ((selector & 0xfffc) == 0)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        if (!Descriptors.Fetch(c, i, selector, Vector.Gp, 0, out Descriptor d)) return;
        if (!d.IsSystem)
        {
            if (CheckCode(c, i, selector, d)) CallSameLevel(c, i, selector, d, offset, size, next);
            return;
        }
        if (!CheckSystem(c, i, selector, d)) return;
        if (d.Type is Descriptor.TypeTss16 or Descriptor.TypeTss32 or Descriptor.TypeTaskGate)
        {
            SwitchTask(c, i, selector, d, TaskSwitch.Reason.Call);
            return;
        }
        if (!GateTarget(c, i, d, out Descriptor code)) return;
        uint target = d.GateSelector;
        if (!code.IsPresent)
        {
            Ctx.Fault(c, i, Vector.Np, target & 0xfffc);
            return;
        }
        size = d.Type == Descriptor.TypeCallGate32 ? 4 : 2;
        if (!code.IsConforming && code.Dpl < c->S.Cpl) CallInward(c, i, d, code, size, next);
        else CallSameLevel(c, i, target, code, d.GateOffset, size, next);
    }

    private static void CallSameLevel(Ctx* c, Insn* i, uint selector, in Descriptor code, uint offset, int size, uint next)
    {
        var frame = new StackFrame(c->S.Ss, c->S.R[Gpr.Esp], size, c->S.Cpl);
        frame.Push(c->S.Cs.Selector);
        frame.Push(next);
        if (!frame.Probe(c, i, 0)) return;
        if (offset > code.Limit)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        if (!Descriptors.MarkAccessed(c, i, code)) return;
        CurrentStack.Set(c, frame.Write(c, i));
        Enter(c, selector, code, c->S.Cpl, offset);
    }

    /// <summary>Through a call gate to a more privileged level: its stack comes from the TSS, parameters are copied.</summary>
    private static void CallInward(Ctx* c, Insn* i, in Descriptor gate, in Descriptor code, int size, uint next)
    {
        int level = code.Dpl;
        if (!TaskSwitch.InnerStack(c, i, level, 0, out uint stackSelector, out uint esp)) return;
        if (!Descriptors.FetchStack(c, i, stackSelector, level, Vector.Ts, 0, out Descriptor stackDescriptor)) return;
        Segment stack = stackDescriptor.ToSegment(stackSelector);
        var frame = new StackFrame(stack, esp, size, level);
        frame.Push(c->S.Ss.Selector);
        frame.Push(c->S.R[Gpr.Esp]);
        for (int n = gate.GateParameters - 1; n >= 0; n--)
        {
            if (!CurrentStack.Read(c, i, (uint)(n * size), size, out uint parameter)) return;
            frame.Push(parameter);
        }
        frame.Push(c->S.Cs.Selector);
        frame.Push(next);
        if (!frame.Probe(c, i, stackSelector & 0xfffc)) return;
        if (gate.GateOffset > code.Limit)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        if (!Descriptors.MarkAccessed(c, i, code) || !Descriptors.MarkAccessed(c, i, stackDescriptor)) return;
        esp = frame.Write(c, i);
        c->S.Ss = stack;
        CurrentStack.Set(c, esp);
        Enter(c, gate.GateSelector, code, level, gate.GateOffset);
    }

    private static void Return16(Ctx* c, Insn* i) => Return(c, i, 2);

    private static void Return32(Ctx* c, Insn* i) => Return(c, i, 4);

    private static void Return(Ctx* c, Insn* i, int size)
    {
        uint release = i->Imm & 0xffff;
        // CS first and of 16 bits only, as processors do: seen at the border of a page or segment.
        if (!CurrentStack.Read(c, i, (uint)size, 2, out uint selector) || !CurrentStack.Read(c, i, 0, size, out uint eip)) return;
        selector &= 0xffff;
        if (!Modes.IsProtected(c))
        {
            if (eip > c->S.Cs.Limit)
            {
                Ctx.Fault(c, i, Vector.Gp, 0);
                return;
            }
            CurrentStack.Drop(c, (uint)(2 * size) + release);
            EnterUnprotected(c, selector, eip);
            return;
        }
        if (!CheckReturn(c, i, selector, out Descriptor code)) return;
        int level = (int)(selector & 3);
        if (level == c->S.Cpl)
        {
            if (eip > code.Limit)
            {
                Ctx.Fault(c, i, Vector.Gp, 0);
                return;
            }
            if (!Descriptors.MarkAccessed(c, i, code)) return;
            CurrentStack.Drop(c, (uint)(2 * size) + release);
            Enter(c, selector, code, level, eip);
            return;
        }
        if (!CurrentStack.Read(c, i, (uint)(2 * size) + release, size, out uint esp)
            || !CurrentStack.Read(c, i, (uint)(3 * size) + release, size, out uint stackSelector)) return;
        if (!ReturnOutward(c, i, selector, code, eip, stackSelector & 0xffff, esp)) return;
        CurrentStack.Drop(c, release);
    }

    /// <summary>The code segment of a far return or IRET: never to a more privileged level.</summary>
    public static bool CheckReturn(Ctx* c, Insn* i, uint selector, out Descriptor code)
    {
        uint error = selector & 0xfffc, level = selector & 3;
        code = default;
        if (error == 0) return Ctx.Fault(c, i, Vector.Gp, 0);
        if (!Descriptors.Fetch(c, i, selector, Vector.Gp, 0, out code)) return false;
        if (!code.IsCode || level < c->S.Cpl || (code.IsConforming ? code.Dpl > level : code.Dpl != level)) return Ctx.Fault(c, i, Vector.Gp, error);
        return code.IsPresent || Ctx.Fault(c, i, Vector.Np, error);
    }

    /// <summary>A return to a less privileged level with its stack.</summary>
    public static bool ReturnOutward(Ctx* c, Insn* i, uint selector, in Descriptor code, uint eip, uint stackSelector, uint esp)
    {
        int level = (int)(selector & 3);
        if (!Descriptors.FetchStack(c, i, stackSelector, level, Vector.Gp, 0, out Descriptor stack)) return false;
        if (eip > code.Limit) return Ctx.Fault(c, i, Vector.Gp, 0);
        if (!Descriptors.MarkAccessed(c, i, code) || !Descriptors.MarkAccessed(c, i, stack)) return false;
        c->S.Ss = stack.ToSegment(stackSelector);
        CurrentStack.Set(c, esp);
        c->S.Cpl = (byte)level;
        SegmentLoad.DropInaccessible(c);
        Enter(c, selector, code, level, eip);
        return true;
    }
}
