// Appends the log and decides when a frontier is due. Part of PrimaryCore.
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>Writes for all backups that have begun to follow.</summary>
/// <param name="core">Whose log it is.</param>
/// <param name="options">The protocol's numbers.</param>
internal sealed class LogWriter(PrimaryCore core, ProtocolOptions options)
{
    private long _lastFrontierUs = long.MinValue / 2;
    private Position _lastFrontier;
    private ulong _toldReleased;
    private ulong _toldDurable;
    private bool _recordSinceFrontier;
    private bool _halted;
    private BulkOutputs _outputs = new(options.BulkHoldUs);

    /// <summary>A log begins, at the current boundary.</summary>
    public void Begin() => _lastFrontier = core.Position;

    public void Append(LogRecord record)
    {
        if (!core.HasLog) return;
        core.Log.Append(record, core.NowUs);
        _recordSinceFrontier = record is not FrontierRecord;
        foreach (BackupLink link in core.Links) link.SendRecord(record);
        core.UpdatePause();
    }

    public void AppendFrontier()
    {
        _lastFrontier = core.Position;
        _lastFrontierUs = core.NowUs;
        _outputs.Told();
        (_toldReleased, _toldDurable) = (core.ReleasedUpTo, core.DurableUpTo);
        Append(new FrontierRecord(core.Position, core.ReleasedUpTo, core.DurableUpTo, core.NowUs, core.OutputOrdinal));
    }

    /// <summary>The guest has produced an output, since the last boundary that was told.</summary>
    public void Produced(Output output) => _outputs.Produced(output, core.NowUs);

    /// <summary>The guest has run to the current boundary.</summary>
    public void Ran(bool halted)
    {
        bool nowHalted = halted && !_halted;
        _halted = halted;
        bool quiet = core.Position.Count - _lastFrontier.Count < options.QuietInstructions;
        bool isDue = core.NowUs - _lastFrontierUs >= (quiet ? options.QuietFrontierUs : options.FrontierUs) && (_recordSinceFrontier || core.Position > _lastFrontier);
        if (core.HasLog && (_outputs.AreDue(core.NowUs) || (nowHalted && !quiet) || isDue)) AppendFrontier();
    }

    /// <summary>A guest that is quiet, or stopped by a full buffer, may not run again soon: a backup nevertheless has to execute what
    /// was logged and forget what has left, or it would never make room.</summary>
    public void Tick(bool isPaused)
    {
        if (!core.HasLog) return;
        bool isNews = _recordSinceFrontier || core.ReleasedUpTo > _toldReleased || core.DurableUpTo > _toldDurable;
        if (_outputs.AreDue(core.NowUs) || (isNews && core.NowUs - _lastFrontierUs >= (isPaused ? options.FrontierUs : options.QuietFrontierUs))) AppendFrontier();
    }
}
