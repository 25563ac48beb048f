// One TCP connection through the translator: the guest's end and the host's socket.
using System.Buffers.Binary;
using System.Net.Sockets;

namespace Emu86.Ft.Host.Net.User;

/// <summary>Moves bytes between both ends. Each direction is bounded by the endpoint's buffers: a side that does not read stops the
/// other one.</summary>
public sealed class TcpFlow : ITcpLink, IPolled
{
    private readonly Lan _lan;
    private Socket? _socket;
    private bool _connecting;
    private bool _hostEnded;
    private bool _shutDown;
    private bool _hostFull;

    public TcpFlow(Lan lan, Socket socket, bool connecting, uint guest, ushort guestPort, uint outside, ushort outsidePort)
    {
        _lan = lan;
        _socket = socket;
        _connecting = connecting;
        Guest = guest;
        Outside = outside;
        Endpoint = new TcpEndpoint(this, outsidePort, guestPort, (uint)Random.Shared.NextInt64(1L << 32));
    }

    public uint Guest { get; }

    public uint Outside { get; }

    public TcpEndpoint Endpoint { get; }

    public long LastUsed { get; set; }

    /// <summary>Something happened; <see cref="Pump"/> is due.</summary>
    public bool Touched { get; set; }

    public bool IsConnected => _socket is not null;

    /// <summary>Nothing is left to do or to remember.</summary>
    public bool IsGone => _socket is null && Endpoint.State == TcpState.Dead;

    public Socket Socket => _socket!;

    public bool WantsRead => !_connecting && !_hostEnded && Endpoint.WriteRoom > 0;

    public bool WantsWrite => _connecting || _hostFull;

    public void Transmit(in TcpHeader header, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second) => Transmit(_lan, Outside, Guest, header, first, second);

    /// <summary>Sends a segment to a guest.</summary>
    public static void Transmit(Lan lan, uint source, uint destination, in TcpHeader header, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        Span<byte> head = stackalloc byte[TcpHeader.LengthMax];
        int headBytes = header.Write(head);
        int length = headBytes + first.Length + second.Length;
        if (lan.Packet(Ipv4Header.Tcp, source, destination, length, out Span<byte> segment) is not { } frame) return;
        head[..headBytes].CopyTo(segment);
        first.CopyTo(segment[headBytes..]);
        second.CopyTo(segment[(headBytes + first.Length)..]);
        BinaryPrimitives.WriteUInt16BigEndian(segment[16..], Checksum.Fold(Checksum.Add(Checksum.Pseudo(source, destination, Ipv4Header.Tcp, length), segment)));
        lan.Send(frame);
    }

    public void Ready(bool read, bool write, long now)
    {
        if (_socket is null) return;
        LastUsed = now;
        Touched = true;
        if (_connecting)
        {
            _connecting = false;
            if ((int)_socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)! != 0)
            {
                Endpoint.Abort();
                Close(reset: false);
                return;
            }
            Endpoint.Accept(now);
            return;
        }
        if (write) _hostFull = false;
        if (read) ReadHost();
    }

    /// <summary>Gives the host what the guest sent, and the guest what is due to it.</summary>
    public void Pump(long now)
    {
        Touched = false;
        WriteHost();
        Endpoint.Output(now);
        if (Endpoint is { State: TcpState.Dead, WasReset: true }) Close(reset: true);
        if (_hostEnded && _shutDown) Close(reset: false);
    }

    /// <summary>Ends the host's side.</summary>
    public void Close(bool reset)
    {
        if (_socket is null) return;
        Socket socket = _socket;
        _socket = null;
        try
        {
            if (reset) socket.LingerState = new LingerOption(true, 0);
        }
        catch (SocketException)
        {
            // It is gone already.
        }
        if (reset) socket.Close(0);
        else socket.Dispose();
    }

    private void ReadHost()
    {
        while (!_hostEnded)
        {
            Span<byte> space = Endpoint.Space();
            if (space.IsEmpty) return;
            int count = _socket!.Receive(space, SocketFlags.None, out SocketError error);
            if (error == SocketError.WouldBlock) return;
            if (error != SocketError.Success)
            {
                Fail();
                return;
            }
            if (count == 0)
            {
                _hostEnded = true;
                Endpoint.FinishWriting();
                return;
            }
            Endpoint.Commit(count);
            if (count < space.Length) return;
        }
    }

    private void WriteHost()
    {
        if (_socket is null || _connecting || _hostFull) return;
        while (true)
        {
            ReadOnlySpan<byte> data = Endpoint.Readable();
            if (data.IsEmpty) break;
            int count = _socket.Send(data, SocketFlags.None, out SocketError error);
            if (error == SocketError.WouldBlock)
            {
                _hostFull = true;
                return;
            }
            if (error != SocketError.Success)
            {
                Fail();
                return;
            }
            Endpoint.Consume(count);
        }
        if (_shutDown || !Endpoint.EndOfStream) return;
        _shutDown = true;
        try
        {
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // The other end went away; reading says the rest.
        }
    }

    private void Fail()
    {
        Endpoint.Abort();
        Close(reset: true);
    }
}
