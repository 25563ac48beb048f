// What a backup has to keep because a shared image has not taken the guest's writes yet: the live side counts along, and the guest stands
// still before the backup would have to (docs/ft-protocol.md, "Shared disks").
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <param name="bytesMax">Of all that a backup keeps; half of it is for writes that wait for their image.</param>
internal sealed class KeptOutputs(long bytesMax)
{
    private readonly OutputQueue _kept = new();
    private ulong _releasedUpTo, _durableUpTo;

    /// <summary>The guest has to stand still. Once it does, until a quarter of that is gone.</summary>
    public bool IsFull { get; private set; }

    /// <summary>An output of the guest, before it may leave.</summary>
    /// <param name="output">What waits.</param>
    /// <param name="ordinal">Its number in the guest's life.</param>
    public void Produced(Output output, ulong ordinal)
    {
        _kept.Add(new WaitingOutput(output, ordinal, 0));
        Update();
    }

    /// <summary>Outputs up to this one have left.</summary>
    public void Released(ulong upTo)
    {
        _releasedUpTo = upTo;
        Update();
    }

    /// <summary>Writes up to this output are in the image.</summary>
    public void Durable(ulong upTo)
    {
        _durableUpTo = ulong.Max(_durableUpTo, upTo);
        Update();
    }

    private void Update()
    {
        _kept.Forget(_releasedUpTo, _durableUpTo);
        IsFull = _kept.Bytes >= bytesMax / (IsFull ? 8 : 2) * (IsFull ? 3 : 1);
    }
}
