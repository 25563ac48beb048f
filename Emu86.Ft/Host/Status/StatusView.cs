// What a running emulator knows about itself: written by the emulation thread, read by any.
using System.Diagnostics;
using Emu86.Devices;

namespace Emu86.Ft.Host.Status;

/// <summary>One backup of a primary.</summary>
/// <param name="Address">Where it is.</param>
/// <param name="Armed">It may go live; else it is being cloned to or catches up.</param>
/// <param name="LagUs">Age of the oldest log record that it has not executed, in microseconds.</param>
public sealed record BackupStatus(string Address, bool Armed, long LagUs);

/// <summary>A moment of a run.</summary>
public sealed record StatusView
{
    public string Role { get; init; } = "";

    /// <summary>What executes the guest: interpreter or translator; empty while there is none.</summary>
    public string Engine { get; init; } = "";

    public ulong Epoch { get; init; }
    public bool Protected { get; init; }
    public bool Paused { get; init; }

    /// <summary>Backups that are wanted at a time.</summary>
    public int Replicas { get; init; }

    /// <summary>Backups that must acknowledge an output; 0 while there is none.</summary>
    public int Quorum { get; init; }

    /// <summary>The backups there are.</summary>
    public IReadOnlyList<BackupStatus> Backups { get; init; } = [];

    /// <summary>Why the guest waits for a disk (--on-disk-error stop), or what it has written for a shared one, as a sentence; null while neither does.</summary>
    public string? DiskProblem { get; init; }

    public Position Position { get; init; }

    /// <summary>Instructions executed since the start of the process.</summary>
    public ulong Instructions { get; init; }

    /// <summary>Age of the oldest log record that the backup has not executed, in microseconds.</summary>
    public long LagUs { get; init; }

    /// <summary>Log kept for the backup, in bytes.</summary>
    public long LogBytes { get; init; }

    /// <summary>Bytes of all log records ever appended.</summary>
    public long LogBytesSent { get; init; }

    public ulong LogRecords { get; init; }
    public int OutputsHeld { get; init; }

    /// <summary>How much of a clone is done, 0 to 1; 0 when none is under way.</summary>
    public double CloneProgress { get; init; }

    /// <summary>State hashes that were found equal on both sides.</summary>
    public ulong HashesChecked { get; init; }

    public int Diverged { get; init; }
    public int Failovers { get; init; }
    public (long P50, long P99) OutputDelayUs { get; init; }

    /// <summary>Million instructions and log bytes in the last second; filled in by <see cref="StatusBoard"/>.</summary>
    public double Mips { get; init; }

    public double LogBytesPerSecond { get; init; }

    public static string EngineOf(Machine machine) => machine.Board.Processor.IsTranslating ? "translator" : "interpreter";
}

/// <summary>Counters that go on through a failover, and the last published view.</summary>
public sealed class StatusBoard
{
    private static readonly long EveryTicks = Stopwatch.Frequency / 20;

    private readonly Queue<(long At, ulong Instructions, long LogBytes)> _second = new();
    private volatile StatusView _view = new();
    private long _next;

    public OutputDelays Delays { get; } = new();

    public ulong HashesChecked { get; set; }

    public int Diverged { get; set; }

    public int Failovers { get; set; }

    /// <summary>The last published view.</summary>
    public StatusView View => _view;

    /// <summary>Whether a new view is wanted: twenty times a second.</summary>
    public bool IsDue => Stopwatch.GetTimestamp() >= _next;

    /// <summary>Makes a view visible, with the counters and rates filled in.</summary>
    public void Publish(StatusView view)
    {
        long now = Stopwatch.GetTimestamp();
        _next = now + EveryTicks;
        _second.Enqueue((now, view.Instructions, view.LogBytesSent));
        while (now - _second.Peek().At > Stopwatch.Frequency) _second.Dequeue();
        (long at, ulong instructions, long logBytes) = _second.Peek();
        double seconds = (double)(now - at) / Stopwatch.Frequency;
        _view = view with
        {
            HashesChecked = HashesChecked,
            Diverged = Diverged,
            Failovers = Failovers,
            OutputDelayUs = Delays.Percentiles(),
            Mips = seconds > 0 && view.Instructions >= instructions ? (view.Instructions - instructions) / seconds / 1e6 : 0,
            LogBytesPerSecond = seconds > 0 && view.LogBytesSent >= logBytes ? (view.LogBytesSent - logBytes) / seconds : 0,
        };
    }
}

/// <summary>How long outputs waited for their acknowledgement. Outputs leave in the order in which they were made.</summary>
public sealed class OutputDelays
{
    private const int SamplesMax = 1024;

    private readonly Queue<long> _madeUs = new();
    private readonly long[] _samples = new long[SamplesMax];
    private long _count;

    public void Made() => _madeUs.Enqueue(HostClock.NowUs);

    public void Left()
    {
        if (_madeUs.TryDequeue(out long made)) _samples[_count++ % SamplesMax] = HostClock.NowUs - made;
    }

    /// <summary>Microseconds, of the last thousand outputs; 0 when there were none.</summary>
    public (long P50, long P99) Percentiles()
    {
        int n = (int)Math.Min(_count, SamplesMax);
        if (n == 0) return (0, 0);
        long[] sorted = _samples[..n];
        Array.Sort(sorted);
        return (sorted[n / 2], sorted[n * 99 / 100]);
    }
}
