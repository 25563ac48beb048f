// Which network the options ask for.
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Net.User;
using Emu86.Ft.Run;

namespace Emu86.Ft.Host.Net;

public static class Networks
{
    /// <summary>Opens the network of the options; null without one.</summary>
    public static IHostNetwork? Open(RunOptions options) => options.Net switch
    {
        NetKind.None => null,
        NetKind.User => new UserNetwork(options.Forwards),
        NetKind.Stream => new StreamNetwork(options.StreamAt, options.StreamPath, new Report(options.JsonLog).Say),
        NetKind.Tap => new TapNetwork(options.TapName!),
        _ => throw new ArgumentOutOfRangeException(nameof(options)),
    };
}
