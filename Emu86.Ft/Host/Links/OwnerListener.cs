// Where a process can be asked whether it lives: its address stands in the arbiter's value (docs/ft-protocol.md, "Arbiter").
using System.Net;
using System.Net.Sockets;
using System.Text;
using Emu86.Ft.Cli;

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
}

/// <summary>Answers every caller with this process's identity, as long as the emulation thread is at work.</summary>
public sealed class OwnerListener : IDisposable
{
    private const string Prefix = "emu86 owner ";

    private readonly LinkListener _listener;
    private readonly Func<bool> _isAtWork;
    private readonly byte[] _line;

    public OwnerListener(Guid self, Func<bool> isAtWork)
    {
        _isAtWork = isAtWork;
        _line = Encoding.ASCII.GetBytes($"{Prefix}{self:N}\n");
        _listener = new LinkListener(new Endpoint("127.0.0.1", 0), "the owner address", Answer);
    }

    public string Address => _listener.Local.ToString();

    public void Dispose() => _listener.Dispose();

    /// <summary>Asks an address. Blocks for at most the timeout.</summary>
    /// <param name="address">HOST:PORT as the arbiter holds it.</param>
    /// <param name="owner">Who must answer; another process that got the same port does not count.</param>
    /// <param name="timeoutUs">Longest wait.</param>
    public static OwnerAnswer Ask(string address, Guid owner, long timeoutUs)
    {
        if (!IPEndPoint.TryParse(address, out IPEndPoint? to)) return OwnerAnswer.Silent;
        using Socket socket = new(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.SendTimeout = socket.ReceiveTimeout = (int)(timeoutUs / 1000);
            socket.Connect(to);
            byte[] answer = new byte[Prefix.Length + 33];
            for (int count = 0; count < answer.Length;)
            {
                int got = socket.Receive(answer.AsSpan(count));
                if (got == 0) return OwnerAnswer.Silent;
                count += got;
            }
            return Encoding.ASCII.GetString(answer) == $"{Prefix}{owner:N}\n" ? OwnerAnswer.Lives : OwnerAnswer.Gone;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionRefused ? OwnerAnswer.Gone : OwnerAnswer.Silent;
        }
    }

    private void Answer(Socket caller)
    {
        using (caller)
        {
            if (!_isAtWork()) return;
            caller.SendTimeout = 100;
            caller.Send(_line);
        }
    }
}
