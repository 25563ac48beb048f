// When received data is acknowledged (RFC 9293, 3.8.6.3): at once, but in a stream of full segments for several together, as hosts do whose
// cards hand them several segments as one. Every acknowledgement is an input of the guest, and one more record of its log.
namespace Emu86.Ft.Host.Net.User;

/// <summary>What is owed to the peer. Times in milliseconds.</summary>
/// <param name="segmentBytes">Length of a full segment.</param>
public struct TcpAcknowledgements(int segmentBytes)
{
    /// <summary>So many full segments one after the other are a stream.</summary>
    private const int StreamSegments = 32;

    private const int Together = 8;

    private const int HoldMs = 10;

    private int _run;
    private int _waiting;

    /// <summary>One is to be sent now.</summary>
    public bool IsDue { get; set; }

    /// <summary>When one is to be sent at the latest; <see cref="TcpSender.Never"/> when nothing waits.</summary>
    public long Deadline { get; private set; } = TcpSender.Never;

    /// <summary>Data came that was expected next.</summary>
    public void Received(int bytes, long now)
    {
        _run = bytes < segmentBytes ? 0 : _run + 1;
        if (_run < StreamSegments || ++_waiting >= Together) IsDue = true;
        else if (Deadline == TcpSender.Never) Deadline = now + HoldMs;
    }

    /// <summary>Data came that was not expected next: what follows is acknowledged at once (RFC 5681, 4.2), until there is a stream again.</summary>
    public void Lost() => _run = 0;

    /// <summary>Time passed.</summary>
    public void Time(long now)
    {
        if (now >= Deadline) IsDue = true;
    }

    /// <summary>A segment has said what was received.</summary>
    public void Sent()
    {
        _waiting = 0;
        IsDue = false;
        Deadline = TcpSender.Never;
    }
}
