// Mistakes on the command line and in files: a sentence and the right exit code, never a stack trace.
using Emu86.Ft.Cli;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

public sealed class BadInputTests
{
    private static readonly string[] Quick = ["--net", "none", "--serial", "null", "--rtc-base", "2026-01-01", "--stop-at", "20000000"];

    [Theory]
    [InlineData("--bogus", "--bogus")]
    [InlineData("word", "word")]
    [InlineData("--memory", "--memory")]
    [InlineData("--memory 12X", "--memory takes a size")]
    [InlineData("--memory -1", "--memory")]
    [InlineData("--cpu 686", "--cpu takes")]
    [InlineData("--engine fast", "--engine takes")]
    [InlineData("--boot x", "--boot takes c, d, n,")]
    [InlineData("--display big", "--display takes none,")]
    [InlineData("--disks few", "--disks takes replicated,")]
    [InlineData("--arbiter zookeeper:x", "--arbiter takes file:PATH or etcd:URL")]
    [InlineData("--arbiter file:", "--arbiter takes file:PATH or etcd:URL")]
    [InlineData("--arbiter etcd:127.0.0.1:2379", "--arbiter takes etcd:URL")]
    [InlineData("--backup --cluster etcd:http://a,name=", "--cluster takes etcd:URL[,URL...][,name=GUEST]")]
    [InlineData("--backup --cluster http://a", "--cluster takes etcd:URL")]
    [InlineData("--backup --name x --cluster etcd:http://a,name=y", "name different guests")]
    [InlineData("--cluster etcd:http://a,name=y", "--rejoin and --cluster go with --primary or --backup")]
    [InlineData("--record f --rejoin", "--rejoin and --cluster go with --primary or --backup")]
    [InlineData("--hda ,readonly", "--hda takes PATH")]
    [InlineData("--save-snapshot @5", "--save-snapshot takes FILE")]
    [InlineData("--save-snapshot f@20 --stop-at 10", "behind --stop-at 10")]
    [InlineData("--primary --replicas 0", "--replicas takes 1 to 8")]
    [InlineData("--backup --replicas 9", "--replicas takes 1 to 8")]
    [InlineData("--replicas 2", "--replicas goes with --primary or --backup")]
    [InlineData("--until 5", "--until and --from go with --replay")]
    [InlineData("--replay f --stop-at 5", "use --until")]
    [InlineData("--switch 127.0.0.1:1 --status 127.0.0.1:2", "--status does not go with --switch")]
    [InlineData("--end-with-input", "--end-with-input goes with another --serial")]
    [InlineData("--net stream,path=", "addr=HOST:PORT or path=SOCKET")]
    [InlineData("--hda a.qcow2,format=qcow2", "convert the image to raw")]
    [InlineData("--hda a.img,fast", "--hda takes PATH")]
    [InlineData("--hda nbd:", "--hda nbd: takes HOST:PORT")]
    [InlineData("--hdb nbd:127.0.0.1/disk", "--hdb nbd: takes HOST:PORT")]
    [InlineData("--hda nbd:127.0.0.1:0/disk", "with the server's port")]
    [InlineData("--hda nbd:127.0.0.1:10809/disk,format=vmdk", "convert the image to raw")]
    [InlineData("--primary --hdc nbd:127.0.0.1:10809/disk", "--hdc nbd:127.0.0.1:10809/disk: each side of a pair needs an image of its own")]
    [InlineData("--backup --hda nbd:127.0.0.1:10809", "each side of a pair needs an image of its own")]
    [InlineData("--on-disk-error ignore", "--on-disk-error takes report, stop")]
    [InlineData("--net wifi", "--net takes")]
    [InlineData("--net tap", "ifname=NAME")]
    [InlineData("--net stream", "addr=HOST:PORT or path=SOCKET")]
    [InlineData("--net stream,addr=x", "HOST:PORT")]
    [InlineData("--net user,hostfwd=udp:1-:2", "hostfwd takes tcp:HOST:PORT-:PORT")]
    [InlineData("--nic e1000", "--nic takes")]
    [InlineData("--mac 52:54:00", "--mac takes six")]
    [InlineData("--mac 01:00:00:00:00:01", "multicast")]
    [InlineData("--exit-port 70000", "--exit-port takes an I/O port")]
    [InlineData("--rtc-base yesterday", "--rtc-base takes")]
    [InlineData("--clock sundial", "--clock takes")]
    [InlineData("--clock fixed,ns-per-instruction=0", "--clock takes")]
    [InlineData("--stop-at abc", "--stop-at takes a whole number")]
    [InlineData("--stop-at -1", "--stop-at takes a whole number")]
    [InlineData("--slice 0", "--slice takes a count")]
    [InlineData("--save-snapshot f@x", "--save-snapshot takes")]
    [InlineData("--status nowhere", "--status takes HOST:PORT")]
    [InlineData("--status 127.0.0.1:99999", "--status takes HOST:PORT")]
    [InlineData("--listen x", "--listen takes HOST:PORT")]
    [InlineData("--primary --backup", "different roles")]
    [InlineData("--initrd x", "--kernel")]
    [InlineData("--append x", "--kernel")]
    [InlineData("--heartbeat 0", "--heartbeat takes")]
    [InlineData("--heartbeat 150", "--failure-timeout must be at least twice")]
    [InlineData("--log-format xml", "--log-format takes")]
    public void A_bad_option_is_a_sentence_and_exit_code_2(string arguments, string sentence)
    {
        (int exitCode, string errors) = Parse(arguments.Split(' '));
        Assert.Equal(2, exitCode);
        Assert.Contains(sentence, errors);
        Assert.DoesNotContain("   at ", errors);
        Assert.DoesNotContain("System.", errors);
    }

    [Theory]
    [InlineData("--cpu pentium4")]
    [InlineData("--fda x.img")]
    [InlineData("--boot a")]
    [InlineData("--display text")]
    [InlineData("--display vnc:127.0.0.1:5900")]
    [InlineData("--quorum 1")]
    public void An_option_of_a_later_version_is_answered_by_one_sentence_that_says_what_to_use(string arguments)
    {
        string[] words = arguments.Split(' ');
        foreach (string[] role in new string[][] { [], ["--primary"], ["--backup"] })
        {
            (int exitCode, string errors) = Parse([.. role, .. words]);
            Assert.Equal(2, exitCode);
            Assert.Matches($@"^emu86: {words[0]}( \w+)? is not supported yet; [^\n]{{10,}}\n$", errors);
        }
    }

    [Theory]
    [InlineData("--disks shared", "go with --primary or --backup")]
    [InlineData("--primary --fence-command true", "goes with --disks shared")]
    [InlineData("--primary --hda nbd:127.0.0.1:1/disk", "goes with --disks shared")]
    [InlineData("--primary --disks shared --hda nbd:127.0.0.1:1/disk", "give --fence-command")]
    [InlineData("--hda nbds:127.0.0.1:1/disk", "TLS needs --tls-cert")]
    [InlineData("--primary --disks other", "--disks")]
    [InlineData("--primary --disk-reads backup", "goes with --disks shared")]
    [InlineData("--primary --disks shared --disk-reads both", "--disk-reads")]
    public void Shared_disks_are_refused_where_they_could_not_be_safe(string arguments, string sentence)
    {
        (int exitCode, string errors) = Parse(arguments.Split(' '));
        Assert.Equal(2, exitCode);
        Assert.Contains(sentence, errors);
    }

    [Fact]
    public void Help_marks_what_is_not_built()
    {
        string help = Emu86Process.Run(TimeSpan.FromSeconds(60), "--help").Output;
        foreach (string option in new[] { "fda", "quorum" })
        {
            Assert.Matches($@"(?m)^  --{option} .*\(not built yet\)$", help);
        }
    }

    [Theory]
    [InlineData("--kernel")]
    [InlineData("--hda")]
    [InlineData("--record")]
    [InlineData("--save-snapshot")]
    [InlineData("--state-dir")]
    [InlineData("--name")]
    public void An_empty_value_is_a_sentence_and_exit_code_2(string option)
    {
        (int exitCode, string errors) = Parse([option, ""]);
        Assert.Equal(2, exitCode);
        Assert.Contains($"{option} takes", errors);
    }

    [Fact]
    public void A_mistake_is_a_JSON_line_when_events_are()
    {
        (int exitCode, string errors) = Parse(["--log-format", "json", "--quorum", "1"]);
        Assert.Equal(2, exitCode);
        using var line = System.Text.Json.JsonDocument.Parse(errors);
        Assert.StartsWith("--quorum is not supported yet", line.RootElement.GetProperty("event").GetString());
    }

    // Memory full of zeros: ADD [BX+SI],AL up to the segment's end, where the fetch faults.
    [Fact]
    public void A_stop_where_the_next_fetch_would_fault_is_exact_and_a_guest_that_halts_for_ever_ends()
    {
        using var folder = new TemporaryFolder();
        string bios = folder.Write("bios", new byte[0x1_0000]);
        string[] machine = ["--net", "none", "--serial", "null", "--rtc-base", "2026-01-01", "--print-hash", "--bios", bios];
        Assert.Equal(8UL, Emu86Process.Run(TimeSpan.FromSeconds(60), [.. machine, "--stop-at", "8"]).StateHash().Count);
        Emu86Process halted = Emu86Process.Run(TimeSpan.FromSeconds(60), [.. machine, "--stop-at", "20000000"]);
        Assert.Contains("nothing can wake it", halted.Errors);
        Assert.Equal(1, halted.ExitCode);
    }

    [Theory]
    [InlineData("--memory 0M")]
    [InlineData("--memory 1")]
    [InlineData("--memory 4G")]
    [InlineData("--exit-port 0x80")]
    [InlineData("--exit-port 0xffff")]
    public void A_machine_that_cannot_be_built_is_a_sentence_and_exit_code_2(string arguments) => Refused(2, arguments.Split(' '));

    [Fact]
    public void A_disk_image_that_is_no_raw_image_is_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("does not exist", Refused(1, "--hda", folder["none.img"]));
        Assert.Contains("is a directory", Refused(1, "--hda", Path.GetTempPath()));
        Assert.Contains("not a whole number", Refused(1, "--hda", folder.Write("odd.img", new byte[1000])));
        Assert.Contains("0 bytes", Refused(1, "--hda", folder.Write("empty.img", [])));
        Assert.Contains("disk nbd:127.0.0.1:1/x cannot be opened: nothing listens there", Refused(1, "--hda", "nbd:127.0.0.1:1/x"));
    }

    [Fact]
    public void A_disk_that_is_not_bootable_is_told_and_stop_at_ends_the_run()
    {
        using var folder = new TemporaryFolder();
        string blank = folder.Write("blank.img", new byte[1 << 20]);
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), "--hda", blank, "--net", "none", "--rtc-base", "2026-01-01", "--stop-at", "20000000");
        Assert.Contains("No bootable device.", run.Output);
        Assert.Equal(0, run.ExitCode);
    }

    [Fact]
    public void A_kernel_that_is_missing_damaged_or_too_large_is_refused()
    {
        using var folder = new TemporaryFolder();
        byte[] elf = File.ReadAllBytes(Path.Combine(GuestFiles.Repository, "guests", "embedded", "emu86-guest.elf"));
        string whole = folder.Write("whole.elf", elf), large = folder.Write("large", new byte[8 << 20]);
        Assert.Contains("does not exist", Refused(1, "--kernel", folder["none"]));
        Assert.Contains("is a directory", Refused(1, "--kernel", Path.GetTempPath()));
        Assert.Contains("neither a Linux bzImage nor a multiboot image", Refused(1, "--kernel", folder.Write("zero", new byte[4096])));
        Assert.Contains("neither", Refused(1, "--kernel", folder.Write("empty", [])));
        foreach (int length in new[] { 8192, elf.Length - 4096 }) Assert.Contains("truncated", Refused(1, "--kernel", folder.Write("half.elf", elf[..length])));
        Assert.Contains("do not fit", Refused(1, "--kernel", whole, "--initrd", large, "--memory", "4M"));
        Assert.Contains("do not fit", Refused(1, "--kernel", whole, "--memory", "1M"));
        Assert.Contains("does not exist", Refused(1, "--kernel", whole, "--initrd", folder["none"]));
        Assert.Contains("longer than", Refused(1, "--kernel", whole, "--append", new string('x', 5000)));
    }

    [Fact]
    public void A_bzImage_that_is_truncated_or_too_large_is_refused()
    {
        using var folder = new TemporaryFolder();
        byte[] image = SmallBzImage();
        foreach (int length in new[] { 0x208, 0x240, 1024, image.Length - 32 })
        {
            Assert.Contains("truncated", Refused(1, "--kernel", folder.Write("half", image[..length])));
        }
        string whole = folder.Write("whole", image);
        Assert.Contains("do not fit", Refused(1, "--kernel", whole, "--initrd", folder.Write("large", new byte[8 << 20]), "--memory", "8M"));
        Assert.Contains("do not fit", Refused(1, "--kernel", whole, "--memory", "1M"));
    }

    [Fact]
    public void A_snapshot_that_is_damaged_or_of_another_machine_is_refused()
    {
        using var folder = new TemporaryFolder();
        string path = folder["snapshot"], blank = folder.Write("blank.img", new byte[1 << 20]);
        Emu86Process saved = Emu86Process.Run(TimeSpan.FromSeconds(60), ["--save-snapshot", path, "--print-hash", .. Quick]);
        Assert.Equal(0, saved.ExitCode);
        byte[] snapshot = File.ReadAllBytes(path);
        Emu86Process restored = Emu86Process.Run(TimeSpan.FromSeconds(60), ["--restore", path, "--print-hash", .. Quick]);
        Assert.Equal(saved.StateHash(), restored.StateHash());

        Assert.Contains("does not exist", Refused(1, "--restore", folder["none"]));
        foreach (int length in new[] { 0, 5, 100, snapshot.Length / 2, snapshot.Length - 1 })
        {
            Assert.Contains("damaged", Refused(1, "--restore", folder.Write("short", snapshot[..length])));
        }
        foreach (int at in new[] { 0, 20, 5000, snapshot.Length / 2, snapshot.Length - 1 })
        {
            byte[] flipped = [.. snapshot];
            flipped[at] ^= 0x10;
            Assert.Contains("damaged", Refused(1, "--restore", folder.Write("flipped", flipped)));
        }
        Assert.Contains("sectors on --hda", Refused(1, "--restore", path, "--hda", blank));
    }

    [Fact]
    public void What_cannot_be_written_or_reached_is_a_sentence()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("--save-snapshot", Refused(1, "--save-snapshot", folder["no/such/place"]));
        Assert.Contains("--save-snapshot", Refused(1, "--save-snapshot", $"{folder["no/such/place"]}@1000000"));
        Assert.Contains("cannot be written", Refused(1, "--serial", $"file:{folder["no/such/place"]}"));
        Assert.Contains("nobody answers", Refused(1, "--serial", "tcp:127.0.0.1:1"));
        Assert.Contains("--serial takes", Refused(2, "--serial", "modem"));
        Assert.Contains("--serial takes", Refused(2, "--serial", "file:"));
        Assert.Contains("is a directory", Refused(1, "--save-snapshot", folder[""]));
        Assert.Contains("is a directory", Refused(1, "--record", folder[""]));
        Assert.Contains("cannot be written", Refused(1, "--record", folder["no/such/place"]));
        Assert.Contains("a system BIOS has", Refused(1, "--bios", folder.Write("bios", new byte[1000])));
        Assert.Contains("not an option ROM", Refused(1, "--option-rom", folder.Write("rom", new byte[1024])));
    }

    [SkippableFact]
    public void A_full_disk_is_a_sentence_and_the_device_stays()
    {
        Skip.IfNot(File.Exists("/dev/full"), "needs /dev/full, which Linux has");
        Assert.Contains("--save-snapshot /dev/full cannot be written", Refused(1, "--save-snapshot", "/dev/full"));
        Assert.Contains("/dev/full cannot be written any further", Refused(1, "--record", "/dev/full"));
        Assert.Contains("the guest goes on without its serial port", Refused(1, "--serial", "file:/dev/full"));
        using FileStream full = new("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        Assert.Throws<IOException>(() => full.Write([1]));
    }

    [Theory]
    [InlineData("--status 127.0.0.1:PORT")]
    [InlineData("--net user,hostfwd=tcp:127.0.0.1:PORT-:80")]
    [InlineData("--switch 127.0.0.1:PORT")]
    [InlineData("--switch 127.0.0.1:0 --hostfwd tcp:127.0.0.1:PORT-:80")]
    [InlineData("--backup --listen 127.0.0.1:PORT")]
    [InlineData("--backup --listen 127.0.0.1:0 --status 127.0.0.1:PORT")]
    [InlineData("--primary --status 127.0.0.1:PORT")]
    [InlineData("--primary --net user,hostfwd=tcp:127.0.0.1:PORT-:80")]
    public void A_port_in_use_is_a_sentence(string arguments)
    {
        using var folder = new TemporaryFolder();
        using var other = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        other.Start();
        int port = ((System.Net.IPEndPoint)other.LocalEndpoint).Port;
        string[] words = arguments.Replace("PORT", $"{port}").Split(' ');
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), [.. words, "--serial", "null", "--state-dir", folder["state"]]);
        Assert.Matches($@"^emu86: [^\n]*127\.0\.0\.1:{port}[^\n]* in use by another [^\n]*\n$", run.Errors);
        Assert.Equal(1, run.ExitCode);
    }

    [Theory]
    [InlineData("--primary")]
    [InlineData("--backup")]
    public void A_state_directory_or_arbiter_that_is_none_is_a_sentence(string role)
    {
        using var folder = new TemporaryFolder();
        string file = folder.Write("file", [1]);
        Assert.Contains("choose another with --state-dir", Refused(1, role, "--listen", "127.0.0.1:0", "--state-dir", file));
        if (role == "--primary") Assert.Contains("the arbiter", Refused(1, role, "--state-dir", folder["state"], "--arbiter", $"file:{file}"));
    }

    /// <summary>Runs the program, with defaults that end it soon should it start; returns stderr.</summary>
    private static string Refused(int exitCode, params string[] arguments)
    {
        string[] defaults = arguments.Contains("--serial") ? ["--net", "none", "--rtc-base", "2026-01-01", "--stop-at", "20000000"] : Quick;
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), [.. defaults, .. arguments]);
        Assert.StartsWith("emu86: ", run.Errors);
        Assert.DoesNotContain("   at ", run.Errors);
        Assert.DoesNotContain("internal check", run.Errors);
        Assert.True(run.ExitCode == exitCode, $"exit code {run.ExitCode}, expected {exitCode}: {run.Errors}");
        return run.Errors;
    }

    /// <summary>Parses in this process; a command line that passes would be 0.</summary>
    private static (int ExitCode, string Errors) Parse(string[] arguments)
    {
        lock (typeof(Console))
        {
            TextWriter before = Console.Error;
            var errors = new StringWriter();
            Console.SetError(TextWriter.Synchronized(errors));
            try
            {
                return (CommandLine.Invoke(arguments, _ => 0), errors.ToString());
            }
            finally
            {
                Console.SetError(before);
            }
        }
    }

    /// <summary>One setup sector, 64 KiB of protected-mode code (HLT for ever), boot protocol 2.10.</summary>
    private static byte[] SmallBzImage()
    {
        const int setupSectors = 1, systemBytes = 0x1_0000;
        byte[] image = new byte[(setupSectors + 1) * 512 + systemBytes];
        image.AsSpan((setupSectors + 1) * 512).Fill(0xf4);
        image[0x1f1] = setupSectors;
        BitConverter.TryWriteBytes(image.AsSpan(0x1f4), systemBytes / 16);
        BitConverter.TryWriteBytes(image.AsSpan(0x1fe), (ushort)0xaa55);
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        BitConverter.TryWriteBytes(image.AsSpan(0x206), (ushort)0x20a);
        image[0x211] = 1;
        BitConverter.TryWriteBytes(image.AsSpan(0x22c), 0x37ff_ffff);
        return image;
    }
}
