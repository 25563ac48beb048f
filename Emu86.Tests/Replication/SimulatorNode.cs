// One host of the simulation: a process with a core, a guest and what a driver keeps.
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

internal sealed class SimulatorNode
{
    public bool IsUp { get; set; }

    /// <summary>Counts the processes that ran here: events for an earlier one are void.</summary>
    public int Life { get; set; }

    /// <summary>Counts the guests of this process: steps for an earlier one are void.</summary>
    public int GuestNumber { get; set; }

    public long FrozenUntilUs { get; set; }

    /// <summary>This host's clock minus simulated time.</summary>
    public long ClockOffsetUs { get; set; }

    /// <summary>How fast this host's clock goes.</summary>
    public long ClockPermille { get; set; } = 1000;

    public PrimaryCore? Primary { get; set; }

    public BackupCore? Backup { get; set; }

    public SimulatorGuest? Guest { get; set; }

    public bool IsLive { get; set; }

    public bool IsPaused { get; set; }

    public ulong Speed { get; private set; } = LagController.FullSpeed;

    /// <summary>Since when the guest runs at less than half of its speed; long.MaxValue: it does not.</summary>
    public long SlowSinceUs { get; private set; } = long.MaxValue;

    public void SetSpeed(long nowUs, ulong speed)
    {
        Speed = speed;
        SlowSinceUs = speed >= LagController.FullSpeed / 2 ? long.MaxValue : Math.Min(SlowSinceUs, nowUs);
    }

    /// <summary>The guest's memory was damaged: from here on this node is not to be trusted, and must be found out.</summary>
    public bool IsDamaged { get; set; }

    /// <summary>The next clone does not load here.</summary>
    public bool LoadFails { get; set; }

    /// <summary>A disk completes in order: the next write not before this time.</summary>
    public long DiskFreeAtUs { get; set; }

    /// <summary>Writes that were given to the disk and have not reached the medium.</summary>
    public Queue<ulong> Writes { get; } = new();

    /// <summary>Hash of the guest when the last clone of it was begun.</summary>
    public UInt128 CloneHash { get; set; }

    /// <summary>Last connection on which a Hello was accepted.</summary>
    public int LastConnection { get; set; }

    public List<Output> Outputs { get; } = [];

    /// <summary>While live: the outputs that have not left, and when the guest made them.</summary>
    public Queue<(ulong Ordinal, long MadeUs)> Made { get; } = new();

    /// <summary>When the live guest last ran.</summary>
    public long RanUs { get; set; }

    public Guid Identity(int number) => new(number + 1, (short)(Life & 0x7FFF), 0, 0, 0, 0, 0, 0, 0, 0, 0);

    public void Clear()
    {
        IsUp = IsLive = IsPaused = IsDamaged = false;
        Life = GuestNumber = 0;
        FrozenUntilUs = 0;
        EndProcess();
    }

    public void EndProcess()
    {
        IsUp = IsLive = IsPaused = IsDamaged = LoadFails = false;
        DiskFreeAtUs = 0;
        Writes.Clear();
        (Speed, SlowSinceUs) = (LagController.FullSpeed, long.MaxValue);
        Primary = null;
        Backup = null;
        Guest = null;
        LastConnection = 0;
        Outputs.Clear();
        Made.Clear();
        Life++;
        GuestNumber++;
    }
}
