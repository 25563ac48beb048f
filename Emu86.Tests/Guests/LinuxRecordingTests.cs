// What a user does with --record and --replay: Debian's kernel boots, is talked to over the network and at its console, and all
// of it is repeated to the same state, by the other engine too, stopped in other places, from the middle, and to a count.
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Emu86.Tests.Ft;

namespace Emu86.Tests.Guests;

public sealed class LinuxRecordingTests
{
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(60) };

    [SkippableFact]
    public void A_recorded_boot_with_network_traffic_and_typing_replays_equal_at_any_stop_pattern_and_from_its_middle()
    {
        Skip.IfNot(GuestFiles.HaveLinux, GuestFiles.HowToGetLinux);
        using var folder = new TemporaryFolder();
        (ulong end, string hash) = Record(
            folder["recording"],
            // Without DHCP's answer the guest would take the other address.
            ["--kernel", GuestFiles.Kernel, "--initrd", GuestFiles.Initrd, "--append", "console=ttyS0,115200 quiet ip=10.0.2.99/24,10.0.2.2", "--engine", "interpreter"],
            (guest, http, echo) =>
            {
                for (int n = 1; n <= 3; n++)
                {
                    Assert.Equal($"{n}", Http.GetStringAsync($"http://127.0.0.1:{http}/cgi-bin/count").Result.Trim());
                    Echo(echo, n, 30_000);
                }
                guest.Type("echo typed-$((6*7)); dmesg | wc -l; cat /proc/interrupts /proc/uptime");
                Echo(echo, 4, 30_000);
                guest.WaitFor("typed-42", 60);
            });

        Emu86Process whole = Replay(folder["recording"], "--slice", "77777");
        Assert.Equal((end, hash), whole.StateHash());
        Assert.Contains("typed-42", whole.Output);
        Assert.True(HashesMatched(whole) > 10);

        // From snapshots in the middle: to the end in very short runs, and to one count from two of them.
        Emu86Process tail = Replay(folder["recording"], "--engine", "interpreter", "--slice", "1009", "--from", $"{end / 8 * 7}");
        Assert.Equal((end, hash), tail.StateHash());
        Assert.InRange(HashesMatched(tail), 2, HashesMatched(whole) - 1);
        ulong until = (end / 8 * 7) + 123_457;
        Emu86Process later = Replay(folder["recording"], "--slice", "99991", "--from", $"{end / 8 * 7}", "--until", $"{until}");
        Emu86Process earlier = Replay(folder["recording"], "--slice", "1000003", "--from", $"{end / 8 * 6}", "--until", $"{until}");
        Assert.Equal(until, later.StateHash().Count);
        Assert.Equal(later.StateHash(), earlier.StateHash());
    }

    [SkippableFact]
    public void A_recorded_boot_from_the_disk_leaves_the_image_alone_and_replays_with_that_image_only()
    {
        Skip.IfNot(GuestFiles.HaveLinux, GuestFiles.HowToGetLinux);
        using var folder = new TemporaryFolder();
        string image = folder.CopyOf(GuestFiles.Disk), before = Sha256(image);
        (ulong end, string hash) = Record(folder["recording"], ["--hda", image], (guest, http, _) =>
        {
            for (int n = 1; n <= 3; n++) Assert.Equal($"{n}", Http.GetStringAsync($"http://127.0.0.1:{http}/cgi-bin/append?line{n}").Result.Trim());
            guest.Type("sha256sum /bin/busybox > /data/proof; sync; sha256sum -c /data/proof");
            guest.WaitFor("/bin/busybox: OK", 60);
        });
        Assert.Equal(before, Sha256(image));

        Emu86Process whole = Replay(folder["recording"], "--hda", image, "--slice", "314159");
        Assert.Equal((end, hash), whole.StateHash());
        Assert.Contains("/bin/busybox: OK", whole.Output);
        Emu86Process tail = Replay(folder["recording"], "--hda", image, "--slice", "1009", "--from", $"{end / 8 * 7}");
        Assert.Equal((end, hash), tail.StateHash());
        Assert.Equal(before, Sha256(image));

        using (FileStream other = File.OpenWrite(image))
        {
            other.Position = other.Length / 2;
            other.Write("another"u8);
        }
        Emu86Process refused = Run("--replay", folder["recording"], "--hda", image);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("is not the image that --hda had", refused.Errors);
    }

    private static (ulong Count, string Hash) Record(string file, string[] machine, Action<PairProcess, int, int> use)
    {
        int http = PairProcess.FreePort(), echo = PairProcess.FreePort();
        using var guest = new PairProcess(["--record", file, "--net", $"user,hostfwd=tcp:127.0.0.1:{http}-:80,hostfwd=tcp:127.0.0.1:{echo}-:7", "--print-hash", .. machine]);
        guest.WaitFor("emu86-guest: ready 10.0.2.15", 400);
        guest.WaitFor("BusyBox v1.", 60);
        use(guest, http, echo);
        guest.Signal(PairProcess.SigTerm);
        Assert.Equal(0, guest.WaitForExit(60));
        string[] words = guest.WaitFor("state-hash ").Split("state-hash ")[1].Split(' ');
        return (ulong.Parse(words[0]), words[1].Trim());
    }

    private static Emu86Process Replay(string file, params string[] options)
    {
        Emu86Process replay = Run(["--replay", file, "--print-hash", .. options]);
        Assert.True(replay.ExitCode == 0, $"{string.Join(' ', options)}: {replay.Errors}");
        return replay;
    }

    private static Emu86Process Run(params string[] arguments) => Emu86Process.Run(TimeSpan.FromMinutes(6), arguments);

    /// <summary>From the line "replayed to count N, M state hashes matched".</summary>
    private static int HashesMatched(Emu86Process replay)
    {
        string[] words = replay.Errors.Split("replayed to count ")[1].Split(' ');
        return int.Parse(words[1]);
    }

    private static void Echo(int port, int seed, int bytes)
    {
        byte[] data = new byte[bytes], back = new byte[bytes];
        new Random(seed).NextBytes(data);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 60_000 };
        socket.Connect(IPAddress.Loopback, port);
        using var stream = new NetworkStream(socket);
        Task send = stream.WriteAsync(data).AsTask();
        stream.ReadExactly(back);
        send.Wait();
        Assert.Equal(data, back);
    }

    private static string Sha256(string file)
    {
        using FileStream stream = File.OpenRead(file);
        return Convert.ToHexString(SHA256.HashData(stream));
    }
}
