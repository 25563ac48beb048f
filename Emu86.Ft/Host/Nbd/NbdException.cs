// What an NBD server or the way to it did wrong.
namespace Emu86.Ft.Host.Nbd;

/// <param name="message">A sentence without the server's address.</param>
/// <param name="isRefusal">See <see cref="IsRefusal"/>.</param>
public sealed class NbdException(string message, bool isRefusal = false) : Exception(message)
{
    /// <summary>The server has answered a request with an error: the connection is good for the next one. Else it is to be given up.</summary>
    public bool IsRefusal { get; } = isRefusal;
}
