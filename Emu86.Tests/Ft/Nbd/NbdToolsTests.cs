// Other people's NBD servers: nbd-server and qemu-nbd, with an image in a file.
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
    private NbdTool? _server;

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

    private void Start(string program, string image, bool readOnly = false) => _server = NbdTool.Start(program, image, _folder, _port, readOnly);

    private void Kill()
    {
        _server?.Dispose();
        _server = null;
    }
}
