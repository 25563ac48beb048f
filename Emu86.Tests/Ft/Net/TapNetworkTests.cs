// The tap device, and what is said when it cannot be had.
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
}
