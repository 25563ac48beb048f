// Requests to the guest's port 80, each on a connection of its own.
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Emu86.Bench.Soak;

internal static class GuestHttp
{
    /// <summary>The body of a whole answer with status 200.</summary>
    /// <exception cref="IOException">The answer was cut off, or nobody answered in time: whether the request was done is not known.</exception>
    /// <exception cref="SocketException">The same.</exception>
    /// <exception cref="SoakException">The guest answered something else.</exception>
    public static string Get(Service service, string path, TimeSpan within)
    {
        using var stream = new NetworkStream(service.Connect(within), ownsSocket: true);
        stream.Write(Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n"));
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        string answer = Encoding.ASCII.GetString(bytes.ToArray());
        int end = answer.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        if (end < 0) throw new IOException("the answer was cut off");
        string body = answer[(end + 4)..];
        if (!answer.Contains(" 200 ", StringComparison.Ordinal)) throw new SoakException($"the guest answered {answer}");
        if (Length(answer[..end]) is { } length && body.Length < length) throw new IOException("the answer was cut off");
        return body;
    }

    /// <summary>The same for an answer that is a number.</summary>
    public static long Number(Service service, string path, TimeSpan within)
    {
        string body = Get(service, path, within).Trim();
        return long.TryParse(body, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : throw new SoakException($"the guest answered {body}");
    }

    private static int? Length(string head)
    {
        const string Name = "Content-Length: ";
        int at = head.IndexOf(Name, StringComparison.OrdinalIgnoreCase);
        if (at < 0) return null;
        at += Name.Length;
        int stop = head.IndexOf('\r', at);
        return int.TryParse(head.AsSpan(at, (stop < 0 ? head.Length : stop) - at), NumberStyles.None, CultureInfo.InvariantCulture, out int length) ? length : null;
    }
}
