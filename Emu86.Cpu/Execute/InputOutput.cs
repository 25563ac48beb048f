// IN, OUT, INS, OUTS (SDM vol. 1, ch. 18; vol. 2).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class InputOutput
{
    public static void Rows(OpTable t)
    {
        const OpFlags ends = OpFlags.Ends;
        t.Add(Code.In_AL_imm8, &InImmediate<byte>, ends);
        t.Add(Code.In_AX_imm8, &InImmediate<ushort>, ends);
        t.Add(Code.In_EAX_imm8, &InImmediate<uint>, ends);
        t.Add(Code.In_AL_DX, &InRegister<byte>, ends);
        t.Add(Code.In_AX_DX, &InRegister<ushort>, ends);
        t.Add(Code.In_EAX_DX, &InRegister<uint>, ends);
        t.Add(Code.Out_imm8_AL, &OutImmediate<byte>, ends);
        t.Add(Code.Out_imm8_AX, &OutImmediate<ushort>, ends);
        t.Add(Code.Out_imm8_EAX, &OutImmediate<uint>, ends);
        t.Add(Code.Out_DX_AL, &OutRegister<byte>, ends);
        t.Add(Code.Out_DX_AX, &OutRegister<ushort>, ends);
        t.Add(Code.Out_DX_EAX, &OutRegister<uint>, ends);
        t.Add(Code.Insb_m8_DX, &InString<byte>, ends);
        t.Add(Code.Insw_m16_DX, &InString<ushort>, ends);
        t.Add(Code.Insd_m32_DX, &InString<uint>, ends);
        t.Add(Code.Outsb_DX_m8, &OutString<byte>, ends);
        t.Add(Code.Outsw_DX_m16, &OutString<ushort>, ends);
        t.Add(Code.Outsd_DX_m32, &OutString<uint>, ends);
    }

    /// <summary>IOPL, then the I/O permission bitmap of the TSS (SDM vol. 1, 18.5).</summary>
    private static bool Permitted(Ctx* c, Insn* i, ushort port, int size)
    {
        if (Modes.IsReal(c)) return true;
        if (!Modes.IsV86(c) && c->S.Cpl <= ((c->S.SystemFlags >> 12) & 3)) return true;
        return PermittedByMap(c, i, port, size);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool PermittedByMap(Ctx* c, Insn* i, ushort port, int size)
    {
        ref Segment tr = ref c->S.Tr;
        if ((tr.Attributes & 8) == 0 || tr.Limit < 0x67) return Ctx.Fault(c, i, Vector.Gp, 0);
        if (!SystemWords.Read16(c, i, tr.Base + 0x66, out uint map)) return false;
        uint at = map + ((uint)port >> 3);
        // Two bytes are always read: the bits of a wide port may straddle them.
        if (at + 1 > tr.Limit) return Ctx.Fault(c, i, Vector.Gp, 0);
        if (!SystemWords.Read16(c, i, tr.Base + at, out uint bits)) return false;
        uint mask = (1u << size) - 1;
        return ((bits >> (port & 7)) & mask) == 0 || Ctx.Fault(c, i, Vector.Gp, 0);
    }

    private static void InImmediate<T>(Ctx* c, Insn* i) where T : unmanaged => In<T>(c, i, (byte)i->Imm);

    private static void InRegister<T>(Ctx* c, Insn* i) where T : unmanaged => In<T>(c, i, (ushort)c->S.R[Gpr.Edx]);

    private static void OutImmediate<T>(Ctx* c, Insn* i) where T : unmanaged => Out<T>(c, i, (byte)i->Imm);

    private static void OutRegister<T>(Ctx* c, Insn* i) where T : unmanaged => Out<T>(c, i, (ushort)c->S.R[Gpr.Edx]);

    private static void In<T>(Ctx* c, Insn* i, ushort port) where T : unmanaged
    {
        if (!Permitted(c, i, port, sizeof(T))) return;
        c->Current = i;
        uint value = Ctx.ProcessorOf(c).Bus.ReadPort(port, sizeof(T));
        c->Current = null;
        Store<T>((T*)&c->S.R[Gpr.Eax], value);
        DebugUnit.OnPort(c, port, (uint)sizeof(T));
        Ending.NextAttentive(c, i);
    }

    private static void Out<T>(Ctx* c, Insn* i, ushort port) where T : unmanaged
    {
        if (!Permitted(c, i, port, sizeof(T))) return;
        c->Current = i;
        Ctx.ProcessorOf(c).Bus.WritePort(port, sizeof(T), Value(*(T*)&c->S.R[Gpr.Eax]));
        c->Current = null;
        DebugUnit.OnPort(c, port, (uint)sizeof(T));
        Ending.NextAttentive(c, i);
    }

    private static void Store<T>(T* place, uint value) where T : unmanaged
    {
        if (sizeof(T) == 1) *(byte*)place = (byte)value;
        else if (sizeof(T) == 2) *(ushort*)place = (ushort)value;
        else *(uint*)place = value;
    }

    private static uint Value<T>(T value) where T : unmanaged =>
        sizeof(T) == 1 ? Unsafe.BitCast<T, byte>(value) : sizeof(T) == 2 ? Unsafe.BitCast<T, ushort>(value) : Unsafe.BitCast<T, uint>(value);

    private static bool Repeats(Insn* i) => (i->Prefixes & (PrefixBits.Rep | PrefixBits.Repne)) != 0;

    /// <summary>All ones of the address size.</summary>
    private static uint AddressMask(Insn* i) => (i->Prefixes & PrefixBits.Address32) != 0 ? uint.MaxValue : 0xffff;

    /// <summary>Adds to an index or count register in the address size.</summary>
    private static void Advance(Ctx* c, int register, uint by, uint mask) =>
        c->S.R[register] = (c->S.R[register] & ~mask) | ((c->S.R[register] + by) & mask);

    /// <summary>What comes before the first iteration of INS and OUTS. False: there is none.</summary>
    private static bool Begins<T>(Ctx* c, Insn* i, ushort port, uint mask) where T : unmanaged
    {
        // Permission is asked for even when there is nothing to do (SDM vol. 2, INS, OUTS).
        if (!Permitted(c, i, port, sizeof(T))) return false;
        if (Repeats(i) && (c->S.R[Gpr.Ecx] & mask) == 0)
        {
            Ending.NextAttentive(c, i);
            return false;
        }
        // A device that moves a deadline or an interrupt line while this runs asks for attention: then the next iteration waits.
        c->Attention = 0;
        c->Current = i;
        return true;
    }

    private static void InString<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        ushort port = (ushort)c->S.R[Gpr.Edx];
        uint mask = AddressMask(i), step = (c->S.SystemFlags & Flags.Df) != 0 ? (uint)-sizeof(T) : (uint)sizeof(T);
        if (!Begins<T>(c, i, port, mask)) return;
        IProcessorBus bus = Ctx.ProcessorOf(c).Bus;
        Segment* es = &c->S.Es;
        while (true)
        {
            uint offset = c->S.R[Gpr.Edi] & mask, linear = es->Base + offset;
            // The port is read only when its value can be stored.
            bool writable = Segmented.MayWrite(es, offset, (uint)sizeof(T)) ? CanWrite<T>(c, i, linear) : Segmented.LimitFault(c, i, Seg.Es);
            if (!writable) break;
            uint value = bus.ReadPort(port, sizeof(T));
            if (!WriteWide<T>(c, i, linear, value)) break;
            Advance(c, Gpr.Edi, step, mask);
            if (Finished(c, i, mask, port, (uint)sizeof(T))) return;
        }
        // The fault (or the wish to be alone) stands; the iterations before it are done and counted.
        c->Current = null;
    }

    private static void OutString<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        ushort port = (ushort)c->S.R[Gpr.Edx];
        uint mask = AddressMask(i), step = (c->S.SystemFlags & Flags.Df) != 0 ? (uint)-sizeof(T) : (uint)sizeof(T);
        if (!Begins<T>(c, i, port, mask)) return;
        IProcessorBus bus = Ctx.ProcessorOf(c).Bus;
        while (true)
        {
            T* source = Segmented.Read<T>(c, i, i->Segment, c->S.R[Gpr.Esi] & mask);
            if (source == null) break;
            bus.WritePort(port, sizeof(T), Value(*source));
            Advance(c, Gpr.Esi, step, mask);
            if (Finished(c, i, mask, port, (uint)sizeof(T))) return;
        }
        // The fault (or the wish to be alone) stands; the iterations before it are done and counted.
        c->Current = null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool CanWrite<T>(Ctx* c, Insn* i, uint linear) where T : unmanaged
    {
        TlbEntry* e = c->Tlb + ((linear >> 12) & (TlbEntry.Entries - 1));
        return ((linear + (uint)(sizeof(T) - 1)) & 0xffff_f000) == e->TagWrite || SlowProbe(c, i, linear, (uint)sizeof(T));
    }

    private static bool SlowProbe(Ctx* c, Insn* i, uint linear, uint size)
    {
        if (c->AlignmentChecked != 0 && (linear & (size - 1)) != 0) return Ctx.Fault(c, i, Vector.Ac, 0);
        return SlowAccess.Probe(c, i, linear, size, true, supervisor: false);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool WriteWide<T>(Ctx* c, Insn* i, uint linear, uint value) where T : unmanaged =>
        sizeof(T) == 1 ? Linear.Write(c, i, linear, (byte)value)
        : sizeof(T) == 2 ? Linear.Write(c, i, linear, (ushort)value)
        : Linear.Write(c, i, linear, value);

    /// <summary>After an iteration: leaves the instruction when it is complete, and stands before it again when the next iteration
    /// must wait (count limit, attention). False: go on.</summary>
    private static bool Finished(Ctx* c, Insn* i, uint mask, ushort port, uint size)
    {
        bool repeats = Repeats(i);
        DebugUnit.OnPort(c, port, size);
        if (repeats) Advance(c, Gpr.Ecx, uint.MaxValue, mask);
        if (!repeats || (c->S.R[Gpr.Ecx] & mask) == 0)
        {
            c->Current = null;
            Ending.NextAttentive(c, i);
            return true;
        }
        // The block's count has room for one iteration, the last.
        if (c->Attention != 0 || Ctx.CountAt(c, i) + 1 >= c->Limit)
        {
            c->Current = null;
            c->S.Eip += i->Offset;
            c->Link = null;
            c->Attention = 1;
            return true;
        }
        c->S.Count++;
        return false;
    }
}
