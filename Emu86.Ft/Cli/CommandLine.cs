// The options of docs/command-line.md, one row each, on System.CommandLine.
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Globalization;
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Run;

namespace Emu86.Ft.Cli;

/// <summary>Parses the command line into <see cref="RunOptions"/>.</summary>
public static class CommandLine
{
    private static readonly List<(string Group, Option Option)> Rows = [];
    private static readonly List<(Option Option, string Instead)> NotBuilt = [];

    // Roles
    private static readonly Option<bool> Primary = Flag("Roles", "--primary", "Run the machine, protected by a backup as soon as one can be reached");
    private static readonly Option<bool> Backup = Flag("Roles", "--backup", "Wait for a primary, replay it, go live when it fails");
    private static readonly Option<string> Record = Text("Roles", "--record", "FILE", "Run, and write the log to FILE");
    private static readonly Option<string> Replay = Text("Roles", "--replay", "FILE", "Run a recording; exit code 0 only if every state hash in it matched");
    private static readonly Option<ulong?> Until = Number("Roles", "--until", "COUNT", "Replay: stop at this instruction count");
    private static readonly Option<ulong?> From = Number("Roles", "--from", "COUNT", "Replay: begin at the last snapshot in the recording before this count");
    private static readonly Option<string> Bisect = Text("Roles", "--bisect", "FILE", "Execute a recording, or evidence of a divergence, by both engines; find the first instruction that differs");
    private static readonly Option<bool> Demo = Flag("Roles", "--demo", "Show a failover on this machine: switch, primary, backup, client; the primary is killed");
    private static readonly Option<bool> EndWithInput = Flag("Roles", "--end-with-input", "End at once when standard input ends, for a program that starts this one and may die");
    private static readonly Option<string> Switch = Text("Roles", "--switch", "HOST:PORT", "An Ethernet switch for --net stream, with the user-mode NAT as one of its ports");
    private static readonly Option<string[]> HostForward = Many("Roles", "--hostfwd", "tcp:HOST:PORT-:PORT", "Switch: forward a host port to the guest");

    private static readonly Option<string> MakeCerts = Text("Roles", "--make-certs", "DIR", "Make an authority and certificates for --tls-cert, and end");
    private static readonly Option<string> CertName = Text("Roles", "--cert-name", "NAME[+NAME...][,...]", "--make-certs: a certificate for each host, which is reached by these names and addresses (default localhost+127.0.0.1+::1)");

    // Machine
    private static readonly Option<string> Memory = Text("Machine", "--memory", "SIZE", "Guest memory, 1M to 3G (default 128M)", "-m");
    private static readonly Option<string> Cpu = Text("Machine", "--cpu", "MODEL", "486, pentium or pentium2 (default pentium2); pentium4 (not built yet)", "-cpu");
    private static readonly Option<string> Engine = Text("Machine", "--engine", "ENGINE", "auto, interpreter or translator (default auto: the translator where the host can run it)");
    private static readonly Option<string>[] Disks =
    [
        Text("Machine", "--hda", "PATH[,readonly]", "Raw image of the first IDE disk: a file, or nbd:HOST:PORT/EXPORT on an NBD server", "-hda"),
        Text("Machine", "--hdb", "PATH[,readonly]", "Second IDE disk", "-hdb"),
        Text("Machine", "--hdc", "PATH[,readonly]", "Third IDE disk", "-hdc"),
        Text("Machine", "--hdd", "PATH[,readonly]", "Fourth IDE disk", "-hdd"),
    ];
    private static readonly Option<string> Cdrom = Text("Machine", "--cdrom", "PATH", "CD-ROM drive with an ISO image, or none for an empty one; POST /control/medium changes it", "-cdrom");
    private static readonly Option<string> Boot = Text("Machine", "--boot", "DEVICE", "What the BIOS boots first: c (disk, default), d (CD-ROM) or n (option ROM); a (not built yet)", "-boot");
    private static readonly Option<string> Kernel = Text("Machine", "--kernel", "PATH", "Start this Linux bzImage or multiboot ELF directly", "-kernel");
    private static readonly Option<string> Initrd = Text("Machine", "--initrd", "PATH", "Initial RAM disk of --kernel", "-initrd");
    private static readonly Option<string> Append = Text("Machine", "--append", "TEXT", "Command line of --kernel", "-append");
    private static readonly Option<string> Bios = Text("Machine", "--bios", "PATH", "System BIOS instead of our own (64, 128 or 256 KiB)", "-bios");
    private static readonly Option<string> VgaBios = Text("Machine", "--vgabios", "PATH", "VGA BIOS instead of our own");
    private static readonly Option<string> OptionRom = Text("Machine", "--option-rom", "PATH", "An option ROM, mapped at D0000h");
    private static readonly Option<string> Net = Text("Machine", "--net", "KIND", "none | user[,hostfwd=tcp:HOST:PORT-:PORT] | stream,addr=HOST:PORT | stream,path=SOCKET | tap,ifname=NAME (default user)");
    private static readonly Option<string> Nic = Text("Machine", "--nic", "MODEL", "ne2k-pci or ne2k-isa (default ne2k-pci)");
    private static readonly Option<string> Mac = Text("Machine", "--mac", "MAC", "Hardware address (default 52:54:00:12:34:56)");
    private static readonly Option<string> Serial = Text("Machine", "--serial", "TARGET", "COM1: stdio, null, file:PATH or tcp:HOST:PORT (default stdio)", "-serial");
    private static readonly Option<string> Display = Text("Machine", "--display", "KIND", "none (default); text, vnc:HOST:PORT (not built yet)");
    private static readonly Option<string> ExitPort = Text("Machine", "--exit-port", "PORT", "isa-debug-exit: a write of V ends the program with code (V<<1)|1");
    private static readonly Option<bool> DebugPort = Flag("Machine", "--debug-port", "Show bytes written to ports E9h and 402h on stderr");
    private static readonly Option<bool> PostPort = Flag("Machine", "--post-port", "Show POST codes (port 80h) on stderr");
    private static readonly Option<string> RtcBase = Text("Machine", "--rtc-base", "TIME", "utc or an ISO time; a fixed time makes a run repeatable (default utc)");
    private static readonly Option<string> Clock = Text("Machine", "--clock", "MODE", "wall or fixed[,ns-per-instruction=X]");
    private static readonly Option<ulong?> StopAt = Number("Machine", "--stop-at", "COUNT", "Stop at an instruction count");
    private static readonly Option<string> SaveSnapshot = Text("Machine", "--save-snapshot", "FILE[@COUNT]", "Write a snapshot at the end, or at a count");
    private static readonly Option<string> Restore = Text("Machine", "--restore", "FILE", "Begin with a snapshot");
    private static readonly Option<ulong?> Slice = Number("Machine", "--slice", "COUNT", "Longest run between host checks, in instructions (default 1000000)");
    private static readonly Option<bool> NoReboot = Flag("Machine", "--no-reboot", "End the run when the guest resets the machine");
    private static readonly Option<bool> PrintHash = Flag("Machine", "--print-hash", "At the end, print: state-hash COUNT HASH");
    private static readonly Option<string> Status = Text("Machine", "--status", "HOST:PORT", "Serve /status, /metrics, /control and a page for people");

    // Replication
    private static readonly Option<string> Listen = Text("Replication", "--listen", "HOST:PORT", "Backup: where primaries connect (default 127.0.0.1:8686)");
    private static readonly Option<string> Backups = Text("Replication", "--backups", "HOST:PORT[,...]", "Primary: candidates in order of preference (default 127.0.0.1:8686)");
    private static readonly Option<string> Arbiter = Text("Replication", "--arbiter", "ARBITER", "Where epochs are won: file:PATH or etcd:URL[,URL...] (default: in the state directory)");
    private static readonly Option<string> Cluster = Text("Replication", "--cluster", "etcd:URL[,...][,name=GUEST]", "Candidates register in etcd, a live side chooses the least loaded; implies --arbiter etcd:URL and --rejoin");
    private static readonly Option<bool> Rejoin = Flag("Replication", "--rejoin", "A side that lost discards its guest and becomes a candidate on --listen");
    private static readonly Option<string> DiskMode = Text("Replication", "--disks", "MODE", "replicated (default): an image on each side; shared: one that both reach");
    private static readonly Option<string> DiskReads = Text("Replication", "--disk-reads", "SIDE", "Shared disks: what the guest reads comes over the channel (primary, default), or a backup reads it for itself (backup)");
    private static readonly Option<string> FenceCommand = Text("Replication", "--fence-command", "CMD", "Shared disks: cuts the side that was live off; ends with 0 when it did");
    private static readonly Option<string> OnDiskError = Text("Replication", "--on-disk-error", "ACTION", "An image that fails where there is no other copy: report (the guest sees it, default) or stop (the guest waits)");
    private static readonly Option<ulong?> Heartbeat = Number("Replication", "--heartbeat", "MS", "Between heartbeats (default 20)");
    private static readonly Option<ulong?> FailureTimeout = Number("Replication", "--failure-timeout", "MS", "Silence after which the other side is taken as lost (default 200)");
    private static readonly Option<ulong?> MaxLag = Number("Replication", "--max-lag", "MS", "Execution lag of the backup at which the primary is slowed (default 1000)");
    private static readonly Option<ulong?> HashEvery = Number("Replication", "--hash-every", "MS", "Guest time between state hashes (default 1000)");
    private static readonly Option<string> Name = Text("Replication", "--name", "GUEST", "The guest's name at the arbiter (default default)");
    private static readonly Option<bool> OverwriteDisk = Flag("Replication", "--overwrite-disk", "Backup: let another disk's image be overwritten");
    private static readonly Option<bool> ForceStaleDisk = Flag("Replication", "--force-stale-disk", "Start on a disk copy that is not current");
    private static readonly Option<ulong?> Scrub = Number("Replication", "--scrub", "S", "Guest time in which all memory is looked at for flipped bits (default 300)");
    private static readonly Option<string> EvidenceMemory = Text("Replication", "--evidence-memory", "SIZE", "Backup: what is kept to replay a divergence (default 64M)");
    private static readonly Option<string> StateDir = Text("Replication", "--state-dir", "DIR", "Arbiter file, evidence, locks (default: per user)");
    private static readonly Option<string> TlsCert = Text("Replication", "--tls-cert", "FILE", "Certificate of this side (PEM); TLS is required beyond loopback");
    private static readonly Option<ulong?> Replicas = Number("Replication", "--replicas", "N", "Backups at a time; each acknowledges every output (default 1); the same on all hosts");
    private static readonly Option<string> TlsKey = Text("Replication", "--tls-key", "FILE", "Key of the certificate (PEM)");
    private static readonly Option<string> TlsCa = Text("Replication", "--tls-ca", "FILE", "Authorities whose certificates are believed (PEM)");
    private static readonly Option<string> LogFormat = Text("Replication", "--log-format", "FORMAT", "text or json (default text)");

    // Options of later versions: known, so that the answer is a sentence about them and not about a typing mistake.
    static CommandLine()
    {
        Later("Machine", "--fda", "PATH", "Floppy drive", "boot from a disk image (--hda) or a kernel (--kernel)");
        Later("Replication", "--quorum", "N", "Backups that must acknowledge an output", "leave it out: all backups acknowledge every output");
    }

    /// <summary>Runs <paramref name="run"/> with the parsed options; returns the exit code.</summary>
    public static int Invoke(string[] args, Func<RunOptions, int> run)
    {
        var root = new RootCommand("emu86: a deterministic PC in software, replayed in lockstep by a backup that takes over when the primary dies.");
        foreach ((_, Option option) in Rows) root.Options.Add(option);
        foreach (HelpOption help in root.Options.OfType<HelpOption>()) help.Action = new GroupedHelp();
        // A file name may begin with @: it names no file of further options.
        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            foreach (string message in parsed.Errors.Select(e => e.Message).Distinct()) Console.Error.WriteLine($"emu86: {message}");
            Console.Error.WriteLine("emu86: see --help for the options");
            return ExitCode.Usage;
        }
        root.SetAction(result =>
        {
            var report = new Report(result.GetValue(LogFormat) == "json");
            try
            {
                return run(Read(result));
            }
            catch (UsageException e)
            {
                report.Say(e.Message);
                return ExitCode.Usage;
            }
            catch (HostException e)
            {
                report.Say(e.Message);
                return e.ExitCode;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A host file that nobody had a better sentence for: a full disk in the middle of a run.
                report.Say(e.Message);
                return ExitCode.Failure;
            }
        });
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
    }

    private static RunOptions Read(ParseResult p)
    {
        foreach ((Option option, string instead) in NotBuilt)
        {
            if (p.GetResult(option) is { Implicit: false }) throw Values.NotYet(option.Name, instead);
        }
        foreach ((_, Option option) in Rows)
        {
            if (option is Option<string> text && text != Append && p.GetValue(text) == "") throw new UsageException($"{option.Name} takes {option.HelpName}, not an empty text");
        }
        var options = new RunOptions
        {
            Engine = Values.OneOf("--engine", p.GetValue(Engine) ?? "auto", "auto", "interpreter", "translator") switch
            {
                "interpreter" => EngineChoice.Interpreter,
                "translator" => EngineChoice.Translator,
                _ => EngineChoice.Auto,
            },
            Role = RoleOf(p),
            EndWithInput = p.GetValue(EndWithInput),
            RecordFile = p.GetValue(Record),
            ReplayFile = p.GetValue(Replay),
            BisectFile = p.GetValue(Bisect),
            Until = p.GetValue(Until),
            From = p.GetValue(From),
            SwitchAt = p.GetValue(Switch) is { } at ? Values.Endpoint("--switch", at) : null,
            MemoryBytes = p.GetValue(Memory) is { } memory ? Values.Size("--memory", memory) : 128L << 20,
            Cpu = Values.OneOf("--cpu", p.GetValue(Cpu) ?? "pentium2", "486", "pentium", "pentium2", ("pentium4", "use pentium2, which has no SSE")),
            Disks = [.. Disks.Select(d => p.GetValue(d) is { } text ? Values.Disk(d.Name, text) : null)],
            Cdrom = p.GetValue(Cdrom),
            Boot = Values.OneOf("--boot", p.GetValue(Boot) ?? "c", "c", "d", "n", ("a", "use c with --hda")),
            Kernel = p.GetValue(Kernel),
            Initrd = p.GetValue(Initrd),
            Append = p.GetValue(Append) ?? "",
            Bios = p.GetValue(Bios),
            VgaBios = p.GetValue(VgaBios),
            OptionRom = p.GetValue(OptionRom),
            Nic = Values.OneOf("--nic", p.GetValue(Nic) ?? "ne2k-pci", "ne2k-pci", "ne2k-isa") == "ne2k-isa" ? NicModel.Ne2kIsa : NicModel.Ne2kPci,
            Serial = p.GetValue(Serial) ?? "stdio",
            Display = DisplayOf(p.GetValue(Display) ?? "none"),
            ExitPort = p.GetValue(ExitPort) is { } port ? Values.Port("--exit-port", port) : 0,
            DebugPort = p.GetValue(DebugPort),
            PostPort = p.GetValue(PostPort),
            RtcBase = p.GetValue(RtcBase) is { } time ? Values.RtcBase(time) : null,
            StopAt = p.GetValue(StopAt),
            Restore = p.GetValue(Restore),
            Slice = p.GetValue(Slice) ?? 1_000_000,
            NoReboot = p.GetValue(NoReboot),
            PrintHash = p.GetValue(PrintHash),
            Status = p.GetValue(Status) is { } status ? Values.Endpoint("--status", status) : null,
            Listen = Values.Endpoint("--listen", p.GetValue(Listen) ?? "127.0.0.1:8686"),
            Backups = [.. (p.GetValue(Backups) ?? "127.0.0.1:8686").Split(',').Select(b => Values.Endpoint("--backups", b))],
            Arbiter = p.GetValue(Arbiter) is { } arbiter ? Values.Arbiter(arbiter) : null,
            Rejoin = p.GetValue(Rejoin),
            Replicas = p.GetValue(Replicas) is { } replicas ? replicas is >= 1 and <= RunOptions.ReplicasMax ? (int)replicas : throw new UsageException($"--replicas takes 1 to {RunOptions.ReplicasMax}") : 1,
            HeartbeatMs = Milliseconds(p, Heartbeat, 20),
            FailureTimeoutMs = Milliseconds(p, FailureTimeout, 200),
            MaxLagMs = Milliseconds(p, MaxLag, 1000),
            HashEveryMs = Milliseconds(p, HashEvery, 1000),
            Name = p.GetValue(Name) ?? "default",
            ScrubSeconds = Seconds(p, Scrub, 300),
            EvidenceBytes = p.GetValue(EvidenceMemory) is { } evidence ? Values.Size("--evidence-memory", evidence) : 64L << 20,
            SharedDisks = Values.OneOf("--disks", p.GetValue(DiskMode) ?? "replicated", "replicated", "shared") == "shared",
            BackupReads = Values.OneOf("--disk-reads", p.GetValue(DiskReads) ?? "primary", "primary", "backup") == "backup",
            FenceCommand = p.GetValue(FenceCommand),
            OverwriteDisk = p.GetValue(OverwriteDisk),
            ForceStaleDisk = p.GetValue(ForceStaleDisk),
            OnDiskError = Values.OneOf("--on-disk-error", p.GetValue(OnDiskError) ?? "report", "report", "stop") == "stop" ? DiskErrorAction.Stop : DiskErrorAction.Report,
            StateDir = p.GetValue(StateDir),
            MakeCerts = p.GetValue(MakeCerts),
            CertNames = p.GetValue(MakeCerts) is null ? [] : Values.CertNames(p.GetValue(CertName) ?? "localhost+127.0.0.1+::1"),
            Tls = TlsOf(p),
            JsonLog = Values.OneOf("--log-format", p.GetValue(LogFormat) ?? "text", "text", "json") == "json",
        };
        if (options.Cdrom is not null && options.Disks[CdromConfig.Drive] is not null) throw new UsageException("--cdrom and --hdc are the same place, the secondary master; give the disk as --hdb or --hdd");
        if (options.Boot == "d" && options.Cdrom is null && options.Role != Role.Backup) throw new UsageException("--boot d goes with --cdrom PATH");
        if (options.Slice == 0) throw new UsageException("--slice takes a count of at least 1");
        if (options.Kernel is null && (options.Initrd is not null || p.GetValue(Append) is not null)) throw new UsageException("--initrd and --append go with --kernel");
        if (options.Role != Role.Replay && (options.Until ?? options.From) is not null) throw new UsageException("--until and --from go with --replay");
        if (options.Role == Role.Replay && options.StopAt is not null) throw new UsageException("--stop-at does not go with --replay; use --until");
        if (options.Role == Role.Bisect && (options.StopAt is not null || options.Engine != EngineChoice.Auto)) throw new UsageException("--bisect executes all of the file by both engines; leave out --stop-at and --engine");
        if (options.EndWithInput && options.Serial == "stdio" && options.Role != Role.Switch) throw new UsageException("--end-with-input goes with another --serial than stdio, which reads standard input itself");
        if (options.Role == Role.Switch && options.Status is not null) throw new UsageException("--status does not go with --switch: a switch has no status");
        bool hasRole = options.Role is Role.Primary or Role.Backup;
        if ((options.SharedDisks || options.FenceCommand is not null) && !hasRole) throw new UsageException("--disks shared and --fence-command go with --primary or --backup");
        if (options.BackupReads && !options.SharedDisks) throw new UsageException("--disk-reads backup goes with --disks shared: of replicated disks each side reads its own image");
        if (options.FenceCommand is not null && !options.SharedDisks) throw new UsageException("--fence-command goes with --disks shared: each side's own image needs no fence");
        int remote = hasRole ? Array.FindIndex(options.Disks, d => d?.Nbd is not null) : -1;
        if (remote >= 0 && options is { SharedDisks: true, FenceCommand: null })
        {
            throw new UsageException($"{Disks[remote].Name} {options.Disks[remote]!.Path}: an NBD server does not say whether the side that was live can still write; give --fence-command, which makes sure that it cannot");
        }
        if (remote >= 0 && !options.SharedDisks)
        {
            throw new UsageException($"{Disks[remote].Name} {options.Disks[remote]!.Path}: each side of a pair needs an image of its own, in a file; an NBD server's disk goes with --disks shared or with a run without a role");
        }
        if (options.Tls is null && Array.FindIndex(options.Disks, d => d?.Nbd is { IsSecure: true }) is >= 0 and var secure)
        {
            throw new UsageException($"{Disks[secure].Name} {options.Disks[secure]!.Path}: TLS needs --tls-cert, --tls-key and --tls-ca");
        }
        options = options with { Disks = [.. options.Disks.Select(d => d?.Nbd is { IsSecure: true } nbd ? d with { Nbd = nbd with { Tls = options.Tls } } : d)] };
        if (options.HeartbeatMs * 2 > options.FailureTimeoutMs) throw new UsageException("--failure-timeout must be at least twice --heartbeat");
        if (options.MakeCerts is null && p.GetValue(CertName) is not null) throw new UsageException("--cert-name goes with --make-certs");
        if (options.Tls is not null && options.Role is Role.Replay or Role.Bisect or Role.Demo or Role.Switch or Role.MakeCerts) throw new UsageException("--tls-cert, --tls-key and --tls-ca go with a role that has a status port or a partner");
        options = Snapshots(options, p.GetValue(SaveSnapshot));
        if (p.GetValue(Cluster) is { } cluster) options = Values.Cluster(options, cluster, isNamed: p.GetValue(Name) is not null, isListed: p.GetValue(Backups) is not null);
        if (p.GetValue(Replicas) is not null && options.Role is not (Role.Primary or Role.Backup)) throw new UsageException("--replicas goes with --primary or --backup");
        if (options.Rejoin && options.Role is not (Role.Primary or Role.Backup)) throw new UsageException("--rejoin and --cluster go with --primary or --backup");
        if (p.GetValue(Mac) is { } mac) options = options with { Mac = Values.Mac(mac) };
        if (p.GetValue(Net) is { } net) options = Values.Net(options, net);
        if (p.GetValue(Clock) is { } clock) options = Values.Clock(options, clock);
        if (p.GetValue(HostForward) is { Length: > 0 } forwards) options = options with { Forwards = [.. forwards.Select(Values.Forward)] };
        return options;
    }

    private static string DisplayOf(string text) =>
        text.StartsWith("vnc:", StringComparison.Ordinal) ? throw Values.NotYet("--display vnc", "leave it out: the guest's console is its serial port") : Values.OneOf("--display", text, "none", ("text", "leave it out: the guest's console is its serial port"));

    private static Role RoleOf(ParseResult p)
    {
        List<(string Name, Role Role)> asked = [];
        if (p.GetValue(Primary)) asked.Add(("--primary", Role.Primary));
        if (p.GetValue(Backup)) asked.Add(("--backup", Role.Backup));
        if (p.GetValue(Record) is not null) asked.Add(("--record", Role.Record));
        if (p.GetValue(Replay) is not null) asked.Add(("--replay", Role.Replay));
        if (p.GetValue(Bisect) is not null) asked.Add(("--bisect", Role.Bisect));
        if (p.GetValue(Demo)) asked.Add(("--demo", Role.Demo));
        if (p.GetValue(Switch) is not null) asked.Add(("--switch", Role.Switch));
        if (p.GetValue(MakeCerts) is not null) asked.Add(("--make-certs", Role.MakeCerts));
        if (asked.Count > 1) throw new UsageException($"{asked[0].Name} and {asked[1].Name} are different roles; give one");
        return asked.Count == 0 ? Role.Standalone : asked[0].Role;
    }

    private static TlsFiles? TlsOf(ParseResult p)
    {
        (string? certificate, string? key, string? authority) = (p.GetValue(TlsCert), p.GetValue(TlsKey), p.GetValue(TlsCa));
        if ((certificate ?? key ?? authority) is null) return null;
        return certificate is not null && key is not null && authority is not null
            ? new TlsFiles(certificate, key, authority)
            : throw new UsageException("--tls-cert, --tls-key and --tls-ca go together; give all three");
    }

    private static RunOptions Snapshots(RunOptions options, string? text)
    {
        if (text is null) return options;
        int at = text.LastIndexOf('@');
        if (at < 0) return options with { SaveSnapshot = text };
        if (!ulong.TryParse(text[(at + 1)..], out ulong count)) throw new UsageException($"--save-snapshot takes FILE or FILE@COUNT, not \"{text}\"");
        if (count > options.StopAt) throw new UsageException($"--save-snapshot at count {count} is behind --stop-at {options.StopAt}");
        return text[..at].Length == 0 ? throw new UsageException($"--save-snapshot takes FILE or FILE@COUNT, not \"{text}\"") : options with { SaveSnapshot = text[..at], SaveSnapshotAt = count };
    }

    private static int Milliseconds(ParseResult p, Option<ulong?> option, int otherwise)
    {
        ulong? value = p.GetValue(option);
        if (value is null) return otherwise;
        return value is >= 1 and <= 3_600_000 ? (int)value : throw new UsageException($"{option.Name} takes 1 to 3600000 milliseconds");
    }

    private static int Seconds(ParseResult p, Option<ulong?> option, int otherwise)
    {
        ulong? value = p.GetValue(option);
        if (value is null) return otherwise;
        return value is >= 1 and <= 1_000_000 ? (int)value : throw new UsageException($"{option.Name} takes 1 to 1000000 seconds");
    }

    private static Option<bool> Flag(string group, string name, string description) => Row(group, new Option<bool>(name) { Description = description });

    private static Option<string> Text(string group, string name, string value, string description, params string[] aliases) =>
        Row(group, new Option<string>(name, aliases) { Description = description, HelpName = value });

    private static Option<string[]> Many(string group, string name, string value, string description) =>
        Row(group, new Option<string[]>(name) { Description = description, HelpName = value });

    private static Option<ulong?> Number(string group, string name, string value, string description) =>
        Row(group, new Option<ulong?>(name)
        {
            Description = description,
            HelpName = value,
            CustomParser = result =>
            {
                if (ulong.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)) return number;
                result.AddError($"{name} takes a whole number, not \"{result.Tokens[0].Value}\"");
                return null;
            },
        });

    private static void Later(string group, string name, string value, string description, string instead) =>
        NotBuilt.Add((Text(group, name, value, description + " (not built yet)"), instead));

    private static T Row<T>(string group, T option) where T : Option
    {
        Rows.Add((group, option));
        return option;
    }

    /// <summary>--help by group.</summary>
    private sealed class GroupedHelp : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            TextWriter to = parseResult.InvocationConfiguration.Output;
            to.WriteLine("emu86: a deterministic PC in software, replayed in lockstep by a backup that takes over when the primary dies.");
            to.WriteLine();
            to.WriteLine("Usage: dotnet run --project Emu86.Ft -- [role] [options]");
            to.WriteLine("Without a role: run one machine, unprotected. Without machine options: the embedded guest.");
            foreach (IGrouping<string, (string Group, Option Option)> group in Rows.GroupBy(r => r.Group))
            {
                to.WriteLine();
                to.WriteLine($"{group.Key}:");
                foreach ((_, Option option) in group) WriteRow(to, option);
            }
            to.WriteLine();
            to.WriteLine("Other:");
            to.WriteLine($"  {"--help, -h",-36} This text");
            to.WriteLine($"  {"--version",-36} The program's version");
            to.WriteLine();
            to.WriteLine("Exit codes: 0 powered off or stop reached; 1 failure; 2 usage; 3 another side is live; 4 diverged in --replay or --bisect.");
            return 0;
        }

        private static void WriteRow(TextWriter to, Option option)
        {
            string left = option.HelpName is null ? option.Name : $"{option.Name} {option.HelpName}";
            if (option.Aliases.Count > 0) left += $" ({string.Join(", ", option.Aliases)})";
            if (left.Length > 35)
            {
                to.WriteLine($"  {left}");
                left = "";
            }
            to.WriteLine($"  {left,-36} {option.Description}");
        }
    }
}
