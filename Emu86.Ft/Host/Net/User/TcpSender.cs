// The sending half of a TCP connection: the window (RFC 9293), retransmission (RFC 6298), congestion control (RFC 5681, 6582).
namespace Emu86.Ft.Host.Net.User;

/// <summary>Keeps what is sent until it is acknowledged and decides what may be sent now. Times are in milliseconds.</summary>
public sealed class TcpSender
{
    public const long Never = long.MaxValue;

    private const int TimeoutMinMs = 200;
    private const int TimeoutMaxMs = 30_000;
    private const int RetriesMax = 15;
    private const int SynRetriesMax = 8;

    // RFC 6298 starts with a second, for paths that cross the world. This one is a cable to a guest, and a SYN that is lost while
    // a backup goes live would make its connection wait that second.
    private const int TimeoutInitialMs = 250;
    private const int InitialSegments = 10;

    private readonly ByteRing _ring = new();
    private readonly uint _initial;
    private uint _unacknowledged;
    private uint _next;
    private uint _highest;
    private uint _window;
    private uint _windowSequence;
    private uint _windowAcknowledgement;
    private uint _congestionWindow;
    private uint _slowStartThreshold = uint.MaxValue;
    private uint _recoverUntil;
    private bool _recovering;
    private int _duplicates;
    private bool _finWanted;
    private bool _probe;
    private bool _resend;

    private int _smoothedMs = -1;
    private int _variationMs;
    private int _timeoutMs = TimeoutInitialMs;
    private int _retries;
    private uint _timedSequence;
    private long _timedAt = Never;

    public TcpSender(uint initial)
    {
        _initial = _unacknowledged = _next = _highest = _recoverUntil = initial;
        Mss = 536;
        _congestionWindow = (uint)(InitialSegments * Mss);
    }

    /// <summary>Largest segment that the peer takes, in bytes.</summary>
    public int Mss { get; private set; }

    /// <summary>How far the peer shifts its window.</summary>
    public int Shift { get; set; }

    /// <summary>When something must be sent again.</summary>
    public long Deadline { get; private set; } = Never;

    /// <summary>The peer has been silent through all retransmissions.</summary>
    public bool GaveUp { get; private set; }

    public uint Highest => _highest;

    /// <summary>The sequence number for segments without data: the highest that the peer's window takes, or it would ignore them.</summary>
    public uint Bare => SynAcknowledged && Sequence.After(_highest, _unacknowledged + _window) ? _unacknowledged + _window : _highest;

    public uint Initial => _initial;

    public bool SynAcknowledged { get; private set; }

    /// <summary>Our FIN was sent and acknowledged.</summary>
    public bool Finished { get; private set; }

    public bool FinWanted => _finWanted;

    /// <summary>Bytes that were written and are not acknowledged.</summary>
    public int Waiting => _ring.Count;

    public Span<byte> Space() => _ring.Space();

    public int Free => _finWanted ? 0 : _ring.Free;

    public void Commit(int bytes) => _ring.Commit(bytes);

    /// <summary>No more data follows.</summary>
    public void Finish() => _finWanted = true;

    public void Release() => _ring.Release();

    public void PeerMss(int mss)
    {
        Mss = int.Clamp(mss == 0 ? 536 : mss, 64, 1460);
        _congestionWindow = (uint)(InitialSegments * Mss);
    }

    /// <summary>The SYN is being sent.</summary>
    public void SynSent(long now)
    {
        _next = _initial + 1;
        _highest = _next;
        if (_timedAt == Never && _retries == 0)
        {
            _timedAt = now;
            _timedSequence = _next;
        }
        Deadline = now + _timeoutMs;
    }

    public void SetWindow(uint window, uint sequence, uint acknowledgement)
    {
        _window = window;
        _windowSequence = sequence;
        _windowAcknowledgement = acknowledgement;
    }

    /// <summary>Takes an acknowledgement that lies at or before <see cref="Highest"/>.</summary>
    /// <param name="bare">The segment carries neither data nor SYN nor FIN.</param>
    public void Acknowledge(in TcpHeader header, bool bare, long now)
    {
        uint acknowledgement = header.Acknowledgement;
        uint window = (uint)header.Window << (header.Has(TcpFlags.Syn) ? 0 : Shift);
        if (Sequence.After(acknowledgement, _unacknowledged)) Advance(acknowledgement, now);
        else if (acknowledgement == _unacknowledged && bare && window == _window && _highest != _unacknowledged) Duplicate();
        if (Sequence.Before(acknowledgement, _unacknowledged)) return;
        if (Sequence.Before(_windowSequence, header.Sequence) || (_windowSequence == header.Sequence && !Sequence.After(_windowAcknowledgement, acknowledgement)))
        {
            // A peer that answers probes of its closed window is alive, however long it stays closed (RFC 9293, 3.8.6.1).
            if (window == 0) _retries = 0;
            // What was sent into the closed window was thrown away.
            else if (_window == 0) _next = _unacknowledged;
            SetWindow(window, header.Sequence, acknowledgement);
        }
    }

    private void Advance(uint acknowledgement, long now)
    {
        uint acknowledged = acknowledgement - _unacknowledged;
        uint data = acknowledged;
        if (!SynAcknowledged) data--;
        SynAcknowledged = true;
        if (data > (uint)_ring.Count)
        {
            data = (uint)_ring.Count;
            Finished = true;
        }
        _ring.Consume((int)data);
        _unacknowledged = acknowledgement;
        if (Sequence.Before(_next, acknowledgement)) _next = acknowledgement;
        _duplicates = 0;
        _retries = 0;
        Measure(acknowledgement, now);
        if (_recovering)
        {
            if (Sequence.Before(acknowledgement, _recoverUntil))
            {
                // A partial acknowledgement: the next hole (RFC 6582, 3.2).
                _resend = true;
                _congestionWindow -= uint.Min(_congestionWindow - (uint)Mss, acknowledged);
                _congestionWindow += (uint)Mss;
            }
            else
            {
                _recovering = false;
                _congestionWindow = _slowStartThreshold;
            }
        }
        else if (_congestionWindow < _slowStartThreshold) _congestionWindow += acknowledged;
        // By bytes, since one acknowledgement often covers a whole window (RFC 3465).
        else _congestionWindow += uint.Max(1, (uint)((ulong)Mss * acknowledged / _congestionWindow));
        _congestionWindow = uint.Min(_congestionWindow, 4 * ByteRing.Capacity);
        Deadline = _unacknowledged == _highest ? Never : now + _timeoutMs;
    }

    private void Duplicate()
    {
        if (_recovering)
        {
            _congestionWindow += (uint)Mss;
            return;
        }
        // Duplicates that our own go-back caused are no news of a loss (RFC 6582, 4).
        if (++_duplicates < 3 || Sequence.Before(_unacknowledged, _recoverUntil)) return;
        _recovering = true;
        _recoverUntil = _highest;
        _slowStartThreshold = uint.Max((_highest - _unacknowledged) / 2, 2 * (uint)Mss);
        _congestionWindow = _slowStartThreshold + 3 * (uint)Mss;
        _resend = true;
    }

    private void Measure(uint acknowledgement, long now)
    {
        if (_timedAt == Never || Sequence.Before(acknowledgement, _timedSequence)) return;
        int sample = (int)long.Min(now - _timedAt, TimeoutMaxMs);
        _timedAt = Never;
        if (_smoothedMs < 0)
        {
            _smoothedMs = sample;
            _variationMs = sample / 2;
        }
        else
        {
            _variationMs += (int.Abs(sample - _smoothedMs) - _variationMs) / 4;
            _smoothedMs += (sample - _smoothedMs) / 8;
        }
        _timeoutMs = int.Clamp(_smoothedMs + int.Max(4 * _variationMs, 10), TimeoutMinMs, TimeoutMaxMs);
    }

    /// <summary>Called when <see cref="Deadline"/> has passed: prepares to send again from the first unacknowledged byte.</summary>
    public void Expire(long now)
    {
        if (++_retries > (SynAcknowledged ? RetriesMax : SynRetriesMax))
        {
            GaveUp = true;
            Deadline = Never;
            return;
        }
        _timeoutMs = int.Min(_timeoutMs * 2, TimeoutMaxMs);
        _timedAt = Never;
        if (_highest != _unacknowledged && _window > 0)
        {
            _slowStartThreshold = uint.Max((_highest - _unacknowledged) / 2, 2 * (uint)Mss);
            _congestionWindow = (uint)Mss;
        }
        _recovering = false;
        _recoverUntil = _highest;
        _duplicates = 0;
        _next = _unacknowledged;
        _probe = true;
        Deadline = now + _timeoutMs;
    }

    /// <summary>What to send next; false when nothing may be sent now. The SYN is not sent by this method.</summary>
    public bool TryNext(long now, out uint sequence, out int length, out bool fin, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second)
    {
        first = second = default;
        sequence = _next;
        length = 0;
        fin = false;
        if (!SynAcknowledged || Finished) return false;
        if (_resend)
        {
            _resend = false;
            length = int.Min(_ring.Count, Mss);
            fin = _finWanted && length == _ring.Count;
            if (length == 0 && !fin) return false;
            sequence = _unacknowledged;
            _ring.Get(0, length, out first, out second);
            _timedAt = Never;
            return true;
        }
        int sent = (int)(_next - _unacknowledged);
        int left = _ring.Count - sent;
        // Less than nothing is left when the FIN was sent too.
        if (left < 0) return false;
        int usable = (int)uint.Min(_window, _congestionWindow) - sent;
        length = int.Min(int.Min(left, Mss), int.Max(usable, 0));
        if (length == 0 && _probe && left > 0) length = 1;
        // A short segment waits while the window, not the data, makes it short (silly window avoidance, RFC 9293, 3.8.6.2.1).
        else if (length < left && length < Mss && sent > 0) length = 0;
        _probe = false;
        fin = _finWanted && length == left;
        if (length == 0 && !fin)
        {
            if (left > 0 && sent == 0 && Deadline == Never) Deadline = now + _timeoutMs;
            return false;
        }
        _ring.Get(sent, length, out first, out second);
        _next += (uint)length + (fin ? 1u : 0u);
        if (Sequence.After(_next, _highest))
        {
            _highest = _next;
            if (_timedAt == Never && _retries == 0)
            {
                _timedAt = now;
                _timedSequence = _next;
            }
        }
        if (Deadline == Never) Deadline = now + _timeoutMs;
        return true;
    }
}
