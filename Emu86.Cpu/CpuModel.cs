// Processor models: what CPUID reports and which instructions exist (SDM vol. 2, CPUID; vol. 3, ch. 22).
using Iced.Intel;

namespace Emu86.Cpu;

/// <summary>What CPUID returns for one leaf.</summary>
public readonly record struct CpuLeaf(uint Eax, uint Ebx, uint Ecx, uint Edx);

/// <summary>A processor model. CPUID, the control register bits and #UD agree with each other.</summary>
public sealed class CpuModel
{
    /// <summary>Feature bits of CPUID.1:EDX.</summary>
    public const uint Fpu = 1 << 0, Vme = 1 << 1, De = 1 << 2, Pse = 1 << 3, Tsc = 1 << 4, Msr = 1 << 5, Pae = 1 << 6, Cx8 = 1 << 8,
        Sep = 1 << 11, Pge = 1 << 13, Cmov = 1 << 15, Fxsr = 1 << 24;

    private const uint NxBit = 1 << 20;

    private readonly bool[] _has;
    private readonly uint _features;
    private readonly string _brand;

    private CpuModel(string name, string brand, uint signature, uint features, uint cr4Bits, bool hasNx)
    {
        Name = name;
        Signature = signature;
        Cr4Bits = cr4Bits;
        HasNx = hasNx;
        _brand = brand;
        _features = features;
        _has = new bool[(int)Enum.GetValues<Code>()[^1] + 1];
        foreach (Code code in Enum.GetValues<Code>()) _has[(int)code] = code != Code.INVALID && Array.TrueForAll(code.CpuidFeatures(), Known);
    }

    /// <summary>An i486 DX4: CPUID, nothing of the Pentium but virtual-8086 mode extensions.</summary>
    public static CpuModel I486 { get; } = new("486", "486 DX4", 0x0480, Fpu | Vme, Modes.Cr4Vme | Modes.Cr4Pvi, false);

    public static CpuModel Pentium { get; } = new("pentium", "Pentium", 0x052c, Fpu | Vme | De | Pse | Tsc | Msr | Cx8,
        Modes.Cr4Vme | Modes.Cr4Pvi | Modes.Cr4Tsd | Modes.Cr4De | Modes.Cr4Pse, false);

    /// <summary>A Pentium II (Deschutes) with NX.</summary>
    public static CpuModel Pentium2 { get; } = new("pentium2", "Pentium II", 0x0652,
        Fpu | Vme | De | Pse | Tsc | Msr | Pae | Cx8 | Sep | Pge | Cmov | Fxsr,
        Modes.Cr4Vme | Modes.Cr4Pvi | Modes.Cr4Tsd | Modes.Cr4De | Modes.Cr4Pse | Modes.Cr4Pae | Modes.Cr4Pge | Modes.Cr4OsFxsr, true);

    public static IReadOnlyList<CpuModel> AllModels { get; } = [I486, Pentium, Pentium2];

    /// <summary>As written on the command line.</summary>
    public string Name { get; }

    /// <summary>Type, family, model and stepping: CPUID.1:EAX, and EDX after RESET.</summary>
    public uint Signature { get; }

    public int Family => (int)(Signature >> 8) & 15;

    /// <summary>The bits of CR4 that may be set.</summary>
    public uint Cr4Bits { get; }

    /// <summary>EFER.NXE and bit 63 of PAE entries.</summary>
    public bool HasNx { get; }

    /// <summary>The model with a command line name, or null.</summary>
    public static CpuModel? ByName(string name) => AllModels.FirstOrDefault(m => m.Name == name);

    public bool HasFeature(uint feature) => (_features & feature) == feature;

    /// <summary>Whether the model has an instruction; it is #UD otherwise.</summary>
    public bool Has(Code code) => _has[(int)code];

    public CpuLeaf Leaf(uint leaf)
    {
        uint last = Family >= 6 ? 2u : 1u;
        // A leaf beyond the last one answers as the last basic leaf does.
        return leaf switch
        {
            0 => new CpuLeaf(last, 0x756e_6547, 0x6c65_746e, 0x4965_6e69),
            1 => new CpuLeaf(Signature, 0, 0, _features),
            0x8000_0000 when HasNx => new CpuLeaf(0x8000_0004, 0, 0, 0),
            0x8000_0001 when HasNx => new CpuLeaf(0, 0, 0, NxBit),
            >= 0x8000_0002 and <= 0x8000_0004 when HasNx => Brand((int)(leaf - 0x8000_0002) * 16),
            // Cache descriptors: 32-entry TLBs, 16 KiB + 16 KiB first level, 512 KiB second level.
            _ when last == 2 => new CpuLeaf(0x0302_0101, 0, 0, 0x0c04_0843),
            _ => new CpuLeaf(Signature, 0, 0, _features),
        };
    }

    private CpuLeaf Brand(int at) => new(BrandWord(at), BrandWord(at + 4), BrandWord(at + 8), BrandWord(at + 12));

    private uint BrandWord(int at)
    {
        uint word = 0;
        for (int n = 0; n < 4 && at + n < _brand.Length; n++) word |= (uint)_brand[at + n] << (8 * n);
        return word;
    }

    private bool Known(CpuidFeature feature) => feature switch
    {
        CpuidFeature.INTEL8086 or CpuidFeature.INTEL186 or CpuidFeature.INTEL286 or CpuidFeature.INTEL386 or CpuidFeature.INTEL486 => true,
        CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 => true,
        CpuidFeature.CPUID => true,
        // A REP NOP on processors before it had a name.
        CpuidFeature.PAUSE => true,
        CpuidFeature.CMOV => HasFeature(Cmov),
        CpuidFeature.CX8 => HasFeature(Cx8),
        CpuidFeature.TSC => HasFeature(Tsc),
        CpuidFeature.MSR => HasFeature(Msr),
        CpuidFeature.SEP => HasFeature(Sep),
        CpuidFeature.FXSR => HasFeature(Fxsr),
        CpuidFeature.MULTIBYTENOP or CpuidFeature.RDPMC => Family >= 6,
        _ => false,
    };
}
