// Debug registers, breakpoints and single step (SDM vol. 3, ch. 17).
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

public static unsafe class DebugUnit
{
    private const uint SingleStep = 0x4000, DetectedAccess = 0x2000, GeneralDetect = 0x2000;

    private const int TypeExecute = 0, TypeWrite = 1, TypePort = 2, TypeAccess = 3;

    public static void Rows(OpTable t)
    {
        t.Add(Code.Mov_r32_dr, &Store, OpFlags.Privileged);
        t.Add(Code.Mov_dr_r32, &Load, OpFlags.Privileged | OpFlags.Ends);
    }

    /// <summary>Whether an instruction or data breakpoint is enabled: then instructions run one by one, looked at before and after.</summary>
    public static bool Armed(Ctx* c)
    {
        if ((c->S.Dr[7] & 0xff) == 0) return false;
        for (int n = 0; n < 4; n++)
        {
            if (Enabled(c, n) && Type(c, n) != TypePort) return true;
        }
        return false;
    }

    /// <summary>Whether a data breakpoint lies in a linear page, so that its accesses must come to <see cref="OnData"/>.</summary>
    public static bool PageWatched(Ctx* c, uint linearPage)
    {
        if ((c->S.Dr[7] & 0xff) == 0) return false;
        for (int n = 0; n < 4; n++)
        {
            if (Enabled(c, n) && Type(c, n) is TypeWrite or TypeAccess && (c->S.Dr[n] & 0xffff_f000) == linearPage) return true;
        }
        return false;
    }

    /// <summary>A data access in a watched page took place; breakpoints that it meets trap after the instruction.</summary>
    public static void OnData(Ctx* c, uint linear, uint size, bool write)
    {
        for (int n = 0; n < 4; n++)
        {
            bool kind = Type(c, n) == TypeAccess || (write && Type(c, n) == TypeWrite);
            if (kind && Enabled(c, n) && Meets(c, n, linear, size)) Trap(c, 1u << n);
        }
    }

    /// <summary>An I/O access took place (CR4.DE).</summary>
    public static void OnPort(Ctx* c, ushort port, uint size)
    {
        if ((c->S.Dr[7] & 0xff) == 0 || (c->S.Cr4 & Modes.Cr4De) == 0) return;
        for (int n = 0; n < 4; n++)
        {
            if (Enabled(c, n) && Type(c, n) == TypePort && Meets(c, n, port, size)) Trap(c, 1u << n);
        }
    }

    /// <summary>Before an instruction that is looked at. False: an instruction breakpoint was met, #DB is raised. Takes RF back:
    /// it is for this one instruction only (every fault that the instruction raises sets it again).</summary>
    public static bool CheckInstruction(Ctx* c)
    {
        c->Delivered = 0;
        bool resumed = (c->S.SystemFlags & Flags.Rf) != 0;
        c->S.SystemFlags &= ~Flags.Rf;
        if (resumed || c->S.DebugShadow != 0 || (c->S.Dr[7] & 0xff) == 0) return true;
        uint linear = c->S.Cs.Base + c->S.Eip, met = 0;
        for (int n = 0; n < 4; n++)
        {
            if (Enabled(c, n) && Type(c, n) == TypeExecute && c->S.Dr[n] == linear) met |= 1u << n;
        }
        if (met == 0) return true;
        c->S.Dr[6] |= met;
        return Ctx.Fault(c, null, Vector.Db);
    }

    /// <summary>After an instruction that was looked at and completed.</summary>
    /// <param name="traced">TF was set when it began.</param>
    /// <param name="eip">EIP when it began.</param>
    public static void AfterInstruction(Ctx* c, bool traced, uint eip)
    {
        // INT n and its like clear TF before the trap is taken.
        if (traced && c->Delivered == 0) Trap(c, SingleStep);
        // Further iterations of a string instruction do not meet its breakpoint again, and a trap between them tells so.
        bool repeats = (c->Block->First->Prefixes & (PrefixBits.Rep | PrefixBits.Repne)) != 0;
        if (repeats && c->S.Eip == eip && (c->S.PendingDebug != 0 || Armed(c))) c->S.SystemFlags |= Flags.Rf;
    }

    /// <summary>Delivers the debug traps that are pending. False: triple fault.</summary>
    public static bool DeliverPending(Ctx* c)
    {
        c->S.Dr[6] |= c->S.PendingDebug;
        c->S.PendingDebug = 0;
        return Exceptions.DeliverTrap(c, Vector.Db);
    }

    /// <summary>Entering the #DB handler by whatever way clears DR7.GD, so that the handler can use the debug registers.</summary>
    internal static void HandlerEntered(Ctx* c) => c->S.Dr[7] &= ~GeneralDetect;

    private static void Trap(Ctx* c, uint bits)
    {
        c->S.PendingDebug |= bits;
        c->Attention = 1;
    }

    private static bool Enabled(Ctx* c, int n) => (c->S.Dr[7] >> (2 * n) & 3) != 0;

    private static int Type(Ctx* c, int n) => (int)(c->S.Dr[7] >> (16 + (4 * n))) & 3;

    private static bool Meets(Ctx* c, int n, uint linear, uint size)
    {
        uint length = (c->S.Dr[7] >> (18 + (4 * n)) & 3) switch { 0 => 1u, 1 => 2u, 2 => 8u, _ => 4u };
        // The low bits of the address that the length covers are ignored.
        uint first = c->S.Dr[n] & ~(length - 1);
        return linear <= first + (length - 1) && linear + (size - 1) >= first;
    }

    /// <summary>The register that a number names: DR4 and DR5 are others' names unless CR4.DE; -1: #UD.</summary>
    private static int Number(Ctx* c, int n) => n is 4 or 5 ? ((c->S.Cr4 & Modes.Cr4De) != 0 ? -1 : n + 2) : n;

    private static bool MayAccess(Ctx* c, Insn* i, int number)
    {
        if (Number(c, number) is < 0 or > 7) return Ctx.Fault(c, i, Vector.Ud);
        if ((c->S.Dr[7] & GeneralDetect) == 0) return true;
        c->S.Dr[6] |= DetectedAccess;
        return Ctx.Fault(c, i, Vector.Db);
    }

    private static void Store(Ctx* c, Insn* i)
    {
        if (!MayAccess(c, i, i->Src)) return;
        Ctx.Reg<uint>(c, i->Dst) = c->S.Dr[Number(c, i->Src)];
        i[1].Fn(c, i + 1);
    }

    private static void Load(Ctx* c, Insn* i)
    {
        if (!MayAccess(c, i, i->Dst)) return;
        uint value = Ctx.Reg<uint>(c, i->Src);
        int number = Number(c, i->Dst);
        c->S.Dr[number] = number switch
        {
            6 => (value & 0xe00f) | 0xffff_0ff0,
            7 => (value & 0xffff_23ff) | 0x400,
            _ => value,
        };
        // Watched pages have no fast path.
        Mmu.FlushAll(c);
        Ending.NextAttentive(c, i);
    }
}
