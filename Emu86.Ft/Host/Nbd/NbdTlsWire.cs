// The bytes between this program and an NBD server when both have agreed on TLS (NBD protocol, NBD_OPT_STARTTLS).
using Emu86.Ft.Host.Links;

namespace Emu86.Ft.Host.Nbd;

/// <param name="channel">Encrypted; owned from now on.</param>
public sealed class NbdTlsWire(Channel channel) : INbdWire
{
    private NbdDeadline _deadline;

    public void Within(int milliseconds) => _deadline = NbdDeadline.In(milliseconds);

    public void Send(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == 0) return;
        try
        {
            channel.SendTimeoutMs = Left("did not take the request");
            channel.Send(bytes);
        }
        catch (IOException e)
        {
            throw Broken(e, "did not take the request");
        }
    }

    public void Receive(Span<byte> bytes)
    {
        try
        {
            while (bytes.Length > 0)
            {
                channel.ReceiveTimeoutMs = Left("did not answer");
                int got = channel.Receive(bytes);
                if (got == 0) throw new NbdException("the server closed the connection");
                bytes = bytes[got..];
            }
        }
        catch (IOException e)
        {
            throw Broken(e, "did not answer");
        }
    }

    public void Dispose() => channel.Dispose();

    private int Left(string failed)
    {
        long left = _deadline.LeftMs;
        return left > 0 ? (int)left : throw _deadline.Late(failed);
    }

    private NbdException Broken(IOException e, string failed) => _deadline.LeftMs <= 0 ? _deadline.Late(failed) : new NbdException($"the connection broke: {e.Message}");
}
