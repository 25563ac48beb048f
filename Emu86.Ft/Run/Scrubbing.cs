// How much memory each state hash looks at again (--scrub).
using Emu86.Devices;
using Emu86.Ft.Cli;

namespace Emu86.Ft.Run;

/// <summary>A rolling share of the pages that were not written.</summary>
internal static class Scrubbing
{
    /// <summary>So many that all are looked at within the seconds asked for.</summary>
    public static int PagesPerHash(RunOptions options, MachineConfig machine)
    {
        long pages = machine.MemoryBytes >> 12, hashes = Math.Max(1, options.ScrubSeconds * 1000L / options.HashEveryMs);
        return (int)((pages + hashes - 1) / hashes);
    }
}
