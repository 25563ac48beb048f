// `stale-disk`: the disk of a side that was left behind does not come back to life.
namespace Emu86.Bench.Soak;

internal static class StaleDiskSoak
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(60);

    public static int Run(SoakOptions options)
    {
        string folder = Directory.CreateTempSubdirectory("emu86-soak-disk").FullName;
        try
        {
            string first = Path.Combine(folder, "first.img"), second = Path.Combine(folder, "second.img");
            BlankCounterDisk(first);
            BlankCounterDisk(second);
            string[] firstDisk = ["--hda", first, .. EmbeddedKernel()], secondDisk = ["--hda", second];
            using var pair = new SoakPair(options with { Guest = SoakGuest.Embedded });

            Side backup = pair.StartBackup([.. secondDisk, "--overwrite-disk"]), primary = pair.StartPrimary(firstDisk);
            primary.WaitFor("protected by", Soon);
            Count(pair, 10);
            primary.Signal(Side.SigKill);
            backup.WaitFor("went live", Soon);
            long last = Count(pair, 20);
            // The guest writes its counter within a tenth of a second.
            Thread.Sleep(500);
            backup.Signal(Side.SigTerm);
            Expect(backup.WaitForExit(Soon) == 0, $"the second side should end with 0 after SIGTERM; {backup.Last()}");
            Console.WriteLine($"stale-disk: failed over, the second side counted to {last} alone, both stopped");

            Side stale = pair.StartPrimary(firstDisk);
            int code = stale.WaitForExit(Soon);
            Expect(code is 1 or 2, $"starting the first side on its old disk should be refused, but it ended with {code}; {stale.Last()}");
            Console.WriteLine($"stale-disk: the first side was refused with exit code {code}: {stale.Last()}");

            Side again = pair.StartSecondAsPrimary([.. secondDisk, .. EmbeddedKernel()]);
            again.WaitFor("role primary", Soon);
            long next = Count(pair, 1);
            Expect(next > last, $"the second side should go on counting after {last}, but said {next}");
            Side joined = pair.StartFirstAsBackup("--hda", first);
            again.WaitFor("protected by", Soon);
            Console.WriteLine($"stale-disk: the second side goes on at {next}, the first joined as its backup; {joined.Last()}");
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static long Count(SoakPair pair, int times)
    {
        long last = 0;
        var began = System.Diagnostics.Stopwatch.StartNew();
        while (times > 0)
        {
            if (CountTraffic.Ask(Service.OnLoopback(pair.HttpPort), pair.CountPath) is { } number) (last, times) = (number, times - 1);
            else if (began.Elapsed > Soon) throw new SoakException("the guest does not count");
        }
        return last;
    }

    /// <summary>The embedded guest keeps its counter on a blank disk.</summary>
    private static void BlankCounterDisk(string path) => File.WriteAllBytes(path, new byte[1 << 20]);

    private static string[] EmbeddedKernel()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Emu86.sln"))) folder = Path.GetDirectoryName(folder) ?? throw new SoakException("stale-disk must run inside the repository");
        return ["--kernel", Path.Combine(folder, "guests", "embedded", "emu86-guest.elf")];
    }

    private static void Expect(bool holds, string otherwise)
    {
        if (!holds) throw new SoakException(otherwise);
    }
}
