// Where a process can be asked whether it lives: its address stands in the arbiter's value (docs/ft-protocol.md, "Arbiter").
using System.Net;
using System.Net.Sockets;
using System.Text;
using Emu86.Ft.Cli;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host.Links;

/// <summary>How an owner's address answers.</summary>
public enum OwnerAnswer
{
    /// <summary>The process is there and at work.</summary>
    Lives,

    /// <summary>Its host says that nobody listens there: the process is gone.</summary>
    Gone,

    /// <summary>Nothing came in time: frozen, cut off, or gone with its host.</summary>
    Silent,

    /// <summary>Somebody answers, but one side's certificate does not satisfy the other: it may be the owner.</summary>
    Unverified,
}

/// <summary>Answers every caller with this process's identity, as long as the emulation thread is at work. Plain on loopback, else TLS:
/// who asks sees by the address which it is.</summary>
public sealed class OwnerListener : IDisposable
{
    private const string Prefix = "emu86 owner ";
    private const int CallersMax = 16;

    private readonly LinkListener _listener;
    private readonly Func<bool> _isAtWork;
    private readonly byte[] _line;

    /// <param name="self">Who answers.</param>
    /// <param name="host">This host's name or address, as others reach it.</param>
    /// <param name="tls">Needed when that is not on loopback.</param>
    /// <param name="say">Told why callers are refused.</param>
    /// <param name="isAtWork">False: nobody gets an answer.</param>
    public OwnerListener(Guid self, string host, TlsIdentity? tls, Action<string> say, Func<bool> isAtWork)
    {
        _isAtWork = isAtWork;
        _line = Encoding.ASCII.GetBytes($"{Prefix}{self:N}\n");
        Endpoint at = new(host, 0);
        bool isLocal = IPAddress.IsLoopback(Addresses.Resolve(at, "the owner address", tls is not null).Address);
        _listener = new LinkListener(at, "the owner address", isLocal ? null : tls, CallersMax, say, Answer);
        Address = (at with { Port = _listener.Local.Port }).ToString();
    }

    /// <summary>HOST:PORT for the arbiter.</summary>
    public string Address { get; }

    public void Dispose() => _listener.Dispose();

    /// <summary>Asks an address. Blocks for at most the timeout (and for as long as a name takes to be looked up).</summary>
    /// <param name="address">HOST:PORT as the arbiter holds it.</param>
    /// <param name="owner">Who must answer; another process that got the same port does not count.</param>
    /// <param name="timeoutUs">Longest wait.</param>
    /// <param name="tls">Needed beyond this host; without it somebody there stays unverified.</param>
    public static OwnerAnswer Ask(string address, Guid owner, long timeoutUs, TlsIdentity? tls)
    {
        bool isShaken = false, isLate = false;
        Socket? socket = null;
        try
        {
            if (!Addresses.TryParse(address, out Endpoint? at) || Addresses.AddressOf(at.Host) is not { } ip) return OwnerAnswer.Silent;
            IPEndPoint to = new(ip, at.Port);
            bool isLocal = IPAddress.IsLoopback(ip);
            Socket opened = socket = new(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            using Timer late = new(_ =>
            {
                Volatile.Write(ref isLate, true);
                opened.Dispose();
            }, null, timeoutUs / 1000, Timeout.Infinite);
            socket.Connect(to);
            if (!isLocal && tls is null) return OwnerAnswer.Unverified;
            Channel channel = isLocal ? new Channel(socket, to) : tls!.Connect(socket, to, at.Host);
            isShaken = !isLocal;
            return Read(channel) is { } answer ? answer == $"{Prefix}{owner:N}\n" ? OwnerAnswer.Lives : OwnerAnswer.Gone : OwnerAnswer.Silent;
        }
        catch (ProtocolException)
        {
            return Volatile.Read(ref isLate) ? OwnerAnswer.Silent : OwnerAnswer.Unverified;
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            if (e is SocketException { SocketErrorCode: SocketError.ConnectionRefused }) return OwnerAnswer.Gone;
            // Broken off by one who has shown that it is of the pair: it refused this side's certificate.
            return isShaken && !Volatile.Read(ref isLate) ? OwnerAnswer.Unverified : OwnerAnswer.Silent;
        }
        finally
        {
            socket?.Dispose();
        }
    }

    /// <summary>Somebody must be taken to live there.</summary>
    public static bool MayLive(OwnerAnswer answer) => answer is OwnerAnswer.Lives or OwnerAnswer.Unverified;

    private static string? Read(Channel channel)
    {
        byte[] answer = new byte[Prefix.Length + 33];
        for (int count = 0; count < answer.Length;)
        {
            int got = channel.Receive(answer.AsSpan(count));
            if (got == 0) return null;
            count += got;
        }
        return Encoding.ASCII.GetString(answer);
    }

    private void Answer(Visitor caller, Channel channel)
    {
        using (channel)
        {
            caller.Known();
            if (!_isAtWork()) return;
            try
            {
                channel.SendTimeoutMs = 100;
                channel.Send(_line);
                channel.EndSending();
            }
            catch (IOException)
            {
                // The caller has gone.
            }
        }
    }
}
