// Systems that nobody here wrote, from Debian's packages, unmodified, on our board.
using System.Net;
using System.Net.Sockets;
using System.Text;
using Emu86.Ft.Cli;
using Emu86.Tests.Ft;

namespace Emu86.Tests.Guests;

public sealed class OtherSystemsTests
{
    private const ulong Limit = 15_000_000_000;

    [SkippableFact]
    public void Memtest86_finds_no_error_in_our_memory()
    {
        Skip.IfNot(GuestFiles.HaveSystems, GuestFiles.HowToGetSystems);
        using GuestConsole guest = Start(new RunOptions { Kernel = GuestFiles.Memtest, MemoryBytes = 8 << 20 });
        guest.WaitForScreen("Memtest86+", 1_000_000_000);
        guest.WaitForScreen("#4", 2_000_000_000);
        Assert.Contains("Errors: 0", guest.Screen);
        Assert.DoesNotContain("FAIL", guest.Screen);
    }

    [SkippableFact]
    public void GRUB_shows_its_menu_and_loads_a_kernel_from_ext2_through_our_BIOS()
    {
        Skip.IfNot(GuestFiles.HaveSystems, GuestFiles.HowToGetSystems);
        using GuestConsole guest = Start(WithDisk(GuestFiles.GrubDisk));
        guest.WaitFor("GNU GRUB", Limit);
        guest.WaitFor("emu86-grub: loading", Limit);
    }

    [SkippableFact]
    public void SeaBIOS_starts_GRUB_and_GRUB_the_PAE_kernel_which_comes_to_a_shell_and_switches_off_through_ACPI()
    {
        Skip.IfNot(GuestFiles.HaveSystems, GuestFiles.HowToGetSystems);
        using GuestConsole guest = Start(WithDisk(GuestFiles.GrubDisk) with { Bios = GuestFiles.SeaBios });
        guest.WaitForScreen("SeaBIOS (version 1.", Limit);
        guest.WaitFor("GNU GRUB", Limit);
        guest.WaitFor("emu86-grub: loading", Limit);
        guest.WaitFor("emu86-guest: ready none", Limit);
        guest.WaitFor("emu86:/# ", Limit);
        guest.Type("echo $((6*7))-$(uname -r); grep -o -w pae /proc/cpuinfo; poweroff -f");
        guest.WaitFor("42-6.1.", Limit);
        guest.WaitFor("686-pae", Limit);
        guest.WaitFor("pae\r", Limit);
        guest.WaitForPowerOff(Limit);
    }

    [SkippableFact]
    public void SeaBIOS_starts_the_embedded_guest_from_its_disk()
    {
        Skip.IfNot(GuestFiles.HaveSystems, GuestFiles.HowToGetSystems);
        using var folder = new TemporaryFolder();
        string image = folder.CopyOf(GuestFiles.EmbeddedDisk);
        // SeaBIOS addresses the boot sector by cylinder, head and sector: the disk must have a whole cylinder.
        using (FileStream file = File.OpenWrite(image)) file.SetLength(2 << 20);
        using GuestConsole guest = Start(WithDisk(image) with { Bios = GuestFiles.SeaBios });
        guest.WaitFor("emu86-guest: disk holds the counter", Limit);
        guest.WaitFor("emu86-guest: ready none", Limit);
    }

    /// <summary>iPXE asks for an address, fetches the embedded guest over HTTP and starts it; the guest then asks for itself.</summary>
    [SkippableFact]
    public void IPXE_boots_the_embedded_guest_from_a_web_server_of_the_host()
    {
        Skip.IfNot(GuestFiles.HaveSystems, GuestFiles.HowToGetSystems);
        using var folder = new TemporaryFolder();
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        Task<string> asked = Task.Run(() => Serve(listener, GuestFiles.EmbeddedKernel));
        string script = folder.Write("script.ipxe", Encoding.ASCII.GetBytes($"#!ipxe\nifconf -c dhcp net0\nkernel http://10.0.2.2:{port}/emu86-guest.elf\nboot\n"));
        using var guest = new PairProcess("--kernel", GuestFiles.Ipxe, "--initrd", script, "--net", "user");
        guest.WaitFor("emu86-guest: ready 10.0.2.15", 300);
        Assert.StartsWith("GET /emu86-guest.elf HTTP/1.1", asked.Result);
    }

    private static RunOptions WithDisk(string image) => new() { Disks = [new DiskOption(image, ReadOnly: true), null, null, null] };

    private static GuestConsole Start(RunOptions options) => new(options with
    {
        Net = NetKind.None,
        RtcBase = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
        Slice = 1_000_000,
    });

    /// <summary>Answers one request with a file; returns the request.</summary>
    private static string Serve(TcpListener listener, string file)
    {
        using TcpClient client = listener.AcceptTcpClient();
        using NetworkStream stream = client.GetStream();
        var request = new StringBuilder();
        byte[] buffer = new byte[4096];
        while (!request.ToString().Contains("\r\n\r\n", StringComparison.Ordinal))
        {
            int count = stream.Read(buffer);
            Assert.True(count > 0, "the request should be whole; it is: " + request);
            request.Append(Encoding.ASCII.GetString(buffer, 0, count));
        }
        byte[] content = File.ReadAllBytes(file);
        stream.Write(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {content.Length}\r\nConnection: close\r\n\r\n"));
        stream.Write(content);
        // Until the other side is done.
        while (stream.Read(buffer) > 0) { }
        return request.ToString();
    }
}
