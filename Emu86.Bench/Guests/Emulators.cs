// How each emulator is told to run the Linux guest: one core, 128 MiB, no network, the console on the first serial port.
using System.Diagnostics;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Guests;

/// <param name="Program">Path, or a name on PATH.</param>
/// <param name="Arguments">One per word.</param>
/// <param name="SerialFile">Where the serial output goes when it is not the standard output.</param>
/// <param name="Input">What it reads from its standard input before the end of that.</param>
/// <param name="ViewerPort">The port of 127.0.0.1 where it waits for a viewer of its screen (RFB); 0: it does not.</param>
internal sealed record Command(string Program, IReadOnlyList<string> Arguments, string? SerialFile = null, string Input = "", int ViewerPort = 0);

/// <summary>What to boot.</summary>
internal sealed record Guest(string Kernel, string Initrd, string Disk)
{
    public static string Append(string jobs) => $"console=ttyS0,115200 quiet emu86.net=off emu86.run={jobs}";
}

internal abstract class Emulator
{
    public abstract string Name { get; }

    /// <summary>Whether it boots a guest.</summary>
    public virtual bool Boots => true;

    /// <summary>A sentence when this host cannot run it; null when it can.</summary>
    public abstract string? Missing(Guest guest);

    /// <summary>The command that boots the guest and runs the jobs (names separated by commas).</summary>
    public abstract Command Prepare(Guest guest, string jobs, string workDirectory);

    public static Emulator Peer(string name, string? ours, string engine, bool ownCores) => name switch
    {
        "qemu" => new Qemu(icount: false),
        "qemu-icount" => new Qemu(icount: true),
        "bochs" => new Bochs(),
        "interpreter" => new Emu86(ours, "interpreter", name),
        "native" => new Native(),
        "pair" => new Pair(ours, engine, ownCores),
        _ => throw new BenchException($"--against knows qemu, qemu-icount, bochs, interpreter, pair and native, not \"{name}\""),
    };

    protected static void Do(string program, string[] arguments, string otherwise)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        if (process.ExitCode != 0) throw new BenchException(otherwise);
    }

    protected static string? OnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(d => Path.Combine(d, program)).FirstOrDefault(File.Exists);
}

/// <param name="program">emu86.dll or its executable; null: the one that was built with this program.</param>
/// <param name="engine">For <c>--engine</c>.</param>
/// <param name="name">In the table.</param>
internal class Emu86(string? program, string engine, string name = Emu86.Subject) : Emulator
{
    private readonly string _program = program ?? Path.Combine(AppContext.BaseDirectory, "emu86.dll");

    /// <summary>The emulator that the others are compared with.</summary>
    public const string Subject = "emu86";

    public override string Name => name;

    public override string? Missing(Guest guest) => File.Exists(_program) ? null : $"{_program} is not there";

    public override Command Prepare(Guest guest, string jobs, string workDirectory) => With(guest, jobs, []);

    /// <summary>A repeatable run, in which guest time is a count of instructions.</summary>
    public Command Counting(Guest guest, string jobs) => With(guest, jobs, ["--rtc-base", "2026-01-01", "--clock", $"fixed,ns-per-instruction={CountingNs}"]);

    /// <summary>Nanoseconds of guest time per instruction in a counting run.</summary>
    public const int CountingNs = 10;

    protected string Engine { get; } = engine;

    /// <summary>The program as a command without options.</summary>
    protected string[] Start => _program.EndsWith(".dll", StringComparison.Ordinal) ? ["dotnet", _program] : [_program];

    protected Command With(Guest guest, string jobs, string[] more)
    {
        string[] start = Start;
        return new Command(start[0],
        [
            .. start[1..],
            "--kernel", guest.Kernel, "--initrd", guest.Initrd, "--append", Guest.Append(jobs), "--net", "none", "--serial", "stdio", "--no-reboot", "--engine", Engine, .. more,
        ]);
    }
}

/// <summary>Emu86 with one processor to itself, all of its threads on it, while an independent one runs the same, and longer, on another: what a
/// pair whose sides have a core each is to be compared with.</summary>
internal sealed class Beside(string? program, string engine) : Emu86(program, engine)
{
    public override Command Prepare(Guest guest, string jobs, string workDirectory)
    {
        Command measured = With(guest, jobs, []), other = With(guest, $"{jobs},{jobs}", []);
        // The measured one is this process itself; the other one ends with it.
        string script = $"{Cores.Second} {Cores.Quoted(other)} < /dev/null > /dev/null 2>&1 & other=$!; (tail --pid=$$ -f /dev/null; kill $other) > /dev/null 2>&1 & exec {Cores.First} \"$@\"";
        return new Command("sh", ["-c", script, "beside", measured.Program, .. measured.Arguments]);
    }
}

/// <summary>The processors that the sides of a pair have to themselves.</summary>
internal static class Cores
{
    public const string First = "taskset -c 0", Second = "taskset -c 1";

    public static string Quoted(Command command) => string.Join(' ', command.Arguments.Prepend(command.Program).Select(word => $"'{word.Replace("'", "'\\''")}'"));
}

/// <summary>Emu86 with a backup on the same host, which is cloned from it while it boots: what protection costs.</summary>
/// <param name="program">As emu86's.</param>
/// <param name="engine">Of both sides.</param>
/// <param name="ownCores">Each side has a processor to itself.</param>
internal sealed class Pair(string? program, string engine, bool ownCores) : Emu86(program, engine, "pair")
{
    public override Command Prepare(Guest guest, string jobs, string workDirectory)
    {
        string state = Path.Combine(workDirectory, "pair"), address = $"127.0.0.1:{SoakPair.FreePorts(1)[0]}";
        Directory.CreateDirectory(state);
        Command primary = With(guest, jobs, ["--primary", "--backups", address, "--state-dir", state]);
        string[] backup = [.. Start, "--backup", "--listen", address, "--state-dir", state, "--net", "none", "--serial", "null", "--engine", Engine];
        // The backup ends when the primary's guest powers off.
        (string first, string second) = ownCores ? (Cores.First, Cores.Second) : ("", "");
        string script = $"{second} {string.Join(' ', backup)} < /dev/null > \"$0/backup.log\" 2>&1 & exec {first} \"$@\"";
        return new Command("sh", ["-c", script, state, primary.Program, .. primary.Arguments]);
    }
}

/// <param name="icount">In its deterministic mode: time is a count of instructions.</param>
internal sealed class Qemu(bool icount) : Emulator
{
    private const string Program = "qemu-system-i386";

    public override string Name => icount ? "qemu-icount" : "qemu";

    public override string? Missing(Guest guest) => OnPath(Program) is null ? "qemu-system-i386 is not on PATH (Debian: apt-get install qemu-system-x86)" : null;

    public override Command Prepare(Guest guest, string jobs, string workDirectory) => new(Program,
    [
        "-accel", "tcg", "-cpu", "pentium2", "-M", "pc", "-m", "128", "-smp", "1", "-nographic", "-no-reboot", "-nic", "none",
        "-kernel", guest.Kernel, "-initrd", guest.Initrd, "-append", Guest.Append(jobs),
        .. icount ? ["-icount", "shift=1,sleep=off"] : Array.Empty<string>(),
    ]);
}

/// <summary>Bochs has no direct kernel start: it boots a copy of the guest's disk whose SYSLINUX configuration starts the same
/// kernel with the same initrd. So its boot includes BIOS and boot loader.</summary>
internal sealed class Bochs : Emulator
{
    private const string Bios = "/usr/share/bochs/BIOS-bochs-latest", VgaBios = "/usr/share/bochs/VGABIOS-lgpl-latest";
    private const long BootPartition = 2048 * 512;

    public override string Name => "bochs";

    public override string? Missing(Guest guest) =>
        OnPath("bochs") is null ? "bochs is not on PATH (Debian: apt-get install bochs bochsbios vgabios)"
        : !File.Exists(Bios) ? $"{Bios} is not there (Debian: apt-get install bochsbios)"
        : !File.Exists(VgaBios) ? $"{VgaBios} is not there (Debian: apt-get install vgabios)"
        : OnPath("mcopy") is null ? "mcopy is not on PATH (Debian: apt-get install mtools)"
        : !File.Exists(guest.Disk) ? $"{guest.Disk} is not there" : null;

    public override Command Prepare(Guest guest, string jobs, string workDirectory)
    {
        string disk = Path.Combine(workDirectory, "bochs.img"), serial = Path.Combine(workDirectory, "bochs.serial");
        string loader = Path.Combine(workDirectory, "syslinux.cfg"), rc = Path.Combine(workDirectory, "bochsrc");
        File.Copy(guest.Disk, disk, overwrite: true);
        File.Delete(serial);
        File.WriteAllText(loader, $"DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n KERNEL vmlinuz\n INITRD initrd.gz\n APPEND {Guest.Append(jobs)}\n");
        Copy("-o", "-i", $"{disk}@@{BootPartition}", guest.Initrd, "::initrd.gz");
        Copy("-o", "-i", $"{disk}@@{BootPartition}", loader, "::syslinux.cfg");
        File.WriteAllLines(rc,
        [
            "megs: 128", $"romimage: file={Bios}", $"vgaromimage: file={VgaBios}", "cpu: model=p2_klamath, reset_on_triple_fault=1",
            $"ata0-master: type=disk, path={disk}, mode=flat", "boot: disk", "display_library: rfb, options=\"timeout=30\"",
            $"com1: enabled=1, mode=file, dev={serial}", "clock: sync=none", "pci: enabled=1, chipset=i440fx", "panic: action=fatal", "plugin_ctrl: speaker=false", $"log: {Path.Combine(workDirectory, "bochs.log")}",
        ]);
        // Debian builds it with its debugger, which waits for the word to continue; and it does not start without a viewer.
        return new Command("bochs", ["-q", "-f", rc], serial, "c\n", 5900);
    }

    private static void Copy(params string[] arguments) => Do("mcopy", arguments, "mcopy could not change the copy of the guest's disk");
}

/// <summary>No emulator: the same programs, out of the initrd, by the host's processor and kernel. It says how far the host is.</summary>
internal sealed class Native : Emulator
{
    public override string Name => "native";

    public override bool Boots => false;

    public override string? Missing(Guest guest) =>
        OnPath("cpio") is null ? "cpio is not on PATH (Debian: apt-get install cpio)"
        : !Environment.IsPrivilegedProcess ? "only root may run the guest's programs in a root directory of their own" : null;

    public override Command Prepare(Guest guest, string jobs, string workDirectory)
    {
        string root = Path.Combine(workDirectory, "native");
        if (!Directory.Exists(root))
        {
            Directory.CreateDirectory(root);
            Do("sh", ["-c", "gzip -dc \"$0\" | cpio --quiet -idm -D \"$1\"", Path.GetFullPath(guest.Initrd), root], "the initrd could not be unpacked");
        }
        string script = $"PATH=/sbin:/bin:/bench; for job in {jobs.Replace(',', ' ')}; do echo \"emu86-guest: begin $job\"; /bench/$job; done";
        // The mount is seen by these processes alone, and is gone with them.
        return new Command("unshare", ["--mount", "sh", "-c", "mkdir -p \"$0/proc\" && mount --bind /proc \"$0/proc\" && exec chroot \"$0\" /bin/sh -c \"$1\"", root, script]);
    }
}
