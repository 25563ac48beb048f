// How busy this host is, from Linux's /proc/loadavg and /proc/meminfo (proc(5)).
using System.Globalization;

namespace Emu86.Ft.Host.Etcd;

internal static class HostLoad
{
    /// <summary>The last minute's average of tasks that run or want to, per processor, in thousandths; 0 on a host that does not say.</summary>
    public static int Permille()
    {
        string? average = Lines("/proc/loadavg").FirstOrDefault()?.Split(' ')[0];
        return decimal.TryParse(average, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal load) ? (int)Math.Min(load * 1000 / Environment.ProcessorCount, int.MaxValue) : 0;
    }

    /// <summary>Memory that could be used without swapping, within what this process may have.</summary>
    public static long FreeBytes()
    {
        GCMemoryInfo memory = GC.GetGCMemoryInfo();
        string[]? words = Lines("/proc/meminfo").FirstOrDefault(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal))?.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words is [_, var kibibytes, ..] && long.TryParse(kibibytes, NumberStyles.None, CultureInfo.InvariantCulture, out long free)
            ? Math.Min(free << 10, memory.TotalAvailableMemoryBytes)
            : Math.Max(memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes, 0);
    }

    private static string[] Lines(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
