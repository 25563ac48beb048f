// What a job costs the host.
namespace Emu86.Bench.Soak;

/// <summary>What a job took: seconds on the host's clock and of the live side's processor time, guest instructions, bytes of log.</summary>
internal readonly record struct Cost(double Seconds, double Processor, double Instructions, double LogBytes)
{
    public double Mips => Instructions / Seconds / 1e6;

    public double LogKbits => LogBytes * 8 / 1000 / Seconds;

    /// <summary>What something costs a pair's first side, which is live. Nothing is asked of it meanwhile.</summary>
    /// <param name="pair">Both sides.</param>
    /// <param name="live">The first.</param>
    /// <param name="isProtected">There is a log to be counted.</param>
    /// <param name="something">Says how long it took.</param>
    public static Cost Of(SoakPair pair, Side live, bool isProtected, Func<TimeSpan> something)
    {
        double instructions = pair.StatusOfFirst("instructionCount"), logged = isProtected ? pair.StatusOfFirst("logBytes") : 0;
        TimeSpan processor = live.ProcessorTime;
        double seconds = something().TotalSeconds;
        processor = live.ProcessorTime - processor;
        // The status is published twenty times a second; what an idle guest executes until then is nothing beside the job.
        Thread.Sleep(60);
        instructions = pair.StatusOfFirst("instructionCount") - instructions;
        logged = isProtected ? pair.StatusOfFirst("logBytes") - logged : 0;
        return new Cost(seconds, processor.TotalSeconds, instructions, logged);
    }
}
