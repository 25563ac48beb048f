// The ways in which the same recording can be executed, which must all give the same states.
using Emu86.Devices;

namespace Emu86.Ft.Run.Recording;

/// <summary>One of them.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Choose">Called with each machine that is to run this way. False: this host cannot.</param>
public sealed record ExecutionWay(string Name, Func<Machine, bool> Choose)
{
    // Code that is translated after so many runs is not the same trace as that of code which ran more often.
    private const uint HotRunsSoon = 2;

    /// <summary>Called with the machine whenever it stops on its way: at a record, a slice's end, or where it was asked to.</summary>
    public Action<Machine>? Stopped { get; init; }

    /// <summary>The interpreter, and what is compared with it. Code is translated at once, so that each execution is the same.</summary>
    public static IReadOnlyList<ExecutionWay> Engines { get; } =
    [
        new("the interpreter", machine => machine.Board.Processor.UseTranslator(false)),
        new("the translator", machine => Translate(machine, Cpu.Processor.HotRunsDefault)),
        new($"the translator (of all that runs {HotRunsSoon} times)", machine => Translate(machine, HotRunsSoon)),
    ];

    private static bool Translate(Machine machine, uint hotRuns)
    {
        machine.Board.Processor.TranslationWanted = null;
        return machine.Board.Processor.UseTranslator(true, hotRuns);
    }
}
