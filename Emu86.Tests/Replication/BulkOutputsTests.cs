// When outputs get a frontier: at once, unless the guest streams full frames.
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class BulkOutputsTests
{
    private const long Hold = 10_000;

    private static readonly Output Full = new(OutputKind.Frame, default, 0, 0, new byte[1514]), Small = new(OutputKind.Frame, default, 0, 0, new byte[60]);

    private long _now = 1_000_000;
    private BulkOutputs _outputs = new(Hold);

    [Fact]
    public void A_stream_of_full_frames_gets_a_frontier_for_eight()
    {
        Assert.Equal(31, Frontiers(31, everyUs: 1_200));
        Assert.InRange(Frontiers(800, everyUs: 1_200), 99, 101);
    }

    [Fact]
    public void Full_frames_that_come_one_by_one_are_told_at_once()
    {
        Assert.Equal(200, Frontiers(200, everyUs: Hold + 1));
    }

    [Fact]
    public void A_small_output_takes_along_what_waits()
    {
        Frontiers(50, everyUs: 1_200);
        _outputs.Told();
        _outputs.Produced(Full, _now);
        Assert.False(_outputs.AreDue(_now));
        _outputs.Produced(Small, _now);
        Assert.True(_outputs.AreDue(_now));
    }

    [Fact]
    public void A_guest_that_waits_for_its_frame_waits_once_and_then_streams_no_more()
    {
        Frontiers(64, everyUs: 1_200);
        _outputs.Told();
        _outputs.Produced(Full, _now);
        Assert.False(_outputs.AreDue(_now + Hold - 1));
        Assert.True(_outputs.AreDue(_now + Hold));
        _outputs.Told();
        _outputs.Produced(Full, _now + Hold + 300);
        Assert.True(_outputs.AreDue(_now + Hold + 300));
    }

    [Fact]
    public void Without_a_holding_time_nothing_is_held()
    {
        _outputs = new(0);
        Assert.Equal(200, Frontiers(200, everyUs: 0));
    }

    private int Frontiers(int frames, long everyUs)
    {
        int frontiers = 0;
        for (int n = 0; n < frames; n++)
        {
            _now += everyUs;
            _outputs.Produced(Full, _now);
            if (!_outputs.AreDue(_now)) continue;
            _outputs.Told();
            frontiers++;
        }
        return frontiers;
    }
}
