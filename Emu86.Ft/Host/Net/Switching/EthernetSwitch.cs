// A learning Ethernet switch (IEEE 802.1D, 7) that knows which epoch of a protected guest may speak.
using Emu86.Ft.Host.Net.User;

namespace Emu86.Ft.Host.Net.Switching;

/// <summary>A port: where frames for it go, and which epochs it announced.</summary>
public sealed class SwitchPort(string name, Action<byte[]> send)
{
    public string Name => name;

    /// <summary>Must not wait: a port that cannot take a frame loses it.</summary>
    internal Action<byte[]> Send => send;

    internal Dictionary<ulong, (ulong Guest, ulong Epoch)> Announced { get; } = [];

    internal HashSet<ulong> Muted { get; } = [];

    internal bool IsGone { get; set; }
}

/// <summary>Safe from any thread. Times in milliseconds.</summary>
public sealed class EthernetSwitch(Action<string> say)
{
    public const int AddressesMax = 4096;
    public const long AgeMs = 300_000;

    private const int EpochsMax = 256;
    private const int AnnouncedMax = 16;

    // How long an epoch counts after the port that announced it went away: a loser that still hangs on another port must not slip in.
    private const long EpochAgeMs = 60_000;

    private sealed class Record
    {
        public ulong Guest;
        public ulong Epoch;
        public required SwitchPort Port;
        public long LastHeard;
    }

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, (SwitchPort Port, long Heard)> _addresses = [];
    private readonly Dictionary<ulong, Record> _epochs = [];
    private volatile SwitchPort[] _ports = [];

    public int AddressCount
    {
        get
        {
            lock (_lock) return _addresses.Count;
        }
    }

    public SwitchPort Add(string name, Action<byte[]> send)
    {
        var port = new SwitchPort(name, send);
        lock (_lock) _ports = [.. _ports, port];
        return port;
    }

    /// <summary>The port is gone; what was learned from it is forgotten.</summary>
    public void Remove(SwitchPort port, long now)
    {
        lock (_lock)
        {
            port.IsGone = true;
            foreach (Record record in _epochs.Values)
                if (record.Port == port) record.LastHeard = now;
            _ports = [.. _ports.Where(p => p != port)];
            foreach (ulong mac in _addresses.Where(a => a.Value.Port == port).Select(a => a.Key).ToArray()) _addresses.Remove(mac);
        }
    }

    /// <summary>A frame came in; it is passed on.</summary>
    public void Receive(SwitchPort from, byte[] frame, long now)
    {
        if (frame.Length < Ethernet.HeaderBytes) return;
        ulong destination = Ethernet.Destination(frame), source = Ethernet.Source(frame);
        if (Ethernet.IsGroup(source)) return;
        SwitchPort? to = null;
        string? muted = null;
        bool speaks;
        lock (_lock)
        {
            if (from.IsGone) return;
            if (GoLiveFrames.IsEpochFrame(frame))
            {
                if (GoLiveFrames.TryParseEpoch(frame, out ulong guest, out ulong mac, out ulong epoch)) Announce(from, guest, mac, epoch, now);
                return;
            }
            speaks = MaySpeak(from, source, now);
            if (!speaks)
            {
                if (from.Muted.Count < AnnouncedMax && from.Muted.Add(source)) muted = $"port {from.Name}: frames of {source:x12} are dropped, a newer epoch speaks for it";
            }
            else
            {
                Learn(source, from, now);
                if (!Ethernet.IsGroup(destination) && _addresses.TryGetValue(destination, out (SwitchPort Port, long Heard) known) && now - known.Heard <= AgeMs) to = known.Port;
            }
        }
        if (muted is not null) say(muted);
        // Addresses for bridges themselves stay on their cable (IEEE 802.1D, table 7-10).
        if (!speaks || destination >> 4 == 0x0180_c200_000) return;
        if (to is not null)
        {
            if (to != from) to.Send(frame);
            return;
        }
        foreach (SwitchPort port in _ports)
            if (port != from) port.Send(frame);
    }

    private void Learn(ulong mac, SwitchPort port, long now)
    {
        if (_addresses.Count >= AddressesMax && !_addresses.ContainsKey(mac))
        {
            foreach (ulong old in _addresses.Where(a => now - a.Value.Heard > AgeMs).Select(a => a.Key).ToArray()) _addresses.Remove(old);
            // Full of live ones: frames to this one are flooded.
            if (_addresses.Count >= AddressesMax) return;
        }
        _addresses[mac] = (port, now);
    }

    private void Announce(SwitchPort from, ulong guest, ulong mac, ulong epoch, long now)
    {
        if (from.Announced.Count >= AnnouncedMax && !from.Announced.ContainsKey(mac)) return;
        from.Announced[mac] = (guest, epoch);
        if (_epochs.TryGetValue(mac, out Record? record))
        {
            // Another guest with the same address is not compared: it came later.
            if (record.Guest == guest && record.Epoch > epoch && !IsForgotten(record, now)) return;
        }
        else if (_epochs.Count >= EpochsMax)
        {
            _epochs.Remove(_epochs.MinBy(e => e.Value.LastHeard).Key);
        }
        _epochs[mac] = new Record { Guest = guest, Epoch = epoch, Port = from, LastHeard = now };
        from.Muted.Remove(mac);
        Learn(mac, from, now);
    }

    private bool MaySpeak(SwitchPort from, ulong mac, long now)
    {
        if (_epochs.Count == 0 || !_epochs.TryGetValue(mac, out Record? record)) return true;
        if (IsForgotten(record, now))
        {
            _epochs.Remove(mac);
            return true;
        }
        if (from == record.Port)
        {
            record.LastHeard = now;
            return true;
        }
        // A guest that is not protected announces nothing; it may use the address once the one that did is gone.
        if (!from.Announced.TryGetValue(mac, out (ulong Guest, ulong Epoch) announced)) return record.Port.IsGone;
        return announced.Guest == record.Guest && announced.Epoch >= record.Epoch;
    }

    private static bool IsForgotten(Record record, long now) => record.Port.IsGone && now - record.LastHeard > EpochAgeMs;
}
