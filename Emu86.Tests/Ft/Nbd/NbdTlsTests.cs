// Disks of a server that demands TLS: qemu-nbd with certificates of the tests' own authority.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Nbd;
using Emu86.Tests.Ft.Tls;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft.Nbd;

[Collection("processes")]
public sealed class NbdTlsTests : IDisposable
{
    private const int Sectors = 4096;

    private readonly TestCertificates _certificates = new();
    private readonly TemporaryFolder _folder = new();
    private readonly int _port = PairProcess.FreePort();
    private NbdTool? _server;

    public void Dispose()
    {
        _server?.Dispose();
        _folder.Dispose();
        _certificates.Dispose();
    }

    [SkippableFact]
    public void What_is_written_over_TLS_is_in_the_servers_file_also_when_it_was_killed_in_between()
    {
        string image = _folder.Write("disk.img", new byte[Sectors * 512]);
        TlsFiles theirs = _certificates.Make(TestCertificates.Local);
        Start(image, theirs);
        byte[] model = new byte[Sectors * 512];
        using (NbdDisk disk = NbdDisk.Open(Address(_certificates.Make(TestCertificates.Local)), readOnly: false))
        {
            Assert.Equal(Sectors, disk.SectorCount);
            for (int n = 0; n < 2; n++)
            {
                NbdDiskTests.UseAtRandom(disk, model, 100, seed: n);
                _server!.Dispose();
                Start(image, theirs);
            }
            Assert.Equal(BlockResult.Ok, disk.Flush());
        }
        _server!.Dispose();
        _server = null;
        Assert.Equal(model, File.ReadAllBytes(image));
    }

    [SkippableFact]
    public void A_server_of_another_authority_or_name_is_refused()
    {
        using var others = new TestCertificates();
        Start(_folder.Write("disk.img", new byte[Sectors * 512]), _certificates.Make(TestCertificates.Local));
        Assert.Contains("it is not the server that it should be", Refusal(Address(others.Make(TestCertificates.Local))));
        _server!.Dispose();
        Start(_folder["disk.img"], _certificates.Make(["elsewhere"]));
        Assert.Contains("it is not the server that it should be", Refusal(Address(_certificates.Make(TestCertificates.Local))));
    }

    [SkippableFact]
    public void Each_side_says_that_the_other_wants_TLS_or_has_none()
    {
        string image = _folder.Write("disk.img", new byte[Sectors * 512]);
        Start(image, _certificates.Make(TestCertificates.Local));
        Assert.Contains("the server wants TLS; name it as nbds:", Refusal(new NbdAddress(new Endpoint("127.0.0.1", _port), "disk")));
        _server!.Dispose();
        Start(image, null);
        Assert.Contains("the server does not offer TLS", Refusal(Address(_certificates.Make(TestCertificates.Local))));
    }

    [SkippableFact]
    public void A_guest_keeps_its_counter_on_a_server_with_TLS()
    {
        Start(_folder.CopyOf(GuestFiles.EmbeddedDisk), _certificates.Make(TestCertificates.Local));
        int web = PairProcess.FreePort();
        string[] options = ["--hda", $"nbds:127.0.0.1:{_port}/disk", "--net", $"user,hostfwd=tcp:127.0.0.1:{web}-:80", "--memory", "16M", .. TestCertificates.Options(_certificates.Make(TestCertificates.Local))];
        for (int counter = 0; counter < 2; counter++)
        {
            using var guest = new PairProcess(options);
            guest.WaitFor($"emu86-guest: disk holds the counter, counter {counter}");
            guest.WaitFor("emu86-guest: ready 10.0.2.15");
            Assert.Equal($"{counter + 1}", PairProcess.Get(web, "/count").Trim());
            guest.Type("q");
            Assert.Equal(0, guest.WaitForExit());
        }
    }

    private NbdAddress Address(TlsFiles own) => new(new Endpoint("127.0.0.1", _port), "disk", IsSecure: true) { Tls = own };

    private void Start(string image, TlsFiles? tls) => _server = NbdTool.Start("qemu-nbd", image, _folder, _port, tls: tls);

    private static string Refusal(NbdAddress address) => Assert.Throws<HostException>(() => NbdDisk.Open(address, readOnly: true)).Message;
}
