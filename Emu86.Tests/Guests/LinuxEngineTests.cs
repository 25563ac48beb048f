// Which engine runs Debian's kernel cannot be seen in it, however often it changes.
using Emu86.Cpu;
using Emu86.Ft.Cli;

namespace Emu86.Tests.Guests;

public sealed class LinuxEngineTests
{
    private const ulong HashEvery = 10_000_000, Until = 900_000_000;

    [SkippableFact]
    public void Random_engine_switches_evictions_and_stops_change_no_hash_of_a_boot()
    {
        Skip.IfNot(GuestFiles.HaveLinux, GuestFiles.HowToGetLinux);
        using GuestConsole interpreted = Boot(EngineChoice.Interpreter), stressed = Boot(EngineChoice.Auto);
        Processor processor = stressed.Machine.Board.Processor;
        Skip.IfNot(processor.IsTranslating, "the translator needs Linux on an x86-64 processor");
        var random = new Random(7);
        for (ulong count = HashEvery; count <= Until; count += HashEvery)
        {
            while (stressed.Count < count)
            {
                // Off and on again forgets all translations.
                if (random.Next(8) == 0) processor.UseTranslator(false);
                if (random.Next(3) != 0) processor.UseTranslator(true, (uint)random.Next(1, 200));
                stressed.RunTo(ulong.Min(count, stressed.Count + (ulong)random.Next(1, random.Next(4) == 0 ? 100 : 4_000_000)));
            }
            interpreted.RunTo(count);
            Assert.Equal((count, interpreted.Machine.StateHash()), (stressed.Count, stressed.Machine.StateHash()));
        }
    }

    private static GuestConsole Boot(EngineChoice engine) => new(new RunOptions
    {
        Kernel = GuestFiles.Kernel,
        Initrd = GuestFiles.Initrd,
        Append = "console=ttyS0,115200 quiet emu86.net=off",
        Net = NetKind.None,
        RtcBase = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
        Engine = engine,
    });
}
