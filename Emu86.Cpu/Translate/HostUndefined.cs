// What the host's processor leaves where the manual says undefined: whether it is what every engine here has to leave.
using System.Runtime.Intrinsics.X86;

namespace Emu86.Cpu.Translate;

internal enum HostUndefined : byte
{
    /// <summary>Intel's results are ours (docs/engine.md, "Undefined results"): the host's instruction is the guest's.</summary>
    Ours,

    /// <summary>AMD: shifts, rotates by more than 1 and multiplications leave other flags; bit tests leave what ours do.</summary>
    Amd,

    /// <summary>Nothing is known: only what the manual defines may be relied on.</summary>
    Unknown,
}

internal static class HostVendor
{
    public static HostUndefined Undefined()
    {
        (_, int b, int c, int d) = X86Base.CpuId(0, 0);
        return (b, d, c) switch
        {
            (0x756e_6547, 0x4965_6e69, 0x6c65_746e) => HostUndefined.Ours, // "GenuineIntel" in EBX, EDX, ECX
            (0x6874_7541, 0x6974_6e65, 0x444d_4163) => HostUndefined.Amd, // "AuthenticAMD"
            _ => HostUndefined.Unknown,
        };
    }
}
