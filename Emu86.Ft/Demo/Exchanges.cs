// The two services of the embedded guest that the client uses (guests/embedded/README.md).
using System.Globalization;
using System.Text;

namespace Emu86.Ft.Demo;

/// <summary>Question and answer on a connection that stays open.</summary>
internal interface IExchange
{
    string Name { get; }

    /// <summary>The bytes of a question; numbers count from 1.</summary>
    byte[] Question(long number);

    /// <summary>A question that changes nothing in the guest; its answer is read by <see cref="ReadHello"/>.</summary>
    byte[] Hello { get; }

    void ReadHello(Stream stream);

    /// <summary>Reads the answer to the question of that number.</summary>
    /// <exception cref="InvalidDataException">It is not the one that an uninterrupted guest gives.</exception>
    void ReadAnswer(Stream stream, long number);
}

/// <summary>HTTP: every answered <c>GET /count</c> is exactly one more than the one before.</summary>
internal sealed class CountExchange : IExchange
{
    private const int BytesMax = 4096;

    private readonly byte[] _ask = Encoding.ASCII.GetBytes("GET /count HTTP/1.1\r\nHost: guest\r\n\r\n");

    /// <summary>The first and the last number; 0 before the first.</summary>
    public long First { get; private set; }

    public long Last { get; private set; }

    public string Name => "GET /count";

    public byte[] Hello { get; } = Encoding.ASCII.GetBytes("GET /state HTTP/1.1\r\nHost: guest\r\n\r\n");

    public byte[] Question(long number) => _ask;

    public void ReadHello(Stream stream) => ReadBody(stream);

    public void ReadAnswer(Stream stream, long number)
    {
        string body = ReadBody(stream).Trim();
        if (!long.TryParse(body, NumberStyles.None, CultureInfo.InvariantCulture, out long count)) throw new InvalidDataException($"GET /count was answered with \"{body}\", which is no number");
        if (Last != 0 && count != Last + 1) throw new InvalidDataException($"the counter went from {Last} to {count}");
        if (Last == 0) First = count;
        Last = count;
    }

    private static string ReadBody(Stream stream)
    {
        var header = new StringBuilder();
        while (!header.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (header.Length > BytesMax) throw new InvalidDataException("the guest's HTTP header has no end");
            header.Append((char)ReadByte(stream));
        }
        string text = header.ToString();
        if (!text.StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal)) throw new InvalidDataException($"the guest answered {text.Split('\r')[0]}");
        const string key = "Content-Length: ";
        int at = text.IndexOf(key, StringComparison.OrdinalIgnoreCase);
        string digits = at < 0 ? "" : text[(at + key.Length)..text.IndexOf('\r', at)];
        if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int length) || length > BytesMax) throw new InvalidDataException("the guest's answer has no usable Content-Length");
        byte[] body = new byte[length];
        stream.ReadExactly(body);
        return Encoding.ASCII.GetString(body);
    }

    private static byte ReadByte(Stream stream)
    {
        int value = stream.ReadByte();
        return value < 0 ? throw new EndOfStreamException() : (byte)value;
    }
}

/// <summary>TCP echo: what comes back is what was sent, byte for byte and in order.</summary>
internal sealed class EchoExchange : IExchange
{
    public string Name => "TCP echo";

    public byte[] Hello { get; } = Encoding.ASCII.GetBytes("hello\n");

    public byte[] Question(long number) => Encoding.ASCII.GetBytes($"line {number} of a connection that stays open\n");

    public void ReadHello(Stream stream) => Expect(stream, Hello);

    public void ReadAnswer(Stream stream, long number) => Expect(stream, Question(number));

    private static void Expect(Stream stream, byte[] sent)
    {
        byte[] back = new byte[sent.Length];
        stream.ReadExactly(back);
        if (!back.AsSpan().SequenceEqual(sent)) throw new InvalidDataException($"\"{Encoding.ASCII.GetString(sent).TrimEnd()}\" came back as \"{Encoding.ASCII.GetString(back).TrimEnd()}\"");
    }
}
