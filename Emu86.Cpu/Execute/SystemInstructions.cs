// HLT, time stamp, model-specific registers, CPUID, SYSENTER/SYSEXIT (SDM vol. 2; vol. 3, ch. 2; vol. 4).
using System.Runtime.CompilerServices;
using Emu86.Cpu.Decode;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class SystemInstructions
{
    private const uint MsrTsc = 0x10, MsrPlatformId = 0x17, MsrUpdateTrigger = 0x79, MsrUpdateRevision = 0x8b,
        MsrSysenterCs = 0x174, MsrSysenterEsp = 0x175, MsrSysenterEip = 0x176, MsrEfer = 0xc000_0080;

    public static void Rows(OpTable t)
    {
        const OpFlags privileged = OpFlags.Privileged;
        t.Add(Code.Hlt, &Halt, privileged | OpFlags.Ends);
        t.Add(Code.Rdtsc, &ReadTimeStamp);
        t.Add(Code.Rdpmc, &NoCounters);
        t.Add(Code.Rdmsr, &ReadMsr, privileged);
        t.Add(Code.Wrmsr, &WriteMsr, privileged | OpFlags.Ends);
        t.Add(Code.Cpuid, &Identify);
        t.Add(Code.Sysenter, &SysEnter, OpFlags.Ends);
        t.Add(Code.Sysexitd, &SysExit, privileged | OpFlags.Ends);
    }

    private static void Halt(Ctx* c, Insn* i)
    {
        c->S.Halted = 1;
        Ending.NextAttentive(c, i);
    }

    /// <summary>The TSC ticks once per virtual nanosecond.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong TimeStamp(Ctx* c, Insn* i)
    {
        c->Current = i;
        ulong now = Ctx.ProcessorOf(c).Bus.VirtualTimeNs;
        c->Current = null;
        return now + c->S.TscOffset;
    }

    private static void ReadTimeStamp(Ctx* c, Insn* i)
    {
        if ((c->S.Cr4 & Modes.Cr4Tsd) != 0 && c->S.Cpl != 0)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        ulong value = TimeStamp(c, i);
        c->S.R[Gpr.Eax] = (uint)value;
        c->S.R[Gpr.Edx] = (uint)(value >> 32);
        i[1].Fn(c, i + 1);
    }

    /// <summary>No performance counters: every index is invalid.</summary>
    private static void NoCounters(Ctx* c, Insn* i) => Ctx.Fault(c, i, Vector.Gp, 0);

    private static void ReadMsr(Ctx* c, Insn* i)
    {
        if (!MsrExists(c))
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        ulong value = MsrValue(c, i);
        c->S.R[Gpr.Eax] = (uint)value;
        c->S.R[Gpr.Edx] = (uint)(value >> 32);
        i[1].Fn(c, i + 1);
    }

    private static bool MsrExists(Ctx* c)
    {
        CpuModel model = Ctx.ProcessorOf(c).Model;
        return c->S.R[Gpr.Ecx] switch
        {
            MsrTsc => true,
            MsrPlatformId or MsrUpdateTrigger or MsrUpdateRevision => model.Family >= 6,
            MsrSysenterCs or MsrSysenterEsp or MsrSysenterEip => model.HasFeature(CpuModel.Sep),
            MsrEfer => model.HasNx,
            _ => false,
        };
    }

    private static ulong MsrValue(Ctx* c, Insn* i) => c->S.R[Gpr.Ecx] switch
    {
        MsrTsc => TimeStamp(c, i),
        MsrSysenterCs => c->S.SysenterCs,
        MsrSysenterEsp => c->S.SysenterEsp,
        MsrSysenterEip => c->S.SysenterEip,
        MsrEfer => c->S.Efer,
        // Platform 0 and no microcode update.
        _ => 0,
    };

    private static void WriteMsr(Ctx* c, Insn* i)
    {
        uint low = c->S.R[Gpr.Eax];
        if (!MsrExists(c) || c->S.R[Gpr.Ecx] == MsrPlatformId || (c->S.R[Gpr.Ecx] == MsrEfer && ((low & ~Modes.EferNxe) | c->S.R[Gpr.Edx]) != 0))
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        switch (c->S.R[Gpr.Ecx])
        {
            case MsrTsc:
                c->S.TscOffset += (((ulong)c->S.R[Gpr.Edx] << 32) | low) - TimeStamp(c, i);
                break;
            case MsrSysenterCs:
                c->S.SysenterCs = low;
                break;
            case MsrSysenterEsp:
                c->S.SysenterEsp = low;
                break;
            case MsrSysenterEip:
                c->S.SysenterEip = low;
                break;
            case MsrEfer:
                c->S.Efer = low;
                Memory.Mmu.FlushAll(c);
                Modes.Changed(c);
                break;
        }
        Ending.Next(c, i);
    }

    private static void Identify(Ctx* c, Insn* i)
    {
        CpuLeaf leaf = Ctx.ProcessorOf(c).Model.Leaf(c->S.R[Gpr.Eax]);
        c->S.R[Gpr.Eax] = leaf.Eax;
        c->S.R[Gpr.Ebx] = leaf.Ebx;
        c->S.R[Gpr.Ecx] = leaf.Ecx;
        c->S.R[Gpr.Edx] = leaf.Edx;
        i[1].Fn(c, i + 1);
    }

    /// <summary>A flat 4 GiB segment, as SYSENTER and SYSEXIT load without looking at a descriptor.</summary>
    private static Segment FlatSegment(uint selector, uint level, bool code)
    {
        var s = new Segment
        {
            Selector = (ushort)((selector & 0xfffc) | level),
            Attributes = (ushort)((uint)Segment.FlagGranularity | Segment.FlagDb | Segment.AccessPresent | Segment.AccessNotSystem
                | Segment.AccessReadable | Segment.AccessAccessed | (code ? Segment.AccessCode : 0u) | (level << 5)),
            Limit = uint.MaxValue,
        };
        s.Derive();
        return s;
    }

    private static void SysEnter(Ctx* c, Insn* i)
    {
        if (Modes.IsReal(c) || (c->S.SysenterCs & 0xfffc) == 0)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        c->S.SystemFlags &= ~(Flags.Vm | Flags.If | Flags.Rf);
        c->S.Cs = FlatSegment(c->S.SysenterCs, 0, true);
        c->S.Ss = FlatSegment(c->S.SysenterCs + 8, 0, false);
        c->S.R[Gpr.Esp] = c->S.SysenterEsp;
        c->S.Eip = c->S.SysenterEip;
        c->S.Cpl = 0;
        Modes.Changed(c);
    }

    private static void SysExit(Ctx* c, Insn* i)
    {
        if (Modes.IsReal(c) || (c->S.SysenterCs & 0xfffc) == 0)
        {
            Ctx.Fault(c, i, Vector.Gp, 0);
            return;
        }
        c->S.Cs = FlatSegment(c->S.SysenterCs + 16, 3, true);
        c->S.Ss = FlatSegment(c->S.SysenterCs + 24, 3, false);
        c->S.R[Gpr.Esp] = c->S.R[Gpr.Ecx];
        c->S.Eip = c->S.R[Gpr.Edx];
        c->S.Cpl = 3;
        Modes.Changed(c);
    }
}
