// The one queue of things that will happen at a virtual time, ordered by (time, insertion number).
using Emu86.Cpu;

namespace Emu86.Chipset;

/// <summary>Something a device does at a virtual time: registered once with the queue, scheduled many times.</summary>
public sealed class ScheduledEvent
{
    private readonly EventQueue _queue;

    internal ScheduledEvent(EventQueue queue, string name, Action fire)
    {
        _queue = queue;
        Name = name;
        Fire = fire;
    }

    /// <summary>Unique in a machine: it names the event in a snapshot.</summary>
    public string Name { get; }

    public bool Pending { get; internal set; }

    /// <summary>Virtual nanoseconds at which it fires; meaningful while <see cref="Pending"/>.</summary>
    public ulong DueNs { get; internal set; }

    internal ulong Insertion { get; set; }

    internal Action Fire { get; }

    /// <summary>(Re)schedules for an absolute virtual time; a time in the past fires at the next boundary.</summary>
    public void At(ulong dueNs) => _queue.Schedule(this, dueNs);

    public void Cancel() => Pending = false;
}

/// <summary>All scheduled events of a machine. Few events exist (one per timer), so a linear scan beats a heap.</summary>
public sealed class EventQueue : IStateful
{
    private readonly List<ScheduledEvent> _events = [];
    private ulong _insertions;

    public string StateName => "events";

    public int StateVersion => 1;

    /// <summary>Called when the earliest deadline may have moved closer while an instruction runs.</summary>
    public Action? DeadlineChanged { get; set; }

    /// <summary>Declares an event. Only while the machine is built, in a fixed order.</summary>
    public ScheduledEvent Register(string name, Action fire)
    {
        foreach (ScheduledEvent other in _events) Check.That(other.Name != name);
        var added = new ScheduledEvent(this, name, fire);
        _events.Add(added);
        return added;
    }

    /// <summary>Virtual nanoseconds of the next event; <see cref="ulong.MaxValue"/> when there is none.</summary>
    public ulong NextDueNs => Next()?.DueNs ?? ulong.MaxValue;

    /// <summary>Fires everything due at <paramref name="nowNs"/>, in order, including what fired events schedule for now.</summary>
    public void FireDue(ulong nowNs)
    {
        while (Next() is { } next && next.DueNs <= nowNs)
        {
            next.Pending = false;
            next.Fire();
        }
    }

    internal void Schedule(ScheduledEvent scheduled, ulong dueNs)
    {
        scheduled.DueNs = dueNs;
        scheduled.Insertion = _insertions++;
        scheduled.Pending = true;
        DeadlineChanged?.Invoke();
    }

    public void Save(ref StateWriter writer)
    {
        writer.Struct(_insertions);
        writer.Struct(_events.Count);
        foreach (ScheduledEvent e in _events)
        {
            writer.Struct(e.Pending ? (byte)1 : (byte)0);
            writer.Struct(e.Pending ? e.DueNs : 0);
            writer.Struct(e.Pending ? e.Insertion : 0);
        }
    }

    public void Load(ref StateReader reader)
    {
        _insertions = reader.Struct<ulong>();
        if (reader.Struct<int>() != _events.Count) throw new StateFormatException("the snapshot is of a machine with other devices");
        foreach (ScheduledEvent e in _events)
        {
            e.Pending = reader.Struct<byte>() != 0;
            e.DueNs = reader.Struct<ulong>();
            e.Insertion = reader.Struct<ulong>();
        }
    }

    private ScheduledEvent? Next()
    {
        ScheduledEvent? best = null;
        foreach (ScheduledEvent e in _events)
        {
            if (!e.Pending) continue;
            if (best is null || e.DueNs < best.DueNs || (e.DueNs == best.DueNs && e.Insertion < best.Insertion)) best = e;
        }
        return best;
    }
}
