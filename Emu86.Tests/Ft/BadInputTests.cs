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
    [InlineData("--cpu pentium4", "not supported by this version")]
    [InlineData("--engine translator", "not supported by this version")]
    [InlineData("--engine fast", "--engine takes")]
    [InlineData("--cdrom x.iso", "--cdrom is not supported by this version")]
    [InlineData("--fda x.img", "--fda is not supported by this version")]
    [InlineData("--boot d", "--boot takes")]
    [InlineData("--display vnc:127.0.0.1:5900", "--display takes")]
    [InlineData("--disks shared", "--disks shared is not supported by this version")]
    [InlineData("--arbiter etcd:http://127.0.0.1:2379", "--arbiter takes file:PATH")]
    [InlineData("--tls-cert a --tls-key b --tls-ca c", "not supported by this version")]
    [InlineData("--hda a.qcow2,format=qcow2", "convert the image to raw")]
    [InlineData("--hda a.img,fast", "--hda takes PATH")]
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
        Assert.Contains("a system BIOS has", Refused(1, "--bios", folder.Write("bios", new byte[1000])));
        Assert.Contains("not an option ROM", Refused(1, "--option-rom", folder.Write("rom", new byte[1024])));
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
