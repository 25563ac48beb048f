// Everything that the guest's behaviour depends on besides disk contents and inputs.
using System.IO.Hashing;
using MessagePack;

namespace Emu86.Devices;

/// <summary>The configuration of a machine: explicit keys, because it is sent to backups and stored in recordings.
/// Host things (paths, sockets, consoles) are not part of it.</summary>
[MessagePackObject]
public sealed record MachineConfig
{
    /// <summary>Raised when a field changes its meaning or the hardware model changes what a guest can see.</summary>
    public const int CurrentVersion = 1;

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

    /// <summary>Wall time at power-on in nanoseconds since 1970-01-01 UTC.</summary>
    [IgnoreMember] public Int128 PowerOnUnixNs => (Int128)RtcBase * 1_000_000_000 + RtcBaseNs;

    /// <summary>What both sides of a pair must agree on.</summary>
    public UInt128 Hash() => XxHash128.HashToUInt128(MessagePackSerializer.Serialize(this));
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
