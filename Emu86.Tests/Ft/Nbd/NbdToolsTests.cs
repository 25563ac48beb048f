// Other people's NBD servers: nbd-server and qemu-nbd, with an image in a file.
using System.Diagnostics;
using System.Net.Sockets;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Nbd;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft.Nbd;

[Collection("processes")]
public sealed class NbdToolsTests : IDisposable
{
    private const int Sectors = 4096;

    private readonly TemporaryFolder _folder = new();
    private readonly int _port = PairProcess.FreePort();
    private Process? _server;

    private NbdAddress Address => new(new Endpoint("127.0.0.1", _port), "disk");

    public void Dispose()
    {
        Kill();
        _folder.Dispose();
    }

    [SkippableTheory]
    [InlineData("nbd-server")]
    [InlineData("qemu-nbd")]
    public void What_is_written_is_in_the_servers_file_also_when_it_was_killed_in_between(string program)
    {
        string image = _folder.Write("disk.img", new byte[Sectors * 512]);
        Start(program, image);
        byte[] model = new byte[Sectors * 512];
        using (NbdDisk disk = NbdDisk.Open(Address, readOnly: false))
        {
            Assert.Equal(Sectors, disk.SectorCount);
            for (int n = 0; n < 3; n++)
            {
                NbdDiskTests.UseAtRandom(disk, model, 100, seed: n);
                Kill();
                Start(program, image);
            }
            Assert.Equal(BlockResult.Ok, disk.Flush());
        }
        Kill();
        Assert.Equal(model, File.ReadAllBytes(image));
    }

    [SkippableTheory]
    [InlineData("nbd-server")]
    [InlineData("qemu-nbd")]
    public void An_export_that_is_missing_or_read_only_is_a_sentence(string program)
    {
        Start(program, _folder.Write("disk.img", new byte[Sectors * 512]), readOnly: true);
        Assert.Contains("add ,readonly", Assert.Throws<HostException>(() => NbdDisk.Open(Address, readOnly: false)).Message);
        using (NbdDisk disk = NbdDisk.Open(Address, readOnly: true)) Assert.Equal(BlockResult.Ok, disk.Read(7, new byte[512]));
        Assert.Contains("\"other\"", Assert.Throws<HostException>(() => NbdDisk.Open(Address with { Export = "other" }, readOnly: true)).Message);
    }

    [SkippableTheory]
    [InlineData("nbd-server")]
    [InlineData("qemu-nbd")]
    public void The_embedded_guest_boots_from_a_server_and_keeps_its_counter_there(string program)
    {
        Start(program, _folder.CopyOf(GuestFiles.EmbeddedDisk));
        for (int counter = 0; counter < 2; counter++)
        {
            int web = PairProcess.FreePort();
            using var guest = new PairProcess("--hda", $"{Address}", "--net", $"user,hostfwd=tcp:127.0.0.1:{web}-:80", "--memory", "16M");
            guest.WaitFor($"emu86-guest: disk holds the counter, counter {counter}");
            guest.WaitFor("emu86-guest: ready 10.0.2.15");
            Assert.Equal($"{counter + 1}", PairProcess.Get(web, "/count").Trim());
            guest.Type("q");
            Assert.Equal(0, guest.WaitForExit());
        }
    }

    private void Start(string program, string image, bool readOnly = false)
    {
        string[] places = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        Skip.IfNot(places.Any(p => File.Exists(Path.Combine(p, program))), $"needs {program}: apt-get install {(program == "qemu-nbd" ? "qemu-utils" : program)}");
        string settings = $"""
            [generic]
            listenaddr = 127.0.0.1
            port = {_port}
            [disk]
            exportname = {image}
            readonly = {(readOnly ? "true" : "false")}
            flush = true

            """;
        string[] arguments = program == "qemu-nbd"
            ? ["-f", "raw", "-b", "127.0.0.1", "-p", $"{_port}", "-x", "disk", "-t", "-e", "4", .. readOnly ? ["-r"] : Array.Empty<string>(), image]
            : ["-C", _folder.Write("nbd.conf", System.Text.Encoding.ASCII.GetBytes(settings)), "-p", PidFile];
        var start = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        File.Delete(PidFile);
        Process started = Process.Start(start)!;
        started.OutputDataReceived += (_, _) => { };
        started.ErrorDataReceived += (_, _) => { };
        started.BeginOutputReadLine();
        started.BeginErrorReadLine();
        Assert.True(SpinWait.SpinUntil(Listens, 10_000), $"{program} should listen");
        // One goes on in the background, and says as what.
        if (program == "nbd-server") Assert.True(SpinWait.SpinUntil(() => File.Exists(PidFile) && File.ReadAllText(PidFile).EndsWith('\n'), 10_000), "it should write its number");
        _server = program == "nbd-server" ? Process.GetProcessById(int.Parse(File.ReadAllText(PidFile))) : started;
    }

    private string PidFile => _folder["nbd.pid"];

    // It may have one process for each client, which would go on serving.
    private void Kill()
    {
        if (_server is null) return;
        _server.Kill(entireProcessTree: true);
        Assert.True(SpinWait.SpinUntil(() => !Listens(), 10_000), "it should be gone");
        _server.Dispose();
        _server = null;
    }

    private bool Listens()
    {
        try
        {
            using var probe = new TcpClient("127.0.0.1", _port);
            return true;
        }
        catch (SocketException)
        {
            Thread.Sleep(20);
            return false;
        }
    }
}
