// Which network the options ask for.
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Net.User;

namespace Emu86.Ft.Host.Net;

public static class Networks
{
    /// <summary>Opens the network of the options; null without one.</summary>
    public static IHostNetwork? Open(RunOptions options) => options.Net switch
    {
        NetKind.None => null,
        NetKind.User => new UserNetwork(options.Forwards),
        _ => throw new HostException($"--net {options.Net} is not supported by this version of emu86", ExitCode.Usage),
    };
}
