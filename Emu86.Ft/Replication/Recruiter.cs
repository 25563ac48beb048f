// Where the primary looks for backups, and which host the guest is to be moved to. Part of PrimaryCore.
namespace Emu86.Ft.Replication;

/// <summary>Goes through the candidates in order; one session is begun at a time.</summary>
/// <param name="core">Whose backups they become.</param>
/// <param name="options">The protocol's numbers.</param>
/// <param name="start">What the primary began with.</param>
internal sealed class Recruiter(PrimaryCore core, ProtocolOptions options, PrimaryStart start)
{
    private int _next;
    private int? _moveTo;
    private long _connectAtUs;
    private ulong _session = start.SessionSeed;
    private int _lastLink;

    public void LookFor() => _connectAtUs = core.NowUs;

    /// <summary>To be asked when another backup may join: begins a session when there is a place to try.</summary>
    public void Tick()
    {
        if (_moveTo is { } target && core.Links.FirstOrDefault(l => l.Candidate == target) is { } link)
        {
            if (link.ArmedConfirmed) core.HandOver(link);
            return;
        }
        if (core.NowUs < _connectAtUs || !core.Links.TrueForAll(l => l.Phase == PrimaryPhase.Armed)) return;
        if (_moveTo is null && core.Links.Count >= start.Replicas) return;
        if ((_moveTo ?? Free()) is { } candidate) Begin(candidate);
    }

    /// <summary>The guest is to go on at this candidate's: it becomes a backup, and is handed over to as soon as it is armed.</summary>
    public void Move(int candidate)
    {
        const string Why = "the guest moves to another host";
        _moveTo = candidate;
        _connectAtUs = core.NowUs;
        if (core.Links.Exists(l => l.Candidate == candidate)) return;
        // One that is on its way makes room, or else the last of those that are there.
        if (core.Links.Find(l => l.Phase < PrimaryPhase.Armed) is { } joining) joining.Dismiss(Why);
        if (core.Links.Count >= start.Replicas) core.Links[^1].Dismiss(Why);
        _connectAtUs = core.NowUs;
    }

    /// <summary>A session with this candidate is over: was the guest to be moved there?</summary>
    public void NotMoved(int candidate, string reason)
    {
        if (_moveTo != candidate) return;
        _moveTo = null;
        core.Report($"the guest is not moved: {reason}");
    }

    /// <summary>A candidate was tried in vain.</summary>
    public void After(int candidate)
    {
        // Those to which the guest was to be moved are not in the list.
        if (candidate < start.Candidates) _next = (candidate + 1) % start.Candidates;
        _connectAtUs = core.NowUs + (_next == 0 ? options.ConnectRetryUs : options.HeartbeatUs);
    }

    private int? Free()
    {
        for (int n = 0; n < start.Candidates; n++)
        {
            int candidate = (_next + n) % start.Candidates;
            if (candidate == start.OpenCandidate || !core.Links.Exists(l => l.Candidate == candidate)) return candidate;
        }
        return null;
    }

    private void Begin(int candidate)
    {
        BackupLink link = new(core, options, start, ++_lastLink, candidate, ++_session, core.NowUs);
        core.Links.Add(link);
        link.Connect(core.NowUs);
    }
}
