// Everything that the guest's behaviour depends on besides disk contents and inputs.
using System.Buffers;
using System.IO.Hashing;
using Emu86.Cpu;
using MessagePack;

namespace Emu86.Devices;

/// <summary>The configuration of a machine: explicit keys, because it is sent to backups and stored in recordings.
/// Host things (paths, sockets, consoles) are not part of it.</summary>
[MessagePackObject]
public sealed record MachineConfig
{
    /// <summary>Raised when a field is added or changes its meaning, or the hardware model changes what a guest can see.</summary>
    public const int CurrentVersion = 2;

    /// <summary>Had no CD-ROM drive, and is the same machine otherwise: what was saved of it still loads.</summary>
    private const int VersionWithoutCdrom = 1;

    private const int FieldsWithoutCdrom = 15;

    private const int NestedMax = 8;
    private const long YearOne = -62_135_596_800, YearTenThousand = 253_402_300_800;
    private const uint OptionRomFirst = 0xc_0000, OptionRomEnd = 0xe_0000;

    [Key(0)] public int Version { get; init; } = CurrentVersion;

    /// <summary>1 MiB to 3 GiB, whole mebibytes.</summary>
    [Key(1)] public long MemoryBytes { get; init; } = 128L << 20;

    [Key(2)] public string Cpu { get; init; } = "pentium2";

    /// <summary>Four IDE drives (primary master, slave, secondary master, slave): size in 512-byte sectors, 0 = absent.</summary>
    [Key(3)] public long[] DriveSectors { get; init; } = [0, 0, 0, 0];

    [Key(4)] public NicModel Nic { get; init; } = NicModel.Ne2kPci;

    /// <summary>6 bytes.</summary>
    [Key(5)] public byte[] Mac { get; init; } = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

    /// <summary>Wall time at power-on: seconds since 1970-01-01 UTC.</summary>
    [Key(6)] public long RtcBase { get; init; }

    /// <summary>Nanoseconds per instruction at power-on, 32.32 fixed point.</summary>
    [Key(7)] public ulong ClockRate { get; init; } = Chipset.Clock.DefaultRate;

    /// <summary>The system BIOS: 64, 128 or 256 KiB, mapped below 1 MiB and below 4 GiB.</summary>
    [Key(8)] public byte[] Bios { get; init; } = [];

    /// <summary>Option ROMs by load address (C0000h the VGA BIOS), whole 2 KiB.</summary>
    [Key(9)] public OptionRom[] OptionRoms { get; init; } = [];

    /// <summary>A kernel that the board loads itself; null: boot from a disk.</summary>
    [Key(10)] public DirectBoot? DirectBoot { get; init; }

    /// <summary>Boot order as CMOS holds it (bios/README.md): nibbles 1 floppy, 2 disk, 3 CD, 4 network.</summary>
    [Key(11)] public int BootOrder { get; init; } = 0x2;

    /// <summary>Port of isa-debug-exit; 0: none.</summary>
    [Key(12)] public int ExitPort { get; init; }

    /// <summary>A reset ends the run instead (--no-reboot).</summary>
    [Key(13)] public bool NoReboot { get; init; }

    /// <summary>What of a second had passed at power-on, in nanoseconds below 10^9: the RTC updates at the host's second edges.</summary>
    [Key(14)] public uint RtcBaseNs { get; init; }

    /// <summary>The CD-ROM drive, always secondary master; null: none.</summary>
    [Key(15)] public CdromConfig? Cdrom { get; init; }

    /// <summary>Wall time at power-on in nanoseconds since 1970-01-01 UTC.</summary>
    [IgnoreMember] public Int128 PowerOnUnixNs => (Int128)RtcBase * 1_000_000_000 + RtcBaseNs;

    /// <summary>Why no machine can have this configuration, as the end of a sentence; null when one can. It may come from a file, or from
    /// another host.</summary>
    [IgnoreMember]
    public string? Problem =>
        Version is not (VersionWithoutCdrom or CurrentVersion) ? $"it is of machine version {Version}, this program builds versions {VersionWithoutCdrom} and {CurrentVersion}"
        : Version == VersionWithoutCdrom && Cdrom is not null ? $"a machine of version {Version} has no CD-ROM drive"
        : MemoryBytes % (1 << 20) != 0 || MemoryBytes is < 1 << 20 or > 3L << 30 ? $"{MemoryBytes} bytes of memory are not 1 MiB to 3 GiB in whole mebibytes"
        : Cpu is null || CpuModel.ByName(Cpu) is null ? $"the processor \"{Cpu}\" is not known"
        : DriveSectors is not { Length: 4 } || Array.Exists(DriveSectors, s => s is < 0 or > long.MaxValue / 512) ? "four drives of sensible size belong in it"
        : Cdrom is not null && DriveSectors[CdromConfig.Drive] != 0 ? "its CD-ROM drive is where a disk is"
        : Cdrom is { MediumBytes: var bytes } && (bytes < 0 || bytes % Ide.Medium.SectorBytes != 0) ? $"a medium of {bytes} bytes is not one of whole sectors"
        : Nic is not (NicModel.None or NicModel.Ne2kPci or NicModel.Ne2kIsa) ? $"the network card {(byte)Nic} is not known"
        : Mac is not { Length: 6 } || (Mac[0] & 1) != 0 ? "a card's hardware address has 6 bytes and is no multicast address"
        : RtcBase is < YearOne or >= YearTenThousand || RtcBaseNs >= 1_000_000_000 ? "the time of power-on is none"
        : ClockRate == 0 ? "the clock stands still"
        : Bios is not { Length: 0x1_0000 or 0x2_0000 or 0x4_0000 } ? "a system BIOS has 64, 128 or 256 KiB"
        : OptionRoms is null || Array.Exists(OptionRoms, r => r?.Image is null || r.Address is < OptionRomFirst or > OptionRomEnd || r.Image.Length > OptionRomEnd - r.Address) ? "option ROMs lie at C0000h to DFFFFh"
        : DirectBoot is { } boot && (boot.Kernel is null || boot.Initrd is null || boot.CommandLine is null) ? "the kernel to be started is incomplete"
        : ExitPort is < 0 or > 0xffff ? $"{ExitPort} is no I/O port"
        : null;

    /// <summary>Reads a configuration as it was serialised.</summary>
    /// <exception cref="StateFormatException">It cannot be read, or no machine can have it.</exception>
    public static MachineConfig Read(ReadOnlySequence<byte> bytes)
    {
        var reader = new MessagePackReader(bytes);
        return Read(ref reader);
    }

    internal static MachineConfig Read(ref MessagePackReader reader)
    {
        try
        {
            RefuseDeepNesting(reader);
            MachineConfig config = MessagePackSerializer.Deserialize<MachineConfig>(ref reader) ?? throw new StateFormatException("there is no configuration");
            return config.Problem is { } problem ? throw new StateFormatException($"the configuration is of no machine: {problem}") : config;
        }
        catch (Exception e) when (IsUnreadable(e))
        {
            throw new StateFormatException($"the configuration cannot be read ({e.Message})");
        }
    }

    /// <summary>What reading damaged MessagePack throws. ArgumentOutOfRange: the library's answer to a length of 2 GiB or more, which is a negative
    /// one to it, and to an extension that is cut off.</summary>
    internal static bool IsUnreadable(Exception e) => e is MessagePackSerializationException or EndOfStreamException or OverflowException or ArgumentOutOfRangeException;

    // What the reader does not know it skips, and it skips what is nested by calling itself: a megabyte of nested arrays would end the process.
    private static void RefuseDeepNesting(MessagePackReader reader)
    {
        Span<long> left = stackalloc long[NestedMax];
        int depth = 0;
        for (left[0] = 1; depth >= 0;)
        {
            if (left[depth]-- == 0)
            {
                depth--;
                continue;
            }
            long inside = reader.NextMessagePackType switch
            {
                MessagePackType.Array => reader.ReadArrayHeader(),
                MessagePackType.Map => 2L * reader.ReadMapHeader(),
                _ => -1,
            };
            if (inside < 0) reader.Skip();
            else if (++depth == NestedMax) throw new StateFormatException("the configuration is nested too deeply");
            else left[depth] = inside;
        }
    }

    /// <summary>What both sides of a pair must agree on.</summary>
    public UInt128 Hash()
    {
        ReadOnlySpan<byte> bytes = MessagePackSerializer.Serialize(this);
        if (Version != VersionWithoutCdrom) return XxHash128.HashToUInt128(bytes);
        // As that version's program wrote it: an array of 15 (one byte, not three), without the nil at the end.
        return XxHash128.HashToUInt128([0x90 | FieldsWithoutCdrom, .. bytes[3..^1]]);
    }
}

/// <summary>A CD-ROM drive.</summary>
[MessagePackObject]
public sealed record CdromConfig
{
    /// <summary>Secondary master.</summary>
    public const int Drive = 2;

    /// <summary>What lies in it at power-on, in bytes; 0: nothing.</summary>
    [Key(0)] public long MediumBytes { get; init; }

    /// <summary>XXH3 (128 bits) of that content: high half, low half.</summary>
    [Key(1)] public ulong MediumHashHigh { get; init; }

    [Key(2)] public ulong MediumHashLow { get; init; }

    /// <summary>The medium at power-on. Each side has its own path to it.</summary>
    [IgnoreMember]
    public Ide.Medium? Medium => MediumBytes == 0 ? null : new(MediumBytes, new UInt128(MediumHashHigh, MediumHashLow), "");

    public static CdromConfig With(Ide.Medium? medium) => medium is null ? new()
        : new() { MediumBytes = medium.Bytes, MediumHashHigh = (ulong)(medium.Hash >> 64), MediumHashLow = (ulong)medium.Hash };
}

public enum NicModel : byte
{
    None = 0,
    Ne2kPci = 1,
    Ne2kIsa = 2,
}

[MessagePackObject]
public sealed record OptionRom([property: Key(0)] uint Address, [property: Key(1)] byte[] Image);

/// <summary>A kernel to be started without a boot loader.</summary>
/// <param name="Kernel">A Linux bzImage or a multiboot ELF.</param>
/// <param name="Initrd">Linux: the initial RAM disk. Multiboot: the first module. Empty: none.</param>
/// <param name="CommandLine">Without a terminating zero.</param>
[MessagePackObject]
public sealed record DirectBoot([property: Key(0)] byte[] Kernel, [property: Key(1)] byte[] Initrd, [property: Key(2)] string CommandLine);
