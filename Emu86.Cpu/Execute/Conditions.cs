// The sixteen conditions of Jcc, SETcc and CMOVcc (SDM vol. 1, appendix B), as type parameters.
using System.Runtime.CompilerServices;

namespace Emu86.Cpu.Execute;

internal unsafe interface ICondition
{
    static abstract bool Holds(Ctx* c);
}

internal static unsafe class Conditions
{
    public readonly struct O : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.OfOf(c);
    }

    public readonly struct No : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => !Flags.OfOf(c);
    }

    public readonly struct B : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.CfOf(c);
    }

    public readonly struct Ae : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => !Flags.CfOf(c);
    }

    public readonly struct E : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.ZfOf(c);
    }

    public readonly struct Ne : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => !Flags.ZfOf(c);
    }

    public readonly struct Be : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.CfOf(c) | Flags.ZfOf(c);
    }

    public readonly struct A : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => !(Flags.CfOf(c) | Flags.ZfOf(c));
    }

    public readonly struct S : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.SfOf(c);
    }

    public readonly struct Ns : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => !Flags.SfOf(c);
    }

    public readonly struct P : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.PfOf(c);
    }

    public readonly struct Np : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => !Flags.PfOf(c);
    }

    public readonly struct L : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.SfOf(c) != Flags.OfOf(c);
    }

    public readonly struct Ge : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.SfOf(c) == Flags.OfOf(c);
    }

    public readonly struct Le : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => Flags.ZfOf(c) | (Flags.SfOf(c) != Flags.OfOf(c));
    }

    public readonly struct G : ICondition
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Holds(Ctx* c) => !(Flags.ZfOf(c) | (Flags.SfOf(c) != Flags.OfOf(c)));
    }
}
