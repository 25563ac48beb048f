// What the command line asks for, as plain values.
using Emu86.Devices;
using Emu86.Ft.Host.Nbd;

namespace Emu86.Ft.Cli;

public enum Role
{
    Standalone,
    Primary,
    Backup,
    Record,
    Replay,
    Bisect,
    Demo,
    Switch,
    MakeCerts,
}

public enum NetKind
{
    None,
    User,
    Stream,
    Tap,
}

/// <summary>What executes the guest.</summary>
public enum EngineChoice
{
    /// <summary>The translator where the host can run it, else the interpreter.</summary>
    Auto,

    Interpreter,

    /// <summary>Hot guest code is translated to host code.</summary>
    Translator,
}

/// <summary>A forwarded port: connections to Host:HostPort reach the guest's GuestPort.</summary>
public sealed record HostForward(string Host, int HostPort, int GuestPort);

/// <summary>A disk image as given: path and whether it must not be written.</summary>
public sealed record DiskOption(string Path, bool ReadOnly)
{
    /// <summary>Set when the path names an export of an NBD server, and no file.</summary>
    public NbdAddress? Nbd { get; init; }

    /// <summary>A file that belongs to the guest: with a side file where it is one of several copies.</summary>
    public bool IsWritableFile => !ReadOnly && Nbd is null;
}

/// <summary>What becomes of a request of a disk that the host cannot do, where there is no other copy.</summary>
public enum DiskErrorAction
{
    /// <summary>The guest sees an error of its drive.</summary>
    Report,

    /// <summary>The guest stands still until the request can be done.</summary>
    Stop,
}

/// <summary>A HOST:PORT.</summary>
public sealed record Endpoint(string Host, int Port)
{
    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}

/// <summary>The PEM files of --tls-cert, --tls-key and --tls-ca.</summary>
public sealed record TlsFiles(string Certificate, string Key, string Authority);

/// <summary>Everything that a run was asked to do.</summary>
public sealed record RunOptions
{
    public Role Role { get; init; }

    /// <summary>The process ends when its standard input does.</summary>
    public bool EndWithInput { get; init; }

    public string? RecordFile { get; init; }
    public string? ReplayFile { get; init; }
    public string? BisectFile { get; init; }
    public ulong? Until { get; init; }
    public Endpoint? SwitchAt { get; init; }

    /// <summary>Directory for certificates.</summary>
    public string? MakeCerts { get; init; }

    /// <summary>The names of each host that gets a certificate.</summary>
    public IReadOnlyList<IReadOnlyList<string>> CertNames { get; init; } = [];

    public long MemoryBytes { get; init; } = 128L << 20;
    public string Cpu { get; init; } = "pentium2";
    public DiskOption?[] Disks { get; init; } = [null, null, null, null];

    /// <summary>A CD image, or "none" for an empty drive; null: no drive.</summary>
    public string? Cdrom { get; init; }

    public string Boot { get; init; } = "c";
    public string? Kernel { get; init; }
    public string? Initrd { get; init; }
    public string Append { get; init; } = "";
    public string? Bios { get; init; }
    public string? VgaBios { get; init; }
    public string? OptionRom { get; init; }
    public NetKind Net { get; init; } = NetKind.User;
    public IReadOnlyList<HostForward> Forwards { get; init; } = [];
    public Endpoint? StreamAt { get; init; }
    public string? StreamPath { get; init; }
    public string? TapName { get; init; }
    public NicModel Nic { get; init; } = NicModel.Ne2kPci;
    public byte[] Mac { get; init; } = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
    public string Serial { get; init; } = "stdio";
    public string Display { get; init; } = "none";
    public int ExitPort { get; init; }
    public bool DebugPort { get; init; }
    public bool PostPort { get; init; }

    /// <summary>Null: wall time.</summary>
    public DateTimeOffset? RtcBase { get; init; }

    /// <summary>Null: the default for the other options.</summary>
    public bool? FixedClock { get; init; }

    /// <summary>Nanoseconds per instruction, 32.32 fixed point.</summary>
    public ulong ClockRate { get; init; } = Chipset.Clock.DefaultRate;

    public ulong? StopAt { get; init; }
    public string? SaveSnapshot { get; init; }
    public ulong? SaveSnapshotAt { get; init; }
    public string? Restore { get; init; }
    public ulong? From { get; init; }

    /// <summary>Longest run between host checks, in instructions.</summary>
    public ulong Slice { get; init; } = 1_000_000;

    public EngineChoice Engine { get; init; }

    public bool NoReboot { get; init; }
    public bool PrintHash { get; init; }
    public Endpoint? Status { get; init; }

    public Endpoint Listen { get; init; } = new("127.0.0.1", 8686);
    public IReadOnlyList<Endpoint> Backups { get; init; } = [new("127.0.0.1", 8686)];

    /// <summary>file:PATH or etcd:URL[,URL...]; null: a directory of this user.</summary>
    public string? Arbiter { get; init; }

    /// <summary>etcd:URL[,URL...] where candidates are registered; null: only those of <see cref="Backups"/>.</summary>
    public string? Cluster { get; init; }

    /// <summary>A side that lost becomes a candidate instead of ending.</summary>
    public bool Rejoin { get; init; }

    public const int ReplicasMax = 8;

    /// <summary>How many backups the live side wants.</summary>
    public int Replicas { get; init; } = 1;

    public int HeartbeatMs { get; init; } = 20;
    public int FailureTimeoutMs { get; init; } = 200;
    public int MaxLagMs { get; init; } = 1000;
    public int HashEveryMs { get; init; } = 1000;
    public string Name { get; init; } = "default";
    /// <summary>Bound of what a backup keeps for evidence of a divergence, in bytes.</summary>
    public long EvidenceBytes { get; init; } = 64L << 20;

    /// <summary>All clean memory is looked at again within so many seconds of guest time.</summary>
    public int ScrubSeconds { get; init; } = 300;

    /// <summary>One image for both sides, instead of one for each.</summary>
    public bool SharedDisks { get; init; }

    /// <summary>A backup reads shared disks for itself; else the log says what the live side has read.</summary>
    public bool BackupReads { get; init; }

    /// <summary>A shell command that cuts the side that was live off from shared disks; null: the image's lock alone decides.</summary>
    public string? FenceCommand { get; init; }

    public bool OverwriteDisk { get; init; }
    public bool ForceStaleDisk { get; init; }
    public DiskErrorAction OnDiskError { get; init; }
    public string? StateDir { get; init; }

    /// <summary>Null: everything stays on loopback.</summary>
    public TlsFiles? Tls { get; init; }

    public bool JsonLog { get; init; }

    /// <summary>No guest software was named: the embedded guest runs.</summary>
    public bool UsesEmbeddedGuest => Kernel is null && Disks.All(d => d is null) && Cdrom is null && Bios is null && Restore is null;
}
