// Where a user's arbiter, evidence and locks are kept.
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host;

internal static class StateDirectories
{
    /// <summary>The directory of --state-dir, or the user's; made when it is missing.</summary>
    public static string Of(RunOptions options)
    {
        string path = options.StateDir ?? Path.Combine(
            Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } state ? state
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state"), "emu86");
        try
        {
            return Directory.CreateDirectory(path).FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"the state directory {path} cannot be made: {e.Message.TrimEnd('.')}; choose another with --state-dir");
        }
    }
}
