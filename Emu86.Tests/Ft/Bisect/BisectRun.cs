// One run of --bisect within the test process, with ways to execute that a test chooses.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Run;
using Emu86.Ft.Run.Recording;
using Microsoft.Extensions.Logging;

namespace Emu86.Tests.Ft.Bisect;

/// <param name="ExitCode">Of the role.</param>
/// <param name="Lines">What it said.</param>
internal sealed record BisectRun(int ExitCode, IReadOnlyList<string> Lines)
{
    public string Text => string.Join('\n', Lines);

    public static BisectRun Of(RunOptions options, IReadOnlyList<ExecutionWay>? ways = null)
    {
        var said = new Said();
        int code = new Bisector(options with { Role = Role.Bisect }, ways ?? ExecutionWay.Engines, new Report(said)).Run();
        return new BisectRun(code, said.Lines);
    }

    /// <summary>The interpreter, and the interpreter with a fault: what it executes as one piece leaves something else behind.</summary>
    /// <param name="from">Where the piece begins.</param>
    /// <param name="to">Where it ends.</param>
    /// <param name="change">What it leaves behind.</param>
    public static IReadOnlyList<ExecutionWay> Faulty(ulong from, ulong to, Action<Machine> change)
    {
        ulong last = 0;
        return
        [
            ExecutionWay.Engines[0],
            new("the faulty engine", machine =>
            {
                last = machine.Position.Count;
                return true;
            })
            {
                Stopped = machine =>
                {
                    if (last <= from && machine.Position.Count >= to) change(machine);
                    last = machine.Position.Count;
                },
            },
        ];
    }

    private sealed class Said : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Add(formatter(state, exception));
    }
}
