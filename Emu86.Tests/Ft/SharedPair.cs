// A pair over one shared disk, with the embedded guest, which counts requests and writes its counter to the disk.
using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;

namespace Emu86.Tests.Ft;

/// <summary>Its processes are killed when it is disposed.</summary>
internal sealed class SharedPair : IDisposable
{
    /// <summary>Where the guest's counter lies on its disk.</summary>
    public const int CounterOffset = 512 + 16;

    private readonly int _port = PairProcess.FreePort(), _web = PairProcess.FreePort(), _cable = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public SharedPair() => Start("--switch", $"127.0.0.1:{_cable}", "--hostfwd", $"tcp:127.0.0.1:{_web}-:80").WaitFor("switch on");

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("emu86-shared").FullName;

    /// <summary>The primary's status port.</summary>
    public int Status { get; } = PairProcess.FreePort();

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        System.IO.Directory.Delete(Directory, recursive: true);
    }

    /// <summary>A file of zeros in the pair's directory.</summary>
    public string NewImage()
    {
        string image = Path.Combine(Directory, "shared.img");
        File.WriteAllBytes(image, new byte[65536]);
        return image;
    }

    public PairProcess Primary(params string[] more) => PrimaryFromDisk(["--kernel", PairTests.EmbeddedGuest, .. more]);

    /// <summary>With what the disk boots.</summary>
    public PairProcess PrimaryFromDisk(params string[] more) => Start(["--primary", "--backups", $"127.0.0.1:{_port}", "--status", $"127.0.0.1:{Status}", .. Common, .. more]);

    public PairProcess Backup(params string[] more) => Start(["--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", .. Common, .. more]);

    /// <summary>Both sides, protected.</summary>
    public (PairProcess Primary, PairProcess Backup) Protected(string[] primary, string[] backup)
    {
        PairProcess first = Primary(primary);
        first.WaitFor("emu86-guest: ready");
        PairProcess second = Backup(backup);
        first.WaitFor("protected by");
        return (first, second);
    }

    /// <summary>Makes the guest count once more; what it counts to.</summary>
    public int Count()
    {
        try
        {
            return Ask();
        }
        catch (AggregateException)
        {
            // The connection that was kept open knows nothing of a reset.
            return Ask();
        }
    }

    /// <summary>Waits until a place that holds the disk's bytes holds a counter: the guest writes it ten times a second at most, and flushes.</summary>
    public static void WaitForCounter(Func<int> found, int counter)
    {
        for (long began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began).TotalSeconds < 20; Thread.Sleep(50))
        {
            if (found() == counter) return;
        }
        Assert.Fail($"the disk holds {found()}, not {counter}");
    }

    public static int CounterIn(string image)
    {
        using FileStream file = new(image, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] word = new byte[4];
        file.Position = CounterOffset;
        file.ReadExactly(word);
        return BinaryPrimitives.ReadInt32BigEndian(word);
    }

    public static int CounterIn(byte[] disk) => BinaryPrimitives.ReadInt32BigEndian(disk.AsSpan(CounterOffset));

    /// <summary>Waits until so many more state hashes of both sides were compared, and found equal.</summary>
    public void WaitForHashes(PairProcess primary, int more = 3)
    {
        ulong before = PairProcess.Status(Status).GetProperty("hashesChecked").GetUInt64();
        primary.WaitForStatus(Status, s => s.GetProperty("hashesChecked").GetUInt64() >= before + (ulong)more);
        Assert.Equal(0, PairProcess.Status(Status).GetProperty("diverged").GetInt32());
    }

    private string[] Common => ["--state-dir", Directory, "--net", $"stream,addr=127.0.0.1:{_cable}", "--memory", "16M", "--heartbeat", "50", "--failure-timeout", "1000", "--hash-every", "200", "--disks", "shared"];

    private int Ask() => int.Parse(PairProcess.Get(_web, "/count").Trim(), CultureInfo.InvariantCulture);

    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(arguments);
        _processes.Add(process);
        return process;
    }
}
