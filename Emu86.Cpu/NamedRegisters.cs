// The processor's state by the names of the manual: what a person is told about a difference.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Emu86.Cpu;

/// <summary>Names everything that is in <see cref="CpuState"/>.</summary>
public static unsafe class NamedRegisters
{
    private static readonly string[] General = ["EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI", "zero"];

    /// <summary>What differs between two saved states of a processor, each with both values.</summary>
    /// <param name="one">As <see cref="Processor.Save"/> wrote it.</param>
    /// <param name="other">The same.</param>
    public static IReadOnlyList<(string Name, string One, string Other)> Differences(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other)
    {
        List<(string Name, string Value)> first = Of(one), second = Of(other);
        var differing = new List<(string, string, string)>();
        for (int n = 0; n < first.Count; n++)
        {
            if (first[n].Value != second[n].Value) differing.Add((first[n].Name, first[n].Value, second[n].Value));
        }
        return differing;
    }

    private static List<(string Name, string Value)> Of(ReadOnlySpan<byte> saved)
    {
        if (saved.Length != sizeof(CpuState)) throw new StateFormatException($"the processor's state has {saved.Length} bytes instead of {sizeof(CpuState)}");
        Ctx context = default;
        context.S = MemoryMarshal.Read<CpuState>(saved);
        CpuState* s = &context.S;
        var all = new List<(string, string)>();
        void Add<T>(string name, T value) where T : unmanaged, IFormattable => all.Add((name, value.ToString($"x{2 * Unsafe.SizeOf<T>()}", null) + "h"));
        for (int n = 0; n < General.Length; n++) Add(General[n], s->R[n]);
        Add("EIP", s->Eip);
        Add("EFLAGS", Flags.Get(&context));
        foreach ((string name, Segment segment) in new[] { ("ES", s->Es), ("CS", s->Cs), ("SS", s->Ss), ("DS", s->Ds), ("FS", s->Fs), ("GS", s->Gs), ("LDTR", s->Ldtr), ("TR", s->Tr) })
        {
            Add(name, segment.Selector);
            Add(name + " attributes", segment.Attributes);
            Add(name + " base", segment.Base);
            Add(name + " limit", segment.Limit);
            Add(name + " first readable", segment.ReadFirst);
            Add(name + " last readable", segment.ReadLast);
            Add(name + " first writable", segment.WriteFirst);
            Add(name + " last writable", segment.WriteLast);
        }
        (uint Number, uint Value)[] control = [(0, s->Cr0), (2, s->Cr2), (3, s->Cr3), (4, s->Cr4)];
        foreach ((uint number, uint value) in control) Add($"CR{number}", value);
        for (int n = 0; n < 4; n++) Add($"PDPTE{n}", s->Pdpte[n]);
        for (int n = 0; n < 8; n++) Add($"DR{n}", s->Dr[n]);
        Add("GDTR base", s->Gdtr.Base);
        Add("GDTR limit", s->Gdtr.Limit);
        Add("IDTR base", s->Idtr.Base);
        Add("IDTR limit", s->Idtr.Limit);
        Add("EFER", s->Efer);
        Add("SYSENTER_CS", s->SysenterCs);
        Add("SYSENTER_ESP", s->SysenterEsp);
        Add("SYSENTER_EIP", s->SysenterEip);
        Add("TSC offset", s->TscOffset);
        Add("count", s->Count);
        Add("CPL", s->Cpl);
        Add("halted", s->Halted);
        Add("interrupt shadow", s->InterruptShadow);
        Add("debug shadow", s->DebugShadow);
        Add("pending debug trap", s->PendingDebug);
        Add("NMI pending", s->NmiPending);
        Add("NMI blocked", s->NmiBlocked);
        Add("INTR pin", s->IntrPin);
        Add("A20", s->A20);
        for (int n = 0; n < 8; n++) Add($"R{n}/MM{n}", new UInt128(s->Fpu.Slots[2 * n + 1], s->Fpu.Slots[2 * n]));
        Add("x87 control word", s->Fpu.Control);
        Add("x87 status word", s->Fpu.Status);
        Add("x87 TOP", s->Fpu.Top);
        Add("x87 empty registers", s->Fpu.Empty);
        Add("x87 opcode", s->Fpu.LastOpcode);
        Add("x87 instruction offset", s->Fpu.InstructionOffset);
        Add("x87 instruction selector", s->Fpu.InstructionSelector);
        Add("x87 data offset", s->Fpu.DataOffset);
        Add("x87 data selector", s->Fpu.DataSelector);
        Add("FERR#", s->Fpu.ErrorPin);
        Add("IGNNE#", s->Fpu.IgnoreErrors);
        // Bits of the lazy flags that no flag shows.
        Add("kept result of the flags", s->FlagResult);
        Add("kept carries of the flags", s->FlagAux);
        return all;
    }
}
