// ADD, ADC, SUB, SBB, CMP, INC, DEC, NEG, XADD, CMPXCHG, CMPXCHG8B (SDM vol. 1, 5.1.2; vol. 2).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

public static unsafe class Arithmetic
{
    public static void Rows(OpTable t)
    {
        Forms.AllBinary<Add>(t, [
            Code.Add_rm8_r8, Code.Add_rm16_r16, Code.Add_rm32_r32, Code.Add_r8_rm8, Code.Add_r16_rm16, Code.Add_r32_rm32,
            Code.Add_AL_imm8, Code.Add_AX_imm16, Code.Add_EAX_imm32, Code.Add_rm8_imm8, Code.Add_rm8_imm8_82,
            Code.Add_rm16_imm16, Code.Add_rm32_imm32, Code.Add_rm16_imm8, Code.Add_rm32_imm8]);
        Forms.AllBinary<Adc>(t, [
            Code.Adc_rm8_r8, Code.Adc_rm16_r16, Code.Adc_rm32_r32, Code.Adc_r8_rm8, Code.Adc_r16_rm16, Code.Adc_r32_rm32,
            Code.Adc_AL_imm8, Code.Adc_AX_imm16, Code.Adc_EAX_imm32, Code.Adc_rm8_imm8, Code.Adc_rm8_imm8_82,
            Code.Adc_rm16_imm16, Code.Adc_rm32_imm32, Code.Adc_rm16_imm8, Code.Adc_rm32_imm8]);
        Forms.AllBinary<Sub>(t, [
            Code.Sub_rm8_r8, Code.Sub_rm16_r16, Code.Sub_rm32_r32, Code.Sub_r8_rm8, Code.Sub_r16_rm16, Code.Sub_r32_rm32,
            Code.Sub_AL_imm8, Code.Sub_AX_imm16, Code.Sub_EAX_imm32, Code.Sub_rm8_imm8, Code.Sub_rm8_imm8_82,
            Code.Sub_rm16_imm16, Code.Sub_rm32_imm32, Code.Sub_rm16_imm8, Code.Sub_rm32_imm8]);
        Forms.AllBinary<Sbb>(t, [
            Code.Sbb_rm8_r8, Code.Sbb_rm16_r16, Code.Sbb_rm32_r32, Code.Sbb_r8_rm8, Code.Sbb_r16_rm16, Code.Sbb_r32_rm32,
            Code.Sbb_AL_imm8, Code.Sbb_AX_imm16, Code.Sbb_EAX_imm32, Code.Sbb_rm8_imm8, Code.Sbb_rm8_imm8_82,
            Code.Sbb_rm16_imm16, Code.Sbb_rm32_imm32, Code.Sbb_rm16_imm8, Code.Sbb_rm32_imm8]);
        Forms.AllBinary<Cmp>(t, [
            Code.Cmp_rm8_r8, Code.Cmp_rm16_r16, Code.Cmp_rm32_r32, Code.Cmp_r8_rm8, Code.Cmp_r16_rm16, Code.Cmp_r32_rm32,
            Code.Cmp_AL_imm8, Code.Cmp_AX_imm16, Code.Cmp_EAX_imm32, Code.Cmp_rm8_imm8, Code.Cmp_rm8_imm8_82,
            Code.Cmp_rm16_imm16, Code.Cmp_rm32_imm32, Code.Cmp_rm16_imm8, Code.Cmp_rm32_imm8]);

        Forms.Rm<Inc, byte>(t, Code.Inc_rm8, OpFlags.Lockable);
        Forms.Rm<Inc, ushort>(t, Code.Inc_rm16, OpFlags.Lockable);
        Forms.Rm<Inc, uint>(t, Code.Inc_rm32, OpFlags.Lockable);

        Forms.Rm<Dec, byte>(t, Code.Dec_rm8, OpFlags.Lockable);
        Forms.Rm<Dec, ushort>(t, Code.Dec_rm16, OpFlags.Lockable);
        Forms.Rm<Dec, uint>(t, Code.Dec_rm32, OpFlags.Lockable);

        Forms.Rm<Neg, byte>(t, Code.Neg_rm8, OpFlags.Lockable);
        Forms.Rm<Neg, ushort>(t, Code.Neg_rm16, OpFlags.Lockable);
        Forms.Rm<Neg, uint>(t, Code.Neg_rm32, OpFlags.Lockable);

        t.Add(Code.Inc_r16, &Forms.Reg<Inc, ushort>);
        t.Add(Code.Inc_r32, &Forms.Reg<Inc, uint>);
        t.Add(Code.Dec_r16, &Forms.Reg<Dec, ushort>);
        t.Add(Code.Dec_r32, &Forms.Reg<Dec, uint>);

        t.Add(Code.Xadd_rm8_r8, &XaddReg<byte>, &XaddMem<byte, Flat>, &XaddMem<byte, Seg32>, &XaddMem<byte, Seg16>, OpFlags.Lockable);
        t.Add(Code.Xadd_rm16_r16, &XaddReg<ushort>, &XaddMem<ushort, Flat>, &XaddMem<ushort, Seg32>, &XaddMem<ushort, Seg16>, OpFlags.Lockable);
        t.Add(Code.Xadd_rm32_r32, &XaddReg<uint>, &XaddMem<uint, Flat>, &XaddMem<uint, Seg32>, &XaddMem<uint, Seg16>, OpFlags.Lockable);
        t.Add(Code.Cmpxchg_rm8_r8, &CmpxchgReg<byte>, &CmpxchgMem<byte, Flat>, &CmpxchgMem<byte, Seg32>, &CmpxchgMem<byte, Seg16>, OpFlags.Lockable);
        t.Add(Code.Cmpxchg_rm16_r16, &CmpxchgReg<ushort>, &CmpxchgMem<ushort, Flat>, &CmpxchgMem<ushort, Seg32>, &CmpxchgMem<ushort, Seg16>, OpFlags.Lockable);
        t.Add(Code.Cmpxchg_rm32_r32, &CmpxchgReg<uint>, &CmpxchgMem<uint, Flat>, &CmpxchgMem<uint, Seg32>, &CmpxchgMem<uint, Seg16>, OpFlags.Lockable);
        t.Add(Code.Cmpxchg8b_m64, null, &Cmpxchg8b<Flat>, &Cmpxchg8b<Seg32>, &Cmpxchg8b<Seg16>, OpFlags.Lockable);
    }

    internal readonly struct Add : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a + b;
            Flags.Add<T>(c, a, b, result);
            return result;
        }
    }

    internal readonly struct Adc : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a + b + Flags.Carry(c);
            Flags.Add<T>(c, a, b, result);
            return result;
        }
    }

    internal readonly struct Sub : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a - b;
            Flags.Sub<T>(c, a, b, result);
            return result;
        }
    }

    internal readonly struct Sbb : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a - b - Flags.Carry(c);
            Flags.Sub<T>(c, a, b, result);
            return result;
        }
    }

    internal readonly struct Cmp : IBinary
    {
        public static bool Writes => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a - b;
            Flags.Sub<T>(c, a, b, result);
            return result;
        }
    }

    internal readonly struct Inc : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a) where T : unmanaged
        {
            uint result = a + 1;
            Flags.Increment<T>(c, a, result);
            return result;
        }
    }

    internal readonly struct Dec : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a) where T : unmanaged
        {
            uint result = a - 1;
            Flags.Decrement<T>(c, a, result);
            return result;
        }
    }

    internal readonly struct Neg : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a) where T : unmanaged
        {
            uint result = 0 - a;
            Flags.Sub<T>(c, 0, a, result);
            return result;
        }
    }

    private static void XaddReg<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint a = Operand.Get<T>(c, i->Dst), b = Operand.Get<T>(c, i->Src);
        Operand.Set<T>(c, i->Src, a);
        Operand.Set<T>(c, i->Dst, Add.Do<T>(c, a, b)); // last: it wins where both are one register
        i[1].Fn(c, i + 1);
    }

    private static void XaddMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Modify<T>(c, i);
        if (place == null) return;
        uint a = Operand.Load(place), b = Operand.Get<T>(c, i->Src);
        Linear.Commit(c, i, place, Operand.Narrow<T>(Add.Do<T>(c, a, b)));
        Operand.Set<T>(c, i->Src, a);
        i[1].Fn(c, i + 1);
    }

    private static void CmpxchgReg<T>(Ctx* c, Insn* i) where T : unmanaged
    {
        uint accumulator = Operand.Get<T>(c, 0), destination = Operand.Get<T>(c, i->Dst);
        uint source = Operand.Get<T>(c, i->Src);
        Cmp.Do<T>(c, accumulator, destination);
        if (accumulator == destination) Operand.Set<T>(c, i->Dst, source);
        else Operand.Set<T>(c, 0, destination);
        i[1].Fn(c, i + 1);
    }

    private static void CmpxchgMem<T, TMem>(Ctx* c, Insn* i) where T : unmanaged where TMem : struct, IOperandMemory
    {
        T* place = TMem.Modify<T>(c, i);
        if (place == null) return;
        uint accumulator = Operand.Get<T>(c, 0), destination = Operand.Load(place);
        Cmp.Do<T>(c, accumulator, destination);
        bool equal = accumulator == destination;
        // The destination is written in both cases (SDM vol. 2, CMPXCHG).
        Linear.Commit(c, i, place, Operand.Narrow<T>(equal ? Operand.Get<T>(c, i->Src) : destination));
        if (!equal) Operand.Set<T>(c, 0, destination);
        i[1].Fn(c, i + 1);
    }

    private static void Cmpxchg8b<TMem>(Ctx* c, Insn* i) where TMem : struct, IOperandMemory
    {
        ulong* place = TMem.Modify<ulong>(c, i);
        if (place == null) return;
        ulong expected = ((ulong)c->S.R[Gpr.Edx] << 32) | c->S.R[Gpr.Eax], destination = *place;
        bool equal = expected == destination;
        Linear.Commit(c, i, place, equal ? ((ulong)c->S.R[Gpr.Ecx] << 32) | c->S.R[Gpr.Ebx] : destination);
        if (!equal)
        {
            c->S.R[Gpr.Eax] = (uint)destination;
            c->S.R[Gpr.Edx] = (uint)(destination >> 32);
        }
        Flags.SetStatus(c, (Flags.Get(c) & ~Flags.Zf) | (equal ? Flags.Zf : 0)); // the other flags stay
        i[1].Fn(c, i + 1);
    }
}
