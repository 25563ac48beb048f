// An NBD server in this process, with one disk in memory that it can lose, and faults on demand.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Emu86.Tests.Ft.Nbd;

/// <summary>How the server greets.</summary>
internal enum NbdStyle
{
    /// <summary>Fixed newstyle with NBD_OPT_GO.</summary>
    Go,

    /// <summary>Fixed newstyle; NBD_OPT_GO is unknown.</summary>
    NameOnly,

    /// <summary>Newstyle before it was fixed: no replies to options.</summary>
    Unfixed,

    Oldstyle,

    /// <summary>Another protocol.</summary>
    Stranger,

    /// <summary>Takes connections and says nothing.</summary>
    Silent,
}

/// <summary>What goes wrong with a request.</summary>
internal enum NbdFault
{
    None,

    /// <summary>An error reply (<see cref="NbdServer.Error"/>).</summary>
    Refuse,

    WrongMagic,
    WrongHandle,

    /// <summary>Done, but the connection ends in the middle of the reply.</summary>
    CutReply,

    /// <summary>Not done, and the connection ends.</summary>
    CloseFirst,

    /// <summary>Done, and the connection ends without a reply.</summary>
    CloseAfter,

    /// <summary>Not done, and never answered.</summary>
    Silence,
}

/// <param name="Number">From 1, over all connections.</param>
/// <param name="Command">0 read, 1 write, 2 disconnect, 3 flush.</param>
/// <param name="Flags">1: durable at once.</param>
internal readonly record struct NbdRequest(int Number, int Command, int Flags, long Offset, int Length);

/// <summary>Content survives <see cref="Crash"/> only as far as it was flushed.</summary>
internal sealed class NbdServer : IDisposable
{
    public const int Read = 0, Write = 1, Disconnect = 2, Flush = 3;

    private const int ExportOption = 1, GoOption = 7;
    private const uint Unsupported = 0x8000_0001;

    private readonly Lock _lock = new();
    private readonly List<Socket> _callers = [];
    private readonly List<(int Offset, int Length)> _unflushed = [];
    private TcpListener? _listener;
    private int _requests;

    public NbdServer(int bytes)
    {
        Content = new byte[bytes];
        Durable = new byte[bytes];
        Start();
    }

    public byte[] Content { get; }

    public byte[] Durable { get; }

    public int Port { get; private set; }

    /// <summary>For <c>--hda</c>.</summary>
    public string Address => $"nbd:127.0.0.1:{Port}/disk";

    public NbdStyle Style { get; init; }

    /// <summary>Transmission flags: bit 0 always, 1 read-only, 2 flush, 3 FUA.</summary>
    public int Flags { get; set; } = 0b101;

    /// <summary>What it says of its size; null: the truth.</summary>
    public ulong? SaidBytes { get; set; }

    public (uint Min, uint Max)? BlockSizes { get; init; }

    /// <summary>The answer to NBD_OPT_GO instead of the export.</summary>
    public (uint Type, string Text)? OptionError { get; init; }

    /// <summary>Length that a reply in the handshake announces, instead of its own.</summary>
    public uint? SaidReplyBytes { get; init; }

    public Func<NbdRequest, NbdFault> Fault { get; set; } = _ => NbdFault.None;

    /// <summary>The error of <see cref="NbdFault.Refuse"/>.</summary>
    public uint Error { get; set; } = 5;

    public int Connections { get; private set; }

    public List<NbdRequest> Requests { get; } = [];

    /// <summary>Listens (again): on the port that it had.</summary>
    public void Start()
    {
        var listener = new TcpListener(IPAddress.Loopback, Port);
        listener.Start();
        Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        _listener = listener;
        new Thread(() => Accept(listener)) { IsBackground = true, Name = "NBD server" }.Start();
    }

    /// <summary>Goes away; what it holds stays.</summary>
    public void Stop()
    {
        _listener?.Dispose();
        _listener = null;
        HangUp();
    }

    /// <summary>Dies, and is there again with what was durable.</summary>
    public void Crash()
    {
        Forget();
        HangUp();
    }

    /// <summary>What was written since the last flush is lost.</summary>
    public void Forget()
    {
        lock (_lock)
        {
            foreach ((int offset, int length) in _unflushed) Durable.AsSpan(offset, length).CopyTo(Content.AsSpan(offset));
            _unflushed.Clear();
        }
    }

    public void Dispose() => Stop();

    private void HangUp()
    {
        lock (_lock)
        {
            foreach (Socket caller in _callers) caller.Dispose();
            _callers.Clear();
        }
    }

    private void Accept(TcpListener listener)
    {
        try
        {
            while (true)
            {
                Socket caller = listener.AcceptSocket();
                caller.NoDelay = true;
                lock (_lock)
                {
                    _callers.Add(caller);
                    Connections++;
                }
                new Thread(() => Serve(caller)) { IsBackground = true, Name = "NBD caller" }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // It was stopped.
        }
    }

    private void Serve(Socket caller)
    {
        try
        {
            using var stream = new NetworkStream(caller, ownsSocket: true);
            if (Greet(stream))
            {
                while (Answer(stream)) { }
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // The caller has gone.
        }
    }

    private bool Greet(NetworkStream stream)
    {
        switch (Style)
        {
            case NbdStyle.Stranger:
                stream.Write("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"u8);
                return false;
            case NbdStyle.Silent:
                Thread.Sleep(Timeout.Infinite);
                return false;
            case NbdStyle.Oldstyle:
                stream.Write([.. "NBDMAGIC"u8, 0, 0, 0x42, 0x02, 0x81, 0x86, 0x12, 0x53, .. new byte[136]]);
                return false;
        }
        stream.Write([.. "NBDMAGICIHAVEOPT"u8, 0, Style == NbdStyle.Unfixed ? (byte)0 : (byte)3]);
        byte[] flags = Receive(stream, 4);
        while (true)
        {
            byte[] head = Receive(stream, 16);
            Require(head.AsSpan(0, 8).SequenceEqual("IHAVEOPT"u8));
            int option = BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(8));
            byte[] data = Receive(stream, BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(12)));
            if (option == ExportOption)
            {
                Require(data.AsSpan().SequenceEqual("disk"u8));
                byte[] answer = new byte[(flags[3] & 2) != 0 ? 10 : 134];
                PutExport(answer);
                stream.Write(answer);
                return true;
            }
            if (option != GoOption || Style == NbdStyle.NameOnly) Reply(stream, option, Unsupported, "no such option");
            else if (OptionError is { } error) Reply(stream, option, error.Type, error.Text);
            else
            {
                Require(data.AsSpan().SequenceEqual((byte[])[0, 0, 0, 4, .. "disk"u8, 0, 1, 0, 3]));
                byte[] export = new byte[12];
                PutExport(export.AsSpan(2));
                Reply(stream, option, 3, export);
                if (BlockSizes is { } sizes)
                {
                    byte[] block = new byte[14];
                    block[1] = 3;
                    BinaryPrimitives.WriteUInt32BigEndian(block.AsSpan(2), sizes.Min);
                    BinaryPrimitives.WriteUInt32BigEndian(block.AsSpan(6), 4096);
                    BinaryPrimitives.WriteUInt32BigEndian(block.AsSpan(10), sizes.Max);
                    Reply(stream, option, 3, block);
                }
                Reply(stream, option, 1, []);
                return true;
            }
        }
    }

    private void PutExport(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64BigEndian(to, SaidBytes ?? (ulong)Content.Length);
        BinaryPrimitives.WriteUInt16BigEndian(to[8..], (ushort)Flags);
    }

    private void Reply(NetworkStream stream, int option, uint type, string text) => Reply(stream, option, type, Encoding.UTF8.GetBytes(text));

    private void Reply(NetworkStream stream, int option, uint type, byte[] data)
    {
        byte[] reply = [0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, .. new byte[12], .. data];
        BinaryPrimitives.WriteInt32BigEndian(reply.AsSpan(8), option);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(12), type);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(16), SaidReplyBytes ?? (uint)data.Length);
        stream.Write(reply);
    }

    private bool Answer(NetworkStream stream)
    {
        byte[] head = Receive(stream, 28);
        Require(BinaryPrimitives.ReadUInt32BigEndian(head) == 0x25609513);
        var request = new NbdRequest(Interlocked.Increment(ref _requests), BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(6)), BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(4)),
            BinaryPrimitives.ReadInt64BigEndian(head.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(24)));
        byte[] data = request.Command == Write ? Receive(stream, request.Length) : [];
        lock (_lock) Requests.Add(request);
        if (request.Command == Disconnect) return false;
        NbdFault fault = Fault(request);
        if (fault == NbdFault.CloseFirst) return false;
        if (fault == NbdFault.Silence) Thread.Sleep(Timeout.Infinite);
        bool isInside = request.Offset + request.Length <= Content.Length;
        byte[] read = fault == NbdFault.Refuse || !isInside ? [] : Execute(request, data);
        byte[] reply = [0x67, 0x44, 0x66, 0x98, .. new byte[4], .. head.AsSpan(8, 8), .. read];
        if (fault == NbdFault.Refuse || !isInside) BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(4), isInside ? Error : 22);
        if (fault == NbdFault.WrongMagic) reply[3] ^= 1;
        if (fault == NbdFault.WrongHandle) reply[15] ^= 1;
        if (fault != NbdFault.CloseAfter) stream.Write(reply, 0, fault == NbdFault.CutReply ? reply.Length / 2 : reply.Length);
        return fault is not (NbdFault.CloseAfter or NbdFault.CutReply);
    }

    private byte[] Execute(NbdRequest request, byte[] data)
    {
        lock (_lock)
        {
            switch (request.Command)
            {
                case Read: return Content.AsSpan((int)request.Offset, request.Length).ToArray();
                case Write:
                    data.CopyTo(Content, request.Offset);
                    if ((request.Flags & 1) != 0) data.CopyTo(Durable, request.Offset);
                    else _unflushed.Add(((int)request.Offset, request.Length));
                    return [];
                default:
                    foreach ((int offset, int length) in _unflushed) Content.AsSpan(offset, length).CopyTo(Durable.AsSpan(offset));
                    _unflushed.Clear();
                    return [];
            }
        }
    }

    // On a thread of the server: what the client did wrong shows in the test as a connection that ends.
    private static void Require(bool holds)
    {
        if (!holds) throw new IOException("the client does not keep to the protocol");
    }

    private static byte[] Receive(NetworkStream stream, int bytes)
    {
        byte[] received = new byte[bytes];
        stream.ReadExactly(received);
        return received;
    }
}
