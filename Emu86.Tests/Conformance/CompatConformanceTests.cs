// Everything that a user-mode program can run in 32- and 16-bit code segments, against the host's processor: every one- and
// two-byte opcode with any prefixes, address forms and operands, valid or not, and every fault that they raise.
using Iced.Intel;

namespace Emu86.Tests.Conformance;

public sealed class CompatConformanceTests
{
    /// <summary>Cases per opcode; EMU86_CONFORMANCE_CASES asks for more.</summary>
    private static readonly int s_cases = int.TryParse(Environment.GetEnvironmentVariable("EMU86_CONFORMANCE_CASES"), out int asked) ? asked : 24;

    public static TheoryData<CompatMode, int> Rows
    {
        get
        {
            var rows = new TheoryData<CompatMode, int>();
            foreach (CompatMode mode in Enum.GetValues<CompatMode>())
                for (int first = 0; first < 0x200; first += 0x40) rows.Add(mode, first);
            return rows;
        }
    }

    /// <summary>Registers, flags, segments, memory, the x87 unit, and the exception with its error code and address.</summary>
    [SkippableTheory]
    [MemberData(nameof(Rows))]
    public void Every_opcode_does_what_it_does_on_the_host(CompatMode mode, int firstOpcode)
    {
        using CompatHost? host = CompatHost.Start();
        Skip.If(host is null, CompatHost.SkipReason);
        Skip.IfNot(HostCpu.IsIntel, "needs a processor of Intel's: in what the manual leaves open (the order of accesses, which of two faults, the upper bytes of a pushed segment) our results are those, and other vendors' differ");
        using var guest = new CompatGuest();
        int compared = 0, undefined = 0;
        for (int opcode = firstOpcode; opcode < firstOpcode + 0x40; opcode++)
        {
            var cases = new CompatCase(new Random((opcode * 8) + (int)mode), mode);
            var chosen = new List<(CompatTest Test, Instruction Instruction)>();
            for (int n = 0; n < s_cases; n++)
                if (cases.Next(opcode) is { } one) chosen.Add(one);
            CompatResult[] expected = host.Run([.. chosen.Select(one => one.Test)]);
            for (int n = 0; n < expected.Length; n++)
            {
                CompatResult got = guest.Run(chosen[n].Test);
                string? difference = CompatComparison.Difference(chosen[n].Instruction, expected[n], got, out uint flags);
                Assert.True(difference is null, $"{difference}: {CompatComparison.Describe(chosen[n].Test, mode == CompatMode.Segments16 ? 16 : 32)}");
                compared++;
                if (flags != 0) undefined++;
            }
        }
        Assert.True(compared > 0);
        // Undefined flags are the host's own, which ours follow.
        Assert.Equal(0, undefined);
    }
}
