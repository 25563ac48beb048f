// A guest that sends at its full rate makes a frame a millisecond, and needs none of them to leave before the next one is made: several
// then share a frontier. What a guest may be waiting for (a small frame, a serial byte, a disk write) never waits for others.
using Emu86.Devices;

namespace Emu86.Ft.Replication;

/// <summary>Decides whether outputs that wait for a frontier get one now.</summary>
/// <param name="holdUs">How long full frames of a stream wait for more of them, in microseconds; 0: never.</param>
public struct BulkOutputs(long holdUs)
{
    /// <summary>A frame of so many bytes is one of a stream's: TCP has no more room in it.</summary>
    private const int FullBytes = 1400;

    /// <summary>So many full frames, none later than the holding time after the one before, are a stream.</summary>
    private const int StreamFrames = 32;

    /// <summary>So many share a frontier.</summary>
    private const int Together = 8;

    private int _run;
    private int _waiting;
    private bool _isUrgent;
    private long _lastUs;
    private long _sinceUs;

    /// <summary>The guest has produced an output.</summary>
    public void Produced(Output output, long nowUs)
    {
        if (output.Kind != OutputKind.Frame || output.Data.Length < FullBytes) _isUrgent = true;
        else
        {
            _run = nowUs - _lastUs <= holdUs ? _run + 1 : 1;
            _lastUs = nowUs;
        }
        if (_waiting++ == 0) _sinceUs = nowUs;
    }

    /// <summary>Whether those that wait have waited long enough.</summary>
    public bool AreDue(long nowUs)
    {
        if (_waiting == 0) return false;
        if (_isUrgent || _run < StreamFrames || _waiting >= Together) return true;
        if (nowUs - _sinceUs < holdUs) return false;
        // Hardly any more came: the stream is over, or the guest waits for what is held.
        if (_waiting < Together / 2) _run = 0;
        return true;
    }

    /// <summary>They have a frontier.</summary>
    public void Told() => (_waiting, _isUrgent) = (0, false);
}
