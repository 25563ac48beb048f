// Which driver runs for which role.
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Net.Switching;
using Emu86.Ft.Run.Recording;

namespace Emu86.Ft.Run;

public static class Roles
{
    /// <summary>Runs the role; returns the exit code.</summary>
    public static int Run(RunOptions options)
    {
        if (options.EndWithInput) InputWatch.Start();
        return Driver(options);
    }

    private static int Driver(RunOptions options) => options.Role switch
    {
        Role.Standalone or Role.Record => new Standalone(options).Run(),
        Role.Replay => new Replayer(options).Run(),
        Role.Bisect => new Bisector(options, ExecutionWay.Engines, new Report(options.JsonLog)).Run(),
        Role.Switch => new SwitchRole(options).Run(),
        Role.Primary => Pair.Rejoining.RunPrimary(options),
        Role.Backup => Pair.Rejoining.RunBackup(options),
        Role.Demo => new Demo.Demo(options).Run(),
        Role.MakeCerts => new MakeCerts(options).Run(),
        _ => throw new HostException($"role {options.Role} is not supported by this version of emu86", ExitCode.Usage),
    };
}
