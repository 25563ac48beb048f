// Control registers: MOV CRn, LMSW, SMSW, CLTS, and the cache instructions (SDM vol. 3, 2.5, 2.6, 4.4.1).
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;
using Iced.Intel;

namespace Emu86.Cpu.Execute;

internal static unsafe class ControlRegisters
{
    private const uint Cr0Writable = Modes.Cr0Pe | Modes.Cr0Mp | Modes.Cr0Em | Modes.Cr0Ts | Modes.Cr0Ne | Modes.Cr0Wp | Modes.Cr0Am
        | Modes.Cr0Nw | Modes.Cr0Cd | Modes.Cr0Pg;

    /// <summary>Bits whose change makes a processor with PAE load the PDPTEs again.</summary>
    private const uint Cr0Reloading = Modes.Cr0Pg | Modes.Cr0Cd | Modes.Cr0Nw, Cr4Reloading = Modes.Cr4Pae | Modes.Cr4Pge | Modes.Cr4Pse;

    public static void Rows(OpTable t)
    {
        const OpFlags privileged = OpFlags.Privileged, ends = OpFlags.Privileged | OpFlags.Ends;
        t.Add(Code.Mov_r32_cr, &Store, privileged);
        t.Add(Code.Mov_cr_r32, &Load, ends);
        t.Add(Code.Clts, &ClearTaskSwitched, privileged);
        t.Add(Code.Lmsw_rm16, &LoadStatusRegister, &LoadStatus<Flat>, &LoadStatus<Seg32>, &LoadStatus<Seg16>, ends);
        t.Add(Code.Lmsw_r32m16, &LoadStatusRegister, &LoadStatus<Flat>, &LoadStatus<Seg32>, &LoadStatus<Seg16>, ends);
        t.Add(Code.Smsw_rm16, &StoreStatus16, &StoreStatus<Flat>, &StoreStatus<Seg32>, &StoreStatus<Seg16>);
        t.Add(Code.Smsw_r32m16, &StoreStatus32, &StoreStatus<Flat>, &StoreStatus<Seg32>, &StoreStatus<Seg16>);
        // The guest never sees a stale translation or cache line, so there is nothing to do.
        t.Add(Code.Invlpg_m, null, &Nothing, &Nothing, &Nothing, privileged);
        t.Add(Code.Invd, &Nothing, privileged);
        t.Add(Code.Wbinvd, &Nothing, privileged);
    }

    private static void Nothing(Ctx* c, Insn* i) => i[1].Fn(c, i + 1);

    private static void Store(Ctx* c, Insn* i)
    {
        switch (i->Src)
        {
            case 0: Ctx.Reg<uint>(c, i->Dst) = c->S.Cr0; break;
            case 2: Ctx.Reg<uint>(c, i->Dst) = c->S.Cr2; break;
            case 3: Ctx.Reg<uint>(c, i->Dst) = c->S.Cr3; break;
            case 4: Ctx.Reg<uint>(c, i->Dst) = c->S.Cr4; break;
            default: Ctx.Fault(c, i, Vector.Ud); return;
        }
        i[1].Fn(c, i + 1);
    }

    private static void Load(Ctx* c, Insn* i)
    {
        uint value = Ctx.Reg<uint>(c, i->Src);
        bool done = i->Dst switch
        {
            0 => SetCr0(c, i, value),
            2 => SetCr2(c, value),
            3 => SetCr3(c, i, value),
            4 => SetCr4(c, i, value),
            _ => Ctx.Fault(c, i, Vector.Ud),
        };
        if (done) Ending.Next(c, i);
    }

    public static bool SetCr0(Ctx* c, Insn* i, uint value)
    {
        const uint pgPe = Modes.Cr0Pg | Modes.Cr0Pe;
        if ((value & pgPe) == Modes.Cr0Pg || (value & (Modes.Cr0Nw | Modes.Cr0Cd)) == Modes.Cr0Nw) return Ctx.Fault(c, i, Vector.Gp, 0);
        uint old = c->S.Cr0, set = (value & Cr0Writable) | Modes.Cr0Et, changed = old ^ set;
        if ((set & Modes.Cr0Pg) != 0 && (c->S.Cr4 & Modes.Cr4Pae) != 0 && (changed & Cr0Reloading) != 0
            && !LoadPdptes(c, i, c->S.Cr3)) return false;
        c->S.Cr0 = set;
        if ((changed & (pgPe | Modes.Cr0Wp)) != 0) Mmu.FlushAll(c);
        if ((changed & (pgPe | Modes.Cr0Wp | Modes.Cr0Am)) != 0) Modes.Changed(c);
        return true;
    }

    private static bool SetCr2(Ctx* c, uint value)
    {
        c->S.Cr2 = value;
        return true;
    }

    private static bool SetCr3(Ctx* c, Insn* i, uint value)
    {
        const uint paged = Modes.Cr0Pg;
        var from = AddressSpace.Of(c);
        if ((c->S.Cr0 & paged) != 0 && (c->S.Cr4 & Modes.Cr4Pae) != 0 && !LoadPdptes(c, i, value)) return false;
        c->S.Cr3 = value;
        Ctx.ProcessorOf(c).Mmu.SwitchSpace(from);
        return true;
    }

    private static bool SetCr4(Ctx* c, Insn* i, uint value)
    {
        if ((value & ~Ctx.ProcessorOf(c).Model.Cr4Bits) != 0) return Ctx.Fault(c, i, Vector.Gp, 0);
        uint changed = c->S.Cr4 ^ value;
        if ((c->S.Cr0 & Modes.Cr0Pg) != 0 && (value & Modes.Cr4Pae) != 0 && (changed & Cr4Reloading) != 0
            && !LoadPdptes(c, i, c->S.Cr3)) return false;
        c->S.Cr4 = value;
        Mmu.FlushAll(c);
        Modes.Changed(c);
        return true;
    }

    /// <summary>Loads the four PDPTEs that a CR3 value points to; #GP(0) when a present one has reserved bits set.</summary>
    public static bool LoadPdptes(Ctx* c, Insn* i, uint cr3)
    {
        // 36 physical address bits; bits 2:1 and 8:5 are reserved.
        const ulong reserved = 0xffff_fff0_0000_01e6;
        Span<byte> bytes = stackalloc byte[32];
        uint mask = c->S.A20 != 0 ? uint.MaxValue : ~(1u << 20);
        Ctx.ProcessorOf(c).Memory.Read(cr3 & 0xffff_ffe0 & mask, bytes);
        for (int n = 0; n < 4; n++)
        {
            ulong entry = BitConverter.ToUInt64(bytes[(8 * n)..]);
            if ((entry & 1) != 0 && (entry & reserved) != 0) return Ctx.Fault(c, i, Vector.Gp, 0);
        }
        for (int n = 0; n < 4; n++) c->S.Pdpte[n] = BitConverter.ToUInt64(bytes[(8 * n)..]);
        return true;
    }

    private static void ClearTaskSwitched(Ctx* c, Insn* i)
    {
        c->S.Cr0 &= ~Modes.Cr0Ts;
        i[1].Fn(c, i + 1);
    }

    private static void LoadStatusRegister(Ctx* c, Insn* i) => LoadStatusWord(c, i, Ctx.Reg<ushort>(c, i->Dst));

    private static void LoadStatus<TMem>(Ctx* c, Insn* i) where TMem : struct, IOperandMemory
    {
        ushort* p = TMem.Read<ushort>(c, i);
        if (p != null) LoadStatusWord(c, i, *p);
    }

    /// <summary>PE can be set but not cleared.</summary>
    private static void LoadStatusWord(Ctx* c, Insn* i, uint value)
    {
        if (SetCr0(c, i, (c->S.Cr0 & ~0xeu) | (value & 0xf))) Ending.Next(c, i);
    }

    private static void StoreStatus16(Ctx* c, Insn* i)
    {
        Ctx.Reg<ushort>(c, i->Dst) = (ushort)c->S.Cr0;
        i[1].Fn(c, i + 1);
    }

    private static void StoreStatus32(Ctx* c, Insn* i)
    {
        Ctx.Reg<uint>(c, i->Dst) = c->S.Cr0;
        i[1].Fn(c, i + 1);
    }

    private static void StoreStatus<TMem>(Ctx* c, Insn* i) where TMem : struct, IOperandMemory
    {
        if (!TMem.Write(c, i, (ushort)c->S.Cr0)) return;
        i[1].Fn(c, i + 1);
    }
}
