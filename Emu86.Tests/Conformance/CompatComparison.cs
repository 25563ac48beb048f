// What differs between the host's answer and the emulator's, in words.
using Emu86.Cpu;
using Iced.Intel;

namespace Emu86.Tests.Conformance;

internal static class CompatComparison
{
    private const uint FlagsCompared = Flags.Status | Flags.Tf | Flags.If | Flags.Df | Flags.Iopl | Flags.Nt | Flags.Rf | Flags.Ac | Flags.Id;

    private static readonly string[] s_registers = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
    private static readonly string[] s_segments = ["es", "cs", "ss", "ds", "fs", "gs"];

    /// <summary>The first difference, or null. Flags that the manual leaves undefined are told apart.</summary>
    public static string? Difference(in Instruction x, CompatResult host, CompatResult guest, out uint undefinedFlags)
    {
        undefinedFlags = 0;
        if (host.Vector == CompatLayout.Endless && guest.Vector == CompatLayout.Endless) return null;
        // An invalid encoding of several bytes at the end of what may be fetched: ours does not read on to tell how long it is.
        if (x.IsInvalid && guest.Vector == 6 && host.Vector is (13 or 14)) return null;
        // x87 operands of more than 8 bytes across offset FFFFh of a 16-bit address: the host's parts wrap one by one, ours are beyond the limit.
        if (x.MemorySize.GetSize() >= 10 && guest.Vector is (12 or 13) && Narrow(x)) return null;
        // Whether an instruction was fetched is in the error code only with NX.
        const uint fetch = 0x10;
        // The emulator's tables lie in supervisor pages from C0000000h on; the host has nothing there.
        uint ignored = host.Vector == 14 && host.Cr2 >= CompatLayout.Tables ? fetch | 1 : fetch;
        if (host.Vector != guest.Vector || (host.Error & ~ignored) != (guest.Error & ~ignored) || host.Eip != guest.Eip)
            return $"#{host.Vector}({host.Error:x}) at {host.Eip:x}, ours #{guest.Vector}({guest.Error:x}) at {guest.Eip:x}";
        if (host.Cr2 != guest.Cr2) return $"page fault address {host.Cr2:x}, ours {guest.Cr2:x}";
        // POPA that faults: the host may have loaded registers already, which nobody can rely on.
        bool partial = x.Mnemonic is Mnemonic.Popa or Mnemonic.Popad && host.Vector is 12 or 14;
        for (int n = 0; n < 8 && !partial; n++)
            if (host.Gpr[n] != guest.Gpr[n]) return $"{s_registers[n]} {host.Gpr[n]:x}, ours {guest.Gpr[n]:x} (#{host.Vector} at {host.Eip:x})";
        for (int n = 0; n < 6; n++)
            // Null selectors 1 to 3 become 0 when the host's kernel goes back to ring 3.
            if (host.Selectors[n] != guest.Selectors[n] && (host.Selectors[n] | guest.Selectors[n]) > 3) return $"{s_segments[n]} {host.Selectors[n]:x}, ours {guest.Selectors[n]:x}";
        uint flags = (host.Eflags ^ guest.Eflags) & FlagsCompared;
        // REP CMPS and SCAS that fault or are traced: the flags of the iterations done, not those before the instruction (docs/engine.md).
        bool compares = x.Mnemonic is Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd;
        if (compares && (host.Vector is 12 or 13 or 14 or 17 || (host.Vector == 1 && (host.Eflags & Flags.Rf) != 0)) && (x.HasRepPrefix || x.HasRepnePrefix)) flags &= ~Flags.Status;
        undefinedFlags = flags & Undefined(x);
        if (flags != undefinedFlags) return $"flags {host.Eflags:x}, ours {guest.Eflags:x} (#{host.Vector} at {host.Eip:x})";
        return Memory(x, host, guest) ?? Float(host.Fpu, guest.Fpu);
    }

    private static bool Narrow(in Instruction x) =>
        x.MemoryBase is >= Register.AX and <= Register.DI || x.MemoryIndex is >= Register.AX and <= Register.DI || x.MemoryDisplSize == 2;

    private static string? Memory(in Instruction x, CompatResult host, CompatResult guest)
    {
        // The pointers in the image are those of the processor's generation; what lies below the stack after a fault nobody can rely on.
        if (x.Mnemonic is Mnemonic.Fnstenv or Mnemonic.Fnsave) return null;
        if ((x.Mnemonic is Mnemonic.Call or Mnemonic.Enter or Mnemonic.Pusha or Mnemonic.Pushad) && host.Vector is >= 11 and <= 17 && guest.DifferenceCount == 0) return null;
        if (host.DifferenceCount != guest.DifferenceCount) return $"{host.DifferenceCount} bytes changed, ours {guest.DifferenceCount}; {List(host)} / {List(guest)}";
        for (int n = 0; n < host.Differences.Count; n++)
            if (host.Differences[n] != guest.Differences[n]) return $"byte {n}: {host.Differences[n]:x}, ours {guest.Differences[n]:x}; {List(host)} / {List(guest)}";
        return null;
    }

    private static string? Float(ReadOnlySpan<byte> host, ReadOnlySpan<byte> guest)
    {
        if (!guest.ContainsAnyExcept((byte)0)) return null;
        if (!host[..5].SequenceEqual(guest[..5])) return $"x87 control, status, tags {Convert.ToHexString(host[..5])}, ours {Convert.ToHexString(guest[..5])}";
        for (int n = 0; n < 8; n++)
        {
            int at = 32 + (16 * n);
            if (!host.Slice(at, 10).SequenceEqual(guest.Slice(at, 10)))
                return $"ST({n}) {Convert.ToHexString(host.Slice(at, 10))}, ours {Convert.ToHexString(guest.Slice(at, 10))}";
        }
        return null;
    }

    private static string List(CompatResult result) => string.Join(' ', result.Differences.Take(12).Select(d => $"{d.At:x}:{d.Value:x2}"));

    private static uint Undefined(in Instruction x)
    {
        RflagsBits bits = x.RflagsUndefined;
        return (bits.HasFlag(RflagsBits.CF) ? Flags.Cf : 0) | (bits.HasFlag(RflagsBits.PF) ? Flags.Pf : 0) | (bits.HasFlag(RflagsBits.AF) ? Flags.Af : 0)
            | (bits.HasFlag(RflagsBits.ZF) ? Flags.Zf : 0) | (bits.HasFlag(RflagsBits.SF) ? Flags.Sf : 0) | (bits.HasFlag(RflagsBits.OF) ? Flags.Of : 0);
    }

    public static string Describe(CompatTest test, int bits)
    {
        (uint at, byte[] bytes) = test.Patches[^1];
        Iced.Intel.Decoder.Create(bits, bytes, test.Eip, DecoderOptions.NoMPFX_0FBC | DecoderOptions.NoMPFX_0FBD | DecoderOptions.ForceReservedNop).Decode(out Instruction x);
        string registers = string.Join(' ', test.Gpr.Select((value, n) => $"{s_registers[n]}={value:x}"));
        string segments = string.Join(' ', test.Selectors.Select((value, n) => $"{s_segments[n]}={value:x}"));
        string patches = string.Join(' ', test.Patches.SkipLast(1).Select(p => $"{p.At:x}:{Convert.ToHexString(p.Bytes)}"));
        return $"{x} [{Convert.ToHexString(bytes)}] eip={test.Eip:x} {registers} {segments} flags={test.Eflags:x} {patches} code at {at:x}";
    }
}
