// The tap device, and what is said when it cannot be had.
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Net;

namespace Emu86.Tests.Ft.Net;

public sealed class TapNetworkTests
{
    [Fact]
    public void A_name_that_is_too_long_is_told_in_a_sentence()
    {
        using var tap = new TapNetwork("an-interface-name");
        string message = Assert.Throws<HostException>(() => tap.Start(_ => { })).Message;
        Assert.Contains(OperatingSystem.IsLinux() ? "longer than 15" : "needs Linux", message);
    }

    [SkippableFact]
    public void A_device_is_opened_and_a_second_user_is_refused()
    {
        using var tap = new TapNetwork("emu86test0");
        try
        {
            tap.Start(_ => { });
        }
        catch (HostException e)
        {
            Skip.If(true, "needs Linux and the right to make a tap device: " + e.Message);
        }
        // The interface is down: the frame is lost without a word.
        tap.Send(new byte[60]);
        using var second = new TapNetwork("emu86test0");
        Assert.Contains("in use", Assert.Throws<HostException>(() => second.Start(_ => { })).Message);
    }

    [SkippableFact]
    public async Task A_cable_that_is_plugged_in_has_a_link_and_delivers_nothing_before_it_is_started()
    {
        const string device = "emu86test2";
        using var tap = new TapNetwork(device);
        try
        {
            tap.Plug();
        }
        catch (HostException e)
        {
            Skip.If(true, "needs Linux and the right to make a tap device: " + e.Message);
        }
        string wrong = await Ip("addr", "add", "10.86.87.1/24", "dev", device) + await Ip("link", "set", device, "up");
        Skip.IfNot(wrong == "", "needs the right to set up the tap device: " + wrong);
        Assert.Equal("1", File.ReadAllText($"/sys/class/net/{device}/carrier").Trim());
        using var sender = new UdpClient();
        int received = 0;
        sender.EnableBroadcast = true;
        sender.Send([1, 2, 3], "10.86.87.255", 9);
        await Task.Delay(300);
        tap.Start(frame => Interlocked.Increment(ref received));
        Assert.Equal(0, received);
        sender.Send([1, 2, 3], "10.86.87.255", 9);
        for (int n = 0; n < 100 && Volatile.Read(ref received) == 0; n++) await Task.Delay(50);
        Assert.NotEqual(0, received);
    }

    /// <summary>The host's own kernel on the other end of the cable: its ARP, ping and TCP against the embedded guest's.</summary>
    [SkippableFact]
    public async Task The_host_reaches_the_embedded_guest_over_a_tap_device()
    {
        const string device = "emu86test1";
        using (var probe = new TapNetwork(device))
        {
            try
            {
                probe.Start(_ => { });
            }
            catch (HostException e)
            {
                Skip.If(true, "needs Linux and the right to make a tap device: " + e.Message);
            }
            Skip.IfNot(await Ip("addr", "show", "dev", device) == "", "needs the command ip: apt-get install iproute2");
        }
        using var guest = new PairProcess("--net", $"tap,ifname={device}", "--kernel", Guests.GuestFiles.EmbeddedKernel, "--append", "dhcp=off ip=10.86.86.2");
        guest.WaitFor("emu86-guest: ready 10.86.86.2", 60);
        string wrong = await Ip("addr", "add", "10.86.86.1/24", "dev", device) + await Ip("link", "set", device, "up");
        Skip.IfNot(wrong == "", "needs the right to set up the tap device: " + wrong);

        using var ping = new System.Net.NetworkInformation.Ping();
        Assert.Equal(System.Net.NetworkInformation.IPStatus.Success, (await ping.SendPingAsync("10.86.86.2", 20_000)).Status);
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };
        Assert.Equal("1", (await http.GetStringAsync("http://10.86.86.2/count")).Trim());
        byte[] data = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 2000).Select(n => $"line {n}\n"))), back = new byte[data.Length];
        using var echo = new TcpClient("10.86.86.2", 7);
        Task send = echo.GetStream().WriteAsync(data).AsTask();
        await echo.GetStream().ReadExactlyAsync(back);
        await send;
        Assert.Equal(data, back);
    }

    /// <summary>What ip says when it fails.</summary>
    private static async Task<string> Ip(params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            await process.StandardOutput.ReadToEndAsync();
            string errors = await process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync();
            return process.ExitCode == 0 ? "" : errors + process.ExitCode;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return e.Message;
        }
    }
}
