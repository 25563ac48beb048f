// Guest code is translated beside the emulation thread, which meanwhile interprets it.
using System.Collections.Concurrent;
using Emu86.Cpu;

namespace Emu86.Ft.Run;

/// <summary>One thread for all processors of the program.</summary>
internal static class TranslationThread
{
    private static readonly BlockingCollection<Processor> Wanted = [];
    private static readonly Lazy<Thread> Worker = new(Start);

    /// <summary>Has a processor's code translated here.</summary>
    public static void Serve(Processor processor)
    {
        _ = Worker.Value;
        processor.TranslationWanted = () => Wanted.Add(processor);
    }

    private static Thread Start()
    {
        var thread = new Thread(Translate) { IsBackground = true, Name = "translation" };
        thread.Start();
        return thread;
    }

    private static void Translate()
    {
        foreach (Processor processor in Wanted.GetConsumingEnumerable()) processor.TranslateNext();
    }
}
