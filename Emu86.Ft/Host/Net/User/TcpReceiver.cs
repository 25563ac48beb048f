// The receiving half of a TCP connection (RFC 9293, 3.10.7.4): ordering, the window, the end of the stream.
using Emu86.Cpu;

namespace Emu86.Ft.Host.Net.User;

/// <summary>Puts segments in order. Bytes behind a gap are kept in place while the list of such runs has room.</summary>
public sealed class TcpReceiver
{
    private const int RunsMax = 16;

    private readonly ByteRing _ring = new();
    // Runs behind a gap: ascending, not touching one another.
    private readonly (uint Start, uint End)[] _runs = new (uint, uint)[RunsMax];
    private int _runCount;
    private uint? _finAt;
    private uint _advertisedEdge;

    /// <summary>The next sequence number that is expected.</summary>
    public uint Next { get; private set; }

    /// <summary>The sequence number of the peer's SYN.</summary>
    public uint Initial { get; private set; }

    /// <summary>How far the window is shifted in the header.</summary>
    public int Shift { get; set; }

    /// <summary>Everything up to the peer's FIN was received.</summary>
    public bool Finished { get; private set; }

    /// <summary>Bytes that wait to be read.</summary>
    public int Waiting => _ring.Count;

    public ReadOnlySpan<byte> Readable() => _ring.Readable();

    public void Consume(int bytes) => _ring.Consume(bytes, _runCount > 0);

    public void Release()
    {
        _runCount = 0;
        _ring.Release();
    }

    /// <summary>The peer's SYN came.</summary>
    public void Start(uint initial)
    {
        Initial = initial;
        Next = _advertisedEdge = initial + 1;
    }

    /// <summary>The window field of a header that is being sent.</summary>
    public ushort Window(bool syn)
    {
        // The window of a SYN is never scaled (RFC 7323, 2.2).
        int shift = syn ? 0 : Shift;
        uint field = (uint)int.Min(_ring.Free >> shift, 0xffff);
        uint edge = Next + (field << shift);
        if (Sequence.After(edge, _advertisedEdge)) _advertisedEdge = edge;
        return (ushort)field;
    }

    /// <summary>Whether reading opened the window so far that the peer should be told: by two segments, and at least to the double.</summary>
    public bool WindowUpdateDue(int mss)
    {
        int advertised = (int)(_advertisedEdge - Next);
        int open = int.Min(_ring.Free, 0xffff << Shift);
        return open - advertised >= int.Max(2 * mss, advertised);
    }

    /// <summary>The acceptability test of RFC 9293, table 6.</summary>
    public bool Accepts(uint sequence, int length)
    {
        uint window = (uint)_ring.Free;
        uint distance = sequence - Next;
        if (length == 0) return distance == 0 || distance < window;
        // Begins in the window (or right at it: a probe of a closed one), or ends behind what is already here.
        return distance == 0 || distance < window || (Sequence.Before(sequence, Next) && Sequence.After(sequence + (uint)length, Next));
    }

    /// <summary>Takes an acceptable segment's data; true when it was what was expected next, false when it was a repetition, came out of
    /// order or found no room.</summary>
    public bool Add(uint sequence, ReadOnlySpan<byte> data, bool fin)
    {
        if (Finished) return false;
        if (fin) _finAt ??= sequence + (uint)data.Length;
        int old = (int)(Next - sequence);
        if (old > 0)
        {
            data = data[int.Min(old, data.Length)..];
            sequence = Next;
        }
        int offset = (int)(sequence - Next);
        int room = _ring.Free - offset;
        if (data.Length > room) data = data[..int.Max(room, 0)];
        bool advanced = false;
        if (data.Length > 0)
        {
            if (offset > 0)
            {
                if (Remember(sequence, sequence + (uint)data.Length)) _ring.Put(_ring.Count + offset, data);
                return false;
            }
            _ring.Put(_ring.Count, data);
            Advance(sequence + (uint)data.Length);
            advanced = true;
        }
        if (_finAt == Next)
        {
            Next++;
            Finished = true;
            advanced = true;
        }
        return advanced;
    }

    private void Advance(uint end)
    {
        int taken = 0;
        while (taken < _runCount && !Sequence.After(_runs[taken].Start, end))
        {
            if (Sequence.After(_runs[taken].End, end)) end = _runs[taken].End;
            taken++;
        }
        Array.Copy(_runs, taken, _runs, 0, _runCount - taken);
        _runCount -= taken;
        _ring.Commit((int)(end - Next));
        Next = end;
    }

    private bool Remember(uint start, uint end)
    {
        int at = 0;
        while (at < _runCount && Sequence.Before(_runs[at].End, start)) at++;
        int until = at;
        while (until < _runCount && !Sequence.After(_runs[until].Start, end))
        {
            if (Sequence.Before(_runs[until].Start, start)) start = _runs[until].Start;
            if (Sequence.After(_runs[until].End, end)) end = _runs[until].End;
            until++;
        }
        if (until == at && _runCount == RunsMax) return false;
        Array.Copy(_runs, until, _runs, at + 1, _runCount - until);
        _runCount += 1 - (until - at);
        _runs[at] = (start, end);
        Check.That(_runCount <= RunsMax, "too many runs behind a gap");
        return true;
    }
}
