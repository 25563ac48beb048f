// Whether there was ever more than one live side as far as the network can tell: from where frames of the guest came, and who went live.
namespace Emu86.Bench.Hosts;

/// <summary>One side that became the live one.</summary>
/// <param name="Epoch">Which it won for that.</param>
/// <param name="Port">The bridge's port behind which it is.</param>
/// <param name="Heard">Stopwatch time at which its line was read: after the fact.</param>
internal readonly record struct LiveSide(long Epoch, int Port, long Heard);

internal static class LiveSides
{
    /// <summary>Why the frames cannot be those of one live side after the other, in the order of their epochs; null when they can.</summary>
    /// <param name="frames">In the order in which they were seen. A side of which none was seen is none the less live: its cable may be out.</param>
    /// <param name="sides">In any order.</param>
    /// <param name="late">How much later than its frames a side's line may have been read.</param>
    public static string? Problem(IEnumerable<SeenFrame> frames, IEnumerable<LiveSide> sides, long late)
    {
        LiveSide[] order = [.. sides.OrderBy(s => s.Epoch)];
        for (int n = 1; n < order.Length; n++)
        {
            if (order[n].Epoch == order[n - 1].Epoch) return $"two sides went live in epoch {order[n].Epoch}";
        }
        int at = -1;
        foreach (SeenFrame frame in frames)
        {
            if (at >= 0 && order[at].Port == frame.Port) continue;
            int next = at + 1;
            while (next < order.Length && order[next].Port != frame.Port) next++;
            if (next == order.Length || order[next].Heard - frame.At > late)
            {
                return at < 0 ? $"a frame of the guest came by port {frame.Port} before a side there was live" : $"a frame of the guest came by port {frame.Port} while the side at port {order[at].Port} was live in epoch {order[at].Epoch}";
            }
            at = next;
        }
        return null;
    }
}
