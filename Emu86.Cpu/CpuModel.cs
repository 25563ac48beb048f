// Processor models: what CPUID reports and which instructions exist.
using Iced.Intel;

namespace Emu86.Cpu;

public sealed class CpuModel
{
    public static CpuModel Pentium2 { get; } = new();

    public bool Has(Code code) => code != Code.INVALID;
}
