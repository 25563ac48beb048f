// The instruction at CS:EIP as people read it. Looking at it changes nothing of the guest.
using Iced.Intel;

namespace Emu86.Cpu.Decode;

/// <summary>One instruction of the guest.</summary>
/// <param name="Selector">Of CS.</param>
/// <param name="Eip">Its address in CS.</param>
/// <param name="Bytes">What it is encoded in; empty when it cannot be read.</param>
/// <param name="Text">Mnemonic and operands.</param>
/// <param name="Writes">The 32-bit registers it writes, or parts of them, and "EFLAGS".</param>
/// <param name="WritesMemory">It stores something, by an operand or on the stack.</param>
public sealed record DisassembledInstruction(ushort Selector, uint Eip, byte[] Bytes, string Text, IReadOnlyList<string> Writes, bool WritesMemory)
{
    public override string ToString() => $"{Selector:x4}:{Eip:x8}  {Convert.ToHexStringLower(Bytes),-16}  {Text}";
}

/// <summary>Disassembles where a processor stands.</summary>
public static unsafe class Disassembler
{
    private const int LengthMax = 15;

    /// <summary>The instruction that the processor executes next, unless an interrupt comes first.</summary>
    public static DisassembledInstruction At(Processor processor)
    {
        CpuState* s = &processor.Context->S;
        var bytes = new List<byte>(LengthMax);
        while (bytes.Count < LengthMax && processor.Mmu.Peek(s->Cs.Base + s->Eip + (uint)bytes.Count) is var at && at != null) bytes.Add(*at);
        Decoder decoder = Decoder.Create(s->Cs.Is32 ? 32 : 16, new ByteArrayCodeReader([.. bytes]), BlockDecoder.Options);
        decoder.IP = s->Eip;
        decoder.Decode(out Instruction x);
        if (x.IsInvalid) return new(s->Cs.Selector, s->Eip, [.. bytes], bytes.Count < LengthMax ? "(code that is not in memory)" : "(no instruction)", [], false);
        var text = new StringOutput();
        new NasmFormatter().Format(x, text);
        InstructionInfo info = new InstructionInfoFactory().GetInfo(x);
        var writes = new List<string>();
        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            if (Writes(used.Access)) writes.Add(used.Register.GetFullRegister32().ToString());
        }
        if (x.RflagsModified != RflagsBits.None) writes.Add("EFLAGS");
        bool memory = false;
        foreach (UsedMemory used in info.GetUsedMemory()) memory |= Writes(used.Access);
        return new(s->Cs.Selector, s->Eip, [.. bytes[..x.Length]], text.ToStringAndReset(), writes, memory);
    }

    private static bool Writes(OpAccess access) => access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite or OpAccess.ReadCondWrite;
}
