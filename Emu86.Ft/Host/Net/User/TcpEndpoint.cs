// One end of a TCP connection (RFC 9293; resets as in RFC 5961). It has no socket, clock or thread: segments and times go in, segments
// come out, so that tests drive it through a network that loses, repeats and reorders.
namespace Emu86.Ft.Host.Net.User;

public enum TcpState
{
    /// <summary>The peer's SYN came and waits to be accepted or refused.</summary>
    Offered,
    SynSent,
    SynReceived,

    /// <summary>Established, with or without one direction finished.</summary>
    Open,

    /// <summary>Both directions are finished; late repetitions are still answered (TIME-WAIT, at either end).</summary>
    Lingering,
    Dead,
}

/// <summary>A connection's end. After calls that change what may be sent, <see cref="Output"/> must be called. Times in milliseconds.</summary>
public sealed class TcpEndpoint(ITcpLink link, ushort localPort, ushort remotePort, uint initialSequence)
{
    /// <summary>How long late repetitions of a closed connection are recognised.</summary>
    public const int LingerMs = 10_000;

    private const int OwnShift = 2;
    private const ushort OwnMss = 1460;

    private readonly TcpSender _sender = new(initialSequence);
    private readonly TcpReceiver _receiver = new();
    private TcpAcknowledgements _acknowledgements = new(OwnMss);
    private long _lingerUntil = TcpSender.Never;
    private int _peerShift = -1;

    public TcpState State { get; private set; } = TcpState.SynSent;

    public ushort LocalPort => localPort;

    public ushort RemotePort => remotePort;

    /// <summary>Ended by a reset or by silence of the peer, not by both sides' consent.</summary>
    public bool WasReset { get; private set; }

    /// <summary>The connection was established at some time.</summary>
    public bool WasOpen { get; private set; }

    /// <summary>What may be written now, in bytes.</summary>
    public int WriteRoom => State == TcpState.Open ? _sender.Free : 0;

    /// <summary>Everything that the peer sent was read, and no more follows.</summary>
    public bool EndOfStream => _receiver is { Finished: true, Waiting: 0 };

    public bool WriteFinished => _sender.FinWanted;

    /// <summary>Bytes that the peer has not acknowledged.</summary>
    public int Unacknowledged => _sender.Waiting;

    /// <summary>When <see cref="Time"/> wants to be called; <see cref="TcpSender.Never"/> when nothing is waited for.</summary>
    public long Deadline => State switch
    {
        TcpState.Offered or TcpState.Dead => TcpSender.Never,
        TcpState.Lingering => _lingerUntil,
        _ => long.Min(_sender.Deadline, _acknowledgements.Deadline),
    };

    /// <summary>Begins to connect.</summary>
    public void Connect(long now)
    {
        State = TcpState.SynSent;
        SendSyn(now);
    }

    /// <summary>The peer's SYN came; <see cref="Accept"/> or <see cref="Abort"/> follows.</summary>
    public void Offer(in TcpHeader header)
    {
        State = TcpState.Offered;
        TakeSyn(header);
    }

    public void Accept(long now)
    {
        if (State != TcpState.Offered) return;
        State = TcpState.SynReceived;
        SendSyn(now);
    }

    /// <summary>In-order bytes from the peer that were not consumed.</summary>
    public ReadOnlySpan<byte> Readable() => _receiver.Readable();

    public void Consume(int bytes) => _receiver.Consume(bytes);

    /// <summary>A piece of the room for bytes to the peer; <see cref="Commit"/> says how much of it was filled.</summary>
    public Span<byte> Space() => WriteRoom == 0 ? [] : _sender.Space();

    public void Commit(int bytes) => _sender.Commit(bytes);

    /// <summary>Nothing more will be written: a FIN follows the data.</summary>
    public void FinishWriting() => _sender.Finish();

    /// <summary>Ends the connection with a reset.</summary>
    public void Abort()
    {
        if (State is TcpState.Dead) return;
        if (State is not TcpState.Lingering)
        {
            TcpFlags flags = State == TcpState.SynSent ? TcpFlags.Rst : TcpFlags.Rst | TcpFlags.Ack;
            uint sequence = State == TcpState.Offered ? 0 : _sender.Bare;
            link.Transmit(new TcpHeader(localPort, remotePort, sequence, _receiver.Next, flags, 0), default, default);
        }
        Die(reset: true);
    }

    /// <summary>Whether a segment opens a new connection in the place of this one, which is closed but still remembered (RFC 9293,
    /// 3.10.7.4, TIME-WAIT): a SYN from beyond everything that was received.</summary>
    public bool IsReplacedBy(in TcpHeader header) =>
        State == TcpState.Dead || (State == TcpState.Lingering && (header.Flags & (TcpFlags.Syn | TcpFlags.Ack | TcpFlags.Rst)) == TcpFlags.Syn && Sequence.After(header.Sequence, _receiver.Next));

    /// <summary>A segment of the peer came.</summary>
    public void Receive(in TcpHeader header, ReadOnlySpan<byte> data, long now)
    {
        switch (State)
        {
            case TcpState.Dead: return;
            case TcpState.Offered:
                if (header.Has(TcpFlags.Rst) && header.Sequence == _receiver.Next) Die(reset: true);
                return;
            case TcpState.SynSent:
                ReceiveInSynSent(header, now);
                return;
            case TcpState.Lingering:
                if (header.Has(TcpFlags.Rst))
                {
                    if (header.Sequence == _receiver.Next) Die(reset: false);
                }
                else if (data.Length > 0 || header.Has(TcpFlags.Fin | TcpFlags.Syn)) SendAcknowledgement();
                return;
        }
        bool fin = header.Has(TcpFlags.Fin);
        int length = data.Length + (fin ? 1 : 0) + (header.Has(TcpFlags.Syn) ? 1 : 0);
        if (!_receiver.Accepts(header.Sequence, length))
        {
            if (header.Has(TcpFlags.Rst)) return;
            if (State == TcpState.SynReceived && header.Has(TcpFlags.Syn)) SendSyn(now);
            else SendAcknowledgement();
            return;
        }
        if (header.Has(TcpFlags.Rst))
        {
            // Only an exact one ends the connection; others are asked to be sent again exactly (RFC 5961, 3.2).
            if (header.Sequence == _receiver.Next) Die(reset: true);
            else SendAcknowledgement();
            return;
        }
        if (header.Has(TcpFlags.Syn))
        {
            SendAcknowledgement();
            return;
        }
        if (!header.Has(TcpFlags.Ack)) return;
        if (Sequence.After(header.Acknowledgement, _sender.Highest))
        {
            if (State == TcpState.SynReceived) link.Transmit(new TcpHeader(localPort, remotePort, header.Acknowledgement, 0, TcpFlags.Rst, 0), default, default);
            else SendAcknowledgement();
            return;
        }
        if (State == TcpState.SynReceived)
        {
            if (header.Acknowledgement != _sender.Initial + 1) return;
            Open();
            _sender.SetWindow((uint)header.Window << _sender.Shift, header.Sequence, header.Acknowledgement);
        }
        _sender.Acknowledge(header, length == 0, now);
        if (length > 0)
        {
            if (_receiver.Add(header.Sequence, data, fin)) _acknowledgements.Received(fin ? 0 : length, now);
            else
            {
                _acknowledgements.Lost();
                SendAcknowledgement();
            }
        }
        if (_sender.Finished && _receiver.Finished)
        {
            State = TcpState.Lingering;
            _lingerUntil = now + LingerMs;
            SendAcknowledgement();
        }
    }

    /// <summary>Sends what may be sent, and an acknowledgement when one is due.</summary>
    public void Output(long now)
    {
        if (State == TcpState.Open)
        {
            while (_sender.TryNext(now, out uint sequence, out int length, out bool fin, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second))
            {
                TcpFlags flags = TcpFlags.Ack | (fin ? TcpFlags.Fin : 0) | (length > 0 && length == _sender.Waiting ? TcpFlags.Psh : 0);
                link.Transmit(new TcpHeader(localPort, remotePort, sequence, _receiver.Next, flags, _receiver.Window(syn: false)), first, second);
                _acknowledgements.Sent();
            }
        }
        if (State == TcpState.Open && !_receiver.Finished && _receiver.WindowUpdateDue(_sender.Mss)) _acknowledgements.IsDue = true;
        if (_acknowledgements.IsDue) SendAcknowledgement();
    }

    /// <summary>Time passed; does what <see cref="Deadline"/> asked for.</summary>
    public void Time(long now)
    {
        if (now < Deadline) return;
        if (State == TcpState.Lingering)
        {
            Die(reset: false);
            return;
        }
        _acknowledgements.Time(now);
        if (now >= _sender.Deadline) _sender.Expire(now);
        if (_sender.GaveUp) Abort();
        else if (State is TcpState.SynSent or TcpState.SynReceived) SendSyn(now);
        else Output(now);
    }

    /// <summary>The peer may be reachable only now: a SYN that waits for an answer is sent again at once.</summary>
    public void Nudge(long now)
    {
        if (State == TcpState.SynSent) SendSyn(now);
    }

    /// <summary>The reset that answers a segment of no connection (RFC 9293, 3.10.7.1); false for one that is a reset itself.</summary>
    public static bool Refusal(in TcpHeader header, int dataLength, out TcpHeader reset)
    {
        int length = dataLength + (header.Has(TcpFlags.Syn) ? 1 : 0) + (header.Has(TcpFlags.Fin) ? 1 : 0);
        reset = header.Has(TcpFlags.Ack)
            ? new TcpHeader(header.DestinationPort, header.SourcePort, header.Acknowledgement, 0, TcpFlags.Rst, 0)
            : new TcpHeader(header.DestinationPort, header.SourcePort, 0, header.Sequence + (uint)length, TcpFlags.Rst | TcpFlags.Ack, 0);
        return !header.Has(TcpFlags.Rst);
    }

    private void ReceiveInSynSent(in TcpHeader header, long now)
    {
        bool acceptable = header.Has(TcpFlags.Ack) && header.Acknowledgement == _sender.Initial + 1;
        if (header.Has(TcpFlags.Ack) && !acceptable)
        {
            if (Refusal(header, 0, out TcpHeader reset)) link.Transmit(reset, default, default);
            return;
        }
        if (header.Has(TcpFlags.Rst))
        {
            if (acceptable) Die(reset: true);
            return;
        }
        // A bare SYN would be a simultaneous open, which cannot happen through an address translator: the peer never knew our port.
        if (!header.Has(TcpFlags.Syn) || !acceptable) return;
        TakeSyn(header);
        Open();
        _sender.SetWindow(header.Window, header.Sequence, header.Acknowledgement);
        _sender.Acknowledge(header, bare: false, now);
        _acknowledgements.IsDue = true;
    }

    private void TakeSyn(in TcpHeader header)
    {
        _receiver.Start(header.Sequence);
        _sender.PeerMss(header.Mss);
        _peerShift = header.WindowShift;
        if (_peerShift < 0) return;
        _receiver.Shift = OwnShift;
        _sender.Shift = _peerShift;
    }

    private void Open()
    {
        State = TcpState.Open;
        WasOpen = true;
    }

    private void SendSyn(long now)
    {
        bool active = State == TcpState.SynSent;
        // The option is sent with the first SYN, and answered only when the peer sent it (RFC 7323, 2.2).
        int shift = active || _peerShift >= 0 ? OwnShift : -1;
        TcpFlags flags = active ? TcpFlags.Syn : TcpFlags.Syn | TcpFlags.Ack;
        ushort window = active ? ushort.MaxValue : _receiver.Window(syn: true);
        link.Transmit(new TcpHeader(localPort, remotePort, _sender.Initial, active ? 0 : _receiver.Next, flags, window, OwnMss, shift), default, default);
        _sender.SynSent(now);
    }

    private void SendAcknowledgement()
    {
        _acknowledgements.Sent();
        link.Transmit(new TcpHeader(localPort, remotePort, _sender.Bare, _receiver.Next, TcpFlags.Ack, _receiver.Window(syn: false)), default, default);
    }

    private void Die(bool reset)
    {
        State = TcpState.Dead;
        WasReset |= reset;
        _sender.Release();
        // What came before an orderly end can still be read.
        if (reset) _receiver.Release();
    }
}
