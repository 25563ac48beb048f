// One connection of the logging channel: threads that move bytes between the channel and frames, and nothing else.
using System.Buffers;
using System.Net;
using System.Runtime.InteropServices;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host.Links;

/// <summary>A connection. Messages arrive on its reader thread; <see cref="Send"/> may be called on any thread and never waits.</summary>
public sealed class Link : IDisposable
{
    private const int DirectBytesMax = 16 << 10;
    private const long UnreadBytesMax = 8 << 20;
    private const int HandshakeMs = 2000;

    private readonly Channel _channel;
    private readonly bool _isServer;
    private readonly Action<Link, Message> _received;
    private readonly Action<Link, string?> _closed;
    private readonly FrameWriter _frames = new();
    private readonly object _gate = new();
    private readonly List<LogRecord> _records = [];
    private ArrayBufferWriter<byte> _filling = new(), _sending = new();
    private bool _writerBusy;
    private bool _isClosing;
    private long _unread;
    private int _ended;

    /// <param name="id">The number by which the cores know it; not 0.</param>
    /// <param name="channel">Owned from now on.</param>
    /// <param name="isServer">The other side has connected to us and must greet first.</param>
    /// <param name="received">Called on the reader thread; the receiver calls <see cref="Consumed"/> when it is done with the message.</param>
    /// <param name="closed">Called once, with a sentence when the stream was not what it should be; not after <see cref="Dispose"/>.</param>
    public Link(int id, Channel channel, bool isServer, Action<Link, Message> received, Action<Link, string?> closed)
    {
        Id = id;
        _channel = channel;
        _isServer = isServer;
        _received = received;
        _closed = closed;
    }

    public int Id { get; }

    public IPEndPoint Remote => _channel.Remote;

    /// <summary>The first message was what it should be.</summary>
    public bool IsGreeted { get; private set; }

    /// <summary>Bytes of frames with log records sent so far.</summary>
    public long LogBytesSent => _frames.LogBytes;

    public void Start()
    {
        new Thread(Read) { IsBackground = true, Name = $"link {Id} reader" }.Start();
        new Thread(Write) { IsBackground = true, Name = $"link {Id} writer" }.Start();
    }

    /// <summary>Appends a message to what is sent at the next <see cref="Flush"/>; log records that follow one another share a frame.</summary>
    public void Send(Message message)
    {
        lock (_gate)
        {
            if (_isClosing) return;
            if (message is LogRecord record) _records.Add(record);
            else Append(message);
        }
    }

    /// <summary>Sends what was appended: from this thread when that cannot block, else from the writer's.</summary>
    public void Flush()
    {
        lock (_gate)
        {
            Pack();
            if (_filling.WrittenCount == 0) return;
            if (!_writerBusy && _filling.WrittenCount <= DirectBytesMax && _channel.IsWritable)
            {
                Transmit(_filling);
                return;
            }
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Sends a message from this thread, however long that takes: for streams of large messages, on a thread of their own.</summary>
    /// <returns>False when the connection has ended.</returns>
    public bool SendInTurn(Message message)
    {
        lock (_gate)
        {
            while (!_isClosing && _writerBusy) Monitor.Wait(_gate);
            if (_isClosing) return false;
            Append(message);
            Swap();
        }
        TransmitSwapped();
        return true;
    }

    /// <summary>The receiver has dealt with a message.</summary>
    public void Consumed(Message message) => Interlocked.Add(ref _unread, -Weight(message));

    /// <summary>Ends the connection after what was sent; <c>closed</c> is not called.</summary>
    public void Dispose()
    {
        Interlocked.Exchange(ref _ended, 1);
        lock (_gate)
        {
            Pack();
            _isClosing = true;
            Monitor.PulseAll(_gate);
        }
    }

    private void Append(Message message)
    {
        Pack();
        _frames.Write(_filling, message);
    }

    private void Pack()
    {
        _frames.Write(_filling, CollectionsMarshal.AsSpan(_records));
        _records.Clear();
    }

    private static long Weight(Message message) => 256 + message switch
    {
        CloneStateMessage m => m.Data.Length,
        ClonePagesMessage m => m.Data.Length,
        CloneDiskBlocksMessage m => m.Data.Length,
        CloneDiskHashesMessage m => m.Hashes.Length,
        InputRecord m => m.Input.Data.Length,
        _ => 0,
    };

    private void Transmit(ArrayBufferWriter<byte> bytes)
    {
        try
        {
            _channel.Send(bytes.WrittenSpan);
        }
        catch (IOException)
        {
            // The reader notices the same and tells it.
        }
        bytes.ResetWrittenCount();
    }

    private void Write()
    {
        while (true)
        {
            lock (_gate)
            {
                while (_writerBusy || (_filling.WrittenCount == 0 && !_isClosing)) Monitor.Wait(_gate);
                if (_filling.WrittenCount == 0) break;
                Swap();
            }
            TransmitSwapped();
        }
        _channel.End();
    }

    private void Swap()
    {
        _writerBusy = true;
        (_filling, _sending) = (_sending, _filling);
    }

    private void TransmitSwapped()
    {
        Transmit(_sending);
        lock (_gate)
        {
            _writerBusy = false;
            Monitor.PulseAll(_gate);
        }
    }

    private void Read()
    {
        string? problem = null;
        byte[] buffer = new byte[256 << 10];
        FrameReader frames = new();
        try
        {
            _channel.ReceiveTimeoutMs = HandshakeMs;
            for (int count; (count = _channel.Receive(buffer)) > 0;)
            {
                frames.Push(buffer.AsSpan(0, count));
                while (frames.TryRead() is { } message)
                {
                    if (!IsGreeted) Greet(frames, message);
                    if (Interlocked.Add(ref _unread, Weight(message)) > UnreadBytesMax) WaitForReceiver();
                    if (Volatile.Read(ref _ended) != 0) return;
                    _received(this, message);
                }
            }
            if (frames.PendingBytes > 0) problem = "the connection ended in the middle of a frame";
            else if (!IsGreeted) problem = Refusal;
        }
        catch (ProtocolException e)
        {
            problem = e.Message;
        }
        catch (IOException e)
        {
            if (!IsGreeted && Volatile.Read(ref _ended) == 0) problem = (Channel.IsTimeout(e) ? null : Refusal) ?? $"no greeting within {HandshakeMs / 1000} s";
        }
        finally
        {
            bool first = Interlocked.Exchange(ref _ended, 1) == 0;
            lock (_gate)
            {
                _isClosing = true;
                Monitor.PulseAll(_gate);
            }
            if (first) _closed(this, problem);
        }
    }

    // With TLS 1.3 either side's handshake may be over before the other one has judged its certificate.
    private string? Refusal =>
        _channel.IsEncrypted ? "the other side broke off after the TLS handshake; it may have refused this side's certificate, and then says why"
        : _isServer ? null : "the other side broke off before it answered; it may want TLS (--tls-cert)";

    private void Greet(FrameReader frames, Message message)
    {
        bool good = _isServer ? message is HelloMessage : message is WelcomeMessage or RefusedMessage;
        if (!good) throw new ProtocolException($"the connection began with a {message.Type} message");
        IsGreeted = true;
        frames.PayloadBytesMax = Frame.PayloadBytesMax;
        _channel.ReceiveTimeoutMs = 0;
    }

    private void WaitForReceiver()
    {
        while (Volatile.Read(ref _ended) == 0 && Interlocked.Read(ref _unread) > UnreadBytesMax / 2) Thread.Sleep(1);
    }
}
