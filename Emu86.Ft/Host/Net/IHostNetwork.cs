// The host's side of the guest's network cable.
namespace Emu86.Ft.Host.Net;

/// <summary>A network that frames are exchanged with: user-mode NAT, a stream socket, a tap device.</summary>
public interface IHostNetwork : IDisposable
{
    /// <summary>Begins to deliver frames (destination, source, type, payload; no FCS) to <paramref name="received"/>, which is called
    /// on any thread and returns at once. Throws <see cref="HostException"/> when the network cannot be reached.</summary>
    void Start(Action<byte[]> received);

    /// <summary>Sends a frame of the guest. Never blocks for long and never throws: a frame that cannot be sent is lost, as on
    /// a real cable.</summary>
    void Send(ReadOnlyMemory<byte> frame);
}
