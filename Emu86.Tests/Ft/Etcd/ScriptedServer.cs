// A server that is no etcd, and a proxy in front of a real one that loses an answer.
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Emu86.Tests.Ft.Etcd;

/// <summary>Answers the first bytes of every connection, and closes it.</summary>
internal sealed class ScriptedServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    /// <param name="answer">From the first bytes that came to what is sent.</param>
    public ScriptedServer(Func<string, byte[]> answer)
    {
        _listener.Start();
        new Thread(() =>
        {
            try
            {
                while (true)
                {
                    using TcpClient caller = _listener.AcceptTcpClient();
                    Serve(caller.GetStream(), answer);
                }
            }
            catch (SocketException)
            {
                // Closed.
            }
        })
        { IsBackground = true }.Start();
    }

    public string Address => $"etcd:http://{_listener.LocalEndpoint}";

    public static byte[] Http(int status, string body) =>
        Encoding.ASCII.GetBytes($"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}");

    public void Dispose() => _listener.Dispose();

    private static void Serve(NetworkStream caller, Func<string, byte[]> answer)
    {
        try
        {
            byte[] request = new byte[4096];
            int got = caller.Read(request);
            caller.Write(answer(Encoding.ASCII.GetString(request, 0, got)));
        }
        catch (IOException)
        {
            // The caller has gone.
        }
    }
}

/// <summary>Passes everything on until a request contains a text; nothing comes back on that connection any more.</summary>
internal sealed class AnswerLoser : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _to;
    private readonly string _text;

    public AnswerLoser(int to, string text)
    {
        (_to, _text) = (to, text);
        _listener.Start();
        new Thread(Accept) { IsBackground = true }.Start();
    }

    public string Address => $"etcd:http://{_listener.LocalEndpoint}";

    /// <summary>Connections on which an answer was lost.</summary>
    public int Lost { get; private set; }

    /// <summary>False: from now on every answer is passed on.</summary>
    public volatile bool Loses = true;

    public void Dispose() => _listener.Dispose();

    private void Accept()
    {
        try
        {
            while (true)
            {
                TcpClient caller = _listener.AcceptTcpClient(), callee = new("127.0.0.1", _to) { NoDelay = true };
                caller.NoDelay = true;
                bool isLost = false;
                Pass(caller, callee, chunk =>
                {
                    if (Loses && !isLost && chunk.Contains(_text, StringComparison.Ordinal))
                    {
                        isLost = true;
                        Lost++;
                    }
                    return true;
                });
                Pass(callee, caller, _ => !isLost);
            }
        }
        catch (SocketException)
        {
            // Closed.
        }
    }

    private static void Pass(TcpClient from, TcpClient to, Func<string, bool> passes) => new Thread(() =>
    {
        byte[] chunk = new byte[65536];
        try
        {
            for (int got; (got = from.GetStream().Read(chunk)) > 0;)
            {
                if (passes(Encoding.Latin1.GetString(chunk, 0, got))) to.GetStream().Write(chunk, 0, got);
            }
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            // One end has gone; an ObjectDisposedException is an InvalidOperationException.
        }
        to.Close();
    })
    { IsBackground = true }.Start();
}
