// AND, OR, XOR, NOT, TEST (SDM vol. 1, 5.1.4).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

public static unsafe class Logic
{
    public static void Rows(OpTable t)
    {
        Forms.AllBinary<And>(t, [
            Code.And_rm8_r8, Code.And_rm16_r16, Code.And_rm32_r32, Code.And_r8_rm8, Code.And_r16_rm16, Code.And_r32_rm32,
            Code.And_AL_imm8, Code.And_AX_imm16, Code.And_EAX_imm32, Code.And_rm8_imm8, Code.And_rm8_imm8_82,
            Code.And_rm16_imm16, Code.And_rm32_imm32, Code.And_rm16_imm8, Code.And_rm32_imm8]);
        Forms.AllBinary<Or>(t, [
            Code.Or_rm8_r8, Code.Or_rm16_r16, Code.Or_rm32_r32, Code.Or_r8_rm8, Code.Or_r16_rm16, Code.Or_r32_rm32,
            Code.Or_AL_imm8, Code.Or_AX_imm16, Code.Or_EAX_imm32, Code.Or_rm8_imm8, Code.Or_rm8_imm8_82,
            Code.Or_rm16_imm16, Code.Or_rm32_imm32, Code.Or_rm16_imm8, Code.Or_rm32_imm8]);
        Forms.AllBinary<Xor>(t, [
            Code.Xor_rm8_r8, Code.Xor_rm16_r16, Code.Xor_rm32_r32, Code.Xor_r8_rm8, Code.Xor_r16_rm16, Code.Xor_r32_rm32,
            Code.Xor_AL_imm8, Code.Xor_AX_imm16, Code.Xor_EAX_imm32, Code.Xor_rm8_imm8, Code.Xor_rm8_imm8_82,
            Code.Xor_rm16_imm16, Code.Xor_rm32_imm32, Code.Xor_rm16_imm8, Code.Xor_rm32_imm8]);

        Forms.Rm<Not, byte>(t, Code.Not_rm8, OpFlags.Lockable);
        Forms.Rm<Not, ushort>(t, Code.Not_rm16, OpFlags.Lockable);
        Forms.Rm<Not, uint>(t, Code.Not_rm32, OpFlags.Lockable);

        Forms.RmReg<Test, byte>(t, Code.Test_rm8_r8);
        Forms.RmReg<Test, ushort>(t, Code.Test_rm16_r16);
        Forms.RmReg<Test, uint>(t, Code.Test_rm32_r32);
        t.Add(Code.Test_AL_imm8, &Forms.RegImm<Test, byte>);
        t.Add(Code.Test_AX_imm16, &Forms.RegImm<Test, ushort>);
        t.Add(Code.Test_EAX_imm32, &Forms.RegImm<Test, uint>);
        Forms.RmImm<Test, byte>(t, Code.Test_rm8_imm8);
        Forms.RmImm<Test, byte>(t, Code.Test_rm8_imm8_F6r1);
        Forms.RmImm<Test, ushort>(t, Code.Test_rm16_imm16);
        Forms.RmImm<Test, ushort>(t, Code.Test_rm16_imm16_F7r1);
        Forms.RmImm<Test, uint>(t, Code.Test_rm32_imm32);
        Forms.RmImm<Test, uint>(t, Code.Test_rm32_imm32_F7r1);
    }

    internal readonly struct And : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a & b;
            Flags.Logic<T>(c, result);
            return result;
        }
    }

    internal readonly struct Or : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a | b;
            Flags.Logic<T>(c, result);
            return result;
        }
    }

    internal readonly struct Xor : IBinary
    {
        public static bool Writes => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a ^ b;
            Flags.Logic<T>(c, result);
            return result;
        }
    }

    internal readonly struct Test : IBinary
    {
        public static bool Writes => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a, uint b) where T : unmanaged
        {
            uint result = a & b;
            Flags.Logic<T>(c, result);
            return result;
        }
    }

    /// <summary>The only one here that leaves the flags alone.</summary>
    internal readonly struct Not : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static uint Do<T>(Ctx* c, uint a) where T : unmanaged => ~a;
    }
}
