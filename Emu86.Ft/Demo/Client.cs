// One long-lived TCP connection to the guest, with one question at a time on it.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Emu86.Ft.Host;

namespace Emu86.Ft.Demo;

/// <summary>Connects once, and then asks for as long as the demo lasts; it never connects again.</summary>
internal sealed class Client(IExchange exchange, int port) : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(40);
    private static readonly TimeSpan HelloWithin = TimeSpan.FromSeconds(3);

    /// <summary>A question that waits longer is lost.</summary>
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(15);

    private TcpClient? _connection;
    private Thread? _thread;
    private long _sent, _answered;
    private volatile bool _stop;
    private volatile string? _failure;

    public string Name => exchange.Name;

    public Latencies Latencies { get; } = new();

    public long Sent => Volatile.Read(ref _sent);

    public long Answered => Volatile.Read(ref _answered);

    /// <summary>Why the connection ended before its time, as the rest of a sentence; null while it is well.</summary>
    public string? Failure => _failure;

    /// <summary>This end of the connection.</summary>
    public string Address { get; private set; } = "";

    /// <summary>Tries until the guest answers on a connection; that one is kept.</summary>
    /// <exception cref="HostException">It did not within <paramref name="atMost"/>.</exception>
    public void Open(TimeSpan atMost, Func<bool> cancelled)
    {
        long end = Stopwatch.GetTimestamp() + (long)(atMost.TotalSeconds * Stopwatch.Frequency);
        while (Stopwatch.GetTimestamp() < end && !cancelled())
        {
            var connection = new TcpClient(AddressFamily.InterNetwork) { NoDelay = true, ReceiveTimeout = (int)HelloWithin.TotalMilliseconds };
            try
            {
                connection.Connect(IPAddress.Loopback, port);
                NetworkStream stream = connection.GetStream();
                stream.Write(exchange.Hello);
                exchange.ReadHello(stream);
                connection.ReceiveTimeout = (int)AnswerWithin.TotalMilliseconds;
                Address = connection.Client.LocalEndPoint!.ToString()!;
                _connection = connection;
                return;
            }
            catch (Exception e) when (e is SocketException or IOException or InvalidDataException)
            {
                connection.Dispose();
                Thread.Sleep(100);
            }
        }
        throw new HostException($"the guest did not answer on {exchange.Name} within {atMost.TotalSeconds:F0} s");
    }

    /// <summary>Begins to ask.</summary>
    public void Start()
    {
        _thread = new Thread(Talk) { IsBackground = true, Name = $"demo {exchange.Name}" };
        _thread.Start();
    }

    /// <summary>Ends after the answer that is due. False: it did not come in time.</summary>
    public bool Finish()
    {
        _stop = true;
        return _thread?.Join(AnswerWithin + TimeSpan.FromSeconds(1)) ?? true;
    }

    private void Talk()
    {
        NetworkStream stream = _connection!.GetStream();
        try
        {
            while (!_stop)
            {
                long number = Volatile.Read(ref _sent) + 1;
                byte[] question = exchange.Question(number);
                Latencies.Asked(Stopwatch.GetTimestamp());
                Volatile.Write(ref _sent, number);
                stream.Write(question);
                exchange.ReadAnswer(stream, number);
                Latencies.Answered(Stopwatch.GetTimestamp());
                Volatile.Write(ref _answered, number);
                Thread.Sleep(Pause);
            }
        }
        catch (InvalidDataException e)
        {
            _failure = e.Message;
        }
        catch (EndOfStreamException)
        {
            _failure = $"the connection for {exchange.Name} was closed from the other side";
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            bool late = (e.InnerException as SocketException)?.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock;
            _failure = late
                ? $"{exchange.Name} had no answer within {AnswerWithin.TotalSeconds:F0} s"
                : $"the connection for {exchange.Name} broke: {e.Message}";
        }
    }

    public void Dispose()
    {
        _stop = true;
        _connection?.Dispose();
        _thread?.Join();
    }
}
