// MOVS, CMPS, SCAS, LODS, STOS with and without REP (SDM vol. 1, 7.3.9; vol. 2, REP). INS and OUTS are in InputOutput.
//
// A repeated instruction counts 1 per iteration and every iteration is a boundary: it runs to its end, to the limit of
// the engine or to a fault, and in each case registers, memory and count are those of a whole number of iterations.
// Runs of MOVS and STOS inside a page are done in bulk; nobody can tell.
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

public static unsafe class Strings
{
    public static void Rows(OpTable t)
    {
        All<Movs>(t, Code.Movsb_m8_m8, Code.Movsw_m16_m16, Code.Movsd_m32_m32);
        All<Cmps>(t, Code.Cmpsb_m8_m8, Code.Cmpsw_m16_m16, Code.Cmpsd_m32_m32);
        All<Scas>(t, Code.Scasb_AL_m8, Code.Scasw_AX_m16, Code.Scasd_EAX_m32);
        All<Lods>(t, Code.Lodsb_AL_m8, Code.Lodsw_AX_m16, Code.Lodsd_EAX_m32);
        All<Stos>(t, Code.Stosb_m8_AL, Code.Stosw_m16_AX, Code.Stosd_m32_EAX);
    }

    private static void All<TOp>(OpTable t, Code code8, Code code16, Code code32) where TOp : struct, IString
    {
        t.Add(code8, &Execute<TOp, byte>, OpFlags.Repeats);
        t.Add(code16, &Execute<TOp, ushort>, OpFlags.Repeats);
        t.Add(code32, &Execute<TOp, uint>, OpFlags.Repeats);
    }

    internal interface IString
    {
        /// <summary>REPE and REPNE look at ZF after each iteration (CMPS, SCAS).</summary>
        static abstract bool Compares { get; }

        /// <summary>One iteration, index registers and flags included; false: stop, nothing was changed.</summary>
        static abstract bool One<T>(Ctx* c, Insn* i) where T : unmanaged;

        /// <summary>Up to <paramref name="count"/> iterations at once where that is possible; returns how many were done.
        /// Cannot fault.</summary>
        static abstract uint Bulk<T>(Ctx* c, Insn* i, uint count) where T : unmanaged;
    }

    private static void Execute<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IString where T : unmanaged
    {
        if ((i->Prefixes & (PrefixBits.Rep | PrefixBits.Repne)) != 0)
        {
            Repeat<TOp, T>(c, i);
            return;
        }
        if (!TOp.One<T>(c, i)) return;
        i[1].Fn(c, i + 1);
    }

    private static void Repeat<TOp, T>(Ctx* c, Insn* i) where TOp : struct, IString where T : unmanaged
    {
        uint count = c->S.R[Gpr.Ecx] & AddressMask(i);
        if (count == 0)
        {
            ControlFlow.FallThrough(c, i);
            return;
        }
        ulong room = c->Limit - Ctx.CountAt(c, i);
        Check.That(room - 1 < ulong.MaxValue / 2);
        uint most = room < count ? (uint)room : count, done = 0;
        bool ended = false, stopped = false;
        while (done < most && !ended)
        {
            uint some = TOp.Bulk<T>(c, i, most - done);
            if (some == 0)
            {
                stopped = !TOp.One<T>(c, i);
                if (stopped) break;
                some = 1;
            }
            done += some;
            ended = TOp.Compares && Flags.ZfOf(c) != ((i->Prefixes & PrefixBits.Repne) == 0);
        }
        AddMasked(c, i, Gpr.Ecx, 0 - done);
        if (stopped)
        {
            c->S.Count += done;
            return;
        }
        c->S.Count += done - 1;
        if (ended || done == count)
        {
            ControlFlow.FallThrough(c, i);
            return;
        }
        c->S.Eip += i->Offset;
        c->Link = null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint AddressMask(Insn* i) => (i->Prefixes & PrefixBits.Address32) != 0 ? uint.MaxValue : 0xffff;

    /// <summary>Adds to ECX, ESI or EDI, or to their low halves with 16-bit addresses.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddMasked(Ctx* c, Insn* i, int register, uint amount)
    {
        uint mask = AddressMask(i), value = c->S.R[register];
        c->S.R[register] = (value & ~mask) | ((value + amount) & mask);
    }

    /// <summary>Moves an index register over <paramref name="count"/> elements in the direction of DF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Advance<T>(Ctx* c, Insn* i, int register, uint count) where T : unmanaged
    {
        uint bytes = count * (uint)sizeof(T);
        AddMasked(c, i, register, (c->S.SystemFlags & Flags.Df) != 0 ? 0 - bytes : bytes);
    }

    private static bool IsFlat(Ctx* c, int segment) =>
        (c->Mode & BlockMode.Flat) != 0 && (segment == Seg.Ds || segment == Seg.Es || segment == Seg.Ss);

    /// <summary>Reads the element at the segment's offset; null: stop.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T* Element<T>(Ctx* c, Insn* i, int segment, int register) where T : unmanaged
    {
        uint offset = c->S.R[register] & AddressMask(i);
        return IsFlat(c, segment) ? Linear.Read<T>(c, i, offset) : Segmented.Read<T>(c, i, segment, offset);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Store<T>(Ctx* c, Insn* i, uint value) where T : unmanaged
    {
        uint offset = c->S.R[Gpr.Edi] & AddressMask(i);
        return IsFlat(c, Seg.Es)
            ? Linear.Write(c, i, offset, Operand.Narrow<T>(value))
            : Segmented.Write(c, i, Seg.Es, offset, Operand.Narrow<T>(value));
    }

    /// <summary>How many of <paramref name="count"/> elements going up from an index register lie in its page and before its wrap.</summary>
    private static uint Run<T>(Ctx* c, Insn* i, int segment, int register, uint count) where T : unmanaged
    {
        uint mask = AddressMask(i), offset = c->S.R[register] & mask;
        uint inPage = 4096 - ((Ctx.SegmentOf(c, segment)->Base + offset) & 0xfff), beforeWrap = mask - offset;
        // beforeWrap is one byte short, so that it cannot overflow; the last element then goes alone.
        return uint.Min(count, uint.Min(inPage, beforeWrap) / (uint)sizeof(T));
    }

    /// <summary>Host address of <paramref name="bytes"/> bytes in one page, for direct access; null where anything about them is special.</summary>
    private static byte* Direct(Ctx* c, Insn* i, int segment, int register, uint bytes, bool write)
    {
        uint offset = c->S.R[register] & AddressMask(i);
        Segment* s = Ctx.SegmentOf(c, segment);
        if (!(write ? Segmented.MayWrite(s, offset, bytes) : Segmented.MayRead(s, offset, bytes))) return null;
        uint linear = s->Base + offset;
        TlbEntry* e = c->Tlb + ((linear >> 12) & (TlbEntry.Entries - 1));
        return (write ? e->TagWrite : e->TagRead) == (linear & 0xffff_f000) ? (byte*)(e->Addend + (nint)linear) : null;
    }

    internal readonly struct Movs : IString
    {
        public static bool Compares => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool One<T>(Ctx* c, Insn* i) where T : unmanaged
        {
            T* source = Element<T>(c, i, i->Segment, Gpr.Esi);
            if (source == null || !Store<T>(c, i, Operand.Load(source))) return false;
            Advance<T>(c, i, Gpr.Esi, 1);
            Advance<T>(c, i, Gpr.Edi, 1);
            return true;
        }

        public static uint Bulk<T>(Ctx* c, Insn* i, uint count) where T : unmanaged
        {
            if ((c->S.SystemFlags & Flags.Df) != 0) return 0;
            count = Run<T>(c, i, Seg.Es, Gpr.Edi, Run<T>(c, i, i->Segment, Gpr.Esi, count));
            if (count < 2) return 0;
            uint bytes = count * (uint)sizeof(T);
            byte* source = Direct(c, i, i->Segment, Gpr.Esi, bytes, write: false);
            byte* destination = Direct(c, i, Seg.Es, Gpr.Edi, bytes, write: true);
            if (source == null || destination == null) return 0;
            if ((nuint)(destination - source) >= bytes)
            {
                Buffer.MemoryCopy(source, destination, bytes, bytes);
            }
            else
            {
                // The destination begins inside the source: elements that were just written are read again.
                for (uint n = 0; n < count; n++) ((T*)destination)[n] = ((T*)source)[n];
            }
            Advance<T>(c, i, Gpr.Esi, count);
            Advance<T>(c, i, Gpr.Edi, count);
            return count;
        }
    }

    internal readonly struct Stos : IString
    {
        public static bool Compares => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool One<T>(Ctx* c, Insn* i) where T : unmanaged
        {
            if (!Store<T>(c, i, c->S.R[Gpr.Eax])) return false;
            Advance<T>(c, i, Gpr.Edi, 1);
            return true;
        }

        public static uint Bulk<T>(Ctx* c, Insn* i, uint count) where T : unmanaged
        {
            if ((c->S.SystemFlags & Flags.Df) != 0) return 0;
            count = Run<T>(c, i, Seg.Es, Gpr.Edi, count);
            if (count < 2) return 0;
            byte* destination = Direct(c, i, Seg.Es, Gpr.Edi, count * (uint)sizeof(T), write: true);
            if (destination == null) return 0;
            new Span<T>(destination, (int)count).Fill(Operand.Narrow<T>(c->S.R[Gpr.Eax]));
            Advance<T>(c, i, Gpr.Edi, count);
            return count;
        }
    }

    internal readonly struct Lods : IString
    {
        public static bool Compares => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool One<T>(Ctx* c, Insn* i) where T : unmanaged
        {
            T* source = Element<T>(c, i, i->Segment, Gpr.Esi);
            if (source == null) return false;
            Operand.Set<T>(c, 0, Operand.Load(source));
            Advance<T>(c, i, Gpr.Esi, 1);
            return true;
        }

        public static uint Bulk<T>(Ctx* c, Insn* i, uint count) where T : unmanaged => 0;
    }

    internal readonly struct Scas : IString
    {
        public static bool Compares => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool One<T>(Ctx* c, Insn* i) where T : unmanaged
        {
            T* element = Element<T>(c, i, Seg.Es, Gpr.Edi);
            if (element == null) return false;
            Arithmetic.Cmp.Do<T>(c, Operand.Get<T>(c, 0), Operand.Load(element));
            Advance<T>(c, i, Gpr.Edi, 1);
            return true;
        }

        public static uint Bulk<T>(Ctx* c, Insn* i, uint count) where T : unmanaged => 0;
    }

    internal readonly struct Cmps : IString
    {
        public static bool Compares => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool One<T>(Ctx* c, Insn* i) where T : unmanaged
        {
            // The order is seen when both fault; it is that of Intel's processors.
            T* second = Element<T>(c, i, Seg.Es, Gpr.Edi);
            if (second == null) return false;
            uint value = Operand.Load(second);
            T* first = Element<T>(c, i, i->Segment, Gpr.Esi);
            if (first == null) return false;
            Arithmetic.Cmp.Do<T>(c, Operand.Load(first), value);
            Advance<T>(c, i, Gpr.Esi, 1);
            Advance<T>(c, i, Gpr.Edi, 1);
            return true;
        }

        public static uint Bulk<T>(Ctx* c, Insn* i, uint count) where T : unmanaged => 0;
    }
}
